"""Rows of large pipelines."""

from __future__ import annotations

from functools import lru_cache
from statistics import median
from typing import Any, NamedTuple

from rows.row import Options, measured_row
from sides import MAX_RSS_PER_MB, Side, Sides

#: The sizes of loops, each ten times the one before; those of the SubprocessRunner take half an hour at full scale.
SIZES = (1_000, 10_000, 100_000)
SUBPROCESS_SIZES = (200, 2_000)


class Loops(NamedTuple):
    """Loops of increasing size: the median seconds of each, and the peak memory of the largest, in MB."""

    seconds: list[float]
    max_rss: float

    @property
    def growth(self) -> list[float]:
        """How many times as long each loop takes as the one before."""
        return [longer / shorter for shorter, longer in zip(self.seconds, self.seconds[1:], strict=False)]


@measured_row(
    "a recorded loop of 100,000 iterations, fake runner",
    "10.5 times 10,000, which are 10.5 times 1,000; 0.08 ms each; 400 MB",
)
def fake_loop(sides: Sides, options: Options) -> tuple[str, str, bool]:
    """Measure the scheduler and the run store with tasks that end as soon as they start."""
    loops = measure_loops(sides.standpipe, "scale.py", SIZES, 5)
    each = loops.seconds[-1] / SIZES[-1] * 1000
    measured = f"{_times(loops)}; {each:.3f} ms; {loops.max_rss:.0f} MB"
    return measured, "", max(loops.growth) <= 10.5 and each <= 0.08 and loops.max_rss < 400


@measured_row(
    "a loop of trivial tasks, `SubprocessRunner()`", "ten times the iterations: 10.5 times; main process: 400 MB"
)
def subprocess_loop(sides: Sides, options: Options) -> tuple[str, str, bool]:
    """Measure loops of trivial tasks in processes."""
    sizes, times = (SIZES, 1) if options.full_scale else (SUBPROCESS_SIZES, 3)
    loops = measure_loops(sides.standpipe, "trivial_loop.py", sizes, times)
    each = loops.seconds[-1] / sizes[-1] * 1000
    comparison = f"{sizes[-1]:,} iterations; " + ("once" if times == 1 else "`--full-scale`: 100,000")
    measured = f"{_times(loops)}; {each:.1f} ms; {loops.max_rss:.0f} MB"
    return measured, comparison, max(loops.growth) <= 10.5 and loops.max_rss < 400


@measured_row(
    "the scheduler: a loop of 10,000 iterations, and a pipeline of 2,000 tasks",
    "11 times a loop of 1,000; 0.3 ms a task; 250 MB",
)
def scale(sides: Sides, options: Options) -> tuple[str, str, bool]:
    """Measure the time and memory of the scheduler for a large loop with tasks that do nothing."""
    results = large_runs(sides)
    growth, stored_growth = (
        median(one["long"][what] / one["short"][what] for one in results) for what in ("bare", "stored")
    )
    each, stored_each = (
        median(max(one[size][what] / one[size]["tasks"] for size in ("long", "wide")) for one in results) * 1000
        for what in ("bare", "stored")
    )
    peak = max(one["max_rss"] for one in results) / MAX_RSS_PER_MB
    measured = f"{growth:.1f} times; {each:.2f} ms; {peak:.0f} MB"
    comparison = f"with the run store: {stored_growth:.1f} times; {stored_each:.2f} ms"
    return measured, comparison, growth <= 11 and each <= 0.3 and peak <= 250


@measured_row("what recording a task adds", "20 % of 5 ms")
def recording(sides: Sides, options: Options) -> tuple[str, str, bool]:
    """Measure what the run store adds to a task, compared with the 5 ms that a task may take."""
    added = median(
        max((one[size]["stored"] - one[size]["bare"]) / one[size]["tasks"] for size in ("long", "wide"))
        for one in large_runs(sides)
    )
    return f"{added * 1000:.2f} ms, {added / 0.005:.0%}", "", added <= 0.001


@measured_row("memory of the main process, pipeline of 1,000 tasks", "120 MB")
def memory(sides: Sides, options: Options) -> tuple[str, str, bool]:
    """Measure the peak memory of the main process, for a pipeline of 1,000 tasks."""
    peak = sides.standpipe.chains([1000]).max_rss
    return f"{peak:.0f} MB", "", peak < 120


@lru_cache(maxsize=1)
def large_runs(sides: Sides) -> list[dict[str, Any]]:
    """Return what `scale.py` measures, three times; several rows show it."""
    return [sides.standpipe.print_json("scale.py") for _ in range(3)]


def measure_loops(side: Side, script: str, sizes: tuple[int, ...], times: int) -> Loops:
    """Run a script for loops of these sizes, each in a process of its own, in turns."""
    rounds = [[side.print_json(script, str(size)) for size in sizes] for _ in range(times)]
    seconds = [median(one["seconds"] for one in column) for column in zip(*rounds, strict=True)]
    return Loops(seconds, max(one[-1]["max_rss"] for one in rounds) / MAX_RSS_PER_MB)


def _times(loops: Loops) -> str:
    return " and ".join(f"{growth:.1f}" for growth in reversed(loops.growth)) + " times"
