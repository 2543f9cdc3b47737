"""Run pipelines in the main process and in processes of `multiprocessing`, which import this script again.

python -m tests.forks.workers ROOT METHOD
"""

from __future__ import annotations

import multiprocessing
import sys
import threading
import warnings
from concurrent.futures import ProcessPoolExecutor
from typing import Any

from tests.forks.pipelines import run


def main(root: str, method: str) -> None:
    warnings.simplefilter("ignore", DeprecationWarning)  # that a process with threads should not fork
    context: Any = multiprocessing.get_context(method)
    assert run(root, 0) == 2
    outputs: list[int] = []
    beside = threading.Thread(target=lambda: outputs.extend(run(root, number) for number in range(3)))
    beside.start()
    process = context.Process(target=run, args=(root, 1), daemon=True)
    process.start()
    with ProcessPoolExecutor(2, mp_context=context) as executor, context.Pool(2) as pool:
        assert list(executor.map(run, [root] * 3, range(3))) == [2, 3, 4]
        assert pool.starmap(run, [(root, number) for number in range(3)]) == [2, 3, 4]
    process.join(60)
    assert process.exitcode == 0
    beside.join(60)
    assert outputs == [2, 3, 4]
    assert run(root, 5) == 7


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2])
