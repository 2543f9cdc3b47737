"""`standpipe runs`: list the runs."""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from standpipe.cli import options, terminal
from standpipe.support.durations import format_duration

if TYPE_CHECKING:
    from standpipe.history import Run


def main(arguments: Sequence[str]) -> int:
    """Print the runs in a pipeline root, newest first.

    Raises:
        StorageError: if the run store cannot be read.
    """
    args = _parser().parse_args(arguments)
    from standpipe import local  # not needed for `--help`
    from standpipe.history.documents import summary

    runs = local.runs(args.pipeline_root)
    if args.json:
        terminal.print_text(json.dumps([summary(run) for run in runs], indent=2))
    elif not runs:
        terminal.print_text(f"No runs in {args.pipeline_root}. Use --root FOLDER for another pipeline root.")
    else:
        terminal.print_text("\n".join(_table(runs)))
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser("standpipe runs", allow_abbrev=False, description="List the runs, newest first.")
    options.add_root(parser)
    parser.add_argument("--json", action="store_true", help="print a JSON list")
    return parser


def _table(runs: Sequence[Run]) -> Iterator[str]:
    """Yield a line for each run; two if the terminal is too narrow for one."""
    widest = max(len(run.id) for run in runs)
    rows = [(run.id, _details(run)) for run in runs]
    is_narrow = widest + len("  interrupted  2026-01-01 00:00  12 min 59 s") > terminal.width()
    for run_id, details in rows:
        yield f"{run_id}\n  {details}" if is_narrow else f"{run_id:<{widest}}  {details}"


def _details(run: Run) -> str:
    """Return status, local time of the start, duration, and what a rerun is a rerun of."""
    status = terminal.colorize(f"{run.status.value.lower():<11}", run.status)
    duration = "" if run.duration is None else format_duration(run.duration)
    origin = f"rerun of {run.rerun_of}" if run.rerun_of else ""
    return f"{status}  {run.created:%Y-%m-%d %H:%M}  {duration:<11}  {origin}".rstrip()
