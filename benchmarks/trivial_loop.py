"""A loop of trivial tasks with the SubprocessRunner.

    python trivial_loop.py FOLDER ITERATIONS

Prints as JSON the seconds from the call to its result, and the peak memory of the main process (`max_rss`).
"""

from __future__ import annotations

import json
import resource
import sys
import time

from standpipe import dsl, local


@dsl.component
def step(x: int) -> int:
    """Return the next number."""
    return x + 1


def run_loop(iterations: int) -> float:
    """Return the seconds of a loop."""

    @dsl.pipeline
    def loop() -> None:
        with dsl.ParallelFor(list(range(iterations))) as number:
            step(x=number)

    start = time.perf_counter()
    loop()
    return time.perf_counter() - start


def main(folder: str, iterations: int) -> None:
    """Measure the second run, whose fork server has started."""
    local.init(local.SubprocessRunner(), folder, quiet=True)
    run_loop(10)
    seconds = run_loop(iterations)
    print(json.dumps({"seconds": seconds, "max_rss": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss}))


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
