"""Containers of the test kubelet: processes with a root, mounts and process ids of their own, as root can make them.

The root is an overlay of this machine's: what is installed here is what every image has, and what a container writes is
in no other one. Folders of this machine that a pod of a real cluster could not see are hidden. The network is this
machine's.
"""

from __future__ import annotations

import os
import shlex
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime, timezone
from pathlib import Path

from tests.processes import wait_until

#: What a kubelet reads of a termination message, in bytes.
MESSAGE_LIMIT = 4096

#: The folders of which a container has its own, empty at first.
_OWN_FOLDERS = ("/tmp", "/dev", "/run")

_DEVICES = ("full", "null", "random", "tty", "urandom", "zero")


@dataclass(frozen=True)
class Bind:
    """A file or folder of this machine at a path of a container."""

    source: Path
    path: str
    read_only: bool = False


@dataclass(frozen=True)
class ContainerSettings:
    """What a container runs, and with what. `memory` is in bytes, 0 for no limit.

    `groups` are its additional groups. With `drops_all` it has no capabilities, and with `no_new_privileges` no program
    gives it any.
    """

    command: tuple[str, ...]
    env: Mapping[str, str]
    binds: tuple[Bind, ...] = ()
    hidden: tuple[Path, ...] = ()
    working_dir: str = ""
    user: int | None = None
    group: int | None = None
    groups: tuple[int, ...] = ()
    drops_all: bool = False
    no_new_privileges: bool = False
    memory: int = 0
    message_path: str = "/dev/termination-log"


@dataclass
class ContainerLog:
    """The lines of a container, each with the time at which it was read, as a kubelet keeps them."""

    lines: list[tuple[float, bytes]] = field(default_factory=list)
    closed: bool = False
    changed: threading.Condition = field(default_factory=threading.Condition)

    def write(self, data: bytes) -> None:
        with self.changed:
            self.lines.append((time.time(), data))
            self.changed.notify_all()

    def close(self) -> None:
        with self.changed:
            self.closed = True
            self.changed.notify_all()

    def read(
        self, *, follow: bool, since: float = 0.0, tail: int | None = None, stamps: bool = False
    ) -> Iterator[bytes]:
        """Yield the lines, and with `follow` those that are still to come."""
        position = 0 if tail is None else max(0, len(self.lines) - tail)
        while True:
            with self.changed:
                if follow and position == len(self.lines) and not self.closed:
                    self.changed.wait(0.5)
                fresh, ended = self.lines[position:], self.closed or not follow
            position += len(fresh)
            for at, line in fresh:
                if at >= since:
                    yield (stamp(at).encode() + b" " if stamps else b"") + line
            if ended and position == len(self.lines):
                return


def stamp(at: float) -> str:
    """Return a time as a kubelet writes it before a line: RFC 3339 with nanoseconds."""
    return datetime.fromtimestamp(at, timezone.utc).strftime("%Y-%m-%dT%H:%M:%S.%f") + "000Z"


class Container:
    """A container that has started.

    Args:
        settings: what it runs.
        folder: a new folder for its root, removed by the caller after its end.
        log: gets what it prints.
    """

    def __init__(self, settings: ContainerSettings, folder: Path, log: ContainerLog) -> None:
        self.settings = settings
        self.folder = folder
        self.log = log
        self.out_of_memory = False
        self._killed = False
        for name in ("upper", "work", "root"):
            (folder / name).mkdir(parents=True)
            (folder / name).chmod(0o755)  # the first is the root for all users of the container
        (folder / "message").touch()
        (folder / "message").chmod(0o666)
        (folder / "start.sh").write_text(_script(settings, folder))
        self._process = subprocess.Popen(
            ["unshare", "--mount", "--pid", "--fork", "--kill-child", "sh", str(folder / "start.sh")],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        wait_until(lambda: (folder / "started").exists() or not self.is_running, 60)
        if settings.memory:
            threading.Thread(target=self._watch_memory, daemon=True).start()

    @property
    def is_running(self) -> bool:
        return self._process.poll() is None

    @property
    def pid(self) -> int:
        """The first process of the container, by its id on this machine; 0 if there is none."""
        return next(iter(_children(self._process.pid)), 0)

    def wait(self) -> int:
        """Return the exit code as a container engine has it: 128 and the number of the signal that killed it."""
        code = self._process.wait()
        self._reader.join()
        return 128 + signal.SIGKILL if self._killed else 128 - code if code < 0 else code  # unshare exits with 1 then

    @property
    def message(self) -> str:
        """The termination message."""
        return (self.folder / "message").read_bytes()[:MESSAGE_LIMIT].decode(errors="replace")

    def stop(self, grace: float) -> None:
        """Send SIGTERM, as a kubelet does, and SIGKILL if the container still runs after a while."""
        self.signal(signal.SIGTERM)
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(grace)
        self.signal(signal.SIGKILL)

    def signal(self, number: signal.Signals) -> None:
        """Send a signal to the first process of the container; SIGKILL ends all of them."""
        if self.is_running and wait_until(lambda: self.pid or not self.is_running, 5) and self.pid:
            self._killed = self._killed or number == signal.SIGKILL
            with suppress(ProcessLookupError):
                os.kill(self.pid, number)

    def _read(self) -> None:
        assert self._process.stdout
        with self._process.stdout as stream:
            for line in stream:
                self.log.write(line)
        self.log.close()

    def _watch_memory(self) -> None:
        """Kill the container if it uses more memory than it may, as the kernel does with a cgroup."""
        while self.is_running:
            if sum(map(_resident, _descendants(self._process.pid))) > self.settings.memory:
                self.out_of_memory = True
                self.signal(signal.SIGKILL)
                return
            time.sleep(0.02)


def _children(pid: int) -> list[int]:
    try:
        return [int(each) for each in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except OSError:
        return []


def _descendants(pid: int) -> Iterator[int]:
    for child in _children(pid):
        yield child
        yield from _descendants(child)


def _resident(pid: int) -> int:
    try:
        return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except OSError:
        return 0


def _script(settings: ContainerSettings, folder: Path) -> str:
    """Return the shell script that makes the root of a container and becomes its first process."""
    root, quote = folder / "root", shlex.quote
    lines = [
        "set -e; umask 022",
        f"mount -t overlay overlay -o lowerdir=/,upperdir={folder}/upper,workdir={folder}/work {root}",
        f"mount -t proc proc {root}/proc",
        f"mount --rbind /sys {root}/sys",
        f"chmod go+x {root}/root",  # the interpreters of this machine may be there
        *(f"mount -t tmpfs -o mode=1777 tmpfs {root}{path}" for path in _OWN_FOLDERS),
        f"mkdir -m 1777 {root}/dev/shm && ln -s /proc/self/fd {root}/dev/fd",
        *(f"touch {root}/dev/{name} && mount --bind /dev/{name} {root}/dev/{name}" for name in _DEVICES),
        *(
            f"mkdir -p {quote(f'{root}{path}')} && mount -t tmpfs tmpfs {quote(f'{root}{path}')}"
            for path in settings.hidden
            if not str(path).startswith(("/tmp/", "/dev/"))
        ),
    ]
    for bind in (*_image(), *settings.binds, Bind(folder / "message", settings.message_path)):
        lines.extend(_bind(bind, f"{root}{bind.path}"))
    user = _privileges(settings)
    variables = " ".join(quote(f"{name}={value}") for name, value in settings.env.items())
    change = f"cd {quote(settings.working_dir or '/')} && " if settings.working_dir else ""
    if settings.working_dir:
        lines.append(f"mkdir -p {quote(f'{root}{settings.working_dir}')}")
    command = f"{change}exec env -i {variables} {' '.join(map(quote, settings.command))}"
    enter = f"setpriv {user}" if user else ""
    lines.append(f": > {folder}/started")
    return "\n".join([*lines, f"exec chroot {root} {enter}/bin/sh -c {quote(command)}", ""])


def _privileges(settings: ContainerSettings) -> str:
    """Return options of `setpriv` for the user of a container and for what it may do; empty for all that root may."""
    options = [] if settings.user is None else [f"--reuid {settings.user}"]
    if settings.user is not None or settings.group is not None or settings.groups:
        groups = ",".join(map(str, settings.groups))
        options.append(f"--regid {settings.group or 0} {f'--groups {groups}' if groups else '--clear-groups'}")
    options += ["--bounding-set=-all --inh-caps=-all"] if settings.drops_all else []
    options += ["--no-new-privs"] if settings.no_new_privileges else []
    return " ".join(options) + " " if options else ""


def _image() -> Iterator[Bind]:
    """Yield the environment of the tests, which is the image of Python, where a folder of the container hides it."""
    if sys.prefix.startswith(tuple(f"{folder}/" for folder in _OWN_FOLDERS)):
        yield Bind(Path(sys.prefix), sys.prefix, read_only=True)


def _bind(bind: Bind, target: str) -> Iterator[str]:
    quote = shlex.quote
    if bind.source.is_dir():
        yield f"mkdir -p {quote(target)}"
    else:
        yield f"mkdir -p {quote(os.path.dirname(target))} && touch {quote(target)}"
    yield f"mount --bind {quote(str(bind.source))} {quote(target)}"
    if bind.read_only:
        yield f"mount -o remount,bind,ro {quote(target)}"
