"""The start and stop of the process that removes this one's containers if it is killed; see `reaper_program`."""

from __future__ import annotations

import json
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from standpipe.support.forking import close_owned, own, paused, register_object, start_process

if TYPE_CHECKING:
    from subprocess import Popen

_PROGRAM = Path(__file__).with_name("reaper_program.py")

#: Tells the program that all containers were removed.
_ALL_REMOVED = b"."

#: The seconds that the program may take to end.
_TIMEOUT = 3.0


class Reaper:
    """The program, seen from the process that creates containers, whose runners share it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._process: Popen[bytes] | None = None
        self._guards = 0
        self._is_clean = True  # the runners that were closed have left no container
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
        """Stop the program, which first removes what is left, unless another runner uses it."""
        from subprocess import TimeoutExpired  # costs 20 ms, and is imported if a program was started

        with self._lock:
            self._is_clean = self._is_clean and everything_removed
            if self._guards:  # perhaps of a cancelled attempt that nobody waits for, as the engine does not answer
                return
            process, self._process = self._process, None
            message = _ALL_REMOVED if self._is_clean else b""
            self._is_clean = True
        if process is not None:
            with suppress(TimeoutExpired, OSError):  # it was killed, or still waits for the engine
                process.communicate(message, timeout=_TIMEOUT)
            assert process.stdin is not None
            close_owned(process.stdin)

    def detach(self) -> None:
        """Forget the program: it has ended, or belongs to the process that this one was forked from."""
        process, self._process = self._process, None
        if process is not None and process.stdin is not None:
            close_owned(process.stdin)
            process.returncode = 0  # if it still runs, it is not a child of this process

    def after_fork_in_child(self) -> None:
        """Leave the program to the process that this one was forked from; see `support.forking`."""
        self._lock = threading.Lock()  # a thread that is not in this process may hold the old one
        self._guards = 0
        self.detach()

    def _start(self, labels: Mapping[str, str]) -> Popen[bytes]:
        import subprocess  # costs 20 ms, which a program that runs nothing need not pay

        order = json.dumps({"path": sys.path, "labels": dict(labels)})
        with paused():
            process = start_process(
                (sys.executable, "-I", "-S", str(_PROGRAM), order),
                stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                bufsize=0,  # a forked child closes it, though another thread may have been using it
                start_new_session=True,  # a signal to the group of this process must not kill it
            )
            assert process.stdin is not None
            own(process.stdin)
        return process


#: The one of all runners that users make: all containers of this process have the same labels.
shared_reaper = Reaper()
