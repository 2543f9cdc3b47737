"""Secret values, taken out of all that is kept and shown.

A value is recognised wherever it stands as it is, or as JSON, Python or a URL write it; so is each of its lines. In
another form, as encrypted, compressed or in base64, nobody can know it.
"""

from __future__ import annotations

import json
import re
from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import fields, is_dataclass, replace
from enum import Enum
from typing import Any, Protocol, TypeVar
from urllib.parse import quote

from standpipe.errors import StandpipeError
from standpipe.model.events import AttemptEnded, Fact, Report, StartAttempt
from standpipe.model.ports import Cancel
from standpipe.model.refs import TaskRef
from standpipe.model.resources import Needs
from standpipe.model.types import ArtifactType, Json
from standpipe.model.values import Seal, as_text

T = TypeVar("T")
Attempt = Callable[[StartAttempt, Cancel], AttemptEnded]

#: What stands in place of a secret.
MASK = "***"

#: Shorter values, in characters, stand in too many texts that have nothing to do with them.
SHORTEST = 4

#: What we made ourselves, and what no secret gets into.
_SPARED = (TaskRef, Enum, ArtifactType, Seal, Needs, Report)

#: Where a long text lost its middle, perhaps in the middle of a secret (`values.preview`, `execution.attempt`).
_CUT = re.compile(r"( \[… \d+ characters …\] |…)")


class Sink(Protocol):
    """Takes facts, as `runs.driver.FactSink` does."""

    def __call__(self, facts: Sequence[Fact], /) -> None: ...


class Redactor:
    """Replaces every occurrence of some secret values by `MASK`; where several could begin, the longest.

    It is false if there is nothing to replace, and costs nothing then.

    Args:
        values: the secrets; those that are too short (`can_mask`) are left as they are.
    """

    def __init__(self, values: Iterable[str | bytes] = ()) -> None:
        pieces = {form for value in values for piece in _pieces(_text(value)) for form in _forms(piece)}
        self._pieces = sorted(pieces, key=len, reverse=True)
        self._pattern = re.compile("|".join(map(re.escape, self._pieces)))

    def __bool__(self) -> bool:
        return bool(self._pieces)

    def text(self, text: str) -> str:
        """A text without secrets, and without what is left of one that the middle was cut out of."""
        if not self:
            return text
        masked = self._pattern.sub(MASK, text)
        return self._without_remains(masked) if "…" in masked else masked

    def json(self, value: Json) -> Json:
        """A value, or a Plan as JSON, without secrets: in its texts, its keys, and numbers that are one as a whole."""
        return self.masked(value)

    def masked(self, value: T) -> T:
        """The same for anything that facts hold. The kinds of lists and dataclasses stay, so do references to tasks."""
        return self._masked(value) if self else value

    def stream(self) -> Stream:
        """Takes secrets out of bytes that come in pieces."""
        return Stream([piece.encode("utf-8", "surrogateescape") for piece in self._pieces])

    def sink(self, sink: Sink) -> Sink:
        """Takes secrets out of facts before `sink` gets them."""

        def masked(facts: Sequence[Fact]) -> None:
            sink([self.masked(fact) for fact in facts])

        return masked if self else sink

    def attempt(self, attempt: Attempt) -> Attempt:
        """Takes secrets out of the failures of attempts, which exit tasks are told of. Outputs are left to `sink`."""

        def masked(command: StartAttempt, cancel: Cancel) -> AttemptEnded:
            ended = attempt(command, cancel)
            return replace(ended, failure=self.masked(ended.failure)) if ended.failure else ended

        return masked if self else attempt

    @contextmanager
    def errors(self) -> Iterator[None]:
        """Takes secrets out of errors that leave the block, and out of ours among their causes."""
        try:
            yield
        except StandpipeError as error:
            cause: BaseException | None = error
            while cause is not None:
                if isinstance(cause, StandpipeError):
                    cause.args = self.masked(cause.args)
                cause = cause.__cause__ or cause.__context__
            raise

    def _masked(self, value: Any) -> Any:
        if value is None or isinstance(value, (bool, *_SPARED)):
            return value
        if isinstance(value, str):
            return self.text(value)
        if isinstance(value, (int, float)):
            return MASK if self._pattern.fullmatch(as_text(value)) else value
        if isinstance(value, Mapping):
            return {self._masked(key): self._masked(item) for key, item in value.items()}
        if isinstance(value, (list, tuple)):
            return type(value)(map(self._masked, value))
        if is_dataclass(value) and not isinstance(value, type):
            return replace(value, **{field.name: self._masked(getattr(value, field.name)) for field in fields(value)})
        return value

    def _without_remains(self, text: str) -> str:
        parts = _CUT.split(text)
        for cut in range(1, len(parts), 2):
            before, after = parts[cut - 1], parts[cut + 1]
            begun = max((_overlap(before, piece) for piece in self._pieces), default=0)
            ended = max((_overlap(piece, after) for piece in self._pieces), default=0)
            if begun:
                parts[cut - 1] = before[:-begun] + MASK
            if ended:
                parts[cut + 1] = MASK + after[ended:]
        return "".join(parts)


NO_SECRETS = Redactor()


class Stream:
    """Takes secrets out of bytes that come in pieces. What could be the beginning of one waits for what follows.

    Args:
        secrets: longest first.
    """

    def __init__(self, secrets: Sequence[bytes]) -> None:
        self._secrets = sorted(secrets)
        self._longest = len(secrets[0]) if secrets else 0
        self._pattern = re.compile(b"|".join(map(re.escape, secrets)))
        self._first = re.compile(b"|".join({re.escape(secret[:1]) for secret in secrets}))
        self._pending = b""

    def feed(self, data: bytes) -> bytes:
        """Takes the next bytes, and gives those that can be told by now."""
        if not self._secrets:
            return data
        data = self._pending + data
        told, at = [], 0
        open_from = self._open_from(data, at)
        while found := self._pattern.search(data, at):
            if found.start() >= open_from:
                break  # a longer secret may begin here, or earlier
            told += [data[at : found.start()], MASK.encode()]
            at = found.end()
            if at > open_from:
                open_from = self._open_from(data, at)
        self._pending = data[open_from:]
        return b"".join((*told, data[at:open_from]))

    def finish(self) -> bytes:
        """Gives what waited for more, when no more comes."""
        rest, self._pending = self._pending, b""
        return self._pattern.sub(MASK.encode(), rest) if rest else rest

    def _open_from(self, data: bytes, at: int) -> int:
        """Where the end of the data begins that could go on as a secret; where there is none, that is its length."""
        for begin in self._first.finditer(data, max(at, len(data) - self._longest + 1)):
            rest = data[begin.start() :]
            following = bisect_right(self._secrets, rest)  # among these, what begins with `rest` comes right after it
            if following < len(self._secrets) and self._secrets[following].startswith(rest):
                return begin.start()
        return len(data)


def can_mask(value: str | bytes) -> bool:
    """Whether a value is long enough to be told from other text."""
    return len(_text(value).strip()) >= SHORTEST


def was_masked(value: object) -> bool:
    """Whether a fact, or a value in one, seems to have lost something to a mask, and so cannot be used again."""
    if isinstance(value, str):
        return MASK in value
    if isinstance(value, Mapping):
        return any(was_masked(key) or was_masked(item) for key, item in value.items())
    if isinstance(value, (list, tuple)):
        return any(map(was_masked, value))
    if is_dataclass(value) and not isinstance(value, type):
        return any(was_masked(getattr(value, field.name)) for field in fields(value))
    return False


def _text(value: str | bytes) -> str:
    return value if isinstance(value, str) else value.decode("utf-8", "surrogateescape")


def _pieces(value: str) -> Iterator[str]:
    """A value and its lines, without the space around them, which a file may have and its reader may not."""
    return (piece for part in (value, *re.split(r"[\r\n]+", value)) if can_mask(piece := part.strip()))


def _forms(piece: str) -> Iterator[str]:
    yield piece
    yield json.dumps(piece)[1:-1]
    yield json.dumps(piece, ensure_ascii=False)[1:-1]
    yield repr(piece)[1:-1]
    yield quote(piece.encode("utf-8", "surrogateescape"), safe="")


def _overlap(left: str, right: str) -> int:
    """How many characters at the end of `left` are those at the start of `right`; 0 if they are too few to tell."""
    longest = min(len(left), len(right))
    if right[:SHORTEST] not in left[-longest:]:
        return 0
    return next((length for length in range(longest, SHORTEST - 1, -1) if left.endswith(right[:length])), 0)
