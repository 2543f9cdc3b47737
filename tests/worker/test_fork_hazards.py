"""What imports leave in a process that makes it wrong to fork it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

import standpipe

linux_only = pytest.mark.skipif(sys.platform != "linux", reason="only Linux has /proc")

PROGRAM = """
import os, sys
sys.path.insert(0, sys.argv[1])
import ctypes, mmap, signal, socket, subprocess, threading, _thread
from worker import fork_hazards
hazards = fork_hazards.ForkHazards()
exec(sys.argv[2])
os.write(1, hazards.find().encode())
os._exit(0)
"""


def find(source: str, cwd: Path) -> str:
    """Return the hazard in a process that has executed a source."""
    folder = str(Path(standpipe.__file__).parent)
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, folder, source], cwd=cwd, capture_output=True, text=True, check=True
    )
    return done.stdout


HARMLESS = {
    "nothing": "pass",
    "modules of the standard library": "import sqlite3, decimal, ssl, multiprocessing, asyncio",
    "a file that was closed": "open('file', 'w').close()",
    "devices without state": "kept = [open(f'/dev/{name}', 'rb') for name in ('null', 'urandom', 'zero')]",
    "a thread that has ended": "thread = threading.Thread(target=int); thread.start(); thread.join()",
    "a process that has ended": "subprocess.run(['true'])",
    "memory of its own": "kept = mmap.mmap(-1, 4096, flags=mmap.MAP_PRIVATE)",
}


@pytest.mark.parametrize("case", HARMLESS)
def test_what_a_fork_copies_is_no_hazard(case: str, tmp_path: Path) -> None:
    assert find(HARMLESS[case], tmp_path) == ""


HAZARDS = {
    "a thread": ("threading.Thread(target=signal.pause, name='metrics', daemon=True).start()", "thread 'metrics'"),
    "a thread without a name": ("_thread.start_new_thread(signal.pause, ())", "started"),
    "a process": (
        "kept = subprocess.Popen(['sleep', '60'], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)",
        "started a process",
    ),
    "a file": ("kept = open('data.db', 'w')", " open"),
    "a locked file": ("import fcntl; kept = open('data.db', 'w'); fcntl.flock(kept, fcntl.LOCK_EX)", " open"),
    "a socket": ("kept = socket.socket()", " open"),
    "a pipe": ("os.pipe()", " open"),
    "a terminal": ("import pty; kept = pty.openpty()", " open"),
    "a closed descriptor": ("os.close(0)", "closed a file"),
    "another file with the same number": ("os.dup2(os.open('data', os.O_CREAT), 0)", " open"),
    "a handler of a signal": ("signal.signal(signal.SIGINT, signal.SIG_IGN)", "handler of SIGINT"),
    "a package that is not safe": ("sys.modules['onnxruntime'] = sys", "onnxruntime is not safe"),
}


@pytest.mark.parametrize("case", HAZARDS)
def test_what_a_fork_would_share_or_lose_is_a_hazard(case: str, tmp_path: Path) -> None:
    source, message = HAZARDS[case]

    assert message in find(source, tmp_path)


@linux_only
def test_memory_that_processes_share_is_a_hazard(tmp_path: Path) -> None:
    assert "memory that processes share: /dev/zero" in find("kept = mmap.mmap(-1, 4096)", tmp_path)


@linux_only
def test_a_file_is_named_by_its_path(tmp_path: Path) -> None:
    assert find("kept = open('data.db', 'w')", tmp_path) == f"the imports left {tmp_path / 'data.db'} open"


@linux_only
def test_a_thread_of_c_code_that_was_not_measured_is_a_hazard(tmp_path: Path) -> None:
    start = "c = ctypes.CDLL(None); c.pthread_create(ctypes.byref(ctypes.c_ulong()), None, c.pause, None)"

    assert "has not been measured of: ?" in find(start, tmp_path)


def test_without_proc_any_c_code_is_a_hazard(tmp_path: Path) -> None:
    module = "module = type(sys)('fast'); module.__file__ = '/env/lib/site-packages/fast/core.so'"
    source = f"fork_hazards._maps = str; {module}; sys.modules['fast.core'] = module"

    assert (
        find(source, tmp_path) == "fast.core has C code, and whether that can be forked has been measured on Linux only"
    )
