"""Redaction of secret values in everything that a run stores and shows.

A value is found as it is, and as JSON, Python or a URL spell it; so is each of its lines. It is not found in other
forms, such as encrypted, compressed or base64.
"""

from __future__ import annotations

import json
import re
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import fields, is_dataclass, replace
from enum import Enum
from typing import Any, TypeVar
from urllib.parse import quote

from standpipe.errors import StandpipeError
from standpipe.model.cancellation import Cancellation
from standpipe.model.events import AttemptEnded, AttemptReport, Fact, StartAttempt
from standpipe.model.ports import Attempt, FactSink
from standpipe.model.refs import TaskRef
from standpipe.model.resources import ResourceRequest
from standpipe.model.types import ArtifactType
from standpipe.model.values import Checksum, to_text

T = TypeVar("T")

#: The text that replaces a secret.
REDACTED = "***"

#: The least number of characters of a value that is redacted: too many other texts contain shorter ones.
MIN_LENGTH = 4

#: The types of values that Standpipe itself makes, and that cannot contain a secret.
_NEVER_SECRET = (TaskRef, Enum, ArtifactType, Checksum, ResourceRequest, AttemptReport)

#: The mark for the omitted middle of a long text (`values.preview`, `execution.attempt`). A secret may be cut there.
_OMISSION = re.compile(r"( \[… \d+ characters …\] |…)")


class Redactor:
    """Replaces every occurrence of some secret values by `REDACTED`; the longest, where several begin.

    It is false without secrets, and then costs nothing.

    Args:
        values: the secrets; those that are too short (`is_redactable`) are not redacted.
    """

    def __init__(self, values: Iterable[str | bytes] = ()) -> None:
        pieces = {form for value in values for piece in _split(_decode(value)) for form in _spell(piece)}
        self._pieces = sorted(pieces, key=len, reverse=True)
        self._pattern = re.compile("|".join(map(re.escape, self._pieces)))

    def __bool__(self) -> bool:
        return bool(self._pieces)

    def redact_text(self, text: str) -> str:
        """Return a text without secrets, and without the rest of a secret next to an omission."""
        if not self:
            return text
        redacted = self._pattern.sub(REDACTED, text)
        return self._redact_partial_secrets(redacted) if "…" in redacted else redacted

    def redact(self, value: T) -> T:
        """Return a copy of a fact, or of a JSON value, without secrets.

        Secrets are replaced in texts and keys, and numbers that are a secret as a whole. The types of lists and
        dataclasses stay, and so do references to tasks.
        """
        return self._redact(value) if self else value

    def open_stream(self) -> RedactingStream:
        """Return a stream that redacts bytes which arrive in chunks."""
        return RedactingStream([piece.encode("utf-8", "surrogateescape") for piece in self._pieces])

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
    def redact_errors(self) -> Iterator[None]:
        """Redact each `StandpipeError` that leaves the block, and those among its causes."""
        try:
            yield
        except StandpipeError as error:
            cause: BaseException | None = error
            while cause is not None:
                if isinstance(cause, StandpipeError):
                    cause.args = self.redact(cause.args)
                cause = cause.__cause__ or cause.__context__
            raise

    def _redact(self, value: Any) -> Any:
        if value is None or isinstance(value, (bool, *_NEVER_SECRET)):
            return value
        if isinstance(value, str):
            return self.redact_text(value)
        if isinstance(value, (int, float)):
            return REDACTED if self._pattern.fullmatch(to_text(value)) else value
        if isinstance(value, Mapping):
            return {self._redact(key): self._redact(item) for key, item in value.items()}
        if isinstance(value, (list, tuple)):
            return type(value)(map(self._redact, value))
        if is_dataclass(value) and not isinstance(value, type):
            return replace(value, **{field.name: self._redact(getattr(value, field.name)) for field in fields(value)})
        return value

    def _redact_partial_secrets(self, text: str) -> str:
        parts = _OMISSION.split(text)
        for index in range(1, len(parts), 2):
            before, after = parts[index - 1], parts[index + 1]
            head = max((_measure_overlap(before, piece) for piece in self._pieces), default=0)
            tail = max((_measure_overlap(piece, after) for piece in self._pieces), default=0)
            if head:
                parts[index - 1] = before[:-head] + REDACTED
            if tail:
                parts[index + 1] = REDACTED + after[tail:]
        return "".join(parts)


NO_SECRETS = Redactor()


class RedactingStream:
    """Redacts bytes that arrive in chunks. It holds back bytes that may be the beginning of a secret.

    Args:
        secrets: the secrets, longest first.
    """

    def __init__(self, secrets: Sequence[bytes]) -> None:
        self._secrets = sorted(secrets)
        self._longest = len(secrets[0]) if secrets else 0
        self._pattern = re.compile(b"|".join(map(re.escape, secrets)))
        self._first = re.compile(b"|".join({re.escape(secret[:1]) for secret in secrets}))
        self._pending = b""

    def feed(self, data: bytes) -> bytes:
        """Take the next chunk, and return the redacted bytes that are complete by now."""
        if not self._secrets:
            return data
        data = self._pending + data
        output, at = [], 0
        open_from = self._find_open_secret(data, at)
        while match := self._pattern.search(data, at):
            if match.start() >= open_from:
                break  # a longer secret may begin here, or earlier
            output += [data[at : match.start()], REDACTED.encode()]
            at = match.end()
            if at > open_from:
                open_from = self._find_open_secret(data, at)
        self._pending = data[open_from:]
        return b"".join((*output, data[at:open_from]))

    def finish(self) -> bytes:
        """Return the bytes that were held back, after the last chunk."""
        rest, self._pending = self._pending, b""
        return self._pattern.sub(REDACTED.encode(), rest) if rest else rest

    def _find_open_secret(self, data: bytes, at: int) -> int:
        """Return the index, from `at` on, of the first secret that the data may end within; their length if none."""
        for begin in self._first.finditer(data, max(at, len(data) - self._longest + 1)):
            rest = data[begin.start() :]
            following = bisect_right(self._secrets, rest)  # a secret that begins with `rest` is sorted right after it
            if following < len(self._secrets) and self._secrets[following].startswith(rest):
                return begin.start()
        return len(data)


def is_redactable(value: str | bytes) -> bool:
    """Return whether a value is long enough to be distinguished from other texts."""
    return len(_decode(value).strip()) >= MIN_LENGTH


def is_redacted(value: object) -> bool:
    """Return whether a fact, or a value in one, seems to be redacted, so that it cannot be used again."""
    if isinstance(value, str):
        return REDACTED in value
    if isinstance(value, Mapping):
        return any(is_redacted(key) or is_redacted(item) for key, item in value.items())
    if isinstance(value, (list, tuple)):
        return any(map(is_redacted, value))
    if is_dataclass(value) and not isinstance(value, type):
        return any(is_redacted(getattr(value, field.name)) for field in fields(value))
    return False


def _decode(value: str | bytes) -> str:
    return value if isinstance(value, str) else value.decode("utf-8", "surrogateescape")


def _split(value: str) -> Iterator[str]:
    """Yield a value and its lines, without surrounding whitespace, which readers of a file often strip."""
    return (piece for part in (value, *re.split(r"[\r\n]+", value)) if is_redactable(piece := part.strip()))


def _spell(piece: str) -> Iterator[str]:
    """Yield a text as it is, and as JSON, Python and a URL spell it."""
    yield piece
    yield json.dumps(piece)[1:-1]
    yield json.dumps(piece, ensure_ascii=False)[1:-1]
    yield repr(piece)[1:-1]
    yield quote(piece.encode("utf-8", "surrogateescape"), safe="")


def _measure_overlap(left: str, right: str) -> int:
    """Return how many characters `left` ends with that `right` begins with; 0 if less than `MIN_LENGTH`."""
    longest = min(len(left), len(right))
    if right[:MIN_LENGTH] not in left[-longest:]:
        return 0
    return next((length for length in range(longest, MIN_LENGTH - 1, -1) if left.endswith(right[:length])), 0)
