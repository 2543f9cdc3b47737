"""Starts and stops the process that removes the containers of this one if it is killed; see `reaper_program`."""

from __future__ import annotations

import json
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from standpipe.support.forking import register_object

if TYPE_CHECKING:
    from subprocess import Popen

_PROGRAM = Path(__file__).with_name("reaper_program.py")

#: What says that all containers were removed.
_GOODBYE = b"."

#: Seconds that the program may take to end when it is told to.
_ENDS_WITHIN = 3.0


class Reaper:
    """The program, seen from the process that makes containers."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._process: Popen[bytes] | None = None
        self._guarded = 0
        register_object(self)

    @contextmanager
    def guards(self, labels: Mapping[str, str]) -> Iterator[None]:
        """Has the program run while containers are made and removed; its start is not waited for.

        `labels` are those that all containers of this process have, and no others.
        """
        with self._lock:
            self._guarded += 1
            if self._process is None or self._process.poll() is not None:
                self.let_go()  # somebody has killed it
                with suppress(OSError):  # no process can be had: then what is left is swept at the next start
                    self._process = self._start(labels)
        try:
            yield
        finally:
            with self._lock:
                self._guarded -= 1

    def close(self, *, everything_removed: bool) -> None:
        """Ends the program, which first removes what is left."""
        from subprocess import TimeoutExpired  # costs 20 ms, and who has started a program has it imported

        with self._lock:
            process, self._process = self._process, None
            goodbye = _GOODBYE if everything_removed and not self._guarded else b""
        if process is not None:
            with suppress(TimeoutExpired, OSError):  # it was killed, or the engine keeps it: nobody waits for that
                process.communicate(goodbye, timeout=_ENDS_WITHIN)

    def let_go(self) -> None:
        """Forgets the program: it has ended, or is that of the process that this one was forked from."""
        process, self._process = self._process, None
        if process is not None and process.stdin is not None:
            process.stdin.close()
            process.returncode = 0  # if it still runs, that is no concern of this process

    def after_fork_in_child(self) -> None:
        """Leaves the program to the process that this one was forked from."""
        self._lock = threading.Lock()  # a thread that is not in this process may hold the old one
        self._guarded = 0
        self.let_go()

    def _start(self, labels: Mapping[str, str]) -> Popen[bytes]:
        import subprocess  # costs 20 ms, which a program that runs nothing need not pay

        told = json.dumps({"path": sys.path, "labels": dict(labels)})
        return subprocess.Popen(
            (sys.executable, "-I", "-S", str(_PROGRAM), told),
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,  # what kills the process that it looks after shall not kill it
        )
