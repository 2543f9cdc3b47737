"""JSON with large texts, written in pieces."""

from __future__ import annotations

import io
import json
from typing import Any

import pytest

from standpipe.worker.large_json import write_json

PLAIN = "x" * 2_000_000


def written(value: Any) -> str:
    file = io.BytesIO()
    write_json(file, value)
    return file.getvalue().decode("ascii")


@pytest.mark.parametrize("text", [PLAIN, PLAIN + '\n"\\\x7f\x01', "é𝄞\udcff" * 500_000, "\n" * 2_000_000])
def test_large_texts_are_written_as_json_writes_them(text: str) -> None:
    value = {"a": {"b": {"first": text, "n": [1, None]}, "second": text}, "list": [text], "short": "é"}
    assert written(value) == json.dumps(value)


@pytest.mark.parametrize("value", [{}, [], None, {"a": 1.5, "b": [{"c": "é"}]}])
def test_small_values_are_written_as_json_writes_them(value: Any) -> None:
    assert written(value) == json.dumps(value)


def test_the_value_stays_as_it_is() -> None:
    value = {"a": {"b": PLAIN}}
    written(value)
    assert value == {"a": {"b": PLAIN}}


def test_what_json_cannot_hold_is_an_error() -> None:
    with pytest.raises(TypeError, match="not JSON serializable"):
        written({"a": PLAIN, "b": object()})
