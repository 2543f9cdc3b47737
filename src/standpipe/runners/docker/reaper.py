"""Removes the containers of a process that was killed: a small process which outlives it, and looks after it.

This file is a program, too, of the standard library alone until it has something to do: it waits for the end of its
standard input, which the process that started it holds open. A byte before that says that nothing is left.
"""

from __future__ import annotations

import json
import os
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from functools import partial
from typing import TYPE_CHECKING, Any
from weakref import WeakSet

if TYPE_CHECKING:
    from subprocess import Popen

#: What says that all containers were removed.
_GOODBYE = b"."

#: Seconds for which the program looks again, as the engine may be about to make a container that was asked for; for
#: which it waits for an engine that does not answer; and between two looks.
_LOOKS_FOR = 0.6
_WAITS_FOR = 30.0
_PAUSE = 0.1

#: Seconds that the program may take to end when it is told to.
_ENDS_WITHIN = 3.0


class Reaper:
    """The program, seen from the process that makes containers."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._process: Popen[bytes] | None = None
        self._guarded = 0
        _in_this_process.add(self)

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

    def after_fork(self) -> None:
        """Leaves the program to the process that this one was forked from."""
        self._lock = threading.Lock()  # a thread that is not in this process may hold the old one
        self._guarded = 0
        self.let_go()

    def _start(self, labels: Mapping[str, str]) -> Popen[bytes]:
        import subprocess  # costs 20 ms, which a program that runs nothing need not pay

        told = json.dumps({"path": sys.path, "labels": dict(labels)})
        return subprocess.Popen(
            (sys.executable, "-I", "-S", __file__, told),
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,  # what kills the process that it looks after shall not kill it
        )


_in_this_process: WeakSet[Reaper] = WeakSet()


def _after_fork_in_child() -> None:
    for reaper in list(_in_this_process):
        reaper.after_fork()


if hasattr(os, "register_at_fork"):  # not on Windows
    os.register_at_fork(after_in_child=_after_fork_in_child)


def main(told: str) -> None:
    """Waits for the end of the process that started this one, and then removes its containers."""
    order = json.loads(told)
    if sys.stdin.buffer.read(1):
        return
    sys.path[:] = order["path"]
    reap(order["labels"])


def reap(labels: Mapping[str, str]) -> None:
    """Removes all containers with these labels, until a last look finds none."""
    import docker  # takes 0.2 s, and is here only when it is needed

    start = time.monotonic()
    wanted = {"label": [f"{name}={value}" for name, value in labels.items()]}
    client = None
    with ThreadPoolExecutor(16) as pool:
        while time.monotonic() < start + _WAITS_FOR:
            try:
                client = client or docker.from_env().api
                found = client.containers(all=True, filters=wanted)
            except (docker.errors.DockerException, OSError):  # the engine has died, too: it may come back
                time.sleep(_PAUSE)
                continue
            list(pool.map(partial(_remove, client), [container["Id"] for container in found]))
            if not found and time.monotonic() > start + _LOOKS_FOR:
                return
            time.sleep(_PAUSE)


def _remove(client: Any, container: str) -> None:
    import docker  # it was imported by whoever found the container

    with suppress(docker.errors.DockerException, OSError):  # the next look finds it again
        client.remove_container(container, v=True, force=True)


if __name__ == "__main__":
    main(sys.argv[1])
