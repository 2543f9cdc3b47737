"""The process of one task, seen by the thread that waits for it: its output, its cancellation, its end."""

from __future__ import annotations

import math
import os
import re
import select
import signal
import socket
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace
from typing import Any

from standpipe.model.attempts import CANCELLED_BEFORE_START, Outcome, TaskRequest
from standpipe.model.cancellation import Cancellation
from standpipe.model.ports import Log
from standpipe.runners.process.fork_servers import ForkServer
from standpipe.runners.process.limits import AttemptLimits
from standpipe.runners.process.memory_watch import MemoryWatch
from standpipe.runners.process.process_tree import kill_tree, signal_tree
from standpipe.runners.process.replies import InvalidReply, Replies
from standpipe.runners.request_files import make_outcome, read_error
from standpipe.support.forking import Descriptor, close_owned, own, paused
from standpipe.support.system_limits import advise

#: The seconds that a task has to end after each signal, before the next, harsher one.
_GRACE_PERIOD = 2.0

#: The seconds between two signals to a fork server that continue it, if a task has stopped it.
_WAKE_UP_INTERVAL = 1.0

_CHUNK = 64 * 1024

#: The most that a pipe holds (`/proc/sys/fs/pipe-max-size`), in chunks.
_PIPE_CHUNKS = 16


class TaskProcess:
    """The process of one attempt.

    Args:
        server: the fork server that starts it.
        message: as `ForkServer.send` takes it.
        limits: how its limits are enforced.
    """

    def __init__(self, server: ForkServer, message: Mapping[str, Any], limits: AttemptLimits) -> None:
        self._server = server
        self._limits = limits
        self._watch: MemoryWatch | None = None  # until the task reports that no control group limits it
        self._replies = Replies()
        self._reply_data = self._replies.values
        self._ended = False
        self._server_died = False
        self._exceeds_memory = False
        self._signals_left = [signal.SIGINT, signal.SIGTERM, signal.SIGKILL]
        self._next_signal_at = 0.0
        self._next_wake_up = time.monotonic() + _WAKE_UP_INTERVAL
        self._start_ends = math.inf  # if it is cancelled
        self._kills_before = _out_of_memory_kills()
        with paused():
            self._reply, reply_end = socket.socketpair()
            self._wake, self._waker = socket.socketpair()
            self._output, output_end = map(Descriptor, os.pipe())
            own(self._reply, reply_end, self._wake, self._waker, self._output, output_end)
        os.set_blocking(self._output.number, False)
        server.send(message, reply_end.fileno(), output_end.number)
        close_owned(reply_end, output_end)

    @property
    def started(self) -> bool:
        """Whether the process was started: the server or the process has replied."""
        return bool(self._reply_data)

    @property
    def learned(self) -> Mapping[str, Any] | None:
        """What it has imported (`worker.learning`), if it was asked for that and has succeeded."""
        return self._reply_data.get("learned")

    def wait(self, log: Log, cancel: Cancellation) -> None:
        """Copy the task's output to its log until it has ended; stop it if it is cancelled or exceeds its memory."""
        forget = cancel.on_set(self._wake_up)
        try:
            self._watch_until_end(log, cancel)
        finally:
            forget()
            self._kill_if_running()
            close_owned(self._wake, self._waker, self._reply, self._output)

    def outcome(self, request: TaskRequest) -> Outcome:
        """Return how the task ended, its usage, and the error details that it wrote."""
        outcome = replace(self._end(request), cpu_seconds=self._reply_data.get("cpu_seconds"), peak_memory=self._peak)
        return self._limits.add_usage(outcome, grouped=self._reply_data.get("grouped", False))

    def _end(self, request: TaskRequest) -> Outcome:
        if "problem" in self._reply_data:
            limit = OSError(self._reply_data.get("errno", 0), "")
            return Outcome(problem=self._reply_data["problem"], hint=advise(limit))
        code = (
            self._reply_data["code"]
            if "code" in self._reply_data
            else os.waitstatus_to_exitcode(self._reply_data["status"])
        )
        if code < 0:
            return Outcome(signal=-code, out_of_memory=self._exceeds_memory or self._was_out_of_memory)
        if code == 0:
            return Outcome(exit_code=0)
        return make_outcome(code, read_error(request))

    def _watch_until_end(self, log: Log, cancel: Cancellation) -> None:
        poll = select.poll()
        for watched in (self._reply.fileno(), self._output.number, self._wake.fileno()):
            poll.register(watched, select.POLLIN)
        if self._server.descriptor >= 0:
            poll.register(self._server.descriptor, 0)  # nothing is read here; it polls as hung up
        while not self._ended:
            for ready, _ in poll.poll(self._poll_timeout()):
                if ready == self._reply.fileno():
                    self._receive()
                elif ready == self._wake.fileno():
                    self._wake.recv(_CHUNK)
                elif ready != self._output.number:
                    self._server_died = True
                    poll.unregister(ready)
                elif not self._copy_output(log):
                    poll.unregister(ready)
            if not self._ended:
                self._stop_if_needed(cancel)
            if not self._ended and time.monotonic() >= self._next_wake_up:
                self._wake_server(bool(cancel))
        # A process that has left the task's group may hold the pipe open forever: only what is in it now is read.
        for _ in range(_PIPE_CHUNKS):
            if not self._copy_output(log):
                break

    def _wake_up(self) -> None:
        with suppress(OSError):  # the task ended at the same moment, and its sockets are closed
            self._waker.send(b".")

    def _poll_timeout(self) -> float:
        """Return how many milliseconds to wait: until a signal, a memory check, or the server's wake-up is due."""
        due = [self._next_wake_up]
        if self._next_signal_at and self._signals_left:
            due.append(self._next_signal_at)
        if self._watch:
            due.append(self._watch.next)
        return max(0.0, min(due) - time.monotonic()) * 1000 + 1

    def _stop_if_needed(self, cancel: Cancellation) -> None:
        """Kill the task, or ask it to end, if there is a reason."""
        pid: int | None = self._reply_data.get("pid")
        if pid is None:
            self._stop_before_start(cancel)
        elif self._server_died:
            self._signals_left.clear()
            kill_tree(pid)  # there is no server any more that would kill its daemons
        elif self._watch and self._watch.is_exceeded(pid):
            self._exceeds_memory = True
            self._kill()
        elif cancel and (cancel.urgent or time.monotonic() >= self._next_signal_at):
            self._send_next_signal(cancel.urgent)

    def _stop_before_start(self, cancel: Cancellation) -> None:
        """Stop waiting for a task that does not start. If it starts later, it finds that nobody waits, and exits."""
        if cancel:
            self._start_ends = min(self._start_ends, time.monotonic() + _GRACE_PERIOD)
            if cancel.urgent or time.monotonic() >= self._start_ends:
                self._ended = True
                self._reply_data["problem"] = CANCELLED_BEFORE_START.problem

    def _wake_server(self, is_cancelled: bool) -> None:
        """Let the server and the process that becomes the task continue, if another task has stopped them."""
        self._next_wake_up = time.monotonic() + (_WAKE_UP_INTERVAL / 4 if is_cancelled else _WAKE_UP_INTERVAL)
        self._server.resume(with_children="pid" not in self._reply_data)

    def _send_next_signal(self, urgent: bool) -> None:
        if urgent:
            del self._signals_left[:-1]
        if self._signals_left:
            self._next_signal_at = time.monotonic() + _GRACE_PERIOD
            signal_tree(self._reply_data["pid"], self._signals_left.pop(0))
            signal_tree(self._reply_data["pid"], signal.SIGCONT)  # a stopped process acts on no other signal
            self._wake_server(True)

    def _kill_if_running(self) -> None:
        """Kill the task if an error in this process has ended the watch."""
        while not self._ended:
            if "pid" in self._reply_data:
                self._kill()
            self._wake_server(True)
            if select.select([self._reply], [], [], _WAKE_UP_INTERVAL)[0]:
                self._receive()

    def _kill(self) -> None:
        self._signals_left.clear()
        signal_tree(self._reply_data["pid"], signal.SIGKILL)

    def _receive(self) -> None:
        """Read what the server and the task reply, until the task has ended."""
        part = self._reply.recv(4096)
        try:
            self._replies.feed(part)
        except InvalidReply as error:
            if "pid" in self._reply_data:
                self._kill()
            self._reply_data["problem"] = f"it wrote to the socket on which its end is reported: {error}"
        self._ended = not part or self._replies.is_complete
        if self._reply_data.get("grouped") is False:
            self._watch = self._limits.watch
        if not part and "pid" in self._reply_data:
            if not self._server_died:
                kill_tree(self._reply_data["pid"])
            self._reply_data["problem"] = "the fork server that it was started from has died: " + (
                self._server.error_output() or "it printed nothing; the system may have run out of memory"
            )

    def _copy_output(self, log: Log) -> bool:
        """Copy some of what the task printed to its log; return whether there was anything."""
        try:
            data = os.read(self._output.number, _CHUNK)
        except BlockingIOError:
            return False
        if data:
            log.write(data)
        return bool(data)

    @property
    def _peak(self) -> int | None:
        """The peak memory: of its largest process or, if all of them were measured and had more, of all."""
        largest: int | None = self._reply_data.get("peak_memory")
        watched = self._limits.watch.peak if self._limits.watch else 0
        return max(largest or 0, watched) or None

    @property
    def _was_out_of_memory(self) -> bool:
        """Whether it was killed, not by us, while the kernel killed processes for memory."""
        was_killed = self._reply_data.get("status") == signal.SIGKILL and signal.SIGKILL in self._signals_left
        return was_killed and _out_of_memory_kills() > self._kills_before


def _out_of_memory_kills() -> int:
    """Return how many processes the kernel has killed for memory since it booted; 0 where it does not tell."""
    with suppress(OSError), open("/proc/vmstat", "rb", buffering=0) as file:
        match = re.search(rb"^oom_kill (\d+)", file.read(), re.MULTILINE)
        return int(match[1]) if match else 0
    return 0
