"""Rows of tasks in containers."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor

from rows.chains import one_more_task
from rows.row import Options, measured_row, milliseconds
from sides import Failed, Side, Sides, in_turns, scratch, time_command
from versions import IMAGE

#: The seconds of work of a chained task, and of a task in a loop.
CHAINED = 0.5
LOOPED = 0.2

LOOP = 20


@measured_row("one more trivial task in a chain, `DockerRunner()`", "1.25 times a bare `docker run`")
def docker_chain(sides: Sides, options: Options) -> tuple[str, str, bool]:
    """Measure one more task in a container, compared with `docker run` of the same image."""
    check_engine()
    seconds, bound = in_turns(5, lambda: one_more_task(sides.standpipe, 1, 5, "DockerRunner"), bare_docker)
    ratio = seconds / bound
    return f"{ratio:.2f} times ({milliseconds(seconds)})", f"`docker run`: {milliseconds(bound)}", ratio <= 1.25


@measured_row("one more task in a chain that works for 0.5 s, `DockerRunner()`", "0.5 s and 60 ms")
def docker_working_chain(sides: Sides, options: Options) -> tuple[str, str, bool]:
    """Measure one more task that works for a while, after the one before it has done so."""
    check_engine()
    seconds, bound = in_turns(5, lambda: working_task(sides.standpipe), bare_docker)
    over = seconds - CHAINED
    return f"0.5 s and {milliseconds(over)}", f"`docker run`: {milliseconds(bound)}", over <= 0.060


@measured_row("20 tasks of 0.2 s in a loop, two at once, `DockerRunner()`", "0.6 times the commit before")
def docker_loop(sides: Sides, options: Options) -> tuple[str, str, bool]:
    """Measure a loop of tasks in containers, compared with the commit before."""
    check_engine()
    seconds, base, bare = in_turns(
        5,
        lambda: docker_loop_seconds(sides.standpipe),
        lambda: docker_loop_seconds(sides.base),
        bare_docker_loop,
    )
    comparison = f"before: {base:.2f} s; `docker run`, two at once: {bare:.2f} s"
    return f"{seconds / base:.2f} times ({seconds:.2f} s)", comparison, seconds / base <= 0.6


def check_engine() -> None:
    """Raise an error unless there is a container engine with the image.

    Raises:
        Failed: if there is none.
    """
    try:
        bare_docker()
    except (Failed, FileNotFoundError) as problem:
        reason = str(problem).strip().splitlines()[-1]
        raise Failed(f"no Docker engine with {IMAGE}: {reason}") from problem


def working_task(side: Side) -> float:
    """Return the seconds that a task adds to a chain of tasks that work."""
    _, few, many = containers(side, "chain", CHAINED, 1, 2, 6)
    return (many - few) / 4


def docker_loop_seconds(side: Side) -> float:
    """Return the seconds of a loop of tasks that work, after a small one."""
    return containers(side, "loop", LOOPED, 2, LOOP)[-1]


def containers(side: Side, shape: str, seconds: float, *sizes: int) -> list[float]:
    """Return the seconds of chains or loops of these sizes; see `containers.py`."""
    measured: list[float] = side.print_json("containers.py", shape, str(seconds), *map(str, sizes))["seconds"]
    return measured


def bare_docker(code: str = "pass") -> float:
    """Return the seconds of a `docker run` of a line of Python."""
    with scratch() as folder:
        return time_command(["docker", "run", "--rm", IMAGE, "python3", "-c", code], folder)


def bare_docker_loop() -> float:
    """Return the seconds of the work of the loop by `docker run`, two at once."""
    work = f"import time; time.sleep({LOOPED})"
    start = time.perf_counter()
    with ThreadPoolExecutor(2) as pool:
        list(pool.map(bare_docker, [work] * LOOP))
    return time.perf_counter() - start
