"""The containers of a runner that wait for the attempts which are expected next."""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from standpipe.errors import StandpipeError
from standpipe.model.attempts import TaskRequest
from standpipe.model.cancellation import Cancellation
from standpipe.model.layout import STANDBY_FOLDER, StateLayout
from standpipe.model.ports import ExpectAttempts
from standpipe.model.refs import RunId
from standpipe.runners.docker.container import TaskContainer
from standpipe.runners.docker.containers import Containers
from standpipe.runners.docker.engine import engine_errors
from standpipe.runners.docker.standby import Standby
from standpipe.support import machine_capacity
from standpipe.support.forking import register_object
from standpipe.support.untrusted_files import remove_path

#: The standbys of a run that are started at the same time. An engine starts one in 0.2 to 0.3 s, using half a core.
_THREADS = 2

#: The bytes of memory that must be available to start another standby. It takes 26 MB: 13 for its worker, 12 for the
#: process of the engine that holds it. Ten times that, as the tasks which run may need more at any time.
_MIN_AVAILABLE_MEMORY = 260_000_000

#: The seconds between two checks for a cancellation, while an attempt waits for its standby.
_POLL_INTERVAL = 0.1

#: The seconds that the threads have to end, at the end of a run.
_PATIENCE = 2.0


class _RunStandbys:
    """The standbys of one run, by the folders of their attempts. Each method is called with the lock of `Standbys`."""

    def __init__(self) -> None:
        self.cancel = Cancellation()
        self.is_closed = False
        self._has_begun = False
        self._to_start: dict[Path, TaskRequest] = {}
        self._starting: set[Path] = set()
        self._unneeded: set[Path] = set()  # of those that are starting
        self._waiting: dict[Path, Standby] = {}
        self._impossible: set[Path] = set()

    def expect(self, requests: Sequence[TaskRequest], running: Collection[Path]) -> list[Standby]:
        """Take the attempts that are expected now, and return the standbys that are not needed."""
        expected = {request.folder: request for request in requests}
        present = self._starting | self._waiting.keys() | self._impossible
        self._to_start = {folder: request for folder, request in expected.items() if folder not in present}
        kept = expected.keys() | set(running)
        self._unneeded = self._starting - kept
        return [self._waiting.pop(folder) for folder in list(self._waiting) if folder not in kept]

    def find_next(self, is_possible: Callable[[TaskRequest], bool]) -> TaskRequest | None:
        """Return the attempt whose standby is to be started next; None before the first attempt has what it needs."""
        return next(filter(is_possible, self._to_start.values()), None) if self._has_begun else None

    def begin(self, request: TaskRequest) -> None:
        """Note that the standby of an attempt is being started."""
        del self._to_start[request.folder]
        self._starting.add(request.folder)

    def finish(self, folder: Path, standby: Standby | None) -> bool:
        """Take the standby that was started, None if that is impossible; return whether it is needed."""
        self._starting.discard(folder)
        if standby is None:
            self._impossible.add(folder)
        elif not self.is_closed and folder not in self._unneeded:
            self._waiting[folder] = standby
            return True
        self._unneeded.discard(folder)
        return False

    def is_starting(self, folder: Path) -> bool:
        return folder in self._starting

    def take(self, folder: Path) -> Standby | None:
        """Return the standby of an attempt, which has none any more; one that is starting is not needed."""
        self._has_begun = True
        self._to_start.pop(folder, None)
        self._unneeded |= self._starting & {folder}
        return self._waiting.pop(folder, None)

    def close(self) -> list[Standby]:
        """Start no other standby, and return those that wait."""
        self.is_closed = True
        self.cancel.set()
        self._to_start.clear()
        waiting = list(self._waiting.values())
        self._waiting.clear()
        return waiting


class Standbys:
    """Keeps a standby for each attempt that is expected, started in threads. Each is used once.

    Args:
        is_possible: returns whether an attempt can have a standby at this moment, in microseconds.
        start: starts a standby; returns None if the attempt cannot have one. A request to cancel stops it.
        containers: removes those that are not used.
    """

    def __init__(
        self,
        is_possible: Callable[[TaskRequest], bool],
        start: Callable[[TaskRequest, Cancellation], Standby | None],
        containers: Containers,
    ) -> None:
        self._is_possible = is_possible
        self._start = start
        self._containers = containers
        self._changed = threading.Condition()
        self._pauses = 0
        self._runs: dict[RunId, _RunStandbys] = {}
        register_object(self)

    @contextmanager
    def keep(self, run: RunId, root: Path) -> Iterator[ExpectAttempts]:
        """Keep standbys for a run during the block, at whose end all are removed; see `model.ports.StandbyRunner`."""
        kept = _RunStandbys()
        with self._changed:
            self._runs[run] = kept
        threads: list[threading.Thread] = []

        def expect(requests: Sequence[TaskRequest], running: Collection[Path]) -> None:
            with self._changed:
                surplus = kept.expect(requests, running)
                self._changed.notify_all()
            if requests and not threads:
                threads.extend(threading.Thread(target=self._fill, args=(kept,), daemon=True) for _ in range(_THREADS))
                for thread in threads:
                    thread.start()
            self._discard(surplus)

        try:
            yield expect
        finally:
            with self._changed:
                self._runs.pop(run, None)
                left = kept.close()
                self._changed.notify_all()
            self._discard(left)
            for thread in threads:  # one that is starting its standby discards it
                thread.join(_PATIENCE)
            remove_path(StateLayout(root).run_folder(run) / STANDBY_FOLDER, root)

    def take(
        self, request: TaskRequest, arguments: Mapping[str, Any], image: str, cancel: Cancellation
    ) -> TaskContainer | None:
        """Return the container that waits for an attempt, and belongs to the caller then.

        It may be starting: it is ready before a container that the caller would start instead.

        Args:
            request: the attempt, which starts now.
            arguments: the engine's arguments for its container.
            image: the id of its image.
            cancel: cancels the attempt.

        Returns:
            None if there is no container, or it does not fit.
        """
        with self._changed:
            kept = self._runs.get(request.run)
            if kept is None:
                return None
            while kept.is_starting(request.folder) and not cancel:
                self._changed.wait(_POLL_INTERVAL)
            standby = kept.take(request.folder)
        if standby is None:
            return None
        try:
            if not cancel and standby.fits(arguments, image):
                return standby.become(request)
        except BaseException:
            standby.discard(self._containers)
            raise
        standby.discard(self._containers)
        return None

    @contextmanager
    def holding_back(self) -> Iterator[Callable[[], None]]:
        """Start no standby during the block, in which a task starts that has none, or until the function is called."""
        is_paused = True

        def change(number: int) -> None:
            with self._changed:
                self._pauses += number
                self._changed.notify_all()

        def release() -> None:
            nonlocal is_paused
            if is_paused:
                is_paused = False
                change(-1)

        change(1)
        try:
            yield release
        finally:
            release()

    def after_fork_in_child(self) -> None:
        """Leave all standbys to the process that this one was forked from; see `support.forking`."""
        self._changed = threading.Condition()  # a thread that is not in this process may hold the old one
        self._pauses = 0
        self._runs.clear()

    def _fill(self, kept: _RunStandbys) -> None:
        """Start the standbys of a run, until it ends."""
        while (request := self._wait_for_next(kept)) is not None:
            standby = None
            try:
                standby = self._start(request, kept.cancel)
            except engine_errors(StandpipeError):
                pass  # the attempt starts its container itself, and says what is wrong
            finally:
                with self._changed:
                    is_needed = kept.finish(request.folder, standby)
                    self._changed.notify_all()
            if standby is not None and not is_needed:
                standby.discard(self._containers)

    def _wait_for_next(self, kept: _RunStandbys) -> TaskRequest | None:
        """Return the attempt whose standby is to be started now; None if the run has ended."""
        with self._changed:
            while not kept.is_closed:
                request = None if self._pauses else kept.find_next(self._is_possible)
                if request is not None and machine_capacity.read_available_memory() > _MIN_AVAILABLE_MEMORY:
                    kept.begin(request)
                    return request
                self._changed.wait()
        return None

    def _discard(self, standbys: Iterable[Standby]) -> None:
        for standby in standbys:
            standby.discard(self._containers)
