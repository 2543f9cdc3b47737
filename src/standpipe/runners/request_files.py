"""The files that a runner and `worker` exchange in the folder of an attempt at a lightweight Python component."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import NamedTuple, TypeGuard

from standpipe.errors import StorageError
from standpipe.model.attempts import Outcome, TaskRequest
from standpipe.model.events import CodeLocation
from standpipe.model.json_values import InvalidJson, parse_json
from standpipe.model.layout import ERROR_FILE, REQUEST_FILE, USAGE_FILE
from standpipe.model.plan import PythonFunction
from standpipe.model.types import Json
from standpipe.runners.pauses import pause_file
from standpipe.support.untrusted_files import UntrustedFileError, create_file, read_file
from standpipe.worker.large_json import write_json

#: The hint for a NameError in a component's function, at the end of the error's line.
_NAME_HINT = (
    " (a component runs without the rest of its file: import the name in the function's body, pass it as an input, "
    "or list the function it stands for in additional_funcs)"
)

#: What the log of a task says that ran under a debugger.
DEBUGGED_NOTE = b"[it ran under the debugger: what it printed was on the terminal]\n"

#: The most bytes of a usage file, which has two numbers.
_MAX_USAGE = 4096

#: The most bytes of an error file: several times those that `worker.report` writes.
_MAX_ERROR = 16 * 1024 * 1024

#: The limit of numbers that a process reports: that of 64 bits.
_MAX_COUNT = 2**63


class ErrorDetails(NamedTuple):
    """The error that a function's process recorded; empty if it recorded none.

    `detail` is the user's traceback, `cause` the exception in one line; `out_of_memory` whether it is a MemoryError;
    `location` is the line of the user's code that it comes from.
    """

    detail: str = ""
    cause: str = ""
    out_of_memory: bool = False
    location: CodeLocation | None = None


def request_file(folder: Path) -> Path:
    """Return the path of the request that `worker` reads."""
    return folder / REQUEST_FILE


class Usage(NamedTuple):
    """The usage that a function's process recorded: seconds of CPU time, and bytes of memory at its peak.

    `exit_code` is set if nothing could change it any more when that was recorded, as the last act of the process. In a
    container, `memory_kills` is then the number of processes that the kernel has killed for their memory, if known.
    """

    cpu_seconds: float | None = None
    peak_memory: int | None = None
    exit_code: int | None = None
    memory_kills: int | None = None


_NO_USAGE = Usage()


def make_outcome(exit_code: int | None, error: ErrorDetails, usage: Usage = _NO_USAGE) -> Outcome:
    """Return the outcome of the process of a function, with what it has recorded.

    Args:
        exit_code: its exit code; None if it was killed, whose signal the caller knows.
        error: its error.
        usage: its usage, if it has recorded that.
    """
    return Outcome(
        exit_code=exit_code,
        detail=error.detail,
        cause=error.cause,
        out_of_memory=error.out_of_memory,
        cpu_seconds=usage.cpu_seconds,
        peak_memory=usage.peak_memory,
        location=error.location,
    )


def write_request(
    request: TaskRequest,
    function: PythonFunction,
    owner: Sequence[int] | None = None,
    *,
    usage: bool = False,
    terminal: str = "",
) -> None:
    """Write the request that `worker` executes.

    Args:
        request: the attempt.
        function: its program.
        owner: the user and group ids that a task which runs as root gives its outputs to.
        terminal: the path of the terminal that `breakpoint()` may use, empty if there is none.
        usage: whether the process records its usage, where no fork server reports it.

    Raises:
        StorageError: if the attempt's folder cannot be written, or a task has put something there.
    """
    path = request_file(request.folder)
    content = {
        "source": function.source,
        "function": function.name,
        "sections": [(part.start, part.count, part.location.file, part.location.line) for part in function.sections],
        "executor_input": request.executor_input,
        "artifact_classes": dict(function.artifact_classes),
        "modules": [(each.name, each.file, each.is_package, each.source) for each in function.modules],
        "error_file": str(_error_file(request.folder)),
        "owner": owner,
        "usage_file": str(_usage_file(request.folder)) if usage else None,
    }
    if terminal:
        content["terminal"] = terminal
    if request.pause:
        content["pause"] = {"file": str(pause_file(request.folder)), **asdict(request.pause)}
    try:
        with os.fdopen(create_file(path, request.pipeline_root), "wb") as file:
            write_json(file, content)
    except UntrustedFileError:
        raise
    except OSError as error:
        raise StorageError(f"The task {str(request.task)!r} cannot be started: {path}: {error.strerror}") from error


def read_error(request: TaskRequest) -> ErrorDetails:
    """Return the error that the function's process recorded; empty if it ended in another way or could not write.

    It is empty as well if the content is not what `worker` writes. The task has failed in any case.
    """
    try:
        error = _read_object(_error_file(request.folder), request.pipeline_root, _MAX_ERROR)
    except UntrustedFileError as problem:
        return ErrorDetails(cause=f"its error report cannot be read: {problem}")
    return to_error_details(error)


def to_error_details(error: Mapping[str, Json]) -> ErrorDetails:
    """Return the error that a function's process has reported as JSON; empty if it is not what `worker` writes."""
    texts = {key: error.get(key, "") for key in ("traceback", "summary", "kind", "name")}
    if not all(isinstance(text, str) for text in texts.values()):
        return ErrorDetails()
    hint = _NAME_HINT if texts["name"] else ""
    return ErrorDetails(
        detail=texts["traceback"].rstrip() + hint,
        cause=texts["summary"] + hint,
        out_of_memory=texts["kind"] == "MemoryError",
        location=_to_location(error.get("location")),
    )


def _to_location(value: Json) -> CodeLocation | None:
    """Return the location in an error file; None if it is not what `worker` writes."""
    content = value if isinstance(value, dict) else {}
    file, function, code, line = map(content.get, ("file", "function", "code", "line"))
    if not (isinstance(file, str) and isinstance(function, str) and isinstance(code, str) and is_count(line)):
        return None
    return CodeLocation(file, line, function, code)


def read_usage(request: TaskRequest) -> Usage:
    """Return the usage that the function's process recorded; empty if it was killed or could not write."""
    try:
        recorded = _read_object(_usage_file(request.folder), request.pipeline_root, _MAX_USAGE)
    except UntrustedFileError:
        return Usage()
    return to_usage(recorded)


def to_usage(recorded: Mapping[str, Json]) -> Usage:
    """Return the usage that a function's process has recorded as JSON; empty if it is not what `worker` writes."""
    cpu_seconds, *counts = map(recorded.get, Usage._fields)
    peak_memory, exit_code, memory_kills = (count if is_count(count) else None for count in counts)
    if not is_seconds(cpu_seconds) or peak_memory is None:
        return Usage()
    return Usage(float(cpu_seconds), peak_memory, exit_code, memory_kills)


def is_seconds(value: Json) -> TypeGuard[float]:
    """Return whether a value that a process reports can be a time in seconds."""
    return isinstance(value, (int, float)) and not isinstance(value, bool) and 0 <= value < _MAX_COUNT


def is_count(value: Json) -> TypeGuard[int]:
    """Return whether a value that a process reports can be a number of bytes."""
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value < _MAX_COUNT


def _read_object(path: Path, root: Path, limit: int) -> dict[str, Json]:
    """Return the JSON object in a file that a task can write to; empty if it is missing, or is anything else.

    Raises:
        UntrustedFileError: if it is not a regular file, or too large.
    """
    try:
        content = parse_json(read_file(path, root, limit), any_text=True)
    except UntrustedFileError:
        raise
    except (OSError, InvalidJson):
        return {}
    return content if isinstance(content, dict) else {}


def _usage_file(folder: Path) -> Path:
    return folder / USAGE_FILE


def _error_file(folder: Path) -> Path:
    return folder / ERROR_FILE
