"""Fork servers: processes of an environment's Python that fork for each task."""

from __future__ import annotations

import json
import os
import re
import socket
import sys
import threading
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from standpipe.errors import RunnerError
from standpipe.runners.process.installer import find_site_packages
from standpipe.support.forking import register_object
from standpipe.support.system_limits import advise

BOOT = Path(__file__).parents[2] / "worker" / "boot.py"

#: Variables that an interpreter reads when it starts: tasks that differ in them cannot share a fork server.
START_VARIABLES = re.compile("PYTHON|LD_|DYLD_|LANG|LC_|MALLOC_|GLIBC_")

#: The most of a server's own output that is read, and the end of it that errors show, in bytes.
_OUTPUT_READ = 64 * 1024
_OUTPUT_SHOWN = 2000


class ForkServers:
    """The fork servers of this process, one for each interpreter and set of start variables."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._running: dict[Any, ForkServer] = {}
        register_object(self)

    def get(self, python: Path, env: Mapping[str, str], replacing: ForkServer | None = None) -> ForkServer:
        """Return the server of an interpreter, which is started if there is none.

        Args:
            python: the interpreter.
            env: the environment variables that a new server starts with.
            replacing: a server that has died, in whose place a new one is started.

        Raises:
            RunnerError: if the interpreter does not start.
        """
        settings = tuple(sorted((name, value) for name, value in env.items() if START_VARIABLES.match(name)))
        key = (python, settings, _changed_at(python))
        with self._lock:
            server = self._running.get(key)
            if server is None or server is replacing:
                if server is not None:
                    server.close()
                server = self._running[key] = ForkServer(python, env)
            return server

    def close(self) -> None:
        """Stop all servers, and with them their tasks."""
        with self._lock:
            servers = list(self._running.values())
            self._running.clear()
        for server in servers:
            server.close()

    def after_fork_in_child(self) -> None:
        """Leave the servers to the process that this one was forked from; see `support.forking`."""
        self._lock = threading.Lock()  # a thread that is not in this process may hold the old one
        for server in self._running.values():
            server.detach()
        self._running.clear()


def _changed_at(python: Path) -> int:
    """Return when packages were last installed for an interpreter, in nanoseconds; 0 for environments of our own.

    A server knows the packages that were installed when it started, so later ones need another server. Environments of
    our own never change; the one of this program does.
    """
    if str(python) != sys.executable:
        return 0
    with suppress(OSError):
        return os.stat(find_site_packages()).st_mtime_ns
    return 0


class ForkServer:
    """A process that forks for each task (`standpipe.worker.fork_server`), seen from the process that started it."""

    def __init__(self, python: Path, env: Mapping[str, str]) -> None:
        import subprocess  # costs 20 ms, which a program that runs nothing need not pay

        self._lock = threading.Lock()
        self._env = dict(env)  # what it starts with: a task gets what differs
        self._control, server_end = socket.socketpair()
        # A socket, not a file, because the server's streams become those of its tasks, which print into pipes.
        self._output, output_end = socket.socketpair()
        self._output.setblocking(False)
        with server_end, output_end:
            try:
                self._process = subprocess.Popen(
                    (str(python), str(BOOT), "serve", str(server_end.fileno())),
                    env=env,
                    cwd="/",
                    stdin=subprocess.DEVNULL,
                    stdout=output_end.fileno(),
                    stderr=output_end.fileno(),
                    pass_fds=(server_end.fileno(),),
                    start_new_session=True,  # Ctrl-C in the terminal is for this process to act on
                )
            except OSError as error:
                self._control.close()
                self._output.close()
                advice = advise(error)
                message = f"The task's Python interpreter cannot be started: {error}"
                raise RunnerError(f"{message}. {advice}" if advice else message) from error

    def send(self, message: Mapping[str, Any], reply: int, output: int) -> None:
        """Ask for a task. If the server is dead, nothing happens, and the other ends of the descriptors close.

        Args:
            message: as `worker.fork_server` describes it, but with all variables as `env`.
            reply: the descriptor of the socket that the server answers on.
            output: the descriptor of the pipe that gets what the task prints.
        """
        env = message["env"]
        changed = {name: value for name, value in env.items() if self._env.get(name) != value}
        removed = [name for name in self._env if name not in env]
        order = {name: value for name, value in message.items() if name != "env"}
        order.update({"set": changed, "unset": removed})
        body = json.dumps(order).encode()
        with self._lock, suppress(OSError):  # it died, or another thread has noticed that and closed the socket
            socket.send_fds(self._control, [len(body).to_bytes(4, "big")], [reply, output])
            self._control.sendall(body)

    @property
    def descriptor(self) -> int:
        """A file descriptor that polls as hung up when the server has died; -1 once it is closed here."""
        return self._control.fileno()

    def error_output(self) -> str:
        """Return the end of what the server itself printed, which is nothing unless something is wrong with it."""
        try:
            return self._output.recv(_OUTPUT_READ)[-_OUTPUT_SHOWN:].decode(errors="replace").strip()
        except OSError:  # there is nothing to read, or another thread has closed the socket
            return ""

    def close(self) -> None:
        """Stop the server, which kills its tasks."""
        from subprocess import TimeoutExpired  # already imported

        with suppress(OSError):  # the server has died
            self._control.shutdown(socket.SHUT_RDWR)  # closing alone does nothing while another thread polls it
        self._control.close()
        try:
            self._process.wait(timeout=5)
        except TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._output.close()

    def detach(self) -> None:
        """Close this process's ends, so that the server still notices when the process that started it dies."""
        self._control.close()
        self._output.close()
        self._process.returncode = 0  # it is not a child of this process, which must not warn that it still runs
