"""`standpipe rerun`: rerun one task of a run."""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from standpipe.cli import current_code, options, outputs

#: How `--debug` with a value begins, and the name of the argument that it becomes.
_DEBUG, _PORT = "--debug=", "--debug-port"


def main(arguments: Sequence[str]) -> int:
    """Rerun a task with the same inputs, and print its outputs.

    Raises:
        StandpipeError: as `local.rerun_task`.
    """
    own, of_script = current_code.split_arguments(arguments)
    # Of an option whose value may be left out, argparse would take RUN for the value.
    args = _parser().parse_args([f"{_PORT}={each[len(_DEBUG) :]}" if each.startswith(_DEBUG) else each for each in own])
    from standpipe import local  # not needed for `--help`

    pipeline = current_code.load(args, of_script)
    run_options = options.run_options(args)
    debug = args.debug if args.port is None else args.port
    outputs.print_outputs(local.rerun_task(args.run, args.task, pipeline=pipeline, debug=debug, **run_options))
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
    parser.add_argument(
        "--debug",
        action="store_true",
        help="run the task under Python's debugger, in this terminal; --debug=PORT waits on the port for an editor "
        "instead, which attaches by debugpy (the extra `debug`)",
    )
    parser.add_argument(_PORT, dest="port", type=int, help=argparse.SUPPRESS)
    current_code.add_flags(parser)
    options.add_run_options(parser)
    return parser
