"""The comment at the top of a compiled file: name, description, inputs and outputs for readers."""

from __future__ import annotations

import itertools

from standpipe.model.types import Json

_DESCRIPTION = "# Description: "
_CONTINUED = "#" + " " * (len(_DESCRIPTION) - 1)
_TITLES = {"inputDefinitions": "# Inputs:", "outputDefinitions": "# Outputs:"}

#: The names of the types of parameters in Python.
_PYTHON_NAMES = {
    "STRING": "str",
    "NUMBER_INTEGER": "int",
    "NUMBER_DOUBLE": "float",
    "LIST": "list",
    "STRUCT": "dict",
    "BOOLEAN": "bool",
    "TASK_FINAL_STATUS": "PipelineTaskFinalStatus",
    "TASK_CONFIG": "TaskConfig",
}


def write_header(spec: dict[str, Json], description: str) -> str:
    """Return the comment for a PipelineSpec, byte for byte as the KFP SDK writes it, with a newline at its end."""
    lines = ["# PIPELINE DEFINITION", f"# Name: {_escape(spec['pipelineInfo']['name'])}"]
    if description:
        lines.append(_DESCRIPTION + f"\n{_CONTINUED}".join(map(_escape, description.splitlines())))
    for field, title in _TITLES.items():
        if field in spec["root"]:
            lines += [title, *_interface(spec["root"][field])]
    return "\n".join(lines) + "\n"


def read_description(text: str) -> str:
    """Return the description in the comment of a compiled file: that of a single component is only there."""
    first, *more = text.partition(f"\n{_DESCRIPTION}")[2].splitlines() or [""]
    continued = itertools.takewhile(lambda line: line.startswith(_CONTINUED), more)
    return "\n".join([first, *(line.removeprefix(_CONTINUED) for line in continued)])


def _interface(definitions: dict[str, Json]) -> list[str]:
    shown = {name: _parameter(item) for name, item in definitions.get("parameters", {}).items()}
    shown |= {name: item["artifactType"]["schemaTitle"] for name, item in definitions.get("artifacts", {}).items()}
    return [_escape(f"#    {name}: {shown[name]}") for name in sorted(shown)]


def _parameter(item: dict[str, Json]) -> str:
    type_name = _PYTHON_NAMES[item["parameterType"]]
    if "defaultValue" not in item:
        return type_name
    default = item["defaultValue"]
    shown = f"'{default}'" if isinstance(default, str) else str(default)
    return f"{type_name} [Default: {shown}]"


def _escape(text: str) -> str:
    """Return text with escaped line breaks and control characters, which would break the comment."""
    return "".join(char if char.isprintable() else char.encode("unicode_escape").decode() for char in text)
