"""The same work as a loop of tasks with pandas and scikit-learn, without a pipeline.

    python process_pool.py FOLDER TASKS pool|forks

`pool` is a pool of two workers that have imported both packages and fitted models, and that keep what earlier tasks
have left in them. `forks` is the lower bound of tasks that have a process each: a process that has imported both forks
for each task, two at once. Prints as JSON the seconds of the tasks. The number of threads is that of the variables
which the packages read.
"""

from __future__ import annotations

import json
import os
import sys
import time
from concurrent.futures import ProcessPoolExecutor

from work import fit_iris


def run_pool(tasks: int) -> float:
    """Return the seconds of a second loop, in which both workers have fitted models."""
    with ProcessPoolExecutor(2) as pool:
        list(pool.map(fit_iris, range(4)))
        start = time.perf_counter()
        list(pool.map(fit_iris, range(tasks)))
        return time.perf_counter() - start


def run_forks(tasks: int) -> float:
    """Return the seconds of tasks that are forked from this process, after their imports."""
    import pandas as pd  # noqa: F401
    from sklearn.datasets import load_iris  # noqa: F401
    from sklearn.linear_model import LogisticRegression  # noqa: F401

    _fork_all(4)
    start = time.perf_counter()
    _fork_all(tasks)
    return time.perf_counter() - start


def _fork_all(tasks: int, at_once: int = 2) -> None:
    for number in range(tasks):
        if number >= at_once:
            _wait()
        if os.fork() == 0:
            fit_iris(number)
            os._exit(0)
    for _ in range(min(tasks, at_once)):
        _wait()


def _wait() -> None:
    _, status = os.wait()
    assert status == 0, "a task has failed"


if __name__ == "__main__":
    measure = {"pool": run_pool, "forks": run_forks}[sys.argv[3]]
    print(json.dumps({"seconds": measure(int(sys.argv[2]))}))
