"""What it costs to go on with a large run, and to take a large run from the cache, when tasks cost nothing.

    python remembering.py FOLDER

Prints as JSON: the seconds to resume a run of 10,000 finished tasks (`resume`) and to run 1,000 tasks that are all
remembered (`cached`), of several times the best; and the seconds to seal an artifact of 1 GB when it is made (`seal`),
beside those to read it through the same digest (`read`).
"""

from __future__ import annotations

import hashlib
import json
import sys
import time
from collections.abc import Callable
from pathlib import Path

from standpipe import dsl, local
from standpipe.model.cancellation import Cancellation
from standpipe.model.ports import Log, Outcome, Runner, TaskRequest
from standpipe.runners.api import LocalRunner
from standpipe.runners.fake import FakeTaskRunner
from standpipe.support.checksums import compute_checksum

RUNS = 3
GIGABYTE = 10**9


class _Echo(FakeTaskRunner):
    """Tasks that give what they get."""

    def run(self, request: TaskRequest, *, log: Log, cancel: Cancellation) -> Outcome:
        given = request.executor_input["inputs"]["parameterValues"]
        told = {"parameterValues": {"Output": given["x"]}}
        Path(request.executor_input["outputs"]["outputFile"]).write_text(json.dumps(told), encoding="utf-8")
        return Outcome(exit_code=0)


class EchoRunner(LocalRunner):
    """Runs nothing."""

    def open(self) -> Runner:
        """Make the runner that executes attempts."""
        return _Echo()

    def workspace_path(self, workspace: Path) -> str:
        return str(workspace)


@dsl.component
def echo(x: int) -> int:
    """Gives what it gets."""
    return x


@dsl.pipeline
def looped() -> None:
    """10,000 tasks."""
    with dsl.ParallelFor(list(range(10_000))) as item:
        echo(x=item)


@dsl.pipeline
def wide() -> None:
    """1,000 tasks."""
    for number in range(1_000):
        echo(x=number)


def _best(call: Callable[[], object]) -> float:
    def once() -> float:
        start = time.perf_counter()
        call()
        return time.perf_counter() - start

    return min(once() for _ in range(RUNS))


def main(folder: Path) -> None:
    """Measures and prints."""
    found: dict[str, float] = {}
    local.init(EchoRunner(), folder, quiet=True)
    looped()
    found["resume"] = _best(lambda: local.resume("latest"))
    local.init(EchoRunner(), folder, quiet=True, enable_caching=True)
    wide()
    found["cached"] = _best(wide)
    payload = folder / "payload"
    with payload.open("wb") as file:
        for _ in range(GIGABYTE // 10**6):
            file.write(b"x" * 10**6)
    found["read"] = _best(lambda: _read(payload))
    found["seal"] = _best(lambda: compute_checksum(str(payload), Cancellation()))
    print(json.dumps(found))


def _read(payload: Path) -> None:
    digest = hashlib.sha256()
    with payload.open("rb", buffering=0) as file:
        while piece := file.read(2**20):
            digest.update(piece)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
