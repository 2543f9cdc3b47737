"""One log for all containers of a pod."""

from __future__ import annotations

import threading

from standpipe.model.ports import Log

#: The most bytes of other containers that wait until the task has ended its line.
_MAX_WAITING = 64 * 1024

#: The most bytes of a line of another container that wait for its end.
_MAX_LINE = 8 * 1024


class PodLog:
    """Merges the output of a task with that of the other containers of its pod. Any thread may write.

    The task's bytes are written as they come. Those of the others are whole lines with the name of the container in
    front, which wait until the task has ended its own line.

    Args:
        log: the log of the task.
    """

    def __init__(self, log: Log) -> None:
        self._log = log
        self._lock = threading.Lock()
        self._is_at_line_start = True
        self._waiting = bytearray()

    def write(self, data: bytes) -> None:
        """Write what the task printed."""
        with self._lock:
            self._log.write(data)
            if data:
                self._is_at_line_start = data.endswith(b"\n")
            self._write_waiting(_MAX_WAITING)

    def write_lines(self, data: bytes) -> None:
        """Write whole lines of another container."""
        with self._lock:
            self._waiting += data
            self._write_waiting(_MAX_WAITING)

    def finish(self) -> None:
        """Write what waits: the task has ended."""
        with self._lock:
            self._write_waiting(0)

    def _write_waiting(self, limit: int) -> None:
        if not self._waiting or (not self._is_at_line_start and len(self._waiting) <= limit):
            return
        if not self._is_at_line_start:
            self._log.write(b"\n")
            self._is_at_line_start = True
        self._log.write(bytes(self._waiting))
        self._waiting.clear()


class ContainerLog:
    """Takes the output of one other container of a pod.

    Args:
        log: the log of the pod.
        name: the name of the container, which is in front of its lines.
    """

    def __init__(self, log: PodLog, name: str) -> None:
        self._log = log
        self._prefix = f"[{name}] ".encode()
        self._rest = b""

    def write(self, data: bytes) -> None:
        """Write what the container printed, as far as its lines have ended."""
        *lines, self._rest = (self._rest + data).split(b"\n")
        if len(self._rest) > _MAX_LINE:
            lines, self._rest = [*lines, self._rest], b""
        if lines:
            self._log.write_lines(b"".join(self._prefix + line + b"\n" for line in lines))

    def note(self, text: str) -> None:
        """Write a line about the container."""
        self.finish()
        self.write(f"{text}\n".encode())

    def finish(self) -> None:
        """Write the line that has not ended: the container has."""
        if self._rest:
            self.write(b"\n")
