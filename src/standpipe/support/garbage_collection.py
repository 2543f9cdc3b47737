"""Control of Python's garbage collector."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager

from standpipe.support.forking import register_functions

#: The blocks, in all threads, at whose end the collector is enabled again.
_open_blocks: set[object] = set()


@contextmanager
def pause_garbage_collection() -> Iterator[None]:
    """Disable the collection of reference cycles for the length of a block that makes many long-lived objects.

    Otherwise the collector would visit these objects repeatedly and free nothing, which doubles the time of the block.
    """
    block = object()
    if gc.isenabled():
        _open_blocks.add(block)
        gc.disable()
    try:
        yield
    finally:
        if block in _open_blocks:
            _open_blocks.discard(block)
            gc.enable()


def _after_fork_in_child() -> None:
    if _open_blocks:  # most likely of a thread that is not in this process
        _open_blocks.clear()
        gc.enable()


register_functions(in_child=_after_fork_in_child)
