"""`standpipe show`: a run, or one of its tasks."""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence

from standpipe.cli import options, terminal
from standpipe.errors import ArgumentError


def main(arguments: Sequence[str]) -> int:
    """Prints what the arguments ask for.

    Raises:
        ArgumentError: if a log is asked for and no task is named.
        NoSuchRun: if there is no such run.
        NoSuchTask: if the run has no such task.
        StorageError: if the run store or the log cannot be read.
    """
    given = _parser().parse_args(arguments)
    if given.log and given.json:
        raise ArgumentError("--log prints a log as it is: leave out --json, or --log.")
    from standpipe import local  # of no use to `--help`
    from standpipe.history.documents import document, task_document

    run = local.get_run(given.run, given.pipeline_root)
    if given.log:
        if not given.task:
            raise ArgumentError(f"--log prints the log of a task: standpipe show {run.id} TASK --log.")
        terminal.show(run.log(given.task).removesuffix("\n"))
        return 0
    task = run.task(given.task) if given.task else None
    if given.json:
        shown = task_document(run, task) if task else document(run)
        terminal.show(json.dumps(shown, indent=2))
    else:
        terminal.show(terminal.painted_lines(str(task or run)))
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        "standpipe show", description="Shows a run and its tasks; or one of its tasks with all that is known of it."
    )
    parser.add_argument("run", metavar="RUN", help="its id, or the beginning of it; `latest` is the newest run")
    parser.add_argument("task", metavar="TASK", nargs="?", help="a task: its name, or its path, such as loop/3/train")
    options.add_root(parser)
    parser.add_argument("--json", action="store_true", help="print a JSON object")
    parser.add_argument(
        "--log", action="store_true", help="print what the task's last attempt printed, and nothing else"
    )
    return parser
