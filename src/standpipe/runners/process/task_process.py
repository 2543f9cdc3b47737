"""One task in its process, seen by the thread that waits for it: what it prints, how it is stopped, how it ended."""

from __future__ import annotations

import json
import os
import re
import select
import signal
import socket
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

from standpipe.model.ports import Cancel, Log, Outcome
from standpipe.runners.process.fork_servers import Server
from standpipe.runners.process.limits import Bounds
from standpipe.runners.process.memory_watch import MemoryWatch
from standpipe.runners.process.process_tree import kill_tree, signal_tree
from standpipe.runners.request_files import read_error

#: How many seconds a task has to end after each signal that asks it to, before the next, harsher one.
_PATIENCE = 2.0

_CHUNK = 64 * 1024

#: The most that a pipe holds, in chunks (`/proc/sys/fs/pipe-max-size`).
_PIPE_CHUNKS = 16


class TaskProcess:
    """A task's process.

    Args:
        server: the process that forks it.
        message: what the server is told.
        bounds: what limits it.
    """

    def __init__(self, server: Server, message: Mapping[str, Any], bounds: Bounds) -> None:
        self._server = server
        self._bounds = bounds
        self._watch: MemoryWatch | None = None  # until the task says that nothing else limits it
        self._told: dict[str, Any] = {}
        self._heard = b""
        self._over = False
        self._is_alone = False
        self._exceeds = False
        self._stops = [signal.SIGINT, signal.SIGTERM, signal.SIGKILL]
        self._next_stop = 0.0
        self._kills_before = _out_of_memory_kills()
        self._reply, reply_end = socket.socketpair()
        self._output, output_end = os.pipe()
        os.set_blocking(self._output, False)
        with reply_end:
            server.send(message, reply_end.fileno(), output_end)
        os.close(output_end)

    @property
    def started(self) -> bool:
        """Whether the server said anything of it."""
        return bool(self._told)

    def wait(self, log: Log, cancel: Cancel) -> None:
        """Passes on what the task prints until it has ended, and sees to it that it ends when it is to."""
        wake, waker = socket.socketpair()
        forget = cancel.on_set(lambda: _wake(waker))
        try:
            self._attend(log, cancel, wake)
        finally:
            forget()
            self._end()
            for opened in (wake, waker, self._reply):
                opened.close()
            os.close(self._output)

    def outcome(self, folder: Path) -> Outcome:
        """How the task ended and what it used, with what it wrote about its own failure."""
        outcome = replace(self._end_of(folder), cpu_seconds=self._told.get("cpu_seconds"), peak_memory=self._peak)
        return self._bounds.measured(outcome, grouped=self._told.get("grouped", False))

    def _end_of(self, folder: Path) -> Outcome:
        if "problem" in self._told:
            return Outcome(problem=self._told["problem"])
        code = self._told["code"] if "code" in self._told else os.waitstatus_to_exitcode(self._told["status"])
        if code < 0:
            return Outcome(signal=-code, out_of_memory=self._exceeds or self._was_out_of_memory)
        if code == 0:
            return Outcome(exit_code=0)
        told = read_error(folder)
        return Outcome(exit_code=code, detail=told.detail, cause=told.cause, out_of_memory=told.out_of_memory)

    def _attend(self, log: Log, cancel: Cancel, wake: socket.socket) -> None:
        poll = select.poll()
        for watched in (self._reply.fileno(), self._output, wake.fileno()):
            poll.register(watched, select.POLLIN)
        if self._server.descriptor >= 0:
            poll.register(self._server.descriptor, 0)  # nothing is read here: only its end is news
        while not self._over:
            for ready, _ in poll.poll(self._milliseconds()):
                if ready == self._reply.fileno():
                    self._hear()
                elif ready == wake.fileno():
                    wake.recv(_CHUNK)
                elif ready != self._output:
                    self._is_alone = True
                    poll.unregister(ready)
                elif not self._pass_on(log):
                    poll.unregister(ready)
            if "pid" in self._told and not self._over:
                self._keep_in_bounds(cancel)
        # A process that left the task's group may hold the pipe open for ever: what is in it now is all that counts.
        for _ in range(_PIPE_CHUNKS):
            if not self._pass_on(log):
                break

    def _milliseconds(self) -> float | None:
        """How long to wait for news: until the next signal is due, if one has been sent, or a look at its memory."""
        due = [self._next_stop] if self._next_stop and self._stops else []
        if self._watch:
            due.append(self._watch.next)
        return max(0.0, min(due) - time.monotonic()) * 1000 + 1 if due else None

    def _keep_in_bounds(self, cancel: Cancel) -> None:
        """Ends the task, or asks it to end, if there is a reason."""
        pid: int = self._told["pid"]
        if self._is_alone:
            self._stops.clear()
            kill_tree(pid)  # the server would have seen to the daemons
        elif self._watch and self._watch.is_exceeded(pid):
            self._exceeds = True
            self._kill()
        elif cancel and (cancel.urgent or time.monotonic() >= self._next_stop):
            self._stop(cancel.urgent)

    def _stop(self, urgent: bool) -> None:
        if urgent:
            del self._stops[:-1]
        if self._stops:
            self._next_stop = time.monotonic() + _PATIENCE
            signal_tree(self._told["pid"], self._stops.pop(0))

    def _end(self) -> None:
        """Makes sure, when an error ends the watch, that the task ends, too."""
        while not self._over:
            if "pid" in self._told:
                self._kill()
            self._hear()

    def _kill(self) -> None:
        self._stops.clear()
        signal_tree(self._told["pid"], signal.SIGKILL)

    def _hear(self) -> None:
        """Takes in what the server says: lines of JSON until the task has ended."""
        part = self._reply.recv(4096)
        *lines, self._heard = (self._heard + part).split(b"\n")
        for line in lines:
            self._told.update(json.loads(line))
        self._over = not part or not self._told.keys().isdisjoint(("code", "status", "problem"))
        if self._told.get("grouped") is False:
            self._watch = self._bounds.watch
        if not part and "pid" in self._told:
            if not self._is_alone:
                kill_tree(self._told["pid"])
            self._told["problem"] = "the process that it was forked from has died: " + (
                self._server.last_words() or "it said nothing; the system may have run out of memory"
            )

    def _pass_on(self, log: Log) -> bool:
        """Moves some of what the task printed to its log; returns whether there was anything."""
        try:
            data = os.read(self._output, _CHUNK)
        except BlockingIOError:
            return False
        if data:
            log.write(data)
        return bool(data)

    @property
    def _peak(self) -> int | None:
        """The most memory that it had: of its largest process or, if that was watched and is more, of all of them."""
        told: int | None = self._told.get("peak_memory")
        watched = self._bounds.watch.peak if self._bounds.watch else 0
        return max(told or 0, watched) or None

    @property
    def _was_out_of_memory(self) -> bool:
        """Whether it was killed while the kernel killed for memory, and not by us."""
        was_killed = self._told.get("status") == signal.SIGKILL and signal.SIGKILL in self._stops
        return was_killed and _out_of_memory_kills() > self._kills_before


def _wake(waker: socket.socket) -> None:
    with suppress(OSError):  # the task ended at the same moment, and its sockets are closed
        waker.send(b".")


def _out_of_memory_kills() -> int:
    """How many processes the kernel has killed for want of memory since it started; 0 where it does not say."""
    with suppress(OSError), open("/proc/vmstat", "rb", buffering=0) as file:
        found = re.search(rb"^oom_kill (\d+)", file.read(), re.MULTILINE)
        return int(found[1]) if found else 0
    return 0
