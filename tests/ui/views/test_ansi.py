"""Colors of terminals as spans: nothing of the text is lost, and no command for a terminal stays."""

from __future__ import annotations

import re

from hypothesis import given
from hypothesis import strategies as st

from standpipe.support.terminal_text import strip_controls
from standpipe.ui.views.ansi import MAX_LINE, Line, Span, Style, parse_line, parse_lines

PIECES = st.sampled_from(
    (
        *(
            "\x1b[31m",
            "\x1b[1;4m",
            "\x1b[0m",
            "\x1b[m",
            "\x1b[38;5;200m",
            "\x1b[48;2;10;20;30m",
            "\x1b[38m",
            "\x1b[99m",
        ),
        *("\x1b[2K", "\x1b[1A", "\x1b]0;title\x07", "\x1b]8;;http://x\x1b\\", "\x9b31m", "\x1b", "\x1bP1$r\x1b\\"),
        *("text", "<b>", "&amp;", "'", '"', "\t", "é", "\u202e", "\x00", "\x07", " "),
    )
)


def text_of(line: Line) -> str:
    return "".join(span.text for span in line)


def shown(text: str) -> Line:
    return parse_line(text)[0]


def test_colors_and_styles_become_classes() -> None:
    assert shown("a\x1b[1;31mb\x1b[0mc") == (Span("a"), Span("b", "ansi-bold ansi-fg-1"), Span("c"))
    assert shown("\x1b[92;44mx\x1b[39my") == (Span("x", "ansi-fg-10 ansi-bg-4"), Span("y", "ansi-bg-4"))
    assert shown("\x1b[3;9mx\x1b[23;29my") == (Span("x", "ansi-italic ansi-strike"), Span("y"))


def test_colors_that_pages_do_not_have_become_the_closest_ones() -> None:
    assert shown("\x1b[38;5;196mx") == (Span("x", "ansi-fg-9"),)
    assert shown("\x1b[38;2;0;0;0mx") == (Span("x", "ansi-fg-0"),)
    assert shown("\x1b[48;5;250mx") == (Span("x", "ansi-bg-7"),)


def test_hidden_text_is_shown() -> None:
    assert shown("\x1b[8mhidden") == (Span("hidden"),)


def test_a_style_continues_on_the_next_line() -> None:
    lines, style = parse_lines(["\x1b[32mone", "two\x1b[0m", "three"], Style())

    assert [line[0].classes for line in lines] == ["ansi-fg-2", "ansi-fg-2", ""]
    assert style == Style()


def test_a_line_that_overwrites_itself_shows_its_last_state_and_keeps_its_color() -> None:
    assert text_of(shown("10 %\r50 %\r100 %\r")) == "100 %"
    assert shown("\x1b[31mred\rlast") == (Span("last", "ansi-fg-1"),)


def test_a_long_line_is_cut() -> None:
    line = shown("x" * (MAX_LINE + 7))

    assert len(line[0].text) == MAX_LINE
    assert line[1] == Span(" … 7 more characters", "log-cut")


@given(st.lists(PIECES).map("".join))
def test_the_text_is_that_of_a_terminal_without_commands(text: str) -> None:
    assert text_of(shown(text)) == strip_controls(text)
    assert not re.search(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]", text_of(shown(text)))


@given(st.lists(PIECES).map("".join))
def test_classes_are_those_of_the_style_sheet(text: str) -> None:
    names = {name for span in shown(text) for name in span.classes.split()}

    assert all(
        re.fullmatch(r"ansi-(bold|dim|italic|underline|inverse|strike|[fb]g-(\d|1[0-5]))", name) for name in names
    )


@given(st.lists(PIECES).map("".join))
def test_a_style_can_be_continued_by_its_code(text: str) -> None:
    style = parse_line(text)[1]

    assert Style().after(style.code) == style


@given(st.text())
def test_any_text_can_be_parsed(text: str) -> None:
    shown(text)
