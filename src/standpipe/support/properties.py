"""Properties that are computed once."""

from __future__ import annotations

import functools
from collections.abc import Callable
from contextlib import nullcontext
from typing import Any, TypeVar

T = TypeVar("T")


class cached_property(functools.cached_property[T]):  # noqa: N801  it replaces the one of `functools`
    """`functools.cached_property` without the lock that it has before Python 3.12, which all objects of a class share.

    A forked child would wait forever for a thread of its parent that was computing the property of some object. Two
    threads may compute one, with the same result.
    """

    def __init__(self, func: Callable[[Any], T]) -> None:
        super().__init__(func)
        self.lock = nullcontext()
