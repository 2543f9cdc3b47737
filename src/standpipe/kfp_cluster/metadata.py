"""What ML Metadata (MLMD) records of a run: the executions of its tasks, with their parameters and artifacts.

The API of KFP names the tasks of a run and their states, but not their inputs and outputs (`toApiPipelineTaskDetail` in
the backend, August 2026). MLMD has them. It is served by gRPC-Web behind the web page of KFP, which needs it as well
(`frontend/src/mlmd/Api.ts`), so HTTP is enough. Numbers of fields are those of `metadata_store.proto`, names of
properties those of `backend/src/v2/metadata/client.go`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from urllib.parse import unquote, urlsplit

from standpipe.errors import ClusterError
from standpipe.kfp_cluster.http import HttpClient
from standpipe.kfp_cluster.wire import (
    Fields,
    get_bytes,
    get_messages,
    get_number,
    get_text,
    read_double,
    read_fields,
    read_struct,
    write_field,
)
from standpipe.model.locations import is_remote
from standpipe.model.types import Json
from standpipe.support.terminal_text import strip_controls

_SERVICE = "ml_metadata.MetadataStoreService"
_CONTENT_TYPE = "application/grpc-web+proto"
_RUN_CONTEXT = "system.PipelineRun"

#: The executions of one answer, and how many answers are asked for.
_PAGE = 100
_MAX_PAGES = 1000

#: The states of executions. CANCELED is that of a task whose condition is false.
STATES = {1: "NEW", 2: "RUNNING", 3: "COMPLETE", 4: "FAILED", 5: "CACHED", 6: "CANCELED"}

#: The types of events that say which artifacts a task has read and written.
_INPUT, _OUTPUT = 3, 4

#: The beginning of the URIs of files in pods, which are paths in MLMD: here they would be files of this machine.
_IN_POD = "pod://"

#: The properties of artifacts that are not their metadata.
_OWN_PROPERTIES = {"display_name", "store_session_info"}


class MetadataUnavailable(ClusterError):
    """MLMD is not served at the host. Runs can be pulled without it, but for values. `status` is that of HTTP."""

    def __init__(self, message: str, status: int = 0) -> None:
        super().__init__(message)
        self.status = status


@dataclass(frozen=True)
class StoredArtifact:
    """An artifact: its id, URI, type such as `system.Dataset`, metadata, and the name of the output that it is.

    `session` says where its object store is, as the JSON of the backend's `SessionInfo`; empty if that is not known.
    """

    id: int
    uri: str
    type: str
    metadata: Mapping[str, Json]
    name: str = ""
    session: str = ""


@dataclass(frozen=True)
class Execution:
    """The execution of a task. Times are seconds since the epoch; `properties` are its custom properties."""

    id: int
    state: str
    created: float
    updated: float
    properties: Mapping[str, Json]
    inputs: dict[str, list[StoredArtifact]] = field(default_factory=dict)
    outputs: dict[str, list[StoredArtifact]] = field(default_factory=dict)

    def number(self, name: str) -> int | None:
        """Return a property that is a number; None if there is none."""
        value = self.properties.get(name)
        return value if isinstance(value, int) and not isinstance(value, bool) else None

    def text(self, name: str) -> str:
        """Return a property that is a text; empty if there is none."""
        value = self.properties.get(name)
        return value if isinstance(value, str) else ""

    def values(self, name: str) -> dict[str, Json]:
        """Return a property that is a struct; empty if there is none."""
        value = self.properties.get(name)
        return value if isinstance(value, dict) else {}


class MetadataStore:
    """Reads MLMD.

    Args:
        http: the host of KFP's web page.
    """

    def __init__(self, http: HttpClient) -> None:
        self._http = http
        self._contexts: dict[str, int] = {}
        self._paths = ["", "//"] if urlsplit(http.base).path else [""]

    def read_executions(self, run_id: str) -> list[Execution]:
        """Return the executions of a run, without their artifacts; none if its first task has not started.

        Raises:
            MetadataUnavailable: if MLMD is not served at the host.
        """
        context = self._find_context(run_id)
        return list(self._list_executions(context)) if context else []

    def add_artifacts(self, executions: Sequence[Execution]) -> None:
        """Add to executions what they have read and written.

        Raises:
            MetadataUnavailable: if MLMD is not served at the host.
        """
        by_id = {each.id: each for each in executions}
        events = [event for ids in _split(list(by_id)) for event in self._list_events(ids)]
        wanted = list(dict.fromkeys(get_number(event, 1) for event in events))
        artifacts = {each.id: each for ids in _split(wanted) for each in self._list_artifacts(ids)}
        for event in events:
            execution, artifact = by_id.get(get_number(event, 2)), artifacts.get(get_number(event, 1))
            kind, name = get_number(event, 4), _read_name(event)
            if execution and artifact and kind in (_INPUT, _OUTPUT):
                table = execution.inputs if kind == _INPUT else execution.outputs
                table.setdefault(name, []).append(artifact)

    def _find_context(self, run_id: str) -> int:
        if run_id not in self._contexts:
            request = write_field(1, _RUN_CONTEXT) + write_field(2, run_id)
            found = next(get_messages(self._call("GetContextByTypeAndName", request), 1), {})
            if not get_number(found, 1):
                return 0
            self._contexts[run_id] = get_number(found, 1)
        return self._contexts[run_id]

    def _list_executions(self, context: int) -> Iterator[Execution]:
        token = ""
        for _ in range(_MAX_PAGES):
            options = write_field(1, _PAGE) + (write_field(3, token) if token else b"")
            answer = self._call("GetExecutionsByContext", write_field(1, context) + write_field(2, options))
            yield from map(_read_execution, get_messages(answer, 1))
            token = get_text(answer, 2)
            if not token:
                return
        raise ClusterError(f"The run has more than {_MAX_PAGES * _PAGE} executions: they were not all read.")

    def _list_events(self, executions: Sequence[int]) -> Iterator[Fields]:
        return get_messages(self._call("GetEventsByExecutionIDs", _write_ids(executions)), 1)

    def _list_artifacts(self, artifacts: Sequence[int]) -> Iterator[StoredArtifact]:
        return map(_read_artifact, get_messages(self._call("GetArtifactsByID", _write_ids(artifacts)), 1))

    def _call(self, method: str, message: bytes) -> Fields:
        """Return the answer to a call; the service is below the page's URL, or at the root of the host."""
        frame = b"\0" + len(message).to_bytes(4, "big") + message
        for path in list(self._paths):
            answer = self._http.post(f"{path}{_SERVICE}/{method}", frame, _CONTENT_TYPE, is_read=True)
            if answer.status == 200 and not answer.is_html and answer.content_type.startswith("application/grpc-web"):
                self._paths = [path]
                return _read_answer(answer.body, method)
        if answer.status == 401:
            text = (
                f"{self._http.base} demands a login for ML Metadata (401). Pass a token or cookies: `standpipe submit "
                "--help`."
            )
        else:
            text = (
                f"ML Metadata is not served at {self._http.base} (status {answer.status}). It is behind KFP's web "
                "page: pass the URL of the page as --host, not that of the API server alone."
            )
        raise MetadataUnavailable(text, answer.status)


def _read_answer(body: bytes, method: str) -> Fields:
    """Return the message of an answer: frames of a flag, a length and data; a frame with flag 128 has the status."""
    message, trailer, at = b"", b"", 0
    while at + 5 <= len(body):
        end = at + 5 + int.from_bytes(body[at + 1 : at + 5], "big")
        if body[at] & 0x80:
            trailer = body[at + 5 : end]
        else:
            message += body[at + 5 : end]
        at = end
    lines = (line.partition(":") for line in trailer.decode("ascii", "replace").splitlines())
    status = {name.strip().lower(): value.strip() for name, _, value in lines}
    if status.get("grpc-status", "0") not in ("0", "5"):  # 5: there is no such context
        reason = strip_controls(unquote(status.get("grpc-message", ""))).rstrip(".")
        raise MetadataUnavailable(f"ML Metadata refused {method}: {reason or 'no reason'}.")
    return read_fields(message)


def _read_execution(fields: Fields) -> Execution:
    return Execution(
        get_number(fields, 1),
        STATES.get(get_number(fields, 3), "UNKNOWN"),
        get_number(fields, 8) / 1000,
        get_number(fields, 9) / 1000,
        _read_properties(fields),
    )


def _read_artifact(fields: Fields) -> StoredArtifact:
    properties, uri = _read_properties(fields), get_text(fields, 3)
    metadata = {name: value for name, value in properties.items() if name not in _OWN_PROPERTIES}
    if uri and not is_remote(uri):
        uri = f"{_IN_POD}{uri.lstrip('/')}"
    name, session = (str(properties.get(each) or "") for each in ("display_name", "store_session_info"))
    return StoredArtifact(get_number(fields, 1), uri, get_text(fields, 8), metadata, name, session)


def _read_properties(fields: Fields) -> dict[str, Json]:
    """Return the custom properties of an execution or artifact."""
    return {get_text(entry, 1): _read_value(read_fields(get_bytes(entry, 2))) for entry in get_messages(fields, 5)}


def _read_value(fields: Fields) -> Json:
    """Return a `Value` of MLMD as JSON; None for a message of another type."""
    if 1 in fields:
        number = get_number(fields, 1)
        return number - 2**64 if number >= 2**63 else number
    if 2 in fields:
        return read_double(get_bytes(fields, 2))
    if 3 in fields:
        return get_text(fields, 3)
    if 4 in fields:
        return read_struct(get_bytes(fields, 4))
    return bool(get_number(fields, 6)) if 6 in fields else None


def _read_name(event: Fields) -> str:
    """Return the name of the input or output that an event is about: the first step of its path."""
    steps = next(get_messages(event, 3), {})
    return get_text(next(get_messages(steps, 1), {}), 2)


def _write_ids(ids: Iterable[int]) -> bytes:
    return b"".join(write_field(1, each) for each in ids)


def _split(ids: Sequence[int]) -> Iterator[Sequence[int]]:
    return (ids[at : at + _PAGE] for at in range(0, len(ids), _PAGE))
