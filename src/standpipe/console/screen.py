"""Standard output as observers use it: whatever its state, showing a run never stops the run."""

from __future__ import annotations

import sys
from contextlib import suppress


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
