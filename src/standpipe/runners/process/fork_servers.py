"""The fork servers: processes of a task's Python that fork for each task, one for each environment."""

from __future__ import annotations

import json
import os
import re
import socket
import sys
import threading
from collections.abc import Mapping
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any

from standpipe.errors import RunnerError
from standpipe.support.forking import register_object

BOOT = Path(__file__).parents[2] / "worker" / "boot.py"

#: Variables that only count when a process starts: tasks that differ in them cannot be forked from the same one.
START = re.compile("PYTHON|LD_|DYLD_|LANG|LC_|MALLOC_|GLIBC_")

#: The most of what a server printed that is read, and the end of it that is shown.
_WORDS = 64 * 1024
_LAST_WORDS = 2000


class Servers:
    """The fork servers of this process, one for each interpreter and set of variables that it started with."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._running: dict[Any, Server] = {}
        register_object(self)

    def get(self, python: Path, env: Mapping[str, str], instead_of: Server | None = None) -> Server:
        """The server for that interpreter; started if there is none yet, or only the one that it is to replace."""
        settings = tuple(sorted((name, value) for name, value in env.items() if START.match(name)))
        key = (python, settings, _changed_at(python))
        with self._lock:
            server = self._running.get(key)
            if server is None or server is instead_of:
                if server is not None:
                    server.close()
                server = self._running[key] = Server(python, env)
            return server

    def close(self) -> None:
        with self._lock:
            servers = list(self._running.values())
            self._running.clear()
        for server in servers:
            server.close()

    def after_fork_in_child(self) -> None:
        """Leave the servers to the process that this one was forked from."""
        self._lock = threading.Lock()  # a thread that is not in this process may hold the old one
        for server in self._running.values():
            server.let_go()
        self._running.clear()


def _changed_at(python: Path) -> int:
    """When something was last installed for an interpreter that is shared with this program, in nanoseconds.

    A server reads at its start what is installed, so that later additions need another one. Environments of our own
    never change.
    """
    if str(python) != sys.executable:
        return 0
    with suppress(OSError):
        return os.stat(_own_packages()).st_mtime_ns
    return 0


@cache
def _own_packages() -> str:
    import sysconfig  # costs 2 ms, and only runs without an environment of their own need it

    return sysconfig.get_path("purelib")


class Server:
    """A process that forks for each task (`standpipe.worker.forkserver`), seen from here."""

    def __init__(self, python: Path, env: Mapping[str, str]) -> None:
        import subprocess  # costs 20 ms, which a program that runs nothing need not pay

        self._lock = threading.Lock()
        self._env = dict(env)  # what it starts with: tasks are told what is different for them
        self._control, theirs = socket.socketpair()
        # A socket, not a file, because the server's streams become those of its tasks, which print into pipes.
        self._words, words_end = socket.socketpair()
        self._words.setblocking(False)
        with theirs, words_end:
            try:
                self._process = subprocess.Popen(
                    (str(python), str(BOOT), "serve", str(theirs.fileno())),
                    env=env,
                    cwd="/",
                    stdin=subprocess.DEVNULL,
                    stdout=words_end.fileno(),
                    stderr=words_end.fileno(),
                    pass_fds=(theirs.fileno(),),
                    start_new_session=True,  # Ctrl-C in the terminal is for us to act on
                )
            except OSError as error:
                self._control.close()
                self._words.close()
                raise RunnerError(f"The Python that the task should run with cannot be started: {error}") from error

    def send(self, message: Mapping[str, Any], reply: int, output: int) -> None:
        """Asks for a task. If the server is dead nothing happens, which shows in that nobody has the other ends."""
        env = message["env"]
        changed = {name: value for name, value in env.items() if self._env.get(name) != value}
        removed = [name for name in self._env if name not in env]
        told = {name: value for name, value in message.items() if name != "env"}
        told.update({"set": changed, "unset": removed})
        body = json.dumps(told).encode()
        with self._lock, suppress(OSError):  # it died, or another thread that noticed so has closed the socket
            socket.send_fds(self._control, [len(body).to_bytes(4, "big")], [reply, output])
            self._control.sendall(body)

    @property
    def descriptor(self) -> int:
        """A file descriptor that is hung up when the server has died; -1 once it is closed here."""
        return self._control.fileno()

    def last_words(self) -> str:
        """The end of what the server itself printed, which is nothing unless something is wrong with it."""
        try:
            return self._words.recv(_WORDS)[-_LAST_WORDS:].decode(errors="replace").strip()
        except OSError:  # there is nothing to read, or another thread has closed the socket
            return ""

    def close(self) -> None:
        """Ends the server, which takes its tasks along."""
        from subprocess import TimeoutExpired  # already imported

        with suppress(OSError):  # the server has died
            self._control.shutdown(socket.SHUT_RDWR)  # closing alone does nothing while another thread polls it
        self._control.close()
        try:
            self._process.wait(timeout=5)
        except TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._words.close()

    def let_go(self) -> None:
        """Closes this process's ends, so that the server still sees it when the process that started it dies."""
        self._control.close()
        self._words.close()
        self._process.returncode = 0  # it is no child of this process, which shall not warn that it still runs
