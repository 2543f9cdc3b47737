"""Pages of HTML without what is active in them."""

from __future__ import annotations

import pytest

from standpipe.ui.views.html_pages import make_static


@pytest.mark.parametrize(
    ("page", "static"),
    [
        ("<script>f()</script>x", "<style media='not all'>f()</style>x"),
        ("<SCRIPT src=a>\n</Script >", "<style media='not all' src=a>\n</style >"),
        ("<script\ntype=module>", "<style media='not all'\ntype=module>"),
        ("<scripts><p>", "<scripts><p>"),
        ("<iframe src=a></iframe>", "<x-iframe src=a></x-iframe>"),
        ("<FRAMESET><frame>", "<x-FRAMESET><x-frame>"),
        ("<p>a < b, no frame</p>", "<p>a < b, no frame</p>"),
    ],
)
def test_scripts_and_frames_are_replaced(page: str, static: str) -> None:
    assert make_static(page) == static
