"""Pipelines that are killed at random moments. Each has an input `seed`, and outputs that are known in advance.

A task with an input `effects` appends its name to that file at its end: what it does outside of the run.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from standpipe import dsl
from standpipe.dsl import Dataset, Input, Output

NAME = dsl.PIPELINE_TASK_NAME_PLACEHOLDER


class Totals(NamedTuple):
    total: int
    data: Dataset


@dsl.component
def step(x: int, seed: int = 0) -> int:
    import time

    time.sleep((x * 7 + seed) % 11 / 1000)
    return (x * 31 + 7) % 1009


@dsl.component
def act(x: int, effects: str, name: str) -> int:
    import time

    time.sleep(x % 7 / 100)
    with open(effects, "a") as file:
        file.write(f"{name}\n")
    return (x * 31 + 7) % 1009


@dsl.component
def flaky(x: int) -> int:
    import os
    import subprocess
    import sys

    # Standpipe must kill the processes that a task leaves running.
    subprocess.Popen([sys.executable, "-c", "import time; time.sleep(300)"], start_new_session=True)
    if os.environ["KFP_RETRY_INDEX"] == "0":
        raise RuntimeError("not at first")
    return x + 1


@dsl.component
def act_at_last(x: int, failures: int, effects: str, name: str) -> int:
    import os

    with open(effects, "a") as file:
        file.write(f"{name}\n")
    if int(os.environ["KFP_RETRY_INDEX"]) < failures:
        raise RuntimeError("not yet")
    return x + 1


@dsl.component
def save(x: int, data: Output[Dataset]) -> None:
    import time

    with open(data.path, "w") as file:
        for number in range(200):
            file.write(f"{x + number}\n")
            if number == 100:
                file.flush()
                time.sleep(0.002)
    data.metadata["x"] = x


@dsl.component
def pick(number: int, source: Input[Dataset], effects: str, name: str, data: Output[Dataset]) -> None:
    with open(source.path) as file:
        lines = file.readlines()
    with open(data.path, "w") as file:
        file.write(lines[number] * 1000)
    with open(effects, "a") as file:
        file.write(f"{name}\n")


@dsl.component
def add(values: list, seed: int) -> int:
    return sum(values) + seed


@dsl.component
def join(files: Input[list[Dataset]], data: Output[Dataset]) -> int:
    lines = 0
    with open(data.path, "w") as file:
        for each in files:
            with open(each.path) as part:
                for line in part:
                    file.write(line)
                    lines += 1
    return lines


@dsl.component
def tidy(status: dsl.PipelineTaskFinalStatus) -> str:
    return status.state


@dsl.component
def tidy_up(status: dsl.PipelineTaskFinalStatus, effects: str, name: str) -> str:
    with open(effects, "a") as file:
        file.write(f"{name}\n")
    assert status.state == "SUCCEEDED", status
    return status.state


@dsl.pipeline
def inner(x: int) -> int:
    first = step(x=x)
    return step(x=first.output).output


@dsl.pipeline
def mixed(seed: int, effects: str) -> Totals:
    """60 tasks with something of everything."""
    with dsl.ExitHandler(tidy()):  # 1
        before = step(x=1, seed=seed)
        for _ in range(3):
            before = step(x=before.output, seed=seed)  # 4
        with dsl.If(before.output > 0):
            step(x=before.output)
        with dsl.Else():
            step(x=0)  # 1 of the two
        for number in range(21):
            step(x=number).set_caching_options(number % 2 == 0)  # 21
    with dsl.ParallelFor([1, 2, 3, 4, 5, 6, 7, 8]) as item:
        retried = flaky(x=item).set_retry(3)
        saved = save(x=retried.output)  # 16
    with dsl.ParallelFor([10, 20, 30], parallelism=2) as item:
        nested = inner(x=item)
        with dsl.ParallelFor([1, 2, 3]) as number:
            step(x=number, seed=seed)  # 15
    joined = join(files=dsl.Collected(saved.outputs["data"]))  # 1
    total = add(values=dsl.Collected(nested.output), seed=seed)  # 1
    return Totals(total.output, joined.outputs["data"])


@dsl.pipeline
def conditions(seed: int, effects: str) -> int:
    """Loops in conditions in loops in conditions, with a nested pipeline."""
    first = act(x=seed, effects=effects, name=NAME)
    with dsl.If(first.output >= 0):
        with dsl.ParallelFor([1, 2, 3, 4], parallelism=3) as item:
            second = act(x=item, effects=effects, name=NAME)
            with dsl.If(item > 2), dsl.ParallelFor([5, 6]) as number:
                act(x=number, effects=effects, name=NAME)
                inner(x=number)
            with dsl.Else():
                act(x=second.output, effects=effects, name=NAME)
        total = add(values=dsl.Collected(second.output), seed=seed)
    with dsl.Else():
        other = act(x=0, effects=effects, name=NAME)
    return dsl.OneOf(total.output, other.output)


@dsl.pipeline
def retries(seed: int, effects: str) -> int:
    """Tasks that fail at first, and of which some wait for their next attempt."""
    with dsl.ParallelFor([1, 2, 3, 4]) as item:
        soon = act_at_last(x=item, failures=2, effects=effects, name=NAME).set_retry(3)
        after = act(x=soon.output, effects=effects, name=NAME)
    late = act_at_last(x=seed, failures=1, effects=effects, name=NAME).set_retry(2, backoff_duration="1s")
    total = add(values=dsl.Collected(after.output), seed=late.output)
    return total.output


@dsl.pipeline
def exits(seed: int, effects: str) -> int:
    """Two exit handlers, one around a loop and one around a chain, which follows a task outside of it."""
    first = act(x=seed, effects=effects, name=NAME)
    with dsl.ExitHandler(tidy_up(effects=effects, name=NAME)), dsl.ParallelFor([1, 2, 3, 4]) as item:
        act(x=item, effects=effects, name=NAME)
    with dsl.ExitHandler(tidy_up(effects=effects, name=NAME)):
        before = act(x=first.output, effects=effects, name=NAME)
        act(x=before.output, effects=effects, name=NAME)
    return act(x=first.output, effects=effects, name=NAME).output


@dsl.pipeline(pipeline_config=dsl.PipelineConfig(workspace=dsl.WorkspaceConfig(size="1Gi")))
def imports(seed: int, effects: str, source: str) -> Totals:
    """Importers, and tasks whose outputs are shared by all runs through the cache."""
    plain = dsl.importer(source, Dataset)
    copied = dsl.importer(source, Dataset, download_to_workspace=True)
    with dsl.ParallelFor([0, 1, 2]) as number:
        shared = pick(number=number, source=plain.output, effects=effects, name=NAME)
        own = act(x=number, effects=effects, name=NAME).set_caching_options(False)
    last = pick(number=3, source=copied.output, effects=effects, name=NAME)
    joined = join(files=dsl.Collected(shared.outputs["data"])).after(last)
    total = add(values=dsl.Collected(own.output), seed=seed)
    return Totals(total.output, joined.outputs["data"])


@dsl.container_component
def greet(x: str, text: dsl.OutputPath(str)):  # type: ignore[valid-type, no-untyped-def]
    script = 'mkdir -p "$(dirname "$1")"; sleep 0.1; echo "hello $0" >"$1"'
    return dsl.ContainerSpec("python:3.11", ["sh", "-c", script], [x, text])


@dsl.component(base_image="python:3.11")
def words(texts: list, seed: int) -> int:
    return sum(len(text.split()) for text in texts) + seed


@dsl.component(base_image="python:3.11")
def flaky_container(x: int) -> int:
    import os

    if os.environ["KFP_RETRY_INDEX"] == "0":
        raise RuntimeError("not at first")
    return x + 1


@dsl.pipeline
def containers(seed: int, effects: str) -> int:
    """Tasks in containers, of which one has a second attempt."""
    first = flaky_container(x=seed).set_retry(2)
    with dsl.ParallelFor([1, 2, 3]) as item:
        greeting = greet(x=f"number {item}")
    return words(texts=dsl.Collected(greeting.outputs["text"]), seed=first.output).output


def _act(x: int) -> int:
    return (x * 31 + 7) % 1009


def _act_twice(x: int) -> int:
    return _act(_act(x))


#: The lines of the file that `imports` reads.
LINES = tuple(f"line {number}\n" for number in range(4))

#: The outputs of each pipeline for a seed; that of an artifact is its text.
EXPECTED: dict[str, Callable[[int], dict[str, Any]]] = {
    "mixed": lambda seed: {
        "total": sum(_act(_act(x)) for x in (10, 20, 30)) + seed,
        "data": "".join(f"{x + number}\n" for x in range(2, 10) for number in range(200)),
    },
    "conditions": lambda seed: {"Output": sum(map(_act, (1, 2, 3, 4))) + seed},
    "retries": lambda seed: {"Output": sum(map(_act, (2, 3, 4, 5))) + seed + 1},
    "exits": lambda seed: {"Output": _act_twice(seed)},
    "imports": lambda seed: {
        "total": sum(map(_act, (0, 1, 2))) + seed,
        "data": "".join(line * 1000 for line in LINES[:3]),
    },
    "containers": lambda seed: {"Output": 9 + seed + 1},
}
