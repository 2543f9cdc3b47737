"""The server of the web UI of a pipeline root: where programs find it, and how a run starts it.

The server is a process of its own, `standpipe ui`, so that neither it nor a run needs the other. What both have to know
is in the user's cache folder, in `ui/`, in files that only the user may read, named after the pipeline root:

* `<name>.token` is the secret in the address, which stays the same when the server is started again;
* `<name>.server` has the port of the server, which holds its lock for as long as it runs;
* `<name>.log` has what a server printed that a run has started.
"""

from __future__ import annotations

import hashlib
import json
import os
import secrets
import socket
import stat
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import NamedTuple
from urllib.parse import quote

from standpipe.errors import ArgumentError, StorageError
from standpipe.support.forking import paused, start_process
from standpipe.support.locks import try_lock
from standpipe.support.notices import inform, warn
from standpipe.support.user_dirs import cache_folder

#: The port that a server takes if it is free; otherwise it is one of the next.
DEFAULT_PORT = 7717
_TRIED_PORTS = 100

#: The address that servers listen on: no other machine reaches it.
HOST = "127.0.0.1"

#: Connections that wait until the server accepts them: it is still starting when the browser opens its address.
_BACKLOG = 100

_MAIN = "import sys; sys.path[:] = filter(None, sys.path); from standpipe.cli.main import main; sys.exit(main())"

#: The longest time for which another process may hold the lock of a server before it has written the port, in seconds.
_WRITING = 2.0


class UiServer(NamedTuple):
    """A server of the web UI: its port and the token of its addresses."""

    port: int
    token: str

    def address(self, run: str = "") -> str:
        """Return the address of a run's page; of the list of runs if the id is empty."""
        return self.page(f"/runs/{quote(run, safe='')}" if run else "/")

    def page(self, link: str) -> str:
        """Return the address of a page, from its path and query."""
        return f"http://{HOST}:{self.port}{link}{'&' if '?' in link else '?'}token={self.token}"


class Files(NamedTuple):
    """The files of the server of a pipeline root."""

    token: Path
    server: Path
    log: Path


def files_of(root: Path) -> Files:
    """Return the files of the server of a pipeline root; their folder exists then.

    Raises:
        StorageError: if the folder is not private, and cannot be made so.
    """
    folder = Path(cache_folder(), "ui")
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        status = os.lstat(folder)
        if not stat.S_ISDIR(status.st_mode) or status.st_uid != os.getuid():
            raise PermissionError(f"{folder} is not a folder of this user")
        if stat.S_IMODE(status.st_mode) & 0o077:
            folder.chmod(0o700)
    except OSError as error:
        raise StorageError(
            f"The folder {folder} for the web UI cannot be used: {error}. Choose another cache folder with the "
            "variable STANDPIPE_CACHE."
        ) from error
    name = hashlib.sha256(os.fsencode(os.path.realpath(root))).hexdigest()[:24]
    return Files(*(folder / f"{name}.{ending}" for ending in Files._fields))


def load_token(root: Path) -> str:
    """Return the token of a pipeline root, made if there is none yet.

    Raises:
        StorageError: if it cannot be kept in a file that only this user may read.
    """
    path = files_of(root).token
    token = _read_private(path)
    if not token:
        with _writing(path):
            _make_token(path)
        token = _read_private(path)
    if not token:  # with an empty one, everybody would be let in
        raise StorageError(
            f"The file {path} of the web UI cannot be made private: its file system may not have the modes of files. "
            "Choose another cache folder with the variable STANDPIPE_CACHE."
        )
    return token


def listen(root: Path, port: int | None = None) -> socket.socket:
    """Return a socket that listens on this machine only.

    Args:
        root: the pipeline root. Its server gets the port that the server before it had, if that is free.
        port: the port, 0 for any; None for the default one or one of the next.

    Raises:
        ArgumentError: if the port is taken, or there is none of that number.
    """
    if port is not None:
        reason = "expected a number up to 65535"
        if 0 <= port <= 65535:
            try:
                return _listen(port)
            except OSError as error:
                reason = str(error)
        raise ArgumentError(
            f"Invalid --port {port}: {reason}. Choose another port, or leave it out: then a free one is used."
        )
    former = _read_port(files_of(root).server)
    for each in (*([former] if former else []), *range(DEFAULT_PORT, DEFAULT_PORT + _TRIED_PORTS)):
        with suppress(OSError):
            return _listen(each)
    return _listen(0)


def find_or_start(root: Path) -> UiServer:
    """Return the server of a pipeline root. If there is none, start one in a process of its own.

    That ends by itself when nobody has used it for some minutes and no run is active.

    Raises:
        StorageError: if the files of the server cannot be written.
        OSError: if it cannot be started.
    """
    files, token = files_of(root), load_token(root)
    with paused():  # a forked child would keep the lock and the socket
        lock = open_lock(files.server)
        try:
            if lock is not None:
                with listen(root) as listener:
                    write_port(lock, listener)
                    _start(root, files, lock, listener)
                    return UiServer(listener.getsockname()[1], token)
        finally:
            if lock is not None:
                os.close(lock)  # the server has it as well, so that it stays locked
    return UiServer(_wait_for_port(files.server), token)


def announce(root: Path, run: str) -> str:
    """Tell the user the address of a run's page. A server that cannot be started does not stop the run.

    Returns:
        The address without the token, which others may know; empty if there is no server.
    """
    try:
        server = find_or_start(root)
    except (StorageError, OSError) as error:
        warn(f"The web UI cannot be started: {error}")
        return ""
    inform(f"The page of this run: {server.address(run)}")
    return server.address(run).partition("?")[0]


def own_command(*arguments: str) -> list[str]:
    """Return the command line of `standpipe` with arguments, in the Python of this process.

    `python -m standpipe` would import from the current folder, where the user may have a `queue.py`.
    """
    return [sys.executable, "-c", _MAIN, *arguments]


def open_lock(path: Path) -> int | None:
    """Lock the file of a server while its descriptor is open; return that, or None if a server has the lock."""
    lock = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    if try_lock(lock):
        return lock
    os.close(lock)
    return None


def write_port(lock: int, listener: socket.socket) -> None:
    """Write the port of a server to its file, which is locked."""
    os.ftruncate(lock, 0)
    os.pwrite(lock, json.dumps({"port": listener.getsockname()[1]}).encode(), 0)


@contextmanager
def registered(root: Path, listener: socket.socket) -> Iterator[None]:
    """Let runs find the server that listens, for the length of a block, unless they find another one already."""
    path = files_of(root).server
    with _writing(path):
        lock = open_lock(path)
    try:
        if lock is not None:
            with _writing(path):
                write_port(lock, listener)
        yield
    finally:
        if lock is not None:
            os.close(lock)


def _make_token(path: Path) -> None:
    new = path.with_name(f".{secrets.token_hex(8)}")
    try:
        with open(os.open(new, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC, 0o600), "w") as file:
            file.write(secrets.token_urlsafe(32))
        try:
            os.link(new, path)
        except FileExistsError:
            if not _read_private(path):  # otherwise another process has made it just now
                os.replace(new, path)  # it was empty, or others could read it
    finally:
        new.unlink(missing_ok=True)


@contextmanager
def _writing(path: Path) -> Iterator[None]:
    """Raise an error of the system in the block as one that says what to do."""
    try:
        yield
    except OSError as error:
        raise StorageError(
            f"The file {path} of the web UI cannot be written: {error.strerror}. Choose another cache folder with the "
            "variable STANDPIPE_CACHE."
        ) from error


def _start(root: Path, files: Files, lock: int, listener: socket.socket) -> None:
    inherited = (lock, listener.fileno())
    command = own_command("ui", "--root", str(root), "--inherited", "%d,%d" % inherited)
    log = os.open(files.log, os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    try:
        process = start_process(command, pass_fds=inherited, stdin=log, stdout=log, stderr=log, start_new_session=True)
    finally:
        os.close(log)
    process.returncode = 0  # otherwise `subprocess` would warn at the end of this process that it has not ended
    threading.Thread(target=os.waitpid, args=(process.pid, 0), daemon=True).start()


def _listen(port: int) -> socket.socket:
    return socket.create_server((HOST, port), backlog=_BACKLOG)


def _wait_for_port(path: Path) -> int:
    end = time.monotonic() + _WRITING
    while True:
        port = _read_port(path)
        if port and _is_listening(port):  # otherwise it is that of the server before
            return port
        if time.monotonic() > end:
            raise StorageError(f"The web UI has not written its port to {path}. Remove the file.")
        time.sleep(0.01)


def _is_listening(port: int) -> bool:
    try:
        socket.create_connection((HOST, port), _WRITING).close()
    except OSError:
        return False
    return True


def _read_port(path: Path) -> int:
    with suppress(ValueError, KeyError, TypeError):
        return int(json.loads(_read_private(path))["port"])
    return 0


def _read_private(path: Path) -> str:
    """Return the text of a file that only this user may read; empty if it is missing, or others may read it."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
        with open(descriptor, encoding="ascii", errors="replace") as file:
            status = os.fstat(file.fileno())
            is_private = status.st_uid == os.getuid() and not stat.S_IMODE(status.st_mode) & 0o077
            return file.read(1000) if is_private and stat.S_ISREG(status.st_mode) else ""
    except OSError:
        return ""
