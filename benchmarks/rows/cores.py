"""The row of tasks that use all cores."""

from __future__ import annotations

import os
from functools import partial

from rows.imports import run_loop
from rows.row import Options, measured_row
from sides import BENCHMARKS, Sides, in_turns
from versions import SCIENCE

TASKS = 16

#: The seconds of each task, alone and with one thread.
SECONDS = 1.0

#: The multiplications that are timed to find out how many a task does.
_TRIAL = 30


@measured_row(
    "16 tasks at once of 1 s of matrix products each, default settings, `SubprocessRunner()`",
    "1.1 times the best of all settings of parallelism and threads",
)
def blas(sides: Sides, options: Options) -> tuple[str, str, bool]:
    """Measure the default settings, compared with the best of a grid, which is found by trying each once."""
    repeats = count_products(sides)
    run = partial(run_loop, sides.standpipe, "multiply", SCIENCE, (2, TASKS), arguments={"repeats": repeats})
    cores = os.cpu_count() or 1
    grid = {(parallel, threads) for parallel in (1, cores, TASKS) for threads in (1, cores)} - {(1, 1)}
    trials = {setting: run(max_parallel=setting[0], threads=setting[1]) for setting in sorted(grid)}
    parallel, threads = min(trials, key=lambda setting: trials[setting])
    seconds, best = in_turns(5, run, lambda: run(max_parallel=parallel, threads=threads))
    ratio = seconds / best
    comparison = (
        f"best: {best:.1f} s with {parallel} at once and {threads} threads; worst: {max(trials.values()):.1f} s"
    )
    return f"{ratio:.2f} times ({seconds:.1f} s)", comparison, ratio <= 1.1


def count_products(sides: Sides) -> int:
    """Return how many products of `work.multiply` take a second with one thread."""
    side = sides.peers.with_environment(OMP_NUM_THREADS="1", OPENBLAS_NUM_THREADS="1", PYTHONPATH=str(BENCHMARKS))
    code = "import work; work.multiply(0, {})"
    few, many = in_turns(3, lambda: side.time_code(code.format(1)), lambda: side.time_code(code.format(1 + _TRIAL)))
    return max(1, round(SECONDS * _TRIAL / (many - few)))
