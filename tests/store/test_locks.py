"""The locks of runs."""

from __future__ import annotations

import errno
import fcntl
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from standpipe.errors import StorageError
from standpipe.store.locks import RunIsActive, RunLock, ask_to_stop, is_active, was_asked_to_stop


def test_one_lock_at_a_time_and_no_file_is_left(tmp_path: Path) -> None:
    assert not is_active(tmp_path)
    with RunLock(tmp_path):
        assert is_active(tmp_path)
        with pytest.raises(RunIsActive, match=f"is still active, in process {os.getpid()}"), RunLock(tmp_path):
            raise AssertionError
        assert is_active(tmp_path)
    assert not is_active(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_full_disk_does_not_prevent_a_lock(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever deletes runs to free the disk needs it."""

    def fail(file: int, content: bytes) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "write", fail)
        with RunLock(tmp_path):
            assert is_active(tmp_path)
    assert not is_active(tmp_path)


def test_checking_for_a_run_neither_counts_as_one_nor_blocks_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / ".running").touch()  # as a killed process leaves it
    holds_file, may_continue = threading.Event(), threading.Event()
    seen: list[bool] = []
    attempts: list[int] = []
    flock = fcntl.flock

    def suspend(file: int, operation: int) -> None:
        """Suspend the check while it holds the file, until a lock was refused once."""
        if threading.current_thread() is checker:
            flock(file, operation)
            holds_file.set()
            may_continue.wait(30)
            return
        if operation & fcntl.LOCK_EX:
            attempts.append(file)
            if len(attempts) == 2:
                may_continue.set()
                checker.join()
        flock(file, operation)

    checker = threading.Thread(target=lambda: seen.append(is_active(tmp_path)))
    monkeypatch.setattr(fcntl, "flock", suspend)
    checker.start()
    try:
        assert holds_file.wait(30)
        assert not is_active(tmp_path), "another check is not a run"
        with RunLock(tmp_path):
            assert is_active(tmp_path)
    finally:
        may_continue.set()
        checker.join()
    assert (seen, len(attempts)) == ([False], 2)


HOLDS = """
import sys, time
from pathlib import Path
from standpipe.store.locks import RunLock
with RunLock(Path(sys.argv[1])):
    print("locked", flush=True)
    time.sleep(60)
"""


def test_a_lock_ends_with_its_process(tmp_path: Path) -> None:
    command = [sys.executable, "-c", HOLDS, str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "locked\n"
        assert is_active(tmp_path)
        with pytest.raises(RunIsActive, match=f"in process {process.pid}\\."), RunLock(tmp_path):
            raise AssertionError
        process.send_signal(signal.SIGKILL)
    assert not is_active(tmp_path)
    with RunLock(tmp_path):
        assert is_active(tmp_path)


def test_a_forked_process_does_not_hold_the_lock(tmp_path: Path) -> None:
    lock = RunLock(tmp_path)
    with lock:
        read, write = os.pipe()
        pid = os.fork()
        if pid == 0:
            os.write(write, b".")
            signal.pause()
        os.read(read, 1)
    assert not is_active(tmp_path)
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    os.close(read)
    os.close(write)


def test_a_cancel_request_is_read_once_and_an_old_one_never(tmp_path: Path) -> None:
    ask_to_stop(tmp_path)
    with RunLock(tmp_path):
        assert not was_asked_to_stop(tmp_path), "it was for a run that is over"
        ask_to_stop(tmp_path)
        assert was_asked_to_stop(tmp_path)
        assert not was_asked_to_stop(tmp_path)


@pytest.mark.parametrize("number", [errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP])
def test_a_file_system_without_locks_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    def refuse(*_: object) -> None:
        raise OSError(number, "No locks available")

    monkeypatch.setattr(fcntl, "flock", refuse)
    with pytest.raises(StorageError, match="its file system has no locks"), RunLock(tmp_path):
        raise AssertionError


def test_a_missing_folder_is_an_error(tmp_path: Path) -> None:
    with (
        pytest.raises(StorageError, match="cannot be locked: No such file.* Check that the folder exists"),
        RunLock(tmp_path / "gone"),
    ):
        raise AssertionError
    with pytest.raises(StorageError, match="cannot be cancelled: No such file"):
        ask_to_stop(tmp_path / "gone")
