"""Requests in several threads at once, which a cancellation leaves behind: nothing can interrupt them."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from queue import SimpleQueue
from typing import TypeVar, Union

from standpipe.errors import StorageError
from standpipe.model.cancellation import Cancellation
from standpipe.support.daemon_threads import DaemonThreads
from standpipe.support.waiting import iterate_in_thread

T = TypeVar("T")

#: How many requests are under way at the same time for one payload of many files, and for the parts of one file.
_THREADS, PARTS = 16, 8


def call_in_thread(function: Callable[[], T], cancel: Cancellation) -> T:
    """Return what a function returns, which is called in a thread of its own.

    Raises:
        StorageError: if `cancel` is set.
        Exception: what the function raises.
    """
    for result in iterate_in_thread(lambda: [function()], cancel):
        return result
    raise StorageError("The transfer was cancelled.")


def run_in_threads(steps: Sequence[Callable[[], None]], cancel: Cancellation, most: int = _THREADS) -> None:
    """Call functions, several at the same time. After an error or a cancellation, no further one begins.

    Args:
        steps: the functions.
        cancel: ends the wait for them.
        most: how many are called at the same time.

    Raises:
        StorageError: if `cancel` is set.
        Exception: the first that one of them raises.
    """
    pending, results = deque(steps), SimpleQueue[Union[BaseException, None]]()

    def work() -> None:
        with suppress(IndexError):  # nothing is left
            while True:
                results.put(_call(pending.popleft()))

    def collect() -> Iterator[None]:
        for _ in steps:
            error = results.get()
            if error is not None:
                raise error
            yield

    threads = DaemonThreads()
    for _ in range(min(most, len(steps))):
        threads.execute(work)
    threads.close()
    try:
        for _ in iterate_in_thread(collect, cancel):
            pass
    finally:
        pending.clear()
    if cancel:
        raise StorageError("The transfer was cancelled.")


def _call(step: Callable[[], None]) -> BaseException | None:
    try:
        step()
    except BaseException as error:  # noqa: BLE001  it is raised in the thread that waits
        return error
    return None
