"""`standpipe show`: show a run, or one of its tasks."""

from __future__ import annotations

import os
from collections.abc import Sequence

from standpipe.cli import terminal
from standpipe.cli.quick import find_root
from standpipe.history.outline import Line, render_lines, render_run
from standpipe.store.overview import StoredOutline, read_outline
from standpipe.support.terminal_text import strip_controls

#: Whose folder has it was pulled from a cluster; `model.layout` has the name, too.
_PULLED = ".pulled"

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse


def main(arguments: Sequence[str]) -> int:
    """Print a run, a task or a log.

    Raises:
        ArgumentError: if the options contradict each other, or `--log` has no task.
        NoSuchRun: if there is no such run.
        NoSuchTask: if the run has no such task.
        StorageError: if the run store or the log cannot be read.
    """
    root = find_root(arguments[1:]) if arguments and not arguments[0].startswith("-") else ""
    outline = read_outline(root, arguments[0]) if root else None
    if outline:
        terminal.print_text(terminal.colorize_statuses(_render(outline)) + _origin(f"{root}/{outline.run}"))
        return 0
    return _print_from_facts(arguments)


def _render(outline: StoredOutline) -> str:
    """Return what `str` returns of the run."""
    lines = render_lines(Line(*fields) for fields in outline.lines)
    rest = (*lines, *outline.values, *outline.failures)
    return strip_controls(render_run(outline.run, outline.status, outline.seconds, outline.rerun_of, rest))


def _origin(folder: str) -> str:
    """Return the line that says where a run was pulled from; empty for a run of this machine."""
    if not os.path.exists(f"{folder}/{_PULLED}"):
        return ""
    from pathlib import Path  # few runs need these

    from standpipe.runs.pulled import read_mark

    pulled = read_mark(Path(folder))
    return f"\npulled from {pulled.host}: run {pulled.id}" if pulled else ""


def _print_from_facts(arguments: Sequence[str]) -> int:
    args = make_parser().parse_args(arguments)
    import json  # not needed for an outline, nor is what follows

    from standpipe.errors import ArgumentError

    if args.log and args.json:
        raise ArgumentError("Invalid options --log and --json: a log cannot be printed as JSON. Use only one of them.")
    from standpipe import local  # not needed for `--help`
    from standpipe.history.documents import document, task_document

    run = local.get_run(args.run, args.pipeline_root)
    if args.log:
        if not args.task:
            raise ArgumentError(f"Missing task for --log: use `standpipe show {run.id} TASK --log`.")
        terminal.print_text(run.log(args.task).removesuffix("\n"))
        return 0
    task = run.task(args.task) if args.task else None
    if args.json:
        shown = task_document(run, task) if task else document(run)
        terminal.print_text(json.dumps(shown, indent=2))
    else:
        text = str(task) if task else run.to_text(all_tasks=args.all) + _origin(str(run.folder))
        terminal.print_text(terminal.colorize_statuses(text))
    return 0


def make_parser() -> argparse.ArgumentParser:
    """Return the parser of the command."""
    from standpipe.cli import options, parsers  # they bring argparse, which the fast paths do without

    parser = parsers.new_parser(
        "show",
        "Show a run and its tasks, or everything that is known about one task.",
        examples=(
            "standpipe show latest  # a run, with its tasks as a tree",
            "standpipe show latest train  # a task: inputs, outputs, attempts",
            "standpipe show latest for-loop-2/3/train --log  # what it printed",
            "standpipe show latest --json | jq -r '.tasks[] | select(.status == \"FAILED\") | .path'",
        ),
    )
    parsers.add_run(parser)
    parser.add_argument(
        "task", metavar="TASK", nargs="?", help="the name or the path of a task, such as for-loop-1/3/train"
    )
    options.add_root(parser)
    parser.add_argument("--all", action="store_true", help="show every task, also of many next to each other")
    parsers.add_json(parser, "an object")
    parser.add_argument("--log", action="store_true", help="print the log of the task's last attempt, and nothing else")
    return parser
