"""The container of one task: its output, its cancellation, its end, and the owner of its files."""

from __future__ import annotations

import contextlib
import itertools
import os
import re
import threading
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from standpipe.errors import RunnerError
from standpipe.model.attempts import Outcome, TaskRequest
from standpipe.model.cancellation import Cancellation
from standpipe.model.frozen import replace
from standpipe.model.plan import PythonFunction
from standpipe.model.ports import Log
from standpipe.model.resources import format_memory
from standpipe.runners.docker.engine import engine_errors, message_of, unknown_end
from standpipe.runners.docker.first_process import FirstProcess, find_first_process
from standpipe.runners.docker.memory_kills import count_kills, find_counter
from standpipe.runners.docker.permissions import open_to_all
from standpipe.runners.docker.traits import EngineTraits
from standpipe.runners.request_files import ErrorDetails, Usage, make_outcome, read_error, read_usage, write_request
from standpipe.support.untrusted_files import open_folder

if TYPE_CHECKING:
    import socket
    from socket import SocketIO

    from docker.models.containers import Container

#: The signals that stop a container, and the seconds between them.
_STOP_SIGNALS = ("SIGINT", "SIGTERM", "SIGKILL")
_GRACE_PERIOD = 2.0
_SIGKILL = 9

#: The seconds that may pass until a stopped container and its sidecars are removed, and its files have their owner.
_CLEANUP_TIME = 10.0

#: The most seconds between the end of a container's output and the end of its first process, if both end by themselves:
#: the kernel takes microseconds, a busy machine more. After that the engine is asked.
_KERNEL_TIME = 0.1

#: What the init programs of Docker (tini) and Podman (catatonit) print if they cannot execute the command.
_INIT_FAILURE = re.compile(rb"(?:\[FATAL tini \(\d+\)\]|ERROR \(catatonit:\d+\):) (.+)")
#: How Podman reports a program that it cannot execute without an init program: as soon as it is asked for the output.
_UNPREPARED = re.compile(r"preparing container \w+ for attach: (.+)", re.DOTALL)

#: The bytes at the beginning of the output in which that message is looked for.
_MAX_INIT_FAILURE = 1024


class _NotStartedError(RunnerError):
    """The engine could not start a container; the message is its reason."""


class TaskContainer:
    """The container of one attempt.

    Args:
        request: the attempt.
        container: the container, which has not been started.
        traits: properties of its engine.
    """

    def __init__(self, request: TaskRequest, container: Container, traits: EngineTraits) -> None:
        self.request = request
        self.container = container
        self.traits = traits
        self._first_process: FirstProcess | None = None
        self._waiting_stream: SocketIO | None = None
        self._kill_counter: Path | None = None
        self._memory_kills = 0

    @property
    def short_id(self) -> str:
        """The beginning of the container's id, by which the engine's commands find it."""
        return str(self.container.short_id)

    @property
    def caller(self) -> tuple[int, int]:
        """The ids of this process's user and group, as the container sees them."""
        return (0, 0) if self.traits.rootless else (os.geteuid(), os.getegid())

    def prepare(self) -> None:
        """Write the request that the container reads, and let its user read its inputs and write its outputs."""
        if isinstance(self.request.program, PythonFunction):
            give_away = self._user == 0 and self.caller[0] != 0
            write_request(self.request, self.request.program, self.caller if give_away else None, usage=True)
        if self._user not in (0, self.caller[0]):
            open_to_all(self.request)

    def follow(
        self, log: Log, cancel: Cancellation, *, tty: bool, started: Callable[[], None] = lambda: None
    ) -> Outcome:
        """Start the container, copy its output to the log, and return how it ended; call `started` meanwhile."""
        try:
            with self._attached() as stream:
                self._let_run(stream)
                started()
                return self._follow(stream, log, cancel, tty=tty)
        except _NotStartedError as error:
            return self._not_started(str(error))

    def stand_by(self) -> None:
        """Start the container, whose worker waits for its request; `follow` then lets it continue.

        Raises:
            RunnerError: if the engine does not provide its output and its input.
            DockerException: if the engine does not start it.
        """
        self._waiting_stream = self._attach(stdin=1)
        self._start()

    @property
    def is_waiting(self) -> bool:
        """Whether the container stands by: the kernel knows its first process, which has not ended."""
        return self._first_process is not None and not self._first_process.has_ended()

    def close(self) -> None:
        """Close the stream of a container that stood by and is not needed."""
        if self._waiting_stream is not None:
            _close(self._waiting_stream)

    def _let_run(self, stream: SocketIO) -> None:
        try:
            if self._waiting_stream is None:
                self._start()
            else:  # a byte tells its worker that there is a request
                _socket_of(stream).sendall(b"\n")
        except engine_errors() as error:
            raise _NotStartedError(message_of(error)) from error

    def _start(self) -> None:
        if self._may_miss_kills:  # Podman has made the process when it was asked for the output; it may end very soon
            self._kill_counter = find_counter(str(self.container.id), self._find_process())
        self.container.start()
        if isinstance(self.request.program, PythonFunction):
            self._first_process = find_first_process(str(self.container.id), self._find_process())

    def _find_process(self) -> int:
        """Return the process id of the first process, which the engine knows; 0 if there is none."""
        self.container.reload()
        return int(self.container.attrs["State"].get("Pid") or 0)

    def _follow(self, stream: SocketIO, log: Log, cancel: Cancellation, *, tty: bool) -> Outcome:
        """Copy the output of the container, which has started, to the log, and return how it ended."""
        with self._stopped_by(cancel):
            beginning = b""
            for data in _output(stream, tty):
                if len(beginning) < _MAX_INIT_FAILURE:  # an init program writes its message in several pieces
                    beginning += data
                log.write(data)
            if self._kill_counter is not None:  # it is removed soon
                self._memory_kills = count_kills(self._kill_counter)
            try:
                status = self._wait()
            except engine_errors() as error:
                return Outcome(problem=f"how its container ended is unknown: {unknown_end(error)}")
        if cancel:
            cancel.expect_cleanup(_CLEANUP_TIME)
        if status and (failure := _INIT_FAILURE.match(beginning)):
            reason = failure[1].decode(errors="replace").strip()
            return self._not_started(reason.replace("exec pid1", f"exec {self._program}"))  # Podman's does not name it
        return self._outcome(status)

    def _wait(self) -> int:
        """Return the exit status of the container, whose output has ended.

        The engine reports it 0.1 s after the end of the processes. A success is known before that: the worker has
        recorded it, with the number of processes that were killed for their memory, and the kernel says that none is
        left. With a limit of memory the engine is asked, as one may have been killed after that.
        """
        is_over = self._first_process is not None and self._first_process.has_ended(_KERNEL_TIME)
        if is_over and not self._memory_limit:
            usage = read_usage(self.request)
            if usage.exit_code == usage.memory_kills == 0:
                return 0
        end = self.container.wait()
        if end.get("Error"):  # of a container that somebody has removed Podman reports this, with the status 0
            raise _error_of_engine(end["Error"]["Message"])
        status: int = end["StatusCode"]
        if status or self._memory_limit:
            self.container.reload()
        return status

    def foreign_folders(self) -> list[Path]:
        """Return the folders in which the container left files that do not belong to this process's user."""
        if self._user == self.caller[0]:
            return []
        folders = [self.request.folder, *filter(None, [self.request.workspace])]
        folders += [mount.source for mount in self.request.pod.mounts if not mount.read_only]
        return [folder for folder in folders if self._is_as_made(folder) and _has_foreign_files(folder, os.geteuid())]

    def _is_as_made(self, folder: Path) -> bool:
        """Return whether no task has put a link at the path of a folder, or on the way, as far as tasks can."""
        root = self.request.pipeline_root
        if not folder.is_relative_to(root):
            return True  # it is the user's
        try:
            with open_folder(folder, root):
                return True
        except OSError:
            return False

    @property
    def is_root(self) -> bool:
        """Whether the container runs as root."""
        return self._user == 0

    @property
    def _user(self) -> int | str:
        """The user that the container runs as: a number, or a name that only its image can resolve."""
        name = user_of(self.container.attrs)
        return int(name) if name.isdigit() else {"root": 0}.get(name, name)

    @contextlib.contextmanager
    def _attached(self) -> Iterator[SocketIO]:
        """Open the stream of the container's output, before it starts, so that nothing is missed."""
        stream = self._waiting_stream or self._attach()
        try:
            yield stream
        finally:
            _close(stream)

    def _attach(self, **others: int) -> SocketIO:
        assert self.container.client is not None, "the container was created by a client"
        parameters = {"stdout": 1, "stderr": 1, "stream": 1, **others}
        try:
            stream: SocketIO = self.container.client.api.attach_socket(str(self.container.id), params=parameters)
        except engine_errors() as error:
            if unprepared := _UNPREPARED.match(message_of(error)):
                raise _NotStartedError(unprepared[1]) from error
            raise RunnerError(f"The engine does not provide the output of a container: {message_of(error)}") from error
        return stream

    @contextlib.contextmanager
    def _stopped_by(self, cancel: Cancellation) -> Iterator[None]:
        stopper = _Stopper(self.container, cancel)
        forget = cancel.on_set(stopper.request)
        try:
            yield
        finally:
            forget()
            stopper.finish()

    def _outcome(self, status: int) -> Outcome:
        has_worker = isinstance(self.request.program, PythonFunction)
        usage = read_usage(self.request) if has_worker else Usage()
        # An engine kills single processes for memory. A cluster kills all of the container, so that the task fails.
        # The worker counts those of the whole machine if the container has no control group, thus no limit, of its own.
        kills = self._memory_kills + (usage.memory_kills or 0 if self._memory_limit else 0)
        kernel_killed = bool(self.container.attrs["State"]["OOMKilled"] or kills)
        if status == 0 and not kernel_killed:
            return Outcome(exit_code=0, cpu_seconds=usage.cpu_seconds, peak_memory=usage.peak_memory)
        error = read_error(self.request) if has_worker else ErrorDetails()
        # Like a shell, an engine reports a signal as 128 plus its number. A process that was killed left no traceback.
        number = status - 128 if status else _SIGKILL
        killed = 0 < number <= 64 and not error.detail
        return replace(
            make_outcome(None if killed else status, error, usage),
            signal=number if killed else None,
            out_of_memory=error.out_of_memory or kernel_killed,
            peak_memory=(self._memory_limit if kernel_killed else None) or usage.peak_memory,
            hint=self._memory_hint if number == _SIGKILL and killed and not kernel_killed else "",
        )

    @property
    def _memory_limit(self) -> int | None:
        """The container's memory limit, in bytes: its usage when the kernel killed it for memory."""
        limit: int | None = self.container.attrs.get("HostConfig", {}).get("Memory")
        return limit or None

    @property
    def _may_miss_kills(self) -> bool:
        """Whether the engine may not report that the kernel has killed a process for its memory."""
        return self.traits.podman and self._memory_limit is not None

    @property
    def _memory_hint(self) -> str:
        if not (self._may_miss_kills and self._memory_limit):
            return ""
        limit = format_memory(self._memory_limit)
        return f"Its memory limit is {limit}. Podman may not report that the kernel has killed a task for that."

    @property
    def _program(self) -> str:
        """The program that the container runs."""
        config = self.container.attrs["Config"]
        return str(next(iter([*(config.get("Entrypoint") or ()), *(config.get("Cmd") or ())]), "its command"))

    def _not_started(self, reason: str) -> Outcome:
        hint = "Check the component's image, command and args."
        if isinstance(self.request.program, PythonFunction):
            hint = f"A lightweight Python component needs python3 (3.9 or newer) in its image, {self.request.image}."
        if "init" in reason:
            hint = "If the engine lacks its init program, install it, or use local.DockerRunner(init=False)."
        return Outcome(problem=f"its container could not be started: {reason}\n{hint}")


def _error_of_engine(message: str) -> Exception:
    from docker.errors import APIError  # costly; only few tasks end in this way

    return APIError(message, explanation=message)


def user_of(attrs: Mapping[str, Any]) -> str:
    """Return the user, without the group, that the attributes of an image or container name."""
    return str(attrs["Config"].get("User") or "0").partition(":")[0]


def _output(stream: SocketIO, tty: bool) -> Iterator[bytes]:
    """Yield what a container prints. If the connection breaks, the log says so; `wait` returns how the task ended."""
    from docker.utils import socket  # costly; a runner that is never used does not need it

    frames: Iterator[tuple[int, bytes]] = socket.frames_iter(stream, tty)  # type: ignore[no-untyped-call]
    try:
        for _, data in frames:
            yield data
    except engine_errors() as error:
        yield f"\n[the connection to the container engine broke: {message_of(error)}]\n".encode()


def _socket_of(stream: SocketIO) -> socket.socket:
    """Return the socket of a stream, which the SDK opens for reading only."""
    own: socket.socket = vars(stream)["_sock"]
    return own


def _close(stream: SocketIO) -> None:
    """Close a stream. Its socket belongs to the response, which the SDK keeps; closed alone, it would leak the rest."""
    getattr(stream, "_response", stream).close()


class _Stopper:
    """Stops a container, with a harsher signal each time, in a thread that is started by the first request."""

    def __init__(self, container: Container, cancel: Cancellation) -> None:
        self._container = container
        self._cancel = cancel
        self._changed = threading.Event()
        self._ended = False
        self._lock = threading.Lock()
        self._thread = threading.Thread(target=self._stop, daemon=True)

    def request(self) -> None:
        """Request the stop, or handle that it has become urgent."""
        with self._lock:
            if self._thread.ident is None:
                self._thread.start()
            elif self._cancel.urgent:
                self._changed.set()

    def finish(self) -> None:
        """Stop the thread: the container has ended."""
        self._ended = True
        self._changed.set()
        if self._thread.ident is not None:  # it was started, and may be sending a request
            self._thread.join(_GRACE_PERIOD)

    def _stop(self) -> None:
        signals = itertools.chain(_STOP_SIGNALS, itertools.repeat("SIGKILL"))
        while True:
            self._changed.clear()
            if self._ended:
                return
            signal = "SIGKILL" if self._cancel.urgent else next(signals)
            # It may have ended meanwhile; `follow` sees how.
            with contextlib.suppress(*engine_errors()):
                self._container.kill(signal=signal)
            self._changed.wait(_GRACE_PERIOD)


def _has_foreign_files(folder: Path, uid: int) -> bool:
    left = [os.fspath(folder)]  # a list, as a task can nest folders deeper than Python can recurse
    while left:
        # Other tasks may remove files of the workspace, and a path may be too long for the system.
        with contextlib.suppress(OSError), os.scandir(left.pop()) as entries:
            for entry in entries:
                if entry.stat(follow_symlinks=False).st_uid != uid:
                    return True
                if entry.is_dir(follow_symlinks=False):
                    left.append(entry.path)
    return False
