"""Hooks for forks."""

from __future__ import annotations

import gc
import os
import threading

from standpipe.support import forking


class Owner:
    """Owns a lock that a child must replace."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        forking.register_object(self)

    def after_fork_in_child(self) -> None:
        self.lock = threading.Lock()


def status_of_child(check: object) -> int:
    """Return the exit code of a forked child that ends with 0 if `check()` is true."""
    assert callable(check)
    child = os.fork()
    if child == 0:
        os._exit(0 if check() else 1)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def test_after_a_fork_the_child_has_a_free_lock() -> None:
    owner = Owner()
    with owner.lock:
        assert status_of_child(lambda: owner.lock.acquire(blocking=False)) == 0
        assert owner.lock.locked()


def test_a_collected_owner_is_not_called() -> None:
    owner = Owner()
    registered = len(forking._objects)
    del owner
    gc.collect()

    assert len(forking._objects) < registered


def test_functions_run_around_a_fork_in_the_order_of_os_register_at_fork() -> None:
    calls: list[str] = []
    is_on = True

    def note(what: str) -> None:
        if is_on:
            calls.append(what)

    for number in (1, 2):
        forking.register_functions(
            before=lambda number=number: note(f"before {number}"),  # type: ignore[misc]
            in_parent=lambda number=number: note(f"parent {number}"),  # type: ignore[misc]
            in_child=lambda number=number: note(f"child {number}"),  # type: ignore[misc]
        )
    in_child = status_of_child(lambda: calls == ["before 2", "before 1", "child 1", "child 2"])
    is_on = False  # hooks stay registered forever

    assert in_child == 0
    assert calls == ["before 2", "before 1", "parent 1", "parent 2"]
