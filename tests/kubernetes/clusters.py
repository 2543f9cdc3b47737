"""Clusters for tests: nodes that run containers on this machine, with a server of ours or a real API server.

The nodes need root, for the mounts of containers.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

from tests.kubernetes.api_server import ApiServer, Faults
from tests.kubernetes.client import Client
from tests.kubernetes.controllers import Controllers
from tests.kubernetes.defaults import condition, random_suffix
from tests.kubernetes.kubelet import Kubelet
from tests.kubernetes.pod_security import ENFORCE
from tests.kubernetes.pods import Image, PodWorker
from tests.kubernetes.storage import ApiError, Object, Storage
from tests.processes import wait_until

_PYTHON = Image((str(Path(sys.executable).parent),))

#: What the nodes can pull: images of Python, all with that of the tests, and one with the programs of this machine.
IMAGES = {
    **{f"python:3.{minor}{variant}": _PYTHON for minor in range(9, 15) for variant in ("", "-slim")},
    "debian:12": Image(),
}

CAPACITY = {"cpu": "4", "memory": "8Gi"}

#: The address of a real API server, and the token of an administrator, with a space between them.
REAL_SERVER = "STANDPIPE_KUBERNETES_SERVER"


class Cluster:
    """A namespace of a real cluster, with nodes of its own.

    Args:
        folder: the disks of the nodes.
        client: the API server.
        token: what clients need; empty for a server that asks for none.
        hidden: folders of this machine that no container sees.
    """

    def __init__(self, folder: Path, client: Client, token: str = "", hidden: tuple[Path, ...] = ()) -> None:
        self.folder = folder
        self.images = dict(IMAGES)
        self.client = client
        self.namespace = f"pipelines-{random_suffix()}"
        self.nodes: dict[str, Kubelet] = {}
        self._token = token
        self._hidden = hidden
        self._tls = client.address.startswith("https")

    @property
    def address(self) -> str:
        return self.client.address

    def start(self, nodes: int = 1) -> None:
        namespace = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": self.namespace}}
        self.client.create("namespaces", namespace)
        for number in range(nodes):
            self.add_node(f"node-{number}")

    def close(self) -> None:
        with suppress(ApiError):
            self.client.delete("namespaces", "", self.namespace)
        for name, node in list(self.nodes.items()):
            with suppress(ApiError):
                self.client.delete("nodes", "", name)
            node.close()

    def kubeconfig(self, path: Path, token: str = "") -> Path:
        """Write a kubeconfig for the cluster and its namespace, with the context `test`."""
        import yaml

        token = token or self._token
        context = {"cluster": "test", "user": "t", "namespace": self.namespace}
        config = {
            "apiVersion": "v1",
            "kind": "Config",
            "current-context": "test",
            "clusters": [{"name": "test", "cluster": {"server": self.address, "insecure-skip-tls-verify": self._tls}}],
            "contexts": [{"name": "test", "context": context}],
            "users": [{"name": "t", "user": {"token": token} if token else {}}],
        }
        path.write_text(yaml.safe_dump(config))
        return path

    def add_node(
        self, name: str, capacity: Mapping[str, str] = CAPACITY, labels: Mapping[str, str] | None = None
    ) -> Kubelet:
        """Add a node, and wait until pods can run on it."""
        folder, shared = self.folder / name, self.folder / "volumes"
        node = Kubelet(self.client, name, folder, shared, self.images, capacity, self._hidden, tls=self._tls)
        self.nodes[name] = node
        node.start(labels or {})
        assert wait_until(lambda: not self.client.get("nodes", "", name).get("spec", {}).get("taints"), 60)
        return node

    def restrict(self, level: str = "restricted") -> None:
        """Have the namespace enforce a Pod Security Standard."""
        self.client.patch("namespaces", "", self.namespace, {"metadata": {"labels": {ENFORCE: level}}})

    # --- what happens to pods and nodes -------------------------------------------------------------------------------

    def evict(self, pod: str) -> None:
        """Have the kubelet evict a pod, since its node is short of memory."""
        message = "The node was low on resource: memory. Threshold quantity: 100Mi, available: 60Mi."
        conditions = [condition("DisruptionTarget", "TerminationByKubelet", message)]
        self._worker(pod).stop(0, deleted=False, reason="Evicted", message=message, conditions=conditions)

    def shut_down(self, node: str) -> None:
        """Have a node shut down in order: it ends its pods, and says so."""
        message = "Pod was terminated in response to imminent node shutdown."
        for worker in list(self.nodes[node].pods.values()):
            conditions = [condition("DisruptionTarget", "TerminationByKubelet", message)]
            worker.stop(1, deleted=False, reason="Terminated", message=message, conditions=conditions)

    def preempt(self, pod: str) -> None:
        """Have the scheduler delete a pod for one of higher priority."""
        why = condition("DisruptionTarget", "PreemptionByScheduler", "default-scheduler: preempting to accommodate")
        known = self.client.get("pods", self.namespace, pod)["status"].get("conditions", [])
        self.client.patch_status("pods", self.namespace, pod, {"conditions": [*known, why]})
        self.client.delete("pods", self.namespace, pod, None)

    def lose(self, node: str, *, removed: bool = True) -> None:
        """Lose a node with all that runs on it: its kubelet says nothing any more.

        Args:
            node: the node.
            removed: whether the node is also removed from the cluster, as autoscalers do; otherwise its pods are
                marked as deleted, and stay, since nobody confirms that they have ended.
        """
        self.nodes.pop(node).close()
        if removed:
            self.client.delete("nodes", "", node)
        else:
            self._miss(node)

    def _miss(self, node: str) -> None:
        """Do nothing: the controller of nodes sees that heartbeats are missing."""

    def _worker(self, pod: str) -> PodWorker:
        for node in self.nodes.values():
            if worker := node.worker(self.namespace, pod):
                return worker
        raise AssertionError(f"no node runs the pod {pod}")


class TestCluster(Cluster):
    """A cluster that runs in this process, and whose server can be wrong.

    `faults` are those of the API server. Tests can change them at any time, and `images`, too.
    """

    __test__ = False

    def __init__(self, folder: Path, hidden: tuple[Path, ...] = ()) -> None:
        self.storage = Storage()
        self.server = ApiServer(self.storage)
        super().__init__(folder, Client(self.server.address), hidden=hidden)
        self.namespace = "pipelines"
        self._controllers = Controllers(self.storage)

    @property
    def faults(self) -> Faults:
        return self.server.faults

    def start(self, nodes: int = 1) -> None:
        self.server.start()
        self._controllers.start()
        super().start(nodes)

    def close(self) -> None:
        for node in self.nodes.values():
            node.close()
        self._controllers.close()
        self.server.close()

    def _miss(self, node: str) -> None:
        """Do what the controller of nodes does when heartbeats are missing."""
        why = condition("DisruptionTarget", "DeletionByTaintManager", "Taint manager: deleting due to NoExecute taint")

        def change(stored: Object) -> None:
            known = [each for each in stored["status"].get("conditions", []) if each["type"] != "Ready"]
            ready = condition("Ready", "NodeLost", status="Unknown")
            message = f"Node {node} which was running pod {stored['metadata']['name']} is unresponsive"
            stored["status"].update(conditions=[*known, ready, why], reason="NodeLost", message=message)

        self.storage.update(("nodes", "", node), _mark_lost)
        for pod in self.storage.find("pods"):
            if pod["spec"].get("nodeName") == node:
                key = ("pods", pod["metadata"]["namespace"], pod["metadata"]["name"])
                self.storage.update(key, change)
                self.storage.delete(key)


def _mark_lost(node: Object) -> None:
    node["status"]["conditions"] = [condition("Ready", "NodeStatusUnknown", status="Unknown")]
    node.setdefault("spec", {})["taints"] = [{"key": "node.kubernetes.io/unreachable", "effect": "NoSchedule"}]


@contextmanager
def cluster(folder: Path, nodes: int = 1, hidden: tuple[Path, ...] = ()) -> Iterator[TestCluster]:
    """Start a cluster in this process for the duration of a block."""
    started = TestCluster(folder, hidden)
    started.start(nodes)
    try:
        yield started
    finally:
        started.close()


@contextmanager
def any_cluster(folder: Path, nodes: int = 1, hidden: tuple[Path, ...] = ()) -> Iterator[Cluster]:
    """Join the real cluster that a variable names for the duration of a block, or start one in this process."""
    address, _, token = os.environ.get(REAL_SERVER, "").partition(" ")
    started = Cluster(folder, Client(address, token), token, hidden) if address else TestCluster(folder, hidden)
    started.start(nodes)
    try:
        yield started
    finally:
        started.close()
