"""Python and YAML as lines with the classes of a highlighter."""

from __future__ import annotations

from functools import lru_cache

from markupsafe import Markup, escape

from standpipe.model.frozen import frozen

#: Longer texts are shown without colors, as the highlighter takes a second for 500 kB.
_MAX_HIGHLIGHTED = 200_000


@frozen
class Source:
    """Code of a user. `html` has its lines, `file` and `line` are where it comes from; empty and 0 if unknown."""

    name: str
    text: str
    html: Markup
    file: str = ""
    line: int = 0


@lru_cache(maxsize=64)
def highlight(text: str, language: str) -> Markup:
    """Return code as HTML, with a class for each kind of token.

    Args:
        text: the code.
        language: `python`, `yaml`, `json` or `pytb`, for a traceback.
    """
    if len(text) > _MAX_HIGHLIGHTED:
        return escape(text)
    import pygments  # type: ignore[import-untyped]  # takes longer to import than most pages need
    from pygments.formatters.html import HtmlFormatter  # type: ignore[import-untyped]
    from pygments.lexers import get_lexer_by_name  # type: ignore[import-untyped]

    lexer = get_lexer_by_name(language, stripnl=False, ensurenl=False)
    formatter = HtmlFormatter(nowrap=True, classprefix="code-")
    return Markup(pygments.highlight(text, lexer, formatter))  # noqa: S704 - the formatter escapes what is in the text
