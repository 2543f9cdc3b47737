"""`standpipe runs`: list the runs."""

from __future__ import annotations

import os

from standpipe.cli import terminal
from standpipe.cli.quick import find_root
from standpipe.store.overview import RunOverview, read_overview
from standpipe.support.durations import format_duration

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable, Iterator, Sequence


def main(arguments: Sequence[str]) -> int:
    """Print the runs in a pipeline root, newest first.

    Raises:
        StorageError: if the run store cannot be read.
    """
    root = find_root(arguments)
    runs = read_overview(root) if root else None
    if runs:
        terminal.print_text("\n".join(_table(runs)))
        return 0
    return _print_from_facts(arguments)


def _print_from_facts(arguments: Sequence[str]) -> int:
    args = make_parser().parse_args(arguments)
    import json  # not needed for the simple list, nor is what follows

    from standpipe import local  # not needed for `--help`
    from standpipe.history.documents import summary
    from standpipe.history.records import format_time

    runs = local.runs(args.pipeline_root)
    if args.json:
        terminal.print_text(json.dumps([summary(run) for run in runs], indent=2))
    elif not runs:
        if os.path.exists(root := os.path.expanduser(args.pipeline_root)) and not os.path.isdir(root):
            from standpipe.errors import StorageError  # only a mistake needs it

            raise StorageError(f"{root} is not a folder. Use --root FOLDER for another pipeline root.")
        terminal.print_text(f"No runs in {args.pipeline_root}. Use --root FOLDER for another pipeline root.")
    else:
        rows = [
            RunOverview(run.id, run.status.value, format_time(run.created, "minutes"), run.duration, run.rerun_of)
            for run in runs
        ]
        terminal.print_text("\n".join(_table(rows)))
    return 0


def make_parser() -> argparse.ArgumentParser:
    """Return the parser of the command."""
    from standpipe.cli import options, parsers  # they bring argparse, which the fast paths do without

    parser = parsers.new_parser(
        "runs",
        "List the runs, newest first.",
        examples=(
            "standpipe runs",
            "standpipe runs --root /data/runs",
            "standpipe runs --json | jq -r '.[0].id'  # the newest run",
        ),
    )
    options.add_root(parser)
    parsers.add_json(parser, "a list")
    return parser


def _table(runs: Sequence[RunOverview]) -> Iterator[str]:
    """Yield a line for each run; two if the terminal is too narrow for one."""
    widest = max(len(run.run) for run in runs)
    is_narrow = widest + len("  interrupted  2026-01-01 00:00 +01:00  12 min 59 s") > terminal.width()
    colorize = terminal.make_colorizer()
    for run in runs:
        details = _details(run, colorize)
        yield f"{run.run}\n  {details}" if is_narrow else f"{run.run:<{widest}}  {details}"


def _details(run: RunOverview, colorize: Callable[[str, str], str]) -> str:
    """Return status, local time of the start, duration, and what a rerun is a rerun of."""
    status = colorize(f"{run.status.lower():<11}", run.status)
    duration = "" if run.seconds is None else format_duration(run.seconds)
    origin = f"rerun of {run.rerun_of}" if run.rerun_of else ""
    return f"{status}  {run.created}  {duration:<11}  {origin}".rstrip()
