"""Text with placeholders.

KFP writes placeholders into text as `{{$...}}`: into the constants that tasks receive, and into the commands of
containers. Such text is parsed into a `Template` once, when a Plan is made. At run time nothing is parsed, so a *value*
that contains `{{$...}}` stays data. Everything that is not a placeholder of KFP is plain text.

The forms are those of the KFP backend (`placeholder` resolution in its driver and launcher).
"""

from __future__ import annotations

import json
import re
from typing import Union

from standpipe.model.frozen import frozen
from standpipe.model.types import Json


@frozen
class JobField:
    """A property of the run or the task, such as `{{$.pipeline_job_name}}`."""

    name: str

    def __str__(self) -> str:
        return "{{$." + self.name + "}}"


@frozen
class ExecutorInputText:
    """The whole executor input as JSON: `{{$}}`."""

    def __str__(self) -> str:
        return "{{$}}"


@frozen
class InputParameter:
    """The value of an input parameter: `{{$.inputs.parameters['x']}}`."""

    name: str

    def __str__(self) -> str:
        return "{{$.inputs.parameters['" + self.name + "']}}"


@frozen
class ArtifactField:
    """A field of an input or output artifact.

    `side` is `inputs` or `outputs`; `field` is `uri`, `path`, `metadata`, or empty for the whole list of artifacts as
    JSON; `key` selects one entry of the metadata.
    """

    side: str
    name: str
    field: str = ""
    key: str = ""

    def __str__(self) -> str:
        field = f".{self.field}" if self.field else ""
        key = f"['{self.key}']" if self.key else ""
        return "{{$." + self.side + ".artifacts['" + self.name + "']" + field + key + "}}"


@frozen
class OutputParameterFile:
    """The file that a container writes an output parameter to: `{{$.outputs.parameters['x'].output_file}}`."""

    name: str

    def __str__(self) -> str:
        return "{{$.outputs.parameters['" + self.name + "'].output_file}}"


@frozen
class OutputFile:
    """The file that a container writes its executor output to: `{{$.outputs.output_file}}`."""

    def __str__(self) -> str:
        return "{{$.outputs.output_file}}"


@frozen
class JsonEscape:
    """An inner placeholder whose value is escaped `times` times as in a JSON string: `{{$.json_escape[1].x}}`."""

    times: int
    inner: Placeholder

    def __str__(self) -> str:
        return "{{$.json_escape[" + str(self.times) + "]" + str(self.inner)[len("{{$") :]


Placeholder = Union[
    JobField, ExecutorInputText, InputParameter, ArtifactField, OutputParameterFile, OutputFile, JsonEscape
]

#: The properties of the run and the task that KFP's driver resolves, without the leading `$.`.
JOB_FIELDS = (
    "pipeline_job_name",
    "pipeline_job_resource_name",
    "pipeline_job_uuid",
    "pipeline_job_create_time_utc",
    "pipeline_job_schedule_time_utc",
    "pipeline_task_name",
    "pipeline_task_uuid",
    "pipeline_root",
    "workspace_path",
)

#: A verbose pattern. It is compiled when the first text with a placeholder is parsed.
_PLACEHOLDER = r"""
    \{\{\$
    (?P<escape> \.json_escape\[(?P<times>\d+)\] )?
    (?:
        \.(?P<job> %s )
      | \.inputs\.parameters\['(?P<parameter>[^'\]]+)'\]
      | \.(?P<side>inputs|outputs)\.artifacts\['(?P<artifact>[^'\]]+)'\]
        (?: \.(?P<field>uri|path|metadata) (?: \['(?P<key>[^'\]]+)'\] )? )?
      | \.outputs\.parameters\['(?P<file_of>[^'\]]+)'\]\.output_file
      | \.outputs\.(?P<output_file>output_file)
    )?
    \}\}
    """ % "|".join(JOB_FIELDS)


@frozen
class Template:
    """Text with placeholders: pieces of text and placeholders, in order."""

    parts: tuple[str | Placeholder, ...]

    def __str__(self) -> str:
        return "".join(map(str, self.parts))


@frozen
class IfPresent:
    """An argument of a container that depends on whether an input has a value (null does not count as a value).

    `then` and `otherwise` are one argument each or, as a tuple, several.
    """

    input: str
    then: Argument | tuple[Argument, ...]
    otherwise: Argument | tuple[Argument, ...] | None = None

    def as_struct(self) -> Json:
        body = {"InputName": self.input, "Then": _branch_struct(self.then)}
        if self.otherwise is not None:
            body["Else"] = _branch_struct(self.otherwise)
        return {"IfPresent": body}

    def __str__(self) -> str:
        return json.dumps(self.as_struct())


@frozen
class Concat:
    """An argument of a container that joins several."""

    items: tuple[Argument, ...]

    def as_struct(self) -> Json:
        return {"Concat": [_struct(item) for item in self.items]}

    def __str__(self) -> str:
        return json.dumps(self.as_struct())


#: One argument of the command of a container. Plain text stays a `str`.
Argument = Union[str, Template, IfPresent, Concat]


def _struct(argument: Argument) -> Json:
    return argument.as_struct() if isinstance(argument, (IfPresent, Concat)) else str(argument)


def _branch_struct(branch: Argument | tuple[Argument, ...]) -> Json:
    return [_struct(item) for item in branch] if isinstance(branch, tuple) else _struct(branch)


def parse_text(text: str) -> str | Template:
    """Parse text: return a Template that prints as the same text, or the text itself if it has no placeholder."""
    if "{{$" not in text:
        return text
    parts: list[str | Placeholder] = []
    end = 0
    for match in re.finditer(_PLACEHOLDER, text, re.VERBOSE):
        placeholder = _placeholder(match)
        if placeholder is None:
            continue
        if match.start() > end:
            parts.append(text[end : match.start()])
        parts.append(placeholder)
        end = match.end()
    if not parts:
        return text
    if end < len(text):
        parts.append(text[end:])
    return Template(tuple(parts))


def _placeholder(match: re.Match[str]) -> Placeholder | None:
    got = match.groupdict()
    inner: Placeholder
    if got["job"]:
        inner = JobField(got["job"])
    elif got["parameter"]:
        inner = InputParameter(got["parameter"])
    elif got["artifact"]:
        inner = ArtifactField(got["side"], got["artifact"], got["field"] or "", got["key"] or "")
    elif got["file_of"]:
        inner = OutputParameterFile(got["file_of"])
    elif got["output_file"]:
        inner = OutputFile()
    elif got["escape"]:
        return None  # KFP has no escape without an inner placeholder: plain text
    else:
        return ExecutorInputText()
    return JsonEscape(int(got["times"]), inner) if got["escape"] else inner


def parse_argument(text: str) -> Argument:
    """Parse one argument of a compiled command: text, a Template, or a structure that KFP writes as JSON."""
    if text.startswith(('{"IfPresent": ', '{"Concat": ')):
        try:
            parsed = _from_struct(json.loads(text))
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
            return parse_text(text)  # text of the user that only looks like a structure
        if str(parsed) == text:
            return parsed
    return parse_text(text)


def _from_struct(struct: Json) -> Argument:
    if isinstance(struct, str):
        return parse_text(struct)
    (kind, body), *rest = struct.items()
    if rest:
        raise ValueError("expected a placeholder structure with one key")
    if kind == "Concat":
        return Concat(tuple(_from_struct(item) for item in body))
    if kind == "IfPresent":
        otherwise = _branch(body["Else"]) if "Else" in body else None
        return IfPresent(body["InputName"], _branch(body["Then"]), otherwise)
    raise ValueError(f"unknown placeholder structure {kind!r}")


def _branch(struct: Json) -> Argument | tuple[Argument, ...]:
    return tuple(map(_from_struct, struct)) if isinstance(struct, list) else _from_struct(struct)


def parse_value(value: Json) -> Json:
    """Parse a constant: return a copy in which every text with placeholders is a Template."""
    if isinstance(value, str):
        return parse_text(value)
    if isinstance(value, list):
        return [parse_value(item) for item in value]
    if isinstance(value, dict):
        return {key: parse_value(item) for key, item in value.items()}
    return value


def print_value(value: Json) -> Json:
    """Return a constant as plain JSON with the placeholders as text: the inverse of `parse_value`."""
    if isinstance(value, Template):
        return str(value)
    if isinstance(value, list):
        return [print_value(item) for item in value]
    if isinstance(value, dict):
        return {key: print_value(item) for key, item in value.items()}
    return value
