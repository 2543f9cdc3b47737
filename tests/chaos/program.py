"""Run a pipeline of 60 tasks, or resume a run of it, and print its outputs as JSON.

    python program.py ROOT RUNNER SEED          starts a run
    python program.py ROOT RUNNER SEED RUN      resumes a run

The exit code is 3 if the run does not exist, because it was killed before it was recorded, and 10 if a task failed.
"""

from __future__ import annotations

import json
import sys
from typing import NamedTuple

from standpipe import dsl, local
from standpipe.dsl import Dataset, Input, Output
from standpipe.errors import NoSuchRun, TaskFailed


class Totals(NamedTuple):
    total: int
    data: Dataset


@dsl.component
def step(x: int, seed: int = 0) -> int:
    import time

    time.sleep((x * 7 + seed) % 11 / 1000)
    return (x * 31 + 7) % 1009


@dsl.component
def flaky(x: int) -> int:
    import os
    import subprocess
    import sys

    # Standpipe must kill the processes that a task leaves running.
    subprocess.Popen([sys.executable, "-c", "import time; time.sleep(300)"], start_new_session=True)
    if os.environ["KFP_RETRY_INDEX"] == "0":
        raise RuntimeError("not at first")
    return x + 1


@dsl.component
def save(x: int, data: Output[Dataset]) -> None:
    import time

    with open(data.path, "w") as file:
        for number in range(200):
            file.write(f"{x + number}\n")
            if number == 100:
                file.flush()
                time.sleep(0.002)
    data.metadata["x"] = x


@dsl.component
def add(values: list, seed: int) -> int:
    return sum(values) + seed


@dsl.component
def join(files: Input[list[Dataset]], data: Output[Dataset]) -> int:
    lines = 0
    with open(data.path, "w") as file:
        for each in files:
            with open(each.path) as part:
                for line in part:
                    file.write(line)
                    lines += 1
    return lines


@dsl.component
def tidy(status: dsl.PipelineTaskFinalStatus) -> str:
    return status.state


@dsl.pipeline
def inner(x: int) -> int:
    first = step(x=x)
    return step(x=first.output).output


@dsl.pipeline
def chaos(seed: int) -> Totals:
    with dsl.ExitHandler(tidy()):  # 1
        before = step(x=1, seed=seed)
        for _ in range(3):
            before = step(x=before.output, seed=seed)  # 4
        with dsl.If(before.output > 0):
            step(x=before.output)
        with dsl.Else():
            step(x=0)  # 1 of the two
        for number in range(21):
            step(x=number).set_caching_options(number % 2 == 0)  # 21
    with dsl.ParallelFor([1, 2, 3, 4, 5, 6, 7, 8]) as item:
        retried = flaky(x=item).set_retry(3)
        saved = save(x=retried.output)  # 16
    with dsl.ParallelFor([10, 20, 30], parallelism=2) as item:
        nested = inner(x=item)
        with dsl.ParallelFor([1, 2, 3]) as number:
            step(x=number, seed=seed)  # 15
    joined = join(files=dsl.Collected(saved.outputs["data"]))  # 1
    total = add(values=dsl.Collected(nested.output), seed=seed)  # 1
    return Totals(total.output, joined.outputs["data"])


def main(root: str, runner: str, seed: int, run: str | None) -> int:
    """Run or resume the pipeline, and return the exit code."""
    local.init(getattr(local, runner)(), root, enable_caching=True, quiet=True)
    try:
        task = chaos(seed=seed) if run is None else local.resume(run)
    except NoSuchRun:
        return 3
    except TaskFailed as error:
        sys.stderr.write(f"{error}\n")
        return 10
    with open(task.outputs["data"].path) as file:
        print(json.dumps({"total": task.outputs["total"], "data": file.read()}))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], sys.argv[2], int(sys.argv[3]), sys.argv[4] if len(sys.argv) > 4 else None))
