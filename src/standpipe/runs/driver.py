"""The loop of a run: one queue of events, one machine, a pool of threads that carry out attempts.

It is the same whether a run has one task or ten thousand. Only this thread touches the machine, the store and the
observers; the pool's threads hand their results in through the queue.
"""

from __future__ import annotations

import math
import signal
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from queue import Empty, SimpleQueue
from typing import Protocol, Union

from standpipe.engine.machine import Machine
from standpipe.model.events import (
    AttemptEnded,
    CancelRequested,
    Command,
    EndRun,
    Event,
    Fact,
    RunEnded,
    StartAttempt,
    StopAttempts,
    TimePassed,
)
from standpipe.model.ports import Cancel
from standpipe.model.refs import TaskRef
from standpipe.runs.clock import Clock, SystemClock

#: Carries out one attempt, in a thread of the pool.
Attempt = Callable[[StartAttempt, Cancel], AttemptEnded]

#: The signals that end a process, with the handlers that Python installs at its start: Ctrl-C, `kill` (as `timeout`,
#: CI and Kubernetes do it), and the terminal or connection that is closed.
_TERMINATING_SIGNALS: dict[int, object] = {
    number: signal.default_int_handler if name == "SIGINT" else signal.SIG_DFL
    for name in ("SIGINT", "SIGTERM", "SIGHUP")
    if (number := getattr(signal, name, None))  # Windows has no SIGHUP
}

#: Seconds between two checks for a cancel request of another process.
_POLL_INTERVAL = 0.2


class Terminated(BaseException):
    """A signal asked this process to end. Whoever drives the run lets it, once all tasks have stopped."""

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.signal = number


class FactSink(Protocol):
    """Takes the facts of a run, in order: the run store, an observer."""

    def __call__(self, facts: Sequence[Fact], /) -> None: ...


class Driver:
    """Drives one run from its first event to its end.

    Args:
        machine: the run's state.
        attempt: carries out one attempt.
        sinks: take every fact, in this order; the store comes first, so that what is shown is already stored.
        max_parallel: the number of attempts that may run at once, at most as many as the machine hands out.
        cancel_requested: returns whether another process, which cannot call `cancel`, has asked the run to stop since
            the last call; called a few times per second.
        timeout: after how many seconds the run is cancelled; None for never.
        clock: tells the time, and waits.
    """

    def __init__(
        self,
        machine: Machine,
        attempt: Attempt,
        sinks: Sequence[FactSink],
        *,
        max_parallel: int,
        cancel_requested: Callable[[], bool] = lambda: False,
        timeout: float | None = None,
        clock: Clock | None = None,
    ) -> None:
        self._machine = machine
        self._attempt = attempt
        self._sinks = sinks
        self._cancel_requested = cancel_requested
        self._clock = clock or SystemClock()
        self._next_poll = self._clock.now() + _POLL_INTERVAL
        self._deadline = math.inf if timeout is None else self._clock.now() + timeout
        self._cancels: dict[TaskRef, Cancel] = {}  # of the attempts that run
        self._events: SimpleQueue[Union[Event, BaseException]] = SimpleQueue()
        self._pool = ThreadPoolExecutor(max_parallel, thread_name_prefix="standpipe")
        self._end: RunEnded | None = None

    def run(self, first: Event) -> RunEnded:
        """Run until nothing is left to do.

        Raises:
            KeyboardInterrupt: after Ctrl-C, once everything has stopped and the run's end is recorded.
            Terminated: the same after a signal that asks this process to end.
        """
        with self._pool, _signals_as_events(self._events) as received:
            self._events.put(first)
            try:
                while self._end is None:
                    self._handle_events()
            except BaseException:
                self._stop(self._cancels)  # a defect, or a store that cannot be written: leave no task running
                raise
        if received:
            raise KeyboardInterrupt if received[0] == signal.SIGINT else Terminated(received[0])
        return self._end

    @property
    def timed_out(self) -> bool:
        """Whether the run was cancelled because its time was over."""
        return self._deadline == -math.inf

    def _handle_events(self) -> None:
        """Handle all events that have come. The sinks get their facts in one call, which costs far less."""
        facts: list[Fact] = []
        commands: list[Command] = []
        try:
            for event in self._take_events():
                step = self._machine.handle(event, self._clock.now())
                facts += step.facts
                commands += step.commands
                if step.facts and isinstance(step.facts[-1], RunEnded):
                    self._end = step.facts[-1]
                    break  # a request to cancel comes too late now
        finally:  # whatever defect comes next, this has happened
            for sink in self._sinks:
                sink(facts)
        for command in commands:
            self._carry_out(command)

    def _take_events(self) -> Iterator[Event]:
        """Yield the events that have come; if there are none, wait for the next one."""
        event = self._wait()
        while True:
            if isinstance(event, BaseException):
                raise event
            if isinstance(event, AttemptEnded):
                del self._cancels[event.task]
            yield event
            try:
                event = self._events.get_nowait()
            except Empty:
                return

    def _wait(self) -> Event | BaseException:
        """Return the next event: from the queue, a cancel request of another process, or a time that has come."""
        while True:
            now = self._clock.now()
            if now >= self._deadline > -math.inf:
                self._deadline = -math.inf
                return CancelRequested()
            if now >= self._next_poll:
                self._next_poll = now + _POLL_INTERVAL
                if self._cancel_requested():
                    return CancelRequested()
            due = math.inf if self._machine.due is None else self._machine.due
            until = due if self.timed_out else min(due, self._deadline)
            event = self._clock.wait(self._events, until, max(0.0, self._next_poll - now))
            if event is not None:
                return event
            if self._clock.now() >= due:
                return TimePassed()

    def _carry_out(self, command: Command) -> None:
        if isinstance(command, StartAttempt):
            cancel = self._cancels[command.task] = Cancel()
            self._pool.submit(self._attempt, command, cancel).add_done_callback(self._hand_in)
        elif isinstance(command, StopAttempts):
            self._stop(command.tasks, urgent=command.now)
        else:
            assert isinstance(command, EndRun)

    def _stop(self, tasks: Iterable[TaskRef], *, urgent: bool = False) -> None:
        for task in tasks:
            if task in self._cancels:  # otherwise its attempt has just ended by itself
                self._cancels[task].set(urgent=urgent)

    def _hand_in(self, attempt: Future[AttemptEnded]) -> None:
        error = attempt.exception()
        self._events.put(attempt.result() if error is None else error)


@contextmanager
def _signals_as_events(events: SimpleQueue[Event | BaseException]) -> Iterator[list[int]]:
    """Turn the signals that end a process into events, so that they cannot interrupt the machine in the middle.

    Signals for which Python's own handler is not in place are left to whoever handles them, and so are all of them
    where this is not the main thread.

    Yields:
        The list of signals that were received.
    """
    received: list[int] = []

    def receive(number: int, _: object) -> None:
        received.append(number)
        events.put(CancelRequested())

    in_main = threading.current_thread() is threading.main_thread()
    replaced = {
        number: handler
        for number, handler in _TERMINATING_SIGNALS.items()
        if in_main and signal.getsignal(number) is handler
    }
    for number in replaced:
        signal.signal(number, receive)
    try:
        yield received
    finally:
        for number, handler in replaced.items():
            signal.signal(number, handler)
