"""Whether a run store has changed, told from its files alone: that costs microseconds, and does not open it."""

from __future__ import annotations

import os
from pathlib import Path

from standpipe.model.layout import StateLayout


class StoreChanges:
    """Watches the files of a run store, which need not exist.

    Args:
        pipeline_root: the folder of the store.
    """

    def __init__(self, pipeline_root: Path) -> None:
        store = StateLayout(pipeline_root).run_store
        self._files = (str(store), f"{store}-wal")
        self._seen: object = None
        self._again = True

    def poll(self) -> bool:
        """Return whether the store may have changed since the last call.

        A call after one that returned True returns True as well: what is written within one tick of the clock of the
        file system looks the same.
        """
        seen = [_identify(file) for file in self._files]
        has_changed, self._seen = seen != self._seen, seen
        again, self._again = self._again, has_changed
        return has_changed or again

    def last_change(self) -> float:
        """Return when the store was last changed, in seconds since the epoch; 0 if it is missing."""
        times = [identity[2] for identity in map(_identify, self._files) if identity]
        return max(times, default=0) / 1e9


def _identify(file: str) -> tuple[int, int, int] | None:
    try:
        status = os.stat(file)
    except OSError:
        return None
    return status.st_ino, status.st_size, status.st_mtime_ns
