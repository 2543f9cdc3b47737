"""The environments of later tasks, which are built while earlier tasks run."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import partial

from standpipe.errors import RunnerError, StandpipeError, TaskFailure
from standpipe.model.cancellation import Cancellation
from standpipe.model.events import CodeLocation, Failure, TaskFailed
from standpipe.model.plan import Container
from standpipe.model.ports import PreparingRunner
from standpipe.model.refs import TaskRef
from standpipe.runs.executor_uses import ExecutorUse
from standpipe.support.code_locations import describe_place
from standpipe.support.notices import quiet_notices, warn
from standpipe.support.redaction import Redactor

#: The most environments that are built at the same time. The installers use several cores and connections each.
_MAX_BUILDS = 2

#: The seconds that builds have to end, at the end of the run, and again after they were killed.
_PATIENCE = 1.0


#: The most tasks that are named for one reason.
_MAX_NAMED = 3

#: The seconds that checks of other environments may take before a run is stopped.
_MAX_CHECKING = 20.0


#: See `prepare_executors`.
WarnOfOthers = Callable[[Collection[str]], None]


class UnpreparedTasks(RunnerError):
    """Tasks would fail, as what they run in cannot be built or pulled.

    Args:
        problems: an executor of each, and the reason.

    Attributes:
        clause: the same in short, as a clause about the run.
        failed: the failures of the tasks, as the run records them.
    """

    def __init__(self, problems: Sequence[tuple[ExecutorUse, StandpipeError]]) -> None:
        descriptions = _describe_all(problems)
        if len(descriptions) == 1:
            super().__init__(f"its {descriptions[0]}")
        else:
            super().__init__("\n\n".join(("its tasks would fail", *map(_capitalize, descriptions))))
        self.failures = tuple(_failure(use, error) for use, error in problems)
        self.clause = f"its {_name_tasks([use for use, _ in problems])} cannot be set up"
        self.failed = tuple(_failed(use, error) for use, error in problems)

    def explains(self, task: TaskRef) -> bool:
        """Return whether a task, or one in it, is among them."""
        names = [name for name, _ in task.path]
        return any([name for name, _ in each.task.path][: len(names)] == names for each in self.failed)


def _describe_all(problems: Sequence[tuple[ExecutorUse, StandpipeError]]) -> list[str]:
    """Return a clause for each reason, with the tasks that would fail for it."""
    equal: dict[str, list[ExecutorUse]] = {}
    for use, error in problems:
        equal.setdefault(str(error), []).append(use)
    return [f"{_name_tasks(uses)} would fail: {message}" for message, uses in equal.items()]


def _name_tasks(uses: Sequence[ExecutorUse]) -> str:
    names = [f"'{use.task}'{_describe_line(use)}" for use in uses]
    hidden = len(names) - _MAX_NAMED
    more = f" and {hidden} more" if hidden > 0 else ""
    return f"task {names[0]}" if len(names) == 1 else f"tasks {', '.join(names[:_MAX_NAMED])}{more}"


def _describe_line(use: ExecutorUse) -> str:
    place = use.line(0)
    return f" ({describe_place(place.file, place.line)})" if place else ""


def _capitalize(text: str) -> str:
    return text[:1].upper() + text[1:]


def _failure(use: ExecutorUse, error: StandpipeError) -> TaskFailure:
    place = use.line(0)
    return TaskFailure(use.task, str(error), error.hint, *((place.file, place.line) if place else ()))


def _failed(use: ExecutorUse, error: StandpipeError) -> TaskFailed:
    """Return the failure that the task would have by itself, with the line of its component."""
    place = use.line(0)
    location = CodeLocation(place.file, place.line, "") if place else None
    return TaskFailed(use.ref, Failure(str(error), hint=error.hint, location=location))


def _stops_run(use: ExecutorUse) -> bool:
    """Return whether a run is stopped if the environment of an executor cannot be built."""
    return use.is_certain and not use.is_retried


@contextmanager
def prepare_executors(
    runner: PreparingRunner,
    uses: Sequence[ExecutorUse],
    stop: Callable[[UnpreparedTasks], None],
    redactor: Redactor,
    *,
    max_parallel: int,
    quiet: bool,
) -> Iterator[WarnOfOthers]:
    """Build the environments of tasks that cannot start yet, during the block; at its end, cancel what is left.

    The tasks that start at once build theirs themselves. An environment that cannot be built stops the run if a task
    is certain to need it, and is not retried; otherwise it is a warning, as the task may be skipped or cached. Before
    the run is stopped, the other environments are checked, so that its error has all that cannot be built.

    Args:
        runner: the runner.
        uses: the executors of the run.
        stop: stops the run for an error; called from any thread.
        redactor: redacts the secrets of the run in errors: an installer may show the URL of an index.
        max_parallel: how many tasks may run at the same time.
        quiet: whether notices of progress are kept off standard error.

    Yields:
        A function to call with the paths of the tasks that have failed, at the end of a run. If one of them could not
        start, as its environment could not be built, it warns of the other tasks for which this is so.
    """
    starting = {use.label for use in [use for use in uses if use.is_first][:max_parallel]}
    later = [use for use in uses if use.label not in starting and not runner.is_prepared(use.executor)]
    if not later:
        yield lambda _: None
        return
    preparation = _Preparation(runner, uses, later, stop, redactor, quiet=quiet)
    count = min(_MAX_BUILDS, len(later))
    threads = [threading.Thread(target=preparation.run, daemon=True, name="standpipe-prepare") for _ in range(count)]
    for thread in threads:
        thread.start()
    try:
        yield partial(preparation.warn_of_others, starting)
    finally:
        preparation.pending.clear()
        for urgent in (False, True):
            preparation.cancel.set(urgent=urgent)
            patience_ends = time.monotonic() + _PATIENCE
            for thread in threads:
                thread.join(max(0.0, patience_ends - time.monotonic()))


class _Preparation:
    """The preparation of executors by several threads; the arguments are those of `prepare_executors`.

    Args:
        later: the executors to prepare.
    """

    def __init__(
        self,
        runner: PreparingRunner,
        uses: Sequence[ExecutorUse],
        later: Sequence[ExecutorUse],
        stop: Callable[[UnpreparedTasks], None],
        redactor: Redactor,
        *,
        quiet: bool,
    ) -> None:
        self.pending = deque(sorted(later, key=lambda use: not use.is_certain))
        self.cancel = Cancellation()
        self._runner = runner
        self._uses = uses
        self._stop = stop
        self._redactor = redactor
        self._quiet = quiet
        self._reporting = threading.Lock()  # is held by the thread that stops the run
        self._has_ended = False  # the run, so that nothing has to stop it

    def run(self) -> None:
        """Prepare executors until none is left, or the preparation is cancelled."""
        with suppress(IndexError):  # the other threads have taken the last one
            while True:
                self._prepare(self.pending.popleft())

    def _prepare(self, use: ExecutorUse) -> None:
        if self.cancel:
            return
        try:
            error = self._error_of(self._runner.prepare, use)
        except Exception as defect:  # noqa: BLE001  the outermost edge of a thread
            warn(f"Standpipe itself failed to prepare task '{use.task}', please report it: {defect!r}")
            return
        if error is None or self.cancel or self._has_ended:
            return
        if not _stops_run(use):
            warn(f"Task '{use.task}' will fail if it runs: {error}")
        elif self._reporting.acquire(blocking=False):
            self.pending.clear()
            problems = [(use, error), *self._find_others(use)]
            if not self.cancel and not self._has_ended:
                self._stop(UnpreparedTasks(problems))

    def warn_of_others(self, starting: Collection[str], failed: Collection[str]) -> None:
        """Warn of the tasks that cannot be prepared, if this is why tasks have failed that started at once.

        Args:
            starting: the labels of the executors whose tasks started at once.
            failed: the paths of the tasks that have failed.
        """
        self._has_ended = True
        first = next((use for use in self._uses if use.label in starting and use.task in failed), None)
        if first is None or self._runner.is_prepared(first.executor):
            return
        self.pending.clear()
        others = [(use, error) for use, error in self._find_others(first) if use.task not in failed]
        for text in _describe_all(others):
            warn(_capitalize(text))

    def _find_others(self, failed: ExecutorUse) -> Iterator[tuple[ExecutorUse, StandpipeError]]:
        """Yield the other tasks that cannot be prepared, as far as that is known soon."""
        deadline = time.monotonic() + _MAX_CHECKING
        for use in self._uses:
            if use is failed or not _stops_run(use) or self._runner.is_prepared(use.executor):
                continue
            if self.cancel or time.monotonic() > deadline:
                return
            error = self._error_of(self._runner.check, use)
            if error is not None:
                yield use, error

    def _error_of(self, function: Callable[[Container, Cancellation], None], use: ExecutorUse) -> StandpipeError | None:
        """Call a function of the runner for an executor, and return its error."""
        try:
            with quiet_notices(self._quiet), self._redactor.redact_messages():
                function(use.executor, self.cancel)
        except StandpipeError as error:
            return error
        return None
