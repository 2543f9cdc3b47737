"""`standpipe cancel`: asks a run to stop that another process is at."""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from standpipe.cli import options


def main(arguments: Sequence[str]) -> int:
    """Asks a run to stop, as Ctrl-C would.

    Raises:
        StandpipeError: if there is no such run, or it cannot be asked.
    """
    given = _parser().parse_args(arguments)
    from standpipe import local  # of no use to `--help`

    run = local.get_run(given.run, pipeline_root=given.pipeline_root)
    if run.cancel():
        print(
            f"Run {run.id} was asked to stop: its tasks are ended, and its exit tasks run. "
            "Asked again, it stops without them."
        )
        return 0
    print(f"Run {run.id} is not going on.")
    return 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        "standpipe cancel",
        description="Asks a run to stop that is going on in another process, as Ctrl-C would there.",
    )
    parser.add_argument("run", metavar="RUN", help="its id, the beginning of that, or `latest`")
    options.add_root(parser)
    return parser
