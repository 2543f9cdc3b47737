"""The calls of MLflow's REST API that a run needs."""

from __future__ import annotations

import base64
import json
import os
import ssl
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from http.client import HTTPException
from typing import Any
from urllib.parse import urlencode

from standpipe.errors import StandpipeError
from standpipe.model.types import Json
from standpipe.support.properties import cached_property

#: Seconds for a connection, and for each part of an answer. Nobody waits for it: a server may be busy with others.
_TIMEOUT = 15.0

#: The most bytes of an answer that are read: a page of runs with all their parameters.
_MAX_ANSWER = 256 * 1024**2

#: The runs that one answer names.
_PAGE = 1000

#: Answers of a server that is not ready, or has too much to do: the same request may succeed later.
_TEMPORARY = frozenset((408, 425, 429, 500, 502, 503, 504))


class Unreachable(StandpipeError):
    """The server does not answer, or not now."""


class Refused(StandpipeError):
    """The server rejects a request, and would do so again. `code` is MLflow's, such as `RESOURCE_DOES_NOT_EXIST`."""

    def __init__(self, message: str, status: int, code: str) -> None:
        super().__init__(message)
        self.status = status
        self.code = code


class MlflowClient:
    """Calls one MLflow server. For one thread.

    Args:
        server: its address.
        variables: the variables of MLflow with credentials, the workspace and certificates, as its own client takes
            them.
    """

    def __init__(self, server: str, variables: Mapping[str, str] | None = None) -> None:
        self._variables = os.environ if variables is None else variables
        self.server = server.rstrip("/")
        self._headers = {"Content-Type": "application/json", **_make_headers(self._variables)}

    def find_or_create_experiment(self, name: str) -> str:
        """Return the id of the experiment of a name, which is created if there is none."""
        try:
            return self._find_experiment(name)
        except Refused as error:
            if error.code != "RESOURCE_DOES_NOT_EXIST":
                raise
        tags = [{"key": "mlflow.note.content", "value": "Created by Standpipe"}]
        try:
            return str(self._post("experiments/create", {"name": name, "tags": tags})["experiment_id"])
        except Refused as error:
            if error.code != "RESOURCE_ALREADY_EXISTS":
                raise
        return self._find_experiment(name)  # another run has just created it

    def _find_experiment(self, name: str) -> str:
        answer = self._call("GET", f"experiments/get-by-name?{urlencode({'experiment_name': name})}")
        return str(answer["experiment"]["experiment_id"])

    def create_run(self, experiment: str, name: str, started: float, tags: list[dict[str, Json]]) -> str:
        """Create a run that is in progress, and return its id.

        Args:
            experiment: the id of its experiment.
            name: its name.
            started: when it started, in seconds since the epoch.
            tags: its tags, as entries.
        """
        body = {"experiment_id": experiment, "run_name": name, "start_time": round(started * 1000), "tags": tags}
        return str(self._post("runs/create", body)["run"]["info"]["run_id"])

    def update_run(self, run: str, status: str, ended: float | None = None) -> None:
        """Set the status of a run, and the time of its end in seconds since the epoch."""
        end = {} if ended is None else {"end_time": round(ended * 1000)}
        self._post("runs/update", {"run_id": run, "status": status, **end})

    def log_batch(self, run: str, entries: Mapping[str, Json]) -> None:
        """Log parameters, metrics and tags, as many as one request can have."""
        self._post("runs/log-batch", {"run_id": run, **entries})

    def search_runs(self, experiment: str, condition: str) -> Iterator[dict[str, Any]]:
        """Yield the runs of an experiment that meet a condition, the oldest first."""
        body = {"experiment_ids": [experiment], "filter": condition, "max_results": _PAGE, "order_by": ["start_time"]}
        while True:
            answer = self._post("runs/search", body)
            yield from answer.get("runs", ())
            if not answer.get("next_page_token"):
                return
            body["page_token"] = answer["next_page_token"]

    def _post(self, path: str, body: Mapping[str, Json]) -> dict[str, Any]:
        return self._call("POST", path, json.dumps(body).encode())

    def _call(self, method: str, path: str, body: bytes | None = None) -> dict[str, Any]:
        """Call the server, and return the object that it answers with.

        Raises:
            Unreachable: if it does not answer, or says that it cannot now.
            Refused: if it rejects the request, or is another kind of server.
        """
        url = f"{self.server}/api/2.0/mlflow/{path}"
        request = urllib.request.Request(url, body, self._headers, method=method)  # noqa: S310 - the URL is checked
        try:
            with self._opener.open(request, timeout=_TIMEOUT) as response:
                data = response.read(_MAX_ANSWER)
                if response.length and len(data) < _MAX_ANSWER:  # `http.client` says nothing of it
                    raise Unreachable("the connection ended before its answer did")
        except urllib.error.HTTPError as error:
            raise _to_error(error) from error
        except (OSError, HTTPException) as error:  # URLError and timeouts are OSErrors
            raise Unreachable(str(getattr(error, "reason", "") or error or type(error).__name__)) from error
        except ValueError as error:  # its text has the credentials
            raise Refused("its URL or the credentials have characters that HTTP does not take", 0, "") from error
        try:
            answer = json.loads(data)
        except ValueError:
            answer = None
        if not isinstance(answer, dict):
            raise Refused("its answer is not that of an MLflow server", 200, "")
        return answer

    @cached_property
    def _opener(self) -> urllib.request.OpenerDirector:
        handlers: list[urllib.request.BaseHandler] = [_NoRedirects()]
        if context := _make_context(self._variables):
            handlers.append(urllib.request.HTTPSHandler(context=context))
        return urllib.request.build_opener(*handlers)


class _NoRedirects(urllib.request.HTTPRedirectHandler):
    """Follows no redirect, which would take the credentials to another server."""

    def redirect_request(self, *_: object) -> None:
        return None


def _to_error(error: urllib.error.HTTPError) -> StandpipeError:
    """Return the error for an answer with a status that is not success."""
    with error:
        try:
            answer = json.loads(error.read(100_000))
        except (OSError, HTTPException, ValueError):
            answer = {}  # a proxy answers with a page
    details = answer if isinstance(answer, dict) else {}
    message = f"HTTP {error.code}: {details.get('message') or error.reason}"
    if error.code in _TEMPORARY:
        return Unreachable(message)
    return Refused(message, error.code, str(details.get("error_code", "")))


def _make_headers(variables: Mapping[str, str]) -> dict[str, str]:
    """Return the headers with the credentials and the workspace; as in MLflow, a password wins over a token."""
    headers = {}
    user, password = variables.get("MLFLOW_TRACKING_USERNAME"), variables.get("MLFLOW_TRACKING_PASSWORD")
    if user and password:
        headers["Authorization"] = f"Basic {base64.b64encode(f'{user}:{password}'.encode()).decode()}"
    elif token := variables.get("MLFLOW_TRACKING_TOKEN"):
        headers["Authorization"] = f"Bearer {token}"
    if workspace := variables.get("MLFLOW_WORKSPACE"):
        headers["X-MLFLOW-WORKSPACE"] = workspace
    return headers


def _make_context(variables: Mapping[str, str]) -> ssl.SSLContext | None:
    """Return how certificates are checked, if variables of MLflow say so."""
    if variables.get("MLFLOW_TRACKING_INSECURE_TLS", "").lower() in ("true", "1"):
        return ssl._create_unverified_context()  # noqa: S323 - the user has asked for it
    path = variables.get("MLFLOW_TRACKING_SERVER_CERT_PATH")
    return ssl.create_default_context(cafile=path) if path else None
