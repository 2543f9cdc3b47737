"""One task in its container: what it prints, how it is stopped, how it ended, and whose its files are."""

from __future__ import annotations

import contextlib
import itertools
import os
import stat
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from standpipe.errors import RunnerError
from standpipe.model.plan import PythonFunction
from standpipe.model.ports import Cancel, Log, Outcome, TaskRequest
from standpipe.runners.docker.engine import engine_errors, lost, said
from standpipe.runners.request_files import Told, Used, read_error, read_usage, write_request

if TYPE_CHECKING:
    from socket import SocketIO

    from docker.models.containers import Container

#: How a container is asked to stop, and the seconds after which it is asked more plainly.
_STOP_SIGNALS = ("SIGINT", "SIGTERM", "SIGKILL")
_STOP_PATIENCE = 2.0


@dataclass(frozen=True)
class Traits:
    """What matters of an engine: whether it labels files for SELinux, and whether its root is the calling user."""

    selinux: bool
    rootless: bool


class ContainerTask:
    """One attempt in its container."""

    def __init__(self, request: TaskRequest, container: Container, traits: Traits) -> None:
        self.request = request
        self.traits = traits
        self._container = container

    @property
    def caller(self) -> tuple[int, int]:
        """The user and group of the caller, as the container sees them."""
        return (0, 0) if self.traits.rootless else (os.geteuid(), os.getegid())

    @contextlib.contextmanager
    def prepared(self) -> Iterator[None]:
        """Leaves in the task's folder what the container reads, and lets the container's user write there."""
        if isinstance(self.request.program, PythonFunction):
            give_away = self._user == 0 and self.caller[0] != 0
            write_request(self.request, self.request.program, self.caller if give_away else None, usage=True)
        if self._user not in (0, self.caller[0]):
            with _open_to_all(self.request.folder):
                yield
        else:
            yield

    def follow(self, log: Log, cancel: Cancel, *, tty: bool) -> Outcome:
        """Starts the container, passes on what it prints, and tells how it ended."""
        with self._attached() as stream:
            try:
                self._container.start()
            except engine_errors() as error:
                return Outcome(problem=f"its container could not be started: {said(error)}{self._start_hint()}")
            with self._stopped_by(cancel):
                for data in _output(stream, tty):
                    log.write(data)
                try:
                    status: int = self._container.wait()["StatusCode"]
                    if status:
                        self._container.reload()
                except engine_errors() as error:
                    return Outcome(problem=f"how its container ended is not known: {lost(error)}")
        return self._outcome(status)

    def foreign(self) -> list[Path]:
        """The folders in which the container left something that does not belong to the caller."""
        if self._user == self.caller[0]:
            return []
        folders = [self.request.folder, *filter(None, [self.request.workspace])]
        folders += [mount.source for mount in self.request.pod.mounts if not mount.read_only]
        return [folder for folder in folders if _holds_foreign(folder, os.geteuid())]

    @property
    def is_root(self) -> bool:
        return self._user == 0

    @property
    def _user(self) -> int | str:
        """Who the container runs as: a number, or a name that only its image can resolve."""
        name = user_of(self._container.attrs)
        return int(name) if name.isdigit() else {"root": 0}.get(name, name)

    @contextlib.contextmanager
    def _attached(self) -> Iterator[SocketIO]:
        """The stream of what the container prints, opened before it starts, so that nothing is missed."""
        assert self._container.client is not None, "the container was made by a client"
        try:
            parameters = {"stdout": 1, "stderr": 1, "stream": 1}
            stream = self._container.client.api.attach_socket(str(self._container.id), params=parameters)
        except engine_errors() as error:
            raise RunnerError(f"The engine does not give the output of a container: {said(error)}") from error
        # The socket belongs to the response, which the SDK keeps with it; closing only the socket would leak the rest.
        with contextlib.closing(getattr(stream, "_response", stream)):
            yield stream

    @contextlib.contextmanager
    def _stopped_by(self, cancel: Cancel) -> Iterator[None]:
        stopper = _Stopper(self._container, cancel)
        forget = cancel.on_set(stopper.wake)
        try:
            yield
        finally:
            forget()
            stopper.end()

    def _outcome(self, status: int) -> Outcome:
        is_ours = isinstance(self.request.program, PythonFunction)
        used = read_usage(self.request.folder) if is_ours else Used()
        if status == 0:
            return Outcome(exit_code=0, cpu_seconds=used.cpu_seconds, peak_memory=used.peak_memory)
        told = read_error(self.request.folder) if is_ours else Told()
        # An engine has one number for both, as a shell does: 128 and the signal. What was killed leaves no traceback.
        killed = 128 < status <= 128 + 64 and not told.detail
        kernel_killed = self._container.attrs["State"]["OOMKilled"]
        return Outcome(
            exit_code=None if killed else status,
            signal=status - 128 if killed else None,
            detail=told.detail,
            cause=told.cause,
            out_of_memory=told.out_of_memory or kernel_killed,
            cpu_seconds=used.cpu_seconds,
            peak_memory=(self._memory_limit if kernel_killed else None) or used.peak_memory,
        )

    @property
    def _memory_limit(self) -> int | None:
        """The container's limit of memory, in bytes: what it had when the kernel killed for that."""
        limit: int | None = self._container.attrs.get("HostConfig", {}).get("Memory")
        return limit or None

    def _start_hint(self) -> str:
        if isinstance(self.request.program, PythonFunction):
            return f"\nA lightweight Python component needs python3 (3.9 or newer) in its image, {self.request.image}."
        return "\nCheck the component's image, command and args."


def user_of(attrs: Mapping[str, Any]) -> str:
    """The user, without the group, that an image or a container says it runs as."""
    return str(attrs["Config"].get("User") or "0").partition(":")[0]


def _output(stream: SocketIO, tty: bool) -> Iterator[bytes]:
    """What a container prints. Where the connection breaks the log says so; `wait` tells how the task ended."""
    from docker.utils import socket  # costly; a runner that is made and never used does without

    frames: Iterator[tuple[int, bytes]] = socket.frames_iter(stream, tty)  # type: ignore[no-untyped-call]
    try:
        for _, data in frames:
            yield data
    except engine_errors() as error:
        yield f"\n[the connection to the container engine broke: {said(error)}]\n".encode()


class _Stopper:
    """Asks a container to end, more plainly each time, until it has; in a thread of its own, once that is wished."""

    def __init__(self, container: Container, cancel: Cancel) -> None:
        self._container = container
        self._cancel = cancel
        self._news = threading.Event()
        self._ended = False
        self._lock = threading.Lock()
        self._thread = threading.Thread(target=self._stop, daemon=True)

    def wake(self) -> None:
        """Says that the wish has come, or has become urgent."""
        with self._lock:
            if self._thread.ident is None:
                self._thread.start()
            elif self._cancel.urgent:
                self._news.set()

    def end(self) -> None:
        """Says that the container has ended."""
        self._ended = True
        self._news.set()
        if self._thread.ident is not None:  # it was started, and may be in the middle of a request
            self._thread.join(_STOP_PATIENCE)

    def _stop(self) -> None:
        signals = itertools.chain(_STOP_SIGNALS, itertools.repeat("SIGKILL"))
        while True:
            self._news.clear()
            if self._ended:
                return
            signal = "SIGKILL" if self._cancel.urgent else next(signals)
            # It may have ended by itself meanwhile; whoever waits for it sees what became of it.
            with contextlib.suppress(*engine_errors()):
                self._container.kill(signal=signal)
            self._news.wait(_STOP_PATIENCE)


@contextlib.contextmanager
def _open_to_all(folder: Path) -> Iterator[None]:
    """Lets every user write in a task's folders for as long as a container runs that is neither root nor the caller.

    On a cluster, too, the volumes that hold outputs are writable for whatever user an image has.
    """
    modes = {Path(path): os.stat(path).st_mode for path, _, _ in os.walk(folder)}
    for path, mode in modes.items():
        path.chmod(stat.S_IMODE(mode) | 0o777)
    try:
        yield
    finally:
        for path, mode in modes.items():
            with contextlib.suppress(FileNotFoundError):
                path.chmod(stat.S_IMODE(mode))


def _holds_foreign(folder: Path, uid: int) -> bool:
    for path, folders, files in os.walk(folder):
        for name in (*folders, *files):
            with contextlib.suppress(FileNotFoundError):  # tasks that run share the workspace
                if os.lstat(os.path.join(path, name)).st_uid != uid:
                    return True
    return False
