"""The main loop of a run: one queue of events, one state machine, and threads that execute attempts.

Only the thread of the loop uses the machine, the store and the observers: the caller's, unless attempts run there
(`caller_thread.py`). The other threads put their results
into the queue. They are daemons, so that one that hangs cannot keep a process from ending that has cancelled its run.
"""

from __future__ import annotations

import atexit
import math
import os
import signal
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from functools import partial
from queue import Empty, SimpleQueue
from typing import NamedTuple, Union

from standpipe.engine.machine import Machine
from standpipe.model.cancellation import Cancellation
from standpipe.model.events import (
    AttemptEnded,
    CancelRequested,
    Command,
    EndRun,
    Event,
    Fact,
    Failure,
    RunEnded,
    StartAttempt,
    StopAttempts,
    TimePassed,
)
from standpipe.model.ports import Attempt, FactSink
from standpipe.model.refs import TaskRef
from standpipe.runs.caller_thread import CallerThread
from standpipe.runs.clock import Clock, SystemClock
from standpipe.runs.preparation import UnpreparedTasks
from standpipe.support.daemon_threads import DaemonThreads
from standpipe.support.garbage_collection import reduce_garbage_collection
from standpipe.support.notices import warn

#: The signals that terminate a process, with the handlers that Python installs at startup: Ctrl-C, `kill` (also sent
#: by `timeout`, CI and Kubernetes), and a closed terminal or connection.
_TERMINATING_SIGNALS: dict[int, object] = {
    number: signal.default_int_handler if name == "SIGINT" else signal.SIG_DFL
    for name in ("SIGINT", "SIGTERM", "SIGHUP")
    if (number := getattr(signal, name, None))  # Windows has no SIGHUP
}

#: Seconds between two checks for a cancel request of another process.
_POLL_INTERVAL = 0.2

#: Seconds after which the driver stops waiting for an attempt that it has cancelled. Runners need 4 to kill a task that
#: ignores signals. After a second request, which kills at once, and for the loop itself to notice a request.
_PATIENCE = 4.5
_SHORT_PATIENCE = 1.5


def describe_timeout(seconds: float) -> str:
    """Return why a run was stopped that exceeded its time limit, as a clause about the run."""
    return f"it had not ended after {seconds:g} s (PipelineConfig(active_deadline_seconds=...))"


class _Defect(NamedTuple):
    """An attempt raised an error, instead of returning how it ended."""

    task: TaskRef
    error: BaseException


class _Interrupted(NamedTuple):
    """The thread that serves the attempts, which is not that of the loop, was interrupted."""

    error: BaseException


class Terminated(BaseException):
    """A signal asked this process to terminate. The caller lets it do so, once all tasks have stopped."""

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.signal = number


class Driver:
    """Drives one run from its first event to its end.

    Args:
        machine: the run's state.
        attempt: executes one attempt.
        sinks: take every fact, in this order; the store comes first, so that what is shown is already stored.
        cancel_requested: returns whether the run was asked to stop since the last call, by another thread or process;
            called a few times per second.
        timeout: the seconds after which the run is cancelled; None for no limit.
        clock: tells the time, and waits.
        caller: the thread that calls `run`, if attempts may use it; the loop then has a thread of its own.
    """

    def __init__(
        self,
        machine: Machine,
        attempt: Attempt,
        sinks: Sequence[FactSink],
        *,
        cancel_requested: Callable[[], bool] = lambda: False,
        timeout: float | None = None,
        clock: Clock | None = None,
        caller: CallerThread | None = None,
    ) -> None:
        self._machine = machine
        self._attempt = attempt
        self._sinks = sinks
        self._cancel_requested = cancel_requested
        self._clock = clock or SystemClock()
        self._caller = caller
        self._next_poll = self._clock.now() + _POLL_INTERVAL
        self._deadline = math.inf if timeout is None else self._clock.now() + timeout
        self._cancelled_by_user = False
        self._timed_out = False
        self._stop_reason: UnpreparedTasks | None = None
        # The requests to cancel that the driver itself makes.
        self._deadline_reached = CancelRequested(describe_timeout(timeout or 0.0))
        self._stopped = CancelRequested()
        self._cancels: dict[TaskRef, Cancellation] = {}  # of the running attempts
        self._patience_ends: dict[TaskRef, float] = {}  # of those that were cancelled (`time.monotonic`)
        self._events: SimpleQueue[Union[Event, _Defect, _Interrupted]] = SimpleQueue()
        self._threads = DaemonThreads()
        self._signals: list[int] = []
        self._signalled_at: float | None = None  # the time of a signal that the loop has not seen
        self._asyncio = None if _is_in_main_thread() else _asyncio_runner(signal.getsignal(signal.SIGINT))
        self._interrupts = _count_interrupts(self._asyncio)
        self._end: RunEnded | None = None
        self._stopping = threading.Lock()  # is held while a reason to stop is recorded
        self._has_started = False
        self._has_ended = threading.Event()
        self._reminders: SimpleQueue[Union[tuple[int, float], None]] = SimpleQueue()
        self._reminding = threading.Lock()  # is held while a signal is repeated, which only this run may receive

    def run(self, first: Event) -> RunEnded:
        """Handle events until the run has ended.

        Args:
            first: the event that starts or resumes the run.

        Returns:
            The last fact of the run.

        Raises:
            KeyboardInterrupt: after Ctrl-C, once everything has stopped and the run's end is recorded.
            Terminated: the same after a signal that asks this process to end.
        """
        with closing(self._threads), _signals_handled_by(self._receive_signal), self._ended():
            with self._stopping:
                self._events.put(first)
                if self._stop_reason is not None:
                    self._events.put(self._stopped)
                self._has_started = True
            with reduce_garbage_collection():
                if self._caller is None:
                    self._loop()
                else:
                    self._caller.serve(self._loop, lambda error: self._events.put(_Interrupted(error)))
        if self._signals:
            raise self._interruption()
        assert self._end is not None, "the loop has ended"
        return self._end

    def _loop(self) -> None:
        """Handle events until the run has ended."""
        try:
            while self._end is None:
                self._handle_events()
        except BaseException:
            self._signalled_at = None
            self._abort()  # a defect, or a store that cannot be written: leave no task running
            raise

    @property
    def timed_out(self) -> bool:
        """Return whether the run was cancelled because its time limit was exceeded."""
        return self._timed_out

    @property
    def stop_reason(self) -> UnpreparedTasks | None:
        """Return the error for which the run was stopped, None if it was not."""
        return self._stop_reason

    def stop(self, reason: UnpreparedTasks) -> None:
        """Fail tasks that cannot be set up, and cancel what is left of the run. Any thread may call this.

        Exit tasks still run, as after a first request of the user.
        """
        with self._stopping:
            if self._stop_reason is None:
                self._stop_reason = reason
                self._stopped = CancelRequested(reason.clause, reason.failed)
                if self._has_started:
                    self._events.put(self._stopped)

    def _handle_events(self) -> None:
        """Handle all events in the queue. The sinks get the facts of all of them in one call, which is much faster."""
        facts: list[Fact] = []
        commands: list[Command] = []
        try:
            for event in self._take_events():
                step = self._machine.handle(event, self._clock.now())
                facts += step.facts
                commands += step.commands
                if step.facts and isinstance(step.facts[-1], RunEnded):
                    self._end = step.facts[-1]
                    break  # ignore later events, such as a cancel request
        finally:  # if an event raises, record the facts of those before it
            for sink in self._sinks:
                sink(facts)
        for command in commands:
            self._execute(command)

    def _take_events(self) -> Iterator[Event]:
        """Yield the events in the queue; if it is empty, wait for the next one."""
        event = self._wait()
        while True:
            if isinstance(event, (_Defect, _Interrupted)):
                raise event.error
            if self._counts(event):
                yield event
            try:
                event = self._events.get_nowait()
            except Empty:
                return

    def _counts(self, event: Event) -> bool:
        """Return False for the end of an attempt that the driver has stopped waiting for, and for some requests.

        To the engine a second request means to stop without exit tasks, which only the user can ask for. So the user's
        first request to cancel a run that the driver itself is cancelling already does not count.
        """
        if isinstance(event, AttemptEnded):
            self._patience_ends.pop(event.task, None)
            return self._cancels.pop(event.task, None) is not None
        if not isinstance(event, CancelRequested) or event is self._deadline_reached:
            return True
        if event is self._stopped:
            return not (self._cancelled_by_user or self._timed_out)
        self._signalled_at = None
        is_first, self._cancelled_by_user = not self._cancelled_by_user, True
        return not (is_first and (self._timed_out or self._stop_reason))

    def _wait(self) -> Event | _Defect | _Interrupted:
        """Return the next event: from the queue, a cancel request of another process, or a time that is reached."""
        while True:
            now = self._clock.now()
            if now >= self._deadline:
                self._deadline = math.inf
                if not self._cancelled_by_user and not self._stop_reason:
                    self._timed_out = True
                    return self._deadline_reached
            if now >= self._next_poll:
                self._next_poll = now + _POLL_INTERVAL
                if self._cancel_requested() or self._is_asyncio_interrupted():
                    return CancelRequested()
                if overdue := self._find_overdue():
                    return overdue
            due = math.inf if self._machine.due is None else self._machine.due
            event = self._clock.wait(self._events, min(due, self._deadline), max(0.0, self._next_poll - now))
            if event is not None:
                return event
            if self._clock.now() >= due:
                return TimePassed()

    def _is_asyncio_interrupted(self) -> bool:
        """Return whether Ctrl-C has cancelled the main task of asyncio, which then waits for the thread of this run."""
        before, self._interrupts = self._interrupts, _count_interrupts(self._asyncio)
        return self._interrupts > before

    def _execute(self, command: Command) -> None:
        if isinstance(command, StartAttempt):
            cancel = self._cancels[command.task] = Cancellation()
            self._threads.execute(partial(self._execute_attempt, command, cancel))
        elif isinstance(command, StopAttempts):
            self._stop(command.tasks, urgent=command.urgent)
        else:
            assert isinstance(command, EndRun)

    def _execute_attempt(self, command: StartAttempt, cancel: Cancellation) -> None:
        try:
            self._events.put(self._attempt(command, cancel))
        except BaseException as error:  # noqa: BLE001  it is raised in the thread of the loop
            self._events.put(_Defect(command.task, error))

    def _stop(self, tasks: Iterable[TaskRef], *, urgent: bool = False) -> None:
        for task in tasks:
            if task in self._cancels:  # otherwise its attempt has just ended
                self._patience_ends[task] = time.monotonic() + (_SHORT_PATIENCE if urgent else _PATIENCE)
                self._cancels[task].set(urgent=urgent)

    def _find_overdue(self) -> AttemptEnded | None:
        """Return the end of a cancelled attempt that has no end by itself: it waits for what cannot be interrupted."""
        now = time.monotonic()
        for task, end in self._patience_ends.items():
            cancel = self._cancels[task]
            if now >= end and (cancel.urgent or now >= cancel.cleanup_ends):
                warn(f"Task '{task}' has not stopped. The run no longer waits for it, as it may never stop.")
                return AttemptEnded(task, failure=Failure("it did not stop after it was cancelled"))
        return None

    def _abort(self) -> None:
        """Stop all attempts, and wait until they have ended; a signal meanwhile kills them."""
        self._stop(list(self._cancels), urgent=len(self._signals) > 1)
        while self._cancels:
            try:
                event = self._find_overdue() or self._events.get(timeout=_POLL_INTERVAL)
            except Empty:
                continue
            if isinstance(event, CancelRequested):
                self._signalled_at = None
                self._stop(list(self._cancels), urgent=True)
            elif isinstance(event, (AttemptEnded, _Defect)):
                self._cancels.pop(event.task, None)
                self._patience_ends.pop(event.task, None)

    @contextmanager
    def _ended(self) -> Iterator[None]:
        """Repeat signals during the block, and say at its end that the run has ended.

        Outside of the main thread, cancel the run if this process exits during the block, which a thread that is a
        daemon does not prevent. Nor do other threads in Python 3.10 to 3.12, once Ctrl-C has interrupted their `join`.
        """
        cancel = partial(self._cancel_at_exit, os.getpid())
        if _is_in_main_thread():
            threading.Thread(target=self._repeat_signals, daemon=True, name="standpipe-signals").start()
        else:
            atexit.register(cancel)  # it is called before the runners, registered earlier, kill the tasks
        try:
            yield
        finally:
            with self._reminding:
                self._has_ended.set()
            self._reminders.put(None)
            atexit.unregister(cancel)

    def _cancel_at_exit(self, owner: int) -> None:
        """Cancel the run, unless that was requested, and wait until it has ended; after a while, kill its tasks."""
        if os.getpid() != owner:
            return  # the run is not in this process, which was forked from its own
        if self._cancel_requested() or not self._cancelled_by_user:
            self._events.put(CancelRequested())
        with suppress(KeyboardInterrupt):
            if self._has_ended.wait(_PATIENCE):
                return
        self._events.put(CancelRequested())
        self._has_ended.wait(_SHORT_PATIENCE)

    def _receive_signal(self, number: int, _: object) -> None:
        """Turn a terminating signal into an event, so that it cannot interrupt the state machine.

        Raises:
            KeyboardInterrupt: or `Terminated`, if the loop does not take events: a sink waits for a busy database.
        """
        now = time.monotonic()
        self._signals.append(number)
        if self._signalled_at is not None and now > self._signalled_at + _SHORT_PATIENCE:
            raise self._interruption()
        if self._signalled_at is None:
            self._signalled_at = now
            self._reminders.put((number, now))
        self._events.put(CancelRequested())

    def _repeat_signals(self) -> None:
        """Wait for signals, and repeat each that the loop has not seen after a while.

        This has a thread from the start of the run on. The handler of a signal cannot start one: it may have
        interrupted the start of another thread, and would wait for its lock forever.
        """
        while (reminder := self._reminders.get()) is not None:
            if not self._has_ended.wait(_PATIENCE):
                self._remind(*reminder)

    def _remind(self, number: int, signalled_at: float) -> None:
        """Repeat a signal that the loop has not seen, unless the run has ended meanwhile."""
        with self._reminding:
            if self._signalled_at == signalled_at and not self._has_ended.is_set():
                os.kill(os.getpid(), number)

    def _interruption(self) -> BaseException:
        first = self._signals[0]
        return KeyboardInterrupt() if first == signal.SIGINT else Terminated(first)


@contextmanager
def _signals_handled_by(receive: Callable[[int, object], None]) -> Iterator[None]:
    """Handle terminating signals by a function.

    Signals with a handler of the user are left alone. Outside of the main thread, all signals are.
    """
    replaced = {
        number: handler
        for number, default in _TERMINATING_SIGNALS.items()
        if _is_in_main_thread() and ((handler := signal.getsignal(number)) is default or _asyncio_runner(handler))
    }
    for number in replaced:
        signal.signal(number, receive)
    try:
        yield
    finally:
        for number, handler in reversed(replaced.items()):  # SIGINT last, whose own handler may raise
            signal.signal(number, handler)


def _asyncio_runner(handler: object) -> object:
    """Return the `asyncio.Runner` (Python 3.11) that has a handler of SIGINT, which only cancels its main task."""
    function = getattr(handler, "func", None)
    is_own = getattr(function, "__module__", None) == "asyncio.runners"
    return getattr(function, "__self__", None) if is_own else None


def _count_interrupts(runner: object) -> int:
    return getattr(runner, "_interrupt_count", 0)


def _is_in_main_thread() -> bool:
    return threading.current_thread() is threading.main_thread()
