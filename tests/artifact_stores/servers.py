"""Object stores for tests: in the memory of this process, and a real S3 server with faults on demand."""

from __future__ import annotations

import hmac
import http.client
import os
import signal
import socket
import subprocess
import threading
import time
from base64 import b64decode, b64encode
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, TypeVar

import pytest
from obstore.store import MemoryStore

from standpipe.artifact_stores import clients
from standpipe.artifact_stores.buckets import Bucket
from standpipe.artifact_stores.obstore_buckets import ObstoreBucket
from standpipe.artifact_stores.providers import ENVIRONMENT, Access


class Memory:
    """Buckets in memory, which take the place of all object stores."""

    def __init__(self) -> None:
        self.buckets: dict[str, MemoryStore] = {}

    def connect(self, bucket: str, access: Access = ENVIRONMENT) -> Bucket:
        return ObstoreBucket(bucket, self.store(bucket))

    def store(self, bucket: str) -> MemoryStore:
        return self.buckets.setdefault(bucket, MemoryStore())

    def write(self, uri: str, content: bytes = b"content") -> None:
        """Write an object."""
        bucket, key = clients.parse(uri)
        self.store(bucket).put(key, content)

    def delete(self, uri: str) -> None:
        """Delete an object."""
        bucket, key = clients.parse(uri)
        self.store(bucket).delete(key)

    def keys(self, bucket: str) -> list[str]:
        """Return the keys of all objects of a bucket."""
        listed = self.store(bucket).list()
        return sorted(each["path"] for part in listed for each in part)


@pytest.fixture
def memory(monkeypatch: pytest.MonkeyPatch) -> Memory:
    """Return buckets in memory, and let Standpipe use them."""
    buckets = Memory()
    monkeypatch.setattr(clients, "connect", buckets.connect)
    return buckets


#: What the server takes for a signature: it looks who signs, and compares nothing.
_S3_SIGNATURE = "AWS4-HMAC-SHA256 Credential=a/20260101/us-east-1/s3/aws4_request, SignedHeaders=host, Signature=0"


class S3Server:
    """An S3 server in a process of its own, with an empty bucket `data`, behind a proxy that can make faults.

    Attributes:
        url: the address of the proxy.
        requests: the methods and paths that it has got.
        signers: the ids of the keys that they were signed with; empty texts for those that were not.
        fault: called with the method, the path and the body of each request; returns a status to answer with at once,
            0 to pass the request on, and -1 to close the connection.
    """

    def __init__(self, port: int) -> None:
        self.port = port
        self.requests: list[tuple[str, str]] = []
        self.signers: list[str] = []
        self.fault: Callable[[str, str, bytes], int] = lambda method, path, body: 0
        self._proxy = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._proxy.daemon_threads = True
        threading.Thread(target=self._proxy.serve_forever, args=(0.01,), daemon=True).start()
        self.url = f"http://127.0.0.1:{self._proxy.server_port}"

    def close(self) -> None:
        """Stop the proxy."""
        self._proxy.shutdown()
        self._proxy.server_close()

    def translate(self, headers: dict[str, str]) -> dict[str, str]:
        """Return the headers of a request as the server knows them."""
        _, _, signer = headers.get("authorization", "").partition("Credential=")
        self.signers.append(signer.partition("/")[0])
        return headers

    def call(self, method: str, path: str, body: bytes = b"") -> bytes:
        """Send a request to the server itself, and return the body of the answer."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        connection.request(method, path, body, {"Authorization": _S3_SIGNATURE})
        answer = connection.getresponse()
        content = answer.read()
        connection.close()
        assert answer.status < 400, content
        return content

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        server = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def handle_one_request(self) -> None:
                try:
                    super().handle_one_request()
                except OSError:
                    self.close_connection = True  # the client has gone

            def _pass_on(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                server.requests.append((self.command, self.path))
                status = server.fault(self.command, self.path, body)
                if status < 0:
                    self.close_connection = True
                    return
                if status:
                    self.send_response(status)
                    self.send_header("Content-Length", "0")
                    self.end_headers()
                    return
                connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=60)
                try:
                    connection.request(self.command, self.path, body, server.translate(dict(self.headers)))
                    answer = connection.getresponse()
                    content = answer.read()
                except (OSError, http.client.HTTPException):
                    self.close_connection = True
                    return
                finally:
                    connection.close()
                self.send_response_only(answer.status)
                for name, value in answer.getheaders():
                    if name.lower() not in ("transfer-encoding", "connection", "content-length"):
                        self.send_header(name, value)
                length = answer.getheader("Content-Length") if self.command == "HEAD" else str(len(content))
                self.send_header("Content-Length", length or "0")
                self.end_headers()
                self.wfile.write(content)

            do_GET = do_PUT = do_POST = do_DELETE = do_HEAD = _pass_on

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002  as it is called there
                """Do nothing."""

        return Handler


class GcsServer(S3Server):
    """A server of the XML API of Google Cloud Storage, which is that of S3 as far as clients use it.

    The S3 server has no accounts of Google. The proxy takes each request for one of its own, and keeps what it was
    signed with.

    Attributes:
        tokens: the bearer tokens of the requests; empty texts for those that have none.
    """

    def __init__(self, port: int) -> None:
        self.tokens: list[str] = []
        super().__init__(port)

    def translate(self, headers: dict[str, str]) -> dict[str, str]:
        assert not any(name.lower().startswith("x-goog-") for name in headers), "the S3 server would ignore them"
        names = {name.lower(): name for name in headers}
        signed = headers.pop(names["authorization"], "") if "authorization" in names else ""
        self.tokens.append(signed.removeprefix("Bearer").strip())
        return {**headers, "Authorization": _S3_SIGNATURE}


Server = TypeVar("Server", bound=S3Server)


@contextmanager
def started(command: list[str], port: int) -> Iterator[subprocess.Popen[bytes]]:
    """Start a server, and wait until it answers on a port of this machine."""
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True)
    try:
        deadline = time.monotonic() + 60
        while True:
            try:
                socket.create_connection(("127.0.0.1", port), timeout=5).close()
                break
            except OSError:
                assert process.poll() is None, f"{command[0]} has ended"
                assert time.monotonic() < deadline, f"{command[0]} does not answer"
                time.sleep(0.1)
        yield process
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()


def servers_python() -> Path:
    """Return the Python of the environment with the servers, which `make test-slow` installs."""
    python = os.environ.get("STANDPIPE_SERVERS_PYTHON")
    if not python:
        pytest.skip("STANDPIPE_SERVERS_PYTHON is not set: `make test-slow` installs the servers")
    return Path(python).absolute()


@contextmanager
def s3_server(port: int) -> Iterator[tuple[S3Server, subprocess.Popen[bytes]]]:
    """Start an S3 server on a port."""
    with _server(port, S3Server) as (server, process):
        yield server, process


@contextmanager
def gcs_server() -> Iterator[GcsServer]:
    """Start a server of Google Cloud Storage."""
    with _server(free_port(), GcsServer) as (server, _):
        yield server


@contextmanager
def _server(port: int, make: Callable[[int], Server]) -> Iterator[tuple[Server, subprocess.Popen[bytes]]]:
    command = [str(servers_python().with_name("moto_server")), "-H", "127.0.0.1", "-p", str(port)]
    with started(command, port) as process:
        server = make(port)
        try:
            server.call("PUT", "/data")
            yield server, process
        finally:
            server.close()


#: The account of Azurite, which its documentation names.
AZURITE_ACCOUNT = "devstoreaccount1"
AZURITE_KEY = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="


@contextmanager
def azure_server() -> Iterator[str]:
    """Start a server of Azure blobs with an empty container `data`, and yield its address.

    A machine without npm has none; then the tests with it are skipped.
    """
    program = servers_python().parent.parent / "node_modules" / ".bin" / "azurite-blob"
    if not program.exists():
        pytest.skip("Azurite is not installed, which needs npm")
    port = free_port()
    flags = ["--inMemoryPersistence", "--skipApiVersionCheck", "--blobHost", "127.0.0.1", "--blobPort", str(port)]
    with started([str(program), *flags], port):
        _make_container(port, "data")
        yield f"http://127.0.0.1:{port}"


def _make_container(port: int, name: str) -> None:
    """Make a container, with a request that is signed as Azure wants it: no client of this project makes any."""
    date, version = formatdate(usegmt=True), "2021-08-06"
    path = f"/{AZURITE_ACCOUNT}/{name}"
    lines = ["PUT", *[""] * 11, f"x-ms-date:{date}", f"x-ms-version:{version}", f"/{AZURITE_ACCOUNT}{path}"]
    text = "\n".join([*lines, "restype:container"])
    signature = b64encode(hmac.new(b64decode(AZURITE_KEY), text.encode(), "sha256").digest()).decode()
    headers = {"x-ms-date": date, "x-ms-version": version, "Content-Length": "0"}
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    connection.request(
        "PUT",
        f"{path}?restype=container",
        headers={**headers, "Authorization": f"SharedKey {AZURITE_ACCOUNT}:{signature}"},
    )
    answer = connection.getresponse()
    content = answer.read()
    connection.close()
    assert answer.status == 201, content


def free_port() -> int:
    """Return a port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def provide_minio_secret(server: S3Server, form: str, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """Return objects of Kubernetes with credentials to a server, and nothing of these in the environment.

    Args:
        server: the server.
        form: `providers`, for a provider configuration of KFP that refers to the Secret; otherwise the Secret is that
            of KFP's own store, and the environment has the address of the server.
        monkeypatch: changes the environment.
    """
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    objects: dict[str, Any] = {
        "secrets": {"mlpipeline-minio-artifact": {"accesskey": "AKIAMINIO", "secretkey": "s3cr3t-of-minio"}}
    }
    if form == "providers":
        reference = "{secretName: mlpipeline-minio-artifact, accessKeyKey: accesskey, secretKeyKey: secretkey}"
        default = f"{{endpoint: '{server.url[7:]}', disableSSL: true, credentials: {{secretRef: {reference}}}}}"
        objects["configmaps"] = {"kfp-launcher": {"providers": f"minio: {{default: {default}}}"}}
    else:
        monkeypatch.setenv("AWS_ENDPOINT_URL", server.url)  # as after `kubectl port-forward`
    server.signers.clear()
    return objects
