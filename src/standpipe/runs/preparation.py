"""The environments of later tasks, which are built while earlier tasks run."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress

from standpipe.errors import RunnerError, StandpipeError
from standpipe.model.cancellation import Cancellation
from standpipe.model.ports import PreparingRunner
from standpipe.runs.executor_uses import ExecutorUse
from standpipe.support.notices import quiet_notices, warn
from standpipe.support.redaction import Redactor

#: The most environments that are built at the same time. The installers use several cores and connections each.
_MAX_BUILDS = 2

#: The seconds that builds have to end, at the end of the run, and again after they were killed.
_PATIENCE = 1.0


@contextmanager
def prepare_executors(
    runner: PreparingRunner,
    uses: Sequence[ExecutorUse],
    stop: Callable[[StandpipeError], None],
    redactor: Redactor,
    *,
    max_parallel: int,
    quiet: bool,
) -> Iterator[None]:
    """Build the environments of tasks that cannot start yet, during the block; at its end, cancel what is left.

    The tasks that start at once build theirs themselves. An environment that cannot be built stops the run if a task
    is certain to need it, and is not retried; otherwise it is a warning, as the task may be skipped or cached.

    Args:
        runner: the runner.
        uses: the executors of the run.
        stop: stops the run for an error; called from any thread.
        redactor: redacts the secrets of the run in errors: an installer may show the URL of an index.
        max_parallel: how many tasks may run at the same time.
        quiet: whether notices of progress are kept off standard error.
    """
    starting = {use.label for use in [use for use in uses if use.is_first][:max_parallel]}
    later = [use for use in uses if use.label not in starting and not runner.is_prepared(use.executor)]
    if not later:
        yield
        return
    cancel = Cancellation()

    def prepare(use: ExecutorUse) -> None:
        if cancel:
            return
        try:
            with quiet_notices(quiet), redactor.redact_messages():
                runner.prepare(use.executor, cancel)
        except StandpipeError as error:
            if cancel:
                return
            if use.is_certain and not use.is_retried:
                stop(RunnerError(f"its task '{use.task}' would fail: {error}"))
            else:
                warn(f"Task '{use.task}' will fail if it runs: {error}")
        except Exception as error:  # noqa: BLE001  the outermost edge of a thread
            warn(f"Standpipe itself failed to prepare task '{use.task}', please report it: {error!r}")

    pending = deque(sorted(later, key=lambda use: not use.is_certain))

    def prepare_pending() -> None:
        with suppress(IndexError):  # the other threads have taken the last one
            while True:
                prepare(pending.popleft())

    count = min(_MAX_BUILDS, len(later))
    threads = [threading.Thread(target=prepare_pending, daemon=True, name="standpipe-prepare") for _ in range(count)]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        pending.clear()
        for urgent in (False, True):
            cancel.set(urgent=urgent)
            patience_ends = time.monotonic() + _PATIENCE
            for thread in threads:
                thread.join(max(0.0, patience_ends - time.monotonic()))
