"""Which task produced an artifact, and which tasks consumed it.

An artifact is identified by the location of its payload and, as far as it is known, by the digest of its content.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from standpipe.history.records import Artifact, Value
from standpipe.model.values import ArtifactValue, Checksum, find_artifacts
from standpipe.model.values import Value as StoredValue


@dataclass
class _Entry:
    """What is known about an artifact."""

    value: ArtifactValue
    producer: str | None = None
    consumers: dict[str, None] = field(default_factory=dict)  # in order
    record: Artifact | None = None


class Lineage:
    """The artifacts of a run. Outputs are added first, then inputs; after that it gives the records."""

    def __init__(self) -> None:
        self._by_location: dict[str, list[_Entry]] = {}
        self._entries: list[_Entry] = []

    def add_outputs(self, values: Mapping[str, StoredValue], task: str) -> None:
        """Add the outputs of a task."""
        for value in find_artifacts(values.values()):
            entry = self._entry(value)
            entry.producer = entry.producer or task

    def add_inputs(self, values: Mapping[str, StoredValue], task: str) -> None:
        """Add the inputs of a task."""
        for value in find_artifacts(values.values()):
            self._entry(value).consumers[task] = None

    def add_run_inputs(self, values: Mapping[str, StoredValue]) -> None:
        """Add the inputs of the run."""
        for value in find_artifacts(values.values()):
            self._entry(value)

    def artifacts(self) -> tuple[Artifact, ...]:
        """Return all artifacts, in the order in which they were added."""
        return tuple(map(_record, self._entries))

    def convert(self, values: Mapping[str, StoredValue]) -> dict[str, Value]:
        """Return inputs or outputs with the records of their artifacts."""
        return {name: self.convert_value(value) for name, value in values.items()}

    def convert_value(self, value: StoredValue) -> Value:
        """Return a value with records in place of stored artifacts."""
        if isinstance(value, ArtifactValue):
            return _record(self._entry(value))
        if isinstance(value, list) and value and isinstance(value[0], ArtifactValue):
            return [_record(self._entry(item)) for item in value]
        return value

    def _entry(self, value: ArtifactValue) -> _Entry:
        """Return the entry of an artifact. Without a digest, it is the last one that was produced at its location."""
        at_location = self._by_location.setdefault(value.location, [])
        matches = [entry for entry in at_location if _may_be_same(entry.value.checksum, value.checksum)]
        if not matches:
            at_location.append(_Entry(value))
            self._entries.append(at_location[-1])
            return at_location[-1]
        entry = next((entry for entry in reversed(matches) if entry.producer), matches[-1])
        entry.value = entry.value if entry.value.checksum else value
        return entry


def _may_be_same(one: Checksum | None, other: Checksum | None) -> bool:
    return one is None or other is None or one.digest == other.digest


def _record(entry: _Entry) -> Artifact:
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
