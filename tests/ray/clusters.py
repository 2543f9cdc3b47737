"""Ray clusters of several raylets on this machine."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from tests.processes import wait_until

#: Runs a command in a mount namespace of its own, as root there.
_UNSHARE = ["unshare", "--mount", *([] if os.geteuid() == 0 else ["--user", "--map-root-user"])]


def has_namespaces() -> bool:
    """Return whether this machine lets the tests make mount namespaces."""
    command = [*_UNSHARE, "mount", "-t", "tmpfs", "tmpfs", "/mnt"]
    return subprocess.run(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=False).returncode == 0


class TestCluster:
    """A cluster of raylets, each a node to Ray, as a fixture gives it."""

    __test__ = False

    def __init__(self, cluster: Any) -> None:
        self._cluster = cluster
        self.address: str = cluster.address

    @property
    def nodes(self) -> set[str]:
        """The ids of the nodes that the head node knows to be alive."""
        return set(self._cluster.global_state._live_node_ids())

    def add_node(self, **options: Any) -> Any:
        node = self._cluster.add_node(**options)
        self._cluster.wait_for_nodes()
        return node

    def kill(self, node: Any) -> None:
        """Kill all processes of a node at once, as when a machine loses its power."""
        kill_all(raylet_pid(node))


def kill_all(pid: int) -> None:
    """Kill a process and all below it at once."""
    for each in [pid, *_descendants(pid)]:
        with suppress(ProcessLookupError):
            os.kill(each, signal.SIGKILL)


def _descendants(pid: int) -> list[int]:
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return [*map(int, children), *(each for child in children for each in _descendants(int(child)))]


def raylet_pid(node: Any) -> int:
    pid: int = node.all_processes["raylet"][0].process.pid
    return pid


@contextmanager
def cluster(**head: Any) -> Iterator[TestCluster]:
    """Start a cluster with a head node."""
    import ray
    from ray.cluster_utils import Cluster

    started = Cluster(initialize_head=True, head_node_args={"include_dashboard": False, **head})
    try:
        yield TestCluster(started)
    finally:
        ray.shutdown()
        started.shutdown()


@contextmanager
def separate_node(cluster: TestCluster, own: Path) -> Iterator[int]:
    """Start a node that does not see what others write below a folder: an empty file system hides it there.

    Args:
        cluster: the cluster.
        own: the folder.

    Yields:
        The process above all that belong to the node.
    """
    ray = [sys.executable, "-m", "ray.scripts.scripts"]  # the command `ray` has the path at which it was installed
    options = ["--num-cpus=2", f"--object-store-memory={100 * 1024**2}"]
    command = [*ray, "start", f"--address={cluster.address}", "--block", "--disable-usage-stats", *options]
    script = 'mount -t tmpfs tmpfs "$0" && exec "$@"'
    before = len(cluster.nodes)
    process = subprocess.Popen(
        [*_UNSHARE, "sh", "-c", script, str(own), *command],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        assert wait_until(lambda: len(cluster.nodes) > before or process.poll() is not None, 60)
        assert process.poll() is None, "the node has ended"
        yield process.pid
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait()
