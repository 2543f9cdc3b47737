"""Runs lightweight Python components in processes of this machine, forked from a server in their environment."""

from __future__ import annotations

import atexit
import json
import os
import re
import select
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path
from typing import Any
from weakref import WeakSet

from standpipe.errors import RunnerError, UnsupportedError
from standpipe.model.plan import PythonFunction
from standpipe.model.ports import Cancel, Environments, Log, Outcome, TaskRequest
from standpipe.runners.files import read_error, request_file, write_request

_BOOT = Path(__file__).parent.parent / "inside" / "boot.py"

#: Variables that would bring the host's packages and settings into another environment.
_HOST_PYTHON = (
    "PYTHONHOME",
    "PYTHONPATH",
    "PYTHONSTARTUP",
    "PYTHONUSERBASE",
    "PYTHONEXECUTABLE",
    "PYTHONDONTWRITEBYTECODE",
    "__PYVENV_LAUNCHER__",
)

#: Variables that only count when a process starts: tasks that differ in them cannot be forked from the same one.
_START = re.compile("PYTHON|LD_|DYLD_|LANG|LC_|MALLOC_|GLIBC_")

#: How many seconds a task has to end after each signal that asks it to, before the next, harsher one.
_PATIENCE = 2.0

_CHUNK = 64 * 1024

#: The most that a pipe holds, in chunks (`/proc/sys/fs/pipe-max-size`).
_PIPE_CHUNKS = 16


class SubprocessTasks:
    """The runner of lightweight Python components, as `standpipe.model.ports.Runner` says.

    Args:
        environments: where the interpreters come from.
        notice: told what the user should know, a sentence at a time.

    Raises:
        UnsupportedError: on Windows, which has no `fork`.
    """

    def __init__(self, environments: Environments, notice: Callable[[str], None]) -> None:
        if not hasattr(os, "fork"):
            raise UnsupportedError("Processes cannot be forked on Windows. Use local.DockerRunner(), or WSL.")
        self._environments = environments
        self._notice = notice
        self._servers = _Servers()
        self._noticed: set[object] = set()
        self._lock = threading.Lock()
        atexit.register(self.close)

    def run(self, request: TaskRequest, *, log: Log, cancel: Cancel) -> Outcome:
        """Runs one attempt to its end.

        Raises:
            UnsupportedError: if the task is not a lightweight Python component.
            EnvironmentBuildError: if its packages cannot be installed.
            RunnerError: if its interpreter does not start.
            StorageError: if its folder cannot be written.
        """
        function = _function(request)
        self._compare_versions(request.image)
        self._say_what_is_ignored(request)
        python = self._environments.python(function, notice=self._notice, cancel=cancel)
        if cancel:
            return Outcome(problem="it was cancelled before it started")
        write_request(request, function)
        shared, own = _environment(python), _variables(request)
        # What one task is told, a secret perhaps, is no business of those that are forked from the same server.
        start = {**shared, **{name: value for name, value in own.items() if _START.match(name)}}
        with _working_directory() as cwd:
            message = {"request": str(request_file(request.folder)), "cwd": cwd, "env": {**shared, **own}}
            if request.pod.mounts:
                message.update(_volumes(python, request, cwd))
            task = self._run_in(python, start, message, log, cancel)
        return task.outcome(request.folder)

    def fingerprint(self, request: TaskRequest) -> str:
        """The version of Python, and the kind of machine that it was made for."""
        return f"{sys.implementation.cache_tag}-{sys.platform}-{os.uname().machine}"

    def close(self) -> None:
        """Ends the servers, and with them whatever still runs."""
        self._servers.close()
        atexit.unregister(self.close)

    def _run_in(
        self, python: Path, start: Mapping[str, str], message: Mapping[str, Any], log: Log, cancel: Cancel
    ) -> _Task:
        """Runs one task. A server that turns out to be dead before it starts anything is replaced, once."""
        server = self._servers.get(python, start)
        task = _run_on(server, message, log, cancel)
        if not task.started:
            server = self._servers.get(python, start, instead_of=server)
            task = _run_on(server, message, log, cancel)
        if task.started:
            return task
        raise RunnerError(
            f"The Python that the task should run with does not start: {python}\n{server.last_words()}\n"
            "If it was removed or upgraded, remove its environment too: it is then made anew."
        )

    def _compare_versions(self, image: str) -> None:
        wanted = re.search(r"(?:^|/)python:(\d+\.\d+)", image)
        here = f"{sys.version_info[0]}.{sys.version_info[1]}"
        if not wanted or wanted[1] == here:
            return
        self._notice_once(
            image,
            f"Components with the base image {image} run on this machine's Python {here}: the SubprocessRunner "
            "has no images. Use local.DockerRunner() to run them in theirs.",
        )

    def _say_what_is_ignored(self, request: TaskRequest) -> None:
        pod = request.pod
        asked = {
            "image pull policy": pod.pull_policy,
            "security context": pod.non_root or pod.user is not None or pod.group is not None,
            "size of shared memory": pod.shared_memory,
        }
        for what in (what for what, is_asked in asked.items() if is_asked):
            self._notice_once(
                (request.run, what),
                f"kubernetes: the {what} of task {str(request.task)!r} has no meaning for the SubprocessRunner, so it "
                "is not acted on. Use local.DockerRunner().",
            )

    def _notice_once(self, key: object, text: str) -> None:
        with self._lock:
            is_new = key not in self._noticed
            self._noticed.add(key)
        if is_new:
            self._notice(text)


def _function(request: TaskRequest) -> PythonFunction:
    if isinstance(request.program, PythonFunction):
        return request.program
    raise UnsupportedError(
        f"The task {str(request.task)!r} runs a container ({request.image}), and the SubprocessRunner only runs "
        "lightweight Python components. Use local.init(runner=local.DockerRunner())."
    )


def _run_on(server: _Server, message: Mapping[str, Any], log: Log, cancel: Cancel) -> _Task:
    task = _Task(server, message)
    task.wait(log, cancel)
    return task


def _volumes(python: Path, request: TaskRequest, cwd: str) -> dict[str, Any]:
    """What is to be mounted, and what the task needs besides, which a volume at `/tmp` for instance would hide."""
    needed = [request.pipeline_root, request.workspace, *request.reads, _BOOT.parent, python.parent.parent, Path(cwd)]
    folders = [str(path) for path in (*needed, Path(sys.base_prefix)) if path is not None and path.is_dir()]
    return {
        "mounts": [(str(mount.source), mount.path, mount.read_only) for mount in request.pod.mounts],
        "keep": sorted(set(folders)),
    }


def _variables(request: TaskRequest) -> dict[str, str]:
    """A task's own variables."""
    return {**request.env, **request.pod.env, "KFP_RETRY_INDEX": str(request.retry)}


def _environment(python: Path) -> dict[str, str]:
    """The variables of this process, as seen from a task's environment."""
    env = dict(os.environ)
    if str(python) != sys.executable:
        for name in _HOST_PYTHON:
            env.pop(name, None)
    env["PATH"] = os.pathsep.join((str(python.parent), env.get("PATH", os.defpath)))
    env.pop("VIRTUAL_ENV", None)
    if (python.parent.parent / "pyvenv.cfg").exists():
        env["VIRTUAL_ENV"] = str(python.parent.parent)
    return env


@contextmanager
def _working_directory() -> Iterator[str]:
    """An empty folder that is removed afterwards, whatever a task did to it."""
    import tempfile  # costs 6 ms, which a program that runs nothing need not pay

    folder = tempfile.mkdtemp(prefix="standpipe-")
    try:
        yield folder
    finally:
        try:
            os.rmdir(folder)  # most tasks leave nothing there
        except OSError:
            _remove(folder)


def _remove(folder: str) -> None:
    import shutil  # costs 5 ms, and tempfile has imported it

    for parent, folders, _ in os.walk(folder):
        for path in (os.path.join(parent, name) for name in folders):
            if not os.path.islink(path):
                with suppress(OSError):
                    os.chmod(path, 0o700)
    shutil.rmtree(folder, ignore_errors=True)


class _Servers:
    """The fork servers of this process, one for each interpreter and set of variables that it started with."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._running: dict[Any, _Server] = {}
        _in_this_process.add(self)

    def get(self, python: Path, env: Mapping[str, str], instead_of: _Server | None = None) -> _Server:
        """The server for that interpreter; started if there is none yet, or only the one that it is to replace."""
        settings = tuple(sorted((name, value) for name, value in env.items() if _START.match(name)))
        key = (python, settings, _changed_at(python))
        with self._lock:
            server = self._running.get(key)
            if server is None or server is instead_of:
                if server is not None:
                    server.close()
                server = self._running[key] = _Server(python, env)
            return server

    def close(self) -> None:
        with self._lock:
            servers = list(self._running.values())
            self._running.clear()
        for server in servers:
            server.close()

    def let_go(self) -> None:
        """Leaves the servers to the process that this one was forked from."""
        self._lock = threading.Lock()  # a thread that is not in this process may hold the old one
        for server in self._running.values():
            server.let_go()
        self._running.clear()


_in_this_process: WeakSet[_Servers] = WeakSet()


def _after_fork_in_child() -> None:
    for servers in list(_in_this_process):
        servers.let_go()


if hasattr(os, "register_at_fork"):  # not on Windows
    os.register_at_fork(after_in_child=_after_fork_in_child)


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


class _Server:
    """A process that forks for each task (`standpipe.inside.forkserver`), seen from here."""

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
                    (str(python), str(_BOOT), "serve", str(theirs.fileno())),
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

    def last_words(self) -> str:
        """The end of what the server itself printed, which is nothing unless something is wrong with it."""
        try:
            return self._words.recv(_CHUNK)[-2000:].decode(errors="replace").strip()
        except OSError:  # there is nothing to read, or another thread has closed the socket
            return ""

    def close(self) -> None:
        """Ends the server, which takes its tasks along."""
        from subprocess import TimeoutExpired  # already imported

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


class _Task:
    """One task, seen by the thread that waits for it: its process, what it prints, and how it ended."""

    def __init__(self, server: _Server, message: Mapping[str, Any]) -> None:
        self._server = server
        self._told: dict[str, Any] = {}
        self._heard = b""
        self._over = False
        self._stops = [signal.SIGINT, signal.SIGTERM, signal.SIGKILL]
        self._next_stop = 0.0
        self._kills_before = _out_of_memory_kills()
        self._reply, reply_end = socket.socketpair()
        self._output, output_end = os.pipe()
        os.set_blocking(self._output, False)
        with reply_end:
            server.send(message, reply_end.fileno(), output_end)
        os.close(output_end)

    @property
    def started(self) -> bool:
        """Whether the server said anything of it."""
        return bool(self._told)

    def wait(self, log: Log, cancel: Cancel) -> None:
        """Passes on what the task prints until it has ended, and sees to it that it ends when it is cancelled."""
        wake, waker = socket.socketpair()
        forget = cancel.on_set(lambda: _wake(waker))
        try:
            self._watch(log, cancel, wake)
        finally:
            forget()
            self._end()
            for opened in (wake, waker, self._reply):
                opened.close()
            os.close(self._output)

    def outcome(self, folder: Path) -> Outcome:
        """How the task ended, with what it wrote about its own failure."""
        if "problem" in self._told:
            return Outcome(problem=self._told["problem"])
        code = self._told["code"] if "code" in self._told else os.waitstatus_to_exitcode(self._told["status"])
        if code < 0:
            return Outcome(signal=-code, out_of_memory=-code == signal.SIGKILL and self._was_out_of_memory)
        if code == 0:
            return Outcome(exit_code=0)
        told = read_error(folder)
        return Outcome(exit_code=code, detail=told.detail, cause=told.cause, out_of_memory=told.out_of_memory)

    def _watch(self, log: Log, cancel: Cancel, wake: socket.socket) -> None:
        poll = select.poll()
        for watched in (self._reply.fileno(), self._output, wake.fileno()):
            poll.register(watched, select.POLLIN)
        while not self._over:
            for ready, _ in poll.poll(self._milliseconds()):
                if ready == self._reply.fileno():
                    self._hear()
                elif ready == wake.fileno() or not self._pass_on(log):
                    poll.unregister(ready)
            if cancel and "pid" in self._told and time.monotonic() >= self._next_stop:
                self._stop()
        # A process that left the task's group may hold the pipe open for ever: what is in it now is all that counts.
        for _ in range(_PIPE_CHUNKS):
            if not self._pass_on(log):
                break

    def _milliseconds(self) -> float | None:
        """How long to wait for news: until the next signal is due, if one has been sent."""
        if not self._next_stop or not self._stops:
            return None
        return max(0.0, self._next_stop - time.monotonic()) * 1000 + 1

    def _stop(self) -> None:
        if self._stops:
            self._next_stop = time.monotonic() + _PATIENCE
            self._signal(self._stops.pop(0))

    def _end(self) -> None:
        """Makes sure, when an error ends the watch, that the task ends, too."""
        while not self._over:
            if "pid" in self._told:
                self._stops.clear()
                self._signal(signal.SIGKILL)
            self._hear()

    def _signal(self, number: signal.Signals) -> None:
        with suppress(ProcessLookupError, PermissionError):  # it has ended by now (on macOS, it may not be reaped yet)
            os.killpg(self._told["pid"], number)

    def _hear(self) -> None:
        """Takes in what the server says: lines of JSON until the task has ended."""
        part = self._reply.recv(4096)
        *lines, self._heard = (self._heard + part).split(b"\n")
        for line in lines:
            self._told.update(json.loads(line))
        self._over = not part or not self._told.keys().isdisjoint(("code", "status", "problem"))
        if not part and "pid" in self._told:
            self._signal(signal.SIGKILL)
            self._told["problem"] = "the process that it was forked from has died: " + (
                self._server.last_words() or "it said nothing; the system may have run out of memory"
            )

    def _pass_on(self, log: Log) -> bool:
        """Moves some of what the task printed to its log; returns whether there was anything."""
        try:
            data = os.read(self._output, _CHUNK)
        except BlockingIOError:
            return False
        if data:
            log.write(data)
        return bool(data)

    @property
    def _was_out_of_memory(self) -> bool:
        """Whether the kernel killed for memory while the task ran, and the signal was not ours."""
        return signal.SIGKILL in self._stops and _out_of_memory_kills() > self._kills_before


def _wake(waker: socket.socket) -> None:
    with suppress(OSError):  # the task ended at the same moment, and its sockets are closed
        waker.send(b".")


def _out_of_memory_kills() -> int:
    """How many processes the kernel has killed for want of memory since it started; 0 where it does not say."""
    with suppress(OSError), open("/proc/vmstat", "rb", buffering=0) as file:
        found = re.search(rb"^oom_kill (\d+)", file.read(), re.MULTILINE)
        return int(found[1]) if found else 0
    return 0
