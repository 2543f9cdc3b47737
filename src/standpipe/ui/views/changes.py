"""What two runs differ in, as records: changes in sections, and the lines of a unified diff."""

from __future__ import annotations

import difflib
import json
from collections.abc import Iterable, Mapping, Sequence
from typing import TypeGuard

from standpipe.history.records import Artifact, Value
from standpipe.model.frozen import frozen, replace
from standpipe.model.resources import format_memory
from standpipe.ui.views.charts import format_number

#: The most changes of a section that are shown.
MAX_CHANGES = 200

#: The most characters of a value that are shown.
MAX_VALUE = 500

#: The most lines of a text that are compared, and of a diff that are shown: `difflib` takes long for more.
MAX_COMPARED = 5_000
MAX_SHOWN = 1_000

#: Numbers below this are compared as doubles.
_LARGEST = 1e300

#: The hexadecimal digits of a checksum that are shown.
_DIGITS = 12


@frozen
class DiffLine:
    """A line of a unified diff. `kind` is `added`, `removed`, `context` or `hunk`."""

    kind: str
    text: str

    @property
    def marked(self) -> str:
        """The line as `diff` prints it."""
        return {"added": "+", "removed": "-", "context": " ", "hunk": ""}[self.kind] + self.text


@frozen
class Change:
    """One thing in which two runs differ.

    `subject` names it. `before` and `after` are its values as text, None where a run does not have it. `note` says more
    about it. `lines` is the diff of a text, and `delta` the difference of two numbers.
    """

    subject: str
    before: str | None = None
    after: str | None = None
    note: str = ""
    lines: tuple[DiffLine, ...] = ()
    delta: float | None = None

    @property
    def delta_text(self) -> str:
        """The difference of two numbers as text with its sign; empty if there is none."""
        return format_delta(self.delta)


@frozen
class Section:
    """Changes of one kind. `name` is a key of that kind, and `hidden` the number of changes that are not listed."""

    name: str
    title: str
    changes: tuple[Change, ...]
    hidden: int = 0

    @property
    def count(self) -> int:
        """The number of changes, those that are not listed included."""
        return len(self.changes) + self.hidden


def make_section(name: str, title: str, changes: Iterable[Change]) -> Section:
    """Return a section with as many of its changes as are shown."""
    listed = list(changes)
    return Section(name, title, tuple(listed[:MAX_CHANGES]), max(0, len(listed) - MAX_CHANGES))


def join_words(words: Sequence[str]) -> str:
    """Return one word or more as text.

    >>> join_words(["code", "packages", "image"])
    'code, packages and image'
    """
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}"


def merge_equal(changes: Iterable[Change]) -> list[Change]:
    """Return changes, those that are the same but for their subjects as one: of components that share their code."""
    subjects: dict[Change, list[str]] = {}
    for change in changes:
        subjects.setdefault(replace(change, subject=""), []).append(change.subject)
    return [replace(change, subject=", ".join(names)) for change, names in subjects.items()]


def compare_values(before: Mapping[str, Value], after: Mapping[str, Value], prefix: str = "") -> Iterable[Change]:
    """Yield the values that differ, or that only one side has, in the order of the first side."""
    for name in dict.fromkeys((*before, *after)):
        if name not in before:
            yield Change(prefix + name, None, value_text(after[name]))
        elif name not in after:
            yield Change(prefix + name, value_text(before[name]), None)
        elif not same_value(before[name], after[name]):
            yield _change_of(prefix + name, before[name], after[name])


def _change_of(subject: str, before: Value, after: Value) -> Change:
    if isinstance(before, str) and isinstance(after, str) and "\n" in before + after:
        return Change(subject, lines=compare_texts(before, after))
    old, new = value_text(before), value_text(after)
    if isinstance(before, float) and isinstance(after, float) and format_number(before) != format_number(after):
        old, new = format_number(before), format_number(after)
    if old == new:
        return Change(subject, old, new, note="They differ in a part that is not shown here.")
    return Change(subject, old, new, delta=difference(before, after))


def difference(before: Value, after: Value) -> float | None:
    """Return the difference of two numbers; None if one of the values is not a number."""
    return float(after) - float(before) if is_number(before) and is_number(after) else None


def format_delta(delta: float | None) -> str:
    """Return a difference with its sign; empty if there is none.

    >>> format_delta(0.25), format_delta(-3.0), format_delta(0.0)
    ('+0.25', '-3', '')
    """
    return f"{'+' if delta > 0 else '-'}{format_number(abs(delta))}" if delta else ""


def is_number(value: Value) -> TypeGuard[float]:
    """Return whether a value is a number that a double can hold."""
    return isinstance(value, (int, float)) and not isinstance(value, bool) and abs(value) < _LARGEST


def same_value(one: Value, other: Value) -> bool:
    """Return whether two values are equal; artifacts are equal if their contents and their metadata are."""
    if isinstance(one, Artifact) and isinstance(other, Artifact):
        return same_content(one, other) and one.metadata == other.metadata
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(same_value, one, other))
    return bool(one == other) and isinstance(one, bool) == isinstance(other, bool)


def same_content(one: Artifact, other: Artifact) -> bool:
    """Return whether two artifacts have the same content, as far as their checksums tell, or else their URIs.

    Outputs of tasks that have no payload, such as metrics, are equal but for their metadata.
    """
    if one.digest and other.digest:
        algorithm, other_algorithm = one.digest.partition(":")[0], other.digest.partition(":")[0]
        return one.digest == other.digest if algorithm == other_algorithm else one.size == other.size
    if one.digest or other.digest:
        return False
    return (one.producer is not None and other.producer is not None) or one.uri == other.uri


def value_text(value: Value) -> str:
    """Return a value as text for a cell, shortened if it is long: text as it is, other values as JSON."""
    if isinstance(value, Artifact):
        return artifact_text(value)
    if isinstance(value, list) and any(isinstance(item, Artifact) for item in value):
        return _shorten(", ".join(map(value_text, value)))
    return _shorten(value if isinstance(value, str) else _begin_json(value))


def artifact_text(artifact: Artifact) -> str:
    """Return an artifact as its type, its size and the beginning of its checksum."""
    algorithm, _, digest = artifact.digest.partition(":")
    facts = [artifact.type.removeprefix("system."), artifact.name]
    if artifact.size is not None:
        facts.append(format_memory(artifact.size))
    facts.append(f"{algorithm}:{digest[:_DIGITS]}" if digest else "no checksum")
    return ", ".join(fact for fact in facts if fact)


def _begin_json(value: Value) -> str:
    """Return a value as JSON, of a large one only as much as is shown."""
    text = ""
    for part in json.JSONEncoder(ensure_ascii=False, default=str).iterencode(value):
        text += part
        if len(text) > MAX_VALUE:
            break
    return text


def _shorten(text: str) -> str:
    return text if len(text) <= MAX_VALUE else f"{text[:MAX_VALUE]}…"


def compare_texts(before: str, after: str) -> tuple[DiffLine, ...]:
    """Return the unified diff of two texts, without a header; empty if they are equal."""
    old, new = before.splitlines(), after.splitlines()
    if len(old) > MAX_COMPARED or len(new) > MAX_COMPARED:
        if old == new:
            return ()
        return (DiffLine("hunk", f"{len(old)} and {len(new)} lines: too many to compare them line by line"),)
    diff = list(difflib.unified_diff(old, new, n=3, lineterm=""))[2:]
    lines = [_diff_line(line) for line in diff[:MAX_SHOWN]]
    if len(diff) > MAX_SHOWN:
        lines.append(DiffLine("hunk", f"{len(diff) - MAX_SHOWN} more lines"))
    return tuple(lines)


def _diff_line(line: str) -> DiffLine:
    if line.startswith("@@"):
        return DiffLine("hunk", line)
    return DiffLine({"+": "added", "-": "removed"}.get(line[:1], "context"), line[1:])
