"""The pages that the server is making: what it only reads ahead waits for them, as threads of Python take turns."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

#: Seconds after a page in which the next one is likely to be requested.
_QUIET = 0.05

#: Seconds after which waiting ends in any case.
_PATIENCE = 5.0

_STEP = 0.01


class PagesInWork:
    """Counts the pages that are being made. They are made in one event loop; any thread may wait."""

    def __init__(self) -> None:
        self._count = 0
        self._latest = 0.0  # when the last one was finished

    @contextmanager
    def one(self) -> Iterator[None]:
        """Count a page for the length of a block."""
        self._count += 1
        try:
            yield
        finally:
            self._count -= 1
            self._latest = time.monotonic()

    def wait(self) -> None:
        """Wait until no page is being made, and none was a moment ago."""
        end = time.monotonic() + _PATIENCE
        while (self._count or time.monotonic() - self._latest < _QUIET) and time.monotonic() < end:
            time.sleep(_STEP)
