"""A runner around another one that injects faults."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TypeVar

from standpipe.errors import StandpipeError
from standpipe.faults import Delay, Fail, Fault, Kill
from standpipe.model.attempts import CANCELLED_BEFORE_START, Outcome, TaskRequest
from standpipe.model.cancellation import Cancellation
from standpipe.model.ports import Log, Runner, moves_payloads
from standpipe.model.refs import TaskRef
from standpipe.model.resources import Capacity
from standpipe.support.notices import Notice, warn
from standpipe.support.timers import cancel_after

#: The most tasks that a notice lists; loops may have thousands.
_MAX_LISTED = 20

F = TypeVar("F", Fail, Delay, Kill)


@contextmanager
def inject_faults(runner: Runner, faults: Sequence[Fault]) -> Iterator[Runner]:
    """Yield the runner of one run with these faults. At the end of the block, warn of faults that were not injected."""
    if not faults:
        yield runner
        return
    faulty = FaultInjectingRunner(runner, faults)
    yield faulty
    faulty.warn_of_unused()


class FaultInjectingRunner:
    """Runs the tasks of one run on another runner, and injects faults into some of them.

    An attempt with several faults is delayed first. Then it fails without being run; if none of the faults is a `Fail`,
    it is run and killed.

    Args:
        runner: where tasks run; other runs may share it.
        faults: the faults to inject.
        warn: called with the faults that were not injected.
    """

    def __init__(self, runner: Runner, faults: Sequence[Fault], *, warn: Notice = warn) -> None:
        self._runner = runner
        self._faults = tuple(faults)
        self._warn = warn
        self._lock = threading.Lock()
        self._injected: set[Fault] = set()
        self._attempts: dict[TaskRef, int] = {}  # the last one of each task that ran

    def run(self, request: TaskRequest, *, log: Log, cancel: Cancellation) -> Outcome:
        """Run one attempt with its faults; see `model.ports.Runner`."""
        number = request.retry_index + 1
        faults = [fault for fault in self._faults_of(request.task) if fault.attempt in (None, number)]
        with self._lock:
            self._attempts[request.task] = number
        for delay in _of_kind(Delay, faults):
            self._record(delay, log)
            _wait(delay.seconds, cancel)
            if cancel:
                return CANCELLED_BEFORE_START
        for fail in _of_kind(Fail, faults):
            self._mark(fail)
            return Outcome(exit_code=1, cause=f"InjectedFault: {fail.message}")
        for kill in _of_kind(Kill, faults):
            return self._run_and_kill(kill, request, log, cancel)
        return self._runner.run(request, log=log, cancel=cancel)

    @property
    def is_remote(self) -> bool:
        """Whether tasks run on other machines; see `model.ports.RemoteRunner`."""
        return moves_payloads(self._runner)

    def fingerprint(self, request: TaskRequest) -> str:
        """Return the runner's fingerprint; empty for tasks with faults, whose results are not cached."""
        return "" if self._faults_of(request.task) else self._runner.fingerprint(request)

    def capacity(self) -> Capacity:
        """Return the capacity of the other runner."""
        return self._runner.capacity()

    def close(self) -> None:
        """Close the other runner."""
        self._runner.close()

    def warn_of_unused(self) -> None:
        """Warn of each fault that was not injected, with the tasks that ran."""
        for fault in self._faults:
            if fault not in self._injected:
                self._warn(f"faults: {fault!r} was not injected. The tasks that ran: {self._tasks_that_ran()}.")

    def _faults_of(self, task: TaskRef) -> list[Fault]:
        names = (task.name, str(task))
        return [fault for fault in self._faults if fault.task in names]

    def _run_and_kill(self, kill: Kill, request: TaskRequest, log: Log, cancel: Cancellation) -> Outcome:
        """Run an attempt, and kill it after some time. A cancellation by the user has its usual effect."""
        outcome = Outcome()
        with cancel_after(kill.after, cancel, urgent=True) as (stop, is_time):
            try:
                outcome = self._runner.run(request, log=log, cancel=stop)
            except StandpipeError:
                if cancel or not is_time.is_set():
                    raise  # otherwise the error is that it was cancelled
        if cancel or not is_time.is_set():
            return outcome
        self._record(kill, log)
        return Outcome(signal=signal.SIGKILL, cpu_seconds=outcome.cpu_seconds, peak_memory=outcome.peak_memory)

    def _record(self, fault: Fault, log: Log) -> None:
        """Record that a fault was injected, also in the task's log, where nothing else shows that it was requested."""
        self._mark(fault)
        log.write(f"standpipe: injected fault: {fault!r}\n".encode())

    def _mark(self, fault: Fault) -> None:
        with self._lock:
            self._injected.add(fault)

    def _tasks_that_ran(self) -> str:
        tasks = [
            f"'{task}'" if attempts == 1 else f"'{task}' ({attempts} attempts)"
            for task, attempts in self._attempts.items()
        ]
        more = [f"and {len(tasks) - _MAX_LISTED} more"] if len(tasks) > _MAX_LISTED else []
        return ", ".join((*tasks[:_MAX_LISTED], *more)) or "none"


def _of_kind(kind: type[F], faults: Sequence[Fault]) -> list[F]:
    return [fault for fault in faults if isinstance(fault, kind)]


def _wait(seconds: float, cancel: Cancellation) -> None:
    """Wait for some seconds, or until `cancel` is set."""
    woken = threading.Event()
    forget = cancel.on_set(woken.set)
    try:
        woken.wait(min(seconds, threading.TIMEOUT_MAX))
    finally:
        forget()
