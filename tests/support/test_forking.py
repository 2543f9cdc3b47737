"""Hooks for forks."""

from __future__ import annotations

import fcntl
import gc
import os
import signal
import socket
import sys
import threading
import time
from pathlib import Path
from typing import cast

import pytest

from standpipe.support import forking
from standpipe.support.garbage_collection import pause_garbage_collection
from standpipe.support.locks import open_for_locking, try_lock, unlock
from standpipe.support.notices import _displays, show_notices_in


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


def is_open(number: int) -> bool:
    try:
        os.fstat(number)
    except OSError:
        return False
    return True


def test_a_child_closes_what_its_parent_owns_and_nothing_else() -> None:
    with forking.paused():
        ours, theirs = socket.socketpair()
        read, write = map(forking.Descriptor, os.pipe())
        forking.own(ours, read)
    numbers = ours.fileno(), read.number

    def check() -> bool:
        reused = {os.dup(0) for _ in range(max(numbers) + 1)}  # in the child, the numbers are the user's
        forking.close_owned(ours, read)
        return reused.issuperset(numbers) and all(map(is_open, reused)) and is_open(write.number)

    assert status_of_child(check) == 0
    assert all(map(is_open, numbers))
    forking.close_owned(ours, read)
    assert not any(map(is_open, numbers))
    write.close()
    theirs.close()


def test_a_fork_waits_until_what_is_opened_is_owned() -> None:
    opened = threading.Event()

    def open_slowly() -> None:
        with forking.paused():
            pipes.extend(map(forking.Descriptor, os.pipe()))
            opened.set()
            time.sleep(0.3)
            forking.own(*pipes)

    pipes: list[forking.Descriptor] = []
    thread = threading.Thread(target=open_slowly)
    thread.start()
    opened.wait(30)
    assert status_of_child(lambda: not any(is_open(pipe.number) for pipe in pipes)) == 0
    thread.join()
    forking.close_owned(*pipes)


def test_a_process_starts_while_no_other_thread_forks() -> None:
    is_held: list[bool] = []

    class Program:
        def __fspath__(self) -> str:
            thread = threading.Thread(target=lambda: is_held.append(not forking._gate.acquire(blocking=False)))
            thread.start()
            thread.join()
            return sys.executable

    with forking.start_process([cast(str, Program()), "-c", "pass"]) as process:
        pass
    assert process.returncode == 0
    assert all(is_held)


def test_a_child_without_hooks_does_not_keep_a_lock(tmp_path: Path) -> None:
    """C code that forks calls no hooks: its child has the file of a lock open, but the lock is released."""
    import ctypes

    (tmp_path / "lock").touch()
    lock = open_for_locking(lambda: os.open(tmp_path / "lock", os.O_RDWR))
    assert try_lock(lock.number)
    read, write = os.pipe()
    child = ctypes.PyDLL(None).fork()
    if child == 0:
        os.read(read, 1)
        os._exit(0)
    try:
        unlock(lock)
        with open(tmp_path / "lock") as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    finally:
        os.write(write, b".")
        os.waitpid(child, 0)
        os.close(read)
        os.close(write)


def test_a_child_does_not_release_the_lock_of_its_parent(tmp_path: Path) -> None:
    (tmp_path / "lock").touch()
    lock = open_for_locking(lambda: os.open(tmp_path / "lock", os.O_RDWR))
    assert try_lock(lock.number)

    def leave() -> bool:
        unlock(lock)
        return True

    assert status_of_child(leave) == 0
    with open(tmp_path / "lock") as file, pytest.raises(BlockingIOError):
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    unlock(lock)


def test_blocks_of_other_threads_have_no_effect_in_a_child() -> None:
    entered, may_end = threading.Event(), threading.Event()

    def stay() -> None:
        with pause_garbage_collection():
            entered.set()
            may_end.wait(30)

    end = show_notices_in(lambda text: None)
    thread = threading.Thread(target=stay)
    thread.start()
    entered.wait(30)
    assert not gc.isenabled()
    try:
        assert status_of_child(lambda: gc.isenabled() and not _displays) == 0
    finally:
        may_end.set()
        thread.join()
        end()
    assert gc.isenabled()


def test_a_child_can_import_what_another_thread_was_importing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "imported_slowly.py").write_text("import time\ntime.sleep(0.5)\nvalue = 1\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    thread = threading.Thread(target=lambda: __import__("imported_slowly"))
    thread.start()
    while "imported_slowly" not in sys.modules:
        time.sleep(0.001)

    def check() -> bool:
        signal.alarm(20)
        return bool(__import__("imported_slowly").value == 1)

    assert status_of_child(check) == 0
    thread.join()
