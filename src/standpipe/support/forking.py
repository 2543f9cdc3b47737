"""Forks of this process: what a child must not share with its parent. No other module of this program registers hooks.

A child of `os.fork` has one thread, and copies of everything else:

* locks that other threads held stay locked forever: `register_object` and `register_functions` replace them;
* a descriptor is a second one of the same open file, socket or lock of a file, which therefore outlives the parent's:
  a child closes what its parent `own`s;
* a module that another thread was importing is never complete, and an import of it waits forever: a fork waits for
  imports, though not for long. Those of many modules happen while forks are `paused`. So does the start of a process: a
  child would keep the pipe open that it is reported on.

Windows has no fork; there this module only opens and closes.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, suppress
from typing import TYPE_CHECKING, Any, Protocol
from weakref import WeakSet

if TYPE_CHECKING:
    from subprocess import Popen


class ForkAware(Protocol):
    """An object that owns something which a forked child must not use."""

    def after_fork_in_child(self) -> None:
        """Replace locks, and leave connections and processes to the parent."""


class Closable(Protocol):
    """A socket, a file, or another object with one descriptor."""

    def close(self) -> None:
        """Close the descriptor, if that was not done before."""


#: Hooks of modules, in the order of registration.
_before: list[Callable[[], None]] = []
_in_parent: list[Callable[[], None]] = []
_in_child: list[Callable[[], None]] = []
_objects: WeakSet[ForkAware] = WeakSet()

#: Held by a fork, and by those whom a fork must not interrupt. A signal handler that forks interrupts them anyway, so
#: a thread may hold it twice.
_gate = threading.RLock()
_is_prepared = False

#: The most seconds that a fork waits for the imports of other threads.
_IMPORT_TIME = 5.0

#: What a child closes. It is changed together with what it says, while the gate is held.
_owned: set[Closable] = set()


class Descriptor:
    """A descriptor that is closed once: by its owner, or by a forked child.

    Args:
        number: the number of the descriptor; `number` is -1 once it is closed.
    """

    def __init__(self, number: int) -> None:
        self.number = number

    def close(self) -> None:
        """Close the descriptor, if that was not done before."""
        number, self.number = self.number, -1
        if number >= 0:
            os.close(number)


def paused() -> AbstractContextManager[object]:
    """Return a context in which no other thread can fork: it waits for the end of the block.

    The block must be short, and must not wait for anything that a forking thread may hold.
    """
    if not _is_prepared:
        _prepare_gate()
    return _gate


def own(*opened: Closable) -> None:
    """Let forked children close what this thread has just opened, in the same block of `paused`.

    Close it with `close_owned`.
    """
    _owned.update(opened)


def close_owned(*owned: Closable) -> None:
    """Close what is owned. In a forked child, which has closed it, nothing happens."""
    with paused():
        for each in owned:
            each.close()
            _owned.discard(each)


def start_process(command: Sequence[str], **options: Any) -> Popen[Any]:
    """Start a process with `subprocess.Popen`, which raises what it raises, while no other thread forks.

    A child would keep the pipe open by which `Popen` learns that the process has started, so that it waited for the end
    of that child, too.
    """
    with paused():
        import subprocess  # costs 20 ms, which a program that runs nothing need not pay

        return subprocess.Popen(command, **options)


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


def _prepare_gate() -> None:
    """Import `logging`, which registers hooks of its own, and let forks wait for the gate before they call those.

    A fork calls the hooks that were registered last first. That of `logging` takes a lock, which modules need when they
    are imported, so that a fork which had it and waited for the gate would block an import that has the gate.
    """
    global _is_prepared
    with _gate:
        import logging  # a run imports it anyway
    _register_gate()
    logging.getLogger(__name__)  # waits for a fork that has the lock and not yet the gate
    _is_prepared = True


def _register_gate() -> None:
    if hasattr(os, "register_at_fork"):
        os.register_at_fork(before=_close_gate, after_in_parent=_open_gate, after_in_child=_renew_gate)


def _close_gate() -> None:
    _gate.acquire()
    end = time.monotonic() + _IMPORT_TIME
    while _others_import() and time.monotonic() < end:
        _gate.release()  # an import may need it
        time.sleep(0.001)
        _gate.acquire()


def _others_import() -> bool:
    """Return whether another thread is importing a module, and this one, for which it may wait, is not."""
    from importlib import _bootstrap  # always loaded; some Python may not have its locks

    references = list(getattr(_bootstrap, "_module_locks", {}).values())
    owners = {getattr(reference(), "owner", None) for reference in references} - {None}
    return bool(owners) and threading.get_ident() not in owners


def _open_gate() -> None:
    with suppress(RuntimeError):  # the hooks were registered while this fork waited
        _gate.release()


def _renew_gate() -> None:
    global _gate
    _gate = threading.RLock()  # a thread that is not in this process may wait for the old one
    for each in list(_owned):
        with suppress(OSError):  # the user's code has closed all descriptors
            each.close()
    _owned.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_run_before, after_in_parent=_run_in_parent, after_in_child=_run_in_child)
_register_gate()
