"""Rules for resource requests and limits."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

from standpipe.check.rule import Problem
from standpipe.check.view import PipelineView
from standpipe.model.resources import QuantityError, parse_cpu, parse_memory
from standpipe.model.templates import Template

#: The name of an extended resource: a domain and a name.
_RESOURCE_NAME = re.compile(r"[a-z0-9]([-a-z0-9.]*[a-z0-9])?/[A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?")

_QUANTITIES: tuple[tuple[str, Callable[[str], float]], ...] = (("cpu", parse_cpu), ("memory", parse_memory))


def find_requests_over_limits(pipeline: PipelineView) -> Iterator[Problem]:
    for task in pipeline.tasks:
        if task.container is None:
            continue
        quantities = task.container.resources.quantities
        for kind, parse in _QUANTITIES:
            request, limit = quantities[f"{kind}_request"], quantities[f"{kind}_limit"]
            if _is_greater(request, limit, parse):
                yield Problem(task, f"task {task.name!r} requests {kind} {request}, over its limit of {limit}")


def _is_greater(request: str | Template, limit: str | Template, parse: Callable[[str], float]) -> bool:
    if not (isinstance(request, str) and isinstance(limit, str) and request and limit):
        return False
    try:
        return parse(request) > parse(limit)
    except QuantityError:
        return False


def find_accelerators_without_type(pipeline: PipelineView) -> Iterator[Problem]:
    """Yield tasks with a number of accelerators and no type, which the driver leaves out of the pod."""
    for task in pipeline.tasks:
        resources = task.container.resources if task.container else None
        if resources and resources.accelerator_count not in ("", "0") and not resources.accelerator_type:
            problem = f"task {task.name!r} has an accelerator limit of {resources.accelerator_count} without a type"
            yield Problem(task, problem)


def find_invalid_accelerators(pipeline: PipelineView) -> Iterator[Problem]:
    """Yield types of accelerators that are not names of resources: those need a domain, as `nvidia.com/gpu` has."""
    for task in pipeline.tasks:
        kind = task.container.resources.accelerator_type if task.container else ""
        if isinstance(kind, str) and kind and not _RESOURCE_NAME.fullmatch(kind):
            problem = f"task {task.name!r} has the accelerator type {kind!r}, which Kubernetes does not take"
            yield Problem(task, problem, mark=kind)
