"""`standpipe rerun`: rerun one task of a run."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from standpipe.cli import arguments as inputs
from standpipe.cli import current_code, options, outputs, parsers

if TYPE_CHECKING:
    from standpipe.dsl.base_component import BaseComponent

#: How `--debug` with a value begins, and the name of the argument that it becomes.
_DEBUG, _PORT = "--debug=", "--debug-port"


def main(arguments: Sequence[str]) -> int:
    """Rerun a task with the same inputs, and print its outputs.

    Raises:
        StandpipeError: as `local.rerun_task`.
    """
    own, of_script = current_code.split_arguments(arguments)
    # Of an option whose value may be left out, argparse would take RUN for the value.
    args = make_parser().parse_args(
        [f"{_PORT}={each[len(_DEBUG) :]}" if each.startswith(_DEBUG) else each for each in own]
    )
    from standpipe import local  # not needed for `--help`

    pipeline = current_code.load(args, of_script)
    run_options = options.run_options(args)
    debug = args.debug if args.port is None else args.port

    def read_arguments(component: BaseComponent) -> dict[str, Any]:
        values = inputs.read_some(component, args.arg, args.args_file)
        inputs.check_payloads(values, args.arg, args.args_file)
        return values

    task = local.rerun_task(
        args.run, args.task, pipeline=pipeline, debug=debug, arguments=read_arguments, **run_options
    )
    outputs.print_outputs(task)
    return 0


def make_parser() -> argparse.ArgumentParser:
    """Return the parser of the command."""
    parser = parsers.new_parser(
        "rerun",
        "Rerun one task of a run, with the same inputs, as a new run. The outputs are printed as JSON.",
        examples=(
            "standpipe rerun latest train  # with the recorded code",
            "standpipe rerun latest train --script train.py  # with the current code",
            "standpipe rerun latest for-loop-1/2/train --debug -a epochs=1  # under the debugger, with another input",
            "standpipe rerun latest train --debug=5678  # waits for an editor",
        ),
    )
    parsers.add_run(parser)
    parser.add_argument("task", metavar="TASK", help="the name or the path of a task, such as for-loop-1/2/train")
    parser.add_argument(
        "--debug",
        action="store_true",
        help="run the task under Python's debugger, in this terminal; --debug=PORT waits on the port for an editor "
        "instead, which attaches by debugpy (the extra `debug`)",
    )
    parser.add_argument(_PORT, dest="port", type=parsers.whole_number, help=argparse.SUPPRESS)
    inputs.add_flags(parser)
    current_code.add_flags(parser)
    options.add_run_options(parser)
    return parser
