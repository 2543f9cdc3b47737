"""A runner around a runner, which makes the faults happen that a user asked for."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TypeVar

from standpipe.errors import StandpipeError
from standpipe.faults import Delay, Fail, Fault, Kill
from standpipe.model.ports import Cancel, Log, Outcome, Runner, TaskRequest
from standpipe.model.refs import TaskRef
from standpipe.support.timers import cancel_after

#: How many tasks a notice lists; loops may have thousands.
_MOST_LISTED = 20

F = TypeVar("F", Fail, Delay, Kill)


@contextmanager
def injected(runner: Runner, faults: Sequence[Fault], notice: Callable[[str], None]) -> Iterator[Runner]:
    """Gives the runner for one run with these faults; at its end, `notice` is told of those that did not happen."""
    if not faults:
        yield runner
        return
    faulty = FaultyTasks(runner, faults, notice)
    yield faulty
    faulty.tell_of_unused()


class FaultyTasks:
    """Runs the tasks of one run on another runner, and lets some of them meet with faults.

    An attempt that has several faults is delayed first. Then it fails without being run; if none of the faults is a
    `Fail`, it is run and killed.

    Args:
        runner: where tasks run; others may share it.
        faults: what is to happen.
        notice: told of what did not.
    """

    def __init__(self, runner: Runner, faults: Sequence[Fault], notice: Callable[[str], None]) -> None:
        self._runner = runner
        self._faults = tuple(faults)
        self._notice = notice
        self._lock = threading.Lock()
        self._happened: set[Fault] = set()
        self._attempts: dict[TaskRef, int] = {}  # of the tasks that ran

    def run(self, request: TaskRequest, *, log: Log, cancel: Cancel) -> Outcome:
        """Runs one attempt, or does not; see `model.ports.Runner`."""
        number = request.retry_index + 1
        faults = [fault for fault in self._faults_of(request.task) if fault.attempt in (None, number)]
        with self._lock:
            self._attempts[request.task] = number
        for delay in _of_kind(Delay, faults):
            self._tell(delay, log)
            _wait(delay.seconds, cancel)
            if cancel:
                return Outcome(problem="it was cancelled before it started")
        for fail in _of_kind(Fail, faults):
            self._note(fail)
            return Outcome(exit_code=1, cause=f"InjectedFault: {fail.message}")
        for kill in _of_kind(Kill, faults):
            return self._killed(kill, request, log, cancel)
        return self._runner.run(request, log=log, cancel=cancel)

    def fingerprint(self, request: TaskRequest) -> str:
        """Empty for tasks with faults, so that no result hides a fault, or holds what came of one."""
        return "" if self._faults_of(request.task) else self._runner.fingerprint(request)

    def close(self) -> None:
        """Closes the runner below."""
        self._runner.close()

    def tell_of_unused(self) -> None:
        """Tells of each fault that has not happened, and which tasks there were."""
        for fault in self._faults:
            if fault not in self._happened:
                self._notice(f"faults: {fault!r} did not happen. The tasks that ran: {self._ran()}.")

    def _faults_of(self, task: TaskRef) -> list[Fault]:
        names = (task.name, str(task))
        return [fault for fault in self._faults if fault.task in names]

    def _killed(self, kill: Kill, request: TaskRequest, log: Log, cancel: Cancel) -> Outcome:
        """Runs an attempt until its time has come. A wish of the user to stop is heard as ever."""
        outcome = Outcome()
        with cancel_after(kill.after, cancel, urgent=True) as (stop, killed):
            try:
                outcome = self._runner.run(request, log=log, cancel=stop)
            except StandpipeError:
                if cancel or not killed.is_set():
                    raise  # otherwise it says that it was cancelled
        if cancel or not killed.is_set():
            return outcome
        self._tell(kill, log)
        return Outcome(signal=signal.SIGKILL, cpu_seconds=outcome.cpu_seconds, peak_memory=outcome.peak_memory)

    def _tell(self, fault: Fault, log: Log) -> None:
        """Notes that a fault happened, also in the task's log: nothing else there says that it was asked for."""
        self._note(fault)
        log.write(f"standpipe: as asked for: {fault!r}\n".encode())

    def _note(self, fault: Fault) -> None:
        with self._lock:
            self._happened.add(fault)

    def _ran(self) -> str:
        told = [
            f"'{task}'" if attempts == 1 else f"'{task}' ({attempts} attempts)"
            for task, attempts in self._attempts.items()
        ]
        more = [f"and {len(told) - _MOST_LISTED} more"] if len(told) > _MOST_LISTED else []
        return ", ".join((*told[:_MOST_LISTED], *more)) or "none"


def _of_kind(kind: type[F], faults: Sequence[Fault]) -> list[F]:
    return [fault for fault in faults if isinstance(fault, kind)]


def _wait(seconds: float, cancel: Cancel) -> None:
    """Waits for so long, or until `cancel` is set."""
    woken = threading.Event()
    forget = cancel.on_set(woken.set)
    try:
        woken.wait(min(seconds, threading.TIMEOUT_MAX))
    finally:
        forget()
