"""The replies of a fork server and its tasks: lines of JSON on a socket that the user's code can write to as well."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from typing import Any

from standpipe.errors import StandpipeError
from standpipe.model.types import Json
from standpipe.model.values import preview
from standpipe.runners.process.import_store import MAX_IMPORTS, is_module_name
from standpipe.runners.request_files import is_count, is_seconds

#: The most bytes of one line. A problem has a path of a task in it.
_MAX_LINE = 64 * 1024

#: The most lists and objects in a line, as the parser is recursive. A reply is one object; a problem is text.
_MAX_BRACKETS = 500

#: The keys of the last reply of a task.
_LAST = frozenset(("code", "status", "problem"))


class InvalidReply(StandpipeError, ValueError):
    """A line is not a reply. Only the task's own code can have written it."""


class Replies:
    """The replies about one task: `values` by key, as `worker.fork_server` describes them.

    Of each key, the first value counts: the process id is known before any code of the user's runs.
    """

    def __init__(self) -> None:
        self.values: dict[str, Any] = {}
        self._partial_line = b""

    @property
    def is_complete(self) -> bool:
        """Whether the task has ended."""
        return not _LAST.isdisjoint(self.values)

    def feed(self, part: bytes) -> None:
        """Take what has arrived. What comes after the last reply is ignored.

        Raises:
            InvalidReply: if a line is not a reply.
        """
        *lines, self._partial_line = (self._partial_line + part).split(b"\n")
        for line in lines:
            if not self.is_complete:
                for key, value in _parse(line).items():
                    self.values.setdefault(key, value)
        if len(self._partial_line) > _MAX_LINE:
            raise InvalidReply(f"a line of more than {_MAX_LINE} bytes")


def _parse(line: bytes) -> dict[str, Json]:
    if len(line) > _MAX_LINE:
        raise InvalidReply(f"a line of {len(line)} bytes")
    if line.count(b"[") + line.count(b"{") > _MAX_BRACKETS:
        raise InvalidReply(preview(line))
    try:
        reply = json.loads(line.decode())
    except ValueError as error:
        raise InvalidReply(str(error)) from error
    if not isinstance(reply, dict) or not all(key in _IS_VALID and _IS_VALID[key](reply[key]) for key in reply):
        raise InvalidReply(preview(reply))
    return reply


def _is_report_of_imports(value: Json) -> bool:
    """Return whether a value is a report as `worker.learning.ImportObserver` makes it."""
    if not isinstance(value, dict) or value.keys() != {"imports", "unused", "late"}:
        return False
    imports, unused = value["imports"], value["unused"]
    if not isinstance(imports, list) or not isinstance(unused, list) or not isinstance(value["late"], bool):
        return False
    return len(imports) <= MAX_IMPORTS and all(map(_is_import, imports)) and all(map(is_module_name, unused))


def _is_import(value: Json) -> bool:
    if not isinstance(value, list) or len(value) != 3:
        return False
    name, seconds, is_quiet = value
    return is_module_name(name) and is_seconds(seconds) and isinstance(is_quiet, bool)


def _is_wait_status(value: Json) -> bool:
    try:
        os.waitstatus_to_exitcode(value)
    except (TypeError, ValueError, OverflowError):
        return False
    return is_count(value)


_IS_VALID: dict[str, Callable[[Json], bool]] = {
    "pid": lambda value: is_count(value) and value > 1,
    "grouped": lambda value: isinstance(value, bool),
    "code": lambda value: is_count(value) and value < 256,
    "status": _is_wait_status,
    "learned": _is_report_of_imports,
    "problem": lambda value: isinstance(value, str),
    "errno": is_count,
    "cpu_seconds": is_seconds,
    "peak_memory": is_count,
}
