"""Tasks with `set_debug_pause`, in containers."""

from __future__ import annotations

import re
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from standpipe.model.attempts import CommandLine, DebugPause, Outcome
from standpipe.model.cancellation import Cancellation
from standpipe.model.plan import PythonFunction

from .docker_engine import Bench, Log, python_function, variant, wait_for

if TYPE_CHECKING:
    from docker import DockerClient

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("docker_client")]

EVERYWHERE = DebugPause(before=True, after_success=True, after_failure=True)


def wait_for_pause(bench: Bench, path: Path, place: str) -> None:
    wait_for(lambda: path.exists() and path.read_text() == f"{place}\n", 60)
    wait_for(lambda: any(f"is paused {place}" in notice for notice in bench.notices))


def read_in(client: DockerClient, container: str, path: Path) -> str:
    output = client.containers.get(container).exec_run(["cat", str(path)]).output
    assert isinstance(output, bytes)
    return output.decode()


@pytest.mark.parametrize(
    ("program", "outcome", "end"),
    [
        (python_function("def work():\n    print('worked')\n"), Outcome(exit_code=0), "after it has succeeded"),
        (python_function("def work():\n    print('worked')\n    1 / 0\n"), None, "after it has failed"),
        (CommandLine(("echo",), ("worked",)), Outcome(exit_code=0), "after it has succeeded"),
        (CommandLine(("sh", "-c", "echo worked; exit 3"), ()), Outcome(exit_code=3), "after it has failed"),
    ],
)
def test_a_container_waits_and_its_user_can_get_in(
    bench: Bench, docker_client: DockerClient, program: PythonFunction | CommandLine, outcome: Outcome | None, end: str
) -> None:
    request = bench.request(program, pause=EVERYWHERE)
    path, log = request.folder / "paused.txt", Log()
    with ThreadPoolExecutor() as pool:
        result = pool.submit(bench.run, request, log)
        try:
            for place in ("before it runs", end):
                wait_for_pause(bench, path, place)
                container = re.findall(r"docker exec -it (\w+) sh", bench.notices[-1])[0]
                assert read_in(docker_client, container, path) == f"{place}\n"
                assert ("worked" in log.text) == (place == end)
                path.unlink()
        finally:
            path.unlink(missing_ok=True)
        ended = result.result(60)
    assert ended.succeeded == end.endswith("succeeded")
    assert outcome in (None, ended)


def test_a_container_without_a_command_pauses_around_that_of_its_image(
    bench: Bench, docker_client: DockerClient
) -> None:
    log = Log()
    with variant(docker_client, Entrypoint=["echo", "entry"], Cmd=["default"]) as image, ThreadPoolExecutor() as pool:
        request = bench.request(CommandLine((), ()), image=image, pause=DebugPause(after_success=True))
        result = pool.submit(bench.run, request, log)
        wait_for((request.folder / "paused.txt").exists, 60)
        (request.folder / "paused.txt").unlink()
        assert result.result(60) == Outcome(exit_code=0)
    assert log.text.startswith("entry default\n")


@pytest.mark.parametrize("program", [python_function("def work(): pass\n"), CommandLine(("true",), ())])
def test_a_cancel_ends_a_pause(bench: Bench, program: PythonFunction | CommandLine) -> None:
    cancel = Cancellation()
    request = bench.request(program, pause=DebugPause(before=True))
    with ThreadPoolExecutor() as pool:
        result = pool.submit(bench.run, request, None, cancel)
        try:
            wait_for((request.folder / "paused.txt").exists, 60)
        finally:
            started = time.monotonic()
            cancel.set()
        assert not result.result(60).succeeded
    assert time.monotonic() - started < 20
