"""Standard output as observers use it: whatever its state, showing a run never stops the run."""

from __future__ import annotations

import os
import sys
from contextlib import suppress

#: What the variable `CI` has outside of continuous integration.
_NO_CI = ("", "0", "false")


class Screen:
    """A text file that writes to the current `sys.stdout` and ignores errors.

    Text is dropped if there is no stdout (`pythonw`, a daemon), it is closed, its reader has exited (`| head`), or its
    disk is full; the logs and the run store are complete anyway. Characters that its encoding lacks are escaped.
    """

    @property
    def encoding(self) -> str:
        """The encoding of standard output."""
        return getattr(sys.stdout, "encoding", None) or "utf-8"

    def isatty(self) -> bool:
        """Return whether standard output is a terminal."""
        isatty = getattr(sys.stdout, "isatty", None)
        with suppress(ValueError):  # closed
            return bool(isatty and isatty())
        return False

    @property
    def is_live(self) -> bool:
        """Return whether what is displayed can be changed later: on a terminal, at which a person is."""
        return self.isatty() and os.environ.get("TERM") != "dumb" and os.environ.get("CI", "").lower() in _NO_CI

    @property
    def has_colors(self) -> bool:
        """Return whether there are colors, and the user wants them (https://no-color.org)."""
        return self.isatty() and not os.environ.get("NO_COLOR")

    def size(self) -> tuple[int, int]:
        """Return the columns and lines of the terminal, which may change at any time; 80 and 24 if it does not say."""
        with suppress(OSError, ValueError, AttributeError):
            columns, lines = os.get_terminal_size(sys.stdout.fileno())
            return columns or 80, lines or 24
        return 80, 24

    def write(self, text: str) -> int:
        """Write the text at once, and return its length."""
        if sys.stdout is not None:
            with suppress(OSError, ValueError):
                try:
                    sys.stdout.write(text)
                except UnicodeEncodeError:
                    sys.stdout.write(text.encode(self.encoding, "backslashreplace").decode(self.encoding))
        return len(text)

    def flush(self) -> None:
        """Flush standard output."""
        flush = getattr(sys.stdout, "flush", None)
        with suppress(OSError, ValueError):
            if flush:
                flush()
