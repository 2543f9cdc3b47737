"""Which task made an artifact, and which used it.

An artifact is known by where its payload is and what that was: its place, and its digest as far as somebody has looked.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from standpipe.history.records import Artifact, Value
from standpipe.model.values import ArtifactValue, Seal, artifacts_in
from standpipe.model.values import Value as StoredValue


@dataclass
class _Known:
    """What has been found out of an artifact."""

    value: ArtifactValue
    made_by: str | None = None
    used_by: dict[str, None] = field(default_factory=dict)  # in order
    told: Artifact | None = None


class Lineage:
    """The artifacts of a run. First it is told who made some, then who used some; then it gives them away."""

    def __init__(self) -> None:
        self._at: dict[str, list[_Known]] = {}
        self._all: list[_Known] = []

    def made(self, values: Mapping[str, StoredValue], task: str) -> None:
        """The task has these outputs."""
        for value in artifacts_in(values.values()):
            known = self._known(value)
            known.made_by = known.made_by or task

    def used(self, values: Mapping[str, StoredValue], task: str) -> None:
        """The task took these inputs."""
        for value in artifacts_in(values.values()):
            self._known(value).used_by[task] = None

    def brought(self, values: Mapping[str, StoredValue]) -> None:
        """The run was given these inputs."""
        for value in artifacts_in(values.values()):
            self._known(value)

    def all(self) -> tuple[Artifact, ...]:
        """All artifacts, in the order in which they were told."""
        return tuple(map(_told, self._all))

    def shown(self, values: Mapping[str, StoredValue]) -> dict[str, Value]:
        """Inputs or outputs with the artifacts of this lineage in them."""
        return {name: self.value(value) for name, value in values.items()}

    def value(self, value: StoredValue) -> Value:
        """A value, with artifacts of this lineage in the place of the stored ones."""
        if isinstance(value, ArtifactValue):
            return _told(self._known(value))
        if isinstance(value, list) and value and isinstance(value[0], ArtifactValue):
            return [_told(self._known(item)) for item in value]
        return value

    def _known(self, value: ArtifactValue) -> _Known:
        """What is known of an artifact. Where nobody has looked at the content, it is what a task made there last."""
        at = self._at.setdefault(value.place, [])
        fitting = [known for known in at if _may_be_same(known.value.seal, value.seal)]
        if not fitting:
            at.append(_Known(value))
            self._all.append(at[-1])
            return at[-1]
        known = next((known for known in reversed(fitting) if known.made_by), fitting[-1])
        known.value = known.value if known.value.seal else value
        return known


def _may_be_same(one: Seal | None, other: Seal | None) -> bool:
    return one is None or other is None or one.digest == other.digest


def _told(known: _Known) -> Artifact:
    if known.told is None:
        value, seal = known.value, known.value.seal
        known.told = Artifact(
            name=value.name,
            type=value.type.schema_title,
            uri=value.uri,
            digest=seal.digest if seal else "",
            size=seal.size if seal else None,
            metadata=value.metadata,
            made_by=known.made_by,
            used_by=tuple(known.used_by),
            _place=value.place,
        )
    return known.told
