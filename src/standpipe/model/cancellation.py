"""The cancellation of what runs, shared by threads."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable


class Cancellation:
    """A request to cancel an attempt, shared by the driver and a runner. Any thread can set it, and set it as urgent.

    A runner terminates the attempt, and kills it after a grace period; if the request is urgent, at once. A runner
    that waits with `select` or `poll` on file descriptors registers a callback that wakes it.
    """

    def __init__(self, parent: Cancellation | None = None) -> None:
        self._parent = parent
        self._lock = threading.Lock()
        self._callbacks: list[Callable[[], None]] = []
        self._set = False
        self._urgent = False
        self.cleanup_ends = 0.0

    def __bool__(self) -> bool:
        return self._set

    @property
    def urgent(self) -> bool:
        """Whether the attempt is killed at once."""
        return self._urgent

    def set(self, *, urgent: bool = False) -> None:
        with self._lock:
            if self._set and (self._urgent or not urgent):
                return
            self._set, self._urgent = True, urgent
            callbacks = list(self._callbacks)
        for callback in callbacks:
            callback()

    def expect_cleanup(self, seconds: float) -> None:
        """Say that what the attempt ran has ended, and that this long may pass until nothing of it is left.

        Without that, the driver soon stops waiting for a cancelled attempt; `cleanup_ends` (`time.monotonic`) tells it.
        """
        self.cleanup_ends = time.monotonic() + seconds
        if self._parent is not None:
            self._parent.expect_cleanup(seconds)

    def on_set(self, callback: Callable[[], None]) -> Callable[[], None]:
        """Call `callback` when the request is set, at once if it is set already, and again when it becomes urgent.

        Returns:
            A function that removes the callback.
        """
        with self._lock:
            already = self._set
            self._callbacks.append(callback)
        if already:
            callback()

        def remove() -> None:
            with self._lock:
                if callback in self._callbacks:
                    self._callbacks.remove(callback)

        return remove
