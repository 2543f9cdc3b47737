"""`standpipe cancel`: cancel a run that is in progress in another process."""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from standpipe.cli import options


def main(arguments: Sequence[str]) -> int:
    """Request that a run is cancelled, as Ctrl-C does in its own process.

    Raises:
        StandpipeError: if there is no such run, or the request cannot be written.
    """
    args = _parser().parse_args(arguments)
    from standpipe import local  # not needed for `--help`

    run = local.get_run(args.run, pipeline_root=args.pipeline_root)
    if run.cancel():
        print(
            f"Requested the cancellation of run {run.id}: its tasks are stopped, then its exit tasks run. "
            "A second request cancels the exit tasks, too."
        )
        return 0
    print(f"Run {run.id} is not in progress.")
    return 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        "standpipe cancel",
        allow_abbrev=False,
        description="Cancel a run that is in progress in another process, as Ctrl-C does there.",
    )
    parser.add_argument(
        "run", metavar="RUN", help="the id of a run, a unique beginning of it, or `latest`, which is not a rerun"
    )
    options.add_root(parser)
    return parser
