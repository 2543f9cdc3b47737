"""Waits that a cancellation ends, for calls that cannot be interrupted: of libraries, and of the system.

Such a call runs in a thread of its own, which is left behind. It ends by itself sometime, or with this process.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from queue import Empty, Full, Queue
from typing import TypeVar, Union

from standpipe.model.cancellation import Cancellation

T = TypeVar("T")

#: The items that a thread may produce before one of them is taken.
_AHEAD = 4


def iterate_in_thread(produce: Callable[[], Iterable[T]], cancel: Cancellation) -> Iterator[T]:
    """Yield items that another thread produces, until a cancellation.

    Args:
        produce: returns the items; called in the other thread. After a cancellation it is left at its next item.
        cancel: ends the wait at once, as if there were no more items.

    Raises:
        BaseException: what `produce` raises.
    """
    items: Queue[Union[tuple[T], BaseException, None]] = Queue(_AHEAD)
    is_left = threading.Event()

    def run() -> None:
        try:
            for item in produce():
                items.put((item,))
                if is_left.is_set():
                    return
            items.put(None)
        except BaseException as error:  # noqa: BLE001  also a panic of Rust; it is raised in the thread that waits
            items.put(error)

    def wake() -> None:
        with suppress(Full):  # then nobody waits
            items.put_nowait(None)

    forget = cancel.on_set(wake)
    threading.Thread(target=run, daemon=True, name="standpipe-wait").start()
    try:
        while not cancel and (item := items.get()) is not None:
            if isinstance(item, BaseException):
                raise item
            if not cancel:
                yield item[0]
    finally:
        forget()
        is_left.set()
        with suppress(Empty):  # the thread may be waiting to put an item
            while True:
                items.get_nowait()
