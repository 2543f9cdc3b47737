"""`standpipe delete`: delete runs."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from standpipe.cli import options, parsers


def main(arguments: Sequence[str]) -> int:
    """Delete runs with their folders, and print how many bytes that frees.

    Raises:
        StandpipeError: if there is no such run, it is active or used, or it cannot be deleted.
    """
    args = make_parser().parse_args(arguments)
    from standpipe.model.resources import format_memory  # here and below: not needed for `--help`
    from standpipe.runs.deletion import delete_runs
    from standpipe.support.paths import absolute_path

    is_complete = True
    root = absolute_path("pipeline_root", args.pipeline_root)
    for deleted in delete_runs(root, args.runs, force=args.force, kubernetes=args.kubernetes):
        print(f"Deleted run {deleted.id}: {format_memory(deleted.size)} freed.", flush=True)
        if deleted.remains:
            is_complete = False
            sys.stderr.write(
                f"Some files of the run could not be removed; they may belong to the user of a container. Remove "
                f"{deleted.remains} as root.\n"
            )
        if deleted.remote:
            is_complete = False
            sys.stderr.write(f"Artifacts of the run could not be removed: remove those below {deleted.remote}\n")
    return 0 if is_complete else 1


def make_parser() -> argparse.ArgumentParser:
    """Return the parser of the command."""
    parser = parsers.new_parser(
        "delete",
        "Delete runs: what the run store has of them, and their folders with logs and artifacts.",
        examples=(
            "standpipe delete latest",
            "standpipe delete train-2026-01-31 train-2026-02-01  # beginnings of ids",
            "standpipe delete latest --force  # although other runs use its artifacts",
        ),
    )
    text = "a run, as for `standpipe show`; the name of a pipeline deletes only the newest of its runs"
    parsers.add_run(parser, "runs", nargs="+", help=text)
    parser.add_argument("--force", action="store_true", help="delete runs whose artifacts other runs use, too")
    options.add_store_credentials(parser)
    options.add_root(parser)
    return parser
