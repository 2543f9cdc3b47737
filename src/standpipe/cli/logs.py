"""`standpipe logs`: print the logs of a run, or of one of its tasks."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING

from standpipe.cli import options, parsers, terminal
from standpipe.cli.failures import INTERRUPTED
from standpipe.errors import StorageError
from standpipe.support.terminal_text import strip_controls

if TYPE_CHECKING:
    from standpipe.history import Run
    from standpipe.history.log_stream import LogPart


def main(arguments: Sequence[str]) -> int:
    """Print logs; with `-f`, until the run or the task has ended.

    Raises:
        NoSuchRun: if there is no such run.
        NoSuchTask: if the run has no such task, or the task no such attempt.
        StorageError: if the run store cannot be read.
    """
    args = make_parser().parse_intermixed_args(arguments)  # a task may follow the options
    from standpipe import local  # not needed for `--help`

    run = local.get_run(args.run, args.pipeline_root)
    try:
        return _print(_read(args, run), _choose_label(run, args.task))
    except KeyboardInterrupt:  # the way to stop `-f`
        return INTERRUPTED


def _read(args: argparse.Namespace, run: Run) -> Iterator[LogPart]:
    from standpipe.history.attempts import find_attempt  # here and below: not needed for `--help`
    from standpipe.history.log_stream import LogStream, follow

    stream = LogStream(args.task or "", args.attempt, args.tail)
    if args.follow:
        return follow(run, stream, args.task or "")
    task = run.task(args.task) if args.task else None
    if task is not None and not task.children:
        find_attempt(task, args.attempt)  # says why there is none
    elif not any(each.attempts for each in run.all_tasks()):
        sys.stderr.write(f"No task of run {run.id} has started: there are no logs.\n")
    return stream.read(run)


def _choose_label(run: Run, name: str | None) -> Callable[[LogPart], str]:
    """Return the function that makes what is before each line: nothing for the log of a single task."""
    named = [task for task in run.all_tasks() if name in (task.path, task.name)]
    if name and not any(task.children for task in named):
        return lambda part: ""
    make_label = terminal.make_labeler()
    return lambda part: make_label(part.task if part.attempt == 1 else f"{part.task}, attempt {part.attempt}") + " "


def _print(parts: Iterable[LogPart], label: Callable[[LogPart], str]) -> int:
    """Print lines as they come; return the exit code."""
    code = 0
    for part in parts:
        prefix = label(part)
        lines = [piece for line in part.lines for piece in line.removesuffix("\r").split("\r")]
        if lines and not terminal.print_text("\n".join(prefix + _end_colors(line, prefix) for line in lines)):
            return code
        if part.problem:
            sys.stderr.write(strip_controls(f"[{part.task}] {part.problem}\n"))
        if part.is_unreadable:
            code = StorageError.exit_code
    return code


def _end_colors(line: str, prefix: str) -> str:
    """Return a line whose colors do not reach the label of the next one."""
    return strip_controls(line, keep_colors=True) if prefix else line


def make_parser() -> argparse.ArgumentParser:
    """Return the parser of the command."""
    parser = parsers.new_parser(
        "logs",
        "Print the log of a task, or those of all tasks of a run or of a loop: in the order in which the tasks "
        "started, each line after the name of its task.",
        examples=(
            "standpipe logs latest  # the logs of all tasks",
            "standpipe logs latest -f  # and what is added to them until the run ends",
            "standpipe logs latest train  # the log of the last attempt of a task",
            "standpipe logs latest train --tail 20  # its last 20 lines",
        ),
    )
    parsers.add_run(parser)
    parser.add_argument(
        "task", metavar="TASK", nargs="?", help="the name or the path of a task or a loop, such as for-loop-1/3/train"
    )
    parser.add_argument(
        "-f",
        "--follow",
        action="store_true",
        help="print what is added to the logs until the run or the task has ended",
    )
    parser.add_argument(
        "--attempt",
        type=parsers.whole_number,
        metavar="N",
        help="the attempt of the task, numbered from 1 (default: the last one)",
    )
    parser.add_argument("--tail", type=_parse_count, metavar="N", help="print only the last lines of each log")
    options.add_root(parser)
    return parser


def _parse_count(text: str) -> int:
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"expected a number of lines, got {text!r}")
    return int(text)
