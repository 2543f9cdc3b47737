"""Registration of hooks for forks of this process.

A child of `os.fork` has one thread, and copies of everything else: locks that other threads held stay locked forever,
and sockets, files and databases are shared with the parent. Objects that own such resources register here how a child
releases them. Windows has no fork; these functions do nothing there.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Protocol
from weakref import WeakSet


class ForkAware(Protocol):
    """An object that owns something which a forked child must not use."""

    def after_fork_in_child(self) -> None:
        """Replace locks, and leave connections and processes to the parent."""


#: Hooks of modules, in the order of registration.
_before: list[Callable[[], None]] = []
_in_parent: list[Callable[[], None]] = []
_in_child: list[Callable[[], None]] = []
_objects: WeakSet[ForkAware] = WeakSet()


def register_object(owner: ForkAware) -> None:
    """Call the owner's `after_fork_in_child` in every child that is forked while the owner exists."""
    _objects.add(owner)


def register_functions(
    *,
    before: Callable[[], None] | None = None,
    in_parent: Callable[[], None] | None = None,
    in_child: Callable[[], None] | None = None,
) -> None:
    """Call functions around every fork; those before it run in reverse order, as `os.register_at_fork` has it."""
    for function, hooks in ((before, _before), (in_parent, _in_parent), (in_child, _in_child)):
        if function is not None:
            hooks.append(function)


def _run_before() -> None:
    for function in reversed(_before):
        function()


def _run_in_parent() -> None:
    for function in _in_parent:
        function()


def _run_in_child() -> None:
    for function in _in_child:
        function()
    for owner in list(_objects):
        owner.after_fork_in_child()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_run_before, after_in_parent=_run_in_parent, after_in_child=_run_in_child)
