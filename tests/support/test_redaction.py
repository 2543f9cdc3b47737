"""Redaction of texts, facts and streams of bytes."""

from __future__ import annotations

import base64
import html
import json
import re
import shlex
import time
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import quote, quote_plus, urlencode
from xml.sax.saxutils import escape

import pytest
from hypothesis import given, settings
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
from standpipe.model.redacted import REDACTED, RedactedObject, is_redacted
from standpipe.model.types import ArtifactType
from standpipe.model.values import ArtifactValue, Checksum, Collected, preview
from standpipe.support.redaction import NO_SECRETS, Redactor, is_redactable
from standpipe.support.spellings import spell
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


def test_secrets_that_overlap_are_redacted_by_one_mark() -> None:
    redactor = Redactor(["long", "longer", "longest", "gest-of-all"])
    assert redactor.redact_text("longest longer long lon longest-of-all longlong") == "*** *** *** lon *** ******"


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
    redactor = Redactor([TOKEN, "123456", "sha256", "train", "model", "1.25e3"])
    train = task("train")
    kind = ArtifactType("system.Model")
    checksum = Checksum("sha256:00", 3, "s")
    model = ArtifactValue(TOKEN, kind, f"gs://{TOKEN}/m", {TOKEN: [TOKEN, 123456, 1234567, True]}, checksum=checksum)
    fact = TaskSucceeded(train, {"model": model, "n": 123456, "all": Collected([TOKEN, 1])}, AttemptReport(1250.0))
    redacted = redactor.redact(fact)
    assert isinstance(redacted.outputs["model"].metadata, RedactedObject)  # type: ignore[union-attr]
    assert redacted == TaskSucceeded(
        train,
        {
            "model": ArtifactValue(
                REDACTED, kind, f"gs://{REDACTED}/m", {REDACTED: [REDACTED, REDACTED, 1234567, True]}
            ),
            "n": REDACTED,
            "all": Collected([REDACTED, 1]),
        },
        AttemptReport(1250.0),
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
    assert REDACTED in repr(redacted)


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

    with pytest.raises(StorageError) as caught, Redactor([TOKEN]).redact_messages():
        fail()
    assert str(caught.value) == "then ***"
    assert str(caught.value.__cause__) == "first ***"
    with pytest.raises(KeyError, match=TOKEN), Redactor([TOKEN]).redact_messages():
        raise KeyError(TOKEN)  # not a StandpipeError


def redact_obviously(text: str, secrets: list[str]) -> str:
    """Return a text without secrets by the rule: what occurs is marked, and what overlaps has one mark."""
    spans = sorted({match.span(1) for secret in secrets for match in re.finditer(f"(?=({re.escape(secret)}))", text)})
    redacted, at = "", 0
    for begin, end in spans:
        if begin >= at:
            redacted += text[at:begin] + REDACTED
        elif not at:
            redacted += REDACTED
        at = max(at, end)
    return redacted + text[at:]


@given(st.lists(st.text("ab*", min_size=4, max_size=9), max_size=4), st.lists(st.text("ab* ", max_size=9), max_size=12))
def test_a_stream_redacts_like_the_whole_text(secrets: list[str], chunks: list[str]) -> None:
    stream = Redactor(secrets).open_stream()
    fed = b"".join([*(stream.feed(chunk.encode()) for chunk in chunks), stream.finish()]).decode()
    assert fed == redact_obviously("".join(chunks), secrets) == Redactor(secrets).redact_text("".join(chunks))


def cut(data: bytes, sizes: list[int]) -> Iterator[bytes]:
    while data:
        size = sizes.pop(0) if sizes else len(data)
        yield data[:size]
        data = data[size:]


@settings(max_examples=150, deadline=None)
@given(
    st.text(st.characters(exclude_categories=["Cs"], exclude_characters="*"), min_size=4, max_size=30).filter(
        lambda text: len(text.strip()) == len(text) and not re.search(r"[\r\n]", text)
    ),
    st.lists(st.integers(1, 9), max_size=50),
)
def test_no_spelling_of_any_secret_survives_however_it_is_written(secret: str, sizes: list[int]) -> None:
    for name, spelling in spellings_by_libraries(secret).items():
        data = f"<<< {spelling} >>>".encode()
        stream = Redactor([secret]).open_stream()
        written = b"".join([*map(stream.feed, cut(data, [*sizes])), stream.finish()]).decode()
        assert written == Redactor([secret]).redact_text(data.decode()), name
        assert spelling not in written, name
        assert REDACTED in written, name


def spellings_by_libraries(secret: str) -> dict[str, str]:
    """Return texts in which libraries put a secret, by their names."""
    data, pair = secret.encode(), {"k": secret}
    spellings = {
        "JSON": json.dumps(pair),
        "JSON, not ASCII": json.dumps(pair, ensure_ascii=False),
        "JSON with slashes": json.dumps(pair).replace("/", r"\/"),
        "JSON in JSON": json.dumps(json.dumps(pair)),
        "JSON, not ASCII, in JSON": json.dumps(json.dumps(pair, ensure_ascii=False)),
        "JSON in JSON in JSON": json.dumps(json.dumps(json.dumps(pair))),
        "repr": repr(pair),
        "repr with both quotes": repr(f"'\"{secret}"),
        "repr with apostrophe": repr(f"'{secret}"),
        "repr of bytes": repr(data),
        "ascii": ascii(pair),
        "repr in repr": repr(KeyError(repr(pair))),
        "repr in JSON": json.dumps(repr(pair)),
        "quote": quote(secret),
        "quote all": quote(secret, safe=""),
        "quote_plus": quote_plus(secret),
        "urlencode": urlencode(pair),
        "lower-case codes": re.sub("%..", lambda code: code[0].lower(), quote(secret)),
        "html": html.escape(secret),
        "xml": escape(secret),
        "shell": shlex.quote(secret),
        "YAML": "'" + secret.replace("'", "''") + "'",
    }
    return spellings | {"as it is": secret}


@pytest.mark.parametrize("before", ["", "u", "us", "user:", "\xff"])
@pytest.mark.parametrize("encode", [base64.b64encode, base64.urlsafe_b64encode])
def test_base64_is_found_wherever_the_secret_begins_in_it(before: str, encode: Callable[[bytes], bytes]) -> None:
    secret = "t0k3n?of>m~~ne"
    redacted = Redactor([secret]).redact_text(encode(f"{before}{secret}\n".encode()).decode())
    assert REDACTED in redacted
    assert len(redacted.replace(REDACTED, "")) <= 4 + len(encode(before.encode()))


@given(st.text(), st.lists(st.text(st.characters(exclude_characters="\r\n"), min_size=4, max_size=10), max_size=3))
def test_a_text_without_a_secret_is_not_changed(text: str, secrets: list[str]) -> None:
    redactor = Redactor(f"\ue000{secret}" for secret in secrets)
    without = text.replace("\ue000", "").replace("7oCA", "")  # nor in base64
    if "…" not in without:
        assert redactor.redact_text(without) == without
        assert redactor.redact(without) is without


def test_a_secret_of_one_character_many_times_takes_time_in_proportion() -> None:
    secret, output = "a" * 2000, b"a" * 500_000
    stream = Redactor([secret, secret + "b"]).open_stream()
    redacted = b"".join([*map(stream.feed, cut(output, [4096] * 200)), stream.finish()])
    assert redacted == b"***"


def test_no_more_is_held_back_than_a_secret_has() -> None:
    secret = "ab" * 500 + "c"
    stream = Redactor([secret]).open_stream()
    written = b"".join(stream.feed(b"ab") for _ in range(5000))
    assert 10_000 - len(written) < max(map(len, spell(secret)))


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


@pytest.mark.parametrize("size", [1, 100, 65536])
def test_the_time_for_output_is_in_proportion_to_it_whatever_a_secret_is(size: int) -> None:
    output = b"a" * 200 * min(size, 1000)
    stream = Redactor(["a" * 5000, "a" * 4000 + "b"]).open_stream()
    began = time.process_time()
    written = b"".join([*map(stream.feed, cut(output, [size] * (len(output) // size))), stream.finish()])
    assert written == (b"***" if len(output) >= 5000 else output)
    assert time.process_time() - began < 20  # it takes 0.2 s
