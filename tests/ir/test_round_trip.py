"""The law of this package: what is written is read back as it was."""

from __future__ import annotations

from hypothesis import HealthCheck, given, settings

from standpipe import ir
from standpipe.model.plan import (
    Command,
    Component,
    Constant,
    Container,
    Dag,
    ExecutorRef,
    FromInput,
    FromTask,
    Node,
    Plan,
)
from standpipe.model.types import ParameterInput, ParameterOutput, ParameterType
from tests.ir.strategies import as_compiled, exact, plans

generously = settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.too_slow])


@generously
@given(plans())
def test_a_plan_is_restored_from_its_documents(plan: Plan) -> None:
    loaded = ir.load(ir.emit(plan), ir.emit_platforms(plan))

    assert loaded == as_compiled(plan)
    assert exact(loaded) == exact(as_compiled(plan))


@generously
@given(plans())
def test_a_plan_is_restored_from_its_file(plan: Plan) -> None:
    assert ir.read_text(ir.dumps(plan)) == as_compiled(plan)


def test_long_chains_and_deep_nesting() -> None:
    """A chain of 500 tasks, within pipelines that contain each other 300 times."""
    text, given = ParameterInput(ParameterType.STRING), ParameterOutput(ParameterType.STRING)
    leaf = Component(ExecutorRef("exec"), {"x": text}, {"y": given})
    nodes = {"task-0": Node("task-0", "comp-0", {"x": FromInput("x")})}
    for number in range(1, 500):
        before, name = f"task-{number - 1}", f"task-{number}"
        nodes[name] = Node(name, "comp-0", {"x": FromTask(before, "y")}, after=(before,))
    components = {"comp-0": leaf, "comp-1": Component(Dag(nodes), {"x": text})}
    for level in range(2, 300):
        inner = Node("inner", f"comp-{level - 1}", {"x": FromInput("x")})
        components[f"comp-{level}"] = Component(Dag({"inner": inner}), {"x": text})
    root = Component(Dag({"outer": Node("outer", "comp-299", {"x": Constant("a")})}))
    plan = Plan("large", root, components, {"exec": Container("python:3.11", Command(("run",)))})

    assert ir.load(ir.emit(plan)) == plan
