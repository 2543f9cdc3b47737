"""The spellings in which a secret may appear in a text: those of JSON, Python, URLs, HTML, YAML, shells and base64.

The list is closed: what common libraries write by themselves. `docs/how-to/secrets.md` has it, too.
"""

from __future__ import annotations

import base64
import html
import json
import re
from collections.abc import Iterator
from urllib.parse import quote

#: How often a text is escaped: JSON in JSON in JSON.
_LEVELS = 3

#: What is not a percent code in a URL: nothing; the default of `urllib`; what JavaScript's `encodeURIComponent` and
#: `encodeURI` keep.
_SAFE = ("", "/", "!'()*", ";,/?:@&=+$#!'()*")

#: The least number of characters in base64: shorter ones are in too many other texts.
_MIN_BASE64 = 8

_PERCENT_CODE = re.compile(r"%[0-9A-F]{2}")
_UNICODE_CODE = re.compile(r"\\u[0-9a-f]{4}")


def spell(text: str) -> set[str]:
    """Return the spellings of a text, itself among them."""
    data = to_bytes(text)
    in_bytes = repr(b'"' + data)[3:-1]
    unescaped = {text, in_bytes, in_bytes.replace(r"\'", "'"), *_in_markup(text), *_in_urls(data)}
    level = {escaped for spelling in unescaped for escaped in _escape(spelling)}
    spellings = unescaped | level
    for _ in range(_LEVELS - 1):
        level = {escaped for spelling in level for escaped in _escape_again(spelling)}
        spellings |= level
    return spellings.union(_in_base64(data))


def _escape(text: str) -> Iterator[str]:
    """Yield what a text is between the quotes of JSON and Python.

    JSON may have `/` and characters that are not ASCII as codes or as they are. Python escapes `'` only if the whole
    text, of which this is a part, has both kinds of quotes.
    """
    yield from _escape_again(text)
    yield _UNICODE_CODE.sub(lambda code: rf"\u{code[0][2:].upper()}", json.dumps(text)[1:-1])
    yield repr('"' + text)[2:-1].replace(r"\'", "'")
    yield ascii('"' + text)[2:-1]
    yield ascii('"' + text)[2:-1].replace(r"\'", "'")


def _escape_again(text: str) -> Iterator[str]:
    for json_text in (json.dumps(text)[1:-1], json.dumps(text, ensure_ascii=False)[1:-1]):
        yield json_text
        yield json_text.replace("/", r"\/")
    yield repr('"' + text)[2:-1]


def _in_markup(text: str) -> Iterator[str]:
    """Yield a text as HTML and XML, as JSON that is safe in HTML (Go, Jinja), as YAML and for a shell."""
    yield html.escape(text)
    yield html.escape(text, quote=False)
    yield html.escape(text).replace("&quot;", "&#34;").replace("&#x27;", "&#39;")
    yield re.sub("[<>&]", lambda character: rf"\u{ord(character[0]):04x}", json.dumps(text, ensure_ascii=False)[1:-1])
    yield text.replace("'", "''")
    yield text.replace("'", r"'\''")
    yield text.replace("'", "'\"'\"'")  # as `shlex.quote`


def _in_urls(data: bytes) -> Iterator[str]:
    for safe in _SAFE:
        code = quote(data, safe=safe)
        for spelling in (code, code.replace("%20", "+")):
            yield spelling
            yield _PERCENT_CODE.sub(lambda match: match[0].lower(), spelling)


def _in_base64(data: bytes) -> Iterator[str]:
    """Yield what base64 makes of the data wherever it begins in what is encoded, without the characters at both ends.

    A character stands for 6 bits, three bytes for four characters. Those at the ends may depend on what is around.
    """
    for before in range(3):
        first = -(-before * 8 // 6)
        last = (before + len(data)) * 8 // 6
        code = base64.b64encode(bytes(before) + data)[first:last].decode()
        if len(code) >= _MIN_BASE64:
            yield code
            yield code.replace("+", "-").replace("/", "_")


def to_bytes(text: str) -> bytes:
    """Return a text as UTF-8, and what `surrogateescape` made of other bytes as those bytes."""
    try:
        return text.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:  # a surrogate that stands for no byte
        return text.encode("utf-8", "surrogatepass")
