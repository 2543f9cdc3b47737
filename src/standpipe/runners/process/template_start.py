"""The start of a template process: its imports take as long as those of a task, and its tasks wait for it."""

from __future__ import annotations

import json
import select
import socket
import threading
import time
from typing import Any

from standpipe.model.cancellation import Cancellation

#: How long to wait before looking whether the task that waits was cancelled, in seconds.
_CHECK_SECONDS = 0.05

#: The most bytes of what the process says about its start.
_MAX_BYTES = 64 * 1024


class TemplateStart:
    """The start of a template process, which any number of tasks wait for.

    Args:
        control: the control socket of the process, on which it says how its start has ended.
        seconds: how long the start may take.
    """

    def __init__(self, control: socket.socket, seconds: float) -> None:
        self._control = control
        self._limit = time.monotonic() + seconds
        self._lock = threading.Lock()
        self._ended = False
        self.is_ready = False
        self.is_late = False
        self.is_counted = False  # whether its failure has been counted
        self.refusal = ""  # why the packages cannot be imported ahead, as a sentence
        self.printing: frozenset[str] = frozenset()  # the modules whose import prints something

    @property
    def has_failed(self) -> bool:
        """Whether there will be no template: it was refused, has died, or takes too long."""
        return self._ended and not self.is_ready

    def wait(self, cancel: Cancellation) -> None:
        """Wait until the start has ended, in whatever way, or the task that waits is cancelled."""
        while not self._ended and not cancel:
            self._look(_CHECK_SECONDS)

    def _look(self, seconds: float) -> None:
        poll = select.poll()
        with self._lock:
            number = self._control.fileno()
        if number < 0:  # the process was stopped meanwhile
            self._ended = True
            return
        poll.register(number, select.POLLIN)
        is_readable = bool(poll.poll(seconds * 1000))
        with self._lock:
            if self._ended:
                return
            if is_readable:
                self._read()
            elif time.monotonic() > self._limit:
                self.is_late = self._ended = True

    def _read(self) -> None:
        try:
            # The message stays in the socket, so that it wakes all tasks that wait.
            data = self._control.recv(_MAX_BYTES, socket.MSG_PEEK | socket.MSG_DONTWAIT)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        line, end, _ = data.partition(b"\n")
        if data and not end and len(data) < _MAX_BYTES:
            return
        message = _parse(line) if end else {}
        self.is_late = not message and time.monotonic() > self._limit  # it ends itself then
        self.refusal = message.get("refused", "")
        self.printing = frozenset(message.get("printing", ()))
        self.is_ready = "cpu_seconds" in message
        self._ended = True


def _parse(line: bytes) -> dict[str, Any]:
    """Return what a process says about its start; nothing if packages that it has imported wrote something else."""
    try:
        message = json.loads(line)
    except (ValueError, RecursionError):
        return {}
    if not isinstance(message, dict):
        return {}
    printing, refusal = message.get("printing", []), message.get("refused", "")
    is_valid = isinstance(refusal, str) and isinstance(printing, list) and all(isinstance(n, str) for n in printing)
    return message if is_valid else {}
