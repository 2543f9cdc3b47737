"""The same work as a loop of tasks with pandas and scikit-learn, in a pool of two workers that have imported both.

    python process_pool.py FOLDER TASKS

Prints as JSON the seconds of the tasks. The number of threads is that of the variables which the packages read.
"""

from __future__ import annotations

import json
import sys
import time
from concurrent.futures import ProcessPoolExecutor

from work import fit_iris


def main(tasks: int) -> None:
    """Measure a second loop, in which both workers have fitted models."""
    with ProcessPoolExecutor(2) as pool:
        list(pool.map(fit_iris, range(4)))
        start = time.perf_counter()
        list(pool.map(fit_iris, range(tasks)))
        print(json.dumps({"seconds": time.perf_counter() - start}))


if __name__ == "__main__":
    main(int(sys.argv[2]))
