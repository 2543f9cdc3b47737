"""The server as a process of its own."""

from __future__ import annotations

import errno
import os
import re
import signal
import socket
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from http.client import HTTPConnection, HTTPException, HTTPResponse
from pathlib import Path
from urllib.parse import urlencode, urlsplit

import pytest

from standpipe import dsl, local
from standpipe.errors import StorageError
from standpipe.local import FakeRunner
from standpipe.model.events import RunEnded, RunStarted
from standpipe.model.layout import RUN_STORE_FILE
from standpipe.model.states import TaskState
from standpipe.runs import ui_server
from standpipe.store.runs import RunRecorder
from standpipe.ui.security import Access
from tests.imports import modules_of
from tests.processes import is_alive, process_ids, wait_until
from tests.ui.test_live import PLAN, RUN

#: Seconds for what a process does on a machine that does much else.
PATIENCE = 60.0


@dsl.component
def add_for_server(a: int) -> int: ...


@dsl.component
def slow_for_server() -> int:
    import time

    time.sleep(2)
    return 1


@pytest.fixture(autouse=True)
def _own_cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STANDPIPE_CACHE", str(tmp_path_factory.mktemp("cache")))


class Server:
    """A server that a test has started, and a client of it with the cookie."""

    def __init__(self, process: subprocess.Popen[str], address: str) -> None:
        self.process = process
        self.address = address
        self.port = urlsplit(address).port or 0
        self.cookie = ""
        self._opened: list[HTTPConnection | HTTPResponse] = []

    def get(self, path: str) -> HTTPResponse:
        return self._request("GET", path, "", {})

    def post(self, path: str, fields: dict[str, str]) -> HTTPResponse:
        return self._request("POST", path, urlencode(fields), {"Content-Type": "application/x-www-form-urlencoded"})

    def _request(self, method: str, path: str, body: str, headers: dict[str, str]) -> HTTPResponse:
        connection = HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE)
        connection.request(method, path, body, {"Cookie": self.cookie, **headers})
        response = connection.getresponse()
        self._opened += [response, connection]
        return response

    def disconnect(self) -> None:
        for each in self._opened:
            each.close()
        self._opened.clear()

    def log_in(self) -> None:
        parts = urlsplit(self.address)
        response = self.get(f"{parts.path}?{parts.query}")
        assert response.status == 303
        self.cookie = (response.getheader("set-cookie") or "").partition(";")[0]

    def page(self, path: str = "/") -> str:
        response = self.get(path)
        text = response.read().decode()
        assert response.status == 200, text
        return text

    def interrupt(self) -> float:
        """Send Ctrl-C, and return how many seconds the server took to end."""
        begin = time.monotonic()
        self.process.send_signal(signal.SIGINT)
        self.process.wait(PATIENCE)
        return time.monotonic() - begin


@pytest.fixture
def serve() -> Iterator[Callable[..., Server]]:
    """Return a function that starts a server with arguments, and has logged in."""
    started: list[Server] = []

    def start(root: Path, *arguments: str) -> Server:
        command = [sys.executable, "-m", "standpipe", "ui", "--root", str(root), "--no-browser", *arguments]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        assert process.stdout is not None
        address = next((line.strip() for line in process.stdout if "http" in line), "")
        assert address, process.communicate()[1]
        server = Server(process, address)
        started.append(server)
        server.log_in()
        return server

    yield start
    for server in started:
        server.disconnect()
        server.process.kill()
        server.process.communicate()


def suppress_errors(function: Callable[[], object]) -> None:
    with suppress(OSError, HTTPException):
        function()


def free_port() -> int:
    """Return a port that no other test chooses, unlike the default ones."""
    with closing(socket.create_server(("127.0.0.1", 0))) as listener:
        return int(listener.getsockname()[1])


def run(root: Path) -> str:
    local.run(add_for_server, {"a": 1}, runner=FakeRunner(), pipeline_root=root, quiet=True, raise_on_error=False)
    return local.get_run("latest", root).id


def test_it_shows_the_runs_of_a_root_that_does_not_exist_yet(tmp_path: Path, serve: Callable[..., Server]) -> None:
    root = tmp_path / "root"
    server = serve(root)
    assert "No runs yet" in server.page()
    assert not root.exists()
    assert run(root) in server.page()


def test_it_opens_the_page_of_a_run(tmp_path: Path, serve: Callable[..., Server]) -> None:
    run_id = run(tmp_path)
    assert urlsplit(serve(tmp_path, "latest").address).path == f"/runs/{run_id}"
    assert urlsplit(serve(tmp_path, run_id[:-3]).address).path == f"/runs/{run_id}"


def test_it_listens_on_this_machine_only(tmp_path: Path, serve: Callable[..., Server]) -> None:
    server = serve(tmp_path)
    listening = Path(f"/proc/{server.process.pid}/net/tcp").read_text()
    local_addresses = re.findall(rf"^ *\d+: ([0-9A-F]+):{server.port:04X} \S+ 0A ", listening, re.MULTILINE)
    assert local_addresses == ["0100007F"]


def test_servers_of_several_roots_run_at_once_and_take_free_ports(tmp_path: Path, serve: Callable[..., Server]) -> None:
    servers = [serve(tmp_path / name) for name in ("a", "b", "a")]
    assert len({server.port for server in servers}) == 3
    assert len({server.cookie.partition("=")[0] for server in servers}) == 3
    for server in servers:
        assert "No runs yet" in server.page()
    assert all(ui_server.DEFAULT_PORT <= server.port < ui_server.DEFAULT_PORT + 100 for server in servers)


def test_ctrl_c_ends_it_at_once_although_pages_are_connected(tmp_path: Path, serve: Callable[..., Server]) -> None:
    server = serve(tmp_path)
    streams = [server.get("/events") for _ in range(3)]
    for stream in streams:
        assert stream.status == 200
        stream.readline()
    assert server.interrupt() < PATIENCE / 4
    assert server.process.returncode == 0
    assert server.process.stderr is not None
    assert server.process.stderr.read() == ""


def test_ctrl_c_does_not_wait_for_a_store_that_is_locked(tmp_path: Path, serve: Callable[..., Server]) -> None:
    run(tmp_path)
    server = serve(tmp_path)
    with closing(sqlite3.connect(tmp_path / RUN_STORE_FILE, isolation_level=None)) as db:
        db.execute("PRAGMA locking_mode = EXCLUSIVE")
        db.execute("BEGIN EXCLUSIVE")
        db.execute("UPDATE runs SET uuid = uuid")
        page = threading.Thread(target=lambda: suppress_errors(lambda: server.get("/")))
        page.start()
        server.get("/events")
        time.sleep(1)
        assert server.interrupt() < 20
        page.join()
    assert server.process.returncode == 0
    assert server.process.stderr is not None
    assert server.process.stderr.read() == ""


def test_a_page_catches_up_after_the_server_was_started_again(tmp_path: Path, serve: Callable[..., Server]) -> None:
    (tmp_path / RUN.id).mkdir()
    with closing(RunRecorder(tmp_path, RUN, PLAN)) as recorder:
        recorder((RunStarted({}),))
        port = str(free_port())
        first = serve(tmp_path, "--port", port)
        stream = first.get(f"/events?run={RUN.id}")
        assert next(line for line in stream if line.startswith(b"data:")).startswith(b'data: {"length": 1, "status"')
        first.interrupt()
        assert stream.read() in (b"", b"\n")
        recorder((RunEnded(TaskState.SUCCEEDED, {}),))
    second = serve(tmp_path, "--port", port)
    assert (second.port, second.address, second.cookie) == (first.port, first.address, first.cookie)
    stream = second.get(f"/events?run={RUN.id}")
    assert b'"status": "SUCCEEDED"' in next(line for line in stream if line.startswith(b"data:"))


def test_what_a_page_has_started_outlives_the_server(tmp_path: Path, serve: Callable[..., Server]) -> None:
    runner = FakeRunner(slow_for_server=lambda **_: {"Output": 1})
    local.run(slow_for_server, runner=runner, pipeline_root=tmp_path, quiet=True)
    original = local.get_run("latest", tmp_path).id
    server = serve(tmp_path)
    form = {"csrf": Access(server.port, ui_server.load_token(tmp_path)).csrf, "task": "slow-for-server"}
    response = server.post(f"/runs/{original}/rerun", form)
    assert response.status == 303
    server.process.kill()
    server.process.wait(PATIENCE)
    assert wait_until(lambda: len(local.runs(tmp_path)) == 2, PATIENCE)
    assert wait_until(lambda: local.runs(tmp_path)[0].status.value == "SUCCEEDED", PATIENCE)
    assert local.runs(tmp_path)[0].rerun_of == f"{original}/slow-for-server"


def test_an_error_in_a_page_is_shown_on_the_terminal_only(tmp_path: Path) -> None:
    program = f"""
from standpipe.ui.pages import runs
def fail(request): raise ZeroDivisionError("a defect")
runs.show = fail
from standpipe.cli.main import main
raise SystemExit(main(["ui", "--no-browser", "--root", {str(tmp_path)!r}]))
"""
    process = subprocess.Popen(
        [sys.executable, "-c", program], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    server = Server(process, next(line.strip() for line in process.stdout if "http" in line))
    server.log_in()
    response = server.get("/")
    text = response.read().decode()
    server.disconnect()
    server.interrupt()
    error = process.communicate()[1]
    assert response.status == 500
    assert "a defect of Standpipe" in text
    assert "Traceback" not in text
    assert "ZeroDivisionError: a defect" in error


def test_the_token_is_private_and_kept_for_each_root(tmp_path: Path) -> None:
    token = ui_server.load_token(tmp_path / "a")
    assert len(token) > 30
    assert ui_server.load_token(tmp_path / "a") == token
    assert ui_server.load_token(tmp_path / "b") != token
    path = ui_server.files_of(tmp_path / "a").token
    assert path.stat().st_mode & 0o777 == 0o600
    assert path.parent.stat().st_mode & 0o777 == 0o700


def test_a_token_that_others_can_read_is_replaced(tmp_path: Path) -> None:
    token, path = ui_server.load_token(tmp_path), ui_server.files_of(tmp_path).token
    path.chmod(0o644)
    path.parent.chmod(0o755)
    assert ui_server.load_token(tmp_path) not in (token, "")
    assert path.stat().st_mode & 0o777 == 0o600
    assert path.parent.stat().st_mode & 0o777 == 0o700


def test_without_a_private_token_nobody_is_served(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ValueError, match="the token is empty"):
        Access(7717, "")
    monkeypatch.setattr(ui_server, "_read_private", lambda path: "")  # as where files have no modes
    with pytest.raises(StorageError, match="cannot be made private"):
        ui_server.load_token(tmp_path)


def test_a_token_that_cannot_be_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "link", fail)
    with pytest.raises(StorageError, match=r"cannot be written: No space left on device\. .*STANDPIPE_CACHE"):
        ui_server.load_token(tmp_path / "root")
    assert not list(ui_server.files_of(tmp_path / "root").token.parent.glob(".*"))


def test_many_processes_agree_on_the_token(tmp_path: Path) -> None:
    tokens: list[str] = []
    threads = [threading.Thread(target=lambda: tokens.append(ui_server.load_token(tmp_path))) for _ in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(tokens) == 20
    assert len(set(tokens)) == 1


def test_the_port_of_the_server_before_is_not_taken_for_that_of_one_that_is_starting(tmp_path: Path) -> None:
    path = ui_server.files_of(tmp_path).server
    lock = ui_server.open_lock(path)
    assert lock is not None
    with ui_server.listen(tmp_path, 0) as former:
        ui_server.write_port(lock, former)
    waiting = threading.Thread(target=lambda: found.append(ui_server.find_or_start(tmp_path).port))
    found: list[int] = []
    waiting.start()
    with ui_server.listen(tmp_path, 0) as listener:
        ui_server.write_port(lock, listener)
        waiting.join()
        assert found == [listener.getsockname()[1]]
    os.close(lock)


# --- servers that runs start ------------------------------------------------------------------------------------------


@contextmanager
def end_of(server: ui_server.UiServer, root: Path) -> Iterator[Server]:
    """Yield a server that a run has started, and end it after the block."""
    made = Server(None, server.address())  # type: ignore[arg-type]
    made.log_in()
    try:
        yield made
    finally:
        made.disconnect()
        with suppress(ProcessLookupError):
            os.kill(process_of(server.port), signal.SIGKILL)


def process_of(port: int) -> int:
    """Return the process that listens on a port."""
    tables = Path("/proc/self/net/tcp").read_text()
    inode = re.search(rf":{port:04X} \S+ 0A \S+ \S+ \S+ +\d+ +\d+ (\d+)", tables)
    assert inode is not None
    for pid in process_ids():
        with suppress(OSError):
            if any(os.readlink(file) == f"socket:[{inode[1]}]" for file in Path(f"/proc/{pid}/fd").iterdir()):
                return pid
    raise ProcessLookupError(port)


def test_a_run_starts_the_server_once_and_tells_the_address_of_its_page(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root = tmp_path / "root"
    runner = FakeRunner(add_for_server=lambda **_: {"Output": 1})
    for _ in range(2):
        local.run(add_for_server, {"a": 1}, runner=runner, pipeline_root=root, ui=True)
    addresses = re.findall(r"The page of this run: (\S+)", capsys.readouterr().err)
    server = ui_server.find_or_start(root)
    ids = [each.id for each in local.runs(root)]
    assert addresses == [server.address(run_id) for run_id in reversed(ids)]
    with end_of(server, root) as made:
        page = made.page()
        assert all(run_id in page for run_id in ids)
        assert process_of(server.port) not in (os.getpid(), os.getppid())


def test_without_the_option_no_server_is_started(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run(tmp_path)
    assert "page of this run" not in capsys.readouterr().err


def test_a_server_that_cannot_be_started_does_not_stop_the_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    blocked = tmp_path / "cache"
    blocked.touch()
    monkeypatch.setenv("STANDPIPE_CACHE", str(blocked))
    runner = FakeRunner(add_for_server=lambda **_: {"Output": 1})
    assert local.run(add_for_server, {"a": 1}, runner=runner, pipeline_root=tmp_path, ui=True).output == 1
    assert "The web UI cannot be started" in capsys.readouterr().err


def test_a_run_does_not_import_the_ui(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "cache").touch()  # no server can be started
    monkeypatch.setenv("STANDPIPE_CACHE", str(tmp_path / "cache"))
    (tmp_path / "program.py").write_text(
        f"""
from standpipe import dsl, local
@dsl.component
def one() -> int: ...
runner = local.FakeRunner(one=lambda **_: {{"Output": 1}})
local.run(one, runner=runner, pipeline_root={str(tmp_path)!r}, ui=True)
"""
    )
    modules = modules_of(f"import sys; sys.path.insert(0, {str(tmp_path)!r}); import program")
    assert not [name for name in modules if name.startswith(("standpipe.ui", "starlette", "uvicorn", "jinja2"))]
    assert "standpipe.runs.ui_server" in modules


def test_a_server_of_a_user_is_found_by_runs(tmp_path: Path, serve: Callable[..., Server]) -> None:
    server = serve(tmp_path, "--port", str(free_port()))
    assert ui_server.find_or_start(tmp_path).port == server.port
    server.interrupt()
    with closing(socket.create_server(("127.0.0.1", server.port))):
        found = ui_server.find_or_start(tmp_path)
        with end_of(found, tmp_path):
            assert found.port != server.port


def test_an_idle_server_ends_unless_a_page_or_a_run_needs_it(tmp_path: Path) -> None:
    lock = ui_server.open_lock(ui_server.files_of(tmp_path).server)
    assert lock is not None
    with ui_server.listen(tmp_path) as listener:
        ui_server.write_port(lock, listener)
        inherited = (lock, listener.fileno())
        command = [sys.executable, "-m", "standpipe", "ui", "--root", str(tmp_path), "--idle-end", "5"]
        process = subprocess.Popen([*command, "--inherited", "%d,%d" % inherited], pass_fds=inherited, text=True)
    os.close(lock)
    server = Server(process, ui_server.find_or_start(tmp_path).address())
    try:
        server.log_in()
        stream = server.get("/events")
        stream.readline()
        assert not wait_until(lambda: not is_alive(process.pid), 8), "a page is connected"
        server.disconnect()
        assert process.wait(PATIENCE) == 0
    finally:
        server.disconnect()
        process.kill()
        process.wait()
