"""Markdown of tasks as HTML that can do nothing but be read."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache, lru_cache
from typing import TYPE_CHECKING

from markupsafe import Markup

if TYPE_CHECKING:
    from markdown_it import MarkdownIt
    from markdown_it.token import Token

#: What links may lead to. A page of this server could be one that a task has chosen.
_LINKS = ("http://", "https://", "mailto:")
_IMAGES = ("data:image/png;", "data:image/jpeg;", "data:image/gif;", "data:image/webp;")

#: The deepest nesting of lists and quotations: the time that the renderer takes grows with it.
_MAX_NESTING = 20

#: The levels of headings that the pages have themselves.
_PAGE_HEADINGS = 2


@lru_cache(maxsize=16)  # pages are refreshed often, and 100 KB take a second
def render_markdown(text: str) -> Markup:
    """Return Markdown as HTML, with tables; HTML in it is shown as text.

    Its headings are two levels lower, below those of the page. Links open in a new tab, tell the other site nothing,
    and lead to web sites and mail addresses only. Images are shown if the text contains them (`data:`), since loading
    one would tell its server who reads the page.

    Args:
        text: the Markdown.
    """
    parser = _parser()
    tokens = parser.parse(text)
    _restrict(tokens)
    return Markup(parser.renderer.render(tokens, parser.options, {}))  # noqa: S704  the renderer escapes all text


@cache
def _parser() -> MarkdownIt:
    from markdown_it import MarkdownIt  # costs 30 ms, and few pages have Markdown

    options = {"html": False, "maxNesting": _MAX_NESTING}
    return MarkdownIt("commonmark", options).enable(["table", "strikethrough"])


def _restrict(tokens: Sequence[Token]) -> None:
    """Fit tokens into a page, and remove what they must not do, and inline styles, which the pages do not allow."""
    for token in tokens:
        if token.type == "link_open":
            _restrict_link(token)
        elif token.type == "image" and not str(token.attrs.get("src", "")).startswith(_IMAGES):
            token.type, token.content, token.children = "text", f"[image: {token.content}]", None
        elif token.type in ("heading_open", "heading_close"):
            token.tag = f"h{min(int(token.tag[1:]) + _PAGE_HEADINGS, 6)}"
        align = str(token.attrs.pop("style", "")).removeprefix("text-align:")
        if align in ("center", "right"):
            token.attrSet("class", f"align-{align}")
        _restrict(token.children or ())


def _restrict_link(token: Token) -> None:
    if str(token.attrs.get("href", "")).lower().startswith(_LINKS):
        token.attrs |= {"target": "_blank", "rel": "noopener noreferrer nofollow"}
    else:
        token.attrs.pop("href", None)
