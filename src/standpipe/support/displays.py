"""Whether this user has a screen on which other programs can open windows."""

from __future__ import annotations

import os
import sys


def has_display() -> bool:
    """Return whether a browser or a viewer opens in a window; otherwise it could be one in this terminal."""
    return sys.platform == "darwin" or any(map(os.environ.get, ("DISPLAY", "WAYLAND_DISPLAY", "BROWSER")))
