"""Pages of HTML that tasks made, without what is active in them."""

from __future__ import annotations

import re

#: The most bytes of a page that is shown.
MAX_PAGE = 32 * 1024 * 1024

#: Browsers do not run scripts in a sandbox, and report each one as an error. A style sheet is read in the same way, up
#: to its end tag, and one for no medium does nothing.
_SCRIPT = re.compile(r"<(/?)script(?=[\s/>])", re.IGNORECASE)

#: Chromium 150 opens a connection for a frame before the policy of the page forbids it. Without scripts, only the text
#: of a page can make a frame.
_FRAME = re.compile(r"<(/?)(?=i?frame)", re.IGNORECASE)


def make_static(html: str) -> str:
    """Return a page without scripts and frames; the rest of it, which a sandbox holds back as well, stays.

    `make_inert` leaves out more, as a report needs it, and takes twenty times as long for large pages.

    >>> make_static("<p>Hi<script src='x'>if (a<b) f()</script><iframe src='y'></iframe>")
    "<p>Hi<style media='not all' src='x'>if (a<b) f()</style><x-iframe src='y'></x-iframe>"

    Args:
        html: the text of the page.
    """
    page = _SCRIPT.sub(lambda tag: "</style" if tag[1] else "<style media='not all'", html)
    return _FRAME.sub(r"<\1x-", page)
