"""`standpipe run`: run a KFP script unchanged, or a compiled pipeline with arguments."""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from standpipe.cli import options as shared
from standpipe.cli import outputs
from standpipe.errors import ArgumentError
from standpipe.model.layout import COMPILED_ENDINGS

if TYPE_CHECKING:
    from standpipe.dsl.base_component import BaseComponent
    from standpipe.model.types import Input


def main(arguments: Sequence[str]) -> int:
    """Run a script, which gets all other arguments, or a compiled file.

    Raises:
        ArgumentError: if the file or the arguments are invalid.
        StandpipeError: as `local.run`, for a compiled file.
        BaseException: whatever a script raises.
    """
    if arguments and not arguments[0].startswith("-") and not arguments[0].endswith(COMPILED_ENDINGS):
        from standpipe.cli import script  # installs the names of KFP, which only scripts need

        expected = "a KFP script, a compiled pipeline, or a command of `standpipe --help`"
        script.load(arguments[0], arguments[1:], expected=expected)
        return 0
    options = _parser().parse_args(arguments)
    if not options.file.endswith(COMPILED_ENDINGS):
        raise ArgumentError(
            f"Invalid options for script {options.file}: the options of `standpipe run` are for compiled files "
            f"({', '.join(COMPILED_ENDINGS)}). Configure a script in its code, with local.init(...), and put its own "
            "options after its name."
        )
    _run_compiled(options)
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        "standpipe run",
        allow_abbrev=False,
        usage="standpipe run SCRIPT [ARGUMENT ...]\n       standpipe run FILE [options]",
        description=(
            "Run a Python script that was written for the KFP SDK, unchanged, with all arguments after its name; or a "
            "compiled pipeline or component, whose outputs are printed as JSON."
        ),
    )
    parser.add_argument("file", metavar="FILE", help="a script, or a compiled file: .yaml, .yml or .json")
    compiled = parser.add_argument_group("options for compiled files")
    compiled.add_argument(
        *("-a", "--arg"),
        dest="arg",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="an input: a string, JSON for other types, a path or URI for an artifact; may be repeated",
    )
    compiled.add_argument("--args-file", metavar="FILE", help="a JSON file with inputs by name; --arg overrides it")
    shared.add_run_options(compiled)
    return parser


def _run_compiled(options: argparse.Namespace) -> None:
    from standpipe import components, local  # not needed for `--help`

    component = components.load_component_from_file(options.file)
    arguments = {**_read_arguments(component, options.args_file), **_parse_arguments(component, options.arg)}
    outputs.print_outputs(local.run(component, arguments, **shared.run_options(options)))


def _read_arguments(component: BaseComponent, path: str | None) -> dict[str, Any]:
    if path is None:
        return {}
    from standpipe.model.json_values import InvalidJson, parse_json  # not needed for scripts

    try:
        with open(path, "rb") as file:
            values = parse_json(file.read(), "the file")
    except (OSError, InvalidJson) as error:
        raise ArgumentError(
            f"--args-file {path} cannot be read: {error}. Expected a JSON object with inputs by name."
        ) from error
    if not isinstance(values, Mapping):
        raise ArgumentError(f"Invalid --args-file {path}: expected a JSON object with inputs by name.")
    return {name: _value(component.inputs.get(name), value) for name, value in values.items()}


def _parse_arguments(component: BaseComponent, texts: Sequence[str]) -> dict[str, Any]:
    arguments = {}
    for each in texts:
        name, equals, text = each.partition("=")
        if not equals:
            raise ArgumentError(f"Invalid --arg {each!r}: expected NAME=VALUE.")
        arguments[name] = _parse(name, text, component.inputs.get(name))
    return arguments


def _parse(name: str, text: str, declared: Input | None) -> Any:
    """Return the value of an input. Unknown inputs are left to the check of arguments that every run makes."""
    from standpipe.model.argument_texts import parse_argument  # not needed for scripts
    from standpipe.model.values import ValueMismatch

    if declared is None:
        return text
    try:
        return _value(declared, parse_argument(text, declared))
    except ValueMismatch as mismatch:
        raise ArgumentError(f"Invalid --arg {name}: {mismatch}") from mismatch


def _value(declared: Input | None, value: Any) -> Any:
    """Return the value of an input; for an artifact input, a string is its path or URI."""
    from standpipe.model.types import ArtifactInput
    from standpipe.worker.artifacts import BY_TITLE, Artifact  # not needed for scripts

    if not isinstance(declared, ArtifactInput):
        return value
    if isinstance(value, list):
        return [_value(declared, item) for item in value]
    return BY_TITLE.get(declared.type.schema_title, Artifact)(uri=value) if isinstance(value, str) else value
