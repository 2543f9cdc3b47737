"""Plans as text: all that they hold, also what compiled files have no place for, such as artifact classes of authors.

The tables below give each class that a Plan is made of its kind, and each field its name; `store.notation` has the
rules. A new class needs a row in `RECORDS` or `ENUMS`, a new field one in the row of its class.

An object of these classes has its kind at `$` and its fields beside it. Whatever else JSON lacks has a mark, too:

* `{"$": "<kind>", "name": ...}` is the member of an enum;
* `{"$": "tuple", "of": [...]}` is a tuple;
* `{"$": "Redacted", "of": ...}` is a value that has lost a secret (`model.redacted`);
* `{"$": "object", "of": [[key, value], ...]}` is an object that has a key `$` itself;
* `{"$": "Expression", "text": ..., "exact": ...}` is an expression, the second without an exact text of its own.

The id of a Plan is the SHA-256 of its text, which runs and their facts refer to. So a Plan that is stored is never
changed.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from enum import Enum
from typing import Any

from standpipe.errors import StorageError
from standpipe.model import plan as p
from standpipe.model import templates as t
from standpipe.model.expressions import Expression, parse
from standpipe.model.redacted import RedactedList, RedactedObject, RedactedText, mark_as_redacted
from standpipe.model.types import (
    ArtifactInput,
    ArtifactOutput,
    ArtifactType,
    Json,
    ParameterInput,
    ParameterOutput,
    ParameterType,
)
from standpipe.store.notation import Codec, Field, Record, UnknownName
from standpipe.store.plan_redaction import redact_plan
from standpipe.support.redaction import NO_SECRETS, Redactor

_MARK = "$"
_PLAIN: dict[type, type] = {RedactedText: str, RedactedList: list, RedactedObject: dict}
_SCALARS = {str, int, float, bool, type(None)}


def dump(plan: p.Plan, redactor: Redactor = NO_SECRETS) -> tuple[str, str]:
    """Return a Plan as text, without secrets, and its id: the SHA-256 of the text in hexadecimal."""
    body = json.dumps(_encode(redact_plan(plan, redactor) if redactor else plan), separators=(",", ":"))
    return body, hashlib.sha256(body.encode()).hexdigest()


def load(body: str) -> p.Plan:
    """Return the Plan that was dumped.

    Raises:
        StorageError: if the text is not a Plan, or has names that only a newer Standpipe knows.
    """
    try:
        plan = _decode({**json.loads(body), _MARK: "Plan"})
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise StorageError(
            f"The pipeline of the run cannot be read from the run store ({type(error).__name__}: {error}). A newer "
            "Standpipe may have written it: upgrade Standpipe, or start a new run."
        ) from error
    assert isinstance(plan, p.Plan)
    return plan


def _encode(value: Any) -> Json:
    cls = type(value)
    if cls in _SCALARS:
        return value
    if cls in _BY_CLASS:
        record = _BY_CLASS[cls]
        return {_MARK: record.name, **record.encode(value)}
    if cls in _PLAIN:
        return {_MARK: "Redacted", "of": _encode(_PLAIN[cls](value))}
    if isinstance(value, tuple):
        return {_MARK: "tuple", "of": [_encode(item) for item in value]}
    if isinstance(value, list):
        return [_encode(item) for item in value]
    if isinstance(value, Mapping):
        items = {key: _encode(item) for key, item in value.items()}
        return {_MARK: "object", "of": list(items.items())} if _MARK in items else items
    if cls is Expression:
        exact = {"exact": value.exact_text} if value.exact_text else {}
        return {_MARK: "Expression", "text": _encode(value.text), **exact}
    if cls in _ENUM_NAMES:
        kind, names = _ENUM_NAMES[cls]
        return {_MARK: kind, "name": names[value]}
    return value  # a subclass of a JSON type, such as the user's own str; anything else json.dumps refuses


def _decode(item: Json) -> Any:
    if isinstance(item, list):
        return [_decode(each) for each in item]
    if not isinstance(item, dict):
        return item
    if _MARK not in item:
        return {key: _decode(each) for key, each in item.items()}
    kind = item.pop(_MARK)
    if kind in _BY_KIND:
        return _BY_KIND[kind].decode(item)
    if kind == "tuple":
        return tuple(map(_decode, item["of"]))
    if kind == "object":
        return {key: _decode(each) for key, each in item["of"]}
    if kind == "Expression":
        return parse(_decode(item["text"]), item.get("exact", ""))
    if kind == "Redacted":
        return mark_as_redacted(_decode(item["of"]))
    if kind in ENUMS:
        return ENUMS[kind][item["name"]]
    raise UnknownName(f"unknown kind {kind!r}")


_PART = Codec(_encode, _decode)


def _record(cls: type, kind: str, /, **fields: str | tuple[str, ...]) -> Record:
    """Return the record of a class.

    Args:
        cls: the class.
        kind: its stored name.
        fields: the stored name of each attribute, or a tuple of that and the names that it had before.
    """
    names = {attribute: (name,) if isinstance(name, str) else name for attribute, name in fields.items()}
    table = {attribute: Field(name, _PART, tuple(former)) for attribute, (name, *former) in names.items()}
    return Record(cls, kind, table, omits_equal=False)


#: Each class that a Plan is made of; the name of its record is its kind.
RECORDS = (
    _record(
        p.Plan,
        "Plan",
        name="name",
        root="root",
        components="components",
        executors="executors",
        description="description",
        display_name="display_name",
        pipeline_root="pipeline_root",
        platforms="platforms",
    ),
    _record(
        p.Component,
        "Component",
        body="body",
        inputs="inputs",
        outputs="outputs",
        task_config_passthroughs="task_config_passthroughs",
        source_location="source_location",
    ),
    _record(p.Dag, "Dag", nodes="nodes", outputs="outputs"),
    _record(
        p.Node,
        "Node",
        name="name",
        component="component",
        inputs="inputs",
        after="after",
        display_name="display_name",
        trigger="trigger",
        loop="loop",
        retry="retry",
        caching="caching",
        source_location="source_location",
    ),
    _record(p.SourceLocation, "SourceLocation", file="file", line="line"),
    _record(p.Constant, "Constant", value="value"),
    _record(p.FromTask, "FromTask", task="task", output="output", selector="selector"),
    _record(p.FromInput, "FromInput", input="input", selector="selector"),
    _record(p.FinalStatus, "FinalStatus", task="task"),
    _record(p.Trigger, "Trigger", strategy="strategy", condition="condition"),
    _record(p.Loop, "Loop", items="items", item_input="item_input", parallelism="parallelism"),
    _record(p.RawItems, "RawItems", items="items"),
    _record(p.InputItems, "InputItems", input="input"),
    _record(
        p.Retry,
        "Retry",
        max_retries="max_retries",
        backoff_duration="backoff_duration",
        backoff_factor="backoff_factor",
        backoff_max_duration="backoff_max_duration",
    ),
    _record(p.Caching, "Caching", enabled="enabled", key="key"),
    _record(p.ExecutorRef, "ExecutorRef", label="label"),
    _record(p.TaskConfigPassthrough, "TaskConfigPassthrough", field="field", apply_to_task="apply_to_task"),
    _record(p.Container, "Container", image="image", program="program", env="env", resources="resources"),
    _record(
        p.Resources,
        "Resources",
        cpu_request="cpu_request",
        cpu_limit="cpu_limit",
        memory_request="memory_request",
        memory_limit="memory_limit",
        accelerator_type="accelerator_type",
        accelerator_count="accelerator_count",
        numbers="numbers",
    ),
    _record(p.Command, "Command", command="command", args="args"),
    _record(
        p.PythonFunction,
        "PythonFunction",
        name="name",
        source="source",
        packages="packages",
        index_urls="index_urls",
        trusted_hosts="trusted_hosts",
        kfp_requirements="kfp_requirements",
        use_venv="use_venv",
        artifact_classes="artifact_classes",
        layout="layout",
        sections="sections",
        modules="modules",
    ),
    _record(p.OwnModule, "OwnModule", name="name", source="source", file="file", is_package="is_package"),
    _record(p.SourceSection, "SourceSection", start="start", count="count", location="location"),
    _record(
        p.Importer,
        "Importer",
        uri="uri",
        type="type",
        metadata="metadata",
        reimport="reimport",
        download_to_workspace="download_to_workspace",
    ),
    _record(
        ParameterInput,
        "ParameterInput",
        type="type",
        optional="optional",
        default="default",
        description="description",
        literals="literals",
        annotation="annotation",
    ),
    _record(
        ArtifactInput,
        "ArtifactInput",
        type="type",
        is_list="is_list",
        optional="optional",
        description="description",
    ),
    _record(ParameterOutput, "ParameterOutput", type="type", description="description", annotation="annotation"),
    _record(ArtifactOutput, "ArtifactOutput", type="type", is_list="is_list", description="description"),
    _record(ArtifactType, "ArtifactType", schema_title="schema_title", schema_version="schema_version"),
    _record(t.Template, "Template", parts="parts"),
    _record(t.Concat, "Concat", items="items"),
    _record(t.IfPresent, "IfPresent", input="input", then="then", otherwise="otherwise"),
    _record(t.JobField, "JobField", name="name"),
    _record(t.ExecutorInputText, "ExecutorInputText"),
    _record(t.InputParameter, "InputParameter", name="name"),
    _record(t.ArtifactField, "ArtifactField", side="side", name="name", field="field", key="key"),
    _record(t.OutputParameterFile, "OutputParameterFile", name="name"),
    _record(t.OutputFile, "OutputFile"),
    _record(t.JsonEscape, "JsonEscape", times="times", inner="inner"),
)

#: The members of each enum that a Plan holds, by its kind and their stored names.
ENUMS: dict[str, dict[str, Enum]] = {
    "TriggerStrategy": {
        "ALL_UPSTREAM_TASKS_SUCCEEDED": p.TriggerStrategy.ALL_UPSTREAM_TASKS_SUCCEEDED,
        "ALL_UPSTREAM_TASKS_COMPLETED": p.TriggerStrategy.ALL_UPSTREAM_TASKS_COMPLETED,
    },
    "ParameterType": {
        "NUMBER_DOUBLE": ParameterType.NUMBER_DOUBLE,
        "NUMBER_INTEGER": ParameterType.NUMBER_INTEGER,
        "STRING": ParameterType.STRING,
        "BOOLEAN": ParameterType.BOOLEAN,
        "LIST": ParameterType.LIST,
        "STRUCT": ParameterType.STRUCT,
        "TASK_FINAL_STATUS": ParameterType.TASK_FINAL_STATUS,
        "TASK_CONFIG": ParameterType.TASK_CONFIG,
    },
}

_BY_CLASS = {record.cls: record for record in RECORDS}
_BY_KIND = {record.name: record for record in RECORDS}
_ENUM_NAMES = {
    type(next(iter(members.values()))): (kind, {member: name for name, member in members.items()})
    for kind, members in ENUMS.items()
}
