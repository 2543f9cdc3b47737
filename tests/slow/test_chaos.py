"""Runs of several pipelines whose processes are killed at random moments and which are resumed: `make chaos`.

`STANDPIPE_KILLS` is the number of kills of all pipelines together (25 by default), `STANDPIPE_CHAOS_SEED` the seed of
the random numbers.
"""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from standpipe.store.reading import run_rows
from tests.chaos.disturbance import Chaos, Process, check_no_task_ran_twice, undisturbed
from tests.chaos.pipelines import EXPECTED
from tests.processes import command_of, process_ids

from .docker_engine import IMAGE, containers_of, leave_out, wait_for

KILLS = int(os.environ.get("STANDPIPE_KILLS", "25"))
SEED = int(os.environ.get("STANDPIPE_CHAOS_SEED", "0")) or random.randrange(10**6)
pytestmark = [pytest.mark.slow, pytest.mark.timeout(300 + 30 * KILLS)]

#: The pipelines of which only the main process is killed; the larger one is for other victims.
PIPELINES = [name for name in EXPECTED if name != "mixed"]

needs_proc = pytest.mark.skipif(not os.path.isdir("/proc/self"), reason="looks for processes in /proc")


@pytest.fixture
def chaos(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Chaos]:
    random.seed(f"{SEED}{request.node.name}")
    print(f"STANDPIPE_CHAOS_SEED={SEED}")  # shown when the test fails
    made = Chaos(tmp_path / "root", "mixed")
    yield made
    for pid in made.processes():
        os.kill(pid, signal.SIGKILL)


@needs_proc
@pytest.mark.parametrize("pipeline", PIPELINES)
def test_the_main_process_is_killed(
    chaos: Chaos, pipeline: str, request: pytest.FixtureRequest, capsys: pytest.CaptureFixture[str]
) -> None:
    chaos.pipeline = pipeline
    if pipeline == "containers":
        client = request.getfixturevalue("docker_client")
        chaos.runner = "DockerRunner"
    seconds = undisturbed(chaos, 0)
    start = time.monotonic()
    kills = KILLS // len(PIPELINES)
    while chaos.kills < kills:
        # As long as no facts are lost, the checks are stricter.
        losses = 0.5 if chaos.kills >= kills / 2 else 0.0
        chaos.to_the_end(chaos.runs, chaos.kill_within(seconds), losses=losses)
        assert chaos.runs < 10 * kills, "most programs end before they are killed"
    with capsys.disabled():
        print(
            f"\n{pipeline}: {chaos.kills} kills, {chaos.kills_in_a_row} of them in a row, {chaos.losses} losses of "
            f"facts, {chaos.runs} runs, {time.monotonic() - start:.0f} s"
        )
    if pipeline == "containers":
        wait_for(lambda: not any(containers_of(client, row.id) for row in run_rows(chaos.root)))


@needs_proc
@pytest.mark.parametrize("victim", ["fork server", "task"])
def test_another_process_is_killed(chaos: Chaos, victim: str) -> None:
    seconds = undisturbed(chaos, 5)

    def kill(process: Process) -> None:
        others = sorted(chaos.processes() - {process.pid})
        servers = [pid for pid in others if "boot.py" in command_of(pid) and _parent(pid) == process.pid]
        found = servers if victim == "fork server" else [pid for pid in others if _parent(pid) in servers]
        if found:
            with suppress(ProcessLookupError):
                os.kill(random.choice(found), signal.SIGKILL)

    def disturb(process: Process, is_first: bool) -> None:
        if is_first or random.randrange(3) == 0:
            chaos.until_run_begins(process)
            time.sleep(random.uniform(0, seconds))
            kill(process)

    for _ in range(max(2, KILLS // 20)):
        chaos.to_the_end(5, disturb, failures=True)


def _parent(pid: int) -> int:
    with suppress(OSError), open(f"/proc/{pid}/stat") as file:
        return int(file.read().rpartition(")")[2].split()[1])
    return 0


class PrivateEngine:
    """A separate Docker engine with the image of the tasks, which can be killed without effect on other tests.

    It has a network of its own: an engine without a bridge would remove the bridge of another engine.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.host = f"unix://{folder}/docker.sock"
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        options = [f"--{name}={self.folder}/{name}" for name in ("data-root", "exec-root")]
        options += [f"--pidfile={self.folder}/docker.pid", f"--host={self.host}", "--bridge=none", "--iptables=false"]
        (self.folder / "docker.pid").unlink(missing_ok=True)
        with open(self.folder / "log.txt", "ab") as log:
            self._process = subprocess.Popen(
                ["unshare", "--net", "dockerd", *options, "--ip6tables=false"],
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        end = time.monotonic() + 60
        while self.docker("version").returncode:
            assert time.monotonic() < end, (self.folder / "log.txt").read_text()[-2000:]
            assert self._process.poll() is None, (self.folder / "log.txt").read_text()[-2000:]
            time.sleep(0.1)

    def kill(self) -> None:
        assert self._process
        self._process.kill()
        self._process.wait()

    def stop(self) -> None:
        """Stop the engine and everything that it started."""
        if self._process and self._process.poll() is None:
            self._process.terminate()
            self._process.wait(30)
        for pid in process_ids():
            if str(self.folder) in command_of(pid) and pid != os.getpid():
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)

    def docker(self, *arguments: str, **options: Any) -> subprocess.CompletedProcess[bytes]:
        return subprocess.run(["docker", "--host", self.host, *arguments], capture_output=True, check=False, **options)


@pytest.fixture
def engine(docker_client: object) -> Iterator[PrivateEngine]:
    if os.geteuid() != 0 or not shutil.which("dockerd") or not shutil.which("unshare"):
        leave_out("only root, with a dockerd, can start an engine to be killed")
    with tempfile.TemporaryDirectory(prefix="standpipe-engine-", ignore_cleanup_errors=True) as folder:
        made = PrivateEngine(Path(folder))
        try:
            made.start()
            image = subprocess.run(["docker", "save", IMAGE], capture_output=True, check=True).stdout
            loaded = made.docker("load", input=image)
            assert loaded.returncode == 0, loaded.stderr
            yield made
        finally:
            made.stop()


@needs_proc
def test_the_container_engine_is_killed(chaos: Chaos, engine: PrivateEngine) -> None:
    chaos.runner = "DockerRunner"
    chaos.environment["DOCKER_HOST"] = engine.host
    process = chaos.start(3)
    end = time.monotonic() + 60
    while len(engine.docker("ps", "-q", "--all").stdout.split()) < 2:
        assert time.monotonic() < end
        assert process.poll() is None, process.communicate()
    time.sleep(random.uniform(0, 4))
    engine.kill()
    output, errors = process.communicate(timeout=120)
    assert process.returncode == 10, (output, errors)
    chaos.check()
    engine.start()
    assert chaos.latest
    for _ in range(3):  # a container that the engine lost may block the first attempts
        process = chaos.start(3, chaos.latest)
        output, errors = process.communicate(timeout=240)
        if process.returncode == 0:
            break
    assert process.returncode == 0, errors
    assert json.loads(output) == EXPECTED["mixed"](3)
    check_no_task_ran_twice(chaos.root, chaos.latest)
    chaos.until_nothing_is_left()  # nor the process that waits for the engine to remove its containers
    assert engine.docker("ps", "-q", "--all").stdout == b""
