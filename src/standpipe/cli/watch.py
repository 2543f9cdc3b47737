"""`standpipe watch`: run a target, and run it again when a file that it depends on changes."""

from __future__ import annotations

import argparse
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from types import FrameType
from typing import NamedTuple, NoReturn

from standpipe.cli import run, terminal
from standpipe.cli.failures import INTERRUPTED
from standpipe.cli.file_watch import INTERVAL, FileWatch
from standpipe.cli.watched_files import VARIABLE
from standpipe.errors import ArgumentError
from standpipe.support.durations import format_duration

#: Seconds that a cancelled run gets for its exit tasks before it is asked again, which stops them as well, and after
#: which it is killed.
_PATIENCE, _LAST_PATIENCE = 15.0, 15.0

#: The most files that a line names.
_MAX_NAMED = 4

_CLEAR = "\x1b[H\x1b[2J\x1b[3J"


def main(arguments: Sequence[str]) -> int:
    """Run a target again and again, until Ctrl-C.

    Raises:
        ArgumentError: if there is no such target.
    """
    options = run.parse(arguments, make_parser)
    path = _target_file(options.target)
    files = [path, *([os.path.abspath(options.args_file)] if options.args_file else [])]
    caching = [] if "enable_caching" in vars(options) else ["--cache"]
    command = [sys.executable, "-m", "standpipe", "run", *caching, *arguments]
    with tempfile.TemporaryDirectory(prefix="standpipe-watch-") as folder, _ended_by_signals():
        try:
            _Loop(options.target, command, FileWatch(files), os.path.join(folder, "files.json")).run()
        except KeyboardInterrupt:
            return INTERRUPTED


def make_parser(*, of_script: bool = True) -> argparse.ArgumentParser:
    """Return the parser of the command; for `of_script`, see `run.parse`."""
    return run.new_parser(
        "watch",
        "Run a script or a pipeline as `standpipe run` does, and run it again when a file changes: the script, the "
        "modules that it imports from its folder, the compiled file, and the files of its inputs. The cache is on, so "
        "that only what has changed runs again. A change during a run cancels it. Ctrl-C ends.",
        examples=(
            "standpipe watch train.py:train -a rows=100  # a pipeline of a script",
            "standpipe watch train.py --epochs 3  # a script, with its own arguments",
            "standpipe watch --dry-run train.py  # what would run, after each change",
        ),
        usage="standpipe watch [options] SCRIPT [ARGUMENT ...]\n"
        "       standpipe watch TARGET [options] [-- ARGUMENT ...]",
        of_script=of_script,
    )


def _target_file(target: str) -> str:
    """Return the absolute path of the file of a target.

    Raises:
        ArgumentError: if there is none: nobody waits for a file whose name is misspelled.
    """
    from standpipe.cli import targets  # brings authoring, which `--help` does without

    path = targets.split(target)[0]
    if not os.path.isfile(path):
        problem = "it is a folder" if os.path.isdir(path) else "there is no such file"
        raise ArgumentError(f"Cannot watch {path}: {problem}. Expected a script or a compiled file.")
    return os.path.abspath(path)


class _Result(NamedTuple):
    """How a run ended: its exit code, how long it took, and the files that changed meanwhile."""

    code: int
    seconds: float
    changed: Sequence[str] = ()


class _Loop:
    """Runs a command again after each change.

    Args:
        target: the target, as it was typed.
        command: the command of a run.
        files: the files that are watched; each run adds those that it depends on.
        report: where a run reports them.
    """

    def __init__(self, target: str, command: Sequence[str], files: FileWatch, report: str) -> None:
        self._target = target
        self._command = command
        self._files = files
        self._report = report
        self._number = 0

    def run(self) -> NoReturn:
        """Run until the process is interrupted."""
        changed: Sequence[str] = ()
        while True:
            self._number += 1
            self._show_begin(changed)
            result = self._run_once()
            if result.changed:
                changed = result.changed
                continue
            self._show_end(result)
            changed = self._files.wait()

    def _run_once(self) -> _Result:
        """Run the command; a change of a file cancels it."""
        self._files.accept()
        with suppress(FileNotFoundError):
            os.unlink(self._report)
        began, clock = time.time(), time.monotonic()
        process = subprocess.Popen(
            self._command,
            stdin=subprocess.DEVNULL,
            env={**os.environ, VARIABLE: self._report},
            start_new_session=True,  # Ctrl-C comes here first, and only once
            preexec_fn=_hear_interrupts,
        )
        try:
            while process.poll() is None:
                time.sleep(INTERVAL)
                changed = self._find_changes(began)
                if changed and process.poll() is None:
                    self._show(f"{_list_files(changed)} changed: the run is cancelled.")
                    _cancel(process)
                if changed:
                    return _Result(process.wait(), time.monotonic() - clock, changed)
            return _Result(process.returncode, time.monotonic() - clock, self._find_changes(began))
        except BaseException:
            _end(process)
            raise

    def _find_changes(self, began: float) -> list[str]:
        """Return the files that have changed since a run began, also of those that it has reported only now."""
        late = self._files.watch(_read_report(self._report), began)
        changed = self._files.changed()
        return [*dict.fromkeys([*late, *(self._files.settle() if changed else ())])]

    # --- lines --------------------------------------------------------------------------------------------------------

    def _show_begin(self, changed: Sequence[str]) -> None:
        if sys.stdout.isatty() and os.environ.get("TERM") != "dumb":
            sys.stdout.write(_CLEAR)
        reason = f", {_list_files(changed)} changed" if changed else ""
        self._show(f"Watching {self._target}: run {self._number} at {time.strftime('%H:%M:%S')}{reason}")

    def _show_end(self, result: _Result) -> None:
        state = "FAILED" if result.code else "SUCCEEDED"
        code = f" with exit code {result.code}" if result.code else ""
        colorize = terminal.make_colorizer()
        self._show(
            f"Run {self._number} {colorize(state.lower(), state)}{code} in {format_duration(result.seconds)}. The next "
            f"one starts when {_list_files(self._files.paths, 'or')} changes; Ctrl-C ends."
        )

    def _show(self, line: str) -> None:
        terminal.print_text(line)


def _read_report(path: str) -> list[str]:
    """Return the files that a run has reported; none if it has not, or it was killed."""
    try:
        with open(path, encoding="utf-8", errors="surrogateescape") as file:
            files: list[str] = json.load(file)
    except (OSError, ValueError):
        return []
    return files


def _list_files(paths: Iterable[str], word: str = "and") -> str:
    """Return the paths of files as people read them: relative, and of many the first ones."""
    names = [os.path.relpath(path) if path.startswith(os.getcwd()) else path for path in paths]
    if len(names) > _MAX_NAMED:
        names[_MAX_NAMED - 1 :] = [f"{len(names) - _MAX_NAMED + 1} other files"]
    return f" {word} ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names)


# --- processes --------------------------------------------------------------------------------------------------------


def _hear_interrupts() -> None:
    """Let a run be cancelled even if this process ignores Ctrl-C, as those that a shell starts with `&` do."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def _cancel(process: subprocess.Popen[bytes]) -> None:
    """Cancel a run as Ctrl-C does: its exit tasks run, for some seconds. Then it is cancelled again, and killed."""
    for patience in (_PATIENCE, _LAST_PATIENCE):
        process.send_signal(signal.SIGINT)
        with suppress(subprocess.TimeoutExpired):
            process.wait(patience)
            return
    process.kill()


def _end(process: subprocess.Popen[bytes]) -> None:
    """Cancel a run, as this process ends. Each further Ctrl-C reaches the run as well."""
    while process.poll() is None:
        try:
            _cancel(process)
        except KeyboardInterrupt:
            continue


@contextmanager
def _ended_by_signals() -> Iterator[None]:
    """Let the signals that ask this process to end do so as an exception, so that the run is cancelled first."""

    def end(number: int, frame: FrameType | None) -> NoReturn:
        raise SystemExit(128 + number)

    before = {number: signal.signal(number, end) for number in (signal.SIGTERM, signal.SIGHUP)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
