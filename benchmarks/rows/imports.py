"""Rows of tasks that import large packages."""

from __future__ import annotations

import json
from collections.abc import Sequence

from memory import peak_memory
from rows.row import Options, measured_row
from sides import Side, Sides, in_turns, scratch
from versions import SCIENCE, TORCH

#: A small loop, in which Standpipe sees what the tasks import and imports it ahead, and the loop that is measured.
SCIENCE_LOOPS = (4, 16)
TORCH_LOOPS = (4, 8)

#: The tasks at once whose memory is measured, and the seconds for which each keeps what it has.
AT_ONCE = 8
HOLD = 1.0


@measured_row(
    "a loop of 16 tasks that import pandas and scikit-learn and fit a logistic regression, `SubprocessRunner()`",
    "20 times faster than the commit before; 2.5 times a pool of 2 workers that have imported already",
)
def science_loop(sides: Sides, options: Options) -> tuple[str, str, bool]:
    """Measure tasks with pandas and scikit-learn, compared with the commit before and with a process pool."""
    for side in (sides.standpipe, sides.base):
        run_loop(side, "fit_iris", SCIENCE, (1,))  # builds the environment
    seconds, base, one_thread, default_threads, forks = in_turns(
        5,
        lambda: run_loop(sides.standpipe, "fit_iris", SCIENCE, SCIENCE_LOOPS),
        lambda: run_loop(sides.base, "fit_iris", SCIENCE, SCIENCE_LOOPS),
        *(lambda threads=threads: run_pool(sides.peers, "pool", threads) for threads in (1, None)),
        lambda: run_pool(sides.peers, "forks", 1),
    )
    pool = min(one_thread, default_threads)
    comparison = (
        f"before: {base:.2f} s; pool: {one_thread:.2f} s with one thread each, else {default_threads:.2f} s; "
        f"a bare fork for each task: {forks:.2f} s, {forks / pool:.1f} times the pool"
    )
    faster, slower = base / seconds, seconds / pool
    return f"{faster:.1f} times; {slower:.1f} times ({seconds:.2f} s)", comparison, faster >= 20 and slower <= 2.5


@measured_row(
    "a loop of 8 tasks that import torch and train a network for one step, `SubprocessRunner()`",
    "8 times faster than the commit before",
)
def torch_loop(sides: Sides, options: Options) -> tuple[str, str, bool]:
    """Measure tasks with torch, compared with the commit before."""
    for side in (sides.standpipe, sides.base):
        run_loop(side, "train_step", TORCH, (1,))
    seconds, base = in_turns(
        5,
        lambda: run_loop(sides.standpipe, "train_step", TORCH, TORCH_LOOPS),
        lambda: run_loop(sides.base, "train_step", TORCH, TORCH_LOOPS),
    )
    return f"{base / seconds:.1f} times ({seconds:.2f} s)", f"before: {base:.2f} s", base / seconds >= 8


@measured_row("peak memory of all processes (PSS), 8 of the pandas tasks at once", "half of the commit before")
def science_memory(sides: Sides, options: Options) -> tuple[str, str, bool]:
    """Measure the memory of a loop whose tasks are all in memory at once, compared with the commit before."""
    peak, base = in_turns(5, lambda: measure_memory(sides.standpipe), lambda: measure_memory(sides.base))
    return f"{peak / base:.2f} times ({peak:.0f} MB)", f"before: {base:.0f} MB", peak / base <= 0.5


def run_loop(
    side: Side,
    work: str,
    packages: Sequence[str],
    loops: Sequence[int],
    *,
    arguments: dict[str, float] | None = None,
    threads: int | None = None,
    max_parallel: int | None = None,
) -> float:
    """Return the seconds of the last of these loops, which run in one process; see `loop.py`."""
    request = loop_request(work, packages, loops, arguments, threads, max_parallel)
    return float(side.print_json("loop.py", request)["seconds"][-1])


def loop_request(
    work: str,
    packages: Sequence[str],
    loops: Sequence[int],
    arguments: dict[str, float] | None = None,
    threads: int | None = None,
    max_parallel: int | None = None,
) -> str:
    """Return the request of `loop.py`, as JSON."""
    request = {"work": work, "arguments": arguments or {}, "packages": packages, "loops": loops}
    return json.dumps({**request, "threads": threads, "max_parallel": max_parallel})


def run_pool(peers: Side, kind: str, threads: int | None) -> float:
    """Return the seconds of the same tasks without a pipeline; see `process_pool.py`."""
    side = peers.with_environment(OMP_NUM_THREADS=str(threads), OPENBLAS_NUM_THREADS=str(threads)) if threads else peers
    return float(side.print_json("process_pool.py", str(SCIENCE_LOOPS[-1]), kind)["seconds"])


def measure_memory(side: Side) -> float:
    """Return the peak memory of a loop of tasks that are all in memory at once, in MB."""
    request = loop_request("fit_iris", SCIENCE, (4, AT_ONCE), {"hold": HOLD}, max_parallel=AT_ONCE)
    with scratch() as folder:
        return peak_memory(side.command("loop.py", str(folder), request), folder, side.environment)
