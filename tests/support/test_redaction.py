"""Redaction of texts, facts and streams of bytes."""

from __future__ import annotations

import json
import re
from typing import Any
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from standpipe.errors import StandpipeError, StorageError
from standpipe.model.cancellation import Cancellation
from standpipe.model.events import (
    AttemptEnded,
    AttemptFailed,
    AttemptReport,
    Fact,
    Failure,
    IterationStarted,
    LoopStarted,
    StartAttempt,
    TaskSucceeded,
)
from standpipe.model.types import ArtifactType
from standpipe.model.values import ArtifactValue, Checksum, Collected, preview
from standpipe.support.redaction import NO_SECRETS, REDACTED, Redactor, is_redactable, is_redacted
from tests.engine.driving import task

TOKEN = "t0k3n-of-mine"
KEY = "-----BEGIN KEY-----\nMIIEvQ+IBADAN\nAgE=\n\n=x\n-----END KEY-----\n"
AWKWARD = "a\"b\\c'd é€/?"


@pytest.mark.parametrize(
    ("text", "redacted"),
    [
        (f"a {TOKEN}, {TOKEN}!", "a ***, ***!"),
        ("nothing", "nothing"),
        (KEY, "***\n"),
        (f"> {KEY.splitlines()[1]} <", "> *** <"),
        (json.dumps({"k": KEY}), '{"k": "***\\n"}'),
        (json.dumps(AWKWARD), '"***"'),
        (json.dumps(AWKWARD, ensure_ascii=False), '"***"'),
        (repr(AWKWARD), "'***'"),
        (f"https://me:{quote(AWKWARD, safe='')}@host", "https://me:***@host"),
    ],
)
def test_a_secret_is_redacted_in_every_spelling(text: str, redacted: str) -> None:
    assert Redactor([TOKEN, KEY, AWKWARD]).redact_text(text) == redacted


def test_the_longest_matching_secret_is_redacted() -> None:
    assert Redactor(["long", "longer", "longest"]).redact_text("longest longer long lon") == "*** *** *** lon"


def test_short_values_are_not_redacted() -> None:
    redactor = Redactor(["abc", " de\n", "", b"\n"])
    assert not redactor
    assert redactor.redact_text("abc de") == "abc de"
    assert [is_redactable(value) for value in ("abc", "abcd", b" abc ", "")] == [False, True, False, False]


def test_bytes_that_are_not_utf_8_are_redacted() -> None:
    stream = Redactor([b"\xff\xfe\x00\x01"]).open_stream()
    assert stream.feed(b"a\xff\xfe\x00\x01b") + stream.finish() == b"a***b"


@pytest.mark.parametrize("length", [70, 100, 3000])
def test_parts_of_secrets_next_to_an_omission_are_redacted(length: int) -> None:
    secret = "".join(chr(ord("a") + number % 26) + str(number) for number in range(length))[:length]
    shown = Redactor([secret]).redact_text(f"is {preview(secret)} and {preview({'k': [secret]})}")
    assert not {secret[at : at + 4] for at in range(length)} & {shown[at : at + 4] for at in range(len(shown))}


def test_texts_in_facts_are_redacted_and_task_references_are_not() -> None:
    redactor = Redactor([TOKEN, "123456", "sha256", "train"])
    train = task("train")
    kind = ArtifactType("system.Model")
    checksum = Checksum("sha256:00", 3, "s")
    model = ArtifactValue(TOKEN, kind, f"gs://{TOKEN}/m", {TOKEN: [TOKEN, 123456, 1234567, True]}, checksum=checksum)
    fact = TaskSucceeded(train, {"model": model, "n": 123456, "all": Collected([TOKEN, 1])}, AttemptReport(1.0))
    redacted = redactor.redact(fact)
    assert redacted == TaskSucceeded(
        train,
        {
            "model": ArtifactValue(
                REDACTED, kind, f"gs://{REDACTED}/m", {REDACTED: [REDACTED, REDACTED, 1234567, True]}
            ),
            "n": REDACTED,
            "all": Collected([REDACTED, 1]),
        },
        AttemptReport(1.0),
    )
    assert redacted.outputs["model"].checksum is checksum  # type: ignore[union-attr]
    assert isinstance(redacted.outputs["all"], Collected)
    assert is_redacted(redacted)
    assert not is_redacted(fact)


@pytest.mark.parametrize(
    "fact",
    [
        LoopStarted(task("a"), {}, ("x", TOKEN)),
        IterationStarted(task("a/0"), {"k": TOKEN}),
        AttemptFailed(task("a"), 0, 2, Failure("m", f"…{TOKEN}", TOKEN), 1.0, 0.0),
    ],
)
def test_every_kind_of_fact_is_redacted(fact: Fact) -> None:
    kept: list[Fact] = []
    Redactor([TOKEN]).wrap_sink(kept.extend)([fact])
    (redacted,) = kept
    assert TOKEN in repr(fact)
    assert TOKEN not in repr(redacted)
    assert is_redacted(redacted)


def test_without_secrets_nothing_is_wrapped_or_copied() -> None:
    sink: list[Fact] = []
    value = {"a": [TOKEN]}
    take, attempt = sink.extend, lambda command, cancel: AttemptEnded(command.task)
    assert NO_SECRETS.redact(value) is value
    assert NO_SECRETS.wrap_sink(take) is take
    assert NO_SECRETS.wrap_attempt(attempt) is attempt
    assert NO_SECRETS.open_stream().feed(b"data") == b"data"


def test_failures_of_attempts_are_redacted_and_outputs_are_not() -> None:
    def attempt(command: StartAttempt, cancel: Cancellation) -> AttemptEnded:
        return AttemptEnded(command.task, {"y": TOKEN}, Failure(f"no {TOKEN}") if command.attempt else None)

    redacted = Redactor([TOKEN]).wrap_attempt(attempt)
    assert redacted(StartAttempt(task("a"), "c", {}), Cancellation()).outputs == {"y": TOKEN}
    assert redacted(StartAttempt(task("a"), "c", {}, attempt=1), Cancellation()).failure == Failure(f"no {REDACTED}")


def test_errors_and_their_causes_are_redacted() -> None:
    def fail() -> None:
        try:
            raise StandpipeError(f"first {TOKEN}")
        except StandpipeError as first:
            raise StorageError(f"then {TOKEN}") from first

    with pytest.raises(StorageError) as caught, Redactor([TOKEN]).redact_errors():
        fail()
    assert str(caught.value) == "then ***"
    assert str(caught.value.__cause__) == "first ***"
    with pytest.raises(KeyError, match=TOKEN), Redactor([TOKEN]).redact_errors():
        raise KeyError(TOKEN)  # not a StandpipeError


@given(st.lists(st.text("ab*", min_size=4, max_size=9), max_size=4), st.lists(st.text("ab* ", max_size=9), max_size=12))
def test_a_stream_redacts_like_the_whole_text(secrets: list[str], chunks: list[str]) -> None:
    stream = Redactor(secrets).open_stream()
    given = b"".join([*(stream.feed(chunk.encode()) for chunk in chunks), stream.finish()])
    pieces = sorted({re.escape(secret) for secret in secrets}, key=len, reverse=True)
    whole = "".join(chunks)
    assert given.decode() == (re.sub("|".join(pieces), REDACTED, whole) if pieces else whole)


@pytest.mark.parametrize("chunks", [[TOKEN[:4], TOKEN[4:]], [*TOKEN], [f"a{TOKEN}{TOKEN[:2]}", TOKEN[2:]]])
def test_a_secret_in_several_chunks_is_redacted(chunks: list[str]) -> None:
    stream = Redactor([TOKEN]).open_stream()
    given = b"".join([*(stream.feed(chunk.encode()) for chunk in chunks), stream.finish()])
    assert TOKEN not in given.decode()
    assert REDACTED in given.decode()


def test_a_stream_holds_back_only_possible_beginnings_of_secrets() -> None:
    stream = Redactor([TOKEN, "t0k"]).open_stream()
    fed: list[Any] = [stream.feed(data) for data in (b"Name: ", b"prompt t", b"urn", b" t0k3n-o", b"f-mine? ")]
    assert fed == [b"Name: ", b"prompt ", b"turn", b" ", b"***? "]
    assert stream.feed(b"t0k3n-of-min") == b""
    assert stream.finish() == b"t0k3n-of-min"
