"""`standpipe rerun`: rerun one task of a run."""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from standpipe.cli import current_code, options, outputs


def main(arguments: Sequence[str]) -> int:
    """Rerun a task with the same inputs, and print its outputs.

    Raises:
        StandpipeError: as `local.rerun_task`.
    """
    own, of_script = current_code.split_arguments(arguments)
    args = _parser().parse_args(own)
    from standpipe import local  # not needed for `--help`

    pipeline = current_code.load(args, of_script)
    run_options = options.run_options(args)
    outputs.print_outputs(local.rerun_task(args.run, args.task, pipeline=pipeline, debug=args.debug, **run_options))
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        "standpipe rerun",
        allow_abbrev=False,
        description=("Rerun one task of a run, with the same inputs, as a new run. The outputs are printed as JSON."),
    )
    parser.add_argument(
        "run", metavar="RUN", help="the id of a run, a unique beginning of it, or `latest`, which is not a rerun"
    )
    parser.add_argument("task", metavar="TASK", help="the name or the path of a task, such as for-loop-1/2/train")
    parser.add_argument("--debug", action="store_true", help="run the task under Python's debugger, in this terminal")
    current_code.add_flags(parser)
    options.add_run_options(parser)
    return parser
