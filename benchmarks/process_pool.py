"""The same work as a loop of tasks with pandas and scikit-learn, without a pipeline.

    python process_pool.py FOLDER TASKS pool|forks

`pool` is a pool of two workers that have imported both packages and fitted models, and that keep what earlier tasks
have left in them. `forks` is the lower bound of tasks that have a process each: a process that has imported all that a
task imports, also what the packages import when they are called, forks for each task, two at once. Prints as JSON the
seconds of the tasks. The number of threads is that of the variables which the packages read.
"""

from __future__ import annotations

import json
import os
import sys
import time
from concurrent.futures import ProcessPoolExecutor
from importlib import import_module

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
    with ProcessPoolExecutor(1) as other:
        names = other.submit(_list_imports).result()
    for name in names:
        import_module(name)
    _fork_all(4)
    start = time.perf_counter()
    _fork_all(tasks)
    return time.perf_counter() - start


def _list_imports() -> list[str]:
    """Return the modules that a task imports, in their order."""
    before = set(sys.modules)
    fit_iris(0)
    return [name for name, module in sys.modules.items() if name not in before and hasattr(module, "__spec__")]


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
