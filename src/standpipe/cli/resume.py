"""`standpipe resume`: resume a run."""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from standpipe.cli import options, outputs


def main(arguments: Sequence[str]) -> int:
    """Resume a run, and print its outputs.

    Raises:
        StandpipeError: as `local.resume`.
    """
    args = _parser().parse_args(arguments)
    from standpipe import local  # not needed for `--help`

    if args.script:
        from standpipe.cli import script  # installs the names of KFP, which only scripts need

        script.load(args.script, (), name="__standpipe__", expected="the Python script with the pipeline of the run")
    outputs.print_outputs(local.resume(args.run, from_task=args.from_task, **options.run_options(args)))
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        "standpipe resume",
        allow_abbrev=False,
        description=(
            "Resume a run that failed, was cancelled or was killed. Tasks that succeeded are not rerun, unless they "
            "have changed. The outputs are printed as JSON."
        ),
    )
    parser.add_argument(
        "run", metavar="RUN", help="the id of a run, a unique beginning of it, or `latest`, which is not a rerun"
    )
    parser.add_argument("--script", metavar="FILE", help="the script with the current version of the pipeline")
    parser.add_argument(
        "--from-task",
        action="append",
        metavar="TASK",
        help="rerun this task and all tasks that depend on it; may be repeated",
    )
    options.add_run_options(parser)
    return parser
