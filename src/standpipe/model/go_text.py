"""Values as text, as the KFP backend writes and reads them: with the rules of Go's `strconv` and `encoding/json`.

The sources are `PbValueToText` and `TextToPbValue` in `backend/src/v2/metadata/converter.go` and `getPlaceholders` in
`backend/src/v2/component/launcher_v2.go` (kubeflow/pipelines, 7b70c7b95f). There is one difference: protobuf's `Value`
has only doubles, so a cluster rounds whole numbers above 2**53. Here they keep all their digits.
"""

from __future__ import annotations

import json
import math
import re

from standpipe.model.cluster_differences import SP125, decides
from standpipe.model.types import Json

#: The characters that Go's JSON encoder escapes so that the text can be part of an HTML page.
_HTML_ESCAPES = {ord(character): f"\\u{ord(character):04x}" for character in "<>&\u2028\u2029"}
#: From the first to the second of these absolute values, Go's JSON encoder writes a double without an exponent.
_SMALLEST_PLAIN, _FIRST_WITH_EXPONENT = 1e-6, 1e21

_INTEGER = r"[+-]?[0-9]+"
_INTEGER_RANGE = range(-(2**63), 2**63)
_DOUBLE = r"(?i)[+-]?(?:(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:e[+-]?[0-9]+)?|inf(?:inity)?)|nan"
_BOOLEANS = {
    **dict.fromkeys(("1", "t", "T", "TRUE", "true", "True"), True),
    **dict.fromkeys(("0", "f", "F", "FALSE", "false", "False"), False),
}


def format_double(value: float) -> str:
    """Return a double as `FormatFloat(value, 'f', -1, 64)` writes it: the shortest text, without an exponent.

    >>> [format_double(value) for value in (5.0, 0.1, 1e21, 1e-7, -0.0, float("-inf"))]
    ['5', '0.1', '1000000000000000000000', '0.0000001', '-0', '-Inf']
    """
    if not math.isfinite(value):
        return "NaN" if math.isnan(value) else f"{'+' if value > 0 else '-'}Inf"
    text = repr(value)
    if "e" in text:
        from decimal import Decimal  # here, as few programs write such numbers

        text = format(Decimal(text), "f")
    return text.removesuffix(".0")


def format_json(value: Json) -> str:
    r"""Return a value as Go's `json.Marshal` writes a protobuf `Value`: compact, with sorted keys, safe in HTML.

    Numbers that JSON does not have are written as Python writes them.

    >>> format_json({"b": [1.0, 1e-7, True, None], "a": "é<"})
    '{"a":"é\\u003c","b":[1,1e-7,true,null]}'
    """
    return _format_json(value).translate(_HTML_ESCAPES)


def _format_json(value: Json) -> str:
    if isinstance(value, float) and math.isfinite(value):
        if value and not _SMALLEST_PLAIN <= abs(value) < _FIRST_WITH_EXPONENT:
            return repr(value).replace("e-0", "e-")
        return format_double(value)
    if isinstance(value, dict):
        return "{" + ",".join(f"{_format_json(key)}:{_format_json(value[key])}" for key in sorted(value)) + "}"
    if isinstance(value, (list, tuple)):
        return "[" + ",".join(map(_format_json, value)) + "]"
    return json.dumps(value, ensure_ascii=False)


@decides(SP125)
def parse_integer(text: str) -> int:
    """Return the integer in a text, as `ParseInt(TrimSpace(text), 10, 64)` reads it: `007`, `+5`; not `5.0` or `1_000`.

    Raises:
        ValueError: if the text is not an integer, or not one of 64 bits.
    """
    stripped = text.strip()
    if not re.fullmatch(_INTEGER, stripped):
        raise ValueError("write a whole number such as 5, without a fraction or an exponent")
    if len(stripped) > 4000 or int(stripped) not in _INTEGER_RANGE:  # Python refuses to convert more than 4300 digits
        raise ValueError("the number has more than 64 bits")
    return int(stripped)


def parse_double(text: str) -> float:
    """Return the double in a text, as `ParseFloat(TrimSpace(text), 64)` reads decimal notation: `.5`, `1e3`, `inf`.

    Raises:
        ValueError: if the text is not a number, or is a number that is too large for a double.
    """
    stripped = text.strip()
    if not re.fullmatch(_DOUBLE, stripped):
        raise ValueError("write a number such as 0.5 or 1e-3")
    value = float(stripped)
    if math.isinf(value) and "inf" not in stripped.lower():
        raise ValueError("the number is too large for a double")
    return value


def parse_boolean(text: str) -> bool:
    """Return the boolean in a text, as `ParseBool(TrimSpace(text))` reads it: `true`, `True`, `1`, `t` and so on.

    Raises:
        ValueError: if the text is not one of them.
    """
    stripped = text.strip()
    if stripped not in _BOOLEANS:
        raise ValueError("write true or false")
    return _BOOLEANS[stripped]
