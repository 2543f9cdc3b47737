"""Text in quotes, as CEL writes it.

The source is the language definition of CEL (STRING_LIT), and the lexer of cel-go, which the KFP backend calls.
"""

from __future__ import annotations

import re

_ESCAPE = (
    r"\\(?:[abfnrtv\"'`?\\]|[xX][0-9a-fA-F]{2}|u[0-9a-fA-F]{4}|U00(?:0[0-9a-fA-F]|10)[0-9a-fA-F]{4}|[0-3][0-7]{2})"
)
#: Text between three quotes may contain newlines and single quotes, raw text (`r'...'`) has no escapes.
LITERAL = rf"""(?xs) \s* (?:
    [rR] (?P<raw_quotes>'''|\"\"\") (?P<raw_lines>.*?) (?P=raw_quotes)
  | [rR] (?P<raw_quote>['"]) (?P<raw>(?:(?!(?P=raw_quote))[^\r\n])*) (?P=raw_quote)
  | (?P<quotes>'''|\"\"\") (?P<lines>(?:{_ESCAPE}|[^\\])*?) (?P=quotes)
  | (?P<quote>['"]) (?P<text>(?:{_ESCAPE}|(?!(?P=quote))[^\\\r\n])*) (?P=quote)
)"""

_CONTROL = {"a": "\a", "b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "v": "\v"}
_QUOTED = {ord("\\"): r"\\", ord("'"): r"\'", ord("\n"): r"\n", ord("\r"): r"\r"}


def quote(text: str) -> str:
    r"""Return a literal whose value is a text.

    >>> print(quote("it's C:\\new"))
    'it\'s C:\\new'
    """
    return f"'{text.translate(_QUOTED)}'"


def unquote(match: re.Match[str]) -> str:
    r"""Return the value of a literal that `LITERAL` matches.

    >>> unquote(re.match(LITERAL, r"'C:\new \u0041\x42\103'"))
    'C:\new ABC'
    """
    for raw in ("raw", "raw_lines"):
        if match[raw] is not None:
            return match[raw]
    text = match["text"] if match["text"] is not None else match["lines"]
    return re.sub(_ESCAPE, lambda escape: _character(escape[0][1:]), text)


def _character(escape: str) -> str:
    """Return the character that an escape stands for, which comes without its backslash."""
    if escape[0] in "xXuU":
        code = int(escape[1:], 16)
        return "\ufffd" if 0xD800 <= code < 0xE000 else chr(code)  # as Go replaces half a surrogate pair
    if escape.isdigit():
        return chr(int(escape, 8))
    return _CONTROL.get(escape, escape)
