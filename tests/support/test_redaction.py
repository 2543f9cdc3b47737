"""Secrets are taken out of texts, facts and streams of bytes."""

from __future__ import annotations

import json
import re
from typing import Any
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from standpipe.errors import StandpipeError, StorageError
from standpipe.model.events import (
    AttemptEnded,
    AttemptFailed,
    Fact,
    Failure,
    IterationStarted,
    LoopStarted,
    Report,
    StartAttempt,
    TaskSucceeded,
)
from standpipe.model.ports import Cancel
from standpipe.model.types import ArtifactType
from standpipe.model.values import ArtifactValue, Collected, Seal, preview
from standpipe.support.redaction import MASK, NO_SECRETS, Redactor, can_mask, was_masked
from tests.engine.driving import task

TOKEN = "t0k3n-of-mine"
KEY = "-----BEGIN KEY-----\nMIIEvQ+IBADAN\nAgE=\n\n=x\n-----END KEY-----\n"
AWKWARD = "a\"b\\c'd é€/?"


@pytest.mark.parametrize(
    ("text", "masked"),
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
def test_a_secret_is_masked_in_whatever_way_it_is_written(text: str, masked: str) -> None:
    assert Redactor([TOKEN, KEY, AWKWARD]).text(text) == masked


def test_of_several_secrets_the_longest_is_masked() -> None:
    assert Redactor(["long", "longer", "longest"]).text("longest longer long lon") == "*** *** *** lon"


def test_what_is_short_is_not_masked() -> None:
    redactor = Redactor(["abc", " de\n", "", b"\n"])
    assert not redactor
    assert redactor.text("abc de") == "abc de"
    assert [can_mask(value) for value in ("abc", "abcd", b" abc ", "")] == [False, True, False, False]


def test_bytes_that_are_no_text_are_secrets_too() -> None:
    stream = Redactor([b"\xff\xfe\x00\x01"]).stream()
    assert stream.feed(b"a\xff\xfe\x00\x01b") + stream.finish() == b"a***b"


@pytest.mark.parametrize("length", [70, 100, 3000])
def test_what_a_cut_leaves_of_a_secret_is_masked_as_well(length: int) -> None:
    secret = "".join(chr(ord("a") + number % 26) + str(number) for number in range(length))[:length]
    shown = Redactor([secret]).text(f"is {preview(secret)} and {preview({'k': [secret]})}")
    assert not {secret[at : at + 4] for at in range(length)} & {shown[at : at + 4] for at in range(len(shown))}


def test_the_texts_of_facts_are_masked_and_what_they_are_about_is_not() -> None:
    redactor = Redactor([TOKEN, "123456", "sha256", "train"])
    train = task("train")
    kind = ArtifactType("system.Model")
    seal = Seal("sha256:00", 3, "s")
    model = ArtifactValue(TOKEN, kind, f"gs://{TOKEN}/m", {TOKEN: [TOKEN, 123456, 1234567, True]}, seal=seal)
    fact = TaskSucceeded(train, {"model": model, "n": 123456, "all": Collected([TOKEN, 1])}, Report(1.0))
    masked = redactor.masked(fact)
    assert masked == TaskSucceeded(
        train,
        {
            "model": ArtifactValue(MASK, kind, f"gs://{MASK}/m", {MASK: [MASK, MASK, 1234567, True]}),
            "n": MASK,
            "all": Collected([MASK, 1]),
        },
        Report(1.0),
    )
    assert masked.outputs["model"].seal is seal  # type: ignore[union-attr]
    assert isinstance(masked.outputs["all"], Collected)
    assert was_masked(masked)
    assert not was_masked(fact)


@pytest.mark.parametrize(
    "fact",
    [
        LoopStarted(task("a"), {}, ("x", TOKEN)),
        IterationStarted(task("a/0"), {"k": TOKEN}),
        AttemptFailed(task("a"), 0, 2, Failure("m", f"…{TOKEN}", TOKEN), 1.0, 0.0),
    ],
)
def test_no_fact_keeps_a_secret(fact: Fact) -> None:
    kept: list[Fact] = []
    Redactor([TOKEN]).sink(kept.extend)([fact])
    (masked,) = kept
    assert TOKEN in repr(fact)
    assert TOKEN not in repr(masked)
    assert was_masked(masked)


def test_without_secrets_nothing_is_touched() -> None:
    sink: list[Fact] = []
    value = {"a": [TOKEN]}
    take, attempt = sink.extend, lambda command, cancel: AttemptEnded(command.task)
    assert NO_SECRETS.json(value) is value
    assert NO_SECRETS.sink(take) is take
    assert NO_SECRETS.attempt(attempt) is attempt
    assert NO_SECRETS.stream().feed(b"data") == b"data"


def test_a_failure_is_masked_before_other_tasks_are_told_of_it_and_outputs_go_on() -> None:
    def attempt(command: StartAttempt, cancel: Cancel) -> AttemptEnded:
        return AttemptEnded(command.task, {"y": TOKEN}, Failure(f"no {TOKEN}") if command.attempt else None)

    masked = Redactor([TOKEN]).attempt(attempt)
    assert masked(StartAttempt(task("a"), "c", {}), Cancel()).outputs == {"y": TOKEN}
    assert masked(StartAttempt(task("a"), "c", {}, attempt=1), Cancel()).failure == Failure(f"no {MASK}")


def test_errors_and_their_causes_lose_their_secrets_and_nothing_else() -> None:
    def fail() -> None:
        try:
            raise StandpipeError(f"first {TOKEN}")
        except StandpipeError as first:
            raise StorageError(f"then {TOKEN}") from first

    with pytest.raises(StorageError) as caught, Redactor([TOKEN]).errors():
        fail()
    assert str(caught.value) == "then ***"
    assert str(caught.value.__cause__) == "first ***"
    with pytest.raises(KeyError, match=TOKEN), Redactor([TOKEN]).errors():
        raise KeyError(TOKEN)  # not ours to change


@given(st.lists(st.text("ab*", min_size=4, max_size=9), max_size=4), st.lists(st.text("ab* ", max_size=9), max_size=12))
def test_a_stream_gives_what_the_whole_would_give(secrets: list[str], chunks: list[str]) -> None:
    stream = Redactor(secrets).stream()
    given = b"".join([*(stream.feed(chunk.encode()) for chunk in chunks), stream.finish()])
    pieces = sorted({re.escape(secret) for secret in secrets}, key=len, reverse=True)
    whole = "".join(chunks)
    assert given.decode() == (re.sub("|".join(pieces), MASK, whole) if pieces else whole)


@pytest.mark.parametrize("chunks", [[TOKEN[:4], TOKEN[4:]], [*TOKEN], [f"a{TOKEN}{TOKEN[:2]}", TOKEN[2:]]])
def test_a_secret_in_several_pieces_is_masked(chunks: list[str]) -> None:
    stream = Redactor([TOKEN]).stream()
    given = b"".join([*(stream.feed(chunk.encode()) for chunk in chunks), stream.finish()])
    assert TOKEN not in given.decode()
    assert MASK in given.decode()


def test_only_what_could_be_the_beginning_of_a_secret_is_held_back() -> None:
    stream = Redactor([TOKEN, "t0k"]).stream()
    fed: list[Any] = [stream.feed(data) for data in (b"Name: ", b"prompt t", b"urn", b" t0k3n-o", b"f-mine? ")]
    assert fed == [b"Name: ", b"prompt ", b"turn", b" ", b"***? "]
    assert stream.feed(b"t0k3n-of-min") == b""
    assert stream.finish() == b"t0k3n-of-min"
