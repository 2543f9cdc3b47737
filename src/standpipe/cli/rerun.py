"""`standpipe rerun`: runs one task of a run again, by itself."""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from standpipe.cli import options, outputs


def main(arguments: Sequence[str]) -> int:
    """Runs a task again with the inputs that it had, and prints its outputs.

    Raises:
        StandpipeError: as `local.rerun_task`.
    """
    given = _parser().parse_args(arguments)
    from standpipe import local  # of no use to `--help`

    outputs.show(local.rerun_task(given.run, given.task, debug=given.debug, **options.run_options(given)))
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        "standpipe rerun",
        description=(
            "Runs one task of a run again, with exactly the inputs that it had, as a run of its own. The outputs are "
            "printed as JSON."
        ),
    )
    parser.add_argument("run", metavar="RUN", help="its id, the beginning of that, or `latest`")
    parser.add_argument("task", metavar="TASK", help="the task's name or path, as `loop/2/train`")
    parser.add_argument("--debug", action="store_true", help="run it under Python's debugger, on this terminal")
    options.add_run_options(parser)
    return parser
