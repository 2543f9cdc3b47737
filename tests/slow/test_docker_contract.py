"""The runner contract, for containers."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from standpipe.model.attempts import TaskRequest
from tests.runners.contract import Harness, IsolatedRunnerContract

from .docker_engine import IMAGE, Bench, EngineProxy, containers_of, needs_socket, wait_for

if TYPE_CHECKING:
    from docker import DockerClient

pytestmark = [
    pytest.mark.slow,
    pytest.mark.usefixtures("docker_client"),
    needs_socket,
    pytest.mark.filterwarnings("ignore::ResourceWarning"),  # the SDK does not close a socket that nobody answers at
]


class ContainerHarness(Harness):
    """A runner of containers, with a connection to the engine that can break."""

    image = IMAGE

    def __init__(self, bench: Bench, proxy: EngineProxy) -> None:
        super().__init__(bench.runner, bench.root)
        self._proxy = proxy

    def lose(self, request: TaskRequest) -> None:
        self._proxy.shut()


@contextmanager
def open_harness(root: Path, client: DockerClient, monkeypatch: pytest.MonkeyPatch) -> Iterator[ContainerHarness]:
    """Give a harness for a block, and see that its containers are gone at the end."""
    proxy = EngineProxy(root / "engine.sock")
    proxy.open()
    monkeypatch.setenv("DOCKER_HOST", f"unix://{proxy.path}")
    bench = Bench(root / "root")
    bench.root.mkdir()
    yield ContainerHarness(bench, proxy)
    proxy.open()
    bench.runner.close()
    wait_for(lambda: not containers_of(client, "contract"))  # a reaper may still remove what was lost
    proxy.shut()
    gc.collect()


class TestContainerRunner(IsolatedRunnerContract):
    """Containers of a real engine."""

    @pytest.fixture
    def harness(
        self, tmp_path: Path, docker_client: DockerClient, monkeypatch: pytest.MonkeyPatch
    ) -> Iterator[Harness]:
        with open_harness(tmp_path, docker_client, monkeypatch) as harness:
            yield harness
