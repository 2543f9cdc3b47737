"""The flags of commands that take the code of a pipeline as it is now, and what they import."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import TYPE_CHECKING

from standpipe.cli import parsers
from standpipe.model.layout import COMPILED_ENDINGS

if TYPE_CHECKING:
    from standpipe.dsl.base_component import BaseComponent


def split_arguments(arguments: Sequence[str]) -> tuple[Sequence[str], Sequence[str]]:
    """Return the arguments of the command, and those after `--`, which are for the script."""
    if "--" not in arguments:
        return arguments, ()
    end = list(arguments).index("--")
    return arguments[:end], arguments[end + 1 :]


def add_flags(parser: argparse.ArgumentParser) -> None:
    """Add the flags that take the current code; without them, the code that was recorded runs."""
    parsers.add_note(parser, "Arguments after `--` are those of the script or module.")
    group = parser.add_mutually_exclusive_group()
    group.add_argument(
        "--script",
        metavar="FILE",
        help="the script or compiled file with the pipeline as it is now; without it, the recorded code runs",
    )
    group.add_argument(
        "--module", metavar="NAME", help="the same for a module, as `python -m NAME` finds it from this folder"
    )


def load(options: argparse.Namespace, arguments: Sequence[str]) -> BaseComponent | None:
    """Return the pipeline as it is now; None if no flag takes it.

    Args:
        options: the parsed flags.
        arguments: the arguments of the script.

    Raises:
        ArgumentError: if the script or module cannot be imported, or does not define the pipeline of the run.
    """
    if options.script is None and options.module is None:
        return None
    if options.script and options.script.endswith(COMPILED_ENDINGS):
        from standpipe import components  # brings protobuf and YAML, which scripts do without

        return components.load_component_from_file(options.script)
    from standpipe.cli import script  # installs the names of KFP, which only scripts need
    from standpipe.runs.current_code import IMPORTED_SCRIPT, defined_pipeline
    from standpipe.runs.options import find_state_folder
    from standpipe.support.paths import absolute_path

    if options.module is not None:
        script.load_module(options.module, arguments)
    else:
        script.load(
            options.script, arguments, IMPORTED_SCRIPT, expected="the Python script with the pipeline of the run"
        )
    root = absolute_path("pipeline_root", find_state_folder(vars(options)))
    return defined_pipeline(root, options.run, options.script or options.module)
