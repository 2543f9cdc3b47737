"""Redaction of secret values in everything that a run stores and shows.

A value is found in the spellings that `support.spellings` lists, and so is each of its lines. It is not found in other
forms, such as encrypted or compressed.
"""

from __future__ import annotations

import re
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import is_dataclass, replace
from itertools import chain
from typing import TYPE_CHECKING, Any, TypeVar

from standpipe.errors import StandpipeError
from standpipe.model.cancellation import Cancellation
from standpipe.model.events import AttemptEnded, Fact, StartAttempt
from standpipe.model.fact_values import map_values
from standpipe.model.ports import Attempt, FactSink
from standpipe.model.redacted import REDACTED, RedactedList, RedactedObject, RedactedText
from standpipe.model.values import ArtifactValue, Collected, to_text
from standpipe.support.notices import redact_notices
from standpipe.support.properties import cached_property

if TYPE_CHECKING:
    from ahocorasick import Automaton

T = TypeVar("T")

#: The least number of characters of a value that is redacted: too many other texts contain shorter ones.
MIN_LENGTH = 4

_REDACTED = REDACTED.encode()

#: The number of bytes by which a secret is found, before the rest is compared: few other texts contain so many.
_BEGINNING = 8

#: The mark for the omitted middle of a long text (`values.preview`, `execution.attempt`). A secret may be cut there.
_OMISSION = re.compile(r"( \[… \d+ characters …\] |…)")

_SURROGATE = re.compile("[\ud800-\udfff]")

#: The fields of facts and failures that hold texts. All others but values hold what Standpipe itself makes: names,
#: numbers and times, which stay as they are even if one equals a secret.
_TEXTS = ("reason", "message", "detail", "hint", "log_tail", "file", "function", "code")
_RECORDS = ("failure", "failures", "location")


class Redactor:
    """Replaces every occurrence of some secret values by `REDACTED`, those that overlap by one.

    It is false without secrets, and then costs nothing.

    Args:
        values: the secrets; those that are too short (`is_redactable`) are not redacted.
    """

    def __init__(self, values: Iterable[str | bytes] = ()) -> None:
        self._pieces = frozenset(piece for value in values for piece in _split(_decode(value)))

    def __bool__(self) -> bool:
        return bool(self._pieces)

    def redact_text(self, text: str) -> str:
        """Return a text without secrets, and without the rest of a secret next to an omission."""
        if not self:
            return text
        data = text.encode("utf-8", "surrogatepass")
        redacted = self._in_texts.replace(data)
        if redacted is not data:
            text = redacted.decode("utf-8", "surrogatepass")
        return self._redact_partial_secrets(text) if "…" in text else text

    def redact(self, value: T) -> T:
        """Return a value without secrets: JSON, an artifact, several of them, or a fact. Values that change are marked.

        Secrets are replaced in texts and keys, and numbers that are a secret as a whole; in a fact, in its texts and
        values.
        """
        return self._redact(value) if self else value

    def contains_secret(self, value: object) -> bool:
        """Return whether redaction would change a value."""
        return self.redact(value) is not value

    def open_stream(self) -> RedactingStream:
        """Return a stream that redacts bytes which arrive in chunks."""
        return RedactingStream(self._in_bytes if self else None)

    def wrap_sink(self, sink: FactSink) -> FactSink:
        """Return a sink that redacts facts before it passes them to `sink`."""

        def redacting_sink(facts: Sequence[Fact]) -> None:
            sink([self.redact(fact) for fact in facts])

        return redacting_sink if self else sink

    def wrap_attempt(self, attempt: Attempt) -> Attempt:
        """Return a function that redacts the failures of attempts, which exit tasks receive.

        Outputs are not redacted here, because other tasks need them; `wrap_sink` redacts them.
        """

        def redacting_attempt(command: StartAttempt, cancel: Cancellation) -> AttemptEnded:
            ended = attempt(command, cancel)
            return replace(ended, failure=self.redact(ended.failure)) if ended.failure else ended

        return redacting_attempt if self else attempt

    @contextmanager
    def redact_messages(self) -> Iterator[None]:
        """Redact notices during the block, and each `StandpipeError` that leaves it, with those among its causes."""
        try:
            with redact_notices(self.redact_text) if self else nullcontext():
                yield
        except StandpipeError as error:
            cause: BaseException | None = error
            while cause is not None:
                if isinstance(cause, StandpipeError):
                    cause.args = self.redact(cause.args)
                cause = cause.__cause__ or cause.__context__
            raise

    # --- values -------------------------------------------------------------------------------------------------------

    def _redact(self, value: Any) -> Any:
        """Return a redacted copy, or the value itself if it holds no secret."""
        if value is None or isinstance(value, bool):
            return value
        if isinstance(value, str):
            text = self.redact_text(value)
            return value if text is value else RedactedText(text)
        if isinstance(value, (int, float)):
            return RedactedText(REDACTED) if self.redact_text(to_text(value)) == REDACTED else value
        if isinstance(value, Mapping):
            items = {self._redact(key): self._redact(item) for key, item in value.items()}
            is_same = all(map(_is_same, items.items(), value.items()))
            return value if is_same else RedactedObject(items)
        if isinstance(value, (list, tuple)):
            return self._redact_list(value)
        if isinstance(value, ArtifactValue):
            return self._redact_artifact(value)
        return self._redact_record(value) if is_dataclass(value) else value

    def _redact_list(self, value: Any) -> Any:
        items = list(map(self._redact, value))
        if all(item is before for item, before in zip(items, value, strict=True)):
            return value
        if isinstance(value, tuple):
            return tuple(items)
        if isinstance(value, Collected):
            return Collected(items)
        return items if isinstance(items[0], ArtifactValue) else RedactedList(items)

    def _redact_artifact(self, artifact: ArtifactValue) -> ArtifactValue:
        fields = {name: getattr(artifact, name) for name in ("name", "uri", "metadata", "custom_path", "registration")}
        redacted = {name: self._redact(value) for name, value in fields.items()}
        if all(map(_is_same, redacted.items(), fields.items())):
            return artifact
        return replace(artifact, **{**redacted, "metadata": RedactedObject(redacted["metadata"])})

    def _redact_record(self, record: Any) -> Any:
        redacted = map_values(record, self._redact)
        changes: dict[str, Any] = {}
        for name, value in record.__dict__.items():
            if name in _TEXTS:
                changes[name] = self.redact_text(value)
            elif name in _RECORDS and value:
                is_one = not isinstance(value, tuple)
                changes[name] = self._redact_record(value) if is_one else tuple(map(self._redact_record, value))
        return replace(redacted, **changes) if changes else redacted

    # --- texts --------------------------------------------------------------------------------------------------------

    @cached_property
    def _spellings(self) -> frozenset[str]:
        from standpipe.support.spellings import spell  # only a run with secrets needs it

        return frozenset(spelling for piece in self._pieces for spelling in spell(piece))

    @cached_property
    def _in_texts(self) -> _Matcher:
        return _Matcher(spelling.encode("utf-8", "surrogatepass") for spelling in self._spellings)

    @cached_property
    def _in_reversed_texts(self) -> _Matcher:
        return _Matcher(spelling.encode("utf-8", "surrogatepass")[::-1] for spelling in self._spellings)

    @cached_property
    def _in_bytes(self) -> _Matcher:
        """Return the matcher for bytes, which differs only for secrets that are not UTF-8."""
        from standpipe.support.spellings import to_bytes  # only a run with secrets needs it

        is_utf_8 = not any(map(_SURROGATE.search, self._pieces))
        return self._in_texts if is_utf_8 else _Matcher(map(to_bytes, self._spellings))

    def _redact_partial_secrets(self, text: str) -> str:
        parts = _OMISSION.split(text)
        for index in range(1, len(parts), 2):
            parts[index - 1] = self._in_texts.replace_beginning(parts[index - 1])
            parts[index + 1] = self._in_reversed_texts.replace_beginning(parts[index + 1], backwards=True)
        return "".join(parts)


NO_SECRETS = Redactor()


class _Matcher:
    """Finds secrets in bytes, in a time that hardly depends on how many there are, or how long.

    Args:
        secrets: the secrets in all spellings; each has at least `MIN_LENGTH` bytes.
    """

    def __init__(self, secrets: Iterable[bytes]) -> None:
        self._secrets = sorted({*secrets})
        self._longest = max(map(len, self._secrets))
        self._beginnings = _make_automaton(secret[:_BEGINNING] for secret in self._secrets)
        self._shorter: list[int] = []  # for each secret, the index of the longest other one that it begins with, or -1
        for index, secret in enumerate(self._secrets):
            shorter = index - 1
            while shorter >= 0 and not secret.startswith(self._secrets[shorter]):
                shorter = self._shorter[shorter]
            self._shorter.append(shorter)

    def replace(self, data: bytes) -> bytes:
        """Return the redacted data, or the data itself if there is no secret in it."""
        parts, at = self.replace_before(data, len(data), 0)
        return b"".join((*parts, data[at:])) if parts else data

    def replace_before(self, data: bytes, limit: int, at: int) -> tuple[list[bytes], int]:
        """Redact the secrets that begin before an index.

        Args:
            data: the data.
            limit: the index.
            at: the number of bytes at the beginning that belong to a secret which is redacted already.

        Returns:
            The redacted data up to the end of the last secret, and the index of that.
        """
        parts: list[bytes] = []
        found = _find_all(self._beginnings, data[: limit + _BEGINNING])
        begins = sorted({begin for begin, _ in found if begin < limit})
        done, index = self._stretch(data, begins, 0, at)
        while index < len(begins):
            begin, index = begins[index], index + 1
            if end := self._find_end(data, begin):
                parts += [data[done:begin], _REDACTED]
                done, index = self._stretch(data, begins, index, end)
        return parts, done

    def _find_end(self, data: bytes, begin: int) -> int:
        """Return the end of the longest secret that begins at an index; 0 if none does."""
        text = data[begin : begin + self._longest]
        index = bisect_right(self._secrets, text) - 1  # all that the text begins with begin this one, or are it
        while index >= 0 and not text.startswith(self._secrets[index]):
            index = self._shorter[index]
        return begin + len(self._secrets[index]) if index >= 0 else 0

    def _stretch(self, data: bytes, begins: Sequence[int], index: int, end: int) -> tuple[int, int]:
        """Return where a redacted part ends, with the secrets that overlap it, and the first index after that.

        Args:
            data: the data.
            begins: where secrets may begin.
            index: the index of the first of these that is in the part.
            end: the end of the part so far.
        """
        while index < (following := bisect_left(begins, end, index)):
            for begin in reversed(begins[index:following]):
                if begin + self._longest <= end:
                    break  # neither this nor an earlier one reaches further
                end = max(end, self._find_end(data, begin))
            index = following
        return end, index

    def find_open(self, data: bytes) -> int:
        """Return the index of the first secret that the data may end within; their length if there is none."""
        if self._is_beginning(data):
            return 0
        tail = max(0, len(data) - self._longest + 1)
        begins = (tail + begin for begin, _ in _find_all(self._short_beginnings, data[tail:]))
        last = range(max(tail, len(data) - MIN_LENGTH + 1), len(data))
        return next((begin for begin in chain(begins, last) if self._is_beginning(data[begin:])), len(data))

    def replace_beginning(self, text: str, *, backwards: bool = False) -> str:
        """Return a text that may end within a secret without the beginning of it; backwards if all is reversed."""
        step = -1 if backwards else 1
        data = text.encode("utf-8", "surrogatepass")[::step]
        begin = self.find_open(data)
        if len(data) - begin < MIN_LENGTH:
            return text
        return (data[:begin] + _REDACTED)[::step].decode("utf-8", "surrogatepass")

    def _is_beginning(self, data: bytes) -> bool:
        """Return whether a secret begins with the data, and is longer."""
        following = bisect_right(self._secrets, data)  # a secret that begins with it is sorted right after it
        return following < len(self._secrets) and self._secrets[following].startswith(data)

    @cached_property
    def _short_beginnings(self) -> Automaton:
        return _make_automaton(secret[:MIN_LENGTH] for secret in self._secrets)


class RedactingStream:
    """Redacts bytes that arrive in chunks. It holds back bytes that may be the beginning of a secret.

    Args:
        matcher: finds the secrets; None if there are none.
    """

    def __init__(self, matcher: _Matcher | None) -> None:
        self._matcher = matcher
        self._pending = b""
        self._redacted = 0  # so many bytes of what is pending belong to a secret that is redacted already

    def feed(self, data: bytes) -> bytes:
        """Take the next chunk, and return the redacted bytes that are complete by now."""
        if self._matcher is None:
            return data
        data = self._pending + data
        limit = self._matcher.find_open(data)
        if not limit:
            self._pending = data
            return b""
        return self._redact(self._matcher, data, limit)

    def finish(self) -> bytes:
        """Return the bytes that were held back, after the last chunk."""
        return self._redact(self._matcher, self._pending, len(self._pending)) if self._matcher else b""

    def _redact(self, matcher: _Matcher, data: bytes, limit: int) -> bytes:
        parts, at = matcher.replace_before(data, limit, self._redacted)
        self._pending, self._redacted = data[limit:], max(0, at - limit)
        return b"".join((*parts, data[at:limit]))


def is_redactable(value: str | bytes) -> bool:
    """Return whether a value is long enough to be distinguished from other texts."""
    return len(_decode(value).strip()) >= MIN_LENGTH


def _make_automaton(patterns: Iterable[bytes]) -> Automaton:
    from ahocorasick import Automaton  # only a run with secrets needs it

    automaton = Automaton()
    for pattern in patterns:
        automaton.add_word(pattern.decode("latin-1"), len(pattern))  # it takes text only: a character for each byte
    automaton.make_automaton()
    return automaton


def _find_all(automaton: Automaton, data: bytes) -> Iterator[tuple[int, int]]:
    """Yield where each pattern begins and ends."""
    for last, length in automaton.iter(data.decode("latin-1")):
        yield last + 1 - length, last + 1


def _is_same(new: tuple[Any, Any], old: tuple[Any, Any]) -> bool:
    return new[0] is old[0] and new[1] is old[1]


def _decode(value: str | bytes) -> str:
    return value if isinstance(value, str) else value.decode("utf-8", "surrogateescape")


def _split(value: str) -> Iterator[str]:
    """Yield a value and its lines, without surrounding whitespace, which readers of a file often strip."""
    return (piece for part in (value, *re.split(r"[\r\n]+", value)) if is_redactable(piece := part.strip()))
