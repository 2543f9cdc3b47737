"""The time and memory of large pipelines with tasks that do nothing.

    python scale.py FOLDER [ITERATIONS]

The scheduler runs a loop of 1,000 iterations, one of 10,000, and a pipeline of 2,000 tasks, which end as soon as they
start. Prints as JSON, for each: the number of tasks, the seconds without a run store (`bare`), and the seconds with one
(`stored`), each the best of several runs; and the peak memory of the process (`max_rss`).

With a number it runs and records one loop of so many iterations, and prints its seconds (`seconds`), and `max_rss`.
"""

from __future__ import annotations

import json
import resource
import sys
import time
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

from standpipe.engine.machine import Machine
from standpipe.history.progress import NewRunProgress
from standpipe.model.cancellation import Cancellation
from standpipe.model.events import AttemptEnded, Start, StartAttempt
from standpipe.model.plan import (
    Command,
    Component,
    Container,
    Dag,
    ExecutorRef,
    FromInput,
    FromTask,
    Loop,
    Node,
    Plan,
    RawItems,
)
from standpipe.model.ports import FactSink
from standpipe.model.refs import RunInfo
from standpipe.model.states import TaskState
from standpipe.model.types import ParameterInput, ParameterOutput, ParameterType
from standpipe.runs.driver import Driver
from standpipe.store.runs import RunRecorder

MAX_PARALLEL = 16
RUNS = 3
INTEGER = ParameterType.NUMBER_INTEGER
TASK = Component(ExecutorRef("exec"), {"x": ParameterInput(INTEGER, optional=True)}, {"y": ParameterOutput(INTEGER)})


def loop(iterations: int) -> Plan:
    """Return a loop over a task whose outputs are collected."""
    body = Dag({"task": Node("task", "task", {"x": FromInput("x")})}, {"y": (FromTask("task", "y"),)})
    over = Loop(RawItems(tuple(range(iterations))), "x")
    components = {"task": TASK, "body": Component(body, {"x": ParameterInput(INTEGER)}, TASK.outputs)}
    return _plan(Dag({"loop": Node("loop", "body", loop=over)}, {"y": (FromTask("loop", "y"),)}), components)


def wide(tasks: int) -> Plan:
    """Return a pipeline of independent tasks."""
    return _plan(Dag({f"t{number}": Node(f"t{number}", "task") for number in range(tasks)}), {"task": TASK})


def _plan(dag: Dag, components: dict[str, Component]) -> Plan:
    outputs = {name: ParameterOutput(ParameterType.LIST) for name in dag.outputs}
    return Plan("scale", Component(dag, {}, outputs), components, {"exec": Container("image", Command())})


#: A small pipeline, as most are.
SMALL_RUN = wide(3)


def run_once(plan: Plan, sinks: Sequence[FactSink]) -> float:
    """Return the seconds of a whole run."""
    machine = Machine(plan, info(Path()), max_parallel=MAX_PARALLEL)
    start = time.perf_counter()
    ended = Driver(machine, _attempt, sinks).run(Start({}))
    assert ended.state is TaskState.SUCCEEDED
    return time.perf_counter() - start


def _stored_seconds(plan: Plan, folder: Path, run: str) -> float:
    with closing(RunRecorder(folder, info(folder, run), plan, outline=NewRunProgress())) as recorder:
        return run_once(plan, (recorder,))


def _attempt(command: StartAttempt, cancel: Cancellation) -> AttemptEnded:
    return AttemptEnded(command.task, {"y": 1})


def info(root: Path, name: str = "scale") -> RunInfo:
    """Return the info of a run."""
    return RunInfo(name, "6f9619ff-8b86-4d01-b42d-00cf4fc964ff", name, "2026-01-01T00:00:00Z", str(root))


def measure_one(folder: Path, iterations: int) -> None:
    """Measure one loop that is recorded, and print."""
    _stored_seconds(loop(100), folder, "warm-up")
    seconds = _stored_seconds(loop(iterations), folder, "scale")
    print(json.dumps({"seconds": seconds, "max_rss": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss}))


def main(folder: Path) -> None:
    """Measure and print."""
    run_once(loop(100), ())  # a warm-up
    results: dict[str, object] = {}
    for name, plan, tasks in (
        ("short", loop(1_000), 1_000),
        ("long", loop(10_000), 10_000),
        ("wide", wide(2_000), 2_000),
    ):
        bare = min(run_once(plan, ()) for _ in range(RUNS))
        stored = min(_stored_seconds(plan, folder, f"{name}-{number}") for number in range(RUNS))
        results[name] = {"bare": bare, "stored": stored, "tasks": tasks}
    print(json.dumps({**results, "max_rss": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss}))


if __name__ == "__main__":
    if len(sys.argv) > 2:
        measure_one(Path(sys.argv[1]), int(sys.argv[2]))
    else:
        main(Path(sys.argv[1]))
