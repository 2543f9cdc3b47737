"""JSON that is not trusted: texts of tasks, files and users become values, or one error.

Whatever passes can be stored, redacted, compared, shown and passed to the next task. So the rules are stricter than
those of Python's parser. A cluster has the same ones, because its launcher reads with protojson (protobuf-go 1.36):
UTF-8 without a byte order mark, no key twice in one object, numbers that a double can hold, no half of a surrogate pair
in a text. Depth is limited to `MAX_DEPTH`, as in compiled files; protojson allows 10,000, but the metadata store behind
it reads protobuf, which allows 100.
"""

from __future__ import annotations

import json
import math
import sys
from collections import Counter
from collections.abc import Collection
from itertools import accumulate

from standpipe.errors import StandpipeError
from standpipe.model.types import Json, ParameterType
from standpipe.model.values import ValueMismatch, coerce, preview, shorten

#: How deeply lists and objects may be nested: `[[]]` has a depth of 2.
MAX_DEPTH = 100

_MAX_INTEGER = int(sys.float_info.max)

#: The most lists and objects, and the most commas, in one text: with more, `{},{},…` takes 30 times its size in memory.
_MAX_CONTAINERS = 5_000_000
_MAX_COMMAS = 20_000_000

#: All bytes but brackets and quotes, and all but commas and quotes.
_NOT_BRACKETS = bytes(set(range(256)) - set(b'[]{}"'))
_NOT_COMMAS = bytes(set(range(256)) - set(b',"'))
_STEPS = {**dict.fromkeys(b"[{", 1), **dict.fromkeys(b"]}", -1)}

#: The longest path in a message.
_MAX_PATH = 300

_LONG_NUMBER = "a number that is too large: expected one that a double can hold, below 1.8e308"
_TOO_DEEP = f"nested too deeply: expected at most {MAX_DEPTH} levels of lists and objects"


class InvalidJson(StandpipeError, ValueError):
    """A text is not JSON, or not JSON that a cluster reads as well."""


def parse_json(
    text: str | bytes, what: str = "the text", *, max_depth: int = MAX_DEPTH, any_text: bool = False
) -> Json:
    """Return the value of a JSON text that is not trusted.

    Args:
        text: the text, or its bytes in UTF-8.
        what: names the text in the error.
        max_depth: how deeply it may be nested.
        any_text: allows half of a surrogate pair, which only Python takes for text.

    Raises:
        InvalidJson: if it is not JSON, or breaks a rule of this module. The message is one line of limited length.
    """
    try:
        if isinstance(text, bytes):
            text = decode_text(text, what)
        _check_depth(text, max_depth)
        check_text = not any_text and "\\" in text and ("\\ud" in text or "\\uD" in text)
        value: Json = _decoder().decode(text)
        del text  # it may be large, as the value
        if not _is_plain(value, check_text=check_text):
            _check(value, what, max_depth, check_text=check_text)
    except InvalidJson:
        raise
    except json.JSONDecodeError as error:
        reason = "it begins with a byte order mark" if error.doc.startswith("\ufeff") else str(error)
        raise InvalidJson(f"{what} is not JSON: {reason}") from None
    except ValueMismatch as mismatch:
        raise InvalidJson(str(mismatch)) from None
    except ValueError as error:
        reason = _LONG_NUMBER if str(error).startswith("Exceeds the limit (4300") else str(error)  # of int()
        raise InvalidJson(f"{what} is invalid: {reason}") from None
    return value


def decode_text(content: bytes, what: str) -> str:
    """Return the text in bytes.

    Raises:
        InvalidJson: if it is not UTF-8; `what` names it in the message.
    """
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError as error:
        raise InvalidJson(f"{what} is not UTF-8: {error.reason} at byte {error.start}") from None


def parse_text(text: str, to: ParameterType) -> Json:
    """Return the value that a task has written as text to the file of an output parameter, as a cluster reads it.

    Numbers and booleans are trimmed. A STRING is the whole content, with a newline at its end.

    Raises:
        ValueMismatch: if the text is not a value of that type.
    """
    if to is ParameterType.STRING:
        return text
    from standpipe.model import go_text  # here, as Python components write no such files

    try:
        if to is ParameterType.NUMBER_INTEGER:
            return go_text.parse_integer(text)
        if to is ParameterType.NUMBER_DOUBLE:
            return go_text.parse_double(text)
        if to is ParameterType.BOOLEAN:
            return go_text.parse_boolean(text)
        return coerce(parse_json(text), to)
    except ValueError as error:
        raise ValueMismatch(f"expected {to.label}, got the text {preview(text)}: {error}") from error


def check_json(value: object, path: str = "the value", *, any_integer: bool = False) -> None:
    """Check that a value of Python can be written as JSON and read back.

    Half of a surrogate pair is allowed, as it occurs in the name of a file that is not UTF-8.

    Args:
        value: the value.
        path: names the value in the error.
        any_integer: allows integers that are too large for a double, which the caller checks by a rule of its own.

    Raises:
        ValueMismatch: if it cannot; the message names the path of the invalid part, which begins with `path`.
    """
    _check(value, path, MAX_DEPTH, check_text=False, any_integer=any_integer)


def check_depth(value: object, path: str = "the value") -> None:
    """Check how deeply a value of Python is nested, whatever is in it, before a function that is recursive uses it.

    Raises:
        ValueMismatch: if it is nested too deeply, or contains itself.
    """
    level: list[object] = [value]
    for _ in range(MAX_DEPTH + 1):
        containers = [item for item in level if isinstance(item, (list, tuple, dict))]
        if not containers:
            return
        level = [item for each in containers for item in (each.values() if isinstance(each, dict) else each)]
    raise ValueMismatch(f"{path} is {_TOO_DEEP}")


def refuse_constant(name: str) -> float:
    """Raise ValueError: the `parse_constant` of `json` for a parser that takes JSON only."""
    raise ValueError(f"expected a finite number, got {name}")


def unique_keys(pairs: list[tuple[str, Json]]) -> dict[str, Json]:
    """Return an object: the `object_pairs_hook` of `json`.

    Raises:
        ValueError: if a key is there twice. Which of the two values counts would be up to the reader.
    """
    result = dict(pairs)
    if len(result) != len(pairs):
        counts = Counter(key for key, _ in pairs)
        raise ValueError(f"duplicate key {preview(counts.most_common(1)[0][0])}")
    return result


def _parse_integer(digits: str) -> int:
    if len(digits) > 4300:  # the limit of Python
        raise ValueError(_LONG_NUMBER)
    return int(digits)


_DECODER = json.JSONDecoder(object_pairs_hook=unique_keys)
_LIMITED_DECODER = json.JSONDecoder(object_pairs_hook=unique_keys, parse_int=_parse_integer)


def _decoder() -> json.JSONDecoder:
    """Return the decoder. The time for a number is quadratic in its digits, which Python itself limits by default."""
    is_limited = getattr(sys, "get_int_max_str_digits", int)() == 4300  # Python 3.10.6 does not have it
    return _DECODER if is_limited else _LIMITED_DECODER


def _check_depth(text: str, max_depth: int) -> None:
    """Check how deeply a text is nested, and how many values it has, before it is parsed.

    The parser is recursive, and can crash the process. Up to the first error in the text, which the parser does not
    pass, the depth is exact.

    Raises:
        ValueError: if it is nested too deeply, or has too many values.
    """
    has_many = len(text) > _MAX_COMMAS and text.count(",") > _MAX_COMMAS  # in its strings, too
    if has_many and len(_structure(text, _NOT_COMMAS)) > _MAX_COMMAS:
        raise ValueError(f"it has too many values: expected at most {_MAX_COMMAS:,} in one text")
    if not _has_more(text, "[", max_depth // 2) and not _has_more(text, "{", max_depth // 2):
        return
    brackets = _structure(text, _NOT_BRACKETS)
    if len(brackets) > 2 * _MAX_CONTAINERS:
        raise ValueError(f"it has too many lists and objects: expected at most {_MAX_CONTAINERS:,} in one text")
    if max(accumulate(map(_STEPS.__getitem__, brackets)), default=0) > max_depth:
        raise ValueError(_TOO_DEEP)


def _structure(text: str, others: bytes) -> bytes:
    """Return the bytes of a text that are in none of its strings, and not among `others`."""
    data = text.encode("utf-8", "surrogatepass")
    if b"\\" in data:
        data = data.replace(b"\\\\", b"").replace(b'\\"', b"")
    return b"".join(data.translate(None, others).split(b'"')[::2])


def _has_more(text: str, character: str, limit: int) -> bool:
    """Return whether a text has a character more often than `limit`; in large texts much faster than counting."""
    at = -1
    for _ in range(limit + 1):
        at = text.find(character, at + 1)
        if at < 0:
            return False
    return True


def _is_plain(root: Json, *, check_text: bool) -> bool:
    """Return whether a parsed value has only numbers that a double can hold and, if asked, only valid text.

    This is `_check` without the path, several times as fast.
    """
    groups: list[Collection[Json]] = [(root,)]
    for items in groups:
        for kind in {*map(type, items)}:
            if kind is float:
                valid = all(math.isfinite(item) for item in items if type(item) is float)
            elif kind is int:
                valid = all(-_MAX_INTEGER <= item <= _MAX_INTEGER for item in items if type(item) is int)
            elif kind is str:
                valid = not check_text or all(_is_valid_text(item) for item in items if type(item) is str)
            else:
                valid = True
                if kind is list:
                    groups += [item for item in items if type(item) is list]
                elif kind is dict:
                    objects = [item for item in items if type(item) is dict]
                    groups += [each.values() for each in objects]
                    groups += [each.keys() for each in objects if check_text]
            if not valid:
                return False
    return True


def _is_valid_text(text: str) -> bool:
    if not text.isascii():
        try:
            text.encode()
        except UnicodeEncodeError:
            return False
    return True


def _check(value: object, path: str, depth: int, *, check_text: bool, any_integer: bool = False) -> None:
    if value is None or isinstance(value, bool):
        return
    if isinstance(value, str):
        if check_text and not _is_valid_text(value):
            raise _mismatch(path, f"is {preview(value)}: expected text without half of a surrogate pair")
    elif isinstance(value, int):
        if not any_integer and not -_MAX_INTEGER <= value <= _MAX_INTEGER:
            raise _mismatch(path, f"is {_LONG_NUMBER}")
    elif isinstance(value, float):
        if not math.isfinite(value):
            raise _mismatch(path, f"is {value}: expected a finite number, as JSON has no others")
    elif not isinstance(value, (list, tuple, dict)):
        raise _mismatch(
            path, f"is of type {type(value).__name__}: expected text, a number, a boolean, a list, a dict or None"
        )
    elif depth == 0:
        raise ValueMismatch(f"{shorten(path)} is {_TOO_DEEP}")
    else:
        for key, item in value.items() if isinstance(value, dict) else enumerate(value):
            if isinstance(value, dict):
                _check_key(key, path, check_text=check_text)
            inner = f"{path}[{preview(key)}]"
            _check(item, inner, depth - 1, check_text=check_text, any_integer=any_integer)


def _check_key(key: object, path: str, *, check_text: bool) -> None:
    if not isinstance(key, str):
        raise _mismatch(path, f"has the key {preview(key)}: expected text as a key, as in all JSON objects")
    if check_text and not _is_valid_text(key):
        raise _mismatch(path, f"has the key {preview(key)}: expected text without half of a surrogate pair")


def _mismatch(path: str, problem: str) -> ValueMismatch:
    return ValueMismatch(f"{shorten(path, _MAX_PATH)} {problem}")
