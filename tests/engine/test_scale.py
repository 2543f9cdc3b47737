"""Long loops, wide and deep pipelines: the cost is linear in their size, and there is no recursion."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Mapping
from typing import Any

from standpipe.engine.machine import Machine
from standpipe.model.events import (
    AttemptEnded,
    AttemptStarted,
    CancelRequested,
    RunEnded,
    Start,
    StartAttempt,
    TaskCancelled,
    TaskReady,
    TimePassed,
)
from standpipe.model.plan import Constant, FromInput, FromTask, Loop, Plan, RawItems
from standpipe.model.states import TaskState
from standpipe.model.types import ParameterInput
from standpipe.model.values import Value
from tests.plans import INT, RUN, dag, group, node, plan

NUMBER = {"x": ParameterInput(INT)}


def drive(plan: Plan) -> Mapping[str, Value]:
    """Run a Plan whose tasks output 1 at once, and return its outputs."""
    machine = Machine(plan, RUN, max_parallel=16)
    step = machine.handle(Start({}), 0)
    running: deque[StartAttempt] = deque()
    while True:
        running += [command for command in step.commands if isinstance(command, StartAttempt)]
        if running:
            step = machine.handle(AttemptEnded(running.popleft().task, {"y": 1}), 0)
        elif machine.due is not None:
            step = machine.handle(TimePassed(), 0)
        else:
            break
    ended = step.facts[-1]
    assert isinstance(ended, RunEnded)
    assert ended.state is TaskState.SUCCEEDED
    return ended.outputs


def loop(count: int, parallelism: int = 0) -> Plan:
    body = group(dag(node("a", x=FromInput("x")), y=FromTask("a", "y")), NUMBER)
    over = Loop(RawItems(tuple(range(count))), "x", parallelism)
    return plan(dag(node("loop", component="body", loop=over), y=FromTask("loop", "y")), body=body)


def cost(plan: Plan) -> float:
    """Return the processor time of a run in seconds, which other processes hardly change; the lower of two."""
    costs = []
    for _ in range(2):
        start = time.process_time()
        drive(plan)
        costs.append(time.process_time() - start)
    return min(costs)


def test_a_loop_of_five_times_the_items_costs_about_five_times_as_much() -> None:
    for parallelism in (0, 3):
        assert cost(loop(1500, parallelism)) < 12 * cost(loop(300, parallelism))


def test_scheduling_a_task_costs_less_than_a_millisecond() -> None:
    assert cost(plan(dag(*(node(f"t{number}") for number in range(1000))))) / 1000 < 0.001


def test_a_chain_of_1000_tasks_passes_a_value() -> None:
    tasks = [node("t0"), *(node(f"t{n}", x=FromTask(f"t{n - 1}", "y")) for n in range(1, 1000))]
    assert drive(plan(dag(*tasks, y=FromTask("t999", "y")))) == {"y": 1}


def test_loops_and_conditions_nest_200_levels_deep() -> None:
    components: dict[str, Any] = {"level0": group(dag(node("a", x=FromInput("x")), y=FromTask("a", "y")), NUMBER)}
    for level in range(1, 200):
        loop, when = {"loop": Loop(RawItems((level,)), "x")}, {"when": "inputs.parameter_values['c'] == 1"}
        form: dict[str, Any] = loop if level % 2 else when
        inner = node("in", component=f"level{level - 1}", x=FromInput("x"), c=Constant(1), **form)
        components[f"level{level}"] = group(dag(inner, y=FromTask("in", "y")), NUMBER)
    top = node("in", component="level199", x=Constant(1))
    assert drive(plan(dag(top, y=FromTask("in", "y")), **components)) == {"y": [1]}


def test_a_long_loop_becomes_ready_in_parts_between_which_its_tasks_run() -> None:
    machine = Machine(plan(dag(node("loop", loop=Loop(RawItems(tuple(range(3500))), "x")))), RUN, max_parallel=2)
    steps = [machine.handle(Start({}), 0)]
    while machine.due == 0.0:
        steps.append(machine.handle(TimePassed(), 0))

    ready = [sum(isinstance(fact, TaskReady) for fact in step.facts) for step in steps]
    started = [sum(isinstance(command, StartAttempt) for command in step.commands) for step in steps]
    assert ready == [999, 1000, 1000, 501]  # the loop itself starts first
    assert started == [2, 0, 0, 0]


def test_a_request_to_cancel_is_heard_while_a_long_loop_becomes_ready() -> None:
    machine = Machine(plan(dag(node("loop", loop=Loop(RawItems(tuple(range(3500))), "x")))), RUN, max_parallel=2)
    machine.handle(Start({}), 0)
    facts = list(machine.handle(CancelRequested(), 0).facts)
    while machine.due == 0.0:
        facts += machine.handle(TimePassed(), 0).facts

    assert not any(isinstance(fact, (TaskReady, AttemptStarted)) for fact in facts)
    assert sum(isinstance(fact, TaskCancelled) for fact in facts) == 3498  # two run, and still have to stop
