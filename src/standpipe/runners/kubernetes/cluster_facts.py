"""What is known of a cluster before tasks run: its capacity, and whether what options name is there."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from lightkube.resources.core_v1 import Node, Secret, ServiceAccount

from standpipe.errors import RunnerError
from standpipe.model.ports import Problem
from standpipe.model.resources import UNBOUNDED, Capacity, QuantityError, parse_cpu, parse_memory
from standpipe.runners.kubernetes.connection import Connection, Object
from standpipe.runners.kubernetes.settings import AgentSettings

#: The accelerators of a cluster of which nothing is known: it may add nodes.
_ANY_GPUS = tuple(map(str, range(1024)))

#: Resources of nodes that are accelerators, which all have a vendor's domain.
_ACCELERATORS = ("nvidia.com/gpu", "amd.com/gpu", "google.com/tpu", "intel.com/gpu", "habana.ai/gaudi")

#: The seconds for which a question before a run is repeated.
_PATIENCE = 10.0


def read_capacity(connection: Connection) -> Capacity:
    """Return what the ready nodes of a cluster can allocate; anything if they may not be listed."""
    try:
        nodes, _ = connection.list(Node)
    except RunnerError:  # few may list nodes
        return Capacity(UNBOUNDED.cpu, UNBOUNDED.memory, _ANY_GPUS)
    usable = [node["status"].get("allocatable") or {} for node in nodes if _is_usable(node)]
    gpus = sum(int(found.get(name, 0)) for found in usable for name in _ACCELERATORS)
    cpu = sum(_parse(parse_cpu, found.get("cpu", "0")) for found in usable)
    memory = sum(_parse(parse_memory, found.get("memory", "0")) for found in usable)
    return Capacity(float(cpu), int(memory), tuple(map(str, range(gpus))))


def _is_usable(node: Object) -> bool:
    conditions = (node.get("status") or {}).get("conditions") or ()
    is_ready = any(each["type"] == "Ready" and each["status"] == "True" for each in conditions)
    return is_ready and not (node.get("spec") or {}).get("unschedulable")


def _parse(parse: Any, text: str) -> float:
    try:
        return float(parse(text))
    except QuantityError:  # a unit that nobody writes for nodes
        return 0.0


def find_setting_problems(connection: Connection, settings: AgentSettings) -> Iterator[Problem]:
    """Yield what options name that does not exist. What may not be read is taken to be there."""
    namespace = connection.namespace
    for kind, name, option in (
        (Secret, settings.store_secret, "store_secret"),
        (ServiceAccount, settings.service_account, "service_account"),
    ):
        if name and not _exists(connection, kind, name):
            yield Problem(
                f"the namespace {namespace!r} has no {kind.__name__} {name!r}, which {option} names",
                f"Create it, or correct the option: local.KubernetesRunner({option}=...).",
            )


def _exists(connection: Connection, kind: Any, name: str) -> bool:
    try:
        return connection.get(kind, name) is not None
    except RunnerError:  # it may not be read
        return True
