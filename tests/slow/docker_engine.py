"""The real engine for tests of containers, and what they share: a test without it is left out, and in CI it fails."""

from __future__ import annotations

import contextlib
import gc
import json
import os
import socket
import threading
import time
import uuid
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import pytest

from standpipe.errors import RunnerError
from standpipe.model.attempts import CommandLine, Outcome, TaskRequest
from standpipe.model.cancellation import Cancellation
from standpipe.model.plan import PythonFunction
from standpipe.model.refs import TaskRef
from standpipe.runners.docker.commit import commit
from standpipe.runners.docker.engine import Engine
from standpipe.runners.docker.images import DerivedImages
from standpipe.runners.docker.run_arguments import RunArguments
from standpipe.runners.docker.runner import ContainerTaskRunner

if TYPE_CHECKING:
    from docker import DockerClient

IMAGE = "python:3.11"

#: The socket of the engine; empty if it is not on this machine. Tests may set DOCKER_HOST later.
SOCKET = os.environ.get("DOCKER_HOST", "unix:///var/run/docker.sock").partition("unix://")[2]

#: Marks tests that stand between an engine and its client.
needs_socket = pytest.mark.skipif(not SOCKET, reason="the engine of DOCKER_HOST is not at a Unix socket")

HEADER = "import kfp\nfrom kfp import dsl\nfrom kfp.dsl import *\nfrom typing import *\n\n"


def leave_out(why: str) -> NoReturn:
    """Skips a test; in CI, where nothing may be left out, fails it."""
    if os.environ.get("CI") == "true":
        pytest.fail(why, pytrace=False)
    pytest.skip(why)


def missing(engine: Engine) -> str:
    """What an engine lacks for the tests, and how to get it; empty if that is nothing."""
    from docker.errors import NotFound  # a machine that only runs fast tests does without

    try:
        engine().images.get(IMAGE)
    except RunnerError as error:
        return f"scripts/docker-engine starts an engine, as root. {str(error).splitlines()[0]}"
    except NotFound:
        return f"The engine has no image {IMAGE}: scripts/docker-test-image makes it, as root."
    return ""


@pytest.fixture(scope="session")
def docker_client() -> Iterator[DockerClient]:
    """A client of the engine, which has the image `python:3.11`."""
    engine = Engine()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)  # the SDK does not close a socket that nobody answers at
        lacking = missing(engine)
        gc.collect()
    if lacking:
        leave_out(lacking)
    yield engine()
    engine.close()


@dataclass
class Log:
    """Keeps what a task prints, and when it came."""

    pieces: list[tuple[float, bytes]] = field(default_factory=list)

    def write(self, data: bytes) -> None:
        self.pieces.append((time.monotonic(), data))

    @property
    def text(self) -> str:
        return b"".join(data for _, data in self.pieces).decode()


@dataclass
class Bench:
    """A pipeline root, a runner and what it said."""

    root: Path
    notices: list[str] = field(default_factory=list)
    run_args: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.run_id = f"test-{uuid.uuid4().hex[:12]}"
        self.engine = Engine()
        self.images = DerivedImages(self.engine, self.root / "locks")
        arguments = RunArguments.check(self.run_args)
        self.runner = ContainerTaskRunner(
            arguments, self.images, self.engine, warn=self.notices.append, inform=self.notices.append
        )

    def folder(self, name: str = "task") -> Path:
        return self.root / self.run_id / name

    def request(self, program: CommandLine | PythonFunction, name: str = "task", **more: Any) -> TaskRequest:
        folder = self.folder(name)
        folder.mkdir(parents=True)
        executor_input = more.pop("executor_input", {})
        executor_input.setdefault("outputs", {}).setdefault("outputFile", str(folder / "executor_output.json"))
        return TaskRequest(
            run=self.run_id,
            task=TaskRef(((name, None),)),
            attempt=more.pop("attempt", 0),
            image=more.pop("image", IMAGE),
            program=program,
            executor_input=executor_input,
            folder=folder,
            pipeline_root=self.root,
            **more,
        )

    def run(self, request: TaskRequest, log: Log | None = None, cancel: Cancellation | None = None) -> Outcome:
        return self.runner.run(request, log=log or Log(), cancel=Cancellation() if cancel is None else cancel)

    def shell(self, script: str, log: Log | None = None, **more: Any) -> Outcome:
        """Runs a script in which `$0` is the task's folder."""
        request = self.request(CommandLine((), ()), **more)
        return self.run(replace(request, program=CommandLine(("sh", "-c", script), (str(request.folder),))), log)


MakeBench = Callable[..., Bench]


@pytest.fixture
def make_bench(tmp_path: Path, docker_client: DockerClient) -> Iterator[MakeBench]:
    """Makes runners whose run arguments are given, and sees that their containers are gone at the end."""
    benches: list[Bench] = []

    def make(**run_args: Any) -> Bench:
        benches.append(Bench(tmp_path / f"root{len(benches)}", run_args=run_args))
        return benches[-1]

    yield make
    for bench in benches:
        bench.runner.close()
        assert containers_of(docker_client, bench.run_id) == []


@pytest.fixture
def bench(make_bench: MakeBench) -> Bench:
    return make_bench()


class EngineProxy:
    """A socket before that of the engine. Closed, it is as if the engine had died; the engine of others lives on."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._sockets: list[socket.socket] = []

    def open(self) -> None:
        """Accept connections; does nothing if it does already."""
        if self._sockets:
            return
        listening = socket.socket(socket.AF_UNIX)
        listening.bind(str(self.path))
        listening.listen()
        self._sockets.append(listening)
        threading.Thread(target=self._accept, args=(listening,), daemon=True).start()

    def shut(self) -> None:
        """Close all connections, and refuse others."""
        self.path.unlink()
        for opened in self._sockets:
            with contextlib.suppress(OSError):
                opened.shutdown(socket.SHUT_RDWR)
            opened.close()
        self._sockets.clear()

    def _accept(self, listening: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while True:
                inside, _ = listening.accept()
                outside = socket.socket(socket.AF_UNIX)
                outside.connect(SOCKET)
                self._sockets += [inside, outside]
                for source, target in ((inside, outside), (outside, inside)):
                    threading.Thread(target=self._copy, args=(source, target), daemon=True).start()

    def _copy(self, source: socket.socket, target: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                target.sendall(data)
            target.shutdown(socket.SHUT_WR)


@contextlib.contextmanager
def variant(client: DockerClient, script: str = "true", **config: Any) -> Iterator[str]:
    """An image like that of the tests, in which a script was run, with this configuration; removed at the end."""
    tag = f"standpipe-test:{uuid.uuid4().hex}"
    container = client.containers.create(IMAGE, entrypoint=["sh", "-c", script])
    try:
        container.start()
        assert container.wait()["StatusCode"] == 0
        commit(client, container, tag, {"Entrypoint": [], "Cmd": ["python3"], **config})
    finally:
        container.remove(force=True)
    try:
        yield tag
    finally:
        client.images.remove(tag)


def containers_of(client: DockerClient, run: str, *, running: bool = False) -> list[str]:
    """The containers of a run; with `running` none that Docker lists while it makes them, and cannot describe yet."""
    # The other way to list them looks at each, which may be gone by then.
    found = client.api.containers(all=not running, filters={"label": f"standpipe.run={run}"})
    return [str(container["Id"]) for container in found]


def command_of(client: DockerClient, container: str) -> list[str]:
    """What a container runs, which Podman does not list; empty if the container is gone."""
    from docker.errors import APIError  # a machine that only runs fast tests does without

    try:
        config = client.api.inspect_container(container)["Config"]
    except APIError:  # Podman does not answer 404 in each case
        return []
    return [*(config["Entrypoint"] or ()), *(config["Cmd"] or ())]


def wait_for(condition: Callable[[], Any], seconds: float = 20) -> Any:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if value := condition():
            return value
        time.sleep(0.05)
    raise AssertionError("it did not come about")


def python_function(source: str, **more: Any) -> PythonFunction:
    return PythonFunction("work", HEADER + source, **more)


def run_function(
    bench: Bench, source: str, log: Log | None = None, image: str = IMAGE, **inputs: Any
) -> tuple[Outcome, Any]:
    """How the function ended, and what it returned if it says so."""
    place = str(bench.folder() / "Output")
    executor_input = {
        "inputs": {"parameterValues": inputs},
        "outputs": {"parameters": {"Output": {"outputFile": place}}},
    }
    request = bench.request(python_function(source), image=image, executor_input=executor_input)
    outcome = bench.run(request, log)
    written = bench.folder() / "executor_output.json"
    told = json.loads(written.read_text()) if written.exists() else {}
    return outcome, told.get("parameterValues", {}).get("Output")
