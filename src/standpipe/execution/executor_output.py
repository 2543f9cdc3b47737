"""The executor output: what a task says about its outputs, by KFP's contract, checked before anything uses it.

The message is `ExecutorOutput` of pipeline_spec.proto, as JSON. What a task did not declare is ignored, as by KFP's
launcher; null is a field that was left out, as in all JSON of protobuf.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import NamedTuple, TypeVar

from standpipe.model.json_values import MAX_DEPTH, InvalidJson, parse_json
from standpipe.model.types import Json
from standpipe.model.values import preview, type_name
from standpipe.worker.artifacts import REGISTRATION_KEY

T = TypeVar("T")

#: What messages call it.
EXECUTOR_OUTPUT = "its executor output"

#: The levels around a value in the message: those of `{"artifacts": {"model": {"artifacts": [{"metadata": …}]}}}`.
_LEVELS_AROUND = 5

#: The most characters in the name, the URI and the path of an artifact: as many as a path of Linux can have.
_MAX_TEXT = 4096

_JSON_NAMES: dict[type, str] = {str: "text", list: "a list", dict: "an object"}


class ArtifactEntry(NamedTuple):
    """What a task wrote about an output artifact; empty where it wrote nothing.

    `registration` is what it requested of a model registry, None if it did not.
    """

    name: str = ""
    uri: str = ""
    metadata: Mapping[str, Json] = {}
    custom_path: str = ""
    registration: Mapping[str, Json] | None = None


class ExecutorOutput(NamedTuple):
    """The parameters and artifacts that a task wrote, by the names of its outputs."""

    parameters: Mapping[str, Json] = {}
    artifacts: Mapping[str, ArtifactEntry] = {}


def parse_executor_output(content: str, artifacts: Iterable[str]) -> ExecutorOutput:
    """Return the executor output of a task.

    Args:
        content: the content of its file.
        artifacts: the names of the output artifacts that the task declares.

    Raises:
        InvalidJson: if it is not JSON, or a part of it has the wrong type; the message names the part.
    """
    what = EXECUTOR_OUTPUT
    output = parse_json(content, what, max_depth=MAX_DEPTH + _LEVELS_AROUND)
    if not isinstance(output, dict):
        raise InvalidJson(f"{what} is not a JSON object: got {preview(output)}")
    parameters = _take(output, "parameterValues", dict, what)
    entries = _take(output, "artifacts", dict, what) or {}
    return ExecutorOutput(
        parameters or {},
        {name: _parse_entry(name, entries[name]) for name in artifacts if entries.get(name) is not None},
    )


def _parse_entry(name: str, entry: Json) -> ArtifactEntry:
    try:
        return _parse_artifacts(entry, f"artifacts[{preview(name)}]")
    except InvalidJson as error:
        raise InvalidJson(f"it wrote a malformed entry for its output artifact {preview(name)}: {error}") from None


def _parse_artifacts(entry: Json, path: str) -> ArtifactEntry:
    listed = _take(_require(entry, dict, path), "artifacts", list, path) or []
    path = f"{path}['artifacts']"
    if len(listed) != 1:
        raise InvalidJson(f"{path} has {len(listed)} items: expected one")
    path = f"{path}[0]"
    artifact = _require(listed[0], dict, path)
    metadata = dict(_take(artifact, "metadata", dict, path) or {})
    # The launcher that KFP has proposed removes the request as well, before it stores the metadata (KEP-12020).
    registration = metadata.pop(REGISTRATION_KEY, None)
    return ArtifactEntry(
        name=_take_name(artifact, "name", path),
        uri=_take_name(artifact, "uri", path),
        metadata=metadata,
        custom_path=_take_name(artifact, "custom_path", path) or _take_name(artifact, "customPath", path),
        registration=_parse_registration(registration, f"{path}['metadata'][{REGISTRATION_KEY!r}]"),
    )


def _parse_registration(text: Json, path: str) -> Mapping[str, Json] | None:
    if text is None or text == "":
        return None
    return _require(parse_json(_require(text, str, path), path), dict, path)


def _take_name(entry: Mapping[str, Json], key: str, path: str) -> str:
    """Return a text that becomes a part of paths; empty if it is left out."""
    text = _take(entry, key, str, path) or ""
    if len(text) > _MAX_TEXT:
        raise InvalidJson(f"{path}[{key!r}] has {len(text)} characters: expected at most {_MAX_TEXT}")
    if "\0" in text:
        raise InvalidJson(f"{path}[{key!r}] is {preview(text)}: expected text without a null character")
    return text


def _take(entry: Mapping[str, Json], key: str, expected: type[T], path: str) -> T | None:
    """Return a field of an object; None if it is left out."""
    value = entry.get(key)
    return None if value is None else _require(value, expected, f"{path}[{key!r}]")


def _require(value: Json, expected: type[T], path: str) -> T:
    if not isinstance(value, expected):
        raise InvalidJson(f"{path} is {preview(value)} ({type_name(value)}): expected {_JSON_NAMES[expected]}")
    return value
