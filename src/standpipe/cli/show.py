"""`standpipe show`: show a run, or one of its tasks."""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence

from standpipe.cli import options, terminal
from standpipe.errors import ArgumentError


def main(arguments: Sequence[str]) -> int:
    """Print a run, a task or a log.

    Raises:
        ArgumentError: if the options contradict each other, or `--log` has no task.
        NoSuchRun: if there is no such run.
        NoSuchTask: if the run has no such task.
        StorageError: if the run store or the log cannot be read.
    """
    args = _parser().parse_args(arguments)
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
        terminal.print_text(terminal.colorize_statuses(str(task or run)))
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        "standpipe show",
        allow_abbrev=False,
        description="Show a run and its tasks, or everything that is known about one task.",
    )
    parser.add_argument(
        "run", metavar="RUN", help="the id of a run, a unique beginning of it, or `latest`, which is not a rerun"
    )
    parser.add_argument(
        "task", metavar="TASK", nargs="?", help="the name or the path of a task, such as for-loop-1/3/train"
    )
    options.add_root(parser)
    parser.add_argument("--json", action="store_true", help="print a JSON object")
    parser.add_argument("--log", action="store_true", help="print the log of the task's last attempt, and nothing else")
    return parser
