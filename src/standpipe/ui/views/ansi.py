"""Text with colors of terminals as spans with classes; all other commands for terminals are dropped."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from functools import cached_property

from standpipe.model.frozen import frozen, replace
from standpipe.support.terminal_text import strip_controls

#: Colors and styles (SGR, of ECMA-48).
_STYLE_COMMAND = re.compile(r"\x1b\[([\d;:]*)m")

#: The most characters of a line that are shown.
MAX_LINE = 10_000

#: The styles by the number that sets them. Hidden and blinking text is shown as any other.
_FLAGS = {1: "bold", 2: "dim", 3: "italic", 4: "underline", 7: "inverse", 9: "strike", 21: "underline"}
_ENDS = {22: {"bold", "dim"}, 23: {"italic"}, 24: {"underline"}, 27: {"inverse"}, 29: {"strike"}}

#: The 16 colors that pages have, as terminals usually show them.
_PALETTE = (
    *((0, 0, 0), (205, 0, 0), (0, 205, 0), (205, 205, 0), (0, 0, 238), (205, 0, 205), (0, 205, 205), (229, 229, 229)),
    *((127, 127, 127), (255, 0, 0), (0, 255, 0), (255, 255, 0), (92, 92, 255), (255, 0, 255), (0, 255, 255)),
    (255, 255, 255),
)


@frozen
class Span:
    """A part of a line with the classes of its style, separated by spaces."""

    text: str
    classes: str = ""


#: A line as it is shown.
Line = tuple[Span, ...]


@frozen
class Style:
    """The style of text. `foreground` and `background` are numbers of the 16 colors, None for the usual one."""

    foreground: int | None = None
    background: int | None = None
    flags: frozenset[str] = frozenset()

    @cached_property
    def classes(self) -> str:
        """The classes of a span of this style."""
        colors = (("fg", self.foreground), ("bg", self.background))
        names = [*sorted(self.flags), *(f"{side}-{color}" for side, color in colors if color is not None)]
        return " ".join(f"ansi-{name}" for name in names)

    @property
    def code(self) -> str:
        """The numbers of a command that sets it, to continue a text later."""
        numbers = [number for number, flag in _FLAGS.items() if flag in self.flags and number != 21]
        numbers += [] if self.foreground is None else [38, 5, self.foreground]
        numbers += [] if self.background is None else [48, 5, self.background]
        return ";".join(map(str, numbers))

    def after(self, command: str) -> Style:
        """Return the style after a command, such as `1;31`. What it has no meaning for is ignored."""
        numbers = [int(number) if number.isdecimal() else 0 for number in command.replace(":", ";")[:200].split(";")]
        style = self
        while numbers:
            style, numbers = _apply(style, numbers)
        return style


PLAIN = Style()


def _apply(style: Style, numbers: list[int]) -> tuple[Style, list[int]]:
    """Return the style after the first of some numbers, and the numbers that follow."""
    first, rest = numbers[0], numbers[1:]
    if first == 0:
        return PLAIN, rest
    if first in _FLAGS:
        return replace(style, flags=style.flags | {_FLAGS[first]}), rest
    if first in _ENDS:
        return replace(style, flags=style.flags - _ENDS[first]), rest
    if first in (38, 48):
        color, rest = _extended_color(rest)
        return (_colored(style, first == 38, color) if color is not None else style), rest
    if first in (39, 49):
        return _colored(style, first == 39, None), rest
    for start, is_foreground, offset in ((30, True, 0), (40, False, 0), (90, True, 8), (100, False, 8)):
        if start <= first < start + 8:
            return _colored(style, is_foreground, first - start + offset), rest
    return style, rest


def _colored(style: Style, is_foreground: bool, color: int | None) -> Style:
    return replace(style, foreground=color) if is_foreground else replace(style, background=color)


def _extended_color(numbers: list[int]) -> tuple[int | None, list[int]]:
    """Return the color that numbers after a 38 or 48 name, as the closest of the 16, and the numbers that follow."""
    if numbers[:1] == [5] and len(numbers) > 1:
        return _of_256(numbers[1]), numbers[2:]
    if numbers[:1] == [2] and len(numbers) > 3:
        return _closest(numbers[1:4]), numbers[4:]
    return None, []


def _of_256(number: int) -> int | None:
    if number < 16:
        return number
    if number >= 232:
        return _closest([8 + (number - 232) * 10] * 3) if number < 256 else None
    cube = number - 16
    return _closest([(0, 95, 135, 175, 215, 255)[step] for step in (cube // 36, cube // 6 % 6, cube % 6)])


def _closest(color: Sequence[int]) -> int:
    def distance(number: int) -> int:
        return sum((one - other) ** 2 for one, other in zip(color, _PALETTE[number], strict=True))

    return min(range(16), key=distance)


def parse_line(text: str, style: Style = PLAIN) -> tuple[Line, Style]:
    r"""Return a line of a log as spans, and the style in which the next line begins.

    Of a line that overwrites itself, as progress bars do, the last state is shown.

    >>> parse_line("10 %\r\x1b[31m20 %\x1b[0m done")[0]
    (Span(text='20 %', classes='ansi-fg-1'), Span(text=' done', classes=''))
    """
    *overwritten, shown = text.rstrip("\r").rsplit("\r", 1)
    for command in _STYLE_COMMAND.findall(overwritten[0]) if overwritten else ():
        style = style.after(command)
    spans = []
    length = 0
    for part, command in _split(shown):
        clean = strip_controls(part)
        length += len(clean)
        if clean and length - len(clean) < MAX_LINE:
            spans.append(Span(clean[: MAX_LINE - (length - len(clean))], style.classes))
        style = style if command is None else style.after(command)
    if length > MAX_LINE:
        spans.append(Span(f" … {length - MAX_LINE} more characters", "log-cut"))
    return tuple(spans), style


def parse_lines(lines: Sequence[str], style: Style) -> tuple[list[Line], Style]:
    """Return lines as spans, and the style in which the next line begins."""
    parsed = []
    for line in lines:
        spans, style = parse_line(line, style)
        parsed.append(spans)
    return parsed, style


def _split(text: str) -> Iterator[tuple[str, str | None]]:
    """Yield the parts of a text between commands, each with the command that follows it; None at the end."""
    if "\x1b" not in text:
        yield text, None
        return
    pieces = _STYLE_COMMAND.split(text)
    commands = [*pieces[1::2], None]
    yield from zip(pieces[::2], commands, strict=True)
