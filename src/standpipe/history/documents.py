"""Runs and tasks as JSON, for programs: the attributes of the records, by their names.

Tasks are not nested: a run has all of them in one list, each before its children, and each names its `parent`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import fields, is_dataclass
from datetime import datetime
from enum import Enum
from pathlib import Path
from typing import Any

from standpipe.errors import TaskFailure
from standpipe.history.artifacts import LocatedArtifact
from standpipe.history.records import Artifact, Attempt, Value
from standpipe.history.run import Run
from standpipe.history.task import Task
from standpipe.model.refs import TaskRef
from standpipe.model.types import Json

#: Properties of records that are included besides their fields.
_COMPUTED: dict[type, tuple[str, ...]] = {
    Artifact: ("path", "exists"),
    Attempt: ("folder", "log"),
    Task: ("duration", "folder"),
}


#: The attributes of a run that only `document` has.
_DETAILS = ("inputs", "outputs", "artifacts", "metrics", "failures", "failed_tasks", "stop_reason", "resume_count")


def summary(run: Run) -> dict[str, Json]:
    """Return a run without its details."""
    names = ("id", "pipeline", "status", "created", "started", "ended", "duration", "folder", "rerun_of")
    return {name: _json(getattr(run, name)) for name in names}


def document(run: Run) -> dict[str, Json]:
    """Return a run with its details."""
    return {
        **summary(run),
        **{name: _json(getattr(run, name)) for name in _DETAILS},
        "tasks": [_task(task, parent) for task, parent in _with_parents(run)],
    }


def task_document(run: Run, task: Task) -> dict[str, Json]:
    """Return one task of a run."""
    return next(_task(each, parent) for each, parent in _with_parents(run) if each.path == task.path)


def artifact_document(located: LocatedArtifact) -> dict[str, Json]:
    """Return an artifact with the task and the output that it is in; its `reference` is what `standpipe open` takes."""
    place = {"task": located.task, "output": located.output, "index": located.index, "reference": located.reference}
    return {**place, **_record(located.artifact)}


def value_document(value: Value) -> Json:
    """Return an input or output as `document` has it."""
    return _json(value)


def _with_parents(run: Run) -> Iterator[tuple[Task, str | None]]:
    parents: dict[str, str] = {}
    for task in run.all_tasks():
        parents.update({child.path: task.path for child in task.children})
        yield task, parents.get(task.path)


def _task(task: Task, parent: str | None) -> dict[str, Json]:
    return {**_record(task), "parent": parent}


def _record(record: Any) -> dict[str, Json]:
    names = (field.name for field in fields(record) if field.name != "children" and not field.name.startswith("_"))
    return {name: _json(getattr(record, name)) for name in (*names, *_COMPUTED.get(type(record), ()))}


def _json(value: Any) -> Json:
    if isinstance(value, TaskRef):
        return str(value)
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, Path):
        return str(value)
    if isinstance(value, TaskFailure):
        return value._asdict()
    if is_dataclass(value):
        return _record(value)
    if isinstance(value, dict):
        return {name: _json(item) for name, item in value.items()}
    return [_json(item) for item in value] if isinstance(value, (list, tuple)) else value
