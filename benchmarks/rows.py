"""The rows of the table: what is measured, what it is compared with, and the target."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

from sides import MAX_RSS_PER_MB, Failed, Side, Sides, in_turns, scratch, time_command

FORK_SERVER = Path(__file__).resolve().parent / "fork_server.py"
LARGE_PARAMETER = Path(__file__).resolve().parent / "large_parameter.py"
RESUME_AND_CACHE = Path(__file__).resolve().parent / "resume_and_cache.py"
SCALE = Path(__file__).resolve().parent / "scale.py"
IMAGE = "python:3.11"
SCIENCE = ("pandas", "scikit-learn")


class Row(NamedTuple):
    """One row of the table, as text, and whether the target was met."""

    what: str
    target: str
    measured: str
    comparison: str
    met: bool


def seed(sides: Sides) -> Row:
    """Measure the documentation's first example, a component and a pipeline of two tasks, as a whole process."""
    kfp = sides.kfp
    assert kfp, "a quick run has no such row"
    sides.standpipe.time_program("seed.py")  # fills the caches
    seconds, kfp_seconds = in_turns(
        3, lambda: sides.standpipe.time_program("seed.py"), lambda: kfp.time_program("seed.py")
    )
    return Row(
        "the documentation's first example, whole process, `SubprocessRunner()`",
        "60 times faster than kfp.local",
        f"{kfp_seconds / seconds:.0f} times ({seconds:.3f} s)",
        f"kfp.local: {kfp_seconds:.1f} s",
        kfp_seconds / seconds >= 60,
    )


def chain(sides: Sides) -> Row:
    """Measure one more task in a chain, compared with a bare fork server."""
    seconds, bound = in_turns(5, lambda: one_more_task(sides.standpipe, 10, 110), bare_fork)
    comparison = f"bare fork server: {bound * 1000:.1f} ms"
    if sides.kfp:
        comparison += f"; kfp.local: {one_more_task(sides.kfp, 1, 3) * 1000:.0f} ms"
    return Row(
        "one more trivial task in a chain, `SubprocessRunner()`",
        "5 ms, and 3 times a bare fork server's",
        f"{seconds * 1000:.1f} ms, {seconds / bound:.1f} times",
        comparison,
        seconds <= 0.005 and seconds / bound <= 3,
    )


def import_time(sides: Sides) -> Row:
    """Measure the import, less the time of a bare interpreter."""
    code = "from {} import dsl, local"
    seconds, bare = in_turns(
        15,
        lambda: sides.standpipe.time_code(code.format("standpipe")),
        lambda: sides.standpipe.time_code("pass"),
    )
    comparison = f"bare interpreter: {bare * 1000:.0f} ms"
    if kfp := sides.kfp:
        kfp_seconds, kfp_bare = in_turns(5, lambda: kfp.time_code(code.format("kfp")), lambda: kfp.time_code("pass"))
        comparison += f"; kfp: {(kfp_seconds - kfp_bare) * 1000:.0f} ms"
    return Row(
        "`from standpipe import dsl, local`",
        "60 ms over a bare interpreter",
        f"{(seconds - bare) * 1000:.0f} ms",
        comparison,
        seconds - bare <= 0.060,
    )


def docker_chain(sides: Sides) -> Row:
    """Measure one more task in a container, compared with `docker run` of the same image."""
    what, target = "one more trivial task, `DockerRunner()`", "1.25 times a bare `docker run`"
    try:
        bare_docker()  # also checks that there is an engine with the image
    except (Failed, FileNotFoundError) as problem:
        return Row(what, target, "not measured", f"no Docker engine with {IMAGE}: {last_line(problem)}", False)
    seconds, bound = in_turns(5, lambda: one_more_task(sides.standpipe, 1, 5, "DockerRunner"), bare_docker)
    return Row(
        what,
        target,
        f"{seconds / bound:.2f} times ({seconds * 1000:.0f} ms)",
        f"`docker run`: {bound * 1000:.0f} ms",
        seconds / bound <= 1.25,
    )


def build(sides: Sides) -> Row:
    """Measure the first task in an environment that must be built from packages in uv's cache."""
    first_task(sides)  # downloads the packages
    (seconds,) = in_turns(3, lambda: first_task(sides))
    return Row(
        "first task with pandas and scikit-learn: environment built, wheels cached",
        "3 s, as packages are copied where the file system cannot clone them",
        f"{seconds:.2f} s",
        "",
        seconds <= 3,
    )


def next_task(sides: Sides) -> Row:
    """Measure each later task in that environment."""
    (seconds,) = in_turns(3, lambda: one_more_task(sides.standpipe, 10, 60, packages=SCIENCE))
    return Row("every next task in that environment", "10 ms", f"{seconds * 1000:.1f} ms", "", seconds <= 0.010)


def memory(sides: Sides) -> Row:
    """Measure the peak memory of the main process, for a pipeline of 1,000 tasks."""
    peak = sides.standpipe.chains([1000]).max_rss
    return Row("memory of the main process, pipeline of 1,000 tasks", "120 MB", f"{peak:.0f} MB", "", peak < 120)


def scale(sides: Sides) -> Row:
    """Measure the time and memory of the scheduler for a large loop with tasks that do nothing."""
    results = [large_runs(sides.standpipe) for _ in range(3)]
    growth, stored_growth = (
        median(one["long"][what] / one["short"][what] for one in results) for what in ("bare", "stored")
    )
    each, stored_each = (
        median(max(one[size][what] / one[size]["tasks"] for size in ("long", "wide")) for one in results) * 1000
        for what in ("bare", "stored")
    )
    peak = max(one["max_rss"] for one in results)
    return Row(
        "the scheduler: a loop of 10,000 iterations, and a pipeline of 2,000 tasks",
        "11 times a loop of 1,000; 0.3 ms a task; 250 MB",
        f"{growth:.1f} times; {each:.2f} ms; {peak:.0f} MB",
        f"with the run store: {stored_growth:.1f} times; {stored_each:.2f} ms",
        growth <= 11 and each <= 0.3 and peak <= 250,
    )


def recording(sides: Sides) -> Row:
    """Measure what the run store adds to a task, compared with the 5 ms that a task may take."""
    results = [large_runs(sides.standpipe) for _ in range(3)]
    added = median(
        max((one[size]["stored"] - one[size]["bare"]) / one[size]["tasks"] for size in ("long", "wide"))
        for one in results
    )
    return Row(
        "what recording a task adds", "20 % of 5 ms", f"{added * 1000:.2f} ms, {added / 0.005:.0%}", "", added <= 0.001
    )


def large_parameter(sides: Sides) -> Row:
    """Measure the time and the memory of the main process for a parameter of 100 MB that one task passes to another."""
    with scratch() as folder:
        command = [str(sides.standpipe.python), str(LARGE_PARAMETER), str(folder)]
        done = subprocess.run(
            command, capture_output=True, text=True, check=True, env=dict(sides.standpipe.environment)
        )
    measured = json.loads(done.stdout)
    seconds, peak = measured["seconds"], measured["max_rss"] / MAX_RSS_PER_MB
    return Row(
        "a parameter of 100 MB that one task passes to another",
        "2 s; 350 MB in the main process",
        f"{seconds:.2f} s; {peak:.0f} MB",
        "",
        seconds <= 2 and peak <= 350,
    )


def resume_and_cache(sides: Sides) -> Row:
    """Measure the resuming of a large run, and of a run whose tasks are all cached."""
    with scratch() as folder:
        command = [str(sides.standpipe.python), str(RESUME_AND_CACHE), str(folder)]
        done = subprocess.run(
            command, capture_output=True, text=True, check=True, env=dict(sides.standpipe.environment)
        )
    seconds: dict[str, float] = json.loads(done.stdout)
    return Row(
        "resuming a run of 10,000 finished tasks; a run of 1,000 tasks that are all cached",
        "2 s; 1 s",
        f"{seconds['resume']:.2f} s; {seconds['cached']:.2f} s",
        f"checksum of 2 GB: {seconds['checksum']:.2f} s; a bare SHA-256 of it: {seconds['sha256']:.2f} s",
        seconds["resume"] <= 2 and seconds["cached"] <= 1,
    )


def one_more_task(
    side: Side, short: int, long: int, runner: str = "SubprocessRunner", packages: tuple[str, ...] = ()
) -> float:
    """Return the seconds that a task adds to a chain: the slope between a short and a long chain, after a warm-up."""
    _, few, many = side.chains([1, short, long], runner, packages).seconds
    return (many - few) / (long - short)


def bare_fork() -> float:
    """Return the seconds of one task of the bare fork server."""
    tasks = 100
    with scratch() as folder:
        command = [sys.executable, str(FORK_SERVER), str(tasks), str(folder)]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
    return float(done.stdout) / tasks


def large_runs(side: Side) -> dict[str, Any]:
    """Return what `scale.py` measures, with its memory in MB."""
    with scratch() as folder:
        command = [str(side.python), str(SCALE), str(folder)]
        done = subprocess.run(command, capture_output=True, text=True, check=True, env=dict(side.environment))
    result: dict[str, Any] = json.loads(done.stdout)
    return {**result, "max_rss": result["max_rss"] / MAX_RSS_PER_MB}


def bare_docker() -> float:
    """Return the seconds of a `docker run` that does nothing."""
    with scratch() as folder:
        return time_command(["docker", "run", "--rm", IMAGE, "python3", "-c", "pass"], folder)


def first_task(sides: Sides) -> float:
    """Return the seconds of a task if Standpipe has not built its environment yet."""
    with scratch(within=sides.cache.parent) as empty:
        return sides.standpipe.with_environment(STANDPIPE_CACHE=str(empty)).chains([1], packages=SCIENCE).seconds[0]


def last_line(problem: Exception) -> str:
    """Return the last line of an error's message."""
    return str(problem).strip().splitlines()[-1]
