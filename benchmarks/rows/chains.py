"""Rows of chained tasks with the SubprocessRunner."""

from __future__ import annotations

import os
import subprocess
import sys

from rows.row import Options, measured_row, milliseconds
from sides import BENCHMARKS, MAX_RSS_PER_MB, Side, Sides, busy_cores, in_turns, scratch
from versions import SCIENCE


@measured_row("one more trivial task in a chain, `SubprocessRunner()`", "1.0 times a bare fork server's")
def chain(sides: Sides, options: Options) -> tuple[str, str, bool]:
    """Measure one more task in a chain, compared with a bare fork server."""
    seconds, bound = in_turns(5, lambda: one_more_task(sides.standpipe, 10, 110), bare_fork)
    comparison = f"bare fork server: {milliseconds(bound)}"
    if not options.quick:
        comparison += f"; kfp.local: {milliseconds(one_more_task(sides.kfp, 1, 3))}"
    return f"{seconds / bound:.2f} times ({milliseconds(seconds)})", comparison, seconds <= bound


@measured_row("the same while another program keeps each core busy", "1.0 times a bare fork server's")
def chain_on_busy_cores(sides: Sides, options: Options) -> tuple[str, str, bool]:
    """Measure one more task in a chain, compared with a bare fork server, on a machine that has other work."""
    short, long = (5, 30) if options.quick else (10, 110)
    with busy_cores():
        seconds, bound = in_turns(
            5, lambda: one_more_task(sides.standpipe, short, long), lambda: bare_fork(long - short)
        )
    comparison = f"bare fork server: {milliseconds(bound)}; {os.cpu_count()} busy cores"
    return f"{seconds / bound:.2f} times ({milliseconds(seconds)})", comparison, seconds <= bound


@measured_row(
    "first task with pandas and scikit-learn: environment built, wheels cached",
    "3 s, as packages are copied where the file system cannot clone them",
)
def build(sides: Sides, options: Options) -> tuple[str, str, bool]:
    """Measure the first task in an environment that must be built from packages in uv's cache."""
    first_task(sides)  # downloads the packages
    (seconds,) = in_turns(3, lambda: first_task(sides))
    return f"{seconds:.2f} s", "", seconds <= 3


@measured_row("every next trivial task in that environment", "10 ms")
def next_task(sides: Sides, options: Options) -> tuple[str, str, bool]:
    """Measure each later task in that environment."""
    (seconds,) = in_turns(5, lambda: one_more_task(sides.standpipe, 10, 60, packages=SCIENCE))
    return milliseconds(seconds), "", seconds <= 0.010


@measured_row(
    "one more trivial task in a chain, `InProcessRunner()`, in a program of 500,000 objects", "1.5 times without these"
)
def in_process_chain(sides: Sides, options: Options) -> tuple[str, str, bool]:
    """Measure one more task in the process of its caller, compared with a program that has nothing else in memory."""
    runner, side = "InProcessRunner", sides.standpipe
    seconds, alone = in_turns(
        5,
        lambda: one_more_task(side, 10, 60, runner, objects=500_000),
        lambda: one_more_task(side, 10, 60, runner),
    )
    return (
        f"{seconds / alone:.2f} times ({milliseconds(seconds)})",
        f"without: {milliseconds(alone)}",
        seconds <= 1.5 * alone,
    )


@measured_row("a parameter of 100 MB that one task passes to another", "2 s; 350 MB in the main process")
def large_parameter(sides: Sides, options: Options) -> tuple[str, str, bool]:
    """Measure the time and the memory of the main process for a parameter of 100 MB that one task passes to another."""
    result = sides.standpipe.print_json("large_parameter.py")
    seconds, peak = result["seconds"], result["max_rss"] / MAX_RSS_PER_MB
    return f"{seconds:.2f} s; {peak:.0f} MB", "", seconds <= 2 and peak <= 350


def one_more_task(
    side: Side,
    short: int,
    long: int,
    runner: str = "SubprocessRunner",
    packages: tuple[str, ...] = (),
    objects: int = 0,
) -> float:
    """Return the seconds that a task adds to a chain: the slope between a short and a long chain, after a warm-up."""
    _, few, many = side.chains([1, short, long], runner, packages, objects).seconds
    return (many - few) / (long - short)


def bare_fork(tasks: int = 100) -> float:
    """Return the seconds of one task of the bare fork server."""
    with scratch() as folder:
        command = [sys.executable, str(BENCHMARKS / "fork_server.py"), str(tasks), str(folder)]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
    return float(done.stdout) / tasks


def first_task(sides: Sides) -> float:
    """Return the seconds of a task if Standpipe has not built its environment yet."""
    with scratch(within=sides.cache.parent) as empty:
        return sides.standpipe.with_environment(STANDPIPE_CACHE=str(empty)).chains([1], packages=SCIENCE).seconds[0]
