"""Files in which the system describes itself, such as those of /proc; a system may lack any of them."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path


def read_text(path: Path) -> str:
    """Return the content of a file without surrounding white space; empty if there is no such file."""
    with suppress(OSError):
        return path.read_text().strip()
    return ""
