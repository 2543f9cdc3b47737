"""Elements of SVG, with all text and all attributes escaped."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Union

from markupsafe import Markup, escape

#: An attribute; one that is None is left out.
Attribute = Union[str, int, float, None]


def element(tag: str, *children: str, **attributes: Attribute) -> Markup:
    """Return an element. Children that are not markup are text, and escaped.

    >>> str(element("text", "a < b", class_="label", font_size=12, x=1.50, y=None))
    '<text class="label" font-size="12" x="1.5">a &lt; b</text>'

    Args:
        tag: its name.
        *children: what it contains.
        **attributes: its attributes. An underscore is a hyphen in the attribute's name, and is left out at the end.
    """
    named = "".join(
        f' {name.rstrip("_").replace("_", "-")}="{_format(value)}"'
        for name, value in attributes.items()
        if value is not None
    )
    content = "".join(map(escape, children))
    return Markup(f"<{tag}{named}>{content}</{tag}>" if content else f"<{tag}{named}/>")  # noqa: S704  escaped above


def join(parts: Iterable[Markup]) -> Markup:
    """Return one piece of markup after the other."""
    return Markup("").join(parts)


def svg(width: float, height: float, title: str, *children: Markup, class_: str = "chart", role: str = "img") -> Markup:
    """Return a picture of that size in pixels, which screen readers announce by its title."""
    return element(
        "svg",
        element("title", title),
        *children,
        xmlns="http://www.w3.org/2000/svg",
        class_=class_,
        role=role,
        aria_label=title,
        viewBox=f"0 0 {width:g} {height:g}",
        width=width,
        height=height,
    )


def shorten(text: str, length: int) -> str:
    """Return a text in one line, with an ellipsis in its middle if it is longer than `length` characters.

    >>> shorten("validation/very/long/name", 15), shorten("short", 15)
    ('validat…ng/name', 'short')
    """
    line = " ".join(text.split())
    if len(line) <= length:
        return line
    tail = length // 2
    return f"{line[: length - tail - 1]}…{line[len(line) - tail :]}"


def _format(value: str | float) -> Markup:
    return escape(value if isinstance(value, str) else f"{round(value, 2):g}" if abs(value) < 1e5 else str(value))
