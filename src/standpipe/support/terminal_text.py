"""Text of tasks on a terminal: what they print, their errors, their names. It can do no more than be read.

A terminal takes commands among the text (ECMA-48): they move the cursor, set the title, write to the clipboard, or let
the terminal type an answer. Text that changes its direction can hide what it says.
"""

from __future__ import annotations

TYPE_CHECKING = False  # most text has no commands, and then `re` is not needed
if TYPE_CHECKING:
    import re

#: The control characters, and those that change the direction of text, which JSON need not escape.
_HIGH_CONTROLS = r"\x7f-\x9f\u202a-\u202e\u2066-\u2069"

_RESET = "\x1b[0m"


def _controls() -> re.Pattern[str]:
    """Return the pattern of commands, with their parameters or a text, and of controls other than tab and newline."""
    import re  # costs time, and most text has no commands; it keeps the patterns that it has compiled

    return re.compile(
        r"(?P<color>\x1b\[[\d;:]*m)"
        r"|(?:\x1b\[|\x9b)[0-?]*[ -/]*[@-~]"
        r"|(?:\x1b[]PX^_]|[\x90\x98\x9d-\x9f])[^\x07\x1b\x9c\n]*(?:\x07|\x1b\\|\x9c)?"
        r"|\x1b[ -/]*[0-~]?"
        rf"|[\x00-\x08\x0b-\x1f{_HIGH_CONTROLS}]"
    )


def strip_controls(text: str, *, keep_colors: bool = False) -> str:
    r"""Return a text without commands for a terminal; tabs and newlines stay.

    Args:
        text: the text.
        keep_colors: whether commands for colors and styles stay; they end with the text.

    >>> strip_controls("50 %\x1b[2K\x1b]0;title\x07 done\x1b[31m!")
    '50 % done!'
    """
    if text.replace("\n", "").replace("\t", "").isprintable():
        return text
    if not keep_colors:
        return _controls().sub("", text)
    shown = _controls().sub(lambda match: match["color"] or "", text)
    return shown + _RESET if "\x1b" in shown and not shown.endswith(_RESET) else shown


def escape_controls(json_text: str) -> str:
    """Return a JSON text in which control characters are codes, as those of ASCII below a space are anyway."""
    import re  # as above

    return re.sub(f"[{_HIGH_CONTROLS}]", lambda match: f"\\u{ord(match[0]):04x}", json_text)
