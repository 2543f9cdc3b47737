"""Which task produced an artifact, and which tasks consumed it.

An artifact is identified by the location of its payload and, as far as it is known, by the digest of its content.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from standpipe.history.records import Artifact, Value
from standpipe.model.frozen import field, lazy_dataclass
from standpipe.model.layout import StateLayout, payload_entry
from standpipe.model.locations import is_remote
from standpipe.model.refs import TaskRef
from standpipe.model.values import ArtifactValue, Checksum, find_artifacts
from standpipe.model.values import Value as StoredValue
from standpipe.support.properties import cached_property

StoredValues = Mapping[str, StoredValue]


class TaskValues(NamedTuple):
    """The values of a task. `is_group` is true of nested pipelines, loops and iterations."""

    task: TaskRef
    is_group: bool
    item: StoredValue
    inputs: StoredValues
    outputs: StoredValues


@lazy_dataclass
class _Entry:
    """What is known about an artifact."""

    value: ArtifactValue
    producer: str | None = None
    consumers: dict[str, None] = field(default_factory=dict)  # in order
    record: Artifact | None = None


class Lineage:
    """The artifacts of a run after some of its facts. They are looked up when the first of them is needed.

    Args:
        inputs: the inputs of the run.
        outputs: its outputs.
        tasks: the values of the tasks that have artifacts, in the order of the tasks.
        root: the pipeline root, which has copies of remote payloads.
    """

    def __init__(self, inputs: StoredValues, outputs: StoredValues, tasks: Sequence[TaskValues], root: Path) -> None:
        self._layout = StateLayout(root)
        self._inputs = inputs
        self._outputs = outputs
        self._tasks = tasks

    @cached_property
    def inputs(self) -> Mapping[str, Value]:
        """The inputs of the run."""
        return self.convert(self._inputs)

    @cached_property
    def outputs(self) -> Mapping[str, Value]:
        """The outputs of the run."""
        return self.convert(self._outputs)

    @cached_property
    def artifacts(self) -> tuple[Artifact, ...]:
        """All artifacts: those that tasks produce in the order of the tasks, those passed to the run, all others."""
        return tuple(_record(entry, self._layout) for entry in self._index.entries)

    def convert(self, values: StoredValues) -> Mapping[str, Value]:
        """Return inputs or outputs with the records of their artifacts."""
        if not may_have_artifacts(values):
            return values
        return {name: self.convert_value(value) for name, value in values.items()}

    def convert_value(self, value: StoredValue) -> Value:
        """Return a value with records in place of stored artifacts."""
        if isinstance(value, ArtifactValue):
            return _record(self._index.entry(value), self._layout)
        if isinstance(value, list) and value and isinstance(value[0], ArtifactValue):
            return [_record(self._index.entry(item), self._layout) for item in value]
        return value

    @cached_property
    def _index(self) -> _Index:
        index = _Index()
        executed = [values for values in self._tasks if not values.is_group]
        for values in executed:
            index.add_outputs(values.outputs, str(values.task))
        index.add(self._inputs)
        for values in executed:
            index.add_inputs(values.inputs, str(values.task))
        for values in reversed(self._tasks):
            if values.is_group:
                index.add_others({"": values.item}, values.inputs, values.outputs)
        index.add_others(self._outputs)
        return index


def may_have_artifacts(values: StoredValues) -> bool:
    """Return whether there may be artifacts among values."""
    for value in values.values():  # noqa: SIM110 - `any` takes twice as long, and this is called for each fact
        if isinstance(value, (ArtifactValue, list)):
            return True
    return False


class _Index:
    """Artifacts by location, added in this order: outputs of tasks, inputs of the run, inputs of tasks, all others."""

    def __init__(self) -> None:
        self.entries: list[_Entry] = []
        self._by_location: dict[str, list[_Entry]] = {}

    def add_outputs(self, values: StoredValues, task: str) -> None:
        """Add the outputs of a task."""
        for value in find_artifacts(values.values()):
            entry = self._add(value)
            entry.producer = entry.producer or task

    def add(self, values: StoredValues) -> None:
        """Add the inputs of the run."""
        for value in find_artifacts(values.values()):
            self._add(value)

    def add_inputs(self, values: StoredValues, task: str) -> None:
        """Add the inputs of a task."""
        for value in find_artifacts(values.values()):
            self._add(value).consumers[task] = None

    def add_others(self, *several: StoredValues) -> None:
        """Add what only pipelines, loops and iterations have."""
        for values in several:
            for value in find_artifacts(values.values()):
                self.entry(value)

    def entry(self, value: ArtifactValue) -> _Entry:
        """Return the entry of an artifact. Without a digest, it is the last one that was produced at its location."""
        at_location = self._by_location.setdefault(value.location, [])
        matches = [entry for entry in at_location if _may_be_same(entry.value.checksum, value.checksum)]
        if not matches:
            entry = _Entry(value)
            at_location.append(entry)
            self.entries.append(entry)
            return entry
        return next((entry for entry in reversed(matches) if entry.producer), matches[-1])

    def _add(self, value: ArtifactValue) -> _Entry:
        entry = self.entry(value)
        if not entry.value.checksum and (value.checksum or value != entry.value):
            entry.value = value
        return entry


def _may_be_same(one: Checksum | None, other: Checksum | None) -> bool:
    return one is None or other is None or one.digest == other.digest


def _record(entry: _Entry, layout: StateLayout) -> Artifact:
    if entry.record is None:
        value, checksum = entry.value, entry.value.checksum
        entry.record = Artifact(
            name=value.name,
            type=value.type.schema_title,
            uri=value.uri,
            digest=checksum.digest if checksum else "",
            size=checksum.size if checksum else None,
            metadata=value.metadata,
            producer=entry.producer,
            consumers=tuple(entry.consumers),
            registration=value.registration,
            _location=value.location,
            _copy=str(layout.payload(payload_entry(checksum.digest))) if checksum and is_remote(value.location) else "",
        )
    return entry.record
