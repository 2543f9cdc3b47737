"""The inputs of a pipeline on the command line: `--arg NAME=VALUE`, `--args-file`, and errors that list the inputs."""

from __future__ import annotations

import argparse
import json
import os
import shlex
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from standpipe.errors import ArgumentError
from standpipe.model.argument_texts import describe_input, parse_argument
from standpipe.model.types import ArtifactInput, is_required

if TYPE_CHECKING:
    from standpipe.dsl.base_component import BaseComponent
    from standpipe.model.types import Input
    from standpipe.worker.artifacts import Artifact

#: What stands for a value in an example, by the name of the type of the input.
_EXAMPLES = {
    "int": "1",
    "float": "0.5",
    "str": "TEXT",
    "bool": "true",
    "list": "[1, 2]",
    "dict": '{"a": 1}',
}


def add_flags(parser: argparse._ActionsContainer) -> None:
    """Add the flags that pass inputs."""
    parser.add_argument(
        *("-a", "--arg"),
        dest="arg",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="an input: a string, JSON for other types, a path or URI for an artifact; may be repeated",
    )
    parser.add_argument("--args-file", metavar="FILE", help="a JSON file with inputs by name; --arg overrides it")


def read_arguments(
    component: BaseComponent, target: str, texts: Sequence[str], file: str | None, command: str = "run"
) -> dict[str, Any]:
    """Return the inputs that a command line passes to a component.

    Args:
        component: the pipeline or component.
        target: the target as it was typed, for the example in the error.
        texts: the values of `--arg`.
        file: the value of `--args-file`; None if there is none.
        command: the command, for the example in the error.

    Raises:
        ArgumentError: if one is not as its flag or its type demands, there is no such input, or required ones are
            missing.
    """
    inputs = passable_inputs(component)
    arguments = read_some(component, texts, file)
    missing = [name for name, declared in inputs.items() if arguments.get(name) is None and is_required(declared)]
    if missing:
        raise ArgumentError(_describe_missing(component, inputs, missing, f"{command} {target}"))
    return arguments


def read_some(component: BaseComponent, texts: Sequence[str], file: str | None) -> dict[str, Any]:
    """Return the inputs that a command line passes to a component, which may have others besides.

    Args:
        component: the pipeline or component.
        texts: the values of `--arg`.
        file: the value of `--args-file`; None if there is none.

    Raises:
        ArgumentError: if one is not as its flag or its type demands, or there is no such input.
    """
    inputs = passable_inputs(component)
    return {**_read_file(component, inputs, file), **_parse_texts(component, inputs, texts)}


def passable_inputs(component: BaseComponent) -> dict[str, Input]:
    """Return the inputs of a component without those that KFP fills in."""
    from standpipe.dsl.functions.interface import SYSTEM_TYPES  # not needed for `--help`

    return {name: each for name, each in component.inputs.items() if each.type not in SYSTEM_TYPES}


def list_files(arguments: Mapping[str, Any]) -> Iterator[str]:
    """Yield the paths of this machine at which artifacts among arguments are."""
    from standpipe.model.locations import to_path  # not needed for scripts

    for _, artifact in _find_artifacts(arguments):
        if path := to_path(artifact.uri):
            yield path


def check_payloads(arguments: Mapping[str, Any], texts: Sequence[str], file: str | None) -> None:
    """Check that something is at the paths of artifacts, before tasks run for hours that need none of them.

    A URI that nothing here can read is a warning: on a cluster, too, a task may use the URI alone.

    Args:
        arguments: the inputs by name.
        texts: the values of `--arg`.
        file: the value of `--args-file`; None if there is none.

    Raises:
        ArgumentError: if nothing is at a path.
    """
    from standpipe.model.locations import redact_uri, to_path  # not needed for scripts

    names = {each.partition("=")[0] for each in texts}
    for name, artifact in _find_artifacts(arguments):
        flag = f"--arg {name}" if name in names else f"--args-file {file}, input {name!r}"
        path = os.path.abspath(to_path(artifact.uri)) if to_path(artifact.uri) else ""
        if path and not os.path.lexists(path):
            raise ArgumentError(
                f"Invalid {flag}: nothing is at {path}. Pass the path of a file or folder, or a URI such as "
                "gs://bucket/object."
            )
        if not path and (problem := _find_problem(artifact)):
            from standpipe.support.notices import warn  # rarely needed

            warn(f"{flag} is {redact_uri(artifact.uri)}: {problem}. Tasks that only use its URI run; others will fail.")


def _find_artifacts(arguments: Mapping[str, Any]) -> Iterator[tuple[str, Artifact]]:
    """Yield the artifacts among arguments, with the names of their inputs."""
    from standpipe.worker.artifacts import Artifact  # not needed for scripts

    for name, value in arguments.items():
        for each in value if isinstance(value, list) else [value]:
            if isinstance(each, Artifact):
                yield name, each


def _find_problem(artifact: Artifact) -> str:
    """Return why nothing can read the URI of an artifact, whatever is there; empty if something may."""
    from standpipe.artifact_stores import clients  # few arguments are URIs
    from standpipe.model.locations import split_scheme
    from standpipe.worker.artifacts import local_path

    is_mounted = local_path(artifact.uri) != artifact.uri
    is_payload = artifact.schema_title.startswith("system.")  # URIs of other types are names of resources
    is_page = split_scheme(artifact.uri)[0] in ("http", "https")
    if is_mounted or is_page or not is_payload or clients.knows(artifact.uri):
        return ""
    return clients.find_problem(artifact.uri)


# --- reading ----------------------------------------------------------------------------------------------------------


def _read_file(component: BaseComponent, inputs: Mapping[str, Input], path: str | None) -> dict[str, Any]:
    if path is None:
        return {}
    from standpipe.model.json_values import InvalidJson, parse_json  # not needed for scripts

    try:
        with open(path, "rb") as file:
            values = parse_json(file.read(), "the file")
    except (OSError, InvalidJson) as error:
        reason = getattr(error, "strerror", None) or error
        raise ArgumentError(
            f"--args-file {path} cannot be read: {reason}. Expected a JSON object with inputs by name."
        ) from error
    if not isinstance(values, Mapping):
        raise ArgumentError(f"Invalid --args-file {path}: expected a JSON object with inputs by name.")
    for name in values:
        _check_name(component, inputs, name, f"--args-file {path}")
    flag = f"--args-file {path}, input"
    return {name: _value(inputs[name], value, f"{flag} {name!r}") for name, value in values.items()}


def _parse_texts(component: BaseComponent, inputs: Mapping[str, Input], texts: Iterable[str]) -> dict[str, Any]:
    arguments = {}
    for each in texts:
        name, equals, text = each.partition("=")
        if not equals:
            raise ArgumentError(f"Invalid --arg {each!r}: expected NAME=VALUE.")
        _check_name(component, inputs, name, f"--arg {name}")
        arguments[name] = _parse(name, text, inputs[name])
    return arguments


def _parse(name: str, text: str, declared: Input) -> Any:
    from standpipe.model.values import ValueMismatch  # not needed for scripts

    try:
        return _value(declared, parse_argument(text, declared), f"--arg {name}")
    except ValueMismatch as mismatch:
        raise ArgumentError(f"Invalid --arg {name}: {mismatch}") from mismatch


def _value(declared: Input, value: Any, flag: str) -> Any:
    """Return the value of an input; for an artifact input, a string is its path or URI."""
    from standpipe.worker.artifacts import BY_TITLE, Artifact  # not needed for scripts

    if not isinstance(declared, ArtifactInput):
        return value
    if isinstance(value, list):
        return [_value(declared, item, flag) for item in value]
    if value == "":  # which `os.path` takes for the current folder
        raise ArgumentError(f"Invalid {flag}: expected a path or URI, got ''.")
    return BY_TITLE.get(declared.type.schema_title, Artifact)(uri=value) if isinstance(value, str) else value


# --- errors -----------------------------------------------------------------------------------------------------------


def _check_name(component: BaseComponent, inputs: Mapping[str, Input], name: str, flag: str) -> None:
    """Raise ArgumentError with all inputs if a component has no such input."""
    if name in inputs:
        return
    if name in component.inputs:
        raise ArgumentError(
            f"Invalid {flag}: KFP fills in the input {name!r}, a {component.inputs[name].type.label}, when the task "
            "runs. Leave it out."
        )
    from standpipe.support.near_misses import suggest  # only a mistake needs it

    listed = "\n".join(_list_inputs(inputs)) or "    none"
    raise ArgumentError(
        f"Invalid {flag}: {_subject(component)} has no input {name!r}.{suggest(name, inputs)} Its inputs are:\n{listed}"
    )


def _describe_missing(
    component: BaseComponent, inputs: Mapping[str, Input], missing: Sequence[str], command: str
) -> str:
    listed = "\n".join(_list_inputs({name: inputs[name] for name in missing}))
    passed = [part for name in missing for part in ("--arg", f"{name}={_example(inputs[name])}")]
    example = shlex.join(["standpipe", *command.split(" ", 1), *passed])
    return (
        f"{_subject(component)} is missing {len(missing)} required input{'s'[: len(missing) > 1]}:\n{listed}\n"
        f"Pass them with --arg or --args-file, for example:\n    {example}"
    )


def _list_inputs(inputs: Mapping[str, Input]) -> Iterator[str]:
    for name, declared in inputs.items():
        description = " ".join(declared.description.split())
        yield f"    {describe_input(name, declared)}{f'    {description}' if description else ''}"


def _example(declared: Input) -> str:
    if isinstance(declared, ArtifactInput):
        return '["PATH"]' if declared.is_list else "PATH"
    if declared.literals:
        first = declared.literals[0]
        return first if isinstance(first, str) else json.dumps(first)
    return _EXAMPLES.get(declared.type.label, '{"a": 1}')


def _subject(component: BaseComponent) -> str:
    return f"{'Pipeline' if component.executor is None else 'Component'} {component.name!r}"
