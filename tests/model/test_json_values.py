"""JSON that is not trusted: what a text may take in memory."""

from __future__ import annotations

import pytest

from standpipe.model import json_values
from standpipe.model.json_values import InvalidJson, parse_json


@pytest.mark.parametrize(
    ("piece", "message"),
    [
        ("{},", "is invalid: it has too many lists and objects: expected at most 1,000"),
        ("[[]],", "is invalid: it has too many lists and objects"),
        ("1,", "is invalid: it has too many values: expected at most 2,000"),
        ('",,",', ""),
        ('"[]",', ""),
        ('"\\",",', ""),
    ],
)
def test_a_text_has_a_limited_number_of_values(monkeypatch: pytest.MonkeyPatch, piece: str, message: str) -> None:
    """The values take many times the memory of a text such as `{},{},{}`."""
    monkeypatch.setattr(json_values, "_MAX_CONTAINERS", 1000)
    monkeypatch.setattr(json_values, "_MAX_COMMAS", 2000)
    text = f"[{piece * 1500}0]" if "{" in piece or "[[" in piece else f"[{piece * 2100}0]"
    if message:
        with pytest.raises(InvalidJson, match=message):
            parse_json(text)
    else:
        with pytest.raises(InvalidJson, match="too many values"):
            parse_json(text)
        assert len(parse_json(f"[{piece * 1900}0]")) == 1901, "what is in strings does not count"
