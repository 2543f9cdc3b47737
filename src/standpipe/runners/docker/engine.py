"""The container engine: the connection to it, its errors, and containers that killed processes left on it."""

from __future__ import annotations

import os
import shutil
import socket
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from standpipe.errors import RunnerError
from standpipe.model.locations import split_scheme
from standpipe.support.forking import register_object
from standpipe.support.system_files import read_text

if TYPE_CHECKING:
    from docker import DockerClient

#: The seconds that the engine may take to answer a request; a commit of a big image takes minutes.
_TIMEOUT = 600

#: Where an engine listens if `DOCKER_HOST` does not say.
_DEFAULT_HOST = "unix:///var/run/docker.sock"

#: The connections that are kept open. A running task needs two: one for its log, and one to wait for it or stop it.
_CONNECTIONS = 64

#: The command that starts Podman's service of a user, and selects it.
START_PODMAN = "systemctl --user start podman.socket && export DOCKER_HOST=unix://$XDG_RUNTIME_DIR/podman/podman.sock"

_ALTERNATIVE = "Without an engine, lightweight Python components run with local.init(runner=local.SubprocessRunner())."


def engine_errors(*others: type[Exception]) -> tuple[type[Exception], ...]:
    """Return the exceptions that the SDK raises: its own, those of the connection, and `others`."""
    from docker.errors import DockerException  # costly, and needed only once something went wrong

    return (DockerException, OSError, *others)


def message_of(error: BaseException) -> str:
    """Return the engine's message in an error of the SDK."""
    return str(getattr(error, "explanation", None) or error).strip()


def unknown_end(error: BaseException) -> str:
    """Return why it is unknown how a container ended: the engine reports an error, or does not answer."""
    if getattr(error, "explanation", None):
        return message_of(error)
    return f"the container engine stopped answering ({reason_of(error)}). Start the engine, then start a new run"


def connect(timeout: int = _TIMEOUT) -> DockerClient:
    """Return a client of the engine that the environment names (`DOCKER_HOST` and others), or of the default socket."""
    _check_socket(os.environ.get("DOCKER_HOST") or _DEFAULT_HOST, timeout)
    import docker  # takes 0.2 s

    return docker.from_env(timeout=timeout, max_pool_size=_CONNECTIONS)


def _check_socket(host: str, timeout: float) -> None:
    """Raise an OSError if nothing listens at the socket of a host: the SDK would leave its own socket open."""
    scheme, path = split_scheme(host)
    if scheme in ("unix", "http+unix") and os.path.isabs(path):
        with socket.socket(socket.AF_UNIX) as probe:
            probe.settimeout(timeout)
            probe.connect(path)


def reason_of(error: BaseException) -> str:
    """Return why a connection failed: the system's message, from below the layers of the SDK."""
    deepest = error
    while cause := deepest.__cause__ or deepest.__context__:
        deepest = cause
    return getattr(deepest, "strerror", None) or message_of(error)


class Engine:
    """The connection to the engine: opened when it is first needed, and shared by all threads.

    Calling it returns the client.

    Args:
        connect: creates the client.
    """

    def __init__(self, connect: Callable[[], DockerClient] = connect) -> None:
        self._connect = connect
        self._lock = threading.Lock()
        self._client: DockerClient | None = None
        register_object(self)

    def __call__(self) -> DockerClient:
        """Return the client.

        Raises:
            RunnerError: if no engine answers; the message says how to start or install one.
        """
        with self._lock:
            if self._client is None:
                try:
                    self._client = self._connect()
                except engine_errors() as error:
                    raise RunnerError(_no_engine(reason_of(error))) from error
            return self._client

    def close(self) -> None:
        """Close the connection; a later call opens a new one."""
        if not self._lock.acquire(blocking=False):
            return  # a thread still waits for an engine that does not answer
        client, self._client = self._client, None
        self._lock.release()
        if client is not None:
            client.close()

    def after_fork_in_child(self) -> None:
        """Leave the connection to the process that this one was forked from; see `support.forking`."""
        self._lock = threading.Lock()  # a thread that is not in this process may hold the old one
        self._client = None


def _no_engine(reason: str) -> str:
    address = os.environ.get("DOCKER_HOST") or "the default socket, unix:///var/run/docker.sock"
    if "Permission denied" in reason:
        advice = (
            "Join the group that owns the socket (sudo usermod -aG docker $USER, then log in again), or use a rootless "
            "engine and set DOCKER_HOST to its socket."
        )
        if "podman" in address:
            advice = f"Podman's service of root is for root alone. Start your own one: {START_PODMAN}"
        return f"This user may not use the container engine at {address}: permission denied.\n{advice}\n{_ALTERNATIVE}"
    if os.environ.get("DOCKER_HOST"):
        advice = "Start it, or correct DOCKER_HOST: `docker context ls` lists the engines that this machine knows."
    elif shutil.which("dockerd") or shutil.which("docker") or shutil.which("podman"):
        advice = (
            "One is installed: start it (Docker: sudo systemctl start docker, or Docker Desktop; Podman: systemctl "
            "--user start podman.socket). If it listens on another socket, set DOCKER_HOST to that: "
            "`docker context ls` shows it."
        )
    else:
        advice = "Install Docker (https://docs.docker.com/engine/install/) or Podman, and start its service."
    return f"No container engine answers at {address}: {reason.rstrip('.')}.\n{advice}\n{_ALTERNATIVE}"


@dataclass(frozen=True)
class Owner:
    """The process that containers belong to, identified beyond its id, which another process may get later.

    `boot` is the id of the machine's boot, `namespace` the PID namespace, `started` the start time of the process in
    clock ticks since the boot; they are empty where there is no /proc.
    """

    boot: str
    namespace: str
    pid: int
    started: str

    @classmethod
    def current(cls) -> Owner:
        """Return this process."""
        return cls(_boot(), _namespace(), os.getpid(), _started(os.getpid()))

    @property
    def labels(self) -> dict[str, str]:
        """The owner, as labels of a container."""
        return {
            "standpipe.boot": self.boot,
            "standpipe.namespace": self.namespace,
            "standpipe.pid": str(self.pid),
            "standpipe.started": self.started,
        }

    @classmethod
    def of(cls, labels: Mapping[str, str]) -> Owner | None:
        """Return the owner that a container's labels name; None if they name none."""
        pid = labels.get("standpipe.pid", "")
        if not pid.isdigit():
            return None
        return cls(
            labels.get("standpipe.boot", ""),
            labels.get("standpipe.namespace", ""),
            int(pid),
            labels.get("standpipe.started", ""),
        )

    def has_ended(self, *, same_machine: bool) -> bool:
        """Return whether the process has certainly ended.

        Nothing is certain of a process on another machine with the same engine, or in another PID namespace, except
        that one of an earlier boot of this machine has ended.

        Args:
            same_machine: whether the engine is on this machine.
        """
        if self.boot != _boot():
            return same_machine
        if self.namespace != _namespace():
            return False
        return not _alive(self.pid) or _started(self.pid) != self.started


def _boot() -> str:
    return read_text(Path("/proc/sys/kernel/random/boot_id"))


def _namespace() -> str:
    try:
        return os.readlink("/proc/self/ns/pid")
    except OSError:
        return ""


def _started(pid: int) -> str:
    # The name of the program, in parentheses, may hold spaces; the start time is field 22 of the line (proc(5)).
    fields = read_text(Path(f"/proc/{pid}/stat")).rpartition(")")[2].split()
    return fields[19] if len(fields) > 19 else ""


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def leftovers(client: DockerClient) -> Iterator[str]:
    """Yield the ids of containers whose owner has ended."""
    same_machine = client.api.base_url.startswith("http+docker://local")  # reached through a socket, not a network
    for container in client.api.containers(all=True, filters={"label": "standpipe.pid"}):
        owner = Owner.of(container["Labels"])
        if owner is not None and owner.has_ended(same_machine=same_machine):
            yield container["Id"]
