"""Paused attempts: the file that keeps one waiting, and what its user is told."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator
from pathlib import Path

from standpipe.model.attempts import TaskRequest
from standpipe.model.layout import PAUSE_FILE
from standpipe.support.notices import Notice
from standpipe.support.shell_commands import standpipe_command
from standpipe.support.untrusted_files import read_file

#: The seconds between two looks at the file.
_INTERVAL = 0.2

#: The most bytes of the file.
_MAX_TEXT = 4096


def pause_file(folder: Path) -> Path:
    """Return the file that an attempt makes when it pauses. It continues when the file is removed."""
    return folder / PAUSE_FILE


@contextlib.contextmanager
def announce_pauses(request: TaskRequest, shell: str, warn: Notice) -> Iterator[None]:
    """Tell the user of each pause of an attempt that runs in the block.

    Args:
        request: the attempt.
        shell: the command that opens a shell where it runs; empty if that is this machine.
        warn: called with a notice at each pause.
    """
    if request.pause is None:
        yield
        return
    ended = threading.Event()
    thread = threading.Thread(target=_watch, args=(request, shell, warn, ended), daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


def _watch(request: TaskRequest, shell: str, warn: Notice, ended: threading.Event) -> None:
    announced = ""
    while not ended.wait(_INTERVAL):
        where = _read(request)
        if where and where != announced:
            warn(_describe(request, where, shell))
        announced = where


def _read(request: TaskRequest) -> str:
    """Return where an attempt is paused; empty if it is not."""
    try:
        text = read_file(pause_file(request.folder), request.pipeline_root, _MAX_TEXT).decode(errors="replace").strip()
        return "".join(character if character.isprintable() else "\ufffd" for character in text)  # it is shown
    except OSError:
        return ""  # there is none, or the task has put something else there


def _describe(request: TaskRequest, where: str, shell: str) -> str:
    lines = [f"Task {str(request.task)!r} is paused {where} (set_debug_pause). Its files are in {request.folder}."]
    if shell:
        lines.append(f"To look into its container:\n    {shell}")
    else:
        rerun = standpipe_command("rerun", request.pipeline_root, request.run, str(request.task), flags=["--debug"])
        lines.append(f"To run it in a debugger, in another terminal:\n    {rerun}")
    lines.append(f"To let it continue:\n    rm {pause_file(request.folder)}")
    return "\n".join(lines)
