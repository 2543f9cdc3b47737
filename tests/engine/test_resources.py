"""Resource requests, and how many attempts run at once with them."""

from __future__ import annotations

from dataclasses import replace
from random import Random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from standpipe.engine.inputs import InputError
from standpipe.engine.machine import Machine
from standpipe.engine.resource_requests import resolve_request
from standpipe.model.events import (
    AttemptEnded,
    AttemptStarted,
    CancelRequested,
    Fact,
    Failure,
    Start,
    StartAttempt,
    TaskReady,
    TimePassed,
)
from standpipe.model.plan import (
    Command,
    Component,
    Container,
    ExecutorRef,
    Importer,
    Node,
    Plan,
    Resources,
    Retry,
    TaskConfigPassthrough,
)
from standpipe.model.resources import Capacity, ResourcePolicy, ResourceRequest
from standpipe.model.states import TaskState
from standpipe.model.templates import parse_text
from standpipe.model.types import ArtifactType, ParameterInput, ParameterOutput, ParameterType
from tests.engine.driving import Run, task
from tests.plans import RUN, dag, plan

CLAMP, STRICT, IGNORE = ResourcePolicy.CLAMP, ResourcePolicy.STRICT, ResourcePolicy.IGNORE
GIB = 1024**3
MACHINE = Capacity(4, 16 * GIB, ("0", "1", "2"))
COMPONENT = Component(ExecutorRef("exec"), {"x": ParameterInput(ParameterType.STRING, optional=True)})


def needs(policy: ResourcePolicy = CLAMP, inputs: dict[str, str] | None = None, **asked: str) -> ResourceRequest:
    quantities: dict[str, Any] = {name: parse_text(text) for name, text in asked.items()}
    resources = Resources(**quantities)
    container = Container("image", Command(), resources=resources)
    return resolve_request(COMPONENT, container, inputs or {}, MACHINE, policy, lambda name: name)


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        ({}, ResourceRequest()),
        ({"cpu_request": "500m"}, ResourceRequest(cpu=0.5)),
        ({"cpu_limit": "2"}, ResourceRequest(cpu=2, cpu_limit=2)),
        ({"cpu_request": "1", "cpu_limit": "2"}, ResourceRequest(cpu=1, cpu_limit=2)),
        ({"memory_limit": "1Gi"}, ResourceRequest(memory=GIB, memory_limit=GIB)),
        ({"memory_request": "1Gi", "memory_limit": "2Gi"}, ResourceRequest(memory=GIB, memory_limit=2 * GIB)),
        ({"memory_limit": "0", "cpu_limit": "0"}, ResourceRequest()),
        (
            {"accelerator_type": "nvidia.com/gpu", "accelerator_count": "2"},
            ResourceRequest(gpus=2, accelerator="nvidia.com/gpu"),
        ),
        ({"accelerator_type": "NVIDIA_TESLA_T4"}, ResourceRequest(gpus=1, accelerator="NVIDIA_TESLA_T4")),
        ({"accelerator_count": "1"}, ResourceRequest(gpus=1)),
        ({"accelerator_type": "nvidia.com/gpu", "accelerator_count": "0"}, ResourceRequest()),
    ],
)
def test_a_limit_without_a_request_is_also_the_request(asked: dict[str, Any], expected: ResourceRequest) -> None:
    assert needs(**asked) == expected


def test_quantities_may_be_inputs() -> None:
    assert needs(inputs={"x": "2Gi"}, memory_limit="{{$.inputs.parameters['x']}}").memory == 2 * GIB


@pytest.mark.parametrize(
    ("asked", "clamped", "unavailable"),
    [
        ({"cpu_limit": "64"}, ResourceRequest(cpu=4), "64 cores (this machine has 4)"),
        ({"memory_limit": "1Ti"}, ResourceRequest(memory=16 * GIB), "1 TiB of memory (this machine has 16 GiB)"),
        (
            {"accelerator_count": "8", "accelerator_type": "nvidia.com/gpu"},
            ResourceRequest(gpus=3, accelerator="nvidia.com/gpu"),
            "8 of nvidia.com/gpu (this machine has 3)",
        ),
        ({"accelerator_type": "google.com/tpu"}, ResourceRequest(), "1 of google.com/tpu (this machine has none)"),
        (
            {"cpu_request": "5", "memory_request": "17Gi"},
            ResourceRequest(cpu=4, memory=16 * GIB),
            "5 cores (this machine has 4) and 17 GiB of memory (this machine has 16 GiB)",
        ),
    ],
)
def test_requests_above_the_capacity_are_clamped_or_fail(
    asked: dict[str, Any], clamped: ResourceRequest, unavailable: str
) -> None:
    assert needs(CLAMP, **asked) == replace(clamped, unavailable=unavailable)
    assert needs(IGNORE, **asked) == ResourceRequest()
    with pytest.raises(InputError, match="^it requests .* Run it on a larger machine") as error:
        needs(STRICT, **asked)
    assert unavailable in str(error.value)


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ({"memory_limit": "lots"}, "its memory limit is invalid: invalid memory quantity 'lots'"),
        ({"cpu_request": "1g"}, "its cpu request is invalid: invalid CPU quantity '1g'"),
        ({"accelerator_count": "a few"}, "its accelerator count is invalid"),
        ({"memory_request": "2Gi", "memory_limit": "1Gi"}, "its memory request, 2Gi, is above its memory limit, 1Gi"),
    ],
)
def test_invalid_quantities_are_errors(asked: dict[str, Any], message: str) -> None:
    for policy in (CLAMP, STRICT):
        with pytest.raises(InputError, match=message):
            needs(policy, **asked)
    assert needs(IGNORE, **asked) == ResourceRequest()


def test_resources_that_are_only_passed_on_to_the_code_are_not_acquired() -> None:
    container = Container("image", Command(), resources=Resources(cpu_limit="2"))
    for passed, expected in ((False, ResourceRequest()), (True, ResourceRequest(cpu=2, cpu_limit=2))):
        component = replace(COMPONENT, task_config_passthroughs=(TaskConfigPassthrough("RESOURCES", passed),))
        assert resolve_request(component, container, {}, MACHINE, CLAMP, str) == expected
    importer = Importer("gs://x", ArtifactType("system.Model"))
    assert resolve_request(COMPONENT, importer, {}, MACHINE, STRICT, str) == ResourceRequest()


def asking(**tasks: Resources) -> Plan:
    """Return a Plan of independent tasks with these resources."""
    outputs = {"y": ParameterOutput(ParameterType.NUMBER_INTEGER)}
    components: dict[str, Any] = {name: Component(ExecutorRef(name), {}, outputs) for name in tasks}
    made = plan(dag(*(Node(name, name) for name in tasks)), **components)
    executors = {name: Container("image", Command(), resources=asked) for name, asked in tasks.items()}
    return replace(made, executors={**made.executors, **executors})


class Machined(Run):
    """A run on a machine with the capacity `MACHINE`."""

    def __init__(self, made: Plan, max_parallel: int = 100, policy: ResourcePolicy = CLAMP) -> None:
        self.machine = Machine(made, RUN, max_parallel=max_parallel, capacity=MACHINE, policy=policy)
        self.now, self.facts, self.running, self.commands = 0.0, [], {}, []
        self.send(Start({}))


def test_no_more_attempts_start_than_fit_into_the_resource_pool() -> None:
    three = Resources(cpu_request="3")
    run = Machined(asking(a=three, b=three, c=Resources(cpu_request="1"), d=Resources()))
    assert run.names == ["a", "c", "d"], "those that fit pass the one that does not"
    run.end("c", y=1)
    assert run.names == ["a", "d"]
    run.end("a", y=1)
    assert run.names == ["b", "d"]


def test_a_task_that_requests_more_than_the_capacity_waits_for_all_of_it() -> None:
    run = Machined(asking(a=Resources(memory_request="1Gi"), b=Resources(memory_limit="1Ti")))
    assert run.names == ["a"]
    run.end("a", y=1)
    assert run.names == ["b"]
    assert run.running[task("b")].resources == ResourceRequest(
        memory=16 * GIB, unavailable="1 TiB of memory (this machine has 16 GiB)"
    )


def test_under_the_strict_policy_a_task_above_the_capacity_fails() -> None:
    run = Machined(asking(a=Resources(cpu_limit="9"), b=Resources()), policy=STRICT)
    assert run.state("a") is TaskState.FAILED
    run.end("b", y=1)
    assert [message for _, message in run.failures] == [
        "it requests 9 cores (this machine has 4). Run it on a larger machine, lower its requests, or clamp them to "
        "what the machine has: local.init(..., resource_policy='clamp')"
    ]


def test_accelerators_are_acquired_one_by_one_and_released() -> None:
    gpu = Resources(accelerator_type="nvidia.com/gpu", accelerator_count="1")
    two = replace(gpu, accelerator_count="2")
    run = Machined(asking(a=gpu, b=two, c=gpu, d=two))
    assert {name: run.running[task(name)].gpus for name in "ab"} == {"a": ("0",), "b": ("1", "2")}
    run.end("b", y=1)
    assert run.names == ["a", "c"]
    assert run.running[task("c")].gpus == ("1",)
    run.end("a", y=1)
    assert run.running[task("d")].gpus == ("0", "2")


def test_a_retry_that_waits_for_resources_is_not_due() -> None:
    made = asking(a=Resources(cpu_request="4"), b=Resources(cpu_request="4"))
    dag_of = made.root.body.nodes  # type: ignore[union-attr]
    made = replace(made, root=replace(made.root, body=dag(replace(dag_of["a"], retry=Retry(1, 5.0)), dag_of["b"])))
    run = Machined(made)
    run.end("a", failure="boom")
    assert (run.names, run.machine.due) == (["b"], 5.0)
    run.wait(5.0)
    assert (run.names, run.machine.due) == (["b"], None), "its time has come: what it waits for now is room"
    run.end("b", y=1)
    assert run.names == ["a"]


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32), st.integers(1, 12), st.integers(1, 6))
def test_the_capacity_is_never_exceeded(seed: int, number: int, max_parallel: int) -> None:
    random = Random(seed)

    def resources() -> Resources:
        return Resources(
            cpu_request=random.choice(["", "1", "2500m", "8"]),
            memory_request=random.choice(["", "1Gi", "9Gi"]),
            accelerator_count=random.choice(["", "1", "2"]),
        )

    made = asking(**{f"t{index}": resources() for index in range(number)})
    nodes = [
        replace(found, retry=Retry(2, 1.0)) if random.randrange(2) else found
        for found in made.root.body.nodes.values()  # type: ignore[union-attr]
    ]
    made = replace(made, root=replace(made.root, body=dag(*nodes)))
    run = Machined(made, max_parallel)
    facts: list[Fact] = run.facts
    while run.running or run.machine.due is not None:
        held = list(run.running.values())
        assert len(held) <= max_parallel
        assert sum(command.resources.cpu for command in held) <= MACHINE.cpu
        assert sum(command.resources.memory for command in held) <= MACHINE.memory
        gpus = [gpu for command in held for gpu in command.gpus]
        assert len(gpus) == len(set(gpus)) == sum(command.resources.gpus for command in held)
        if run.running:
            ref = random.choice(list(run.running))
            failure = Failure("boom") if random.randrange(3) == 0 else None
            del run.running[ref]
            run.now += random.random()
            run.send(AttemptEnded(ref, {"y": 1}, failure))
        else:
            run.now = run.machine.due or run.now
            run.send(TimePassed())
        if random.randrange(10) == 0:
            run.machine = Machine(made, RUN, max_parallel=max_parallel, capacity=MACHINE)
            for fact in facts:
                run.machine.apply(fact)
    assert run.ended.state in (TaskState.SUCCEEDED, TaskState.FAILED)
    assert {fact.task for fact in facts if isinstance(fact, TaskReady)} == {
        fact.task for fact in facts if isinstance(fact, AttemptStarted)
    }


def test_tasks_that_wait_for_resources_can_be_cancelled() -> None:
    four = Resources(cpu_request="4")
    run = Machined(asking(a=four, b=four, c=four))
    run.send(CancelRequested())
    assert [run.state(name) for name in "bc"] == [TaskState.CANCELLED] * 2
    assert isinstance(run.commands[0], StartAttempt)
    run.end("a", failure="stopped")
    assert run.ended.state is TaskState.CANCELLED
