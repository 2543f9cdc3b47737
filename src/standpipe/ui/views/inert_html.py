"""HTML of tasks without what a report could not do anyway: scripts, frames, and what is loaded from other places.

A frame with a sandbox and a Content-Security-Policy keep a page from doing any of it, whatever it contains. Without
these parts, the browser also has nothing to complain about.
"""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from html.parser import HTMLParser

#: Elements that are left out with their content, and those without content.
_WITH_CONTENT = frozenset(("script", "iframe", "object", "noscript", "template", "frameset", "applet"))
_WITHOUT_CONTENT = frozenset(("link", "base", "embed", "frame", "meta"))

#: The attribute of styles that apply to nothing: what `html_pages.make_static` makes of scripts.
_NO_MEDIUM = ("media", "not all")

#: Attributes that take the focus, or say where a form is sent.
_ACTIVE = frozenset(("autofocus", "autoplay", "action", "formaction"))

#: Attributes with an address that a browser loads, without a click.
_LOADED = frozenset(("src", "srcset", "poster", "background", "data", "xlink:href", "imagesrcset", "srcdoc", "ping"))

#: Elements whose `href` is loaded, too.
_LOADS_HREF = frozenset(("image", "use", "feimage"))


def make_inert(html: str) -> str:
    """Return HTML without scripts, frames, and what is loaded.

    >>> make_inert('<p onclick="go()">Hi <img src="http://a/b.png"><script>x</script></p>')
    '<p>Hi <img></p>'
    """
    parser = _Filter()
    parser.feed(html)
    parser.close()
    return "".join(parser.parts)


class _Filter(HTMLParser):
    def __init__(self) -> None:
        super().__init__(convert_charrefs=False)
        self.parts: list[str] = []
        self._hidden_in = ""
        self._depth = 0
        self._in_style = False

    def handle_starttag(self, tag: str, attrs: Sequence[tuple[str, str | None]]) -> None:
        if self._hidden_in:
            self._depth += tag == self._hidden_in
        elif tag in _WITH_CONTENT or _NO_MEDIUM in attrs:
            self._hidden_in, self._depth = tag, 1
        elif tag not in _WITHOUT_CONTENT:
            self._in_style = tag == "style"
            self.parts.append(f"<{tag}{''.join(_attribute(*each) for each in attrs if _is_kept(tag, *each))}>")

    def handle_startendtag(self, tag: str, attrs: Sequence[tuple[str, str | None]]) -> None:
        if not self._hidden_in and tag not in _WITH_CONTENT | _WITHOUT_CONTENT:
            self.parts.append(f"<{tag}{''.join(_attribute(*each) for each in attrs if _is_kept(tag, *each))}/>")

    def handle_endtag(self, tag: str) -> None:
        if self._hidden_in:
            self._depth -= tag == self._hidden_in
            self._hidden_in = self._hidden_in if self._depth else ""
        elif tag not in _WITHOUT_CONTENT:
            self._in_style = False
            self.parts.append(f"</{tag}>")

    def handle_data(self, data: str) -> None:
        if not self._hidden_in and not (self._in_style and _loads(data)):
            self.parts.append(data)

    def handle_entityref(self, name: str) -> None:
        self.handle_data(f"&{name};")

    def handle_charref(self, name: str) -> None:
        self.handle_data(f"&#{name};")

    def handle_decl(self, decl: str) -> None:
        self.parts.append(f"<!{decl}>")


def _attribute(name: str, value: str | None) -> str:
    return f" {name}" if value is None else f' {name}="{escape(value)}"'


def _is_kept(tag: str, name: str, value: str | None) -> bool:
    if name.startswith("on") or (name == "href" and tag in _LOADS_HREF and not _is_local(value)):
        return False
    if name == "style" and _loads(value or ""):
        return False
    return name not in _LOADED | _ACTIVE or (name == "src" and _is_local(value))


def _is_local(value: str | None) -> bool:
    return (value or "").strip().lower().startswith(("data:image/", "#"))


def _loads(style: str) -> bool:
    """Return whether styles load something that is not in them."""
    lower = style.lower()
    return "@import" in lower or "\\" in style or lower.count("url(") > lower.count("url(data:image/")
