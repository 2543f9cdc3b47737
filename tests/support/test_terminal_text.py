"""Text of tasks without commands for a terminal."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from standpipe.support.terminal_text import strip_controls

#: What no text may have that is shown: all that a terminal, or the layout of text in two directions, acts on.
FORBIDDEN = {*map(chr, (*range(0x20), *range(0x7F, 0xA0), *range(0x202A, 0x202F), *range(0x2066, 0x206A)))} - {
    "\t",
    "\n",
}


@pytest.mark.parametrize(
    "command",
    [
        "\x1b[2A",  # cursor up
        "\x1b[2K\x1b[1G",
        "\x1b[?1049h",  # another screen
        "\x9b2J",  # the same introducer as one character
        "\x1b]0;a title\x07",
        "\x1b]52;c;ZWNobw==\x1b\\",  # the clipboard
        "\x9d0;a title\x9c",
        "\x1bP$qm\x1b\\",  # the terminal answers
        "\x1bc",  # reset
        "\x1b(0",  # another character set
        "\x1b7\x1b8",
        "\a\b\v\f",
        "\x7f\x85",
        "\u202e",  # right to left
        "\u2067",  # a part that is right to left
    ],
)
def test_commands_are_stripped(command: str) -> None:
    assert strip_controls(f"a{command}b\t[red]é\n") == "ab\t[red]é\n"
    assert strip_controls(f"a{command}b", keep_colors=True) == "ab"


def test_colors_may_stay_and_end_with_the_text() -> None:
    assert strip_controls("\x1b[1;31mred\x1b[2J", keep_colors=True) == "\x1b[1;31mred\x1b[0m"
    assert strip_controls("\x1b[38;5;9mred\x1b[0m", keep_colors=True) == "\x1b[38;5;9mred\x1b[0m"
    assert strip_controls("\x1b[31mred") == "red"


def test_a_command_without_end_does_not_hide_the_next_line() -> None:
    assert strip_controls("a\x1b]0;b\nc") == "a\nc"


@given(st.text(st.sampled_from("\x1b\x9b\x9d\x07\\[]0;1mAK?P a\n\u202e\u2066") | st.characters()))
def test_nothing_forbidden_is_left(text: str) -> None:
    assert not FORBIDDEN & set(strip_controls(text))
    assert not FORBIDDEN & set(strip_controls(text, keep_colors=True).replace("\x1b[", ""))


@pytest.mark.parametrize("piece", ["\x1b[", "\x1b]", "\x1b[1", "\x9b;", "x", "\x1b[31m"])
def test_time_is_linear(piece: str) -> None:
    start = time.monotonic()
    strip_controls(piece * (10_000_000 // len(piece)))
    assert time.monotonic() - start < 30
