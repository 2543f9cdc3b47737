"""`standpipe resume`: lets a run go on."""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from standpipe.cli import options, outputs


def main(arguments: Sequence[str]) -> int:
    """Lets a run go on, and prints its outputs.

    Raises:
        StandpipeError: as `local.resume`.
    """
    given = _parser().parse_args(arguments)
    from standpipe import local  # of no use to `--help`

    if given.script:
        from standpipe.cli import script  # with the names of KFP, which other runs do without

        script.load(given.script, (), name="__standpipe__")
    outputs.show(local.resume(given.run, from_task=given.from_task, **options.run_options(given)))
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        "standpipe resume",
        description=(
            "Lets a run go on that failed, was stopped or was killed. What succeeded is not done again, unless it has "
            "changed. The outputs are printed as JSON."
        ),
    )
    parser.add_argument("run", metavar="RUN", help="its id, the beginning of that, or `latest`")
    parser.add_argument("--script", metavar="FILE", help="the script with the pipeline as it is now")
    parser.add_argument(
        "--from-task", action="append", metavar="TASK", help="do this task again, with what depends on it"
    )
    options.add_run_options(parser)
    return parser
