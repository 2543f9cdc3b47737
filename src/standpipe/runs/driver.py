"""The loop of a run: one queue of events, one machine, a pool of threads that carry out attempts.

It is the same whether a run has one task or ten thousand. Only this thread touches the machine, the store and the
observers; the pool's threads hand their results in through the queue.
"""

from __future__ import annotations

import math
import signal
import threading
import time
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

#: Carries out one attempt, in a thread of the pool.
Attempt = Callable[[StartAttempt, Cancel], AttemptEnded]


#: The signals that end a process, with the handlers that Python gives them at its start: Ctrl-C, `kill` (as `timeout`,
#: CI and Kubernetes do it), and the terminal or connection that is closed.
_ENDING: dict[int, object] = {
    number: signal.default_int_handler if name == "SIGINT" else signal.SIG_DFL
    for name in ("SIGINT", "SIGTERM", "SIGHUP")
    if (number := getattr(signal, name, None))  # Windows has no SIGHUP
}


#: Seconds between two looks at whether somebody asked the run to stop from elsewhere.
_PULSE = 0.2


class Terminated(BaseException):
    """A signal asked this process to end: whoever drives the run lets it end so, once nothing is left to take down."""

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
        sinks: take every fact, in this order; the store comes first, so that what is shown is already kept.
        max_parallel: how many attempts may run at once, at most as many as the machine hands out.
        asked_to_stop: whether somebody who cannot call `cancel`, as in another process, has said since the last time
            that the run should stop; asked a few times in a second.
    """

    def __init__(
        self,
        machine: Machine,
        attempt: Attempt,
        sinks: Sequence[FactSink],
        *,
        max_parallel: int,
        asked_to_stop: Callable[[], bool] = lambda: False,
    ) -> None:
        self._machine = machine
        self._attempt = attempt
        self._sinks = sinks
        self._asked_to_stop = asked_to_stop
        self._look_again = time.monotonic() + _PULSE
        self._cancels: dict[TaskRef, Cancel] = {}  # of the attempts that run
        self._events: SimpleQueue[Union[Event, BaseException]] = SimpleQueue()
        # The engine's clock tells seconds since the epoch, but goes evenly, whoever sets the clock of the machine.
        self._epoch = time.time() - time.monotonic()
        self._pool = ThreadPoolExecutor(max_parallel, thread_name_prefix="standpipe")
        self._end: RunEnded | None = None

    def run(self, first: Event) -> RunEnded:
        """Runs until nothing is left to do.

        Raises:
            KeyboardInterrupt: after Ctrl-C, once everything has stopped and the run's end is recorded.
            Terminated: the same after a signal that asks this process to end.
        """
        with self._pool, _interruptions(self._events) as came:
            self._events.put(first)
            try:
                while self._end is None:
                    self._turn()
            except BaseException:
                self._stop(self._cancels)  # a defect, or a store that cannot be written: leave no task running
                raise
        if came:
            raise KeyboardInterrupt if came[0] == signal.SIGINT else Terminated(came[0])
        return self._end

    def cancel(self) -> None:
        """Asks the run to stop, as Ctrl-C does. May be called by any thread."""
        self._events.put(CancelRequested())

    def _turn(self) -> None:
        """Handles all that has happened. The sinks hear of it at once, which costs them far less, before it goes on."""
        facts: list[Fact] = []
        commands: list[Command] = []
        try:
            for event in self._happened():
                step = self._machine.handle(event, self._now())
                facts += step.facts
                commands += step.commands
                if step.facts and isinstance(step.facts[-1], RunEnded):
                    self._end = step.facts[-1]
                    break  # a wish to stop comes too late now
        finally:  # whatever defect comes next, this has happened
            for sink in self._sinks:
                sink(facts)
        for command in commands:
            self._carry_out(command)

    def _happened(self) -> Iterator[Event]:
        """What has happened; if that is nothing, the next thing that does."""
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
        """The next thing that happens: an event, or that it is time for something."""
        while True:
            now = time.monotonic()
            if now >= self._look_again:
                self._look_again = now + _PULSE
                if self._asked_to_stop():
                    return CancelRequested()
            due = self._machine.due
            until_due = math.inf if due is None else max(0.0, due - self._now())
            patience = min(until_due, max(0.0, self._look_again - now))
            try:
                return self._events.get(timeout=min(patience, threading.TIMEOUT_MAX))
            except Empty:
                if patience == until_due:
                    return TimePassed()

    def _now(self) -> float:
        return self._epoch + time.monotonic()

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
            if task in self._cancels:  # otherwise it has just come to its end by itself
                self._cancels[task].set(urgent=urgent)

    def _hand_in(self, attempt: Future[AttemptEnded]) -> None:
        error = attempt.exception()
        self._events.put(attempt.result() if error is None else error)


@contextmanager
def _interruptions(events: SimpleQueue[Event | BaseException]) -> Iterator[list[int]]:
    """Turns the signals that end a process into an event, so that they cannot hit the machine between two thoughts.

    Gives the list of signals that came. Those for which Python's own handler is not in place are left to whoever
    handles them, and all of them where this is not the main thread.
    """
    came: list[int] = []

    def note(number: int, _: object) -> None:
        came.append(number)
        events.put(CancelRequested())

    in_main = threading.current_thread() is threading.main_thread()
    ours = {number: usual for number, usual in _ENDING.items() if in_main and signal.getsignal(number) is usual}
    for number in ours:
        signal.signal(number, note)
    try:
        yield came
    finally:
        for number, usual in ours.items():
            signal.signal(number, usual)
