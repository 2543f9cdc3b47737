"""Which task produced an artifact, and which tasks consumed it.

An artifact is identified by the location of its payload and, as far as it is known, by the digest of its content.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from standpipe.history.records import Artifact, Value
from standpipe.model.values import ArtifactValue, Checksum, find_artifacts
from standpipe.model.values import Value as StoredValue

H = TypeVar("H")

#: The order of artifacts by who adds them: tasks that produce them, the run, tasks that take them, and all others.
_PRODUCED, _PASSED, _TAKEN, _OTHER = range(4)


@dataclass
class _Entry(Generic[H]):
    """What is known about an artifact. `holders` have its record, which changes with what is known."""

    value: ArtifactValue
    order: tuple[int, int, int]
    producer: str | None = None
    consumers: dict[str, None] = field(default_factory=dict)  # in order
    record: Artifact | None = None
    holders: dict[H, None] = field(default_factory=dict)


class Lineage(Generic[H]):
    """The artifacts of a run.

    It is exact if all outputs are added first, then the inputs of the run, then those of tasks, in the order of the
    tasks. They can also be added as they come: `is_exact` is whether that has made no difference, which is the case as
    long as each artifact has a location of its own and is added by its producer first.

    Args:
        on_change: called with a holder of a record when that is no longer what is known.
    """

    def __init__(self, on_change: Callable[[H], object]) -> None:
        self._on_change = on_change
        self._by_location: dict[str, list[_Entry[H]]] = {}
        self._entries: list[_Entry[H]] = []
        self.is_exact = True

    def add_outputs(self, values: Mapping[str, StoredValue], task: str, position: int) -> None:
        """Add the outputs of a task, which has a position among all tasks."""
        for value in find_artifacts(values.values()):
            entry = self._origin(value, _PRODUCED, position)
            entry.producer = entry.producer or task

    def add_inputs(self, values: Mapping[str, StoredValue], task: str, position: int) -> None:
        """Add the inputs of a task, which has a position among all tasks."""
        for value in find_artifacts(values.values()):
            entry = self._entry(value, _TAKEN, position)
            entry.consumers[task] = None
            self._change(entry)

    def add_run_inputs(self, values: Mapping[str, StoredValue]) -> None:
        """Add the inputs of the run."""
        for value in find_artifacts(values.values()):
            self._origin(value, _PASSED, 0)

    def artifacts(self) -> tuple[Artifact, ...]:
        """Return all artifacts: those of tasks in the order of the tasks, then those that were passed to the run."""
        return tuple(map(_record, sorted(self._entries, key=lambda entry: entry.order)))

    def convert(self, values: Mapping[str, StoredValue], holder: H | None = None) -> Mapping[str, Value]:
        """Return inputs or outputs, which a holder keeps, with the records of their artifacts."""
        if not any(isinstance(value, (ArtifactValue, list)) for value in values.values()):
            return values
        return {name: self.convert_value(value, holder) for name, value in values.items()}

    def convert_value(self, value: StoredValue, holder: H | None = None) -> Value:
        """Return a value, which a holder keeps, with records in place of stored artifacts."""
        if isinstance(value, ArtifactValue):
            return self._hold(value, holder)
        if isinstance(value, list) and value and isinstance(value[0], ArtifactValue):
            return [self._hold(item, holder) for item in value]
        return value

    def _hold(self, value: ArtifactValue, holder: H | None) -> Artifact:
        entry = self._entry(value, _OTHER, 0)
        if entry.order[0] == _OTHER:
            self.is_exact = False
        if holder is not None:
            entry.holders[holder] = None
        return _record(entry)

    def _origin(self, value: ArtifactValue, kind: int, position: int) -> _Entry[H]:
        if value.location in self._by_location:
            self.is_exact = False
        return self._entry(value, kind, position)

    def _entry(self, value: ArtifactValue, kind: int, position: int) -> _Entry[H]:
        """Return the entry of an artifact. Without a digest, it is the last one that was produced at its location."""
        at_location = self._by_location.setdefault(value.location, [])
        matches = [entry for entry in at_location if _may_be_same(entry.value.checksum, value.checksum)]
        if not matches:
            self.is_exact = self.is_exact and not at_location
            at_location.append(_Entry(value, (kind, position, len(self._entries))))
            self._entries.append(at_location[-1])
            return at_location[-1]
        entry = next((entry for entry in reversed(matches) if entry.producer), matches[-1])
        if not entry.value.checksum and kind != _OTHER and (value.checksum or value != entry.value):
            entry.value = value
            self._change(entry)
        return entry

    def _change(self, entry: _Entry[H]) -> None:
        if entry.record is not None:
            entry.record = None
            for holder in entry.holders:
                self._on_change(holder)


def _may_be_same(one: Checksum | None, other: Checksum | None) -> bool:
    return one is None or other is None or one.digest == other.digest


def _record(entry: _Entry[H]) -> Artifact:
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
        )
    return entry.record
