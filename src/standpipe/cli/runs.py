"""`standpipe runs`: which runs there are."""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from standpipe.cli import options, terminal

if TYPE_CHECKING:
    from standpipe.history import Run


def main(arguments: Sequence[str]) -> int:
    """Prints the runs below a pipeline root, the newest first.

    Raises:
        StorageError: if the run store cannot be read.
    """
    given = _parser().parse_args(arguments)
    from standpipe import local  # of no use to `--help`
    from standpipe.history.documents import summary

    found = local.runs(given.pipeline_root)
    if given.json:
        terminal.show(json.dumps([summary(run) for run in found], indent=2))
    elif not found:
        terminal.show("There are no runs here. Another pipeline root is named by --root FOLDER.")
    else:
        terminal.show("\n".join(_table(found)))
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser("standpipe runs", description="Lists the runs, the newest first.")
    options.add_root(parser)
    parser.add_argument("--json", action="store_true", help="print a JSON list")
    return parser


def _table(found: Sequence[Run]) -> Iterator[str]:
    """A line for each run; two where the terminal is too narrow for one."""
    widest = max(len(run.id) for run in found)
    is_narrow = widest + len("  interrupted  2026-01-01 00:00  12 min 59 s") > terminal.width()
    for run in found:
        status = terminal.painted(f"{run.status.value.lower():<11}", run.status)
        told = f"{status}  {run.created.astimezone():%Y-%m-%d %H:%M}  {_took(run)}".rstrip()
        yield f"{run.id}\n  {told}" if is_narrow else f"{run.id:<{widest}}  {told}"


def _took(run: Run) -> str:
    from standpipe.history.render import format_duration  # imports the store, which `--help` does not need

    return "" if run.duration is None else format_duration(run.duration)
