"""`standpipe run`: a KFP script as it is, or a compiled pipeline with arguments."""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from standpipe.cli import options as shared
from standpipe.cli import outputs
from standpipe.errors import ArgumentError

if TYPE_CHECKING:
    from standpipe.dsl.base_component import BaseComponent
    from standpipe.model.types import Input

_COMPILED = (".yaml", ".yml", ".json")


def main(arguments: Sequence[str]) -> int:
    """Runs what the first argument names: a script, which gets all others, or a compiled file.

    Raises:
        ArgumentError: if the file or the arguments make no sense.
        StandpipeError: as `local.run`, for a compiled file.
        BaseException: whatever a script raises.
    """
    if arguments and not arguments[0].startswith("-") and not arguments[0].endswith(_COMPILED):
        from standpipe.cli import script  # with the names of KFP, which compiled files do without

        script.load(arguments[0], arguments[1:])
        return 0
    options = _parser().parse_args(arguments)
    if not options.file.endswith(_COMPILED):
        raise ArgumentError(
            f"{options.file} is taken for a script, and the options of `standpipe run` are for compiled files "
            f"({', '.join(_COMPILED)}). A script says them itself, with local.init(...). Put its own behind its name."
        )
    _run_compiled(options)
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        "standpipe run",
        usage="standpipe run SCRIPT [ARGUMENT ...]\n       standpipe run FILE [options]",
        description=(
            "Runs a Python script that was written for the KFP SDK, unchanged, with all arguments behind its name; "
            "or a compiled pipeline or component, whose outputs are printed as JSON."
        ),
    )
    parser.add_argument("file", metavar="FILE", help="a script, or a compiled file: .yaml, .yml or .json")
    compiled = parser.add_argument_group("options for compiled files")
    compiled.add_argument(
        *("-a", "--arg"),
        dest="given",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="an input: text, JSON if the input is no text, a path or address for an artifact; may be repeated",
    )
    compiled.add_argument("--args-file", metavar="FILE", help="a JSON file with inputs by name; --arg goes before it")
    shared.add_run_options(compiled)
    return parser


def _run_compiled(options: argparse.Namespace) -> None:
    from standpipe import components, local  # of no use to `--help`

    component = components.load_component_from_file(options.file)
    arguments = {**_read_arguments(component, options.args_file), **_parse_arguments(component, options.given)}
    outputs.show(local.run(component, arguments, **shared.run_options(options)))


def _read_arguments(component: BaseComponent, path: str | None) -> dict[str, Any]:
    if path is None:
        return {}
    try:
        with open(path, encoding="utf-8") as file:
            given = json.load(file)
    except (OSError, ValueError) as error:
        raise ArgumentError(f"--args-file {path} cannot be read: {error}. A JSON object is wanted.") from error
    if not isinstance(given, Mapping):
        raise ArgumentError(f"--args-file {path} must hold a JSON object: the inputs by name.")
    return {name: _value(component.inputs.get(name), value) for name, value in given.items()}


def _parse_arguments(component: BaseComponent, given: Sequence[str]) -> dict[str, Any]:
    arguments = {}
    for each in given:
        name, equals, text = each.partition("=")
        if not equals:
            raise ArgumentError(f"--arg {each!r} has no `=`: write --arg NAME=VALUE.")
        arguments[name] = _parse(name, text, component.inputs.get(name))
    return arguments


def _parse(name: str, text: str, declared: Input | None) -> Any:
    """The value that a text stands for. What has no such input is left to the check that all runs make."""
    from standpipe.model.types import ParameterInput  # of no use to scripts
    from standpipe.model.values import ValueMismatch, from_text

    if isinstance(declared, ParameterInput):
        try:
            return from_text(text, declared.type)
        except ValueMismatch as mismatch:
            raise ArgumentError(f"--arg {name}: {mismatch}. It is read as JSON.") from mismatch
    if declared is not None and declared.is_list:
        try:
            return _value(declared, json.loads(text))
        except ValueError as error:
            raise ArgumentError(f"--arg {name}: a JSON list of paths or addresses is wanted: {error}.") from error
    return _value(declared, text)


def _value(declared: Input | None, value: Any) -> Any:
    """A value of an input: where an artifact is wanted, text says where it is."""
    from standpipe.model.types import ArtifactInput
    from standpipe.worker.artifacts import BY_TITLE, Artifact  # of no use to scripts

    if not isinstance(declared, ArtifactInput):
        return value
    if isinstance(value, list):
        return [_value(declared, item) for item in value]
    return BY_TITLE.get(declared.type.schema_title, Artifact)(uri=value) if isinstance(value, str) else value
