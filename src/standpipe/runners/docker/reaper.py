"""The start and stop of the process that removes this one's containers if it is killed; see `reaper_program`."""

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

#: Tells the program that all containers were removed.
_ALL_REMOVED = b"."

#: The seconds that the program may take to end.
_TIMEOUT = 3.0


class Reaper:
    """The program, seen from the process that creates containers."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._process: Popen[bytes] | None = None
        self._guards = 0
        register_object(self)

    @contextmanager
    def guard(self, labels: Mapping[str, str]) -> Iterator[None]:
        """Keep the program running during the block, in which a container is created and removed.

        Args:
            labels: those that all containers of this process have, and no others.
        """
        with self._lock:
            self._guards += 1
            if self._process is None or self._process.poll() is not None:
                self.detach()  # it was killed
                with suppress(OSError):  # no process can be started: the next program removes what is left
                    self._process = self._start(labels)
        try:
            yield
        finally:
            with self._lock:
                self._guards -= 1

    def close(self, *, everything_removed: bool) -> None:
        """Stop the program, which first removes what is left."""
        from subprocess import TimeoutExpired  # costs 20 ms, and is imported if a program was started

        with self._lock:
            process, self._process = self._process, None
            guards = self._guards
        if process is not None:
            message = _ALL_REMOVED if everything_removed and not guards else b""
            # A cancelled attempt that nobody waits for has a guard: the engine does not answer.
            with suppress(TimeoutExpired, OSError):  # it was killed, or still waits for the engine
                process.communicate(message, timeout=0 if guards else _TIMEOUT)

    def detach(self) -> None:
        """Forget the program: it has ended, or belongs to the process that this one was forked from."""
        process, self._process = self._process, None
        if process is not None and process.stdin is not None:
            process.stdin.close()
            process.returncode = 0  # if it still runs, it is not a child of this process

    def after_fork_in_child(self) -> None:
        """Leave the program to the process that this one was forked from; see `support.forking`."""
        self._lock = threading.Lock()  # a thread that is not in this process may hold the old one
        self._guards = 0
        self.detach()

    def _start(self, labels: Mapping[str, str]) -> Popen[bytes]:
        import subprocess  # costs 20 ms, which a program that runs nothing need not pay

        order = json.dumps({"path": sys.path, "labels": dict(labels)})
        return subprocess.Popen(
            (sys.executable, "-I", "-S", str(_PROGRAM), order),
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,  # a signal to the group of this process must not kill it
        )
