"""The connection of this program to a Ray cluster: its resources, and the exchange with the nodes."""

from __future__ import annotations

import math
import os
import queue
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

from standpipe.errors import RunnerError
from standpipe.model.locations import is_remote
from standpipe.model.resources import Capacity
from standpipe.runners.ray import remote
from standpipe.runners.transport.archive import RUNNERS, make_archive

#: The seconds for which the program waits for messages of the nodes before it asks again.
_PATIENCE = 10.0

#: The seconds for which the nodes of the cluster are remembered.
_LIFETIME = 1.0

#: The seconds that the thread has to end which receives messages.
_TIME_TO_END = 2.0

#: Puts an actor on the head node, without which there is no cluster.
_ON_HEAD = {"num_cpus": 0, "resources": {"node:__internal_head__": 0.001}, "max_concurrency": 100_000}


class Connection:
    """A connection to a cluster, which it starts on this machine if there is none.

    Args:
        address: that of the cluster, as `ray.init` takes it.

    Raises:
        RunnerError: if Ray is not installed, or the cluster cannot be reached.
    """

    def __init__(self, address: str | None) -> None:
        self.ray = import_ray()
        self._address = address
        self._owns = False
        self._inboxes: dict[str, queue.SimpleQueue[tuple[str, Any]]] = {}
        self._lock = threading.Lock()
        self._nodes: tuple[float, list[dict[str, float]]] = (-math.inf, [])
        self._closed, self._received = threading.Event(), threading.Event()
        opened: queue.SimpleQueue[RunnerError | None] = queue.SimpleQueue()
        # Ray lets the kernel kill the cluster that it starts when the thread ends that has started it.
        threading.Thread(target=self._serve, args=(opened,), daemon=True, name="standpipe-ray").start()
        error = opened.get()
        if error is not None:
            raise error

    def _serve(self, opened: queue.SimpleQueue[RunnerError | None]) -> None:
        """Connect, then pass on messages for as long as the connection is open."""
        try:
            self._open()
        except Exception as error:  # noqa: BLE001  Ray raises many
            self._disconnect()
            opened.put(_explain(error, self._address))
            return
        opened.put(None)
        self._receive()
        self._received.set()
        self._closed.wait()

    def _open(self) -> None:
        self._owns = not self.ray.is_initialized()
        if not self._owns:
            _check_cluster(self.ray, self._address)
        else:
            self.ray.init(_find_address(self._address), log_to_driver=False, logging_level="ERROR")
        self.ray.cloudpickle.register_pickle_by_value(remote)
        self.exchange = self.ray.remote(remote.Exchange).options(**_ON_HEAD).remote()
        self.platform: str = self.ray.get(self.exchange.describe_platform.remote())
        archive, self.digest = make_archive(RUNNERS)
        self.code = [self.ray.put(archive)]
        self.execute = self.ray.remote(remote.execute)

    def _disconnect(self) -> None:
        if self._owns:
            self.ray.shutdown()

    @contextmanager
    def inbox(self, attempt: str) -> Iterator[queue.SimpleQueue[tuple[str, Any]]]:
        """Give the queue of what arrives about an attempt, during the block."""
        inbox: queue.SimpleQueue[tuple[str, Any]] = queue.SimpleQueue()
        with self._lock:
            self._inboxes[attempt] = inbox
        try:
            yield inbox
        finally:
            with self._lock:
                del self._inboxes[attempt]

    @property
    def is_on_this_machine(self) -> bool:
        """Whether it has started the cluster, which has no other machine."""
        return self._owns and _find_address(self._address) == "local"

    def capacity(self) -> Capacity:
        """Return the capacity of all nodes together. Their accelerators have numbers here that are not theirs."""
        total = self.ray.cluster_resources()
        gpus = tuple(map(str, range(int(total.get("GPU", 0)))))
        return Capacity(float(total.get("CPU", 0)), int(total.get("memory", 0)), gpus)

    def largest(self, resource: str) -> float:
        """Return the most of a resource that any node has."""
        return max((float(resources.get(resource, 0)) for resources in self.nodes), default=0.0)

    @property
    def nodes(self) -> list[dict[str, float]]:
        """The resources of each node, as they were at most a second ago."""
        read_at, nodes = self._nodes
        if time.monotonic() - read_at > _LIFETIME:
            nodes = [node["Resources"] for node in self.ray.nodes() if node["Alive"]]
            self._nodes = (time.monotonic(), nodes)
        return nodes

    def close(self) -> None:
        """Disconnect, if it has connected. A cluster that it has started ends."""
        if self._closed.is_set():
            return
        self._closed.set()
        # A call of Ray that comes after its end, such as one of the thread that receives, would start a new cluster.
        if self.ray.is_initialized():
            with suppress(self.ray.exceptions.RayError, ValueError):  # it is another cluster by now
                self.ray.kill(self.exchange)
            self._received.wait(_TIME_TO_END)
            self._disconnect()

    def _receive(self) -> None:
        while not self._closed.is_set():
            try:
                messages = self.ray.get(self.exchange.take.remote(_PATIENCE))
            except Exception as error:  # noqa: BLE001  Ray raises many; the attempts say what it was
                self._fail(error)
                return
            for attempt, kind, content in messages:
                self._deliver(attempt, kind, content)

    def _deliver(self, attempt: str, kind: str, content: object) -> None:
        with self._lock:
            inbox = self._inboxes.get(attempt)
        if inbox is not None:  # otherwise the attempt was lost, and is not waited for any more
            inbox.put((kind, content))

    def _fail(self, error: Exception) -> None:
        with self._lock:
            inboxes = list(self._inboxes.values())
        for inbox in inboxes:
            inbox.put(("disconnected", error))


def import_ray() -> Any:
    """Return the package `ray`.

    Raises:
        RunnerError: if it is not installed.
    """
    try:
        import ray  # an extra, which takes a second
    except ImportError as error:
        raise RunnerError(
            f"The RayRunner needs the package 'ray', which cannot be imported: {error}. "
            "Install it: pip install 'standpipe[ray]'"
        ) from error
    return ray


def _find_address(address: str | None) -> str:
    """Return the address of a cluster, or `local`, which starts one.

    With the address `auto`, Ray (2.60.0) connects, but its actors die before they start.

    Raises:
        ConnectionError: if no cluster runs on this machine.
    """
    address = address or os.environ.get("RAY_ADDRESS") or "local"
    if address != "auto":
        return address
    from ray._private import services  # an extra; it has no public function for that

    found: str = services.canonicalize_bootstrap_address_or_die("auto")
    return found


def _check_cluster(ray: Any, address: str | None) -> None:
    """Check that a program is connected to the cluster that it asks for, as a process can be connected to one only.

    Raises:
        ConnectionError: if it is another one. That of a client, or by a name such as `auto`, is not compared.
    """
    if not address or is_remote(address) or ":" not in address:
        return
    current, (host, _, port) = ray.get_runtime_context().gcs_address, address.rpartition(":")
    here = socket.gethostbyname(host)
    if f"{ray.util.get_node_ip_address() if here.startswith('127.') else here}:{port}" != current:
        raise ConnectionError(
            f"this program is connected to another cluster, {current}, by another RayRunner or by ray.init. Close that "
            "first: call local.init with the new runner, or ray.shutdown()."
        )


def _explain(error: Exception, address: str | None) -> RunnerError:
    where = address or os.environ.get("RAY_ADDRESS") or "local"
    return RunnerError(
        f"Ray cannot be used: {where}: {str(error) or type(error).__name__}\n"
        "Check that the cluster runs (`ray status`), with the same versions of Ray and Python as this program. "
        "The address 'local' starts a cluster on this machine."
    )
