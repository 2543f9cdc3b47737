"""The HTTP API of the test server: create, get, list, watch, update, patch and delete, and the logs of pods."""

from __future__ import annotations

import http.client
import json
import sys
import threading
import time
import urllib.parse
from collections.abc import Callable
from contextlib import closing, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from tests.kubernetes.client import USER_AGENT
from tests.kubernetes.operations import Operations
from tests.kubernetes.requests import DOCUMENTS, Request, parse
from tests.kubernetes.storage import ApiError, Change, Object, Storage


@dataclass
class Faults:
    """What is wrong with the server at the moment, except for nodes.

    `rejects` returns an error for a request, or None. With `down`, connections are closed without an answer; with
    `token`, requests need that one; with `log_bytes`, logs break after so many bytes. `requests` are all that came.
    """

    rejects: Callable[[Request], ApiError | None] = lambda request: None
    down: bool = False
    token: str = ""
    log_bytes: int = 0
    requests: list[str] = field(default_factory=list)


class ApiServer(ThreadingHTTPServer):
    """The server, at `address`, for objects in `storage`."""

    daemon_threads = True
    request_queue_size = 100

    def __init__(self, storage: Storage) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.storage = storage
        self.faults = Faults()
        self.streams: set[_Handler] = set()
        self.address = f"http://127.0.0.1:{self.server_address[1]}"

    def start(self) -> None:
        threading.Thread(target=self.serve_forever, args=(0.05,), daemon=True).start()

    def close(self) -> None:
        self.shutdown()
        self.break_streams()
        self.server_close()

    def break_streams(self) -> None:
        """Break the connections of all watches and logs, without an end that HTTP knows."""
        for handler in list(self.streams):
            handler.broken = True
            with suppress(OSError):
                handler.connection.shutdown(2)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that has gone away needs no traceback; an error of the server's own does."""
        if not isinstance(sys.exc_info()[1], OSError):
            super().handle_error(request, client_address)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: ApiServer
    broken = False

    def log_message(self, *args: object) -> None:
        """Print nothing."""

    def _serve(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        faults = Faults() if self.headers.get("User-Agent") == USER_AGENT else self.server.faults
        if faults.down:
            self.close_connection = True
            self.connection.close()
            return
        try:
            if faults.token and self.headers.get("Authorization") != f"Bearer {faults.token}":
                raise ApiError(401, "Unauthorized", "Unauthorized")
            if "protobuf" in (self.headers.get("Content-Type") or ""):
                raise ApiError(415, "UnsupportedMediaType", "the test server reads JSON only")
            self._route(json.loads(body) if body else {}, faults)
        except ApiError as error:
            self._answer(error.status, error.code)

    do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = _serve

    def _route(self, body: Object, faults: Faults) -> None:
        url = urllib.parse.urlsplit(self.path)
        document = DOCUMENTS.get(url.path.rstrip("/"))
        if document is not None:
            self._answer(document)
            return
        request = parse(self.command, url.path, dict(urllib.parse.parse_qsl(url.query)))
        faults.requests.append(f"{request.verb} {'/'.join(filter(None, request.key))}")
        if error := faults.rejects(request):
            raise error
        if request.verb == "watch":
            self._watch(request)
        elif request.subresource == "log":
            self._log(request)
        else:
            operations = Operations(self.server.storage, request, self.headers.get("Content-Type") or "")
            self._answer(operations(body), 201 if self.command == "POST" else 200)

    # --- streams ------------------------------------------------------------------------------------------------------

    def _watch(self, request: Request) -> None:
        storage, options = self.server.storage, request.options
        since = int(options.get("resourceVersion") or 0)
        self._start_stream("application/json")
        with storage.changed:
            initial = [] if since else list(filter(request.selects, storage.find(request.key[0], request.namespace)))
            known = {obj["metadata"]["uid"] for obj in initial}
            since, is_resumed = since or storage.version, bool(since)
        for obj in initial:
            self._send_event("ADDED", obj)
        stop = _deadline(float(options.get("timeoutSeconds") or 1800))
        try:
            changes = storage.watch(request.key[0], request.namespace, since, lambda: stop() or self.broken)
            for change in changes:
                self._send_change(request, change, known, is_resumed=is_resumed)
        except ApiError as error:
            self._send_event("ERROR", error.status)
        self._end_stream()

    def _send_change(self, request: Request, change: Change, known: set[str], *, is_resumed: bool) -> None:
        if change.type != "BOOKMARK":
            obj = json.loads(change.text)
            type_ = _event_type(change.type, obj, known, is_selected=request.selects(obj), is_resumed=is_resumed)
            if type_:
                self._send_event(type_, obj)
        elif request.options.get("allowWatchBookmarks") in ("1", "true"):
            kind = {"kind": request.resource.kind, "apiVersion": request.resource.api_version}
            self._send_event("BOOKMARK", {**kind, "metadata": {"resourceVersion": str(change.version)}})

    def _send_event(self, type_: str, obj: Object) -> None:
        self._send(json.dumps({"type": type_, "object": obj}).encode() + b"\n")

    def _log(self, request: Request) -> None:
        storage, options = self.server.storage, request.options
        pod = storage.get(("pods", request.namespace, request.name))
        container = options.get("container") or pod["spec"]["containers"][0]["name"]
        names = [each["name"] for part in ("initContainers", "containers") for each in pod["spec"].get(part) or ()]
        if container not in names:
            raise ApiError(400, "BadRequest", f"container {container} is not valid for pod {request.name}")
        if not pod["spec"].get("nodeName"):
            raise ApiError(400, "BadRequest", f"pod {request.name} does not have a host assigned")
        node = storage.get(("nodes", "", pod["spec"]["nodeName"]))
        port = node["status"]["daemonEndpoints"]["kubeletEndpoint"]["Port"]
        query = urllib.parse.urlencode(options)
        path = f"/containerLogs/{request.namespace}/{request.name}/{container}?{query}"
        with closing(http.client.HTTPConnection(node["status"]["addresses"][0]["address"], port)) as connection:
            try:
                connection.request("GET", path)
                answer = connection.getresponse()
            except OSError as error:
                raise ApiError(500, "InternalError", f"Get containerLogs: {error}") from None
            with answer:
                if answer.status != 200:
                    raise ApiError(answer.status, "BadRequest", answer.read().decode())
                self._start_stream("text/plain")
                self._copy(answer)

    def _copy(self, answer: http.client.HTTPResponse) -> None:
        sent = 0
        while data := answer.read1(16384):
            limit = self.server.faults.log_bytes
            self._send(data[: limit - sent] if limit else data)
            sent += len(data)
            if (limit and sent >= limit) or self.broken:
                self.close_connection = True  # in the middle, as when a proxy on the way breaks it
                self.connection.close()
                return
        self._end_stream()

    def _start_stream(self, type_: str) -> None:
        self.server.streams.add(self)
        self.send_response(200)
        self.send_header("Content-Type", type_)
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        self.wfile.flush()

    def _send(self, data: bytes) -> None:
        if data:
            self.wfile.write(b"%x\r\n%s\r\n" % (len(data), data))
            self.wfile.flush()

    def _end_stream(self) -> None:
        self.server.streams.discard(self)
        if not self.broken:
            self.wfile.write(b"0\r\n\r\n")

    def finish(self) -> None:
        self.server.streams.discard(self)
        with suppress(OSError, ValueError):  # the connection is broken, as a test wants it
            super().finish()

    def _answer(self, obj: Object, code: int = 200) -> None:
        body = json.dumps(obj).encode()
        self.send_response(code)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        if code == 429:
            self.send_header("Retry-After", "1")
        self.end_headers()
        self.wfile.write(body)


def _event_type(type_: str, obj: Object, known: set[str], *, is_selected: bool, is_resumed: bool) -> str:
    """Return the event of a watch with a selector: an object that it selects first is added, one no more is deleted."""
    uid = obj["metadata"]["uid"]
    was_known = uid in known or (is_resumed and type_ != "ADDED" and is_selected)
    if not is_selected or type_ == "DELETED":
        known.discard(uid)
        return "DELETED" if was_known or (type_ == "DELETED" and is_selected) else ""
    known.add(uid)
    return "MODIFIED" if was_known else "ADDED"


def _deadline(seconds: float) -> Callable[[], bool]:
    end = time.monotonic() + seconds
    return lambda: time.monotonic() > end
