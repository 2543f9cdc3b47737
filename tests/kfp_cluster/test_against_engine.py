"""Runs of the engine, told as KFP writes them into ML Metadata, are the same runs after they were pulled."""

from __future__ import annotations

from collections.abc import Mapping
from random import Random
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from standpipe.engine.machine import Machine
from standpipe.engine.tasks import DagMember, ExecutorTask, Iteration, LoopTask, Task
from standpipe.kfp_cluster.facts import ClusterRun, tell_facts
from standpipe.kfp_cluster.metadata import Execution, StoredArtifact
from standpipe.kfp_cluster.records import from_executions
from standpipe.model.plan import Plan
from standpipe.model.states import TaskState
from standpipe.model.values import ArtifactValue, Value
from tests.engine.random_plans import Maker, behaviour
from tests.engine.test_against_reference import ARGUMENTS, SEEDS, Driven
from tests.plans import RUN

STATES = {TaskState.SUCCEEDED: "COMPLETE", TaskState.FAILED: "FAILED", TaskState.SKIPPED: "CANCELED"}


@settings(max_examples=60, deadline=None)
@given(SEEDS, st.integers(1, 30), st.sampled_from([0, 2, 10]), st.booleans())
def test_a_pulled_run_is_the_run(seed: int, tasks: int, failing: int, tells_skipped: bool) -> None:
    random = Random(seed)
    plan = Maker(random, tasks).plan()
    driven = Driven(plan, behaviour(failing), random, 3)
    while not driven.is_over:
        driven.advance()
    original = driven.machine
    executions = as_executions(original, random, tells_skipped=tells_skipped)
    pulled = replay(plan, ClusterRun(plan, ARGUMENTS, from_executions(executions), driven.ended.state, 100.0, 5000.0))
    assert pulled.root.state is driven.ended.state
    for task in original.root.walk():
        assert_same(pulled.task(task.ref), task)
    assert simplify(pulled.root.outputs) == simplify(original.root.outputs)


def assert_same(pulled: Task, original: Task) -> None:
    assert pulled.state is original.state, original.ref
    if original.state is TaskState.SUCCEEDED:
        assert simplify(pulled.outputs) == simplify(original.outputs), original.ref
    if isinstance(original, ExecutorTask) and original.next_attempt:
        assert simplify(pulled.inputs) == simplify(original.inputs), original.ref
    if isinstance(original, LoopTask):
        assert isinstance(pulled, LoopTask)
        assert len(pulled.iterations) == len(original.iterations)


def replay(plan: Plan, run: ClusterRun) -> Machine:
    machine, now = Machine(plan, RUN, max_parallel=1), 0.0
    for at, fact in tell_facts(run):
        assert at >= now
        now = at
        machine.apply(fact)
    return machine


def simplify(values: Mapping[str, Value]) -> dict[str, Any]:
    """Return values of which artifacts are their URIs, and null is missing: the cluster does not distinguish it."""
    return {name: _simplify(value) for name, value in values.items() if value is not None}


def _simplify(value: Any) -> Any:
    if isinstance(value, ArtifactValue):
        return value.uri
    return [_simplify(item) for item in value] if isinstance(value, list) else value


def as_executions(machine: Machine, random: Random, *, tells_skipped: bool) -> list[Execution]:
    """Return the executions that the driver of KFP would have written, with clocks that are wrong by some seconds."""
    ids: dict[Any, int] = {}
    executions = []
    for task in machine.root.walk():
        if task.state is TaskState.SKIPPED and not (tells_skipped and isinstance(task.position, DagMember)):
            continue
        ids[task.ref] = len(ids) + 1
        properties: dict[str, Any] = {"task_name": task.node.name, "inputs": _parameters(task.inputs)}
        if task.position is None:
            properties = {"inputs": dict(ARGUMENTS)}
        elif isinstance(task.position, Iteration):
            loop = task.position.parent
            own = {**loop.inputs, loop.loop.item_input: task.position.item, **task.inputs}
            number = task.ref.iteration
            properties.update(inputs=_parameters(own), parent_dag_id=ids[loop.ref], iteration_index=number)
        else:
            properties["parent_dag_id"] = ids[task.position.parent.ref]
        if isinstance(task, LoopTask):
            properties["iteration_count"] = len(task.iterations)
        if isinstance(task, ExecutorTask):
            properties["outputs"] = _parameters(task.outputs)
        state = "RUNNING" if task.position is None else STATES[task.state]
        at = 100.0 + len(ids) + random.uniform(-5, 5)
        inputs, outputs = _artifacts(task.inputs), _artifacts(task.outputs)
        executions.append(Execution(ids[task.ref], state, at, at + 1, properties, inputs, outputs))
    return executions


def _parameters(values: Mapping[str, Value]) -> dict[str, Any]:
    return {name: value for name, value in values.items() if not _artifacts({name: value})}


def _artifacts(values: Mapping[str, Value]) -> dict[str, list[StoredArtifact]]:
    tables = {name: value if isinstance(value, list) else [value] for name, value in values.items()}
    return {
        name: [StoredArtifact(1, each.uri, "system.Dataset", {}) for each in table if isinstance(each, ArtifactValue)]
        for name, table in tables.items()
        if table and all(isinstance(each, ArtifactValue) for each in table)
    }
