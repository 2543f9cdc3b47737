"""What a runner and `worker` leave for each other in the folder of an attempt at a lightweight Python component."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from standpipe.errors import StorageError
from standpipe.model.layout import ERROR_FILE, REQUEST_FILE, USAGE_FILE
from standpipe.model.plan import PythonFunction
from standpipe.model.ports import TaskRequest

#: What to do about a name that a function does not know, on the line that says so.
_NAME_HINT = (
    " (a component runs without the rest of its file: import the name in the function's body, pass it as an input, "
    "or list the function it stands for in additional_funcs)"
)


class Told(NamedTuple):
    """What a function's process said of its own failure.

    `detail` is the user's traceback, `cause` the exception in one line; `out_of_memory` whether memory was the reason.
    """

    detail: str = ""
    cause: str = ""
    out_of_memory: bool = False


def request_file(folder: Path) -> Path:
    """Where `worker` finds what to do."""
    return folder / REQUEST_FILE


class Used(NamedTuple):
    """What a function's process said that it used: seconds of CPU time, and bytes of memory at its peak."""

    cpu_seconds: float | None = None
    peak_memory: int | None = None


def write_request(
    request: TaskRequest, function: PythonFunction, owner: Sequence[int] | None = None, *, usage: bool = False
) -> None:
    """Writes what `worker` is to do.

    Args:
        request: the attempt.
        function: its program.
        owner: the user and group ids that a task which runs as root gives its outputs to.
        usage: whether it is to write what it used, where no fork server tells.

    Raises:
        StorageError: if the attempt's folder cannot be written.
    """
    path = request_file(request.folder)
    content = {
        "source": function.source,
        "function": function.name,
        "executor_input": request.executor_input,
        "artifact_classes": dict(function.artifact_classes),
        "error_file": str(_error_file(request.folder)),
        "owner": owner,
        "usage_file": str(_usage_file(request.folder)) if usage else None,
    }
    try:
        path.write_text(json.dumps(content), encoding="utf-8")
    except OSError as error:
        raise StorageError(f"The task {str(request.task)!r} cannot be started: {path}: {error.strerror}") from error


def read_error(folder: Path) -> Told:
    """What the function's process said; nothing if it ended in another way, or could not write any more."""
    try:
        error = json.loads(_error_file(folder).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return Told()
    if not isinstance(error, dict):
        return Told()
    hint = _NAME_HINT if "name" in error else ""
    return Told(
        detail=error.get("traceback", "").rstrip() + hint,
        cause=error.get("summary", "") + hint,
        out_of_memory=error.get("kind") == "MemoryError",
    )


def read_usage(folder: Path) -> Used:
    """What the function's process used; nothing if it was killed, or could not write any more."""
    try:
        told = json.loads(_usage_file(folder).read_text(encoding="utf-8"))
        return Used(float(told["cpu_seconds"]), int(told["peak_memory"]))
    except (OSError, ValueError, TypeError, KeyError):
        return Used()


def _usage_file(folder: Path) -> Path:
    return folder / USAGE_FILE


def _error_file(folder: Path) -> Path:
    return folder / ERROR_FILE
