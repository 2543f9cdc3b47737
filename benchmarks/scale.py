"""The time and memory of large pipelines with tasks that do nothing.

    python scale.py FOLDER [scheduler]
    python scale.py FOLDER fake|subprocess ITERATIONS

The scheduler runs loops of 1,000, 10,000 and 100,000 iterations, and a pipeline of 2,000 tasks, which end as soon as
they start. Prints as JSON, for each: the number of tasks, the seconds without a run store (`bare`), and the seconds and
processor seconds with one (`stored`, `cpu`), each the best of several runs; and the peak memory of the process
(`max_rss`, in KiB). The largest loop runs last, once, and only with a store.

`fake` and `subprocess` run a loop as users do, with `local.FakeRunner` or `local.SubprocessRunner`: each attempt has
its folder and its log. Prints the number of tasks, the seconds, and the processor seconds and `max_rss` of this
process.
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


def seconds(plan: Plan, sinks: Sequence[FactSink]) -> float:
    """Return the seconds of a whole run."""
    machine = Machine(plan, _info(Path()), max_parallel=MAX_PARALLEL)
    start = time.perf_counter()
    ended = Driver(machine, _attempt, sinks).run(Start({}))
    assert ended.state is TaskState.SUCCEEDED
    return time.perf_counter() - start


def _stored_seconds(plan: Plan, folder: Path, run: str) -> tuple[float, float]:
    """Return the seconds and the processor seconds of a whole run that is recorded."""
    with closing(RunRecorder(folder, _info(folder, run), plan)) as recorder:
        before = time.process_time()
        return seconds(plan, (recorder,)), time.process_time() - before


def _attempt(command: StartAttempt, cancel: Cancellation) -> AttemptEnded:
    return AttemptEnded(command.task, {"y": 1})


def _info(root: Path, name: str = "scale") -> RunInfo:
    return RunInfo(name, "6f9619ff-8b86-4d01-b42d-00cf4fc964ff", name, "2026-01-01T00:00:00Z", str(root))


def main(folder: Path) -> None:
    """Measure and print."""
    seconds(loop(100), ())  # a warm-up
    results: dict[str, object] = {}
    for name, plan, tasks, runs in (
        ("short", loop(1_000), 1_000, RUNS),
        ("long", loop(10_000), 10_000, RUNS),
        ("wide", wide(2_000), 2_000, RUNS),
        ("huge", loop(100_000), 100_000, 1),
    ):
        bare = min(seconds(plan, ()) for _ in range(runs)) if runs > 1 else None
        stored = [_stored_seconds(plan, folder, f"{name}-{number}") for number in range(runs)]
        results[name] = {
            "bare": bare,
            "stored": min(wall for wall, _ in stored),
            "cpu": min(cpu for _, cpu in stored),
            "tasks": tasks,
        }
    print(json.dumps({**results, "max_rss": _max_rss()}))


def run_loop(root: Path, runner: str, iterations: int) -> None:
    """Run a loop of trivial tasks as users do, and print what it took."""
    from standpipe import dsl, local

    @dsl.component
    def trivial(x: int) -> int:
        return x

    @dsl.pipeline
    def trivial_loop() -> None:
        with dsl.ParallelFor(list(range(iterations))) as item:
            trivial(x=item)

    made = local.FakeRunner(trivial=lambda x: x) if runner == "fake" else local.SubprocessRunner()
    local.init(runner=made, pipeline_root=str(root), quiet=True, enable_caching=False)
    start, before = time.perf_counter(), time.process_time()
    trivial_loop()
    took = {"seconds": time.perf_counter() - start, "cpu": time.process_time() - before}
    print(json.dumps({"tasks": iterations, **took, "max_rss": _max_rss()}))


def _max_rss() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


if __name__ == "__main__":
    if sys.argv[2:3] in ([], ["scheduler"]):
        main(Path(sys.argv[1]))
    else:
        run_loop(Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]))
