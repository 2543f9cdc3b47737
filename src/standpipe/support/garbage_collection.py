"""Making many objects that last."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def lasting_objects() -> Iterator[None]:
    """Puts off Python's search for garbage in cycles while a block makes many objects that all last.

    The search would go through them again and again, find nothing, and take as long as everything else.
    """
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()
