"""Run chains of tasks in this process, without and with many objects of a program that has nothing to do with them.

Arguments: a pipeline root, and the number of objects. Prints JSON: the seconds of one task, in the median of turns.
"""

from __future__ import annotations

import json
import sys
import time
from statistics import median

from standpipe import dsl, local

TASKS = 20
TURNS = 5


@dsl.component
def step(x: int) -> int:
    """Return the next number."""
    return x + 1


@dsl.pipeline
def chain(x: int) -> int:
    """Count."""
    task = step(x=x)
    for _ in range(TASKS - 1):
        task = step(x=task.output)
    return task.output  # type: ignore[no-any-return]


def seconds_of_task() -> float:
    """Return the seconds of one task of a chain."""
    start = time.perf_counter()
    assert chain(x=0).output == TASKS
    return (time.perf_counter() - start) / TASKS


def main() -> None:
    """Measure after a chain that imports all that is needed."""
    local.init(local.InProcessRunner(), pipeline_root=sys.argv[1], quiet=True)
    seconds_of_task()
    alone = median(seconds_of_task() for _ in range(TURNS))
    others = [[number] for number in range(int(sys.argv[2]))]
    among = median(seconds_of_task() for _ in range(TURNS))
    assert others
    print(json.dumps({"alone": alone, "among": among}))


if __name__ == "__main__":
    main()
