"""`standpipe resume`: resume a run."""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from standpipe.cli import current_code, options, outputs, parsers


def main(arguments: Sequence[str]) -> int:
    """Resume a run, and print its outputs.

    Raises:
        StandpipeError: as `local.resume`.
    """
    own, of_script = current_code.split_arguments(arguments)
    args = make_parser().parse_args(own)
    from standpipe import local  # not needed for `--help`

    pipeline = current_code.load(args, of_script)
    run_options = options.run_options(args)
    outputs.print_outputs(local.resume(args.run, pipeline=pipeline, from_task=args.from_task, **run_options))
    return 0


def make_parser() -> argparse.ArgumentParser:
    """Return the parser of the command."""
    parser = parsers.new_parser(
        "resume",
        "Resume a run that failed, was cancelled or was killed. Tasks that succeeded are not rerun, unless they "
        "have changed. The outputs are printed as JSON.",
        examples=(
            "standpipe resume latest",
            "standpipe resume latest --script train.py  # with the current code",
            "standpipe resume latest --from-task train  # reruns train and what depends on it",
            "standpipe resume latest --script train.py -- --epochs 3  # with arguments of the script",
        ),
    )
    parsers.add_run(parser)
    current_code.add_flags(parser)
    parser.add_argument(
        "--from-task",
        action="append",
        metavar="TASK",
        help="rerun this task and all tasks that depend on it; may be repeated",
    )
    options.add_run_options(parser)
    return parser
