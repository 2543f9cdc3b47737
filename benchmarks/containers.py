"""Tasks that wait for a while, in containers.

    python containers.py FOLDER chain|loop SECONDS TASKS [TASKS ...]

Runs a chain, or a loop with two tasks at once, of each number of tasks. Prints as JSON the seconds of each.
"""

from __future__ import annotations

import json
import sys
import time
from typing import Any

from standpipe import dsl, local
from versions import IMAGE


@dsl.component(base_image=IMAGE)
def wait(seconds: float, number: int) -> int:
    """Wait, and return the next number."""
    import time

    time.sleep(seconds)
    return number + 1


def run_chain(seconds: float, tasks: int) -> Any:
    """Run tasks one after another, each with the output of the previous one."""

    @dsl.pipeline
    def chain() -> int:
        task = wait(seconds=seconds, number=0)
        for _ in range(tasks - 1):
            task = wait(seconds=seconds, number=task.output)
        return task.output  # type: ignore[no-any-return]

    assert chain().output == tasks


def run_loop(seconds: float, tasks: int) -> Any:
    """Run tasks in a loop."""

    @dsl.pipeline
    def loop() -> None:
        with dsl.ParallelFor(list(range(tasks))) as number:
            wait(seconds=seconds, number=number)

    loop()


def main(folder: str, shape: str, seconds: float, sizes: list[int]) -> None:
    """Measure and print."""
    local.init(local.DockerRunner(), folder, quiet=True, max_parallel=2)
    run, measured = {"chain": run_chain, "loop": run_loop}[shape], []
    for tasks in sizes:
        start = time.perf_counter()
        run(seconds, tasks)
        measured.append(time.perf_counter() - start)
    print(json.dumps({"seconds": measured}))


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], float(sys.argv[3]), list(map(int, sys.argv[4:])))
