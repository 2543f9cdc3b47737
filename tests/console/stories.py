"""A pipeline, and the facts of its runs, for what displays show of them."""

from __future__ import annotations

from collections.abc import Sequence

from standpipe import dsl
from standpipe.dsl.base_component import BaseComponent
from standpipe.model.events import (
    AttemptFailed,
    AttemptStarted,
    CodeLocation,
    DagStarted,
    Fact,
    Failure,
    IterationStarted,
    LoopStarted,
    RunEnded,
    RunStarted,
    TaskFailed,
    TaskReady,
    TaskSkipped,
    TaskSucceeded,
)
from standpipe.model.plan import Plan
from standpipe.model.refs import TaskRef
from standpipe.model.resources import ResourceRequest
from standpipe.model.states import TaskState


@dsl.component
def step(x: int) -> int:
    return x


@dsl.component
def numbers() -> list:
    return [*range(40)]


@dsl.pipeline
def prepare(x: int) -> int:
    cleaned = step(x=x).set_display_name("clean")
    return step(x=cleaned.output).set_display_name("split").output


@dsl.pipeline
def whole() -> None:
    load = numbers()
    prepared = prepare(x=1)
    with dsl.ParallelFor(load.output, name="sweep") as number:
        step(x=number).set_display_name("fit")
    flaky = step(x=prepared.output).set_display_name("flaky")
    with dsl.If(flaky.output == 7):
        step(x=flaky.output)
    step(x=flaky.output).set_display_name("report")


def plan_of(component: BaseComponent) -> Plan:
    return component.plan


def task(path: str) -> TaskRef:
    """Return the task at a path such as `for-loop-1/3/step`."""
    steps: list[tuple[str, int | None]] = []
    for name in path.split("/"):
        if name.isdigit():
            steps[-1] = (steps[-1][0], int(name))
        else:
            steps.append((name, None))
    return TaskRef(tuple(steps))


def started(*paths: str) -> list[Fact]:
    """Return the facts of tasks that start."""
    facts: list[Fact] = []
    for path in paths:
        facts += (TaskReady(task(path), {}), AttemptStarted(task(path), 0))
    return facts


def succeeded(*paths: str, cached_from: str = "") -> list[Fact]:
    return [TaskSucceeded(task(path), {}, cached_from=cached_from) for path in paths]


def failed(path: str, message: str, location: CodeLocation | None = None) -> Fact:
    return TaskFailed(task(path), Failure(message, location=location))


LOOP = "for-loop-1"
BOOM = "ValueError: does not converge"

#: The run until some iterations of the loop have ended, one of them with a failure.
RUNNING: Sequence[Fact] = (
    RunStarted({}),
    *started("numbers"),
    *succeeded("numbers", cached_from="whole-1/numbers"),
    DagStarted(task("prepare"), {}),
    *started("prepare/step"),
    *succeeded("prepare/step"),
    *started("prepare/step-2"),
    LoopStarted(task(LOOP), {}, (*range(40),)),
    *(IterationStarted(task(f"{LOOP}/{index}"), index) for index in range(40)),
    *started(*(f"{LOOP}/{index}/step" for index in range(10))),
    *succeeded(*(f"{LOOP}/{index}/step" for index in range(9))),
    *succeeded(*(f"{LOOP}/{index}" for index in range(9))),
    failed(f"{LOOP}/9/step", BOOM),
    TaskFailed(task(f"{LOOP}/9"), Failure(f"its task failed: {BOOM}", cause_task=task(f"{LOOP}/9/step"))),
    *started(f"{LOOP}/10/step", f"{LOOP}/11/step"),
)

#: After it, an attempt that failed and is retried.
RETRY: Sequence[Fact] = (
    *succeeded("prepare/step-2", "prepare"),
    *started("step-2"),
    AttemptFailed(task("step-2"), 0, 3, Failure("no luck"), 1000.0, 10.0),
)

#: After these, the end.
END: Sequence[Fact] = (
    AttemptStarted(task("step-2"), 1),
    *succeeded("step-2"),
    TaskSkipped(task("condition-2"), "its condition is false"),
    *started("step-4"),
    *succeeded("step-4"),
    *succeeded(f"{LOOP}/10/step", f"{LOOP}/10", f"{LOOP}/11/step", f"{LOOP}/11"),
    TaskFailed(task(LOOP), Failure("its task failed", cause_task=task(f"{LOOP}/9/step"))),
    RunEnded(
        TaskState.FAILED,
        {},
        (TaskFailed(task(f"{LOOP}/9/step"), Failure(BOOM)),),
    ),
)

#: A request for resources.
GIBIBYTE = ResourceRequest(memory=1024**3)
