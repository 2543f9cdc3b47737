"""The time to resume a large run, and to take a large run from the cache, with tasks that do nothing.

    python resume_and_cache.py FOLDER

Prints as JSON, each the best of several times: the seconds to resume a run of 10,000 finished tasks (`resume`), and to
run 1,000 tasks that are all cached (`cached`).
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from pathlib import Path

from standpipe import dsl, local
from standpipe.model.attempts import Outcome, TaskRequest
from standpipe.model.cancellation import Cancellation
from standpipe.model.ports import Log, Runner
from standpipe.runners.api import LocalRunner
from standpipe.runners.fake import FakeTaskRunner

RUNS = 3


class _Echo(FakeTaskRunner):
    """Runs tasks whose output is their input."""

    def run(self, request: TaskRequest, *, log: Log, cancel: Cancellation) -> Outcome:
        inputs = request.executor_input["inputs"]["parameterValues"]
        executor_output = {"parameterValues": {"Output": inputs["x"]}}
        Path(request.executor_input["outputs"]["outputFile"]).write_text(json.dumps(executor_output), encoding="utf-8")
        return Outcome(exit_code=0)


class EchoRunner(LocalRunner):
    """A runner that starts no processes."""

    def open(self) -> Runner:
        """Return the runner that executes attempts."""
        return _Echo()

    def workspace_path(self, workspace: Path) -> str:
        return str(workspace)


@dsl.component
def echo(x: int) -> int:
    """Return the input."""
    return x


@dsl.pipeline
def looped() -> None:
    """Run 10,000 tasks in a loop."""
    with dsl.ParallelFor(list(range(10_000))) as item:
        echo(x=item)


@dsl.pipeline
def wide() -> None:
    """Run 1,000 independent tasks."""
    for number in range(1_000):
        echo(x=number)


def _best(call: Callable[[], object]) -> float:
    def once() -> float:
        start = time.perf_counter()
        call()
        return time.perf_counter() - start

    return min(once() for _ in range(RUNS))


def main(folder: Path) -> None:
    """Measure and print."""
    seconds: dict[str, float] = {}
    local.init(EchoRunner(), folder, quiet=True)
    looped()
    seconds["resume"] = _best(lambda: local.resume("latest"))
    local.init(EchoRunner(), folder, quiet=True, enable_caching=True)
    wide()
    seconds["cached"] = _best(wide)
    print(json.dumps(seconds))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
