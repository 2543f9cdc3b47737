"""A KFP cluster for tests: a real HTTP server, which refuses what KFP's OpenAPI description does not allow.

`backend/api/v2beta1/swagger/run.swagger.json` and `experiment.swagger.json` have the fields and their types, the
answers have the shapes of the backend's `toApiRun` and `toApiPipelineTaskDetail`, and of the fixtures of KFP's page.
"""

from __future__ import annotations

import io
import json
import tarfile
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, unquote_plus, urlsplit

from tests.kfp_cluster.metadata_messages import make, parse, properties

#: The fields of `v2beta1Run` and `v2beta1Experiment` that a client may send, with their types.
_RUN = {
    "experiment_id": str,
    "display_name": str,
    "description": str,
    "pipeline_version_id": str,
    "pipeline_spec": dict,
    "pipeline_version_reference": dict,
    "runtime_config": dict,
    "service_account": str,
    "recurring_run_id": str,
    "plugins_input": dict,
}
_RUNTIME_CONFIG = {"parameters": dict, "pipeline_root": str}
_EXPERIMENT = {"display_name": str, "description": str, "namespace": str}

#: Names of fields as protobuf's JSON has them: the server takes both, and the numbers of enumerations.
_PREDICATE = {"stringValue": "string_value"}

STATES = {"NEW": 1, "RUNNING": 2, "COMPLETE": 3, "FAILED": 4, "CACHED": 5, "CANCELED": 6}


@dataclass
class Request:
    """A request that the server got; `headers` have names in lower case."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


@dataclass
class MockKfp:
    """What the cluster has, and how it behaves.

    `progress` is called before each answer about a run, with the run. `statuses` are those of the next answers, instead
    of what they would be, and `log_statuses` those of the next logs. After `login_after` requests all are answered by
    the page of a login. `redirect` is where all requests are redirected. A payload with names is a folder. `cut_after`
    are the bytes after which the next payloads break off. `metadata_refusal` is the message with which ML Metadata
    refuses each call.
    """

    runs: dict[str, dict[str, Any]] = field(default_factory=dict)
    experiments: list[dict[str, Any]] = field(default_factory=list)
    versions: dict[str, Any] = field(default_factory=dict)
    executions: list[Any] = field(default_factory=list)
    events: list[Any] = field(default_factory=list)
    artifacts: list[Any] = field(default_factory=list)
    payloads: dict[str, bytes | dict[str, bytes]] = field(default_factory=dict)
    logs: dict[str, str] = field(default_factory=dict)
    requests: list[Request] = field(default_factory=list)
    statuses: list[int] = field(default_factory=list)
    log_statuses: list[int] = field(default_factory=list)
    token: str = ""
    redirect: str = ""
    login_page: bool = False
    login_after: int = 1_000_000
    has_metadata: bool = True
    metadata_refusal: str = ""
    page_size: int = 100
    several_users: bool = False
    cut_after: list[int] = field(default_factory=list)
    progress: Callable[[dict[str, Any]], None] = lambda run: None
    host: str = ""

    # --- what tests put into it ---------------------------------------------------------------------------------------

    def add_execution(
        self, task: str = "", parent: int = 0, state: str = "COMPLETE", *, at: float = 0.0, **values: Any
    ) -> int:
        """Add the execution of a task as the driver and the launcher of KFP write it; return its id.

        `values` are further properties: `inputs`, `outputs`, `iteration_index`, `iteration_count`, `pod_name`, ….
        """
        number = len(self.executions) + 1
        own = {"task_name": task, "display_name": task, **({"parent_dag_id": parent} if parent else {}), **values}
        created = int((1_790_000_000 + (at or number)) * 1000)
        self.executions.append(
            make(
                "Execution",
                id=number,
                last_known_state=STATES[state],
                custom_properties=properties(own),
                create_time_since_epoch=created,
                last_update_time_since_epoch=created + 500,
            )
        )
        return number

    def add_artifact(self, uri: str, kind: str, metadata: dict[str, Any], made_by: int, output: str) -> int:
        """Add an artifact that an execution has made; return its id."""
        number = len(self.artifacts) + 1
        own = {"display_name": output, **metadata}
        self.artifacts.append(make("Artifact", id=number, uri=uri, type=kind, custom_properties=properties(own)))
        self.add_event(number, made_by, output, is_input=False)
        return number

    def add_event(self, artifact: int, execution: int, name: str, *, is_input: bool = True) -> None:
        path = make("Path", steps=[make("Step", key=name)])
        kind = 3 if is_input else 4
        self.events.append(make("Event", artifact_id=artifact, execution_id=execution, path=path, type=kind))

    def posted(self, path: str) -> list[Request]:
        return [each for each in self.requests if each.method == "POST" and each.path.startswith(path)]


def task_detail(name: str, state: str, start: str = "2026-09-21T14:13:20Z", **values: Any) -> dict[str, Any]:
    """Return a task in the API's run: what the backend makes of a node of Argo, with no inputs, outputs or own pod."""
    return {
        "run_id": "",
        "task_id": f"id-of-{name}",
        "display_name": name,
        "create_time": start,
        "start_time": start,
        "end_time": "2026-09-21T14:13:30Z" if state not in ("RUNNING", "PENDING") else "1970-01-01T00:00:00Z",
        "executor_detail": None,
        "state": state,
        "execution_id": "0",
        "error": None,
        "inputs": {},
        "outputs": {},
        "parent_task_id": "",
        "state_history": [],
        "pod_name": "",
        "child_tasks": [],
        **values,
    }


@contextmanager
def serve(cluster: MockKfp) -> Iterator[MockKfp]:
    """Serve a cluster on a free port; `host` has the URL."""

    class Handler(_Handler):
        mock = cluster

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    cluster.host = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield cluster
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


class _Invalid(Exception):
    """A request is not as the description demands."""


class _Handler(BaseHTTPRequestHandler):
    mock: MockKfp

    def log_message(self, *_: Any) -> None:
        pass

    def do_GET(self) -> None:
        self._handle("GET")

    def do_POST(self) -> None:
        self._handle("POST")

    def _handle(self, method: str) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        headers = {name.lower(): value for name, value in self.headers.items()}
        request = Request(method, self.path, headers, body)
        self.mock.requests.append(request)
        try:
            if not self._intercept(request):
                self._answer(request)
        except _Invalid as error:
            self._send_error(400, 3, str(error))

    def _intercept(self, request: Request) -> bool:
        mock = self.mock
        if mock.statuses:
            status, cut = mock.statuses.pop(0), mock.cut_after.pop(0) if mock.cut_after else None
            self._send(status, b"<html>upstream</html>", "text/html", cut=cut)
        elif mock.redirect:
            self._send(302, b"", "text/plain", {"Location": mock.redirect})
        elif mock.login_page or len(mock.requests) > mock.login_after:
            self._send(200, b"<!DOCTYPE html><html><title>Log in</title></html>", "text/html; charset=utf-8")
        elif mock.token and request.headers.get("authorization") != f"Bearer {mock.token}":
            self._send_error(401, 16, "Request header error: there is no user identity header.")
        else:
            return False
        return True

    def _answer(self, request: Request) -> None:
        url = urlsplit(request.path)
        parts = url.path.strip("/").split("/")
        if parts[0].startswith("ml_metadata.MetadataStoreService"):
            self._answer_metadata(parts[1], request)
        elif url.path == "/k8s/pod/logs":
            query = parse_qs(url.query)
            log = self.mock.logs.get(query["podname"][0])
            status = self.mock.log_statuses.pop(0) if self.mock.log_statuses else 200 if log else 500
            self._send(status, (log or "Could not get main container logs").encode(), "text/plain")
        elif parts[0] == "artifacts":
            self._send_payload("/".join(parts[1:]), parse_qs(url.query))
        elif parts[:2] != ["apis", "v2beta1"]:
            self._send(404, b"404 page not found", "text/plain")
        elif parts[2] == "healthz":  # the client of the SDK begins with it
            self._send_json({"multi_user": self.mock.several_users})
        elif parts[2] == "runs":
            self._answer_runs(request, parts[3:])
        elif parts[2] == "experiments":
            self._answer_experiments(request, parse_qs(url.query))
        elif parts[2] == "pipelines" and parts[4] == "versions":
            found = self.mock.versions.get(f"{parts[3]}/{parts[5]}")
            self._send_json(found) if found else self._send_error(404, 5, f"PipelineVersion {parts[5]} not found.")
        else:
            self._send_error(404, 5, "Not Found")

    def _answer_runs(self, request: Request, rest: list[str]) -> None:
        if request.method == "POST" and not rest:
            self._send_json(self._create_run(_check(request, _RUN)))
        elif request.method == "POST" and rest[0].endswith(":terminate"):
            self.mock.runs[rest[0].removesuffix(":terminate")]["state"] = "CANCELING"
            self._send_json({})
        elif request.method == "GET" and len(rest) == 1:
            run = self.mock.runs.get(rest[0])
            if run is None:
                self._send_error(404, 5, f"Failed to get a run: Run {rest[0]} not found.")
                return
            self.mock.progress(run)
            self._send_json(run)
        else:
            self._send_error(405, 12, "Method Not Allowed")

    def _create_run(self, body: dict[str, Any]) -> dict[str, Any]:
        if not body.get("display_name"):
            raise _Invalid("Failed to create a run: run's display_name is empty.")
        _check_fields(body.get("runtime_config", {}), _RUNTIME_CONFIG, "runtime_config")
        spec = body.get("pipeline_spec", {})
        document = spec.get("pipeline_spec", spec)
        if not {"pipelineInfo", "root", "schemaVersion", "deploymentSpec"} <= document.keys():
            raise _Invalid("Failed to create a run: unknown template format: invalid pipeline_spec.")
        run_id = f"00000000-0000-4000-8000-{len(self.mock.runs) + 1:012}"
        self.mock.runs[run_id] = run = run_of(run_id, state="PENDING", **body)
        return run

    def _answer_experiments(self, request: Request, query: dict[str, list[str]]) -> None:
        if request.method == "GET":
            (predicate,) = json.loads(unquote_plus(query["filter"][0]))["predicates"]  # as `parseAPIFilter`
            values = {_PREDICATE.get(name, name): value for name, value in predicate.items()}
            assert set(values) == {"operation", "key", "string_value"}, predicate
            assert values["operation"] in ("EQUALS", 1), predicate
            names = {values["string_value"]}
            found = [each for each in self.mock.experiments if each["display_name"] in names]
            self._send_json({"experiments": found, "total_size": len(found)} if found else {})
            return
        created = {**_check(request, _EXPERIMENT), "experiment_id": f"experiment-{len(self.mock.experiments) + 1}"}
        self.mock.experiments.append(created)
        self._send_json(created)

    def _answer_metadata(self, method: str, request: Request) -> None:
        assert request.headers["content-type"] == "application/grpc-web+proto"
        assert request.body[:1] == b"\0"
        assert int.from_bytes(request.body[1:5], "big") == len(request.body) - 5
        if not self.mock.has_metadata:
            self._send(404, b"404 page not found", "text/plain")
            return
        asked = parse(f"{method}Request", request.body[5:])
        message, trailer = getattr(self, f"_{method}")(asked).SerializeToString(), b"grpc-status:0\r\n"
        if refusal := self.mock.metadata_refusal:
            message, trailer = b"", f"grpc-status:8\r\nGrpc-Message: {refusal}\r\n".encode()
        frames = b"".join(
            flag + len(data).to_bytes(4, "big") + data for flag, data in ((b"\0", message), (b"\x80", trailer))
        )
        self._send(200, frames, "application/grpc-web+proto")

    def _GetContextByTypeAndName(self, asked: Any) -> Any:
        assert asked.type_name == "system.PipelineRun"
        known = asked.context_name in self.mock.runs and self.mock.executions
        return make("GetContextByTypeAndNameResponse", **({"context": make("Context", id=7)} if known else {}))

    def _GetExecutionsByContext(self, asked: Any) -> Any:
        assert asked.context_id == 7
        begin, size = int(asked.options.next_page_token or 0), self.mock.page_size
        page = self.mock.executions[begin : begin + size]
        token = str(begin + size) if begin + size < len(self.mock.executions) else ""
        return make("GetExecutionsByContextResponse", executions=page, next_page_token=token)

    def _GetEventsByExecutionIDs(self, asked: Any) -> Any:
        events = [each for each in self.mock.events if each.execution_id in asked.execution_ids]
        return make("GetEventsByExecutionIDsResponse", events=events)

    def _GetArtifactsByID(self, asked: Any) -> Any:
        found = [each for each in self.mock.artifacts if each.id in asked.artifact_ids]
        return make("GetArtifactsByIDResponse", artifacts=found)

    def _send_payload(self, path: str, query: dict[str, list[str]]) -> None:
        """Answer as `frontend/server/handlers/artifacts.ts`: a folder is an archive."""
        payload = self.mock.payloads.get(path)
        if self.mock.several_users and "namespace" not in query:
            self._send(400, b"Namespace parameter is required when authentication is enabled", "text/html")
        elif payload is None:
            self._send(404, f"No objects found at {path}".encode(), "text/html")
        elif isinstance(payload, dict):
            name = f'attachment; filename="{path.rsplit("/", 1)[-1]}.tar.gz"'
            headers = {"Content-Disposition": name}
            self._send(200, _archive(payload), "application/gzip", headers)
        elif self.mock.cut_after:
            self._send(200, payload, "application/octet-stream", cut=self.mock.cut_after.pop(0))
        else:
            self._send(200, payload, "application/octet-stream")

    def _send_json(self, document: Any, status: int = 200) -> None:
        self._send(status, json.dumps(document).encode(), "application/json")

    def _send_error(self, status: int, code: int, message: str) -> None:
        self._send_json({"error": message, "code": code, "message": message, "details": []}, status)

    def _send(
        self,
        status: int,
        body: bytes,
        content_type: str,
        headers: Mapping[str, str] | None = None,
        cut: int | None = None,
    ) -> None:
        self.send_response(status)
        self.send_header("Content-Type", content_type)
        self.send_header("Content-Length", str(len(body)))
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body[:cut])


def _archive(files: Mapping[str, bytes]) -> bytes:
    """Return a folder as the page packs it."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as archive:
        for name, content in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return buffer.getvalue()


def run_of(run_id: str, *, state: str, **values: Any) -> dict[str, Any]:
    """Return a run as the API answers."""
    return {
        "experiment_id": "default",
        "run_id": run_id,
        "display_name": "a run",
        "storage_state": "AVAILABLE",
        "created_at": "2026-09-21T14:13:20Z",
        "scheduled_at": "2026-09-21T14:13:20Z",
        "finished_at": "2026-09-21T14:15:00Z"
        if state in ("SUCCEEDED", "FAILED", "CANCELED")
        else "1970-01-01T00:00:00Z",
        "state": state,
        "state_history": [{"update_time": "2026-09-21T14:13:20Z", "state": "PENDING"}],
        **values,
    }


def _check(request: Request, fields: Mapping[str, type]) -> dict[str, Any]:
    """Return the body of a request if it is as the description says."""
    if request.headers.get("content-type") != "application/json":
        raise _Invalid("Expected application/json.")
    body = json.loads(request.body)
    _check_fields(body, fields, "body")
    return dict(body)


def _check_fields(body: dict[str, Any], fields: Mapping[str, type], what: str) -> None:
    for name, value in body.items():
        if name not in fields:
            raise _Invalid(f"proto: (line 1:2): unknown field {name!r} in {what}")
        if not isinstance(value, fields[name]):
            raise _Invalid(f"proto: invalid value for field {name!r} in {what}: {value!r}")
