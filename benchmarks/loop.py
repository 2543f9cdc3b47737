"""A loop of tasks that import large packages, with the SubprocessRunner.

    python loop.py FOLDER REQUEST

The request is JSON: `work`, a function of `work.py`, and `arguments`, those of all tasks besides `number`; `packages`;
`loops`, the number of tasks of each loop, which run one after another; `threads`, the value of the usual variables, or
null; `max_parallel`, or null. Prints as JSON the seconds of each loop.
"""

from __future__ import annotations

import json
import sys
import time
from typing import Any

import work
from standpipe import dsl, local

THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")


def run_loop(component: Any, tasks: int, arguments: dict[str, Any], threads: int | None) -> float:
    """Return the seconds of a loop, from the call to its result."""

    @dsl.pipeline
    def loop() -> None:
        with dsl.ParallelFor(list(range(tasks))) as number:
            task = component(number=number, **arguments)
            for name in THREADS if threads else ():
                task.set_env_variable(name, str(threads))

    start = time.perf_counter()
    loop()
    return time.perf_counter() - start


def main(folder: str, request: dict[str, Any]) -> None:
    """Measure and print."""
    more = {"max_parallel": request["max_parallel"]} if request["max_parallel"] else {}
    local.init(local.SubprocessRunner(), folder, quiet=True, **more)
    component = dsl.component(getattr(work, request["work"]), packages_to_install=request["packages"])
    seconds = [run_loop(component, tasks, request["arguments"], request["threads"]) for tasks in request["loops"]]
    print(json.dumps({"seconds": seconds}))


if __name__ == "__main__":
    main(sys.argv[1], json.loads(sys.argv[2]))
