"""A node for tests: it takes the pods that are bound to it, as a kubelet does, from the test server or a real one."""

from __future__ import annotations

import itertools
import ssl
import subprocess
import threading
import time
import urllib.parse
from collections.abc import Mapping
from contextlib import suppress
from datetime import datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from tests.kubernetes.client import Client
from tests.kubernetes.pods import Image, PodWorker
from tests.kubernetes.storage import ApiError, Object, is_finished, now

_numbers = itertools.count(1)


class Kubelet:
    """A node.

    Args:
        client: the API server.
        name: the name of the node.
        folder: its disk.
        shared: the folder of persistent volumes, which all nodes see.
        images: what can be pulled.
        capacity: what it has, such as `{"cpu": "4", "memory": "8Gi"}`.
        hidden: folders of this machine that its containers do not see.
        tls: whether its own address is https, as a real API server needs.
    """

    address = "127.0.0.1"
    backoff = 0.3

    def __init__(
        self,
        client: Client,
        name: str,
        folder: Path,
        shared: Path,
        images: Mapping[str, Image],
        capacity: Mapping[str, str],
        hidden: tuple[Path, ...] = (),
        *,
        tls: bool = False,
    ) -> None:
        self.client = client
        self.name = name
        self.shared = shared
        self.images = images
        self.hidden = (*hidden, folder)
        self.pods: dict[str, PodWorker] = {}
        self._folder = folder
        self._capacity = {"pods": "110", **capacity}
        self._closed = threading.Event()
        self._server = _LogServer(self)
        if tls:
            _use_tls(self._server, folder)

    def start(self, labels: Mapping[str, str]) -> None:
        """Register the node with labels, and begin to run pods."""
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()
        with suppress(ApiError):
            metadata = {"name": self.name, "labels": {"kubernetes.io/hostname": self.name, **labels}}
            self.client.create("nodes", {"apiVersion": "v1", "kind": "Node", "metadata": metadata})
        self._beat()
        for loop in (self._heartbeats, self._follow_pods):
            threading.Thread(target=loop, daemon=True).start()

    def close(self) -> None:
        """End all pods at once."""
        self._closed.set()
        self._server.shutdown()
        self._server.server_close()
        for worker in list(self.pods.values()):
            worker.lose()
            worker.join(5)

    def worker(self, namespace: str, name: str) -> PodWorker | None:
        """Return the worker of a pod."""
        for worker in list(self.pods.values()):
            metadata = worker.pod["metadata"]
            if (metadata["namespace"], metadata["name"]) == (namespace, name):
                return worker
        return None

    def event(self, pod: Object, reason: str, message: str, type_: str = "Normal") -> None:
        """Record an event about a pod."""
        metadata = pod["metadata"]
        name = f"{metadata['name']}.{time.time_ns():x}{next(_numbers)}"
        event = {
            "apiVersion": "v1",
            "kind": "Event",
            "metadata": {"name": name, "namespace": metadata["namespace"]},
            "involvedObject": {"kind": "Pod", **{key: metadata[key] for key in ("name", "namespace", "uid")}},
            "reason": reason,
            "message": message,
            "type": type_,
            "firstTimestamp": now(),
            "lastTimestamp": now(),
            "count": 1,
            "source": {"component": "kubelet", "host": self.name},
        }
        with suppress(ApiError):
            self.client.create("events", event)

    def _heartbeats(self) -> None:
        while not self._closed.wait(10):
            with suppress(ApiError, OSError):
                self._beat()

    def _beat(self) -> None:
        condition = {"type": "Ready", "status": "True", "reason": "KubeletReady", "message": "ready"}
        status = {
            "capacity": self._capacity,
            "allocatable": self._capacity,
            "addresses": [{"type": "InternalIP", "address": self.address}],
            "daemonEndpoints": {"kubeletEndpoint": {"Port": self._server.server_address[1]}},
            "conditions": [{**condition, "lastHeartbeatTime": now(), "lastTransitionTime": now()}],
        }
        self.client.patch_status("nodes", "", self.name, status)

    def _follow_pods(self) -> None:
        while not self._closed.is_set():
            with suppress(ApiError, OSError, ValueError):
                for type_, pod in self.client.watch("pods", fieldSelector=f"spec.nodeName={self.name}"):
                    if self._closed.is_set():
                        return
                    self._take(type_, pod)
            self._closed.wait(0.05)

    def _take(self, type_: str, pod: Object) -> None:
        uid = pod["metadata"]["uid"]
        worker = self.pods.get(uid)
        if type_ == "DELETED":
            if worker:
                worker.stop(0)
                del self.pods[uid]
        elif worker:
            if "deletionTimestamp" in pod["metadata"] and worker.is_alive():
                worker.stop(pod["metadata"].get("deletionGracePeriodSeconds", 30))
        elif not is_finished(pod):
            worker = self.pods[uid] = PodWorker(self, pod, self._folder / uid)
            worker.start()


class _LogServer(ThreadingHTTPServer):
    """The part of a kubelet's own API that gives logs."""

    daemon_threads = True

    def __init__(self, kubelet: Kubelet) -> None:
        super().__init__((kubelet.address, 0), _LogHandler)
        self.kubelet = kubelet

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that has gone away needs no traceback."""


class _LogHandler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _LogServer

    def log_message(self, *args: object) -> None:
        """Print nothing."""

    def do_GET(self) -> None:
        url = urllib.parse.urlsplit(self.path)
        _, kind, namespace, pod, container = url.path.split("/")
        options = dict(urllib.parse.parse_qsl(url.query))
        worker = self.server.kubelet.worker(namespace, pod)
        log = worker.logs.get(container) if worker and kind == "containerLogs" else None
        if log is None:
            message = f'container "{container}" in pod "{pod}" is waiting to start: PodInitializing'
            self._answer(400 if worker else 404, message.encode())
            return
        self.send_response(200)
        self.send_header("Content-Type", "text/plain")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        for line in log.read(**log_options(options)):
            self.wfile.write(b"%x\r\n%s\r\n" % (len(line), line))
            self.wfile.flush()
        self.wfile.write(b"0\r\n\r\n")

    def _answer(self, code: int, body: bytes) -> None:
        self.send_response(code)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


def log_options(options: Mapping[str, str]) -> dict[str, Any]:
    """Return the arguments of `ContainerLog.read` for the options of a request."""
    since = 0.0
    if "sinceTime" in options:
        since = datetime.fromisoformat(options["sinceTime"].replace("Z", "+00:00")).timestamp()
    elif "sinceSeconds" in options:
        since = time.time() - float(options["sinceSeconds"])
    return {
        "follow": options.get("follow") in ("true", "1"),
        "since": since,
        "tail": int(options["tailLines"]) if "tailLines" in options else None,
        "stamps": options.get("timestamps") in ("true", "1"),
    }


def _use_tls(server: ThreadingHTTPServer, folder: Path) -> None:
    """Serve with a certificate of its own, which real API servers do not verify by default."""
    folder.mkdir(parents=True, exist_ok=True)
    files = [str(folder / "key.pem"), str(folder / "certificate.pem")]
    options = ["-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=node"]
    command = ["openssl", "req", *options, "-keyout", files[0], "-out", files[1]]
    subprocess.run(command, check=True, capture_output=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(files[1], files[0])
    server.socket = context.wrap_socket(server.socket, server_side=True)
