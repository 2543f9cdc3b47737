"""The check, before the first task, that the nodes of a cluster see the folders of this machine."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any
from weakref import WeakKeyDictionary

from standpipe.errors import UnsupportedError
from standpipe.runners.ray import remote
from standpipe.runners.ray.connection import Connection

#: The seconds that nodes have to answer. Those that do not are not checked: they may be busy, or starting.
_PATIENCE = 30.0


class SharedDisk:
    """Knows which folders all nodes of a cluster see. Any thread may ask."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._seen: WeakKeyDictionary[Connection, set[Path]] = WeakKeyDictionary()

    def check(self, connection: Connection, root: Path, folder: Path) -> None:
        """Check once for each connection that all nodes on which tasks may run see a folder.

        Args:
            connection: the connection to the cluster.
            root: the folder.
            folder: a new folder in it: nodes may have others at the path of `root` itself.

        Raises:
            UnsupportedError: if some do not; the message has their addresses.
        """
        with self._lock:
            seen = self._seen.setdefault(connection, set())
            if connection.is_on_this_machine or root in seen:
                return
            blind = _find_blind_nodes(connection, folder)
            if blind:
                raise UnsupportedError(
                    f"Nodes of the Ray cluster do not see the folder {root}: {', '.join(blind)}. They need a disk "
                    "that they share with this machine, at the same path. Set pipeline_root to a folder on such a "
                    "disk, or to an object store, such as s3://bucket/prefix."
                )
            seen.add(root)


def _find_blind_nodes(connection: Connection, folder: Path) -> list[str]:
    """Return the addresses of the nodes that do not see a folder: one small task of Ray looks for it on each."""
    ray = connection.ray
    looks = {_look(connection, node, folder): node for node in ray.nodes() if node["Alive"] and _has_cores(node)}
    answered, _ = ray.wait(list(looks), num_returns=len(looks), timeout=_PATIENCE) if looks else ([], [])
    return sorted(_name(looks[each]) for each in answered if not _sees(ray, each))


def _look(connection: Connection, node: dict[str, Any], folder: Path) -> Any:
    strategies = connection.ray.util.scheduling_strategies
    there = strategies.NodeAffinitySchedulingStrategy(node["NodeID"], soft=False)
    task = connection.ray.remote(remote.sees)
    return task.options(name="standpipe: shared disk", num_cpus=0, scheduling_strategy=there).remote(str(folder))


def _sees(ray: Any, look: Any) -> bool:
    """Return whether a node sees the folder; of one that is lost meanwhile nobody knows."""
    try:
        return bool(ray.get(look))
    except ray.exceptions.RayError:
        return True


def _has_cores(node: dict[str, Any]) -> bool:
    return float(node["Resources"].get("CPU", 0)) > 0


def _name(node: dict[str, Any]) -> str:
    return str(node["NodeManagerHostname"] or node["NodeManagerAddress"])
