"""`standpipe delete`: delete runs."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from standpipe.cli import options


def main(arguments: Sequence[str]) -> int:
    """Delete runs with their folders, and print how many bytes that frees.

    Raises:
        StandpipeError: if there is no such run, it is active or used, or it cannot be deleted.
    """
    args = _parser().parse_args(arguments)
    from standpipe.model.resources import format_memory  # here and below: not needed for `--help`
    from standpipe.runs.deletion import delete_runs
    from standpipe.support.paths import absolute_path

    is_complete = True
    for deleted in delete_runs(absolute_path("pipeline_root", args.pipeline_root), args.runs, force=args.force):
        print(f"Deleted run {deleted.id}: {format_memory(deleted.size)} freed.", flush=True)
        if deleted.remains:
            is_complete = False
            sys.stderr.write(
                f"Some files of the run could not be removed; they may belong to the user of a container. Remove "
                f"{deleted.remains} as root.\n"
            )
    return 0 if is_complete else 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        "standpipe delete",
        allow_abbrev=False,
        description="Delete runs: what the run store has of them, and their folders with logs and artifacts.",
    )
    parser.add_argument(
        "runs",
        metavar="RUN",
        nargs="+",
        help="the id of a run, a unique beginning of it, or `latest`, which is not a rerun",
    )
    parser.add_argument("--force", action="store_true", help="delete runs whose artifacts other runs use, too")
    options.add_root(parser)
    return parser
