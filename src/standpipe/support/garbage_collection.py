"""Control of Python's garbage collector."""

from __future__ import annotations

import gc
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from standpipe.support.forking import register_functions

#: The blocks, in all threads, at whose end the collector is enabled again: at that of the last one.
_open_blocks: set[object] = set()
_blocks_lock = threading.Lock()

#: How many more objects than at the last collection there are before the next one, in `reduce_garbage_collection`.
#: Python's own number is 700, or 2,000 since 3.12.
_THRESHOLD = 20_000

#: After so many collections of new objects those that survived one are visited again; Python's own number is 10. In a
#: run of 100,000 iterations nearly all of them are needed to its end, and visiting them took 5 % of the time. After the
#: block they are visited as ever.
_VISITS = 1_000


class _Reduction:
    """The blocks of `reduce_garbage_collection` that are open, in all threads, and the thresholds before the first."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.blocks = 0
        self.thresholds = (0, 0, 0)

    def restore(self) -> None:
        """Set the thresholds of before, unless something else has changed them meanwhile."""
        if gc.get_threshold()[0] == _THRESHOLD:
            gc.set_threshold(*self.thresholds)


_reduction = _Reduction()


@contextmanager
def pause_garbage_collection() -> Iterator[None]:
    """Disable the collection of reference cycles for the length of a block that makes many long-lived objects.

    Otherwise the collector would visit these objects repeatedly and free nothing, which doubles the time of the block.
    Nor does it visit them once at its end: they count as old, and are visited when it looks at all objects.
    """
    block = object()
    with _blocks_lock:
        if _open_blocks or gc.isenabled():
            _open_blocks.add(block)
            gc.disable()
    try:
        yield
    finally:
        with _blocks_lock:
            if block in _open_blocks:
                _open_blocks.discard(block)
                if not gc.get_freeze_count():
                    gc.freeze()  # empties the young generations without a visit
                    gc.unfreeze()
                if not _open_blocks:
                    gc.enable()


@contextmanager
def reduce_garbage_collection() -> Iterator[None]:
    """Let the collector run less often for the length of a block: a run.

    A run makes objects that it needs to its end, seven for each iteration of a loop, and next to no reference cycles.
    As often as Python's thresholds say, the collector would take a tenth of the time of a long loop. Blocks may
    overlap; the last one to end restores the thresholds. They stay as they are if they are higher, 0 (never) or changed
    in the block.
    """
    with _reduction.lock:
        if not _reduction.blocks:
            _reduction.thresholds = gc.get_threshold()
            if 0 < _reduction.thresholds[0] < _THRESHOLD:
                gc.set_threshold(_THRESHOLD, max(_VISITS, _reduction.thresholds[1]), *_reduction.thresholds[2:])
        _reduction.blocks += 1
    reduction = _reduction
    try:
        yield
    finally:
        with reduction.lock:
            reduction.blocks -= 1
            if not reduction.blocks and reduction is _reduction:
                reduction.restore()


def _after_fork_in_child() -> None:
    global _blocks_lock, _reduction
    _blocks_lock = threading.Lock()  # as that of the reduction below
    if _reduction.blocks:  # of a run in the parent
        _reduction.restore()
    _reduction = _Reduction()  # a thread that this process does not have may hold the lock
    if _open_blocks:  # most likely of a thread that is not in this process
        _open_blocks.clear()
        gc.enable()


register_functions(in_child=_after_fork_in_child)
