"""KFP's REST API, v2beta1: the requests for runs, and errors that say what to do."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime
from typing import Any, NoReturn
from urllib.parse import quote, urlencode

from standpipe.errors import ClusterError, NoSuchRun
from standpipe.kfp_cluster.hosts import parse_host
from standpipe.kfp_cluster.http import Answer, HttpClient
from standpipe.model.json_values import MAX_DEPTH, InvalidJson, parse_json
from standpipe.model.types import Json
from standpipe.support.terminal_text import strip_controls

_API = "apis/v2beta1"

#: The deepest answer: a value of a pipeline, in its PipelineSpec, in a run.
_MAX_DEPTH = MAX_DEPTH + 20

#: The most characters of a message of the server that an error shows.
_MAX_MESSAGE = 600


class Refused(ClusterError):
    """The server refused a request; `status` is that of HTTP."""

    def __init__(self, message: str, status: int) -> None:
        super().__init__(message)
        self.status = status


class KfpApi:
    """Requests to the API server of KFP.

    Args:
        http: the host.
        page: the URL of KFP's web page; by default that of the host.
    """

    def __init__(self, http: HttpClient, page: str = "") -> None:
        self._http = http
        self._page = parse_host(page) if page else http.base

    def run_url(self, run_id: str) -> str:
        """Return the page of a run."""
        return f"{self._page}/#/runs/details/{quote(run_id, safe='')}"

    def create_run(self, run: Mapping[str, Json]) -> dict[str, Any]:
        """Create a run, and return it as the server has it.

        Raises:
            ClusterError: if the host cannot be reached, or refuses.
        """
        return self._post("runs", run, "create the run")

    def get_run(self, run_id: str) -> dict[str, Any]:
        """Return a run.

        Raises:
            NoSuchRun: if the server has no such run.
            ClusterError: if the host cannot be reached, or refuses.
        """
        try:
            return self._get(f"runs/{quote(run_id, safe='')}", f"read run {run_id}")
        except Refused as error:
            if error.status == 404:
                raise NoSuchRun(
                    f"The cluster at {self._http.base} has no run {run_id!r}. Expected the id at the end of the page's "
                    "URL: .../#/runs/details/<id>."
                ) from None
            raise

    def terminate_run(self, run_id: str) -> None:
        """Request that a run is cancelled. It ends a little later.

        Raises:
            NoSuchRun: if the server has no such run.
            ClusterError: if the host cannot be reached, or refuses, for instance as the run has ended.
        """
        self.get_run(run_id)
        self._post(f"runs/{quote(run_id, safe='')}:terminate", {}, f"cancel run {run_id}")

    def get_pipeline_spec(self, pipeline: str, version: str) -> Json:
        """Return the PipelineSpec of a version of a pipeline that was uploaded.

        Raises:
            ClusterError: if the host cannot be reached, or refuses, or the version was deleted.
        """
        path = f"pipelines/{quote(pipeline, safe='')}/versions/{quote(version, safe='')}"
        return self._get(path, f"read version {version} of pipeline {pipeline}").get("pipeline_spec")

    def find_experiment(self, name: str, namespace: str) -> str:
        """Return the id of an experiment, which is created if it is missing, as `kfp.Client` does.

        Raises:
            ClusterError: if the host cannot be reached, or refuses.
        """
        predicate = {"operation": "EQUALS", "key": "display_name", "string_value": name}
        text = json.dumps({"predicates": [predicate]})
        for character, escape in (("+", "\\u002b"), ("%", "\\u0025")):  # the server decodes the query twice
            text = text.replace(character, escape)
        query = {"filter": text, **({"namespace": namespace} if namespace else {})}
        what = f"find experiment {name!r}"
        if known := get_list(self._get(f"experiments?{urlencode(query)}", what), "experiments"):
            return get_text(known[0], "experiment_id")
        body = {"display_name": name, **({"namespace": namespace} if namespace else {})}
        return get_text(self._post("experiments", body, f"create experiment {name!r}"), "experiment_id")

    def _get(self, path: str, what: str) -> dict[str, Any]:
        return self._read(self._http.get(f"{_API}/{path}"), what)

    def _post(self, path: str, body: Mapping[str, Json], what: str) -> dict[str, Any]:
        data = json.dumps(body, allow_nan=False).encode()
        return self._read(self._http.post(f"{_API}/{path}", data, "application/json"), what)

    def _read(self, answer: Answer, what: str) -> dict[str, Any]:
        if answer.status >= 400:
            self._refuse(answer, what)
        document = _parse(answer)
        if answer.is_html or not isinstance(document, dict):
            raise ClusterError(self._not_kfp(answer))
        if set(document) == {"run_id", "error"} or (document.get("error") and not document.get("display_name")):
            raise ClusterError(f"The cluster cannot {what}: {_message(document['error'])}")
        return document

    def _refuse(self, answer: Answer, what: str) -> NoReturn:
        """Raise the error for an answer with an error status."""
        host, message = self._http.base, _read_message(answer)
        because = f": {message}" if message else ""
        if answer.status == 401:
            text = f"{host} demands a login (401){because}. Pass a token or cookies: `standpipe submit --help`."
        elif answer.status == 403:
            text = f"{host} does not allow you to {what} (403){because}. Ask for access, or check --namespace."
        elif answer.is_html:
            text = self._not_kfp(answer)
        else:
            text = f"The cluster at {host} refused to {what} ({answer.status}){because}."
        raise Refused(text, answer.status)

    def _not_kfp(self, answer: Answer) -> str:
        kind = "a page for people, such as that of a login or of a proxy" if answer.is_html else "no JSON object"
        return (
            f"{self._http.base} does not answer as the API of KFP: it answered with {kind} (status {answer.status}). "
            "Expected the URL of KFP's web page, without #/..., such as https://kubeflow.example.com/pipeline. If it "
            "demands a login, pass a token or cookies: `standpipe submit --help`."
        )


def get_text(document: Json, name: str) -> str:
    """Return a text that an answer must have.

    Raises:
        ClusterError: if it has none.
    """
    value = document.get(name) if isinstance(document, dict) else None
    if not isinstance(value, str) or not value:
        raise ClusterError(f"The answer of the cluster has no {name}: it is not that of the API v2beta1 of KFP.")
    return value


def get_mapping(document: Json, name: str) -> dict[str, Any]:
    """Return an object that an answer may have; empty if there is none."""
    value = document.get(name) if isinstance(document, dict) else None
    return value if isinstance(value, dict) else {}


def get_list(document: Json, name: str) -> list[dict[str, Any]]:
    """Return a list of objects that an answer may have; empty if there is none."""
    value = document.get(name) if isinstance(document, dict) else None
    return [each for each in value if isinstance(each, dict)] if isinstance(value, list) else []


def parse_time(text: Json) -> float:
    """Return a time of the API in seconds since the epoch; 0 if it is not known, which the API says as 1970, too."""
    if not isinstance(text, str):
        return 0.0
    try:
        moment = datetime.fromisoformat(text[:19] + "+00:00")
    except ValueError:
        return 0.0
    return max(0.0, moment.timestamp())


def _read_message(answer: Answer) -> str:
    """Return the message of an error, without its trace: `google.rpc.Status`, or the older form of KFP."""
    return "" if answer.is_html else _message(_parse(answer))


def _parse(answer: Answer) -> Json:
    """Return an answer that is JSON; None for another one."""
    try:
        return parse_json(answer.body, "the answer", max_depth=_MAX_DEPTH)
    except InvalidJson:
        return None


def _message(error: Json) -> str:
    if not isinstance(error, dict):
        return ""
    text = str(error.get("message") or error.get("error_message") or error.get("error") or "")
    return strip_controls(" ".join(text.split()))[:_MAX_MESSAGE].rstrip(".")
