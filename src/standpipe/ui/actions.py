"""What the pages do besides reading: commands of `standpipe`, each in a process of its own that outlives the server.

A command writes to a log in `.actions` in the pipeline root, beside a file that says which command it is. Any server of
that root can show it, also one that was started since.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import threading
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from subprocess import DEVNULL, STDOUT, Popen

from standpipe.errors import StandpipeError, StorageError
from standpipe.model.frozen import frozen
from standpipe.model.layout import StateLayout
from standpipe.model.plan import Plan
from standpipe.model.refs import RunId
from standpipe.model.types import Json
from standpipe.runs.ui_server import own_command
from standpipe.store.reading import StoredFacts
from standpipe.support.forking import start_process
from standpipe.support.terminal_text import strip_controls
from standpipe.support.untrusted_files import create_file, ensure_folder, open_below, read_file, remove_path

#: The names of actions: the time and the command.
_NAME = re.compile(r"\d{8}-\d{6}-\d{6}-[a-z]+")

#: How many actions keep their logs.
_MOST_KEPT = 200

#: The most bytes of a log that are read: of its begin, which names the run, and of its end, which says why it failed.
_HEAD, _TAIL = 64 * 1024, 16 * 1024

#: The first line of a run in its log: see `console.messages`.
_STARTED = "Running "

#: Seconds between two looks at a command that has just started.
_STEP = 0.02

_processes: dict[str, Popen[bytes]] = {}
_lock = threading.Lock()


@frozen
class Started:
    """A command that was started.

    Attributes:
        name: the name of its files in `.actions`.
        command: the command line, as a user would type it.
        pid: the id of its process.
        root: the pipeline root.
    """

    name: str
    command: str
    pid: int
    root: Path

    @property
    def log(self) -> Path:
        """The file with all that the command printed."""
        return _path(self.root, self.name, ".log")

    def run_id(self) -> RunId | None:
        """Return the run that the command has started or resumed; None if it has not, or not yet.

        A command prints it before the run store has it.
        """
        prefix = f" in {self.root}{os.sep}"
        for line in _read_part(self.log, self.root, 0, _HEAD).splitlines():
            name, separator, run = line.rpartition(prefix)
            if name.startswith(_STARTED) and separator and os.sep not in run:
                return run if _is_stored(self.root, run) else None
        return None

    def tail(self) -> str:
        """Return the end of the log."""
        return _read_part(self.log, self.root, -_TAIL, _TAIL)

    def exit_code(self) -> int | None:
        """Return the exit code of the command; None if it has not ended, or another server started it."""
        with _lock:
            process = _processes.get(self.name)
            return None if process is None else process.poll()

    @property
    def is_over(self) -> bool:
        """Whether the command has ended."""
        if self.name in _processes:
            return self.exit_code() is not None
        try:
            os.kill(self.pid, 0)
        except OSError:
            return True
        return False

    def wait(self, seconds: float) -> None:
        """Wait until the command has ended or has started a run, at most for some seconds."""
        end = time.monotonic() + seconds
        while not self.is_over and not self.run_id() and time.monotonic() < end:
            time.sleep(_STEP)


def start(root: Path, command: str, *arguments: str, name: str = "") -> Started:
    """Start a command of `standpipe` in a process of its own.

    Args:
        root: the pipeline root, which is created if it is missing.
        command: the command, such as `resume`.
        arguments: its arguments, without `--root`.
        name: the name of its files, if some are there already; see `new_name`.

    Raises:
        StorageError: if the pipeline root cannot be written, or the process cannot be started.
    """
    name = name or new_name(root, command)
    arguments = (command, "--root", str(root), *arguments)
    line = shlex.join(["standpipe", *arguments])
    try:
        log = create_file(_path(root, name, ".log"), root, 0o600)
        try:
            process = start_process(
                own_command(*arguments),
                stdin=DEVNULL,
                stdout=log,
                stderr=STDOUT,
                start_new_session=True,  # Ctrl-C in the terminal of the server is not for it
                env={**os.environ, "PYTHONUNBUFFERED": "1"},
            )
        finally:
            os.close(log)
        started = Started(name, line, process.pid, root)
        with _lock:
            _processes[name] = process
        _write(root, name, ".json", json.dumps({"command": started.command, "pid": started.pid}))
    except OSError as error:
        raise StorageError(
            f"The command `{line}` cannot be started: {error}. Check that you may write to the pipeline "
            "root, or type the command in a terminal."
        ) from error
    threading.Thread(target=process.wait, daemon=True).start()  # the system forgets it then
    return started


def start_new_run(
    root: Path, pipeline: Path | Plan, arguments: Mapping[str, Json], *, options: Sequence[str] = ()
) -> Started:
    """Start a run of a pipeline in a process of its own, and return at once.

    `Started.wait` waits for the run, and `Started.run_id` is its id; if that is None, `Started.tail` says why.

    Args:
        root: the pipeline root.
        pipeline: a compiled file, or the Plan of a pipeline that a run remembers.
        arguments: its inputs by name; for artifacts, paths or URIs.
        options: further flags of `standpipe run`, such as `--cache` or `--runner=docker`.

    Raises:
        StorageError: if the pipeline root cannot be written, or the process cannot be started.
    """
    name = new_name(root, "run")
    if isinstance(pipeline, Plan):
        from standpipe import ir  # brings YAML, which files do without

        file = _path(root, name, ".yaml")
        _write(root, name, ".yaml", "")
        ir.write(pipeline, file)
    else:
        file = pipeline.absolute()
    _write(root, name, ".args.json", json.dumps(dict(arguments)))
    arguments_file = _path(root, name, ".args.json")
    return start(root, "run", str(file), "--args-file", str(arguments_file), *options, name=name)


def find(root: Path, name: str) -> Started | None:
    """Return an action by its name; None if there is no such action."""
    if not _NAME.fullmatch(name):
        return None
    with suppress(OSError, ValueError, KeyError, TypeError, OverflowError):
        about = json.loads(read_file(_path(root, name, ".json"), root, _TAIL))
        pid = int(about["pid"])
        return Started(name, str(about["command"]), pid, root) if 0 < pid < 2**31 else None
    return None


def new_name(root: Path, command: str) -> str:
    """Return a new name for the files of an action, whose folder exists then. Old actions are removed.

    Raises:
        StorageError: if the pipeline root cannot be written.
    """
    folder = StateLayout(root).actions
    try:
        root.mkdir(parents=True, exist_ok=True)
        ensure_folder(folder, root, 0o700)
        _remove_old(folder)
    except StorageError:
        raise
    except OSError as error:
        raise _unwritable(root, error) from error
    return f"{datetime.now():%Y%m%d-%H%M%S-%f}-{command}"


def _remove_old(folder: Path) -> None:
    by_action: dict[str, list[str]] = {}
    for each in sorted(os.listdir(folder)):
        match = _NAME.match(each)
        if match:
            by_action.setdefault(match[0], []).append(each)
    for name in list(by_action)[:-_MOST_KEPT]:
        for each in by_action[name]:
            remove_path(folder / each, folder.parent)


def _is_stored(root: Path, run: RunId) -> bool:
    try:
        StoredFacts(root).run(run)
    except StandpipeError:
        return False
    return True


def _path(root: Path, name: str, ending: str) -> Path:
    return StateLayout(root).actions / f"{name}{ending}"


def _write(root: Path, name: str, ending: str, text: str) -> None:
    try:
        with open(create_file(_path(root, name, ending), root, 0o600), "w", encoding="utf-8") as file:
            file.write(text)
    except OSError as error:
        raise _unwritable(root, error) from error


def _unwritable(root: Path, error: OSError) -> StorageError:
    """Return the error for a pipeline root that cannot be written."""
    return StorageError(f"Cannot write to the pipeline root {root}: {error.strerror}. Check its permissions and space.")


def _read_part(path: Path, root: Path, offset: int, size: int) -> str:
    """Return a part of a log as text; empty if it cannot be read. A negative offset counts from its end."""
    with suppress(OSError):
        descriptor = open_below(path, root)
        try:
            begin = max(0, os.fstat(descriptor).st_size + offset) if offset < 0 else offset
            return strip_controls(os.pread(descriptor, size, begin).decode(errors="replace"))
        finally:
            os.close(descriptor)
    return ""
