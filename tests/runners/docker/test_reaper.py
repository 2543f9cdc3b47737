"""What outlives a killed process to remove its containers, with an engine that is a folder: a container is a file."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from textwrap import dedent

import pytest

from standpipe.runners.docker.reaper import Reaper
from tests.processes import is_alive, wait_until

#: The SDK, as far as the program uses it. The name of a container's file is its labels.
FAKE_SDK = """
import os, types
from pathlib import Path
HERE = Path(__file__).parent
errors = types.SimpleNamespace(DockerException=type("DockerException", (Exception,), {}))
class Client:
    def __init__(self):
        if (HERE / "down").exists(): raise errors.DockerException()
        self.api = self
    def containers(self, all, filters):
        (HERE / "asked").write_text(str(os.getpid()))
        return [{"Id": name} for name in os.listdir(HERE / "containers") if name == ",".join(filters["label"])]
    def remove_container(self, name, v, force):
        os.unlink(HERE / "containers" / name)
from_env = Client
"""

PROGRAM = """
import os, sys, time
from standpipe.runners.docker.reaper import Reaper
reaper = Reaper()
with reaper.guard({"a": "1", "b": "2"}):
    print(reaper._process.pid, flush=True)
    if "fork" in sys.argv and os.fork() == 0:
        os.close(1)
        time.sleep(60)
    time.sleep(60)
"""


class Engine:
    def __init__(self, folder: Path) -> None:
        (folder / "docker.py").write_text(FAKE_SDK)
        self.folder = folder
        self.containers = folder / "containers"
        self.containers.mkdir()
        for name in ("a=1,b=2", "a=1,b=3"):
            (self.containers / name).touch()

    def left(self) -> list[str]:
        return sorted(path.name for path in self.containers.iterdir())

    def start(self, *how: str) -> tuple[subprocess.Popen[bytes], int]:
        """A process that has containers, and the process id of what looks after it."""
        process = subprocess.Popen(
            [sys.executable, "-c", dedent(PROGRAM), *how],
            stdout=subprocess.PIPE,
            env={**os.environ, "PYTHONPATH": str(self.folder)},
            start_new_session=True,
        )
        assert process.stdout is not None
        return process, int(process.stdout.readline())


@pytest.fixture
def engine(tmp_path: Path) -> Engine:
    return Engine(tmp_path)


@pytest.mark.parametrize("how", [[], ["fork"]])
def test_the_containers_of_a_killed_process_are_removed_and_no_others(engine: Engine, how: list[str]) -> None:
    process, reaper = engine.start(*how)
    with process:
        os.kill(process.pid, signal.SIGKILL)
        try:
            assert wait_until(lambda: engine.left() == ["a=1,b=3"], seconds=5)
            assert wait_until(lambda: not is_alive(reaper), seconds=5)
        finally:
            os.killpg(process.pid, signal.SIGKILL)


def test_an_engine_that_died_too_is_waited_for(engine: Engine) -> None:
    (engine.folder / "down").touch()
    process, reaper = engine.start()
    with process:
        os.kill(process.pid, signal.SIGKILL)
        time.sleep(0.3)
        (engine.folder / "down").unlink()
        assert wait_until(lambda: engine.left() == ["a=1,b=3"], seconds=5)
        assert wait_until(lambda: not is_alive(reaper), seconds=5)


@pytest.mark.parametrize("everything_removed", [True, False])
def test_it_ends_with_the_runner(engine: Engine, monkeypatch: pytest.MonkeyPatch, everything_removed: bool) -> None:
    monkeypatch.syspath_prepend(str(engine.folder))
    reaper = Reaper()
    with reaper.guard({"a": "1", "b": "2"}):
        pass
    assert reaper._process is not None
    pid = reaper._process.pid
    reaper.close(everything_removed=everything_removed)
    reaper.close(everything_removed=everything_removed)

    assert not os.path.exists(f"/proc/{pid}"), "not even a zombie"
    assert (engine.folder / "asked").exists() is not everything_removed
    assert ("a=1,b=2" in engine.left()) is everything_removed


def test_one_looks_after_all_runs_and_is_replaced_if_it_was_killed() -> None:
    reaper = Reaper()
    pids = []
    for is_killed in (False, True, False):
        with reaper.guard({}):
            assert reaper._process is not None
            pids.append(reaper._process.pid)
        if is_killed:
            os.kill(pids[-1], signal.SIGKILL)
            assert wait_until(lambda: not is_alive(pids[-1]))
    reaper.close(everything_removed=True)

    assert pids[0] == pids[1] != pids[2]
