"""`standpipe resume`: resume a run."""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from standpipe.cli import current_code, options, outputs


def main(arguments: Sequence[str]) -> int:
    """Resume a run, and print its outputs.

    Raises:
        StandpipeError: as `local.resume`.
    """
    own, of_script = current_code.split_arguments(arguments)
    args = _parser().parse_args(own)
    from standpipe import local  # not needed for `--help`

    pipeline = current_code.load(args, of_script)
    run_options = options.run_options(args)
    outputs.print_outputs(local.resume(args.run, pipeline=pipeline, from_task=args.from_task, **run_options))
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
    current_code.add_flags(parser)
    parser.add_argument(
        "--from-task",
        action="append",
        metavar="TASK",
        help="rerun this task and all tasks that depend on it; may be repeated",
    )
    options.add_run_options(parser)
    return parser
