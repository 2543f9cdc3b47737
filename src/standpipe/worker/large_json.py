"""JSON with large texts, written in pieces: in one piece it would take several times their size in memory."""

from __future__ import annotations

import json
import os
from json.encoder import encode_basestring_ascii
from typing import Any, BinaryIO, Iterator, List

#: From how many characters on a text is large, and the number of characters in a piece of it.
_LARGE_TEXT = 1024 * 1024
_PIECE = 256 * 1024

#: What JSON escapes of ASCII.
_ESCAPED = bytes(range(32)) + b'"\\\x7f'

#: In how many objects, one in the other, large texts are looked for: a parameter is in four of a request.
_MAX_DEPTH = 4


def write_json(file: BinaryIO, value: Any) -> None:
    """Write a value to an open file, as JSON in ASCII.

    Args:
        file: the file, which is buffered.
        value: the value.

    Raises:
        OSError: if the file cannot be written.
        TypeError, ValueError: as `json.dumps`.
    """
    if not _has_large_text(value):
        file.write(json.dumps(value).encode("ascii"))
        return
    mark, texts = os.urandom(16).hex(), []  # type: ignore[var-annotated]
    content = json.dumps(_replace_large_texts(value, mark, texts, _MAX_DEPTH)).encode("ascii")
    first, *others = content.split(f'"{mark}"'.encode("ascii"))
    file.write(first)
    for text, following in zip(texts, others):
        file.write(b'"')
        for piece in _escape(text):
            file.write(piece)
        file.write(b'"' + following)


def _has_large_text(value: Any, depth: int = _MAX_DEPTH) -> bool:
    if isinstance(value, dict):
        for item in value.values():  # a loop, as every task pays for it
            if isinstance(item, str):
                if len(item) >= _LARGE_TEXT:
                    return True
            elif depth and isinstance(item, dict) and _has_large_text(item, depth - 1):
                return True
    return isinstance(value, str) and len(value) >= _LARGE_TEXT


def _escape(text: str) -> Iterator[bytes]:
    """Yield a text as JSON without its quotes. A search for what JSON escapes is three times as fast as escaping."""
    may_be_plain = text.isascii()
    for begin in range(0, len(text), _PIECE):
        piece = text[begin : begin + _PIECE]
        if may_be_plain:
            plain = piece.encode("ascii")
            may_be_plain = len(plain.translate(None, _ESCAPED)) == len(plain)
        yield plain if may_be_plain else encode_basestring_ascii(piece)[1:-1].encode("ascii")


def _replace_large_texts(value: Any, mark: str, texts: List[str], depth: int) -> Any:
    """Return a value with a mark in place of each large text, which is added to `texts`; others are not copied."""
    if isinstance(value, str) and len(value) >= _LARGE_TEXT:
        texts.append(value)
        return mark
    if not isinstance(value, dict) or not depth:
        return value
    replaced = {key: _replace_large_texts(item, mark, texts, depth - 1) for key, item in value.items()}
    return replaced if any(replaced[key] is not value[key] for key in value) else value
