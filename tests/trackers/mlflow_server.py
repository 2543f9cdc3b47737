"""A small MLflow server that takes what the real one takes (3.17.2), and rejects the rest; with faults on request."""

from __future__ import annotations

import json
import math
import posixpath
import re
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

STATUSES = {"RUNNING", "SCHEDULED", "FINISHED", "FAILED", "KILLED"}
KEY = re.compile(r"[/\w.\- :]+")
FILTER = re.compile(r"tags\.`([\w.]+)` = '([^']*)'")


class Rejected(Exception):
    """The server rejects a request."""

    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(message)
        self.status, self.code = status, code


class FakeMlflow:
    """The state of the server.

    `fault` is called before each request with its path; it returns a status to answer with, or None, and may take its
    time. `token` is required of each request, if there is one. The next answer to each path in `broken` breaks off.
    """

    def __init__(self) -> None:
        self.experiments = {"Default": "0"}
        self.runs: dict[str, dict[str, Any]] = {}
        self.calls: list[str] = []
        self.fault: Callable[[str], int | None] = lambda path: None
        self.token = ""
        self.broken: list[str] = []
        self.headers: dict[str, str] = {}
        self.lock = threading.Lock()
        self.url = ""

    @property
    def by_name(self) -> dict[str, dict[str, Any]]:
        """The runs by their names; of several of one name, the last."""
        return {run["name"]: run for run in self.runs.values()}

    def handle(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        handlers: dict[str, Callable[..., dict[str, Any]]] = {
            "experiments/get-by-name": self._find_experiment,
            "experiments/create": self._create_experiment,
            "runs/create": self._create,
            "runs/update": self._update,
            "runs/log-batch": self._log,
            "runs/search": self._search,
        }
        if path not in handlers:
            raise Rejected(404, "ENDPOINT_NOT_FOUND", f"no endpoint {path}")
        return handlers[path](**body)

    def _find_experiment(self, experiment_name: str) -> dict[str, Any]:
        if experiment_name not in self.experiments:
            raise Rejected(404, "RESOURCE_DOES_NOT_EXIST", "no such experiment")
        return {"experiment": {"experiment_id": self.experiments[experiment_name], "name": experiment_name}}

    def _create_experiment(self, name: str, tags: list[dict[str, str]]) -> dict[str, Any]:
        check_tags(tags)
        self.experiments[name] = str(len(self.experiments))
        return {"experiment_id": self.experiments[name]}

    def _create(self, experiment_id: str, run_name: str, start_time: int, tags: list[dict[str, str]]) -> dict[str, Any]:
        check(experiment_id in self.experiments.values(), "no such experiment")
        check(isinstance(start_time, int), "start_time is a number of milliseconds")
        check_tags(tags)
        run = {"id": uuid.uuid4().hex, "name": run_name, "status": "RUNNING", "start": start_time, "end": None}
        run.update(tags={each["key"]: each["value"] for each in tags}, params={}, metrics={}, statuses=["RUNNING"])
        self.runs[str(run["id"])] = run | {"experiment": experiment_id}
        return {"run": {"info": {"run_id": run["id"]}}}

    def _update(self, run_id: str, status: str, end_time: int | None = None) -> dict[str, Any]:
        check(status in STATUSES, f"no status {status}")
        check(end_time is None or isinstance(end_time, int), "end_time is a number of milliseconds")
        run = self._run(run_id)
        run.update(status=status, end=end_time)
        run["statuses"].append(status)
        return {}

    def _log(
        self,
        run_id: str,
        params: list[dict[str, str]] | None = None,
        metrics: list[dict[str, Any]] | None = None,
        tags: list[dict[str, str]] | None = None,
    ) -> dict[str, Any]:
        run = self._run(run_id)
        check(len(params or ()) <= 100 and len(metrics or ()) <= 1000, "too many entries")
        check_tags(tags or [])
        for param in params or ():
            check_key(param["key"])
            check(isinstance(param["value"], str) and len(param["value"]) <= 6000, "the value of a parameter")
            check(run["params"].get(param["key"], param["value"]) == param["value"], "a parameter cannot change")
            run["params"][param["key"]] = param["value"]
        for metric in metrics or ():
            check_key(metric["key"])
            check(metric.keys() == {"key", "value", "timestamp", "step"}, "a metric has other fields")
            check(math.isfinite(metric["value"]), "the number")
            run["metrics"][metric["key"]] = float(metric["value"])
        run["tags"].update({tag["key"]: tag["value"] for tag in tags or ()})
        return {}

    def _search(
        self, experiment_ids: list[str], max_results: int, order_by: list[str], page_token: str = "0", **more: str
    ) -> dict[str, Any]:
        match = FILTER.fullmatch(more["filter"])
        if not match or more.keys() != {"filter"} or order_by != ["start_time"] or max_results > 50_000:
            raise Rejected(400, "INVALID_PARAMETER_VALUE", f"cannot search for {more}")
        found = [
            run
            for run in sorted(self.runs.values(), key=lambda run: run["start"])
            if run["tags"].get(match[1]) == match[2] and run["experiment"] in experiment_ids
        ]
        start, most = int(page_token), min(max_results, 2)  # small pages, so that tests have several
        page = found[start : start + most]
        answer: dict[str, Any] = {"runs": [to_json(run) for run in page]} if page else {}
        return answer | ({"next_page_token": str(start + most)} if start + most < len(found) else {})

    def _run(self, run_id: str) -> dict[str, Any]:
        if run_id not in self.runs:
            raise Rejected(404, "RESOURCE_DOES_NOT_EXIST", "no such run")
        return self.runs[run_id]


def check(condition: bool, message: str) -> None:
    if not condition:
        raise Rejected(400, "INVALID_PARAMETER_VALUE", message)


def check_key(key: str) -> None:
    check(bool(KEY.fullmatch(key)) and len(key) <= 250, f"the name {key!r}")
    path = posixpath.normpath(key)
    check(path == key and path != "." and not path.startswith(("..", "/")), f"the name {key!r} is that of another file")


def check_tags(tags: list[dict[str, str]]) -> None:
    check(len(tags) <= 100, "too many tags")
    for tag in tags:
        check(tag.keys() == {"key", "value"} and 0 < len(tag["value"]) <= 8000, f"the tag {tag}")


def to_json(run: dict[str, Any]) -> dict[str, Any]:
    data = {
        kind: [{"key": key, "value": value} for key, value in run[kind].items()]
        for kind in ("tags", "params")
        if run[kind]
    }
    return {"info": {"run_id": run["id"], "status": run["status"]}, "data": data}


@contextmanager
def serve(host: str = "127.0.0.1") -> Iterator[FakeMlflow]:
    """Serve until the end of the block. Containers of this machine reach the host `0.0.0.0`."""
    state = FakeMlflow()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            url = urlsplit(self.path)
            self._answer(url.path, {name: values[0] for name, values in parse_qs(url.query).items()})

        def do_POST(self) -> None:
            data = self.rfile.read(int(self.headers["Content-Length"]))
            assert len(data) <= 1_000_000, "MLflow takes no larger request"
            self._answer(self.path, json.loads(data, parse_constant=lambda name: 1 / 0))

        def _answer(self, path: str, body: dict[str, Any]) -> None:
            name = path.removeprefix("/api/2.0/mlflow/")
            fault = state.fault(name)
            with state.lock:
                state.calls.append(name)
                state.headers = dict(self.headers)
                try:
                    if fault:
                        raise Rejected(fault, "", "a fault")
                    if state.token and self.headers["Authorization"] != f"Bearer {state.token}":
                        raise Rejected(401, "UNAUTHENTICATED", "wrong token")
                    status, answer = 200, state.handle(name, body)
                except Rejected as error:
                    status, answer = error.status, {"error_code": error.code, "message": str(error)}
                except TypeError as error:  # a field that the endpoint does not have
                    status, answer = 400, {"error_code": "INVALID_PARAMETER_VALUE", "message": str(error)}
            data, end = json.dumps(answer).encode(), None
            if name in state.broken:
                state.broken.remove(name)
                end = 1
            try:
                self.send_response(status)
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data[:end])
            except OSError:
                pass  # the client has stopped waiting

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer((host, 0), Handler)
    server.daemon_threads = True
    state.url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    try:
        yield state
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def hang(seconds: float) -> Callable[[str], None]:
    """Return a fault that delays each answer."""
    return lambda path: time.sleep(seconds)
