"""HTML without scripts and without anything that is loaded."""

from __future__ import annotations

import doctest

import pytest
from hypothesis import given
from hypothesis import strategies as st

from standpipe.ui.views import changes, inert_html, side_by_side, summary
from standpipe.ui.views.inert_html import make_inert


@pytest.mark.parametrize("module", [changes, inert_html, side_by_side, summary])
def test_examples(module: object) -> None:
    assert doctest.testmod(module).failed == 0  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("html", "inert"),
    [
        ("<p>Hi &amp; &#60;bye&#62;</p>", "<p>Hi &amp; &#60;bye&#62;</p>"),
        ("<!DOCTYPE html><!-- c --><h1>x</h1>", "<!DOCTYPE html><h1>x</h1>"),
        ("a<script>x<b>y</b></script>b", "ab"),
        ("a<iframe src=x><p>in</p></iframe>b", "ab"),
        ("a<object><object>x</object>y</object>b", "ab"),
        ('<link rel="stylesheet" href="x.css"><base href="//x"><meta http-equiv="refresh" content="0">', ""),
        ('<img src="data:image/png;base64,AA==" alt="a">', '<img src="data:image/png;base64,AA==" alt="a">'),
        ('<img SRC="//x/y.png" srcset="a 1x"/>', "<img/>"),
        ('<a href="https://example.com" ping="//x">link</a>', '<a href="https://example.com">link</a>'),
        ('<p style="background: url(//x)" OnClick="x()" class="a">t</p>', '<p class="a">t</p>'),
        ('<p style="color: red">t</p>', '<p style="color: red">t</p>'),
        ("<style>p { color: red }</style>", "<style>p { color: red }</style>"),
        ("<style>@import '//x';</style>", "<style></style>"),
        (r"<style>p { background: u\72l(//x) }</style>", "<style></style>"),
        ('<svg><use href="//x#a"/><use href="#a"/></svg>', '<svg><use/><use href="#a"/></svg>'),
        ('<form action="//x"><input autofocus></form>', "<form><input></form>"),
        ('<p title="a&quot;b">t</p>', '<p title="a&quot;b">t</p>'),
        ("<p>never closed", "<p>never closed"),
    ],
)
def test_what_runs_or_loads_is_left_out(html: str, inert: str) -> None:
    assert make_inert(html) == inert


@given(st.text(alphabet="<>/=\"'!-& abcdiv script style img src on\n", max_size=60))
def test_any_text_has_a_result(html: str) -> None:
    assert "<script" not in make_inert(html).lower()
