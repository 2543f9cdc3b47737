"""The stored names: every class and field has one, and no renaming in Python changes it."""

from __future__ import annotations

import enum
import json
from collections.abc import Iterable, Iterator
from dataclasses import MISSING, Field, fields, is_dataclass
from typing import Any, get_args, get_type_hints

import pytest

from standpipe.model import events as e
from standpipe.model import expressions, templates, types, values
from standpipe.model.plan import Plan
from standpipe.model.refs import TaskRef
from standpipe.model.resources import ResourceRequest
from standpipe.model.states import TaskState
from standpipe.store import facts, notation, plans
from standpipe.store.notation import Record

FACT_RECORDS = facts.RECORDS
NESTED_RECORDS = (
    *(facts.FAILURE, facts.CODE_LOCATION, facts.REPORT, facts.RESOURCES),
    *(notation.ARTIFACT, notation.ARTIFACT_TYPE, notation.CHECKSUM),
)

#: What annotations of the model may name.
NAMES = {name: item for module in (expressions, templates, types, values) for name, item in vars(module).items()}

#: What is written without a record: references to tasks as lists of steps, expressions as text, enums by name.
WITHOUT_RECORD = {TaskRef, expressions.Expression}

#: The stored names of facts, each with its default value and its former names. Never change or remove one: an old store
#: has it. A name may be added. A default value is part of the notation, because it is not stored.
FACT_NAMES = """
RunStarted: inputs
DagStarted: task, inputs
LoopStarted: task, inputs, items
IterationStarted: task, item
TaskReady: task, inputs, resources={} (needs)
AttemptStarted: task, attempt, started_at=0.0 (at), gpus=[]
AttemptFailed: task, attempt, max_attempts (attempts), failure, failed_at (at), retry_delay (delay), report=null, is_lost=false
TaskSucceeded: task, outputs, report=null, cached_from="" (cached)
TaskFailed: task, failure, report=null
TaskSkipped: task, reason (because)
TaskCancelled: task, report=null
RunCancelled: reason="", failures=[]
RunResumed: rerun_tasks (again), plan="", inputs={}, resumed_at=0.0
RunEnded: state, outputs, failures=[]
Failure: message, detail="", hint="", exit_code=null, signal=null, out_of_memory=false, cause_task=null (within),
    attempts=0, log_tail="" (printed), location=null
CodeLocation: file, line, function, code=""
Report: seconds, cpu_seconds=null, peak_memory=null, log_bytes=0, log_lines=0, warm_imports=false
Resources: cpu=0.0, memory=0, gpus=0, cpu_limit=null, memory_limit=null, unavailable="" (lacking), accelerator=""
Artifact: name, type, uri, metadata={}, custom_path="", checksum=null (seal), registry_request=null
ArtifactType: schema_title, schema_version="0.0.1"
Checksum: digest, size, signature
"""  # noqa: E501

#: The same for Plans.
PLAN_NAMES = """
Plan: name, root, components, executors, description="", display_name="", pipeline_root="", platforms={}
Component: body, inputs={}, outputs={}, task_config_passthroughs={"$":"tuple","of":[]}, source_location=null
Dag: nodes, outputs={}
Node: name, component, inputs={}, after={"$":"tuple","of":[]}, display_name="", trigger={"$":"Trigger"}, loop=null,
    retry=null, caching={"$":"Caching"}, source_location=null
SourceLocation: file, line
Constant: value
FromTask: task, output, selector=null
FromInput: input, selector=null
FinalStatus: task
Trigger: strategy={"$":"TriggerStrategy","name":"ALL_UPSTREAM_TASKS_SUCCEEDED"}, condition=null
Loop: items, item_input, parallelism=0
RawItems: items
InputItems: input
Retry: max_retries=0, backoff_duration=0.0, backoff_factor=2.0, backoff_max_duration=3600.0
Caching: enabled=true, key=""
ExecutorRef: label
TaskConfigPassthrough: field, apply_to_task=false
Container: image, program, env={}, resources={"$":"Resources"}
Resources: cpu_request="", cpu_limit="", memory_request="", memory_limit="", accelerator_type="",
    accelerator_count="", numbers={"$":"tuple","of":[]}
Command: command={"$":"tuple","of":[]}, args={"$":"tuple","of":[]}
PythonFunction: name, source, packages={"$":"tuple","of":[]}, index_urls={"$":"tuple","of":[]}, trusted_hosts=null,
    kfp_requirements={"$":"tuple","of":[]}, use_venv=false, artifact_classes={}, layout="",
    sections={"$":"tuple","of":[]}, modules={"$":"tuple","of":[]}
OwnModule: name, source="", file="", is_package=false
SourceSection: start, count, location
Importer: uri, type, metadata={}, reimport=false, download_to_workspace=false
ParameterInput: type, optional=false, default=null, description="", literals={"$":"tuple","of":[]}, annotation=""
ArtifactInput: type, is_list=false, optional=false, description=""
ParameterOutput: type, description="", annotation=""
ArtifactOutput: type, is_list=false, description=""
ArtifactType: schema_title, schema_version="0.0.1"
Template: parts
Concat: items
IfPresent: input, then, otherwise=null
JobField: name
ExecutorInputText:
InputParameter: name
ArtifactField: side, name, field="", key=""
OutputParameterFile: name
OutputFile:
JsonEscape: times, inner
"""

ENUM_NAMES = {
    "TriggerStrategy": ["ALL_UPSTREAM_TASKS_SUCCEEDED", "ALL_UPSTREAM_TASKS_COMPLETED"],
    "ParameterType": [
        *("NUMBER_DOUBLE", "NUMBER_INTEGER", "STRING", "BOOLEAN", "LIST", "STRUCT"),
        *("TASK_FINAL_STATUS", "TASK_CONFIG"),
    ],
}
STATE_NAMES = ["PENDING", "READY", "RUNNING", "SUCCEEDED", "FAILED", "SKIPPED", "CANCELLED"]


def written(records: Iterable[Record]) -> Iterator[str]:
    """Write down the names of records, one record a line."""
    for record in records:
        declared = {field.name: field for field in fields(record.cls)}
        names = [
            f"{field.name}{default_of(declared[attribute], field.codec)}" + "".join(f" ({old})" for old in field.former)
            for attribute, field in record.fields.items()
        ]
        yield f"{record.name}: {', '.join(names)}".rstrip()


def default_of(field: Field[Any], codec: notation.Codec) -> str:
    """Write down the default value of a field as it is stored; empty if it has none."""
    if field.default is field.default_factory is MISSING:
        return ""
    default = field.default if field.default_factory is MISSING else field.default_factory()
    return "=" + json.dumps(codec.encode(default) if codec.encode else default, separators=(",", ":"))


def lines(text: str) -> list[str]:
    """Return the records of a table above; a record that is longer than a line continues in an indented one."""
    return text.strip().replace("\n    ", " ").split("\n")


def classes_in(annotation: Any) -> Iterator[type]:
    """Yield our classes that an annotation names."""
    if isinstance(annotation, type) and (is_dataclass(annotation) or issubclass(annotation, (enum.Enum, TaskRef))):
        yield annotation
    for argument in get_args(annotation):
        yield from classes_in(argument)


def classes_below(*roots: type) -> list[type]:
    """Return the classes that objects of some classes are made of, themselves included."""
    found = dict.fromkeys(roots)
    waiting = list(roots)
    for cls in waiting:  # the loop appends to it
        if not is_dataclass(cls) or cls in WITHOUT_RECORD:
            continue
        hints = get_type_hints(cls, localns=NAMES)
        new = [inner for hint in hints.values() for inner in classes_in(hint) if inner not in found]
        found.update(dict.fromkeys(new))
        waiting += new
    return list(found)


FACTS = (classes_below(*get_args(e.Fact)), (*FACT_RECORDS, *NESTED_RECORDS), {TaskState})
PLANS = (classes_below(Plan), plans.RECORDS, {type(next(iter(names.values()))) for names in plans.ENUMS.values()})


@pytest.mark.parametrize(("classes", "records", "enums"), [FACTS, PLANS], ids=["facts", "plans"])
def test_each_class_and_field_has_a_stored_name(
    classes: list[type], records: tuple[Record, ...], enums: set[type]
) -> None:
    by_class = {record.cls: record for record in records}
    assert len(by_class) == len(records)
    for cls in classes:
        if cls in enums or cls in WITHOUT_RECORD:
            continue
        assert cls in by_class, f"{cls.__name__} has no stored name: add a Record to the table in store/"
        named = set(by_class[cls].fields)
        declared = {field.name for field in fields(cls)}
        assert declared <= named, f"{cls.__name__}: add a stored name for {declared - named} to its Record in store/"
        assert named <= declared, f"{cls.__name__} has no {named - declared}: change the Python side of its Record"
    assert set(by_class) <= set(classes), "a Record of a class that nothing holds"


@pytest.mark.parametrize("names", [facts.STATES, *plans.ENUMS.values()], ids=["TaskState", *plans.ENUMS])
def test_each_member_of_an_enum_has_a_stored_name(names: dict[str, enum.Enum]) -> None:
    cls = type(next(iter(names.values())))
    assert set(names.values()) == set(cls), f"add the stored names of all members of {cls.__name__}"


@pytest.mark.parametrize("record", [*FACT_RECORDS, *NESTED_RECORDS, *plans.RECORDS], ids=lambda record: record.name)
def test_a_stored_name_stands_for_one_field(record: Record) -> None:
    names = [name for field in record.fields.values() for name in (field.name, *field.former)]
    assert len(names) == len(set(names))


def test_a_kind_stands_for_one_class() -> None:
    marks = ["tuple", "object", "Expression", *plans.ENUMS]
    for kinds in ([record.name for record in FACT_RECORDS], [*(record.name for record in plans.RECORDS), *marks]):
        assert len(kinds) == len(set(kinds))


def test_no_stored_name_has_changed() -> None:
    because = "a stored name or default value has changed: old stores have the old one (see store/notation.py)"
    assert list(written((*FACT_RECORDS, *NESTED_RECORDS))) == lines(FACT_NAMES), because
    assert list(written(plans.RECORDS)) == lines(PLAN_NAMES), because
    assert {kind: list(names) for kind, names in plans.ENUMS.items()} == ENUM_NAMES, because
    assert list(facts.STATES) == STATE_NAMES, because


TASK = TaskRef((("loop", 3), ("train", None)))
LOCATION = e.CodeLocation("/train.py", 34, "train", "raise ValueError")
FAILURE = e.Failure("boom", "Traceback", "look", 1, 9, True, TASK, 3, "the last line", LOCATION)
REPORT = e.AttemptReport(1.5, 1.0, 1024, 20, 2, warm_imports=True)
RESOURCES = ResourceRequest(1.0, 1024, 1, 2.0, 2048, "3 accelerators", "nvidia.com/gpu")
CHECKSUM = values.Checksum("sha256:00", 3, "3-1-1-1")
ARTIFACT = values.ArtifactValue(
    "m", types.ArtifactType("system.Model", "0.0.2"), "/m", {"a": 1}, "/c", CHECKSUM, {"model_name": "n"}
)
STATE = TaskState.FAILED

#: Of each class, an object with a value other than the default in each field.
EXAMPLES: tuple[Any, ...] = (
    e.RunStarted({"x": 1}),
    e.DagStarted(TASK, {"x": ARTIFACT}),
    e.LoopStarted(TASK, {"x": values.Collected([1])}, (1, 2)),
    e.IterationStarted(TASK, 1),
    e.TaskReady(TASK, {"x": [ARTIFACT]}, RESOURCES),
    e.AttemptStarted(TASK, 1, 2.5, ("0",)),
    e.AttemptFailed(TASK, 1, 3, FAILURE, 2.5, 4.5, REPORT, is_lost=True),
    e.TaskSucceeded(TASK, {"y": ARTIFACT}, REPORT, "run/task"),
    e.TaskFailed(TASK, FAILURE, REPORT),
    e.TaskSkipped(TASK, "its condition is false"),
    e.TaskCancelled(TASK, REPORT),
    e.RunCancelled("it had not ended after 5 s", (e.TaskFailed(TASK, FAILURE),)),
    e.RunResumed((TASK,), "0123", {"x": 1}, 2.5),
    e.RunEnded(STATE, {"y": 1}, (e.TaskFailed(TASK, FAILURE),)),
    *(FAILURE, LOCATION, REPORT, RESOURCES, ARTIFACT, ARTIFACT.type, CHECKSUM),
)


@pytest.mark.parametrize("record", [*FACT_RECORDS, *NESTED_RECORDS], ids=lambda record: record.name)
def test_former_names_are_read(record: Record) -> None:
    (value,) = (example for example in EXAMPLES if type(example) is record.cls)
    body = record.encode(value)
    assert list(body) == [field.name for field in record.fields.values()]
    former = {field.name: field.former[0] for field in record.fields.values() if field.former}
    old = {former.get(name, name): item for name, item in body.items()}
    assert repr(record.decode(body)) == repr(record.decode(old)) == repr(value)
