"""Standard output as observers use it: whatever state it is in, showing a run never stops it."""

from __future__ import annotations

import sys
from contextlib import suppress


class Screen:
    """Stands for `sys.stdout`, as it is at each moment, wherever a file is wanted.

    What cannot be shown is left out, and the run goes on: because there is no stdout (`pythonw`, a daemon), it is
    closed, its reader has gone (`| head`), or its disk is full. Logs and the run store have it all. Characters that its
    encoding lacks are written as escapes.
    """

    @property
    def encoding(self) -> str:
        """The encoding of standard output."""
        return getattr(sys.stdout, "encoding", None) or "utf-8"

    def isatty(self) -> bool:
        """Whether a person sits in front of it."""
        isatty = getattr(sys.stdout, "isatty", None)
        with suppress(ValueError):  # closed
            return bool(isatty and isatty())
        return False

    def write(self, text: str) -> int:
        """Shows the text, in one write; returns its length."""
        if sys.stdout is not None:
            with suppress(OSError, ValueError):
                try:
                    sys.stdout.write(text)
                except UnicodeEncodeError:
                    sys.stdout.write(text.encode(self.encoding, "backslashreplace").decode(self.encoding))
        return len(text)

    def flush(self) -> None:
        """Brings what was written to its reader."""
        flush = getattr(sys.stdout, "flush", None)
        with suppress(OSError, ValueError):
            if flush:
                flush()
