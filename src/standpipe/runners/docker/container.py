"""The container of one task: its output, its cancellation, its end, and the owner of its files."""

from __future__ import annotations

import contextlib
import itertools
import os
import re
import stat
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from standpipe.errors import RunnerError
from standpipe.model.cancellation import Cancellation
from standpipe.model.plan import PythonFunction
from standpipe.model.ports import Log, Outcome, TaskRequest
from standpipe.runners.docker.engine import engine_errors, message_of, unknown_end
from standpipe.runners.request_files import ErrorDetails, Usage, read_error, read_usage, write_request
from standpipe.support.untrusted_files import open_folder

if TYPE_CHECKING:
    from socket import SocketIO

    from docker.models.containers import Container

#: The signals that stop a container, and the seconds between them.
_STOP_SIGNALS = ("SIGINT", "SIGTERM", "SIGKILL")
_GRACE_PERIOD = 2.0
_SIGKILL = 9

#: The seconds that may pass until a stopped container and its sidecars are removed, and its files have their owner.
_CLEANUP_TIME = 10.0

#: What the init programs of Docker (tini) and Podman (catatonit) print if they cannot execute the command.
_INIT_FAILURE = re.compile(rb"(?:\[FATAL tini \(\d+\)\]|ERROR \(catatonit:\d+\):) (.+)")
#: The bytes at the beginning of the output in which that message is looked for.
_MAX_INIT_FAILURE = 1024


@dataclass(frozen=True)
class EngineTraits:
    """Properties of an engine: whether it labels files for SELinux, and whether its root is the calling user."""

    selinux: bool
    rootless: bool


class TaskContainer:
    """The container of one attempt.

    Args:
        request: the attempt.
        container: the container, which has not been started.
        traits: properties of its engine.
    """

    def __init__(self, request: TaskRequest, container: Container, traits: EngineTraits) -> None:
        self.request = request
        self.traits = traits
        self._container = container

    @property
    def caller(self) -> tuple[int, int]:
        """The ids of this process's user and group, as the container sees them."""
        return (0, 0) if self.traits.rootless else (os.geteuid(), os.getegid())

    @contextlib.contextmanager
    def prepared(self) -> Iterator[None]:
        """Write the request that the container reads; its user may write into the task's folder during the block."""
        if isinstance(self.request.program, PythonFunction):
            give_away = self._user == 0 and self.caller[0] != 0
            write_request(self.request, self.request.program, self.caller if give_away else None, usage=True)
        if self._user not in (0, self.caller[0]):
            with _writable_by_all(self.request.folder, self.request.pipeline_root):
                yield
        else:
            yield

    def follow(
        self, log: Log, cancel: Cancellation, *, tty: bool, started: Callable[[], None] = lambda: None
    ) -> Outcome:
        """Start the container, copy its output to the log, and return how it ended; call `started` meanwhile."""
        with self._attached() as stream:
            try:
                self._container.start()
            except engine_errors() as error:
                return self._not_started(message_of(error))
            started()
            with self._stopped_by(cancel):
                beginning = b""
                for data in _output(stream, tty):
                    if len(beginning) < _MAX_INIT_FAILURE:  # an init program writes its message in several pieces
                        beginning += data
                    log.write(data)
                try:
                    status: int = self._container.wait()["StatusCode"]
                    if status or self._memory_limit:
                        self._container.reload()
                except engine_errors() as error:
                    return Outcome(problem=f"how its container ended is unknown: {unknown_end(error)}")
        if cancel:
            cancel.expect_cleanup(_CLEANUP_TIME)
        if status and (failure := _INIT_FAILURE.match(beginning)):
            return self._not_started(failure[1].decode(errors="replace").strip())
        return self._outcome(status)

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
        name = user_of(self._container.attrs)
        return int(name) if name.isdigit() else {"root": 0}.get(name, name)

    @contextlib.contextmanager
    def _attached(self) -> Iterator[SocketIO]:
        """Open the stream of the container's output, before it starts, so that nothing is missed."""
        assert self._container.client is not None, "the container was created by a client"
        try:
            parameters = {"stdout": 1, "stderr": 1, "stream": 1}
            stream = self._container.client.api.attach_socket(str(self._container.id), params=parameters)
        except engine_errors() as error:
            raise RunnerError(f"The engine does not provide the output of a container: {message_of(error)}") from error
        # The socket belongs to the response, which the SDK keeps with it; closing only the socket would leak the rest.
        with contextlib.closing(getattr(stream, "_response", stream)):
            yield stream

    @contextlib.contextmanager
    def _stopped_by(self, cancel: Cancellation) -> Iterator[None]:
        stopper = _Stopper(self._container, cancel)
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
        kernel_killed = self._container.attrs["State"]["OOMKilled"]
        if status == 0 and not kernel_killed:
            return Outcome(exit_code=0, cpu_seconds=usage.cpu_seconds, peak_memory=usage.peak_memory)
        error = read_error(self.request) if has_worker else ErrorDetails()
        # Like a shell, an engine reports a signal as 128 plus its number. A process that was killed left no traceback.
        number = status - 128 if status else _SIGKILL
        killed = 0 < number <= 64 and not error.detail
        return Outcome(
            exit_code=None if killed else status,
            signal=number if killed else None,
            detail=error.detail,
            cause=error.cause,
            out_of_memory=error.out_of_memory or kernel_killed,
            cpu_seconds=usage.cpu_seconds,
            peak_memory=(self._memory_limit if kernel_killed else None) or usage.peak_memory,
        )

    @property
    def _memory_limit(self) -> int | None:
        """The container's memory limit, in bytes: its usage when the kernel killed it for memory."""
        limit: int | None = self._container.attrs.get("HostConfig", {}).get("Memory")
        return limit or None

    def _not_started(self, reason: str) -> Outcome:
        hint = "Check the component's image, command and args."
        if isinstance(self.request.program, PythonFunction):
            hint = f"A lightweight Python component needs python3 (3.9 or newer) in its image, {self.request.image}."
        if "init" in reason:
            hint = "If the engine lacks its init program, install it, or use local.DockerRunner(init=False)."
        return Outcome(problem=f"its container could not be started: {reason}\n{hint}")


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


@contextlib.contextmanager
def _writable_by_all(folder: Path, root: Path) -> Iterator[None]:
    """Let every user write into a task's folder during the block, for a container whose user is neither root nor ours.

    On a cluster, too, the volumes of outputs are writable for every user that an image may have. The folder stays open,
    so that what a task puts at its path meanwhile does not get its permissions.
    """
    with open_folder(folder, root) as descriptor:
        mode = stat.S_IMODE(os.fstat(descriptor).st_mode)
        os.fchmod(descriptor, mode | 0o777)
        try:
            yield
        finally:
            os.fchmod(descriptor, mode)


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
