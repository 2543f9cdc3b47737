"""Measure tasks on a new Ray cluster of this machine: ray_tasks.py TASKS. Prints seconds as JSON.

It needs an environment with Ray: see rows/ray.py.
"""

from __future__ import annotations

import json
import statistics
import sys
import tempfile
import time

from standpipe import dsl, local
from standpipe.dsl.base_component import BaseComponent

#: How many single calls are measured.
_CALLS = 10


@dsl.component
def square(x: int) -> int:
    return x * x


def chain(length: int) -> BaseComponent:
    """Return a pipeline of so many tasks, one after another."""

    @dsl.pipeline(name=f"chain-{length}")
    def pipeline() -> None:
        last = square(x=1)
        for _ in range(length - 1):
            last = square(x=last.output)

    return pipeline


def loop(length: int) -> BaseComponent:
    """Return a pipeline with a loop of so many iterations."""

    @dsl.pipeline(name=f"loop-{length}")
    def pipeline() -> None:
        with dsl.ParallelFor(list(range(length))) as x:
            square(x=x)

    return pipeline


def seconds_of(pipeline: BaseComponent, runner: local.RayRunner) -> float:
    """Run a pipeline, and return how long it took."""
    with tempfile.TemporaryDirectory() as root:
        start = time.perf_counter()
        local.run(pipeline, {}, runner=runner, pipeline_root=root, quiet=True, enable_caching=False)
        return time.perf_counter() - start


def plain_call() -> float:
    """Return how long a call of Ray takes in a process that no other call has used."""
    import ray  # where this program runs only

    def square_there(x: int) -> int:
        return x * x

    call = ray.remote(max_calls=1)(square_there)
    times = []
    for number in range(_CALLS):
        start = time.perf_counter()
        ray.get(call.remote(number))
        times.append(time.perf_counter() - start)
    return statistics.median(times)


def main() -> None:
    runner = local.RayRunner("local", use_venv=False)
    seconds_of(chain(2), runner)  # the cluster is warm then
    task = (seconds_of(chain(_CALLS + 1), runner) - seconds_of(chain(1), runner)) / _CALLS
    print(json.dumps({"task": task, "plain": plain_call(), "loop": seconds_of(loop(int(sys.argv[1])), runner)}))


if __name__ == "__main__":
    main()
