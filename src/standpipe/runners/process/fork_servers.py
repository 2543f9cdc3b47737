"""Fork servers: processes of an environment's Python that fork for each task."""

from __future__ import annotations

import atexit
import json
import os
import re
import signal
import socket
import sys
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any
from weakref import WeakSet

from standpipe.errors import RunnerError
from standpipe.runners.process.installer import find_site_packages
from standpipe.runners.process.process_tree import kill_tree, signal_tree
from standpipe.runners.process.template_start import TemplateStart
from standpipe.runners.process.working_directories import WorkingDirectories
from standpipe.support.forking import close_owned, own, paused, register_object, start_process
from standpipe.support.system_limits import advise
from standpipe.support.untrusted_files import remove_path

if TYPE_CHECKING:
    from subprocess import Popen

BOOT = Path(__file__).parents[2] / "worker" / "boot.py"

#: Variables that an interpreter reads when it starts: tasks that differ in them cannot share a fork server.
START_VARIABLES = re.compile("PYTHON|LD_|DYLD_|LANG|LC_|MALLOC_|GLIBC_")

#: The seconds without a task after which a server ends. The next task starts another one, which takes 0.1 s.
IDLE_SECONDS = 300.0

#: The most servers without a task that are kept, each of which is two processes: between runs, and during runs, whose
#: tasks may need several environments in turns.
_MOST_IDLE = 4
_MOST_IDLE_IN_RUN = 16

#: The most templates without a task that are kept. Each holds the packages that it has imported in memory.
_MOST_IDLE_TEMPLATES = 4

#: The most of a server's own output that is read, and the end of it that errors show, in bytes.
_OUTPUT_READ = 64 * 1024
_OUTPUT_SHOWN = 2000

#: The seconds that a server has to end, before it is killed.
_TIME_TO_END = 2.0


@dataclass(frozen=True)
class Template:
    """What a fork server imports before it serves: the modules, in order, with just these environment variables.

    `seconds` is how long that may take.
    """

    imports: tuple[str, ...]
    variables: Mapping[str, str]
    seconds: float = field(compare=False)


class ForkServers:
    """Fork servers, one for each interpreter and set of start variables, shared by the runners of this process.

    Each template has one of its own.

    A server stays for the next task. One without a task ends after a while by itself, or when there are too many.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._running: dict[Any, ForkServer] = {}  # the one that was used last is at the end
        self._runs = 0
        self._folders = WorkingDirectories()
        register_object(self)
        # Before any run, whose own handlers are called first, and cancel its tasks.
        atexit.register(self._close_at_exit)

    @contextmanager
    def use(
        self,
        python: Path,
        env: Mapping[str, str],
        user: object,
        replacing: ForkServer | None = None,
        template: Template | None = None,
    ) -> Iterator[ForkServer]:
        """Give the server of an interpreter for a task, which is started if there is none.

        Args:
            python: the interpreter.
            env: the environment variables that a new server starts with.
            user: the runner of the task.
            replacing: a server that has died, in whose place a new one is started.
            template: what the server has imported, if it is one of those; `env` then has its variables.

        Raises:
            RunnerError: if the interpreter does not start.
        """
        server = self._acquire(python, env, user, replacing, template)
        try:
            yield server
        finally:
            with self._lock:
                server.tasks -= 1
                unneeded = self._remove_unneeded() if len(self._running) > 1 else []
            _close(unneeded)

    @contextmanager
    def run(self) -> Iterator[None]:
        """Keep more servers for the length of the block, a run, which may use them again and again."""
        with self._lock:
            self._runs += 1
        try:
            yield
        finally:
            with self._lock:
                self._runs = max(0, self._runs - 1)  # a forked child has none
                is_last = not self._runs
                unneeded = self._remove_unneeded()
            _close(unneeded)
            if is_last:
                self._folders.clear()

    @contextmanager
    def working_directory(self) -> Iterator[str]:
        """Give an empty folder for a task. During a run, later tasks get those that were left untouched."""
        folder = self._folders.take()
        try:
            yield folder.path
        finally:
            (self._folders.put_back if self._runs else self._folders.remove)(folder)

    def leave(self, user: object) -> None:
        """Stop the servers that only this runner has used, and with them its tasks."""
        with self._lock:
            unneeded = {}
            for key, server in self._running.items():
                if user in server.users:
                    server.users.discard(user)
                    if not server.users:
                        unneeded[key] = server
            for key in unneeded:
                del self._running[key]
        _close(list(unneeded.values()))

    def close(self) -> None:
        """Stop all servers, and with them their tasks."""
        with self._lock:
            servers = list(self._running.values())
            self._running.clear()
        _close(servers)
        self._folders.clear()

    def _close_at_exit(self) -> None:
        with suppress(KeyboardInterrupt):  # Ctrl-C at the end of a program only hurries it
            self.close()

    def after_fork_in_child(self) -> None:
        """Leave the servers to the process that this one was forked from; see `support.forking`."""
        self._lock = threading.Lock()  # a thread that is not in this process may hold the old one
        for server in self._running.values():
            server.forget()
        self._running.clear()
        self._runs = 0
        self._folders.after_fork_in_child()

    def start(self, python: Path, user: object, template: Template) -> None:
        """Start the server of a template, unless there is one, for tasks that come later."""
        server = self._acquire(python, template.variables, user, None, template)
        with self._lock:
            server.tasks -= 1

    def templates(self, python: Path) -> list[ForkServer]:
        """Return the servers with a template, of the packages that an interpreter has now, that can be used."""
        now = changed_at(python)
        with self._lock:
            return [
                server
                for (path, changed, *_), server in self._running.items()
                if server.start
                and (path, changed) == (python, now)
                and not (server.start.has_failed or server.has_ended)
            ]

    def _acquire(
        self,
        python: Path,
        env: Mapping[str, str],
        user: object,
        replacing: ForkServer | None,
        template: Template | None,
    ) -> ForkServer:
        settings = tuple(sorted(env.items())) if template else _start_settings(tuple(env.items()))
        key = (python, changed_at(python), settings, template and template.imports)
        with self._lock:
            server = self._running.pop(key, None)
            has_failed = server is not None and server.start is not None and server.start.has_failed
            if server is not None and (server is replacing or server.has_ended or (has_failed and not server.tasks)):
                server.close()
                server = None
            if server is None:
                server = ForkServer(python, env, template)
            self._running[key] = server
            server.tasks += 1
            server.users.add(user)
            return server

    def _remove_unneeded(self) -> list[ForkServer]:
        """Remove the servers that have ended, and the ones without a task that are too many; return them."""
        idle = [key for key, server in self._running.items() if not server.tasks]
        templates = [key for key in idle if self._running[key].template]
        others = [key for key in idle if not self._running[key].template]
        excess = [
            *templates[: max(0, len(templates) - _MOST_IDLE_TEMPLATES)],
            *others[: max(0, len(others) - (_MOST_IDLE_IN_RUN if self._runs else _MOST_IDLE))],
        ]
        return [self._running.pop(key) for key in idle if key in excess or self._running[key].has_ended]


@lru_cache(maxsize=16)  # every task asks, mostly with the same variables
def _start_settings(variables: tuple[tuple[str, str], ...]) -> tuple[tuple[str, str], ...]:
    """Return the variables that an interpreter reads when it starts."""
    return tuple(sorted(item for item in variables if START_VARIABLES.match(item[0])))


def _close(servers: Sequence[ForkServer]) -> None:
    for server in servers:
        server.stop()
    for server in servers:
        server.close()


#: The servers of all runners that users make.
shared_servers = ForkServers()


def changed_at(python: Path) -> int:
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
    """A process that forks for each task (`standpipe.worker.fork_server`), seen from the process that started it.

    Args:
        python: its interpreter.
        env: the environment variables that it starts with.
        template: what it imports before it serves, if anything.
    """

    def __init__(self, python: Path, env: Mapping[str, str], template: Template | None = None) -> None:
        self._lock = threading.Lock()
        self.template = template
        self.start: TemplateStart | None = None
        self._folder = ""  # an empty one, in which a template imports
        self._env = dict(env)  # what it starts with: a task gets what differs
        self.tasks = 0
        self.users: WeakSet[object] = WeakSet()
        with paused():
            self._control, server_end = socket.socketpair()
            # A socket, not a file, because the server's streams become those of its tasks, which print into pipes.
            self._output, output_end = socket.socketpair()
            own(self._control, self._output)
            with server_end, output_end:
                try:
                    self._process = self._start(python, server_end.fileno(), output_end.fileno())
                except OSError as error:
                    close_owned(self._control, self._output)
                    message = f"The task's Python interpreter cannot be started: {error}. {advise(error)}"
                    raise RunnerError(message.rstrip(" .")) from error
        self._output.setblocking(False)
        if template:
            self.start = TemplateStart(self._control, template.seconds)

    def _start(self, python: Path, control: int, output: int) -> Popen[bytes]:
        import subprocess  # costs 20 ms, which a program that runs nothing need not pay
        import tempfile  # costs 6 ms

        arguments = [str(python), str(BOOT), "serve", str(control), str(IDLE_SECONDS)]
        if self.template:
            self._folder = tempfile.mkdtemp(prefix="standpipe-")
            imports = {"imports": self.template.imports, "folder": self._folder, "seconds": self.template.seconds}
            arguments.append(json.dumps(imports))
        return start_process(
            arguments,
            env=self._env,
            cwd="/",
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            pass_fds=(control,),
            start_new_session=True,  # Ctrl-C in the terminal is for this process to act on
        )

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
            # Mostly one message, so that the server wakes up once.
            content = len(body).to_bytes(4, "big") + body
            sent = socket.send_fds(self._control, [content], [reply, output])
            if sent < len(content):
                self._control.sendall(content[sent:])

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

    @property
    def has_ended(self) -> bool:
        """Whether its process has ended, because it had nothing to do for a while, or was killed."""
        return self._process.poll() is not None

    def resume(self, *, with_children: bool = False) -> None:
        """Let the server continue if a task has stopped it (SIGSTOP), from which nothing else would wake it.

        Args:
            with_children: whether its children continue, too: a process that was to become a task may be stopped.
        """
        self._process.send_signal(signal.SIGCONT)
        if with_children and self._process.returncode is None:
            signal_tree(self._process.pid, signal.SIGCONT)

    def stop(self) -> None:
        """Ask the server to end, which kills its tasks."""
        with suppress(OSError):  # the server has died
            self._control.shutdown(socket.SHUT_RDWR)  # closing alone does nothing while another thread polls it
        self.resume()

    def close(self) -> None:
        """Stop the server, and wait for its end."""
        from subprocess import TimeoutExpired  # already imported

        self.stop()
        close_owned(self._control)
        try:
            with suppress(TimeoutExpired):
                self._process.wait(0 if self.start and not self.start.is_ready else _TIME_TO_END)
        finally:  # also after Ctrl-C
            if self._process.returncode is None:
                kill_tree(self._process.pid)
                self._process.wait()
            close_owned(self._output)
            if self._folder:
                remove_path(Path(self._folder), Path(self._folder).parent)

    def forget(self) -> None:
        """Leave the server to the process that this one was forked from, whose sockets are closed here already."""
        self._process.returncode = 0  # it is not a child of this process, which must not warn that it still runs
