"""Folders of the user's, outside of any run."""

from __future__ import annotations

import os


def cache_folder() -> str:
    """Return where environments are kept between runs: `STANDPIPE_CACHE`, or `standpipe` in the user's cache folder."""
    caches = os.environ.get("XDG_CACHE_HOME") or os.path.join("~", ".cache")
    own = os.environ.get("STANDPIPE_CACHE") or os.path.join(caches, "standpipe")
    return os.path.abspath(os.path.expanduser(own))
