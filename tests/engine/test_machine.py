"""The rules of scheduling, event by event; no task is run."""

from __future__ import annotations

import pytest

from standpipe.engine.transitions import TRANSITIONS
from standpipe.errors import InternalError
from standpipe.model.events import (
    AttemptEnded,
    AttemptReport,
    CancelRequested,
    EndRun,
    Failure,
    RunEnded,
    StopAttempts,
    TaskFailed,
    TaskSkipped,
    TaskSucceeded,
)
from standpipe.model.plan import Component, Constant, FinalStatus, FromInput, FromTask, Plan
from standpipe.model.refs import ROOT
from standpipe.model.states import TaskState
from standpipe.model.types import ParameterInput, ParameterOutput, ParameterType
from tests.engine.driving import Run, task
from tests.plans import COMPLETED, INT, dag, leaf, node, plan


def test_a_chain_runs_in_order_and_passes_values_on() -> None:
    run = Run(plan(dag(node("a"), node("b", x=FromTask("a", "y")), result=FromTask("b", "y"))))
    assert run.names == ["a"]
    run.end("a", y=41)
    assert run.names == ["b"]
    assert run.inputs("b") == {"x": 41}
    run.end("b", y=42)
    assert run.ended == RunEnded(TaskState.SUCCEEDED, {"result": 42})
    assert run.commands[-1] == EndRun()


def test_independent_tasks_run_side_by_side_up_to_the_limit() -> None:
    run = Run(plan(dag(*(node(f"t{number}") for number in range(5)))), max_parallel=2)
    assert run.names == ["t0", "t1"]
    run.end("t1", y=1)
    assert run.names == ["t0", "t2"]


def test_a_failure_skips_what_depends_on_it_and_lets_the_rest_finish() -> None:
    run = Run(plan(dag(node("bad"), node("next", "bad"), node("last", "next"), node("other"), node("after", "other"))))
    run.end("bad", failure="boom")
    assert run.names == ["other"]
    assert TaskSkipped(task("next"), "its upstream task 'bad' failed") in run.facts
    assert run.state("last") is TaskState.SKIPPED
    run.end("other", y=1)
    run.end("after", y=1)
    assert run.ended.state is TaskState.FAILED
    assert [(str(fact.task), fact.failure.message) for fact in run.ended.failures] == [("bad", "boom")]


def test_a_task_that_ignores_upstream_failure_runs_and_falls_back_to_its_default() -> None:
    cleanup = leaf({"x": ParameterInput(INT, optional=True, default=7), "z": ParameterInput(INT, optional=True)})
    clean = node("clean", component="cleanup", trigger=COMPLETED, x=FromTask("bad", "y"), z=FromTask("bad", "y"))
    run = Run(plan(dag(node("bad"), clean), cleanup=cleanup))
    run.end("bad", failure="boom")
    assert run.inputs("clean") == {"x": 7, "z": None}
    run.end("clean", y=1)
    assert run.ended.state is TaskState.FAILED


def test_a_final_status_has_the_state_and_the_error() -> None:
    watcher = leaf({"status": ParameterInput(ParameterType.TASK_FINAL_STATUS, optional=True)}, {})
    watch = node("watch", "bad", component="watcher", trigger=COMPLETED, status=FinalStatus("bad"))
    run = Run(plan(dag(node("bad"), watch), watcher=watcher))
    run.end("bad", failure="boom")
    assert run.inputs("watch")["status"] == {
        "state": "FAILED",
        "pipelineJobResourceName": "run-1",
        "pipelineTaskName": "bad",
        "error": {"code": 2, "message": "boom"},
    }


def nested(depth: int) -> Plan:
    """Return nested DAGs with a leaf in the innermost; each passes `x` down and `y` up."""
    inputs, outputs = {"x": ParameterInput(INT)}, {"y": ParameterOutput(INT)}
    components = {"level0": leaf(inputs, outputs)}
    for level in range(1, depth):
        inner = node("in", component=f"level{level - 1}", x=FromInput("x"))
        components[f"level{level}"] = Component(dag(inner, y=FromTask("in", "y")), inputs, outputs)
    top = node("in", component=f"level{depth - 1}", x=FromInput("x"))
    return plan(dag(top, y=FromTask("in", "y")), inputs=inputs, **components)


def test_a_nested_pipeline_has_its_own_scope_and_outputs() -> None:
    run = Run(nested(2), x=5)
    assert run.inputs("in/in") == {"x": 5}
    run.end("in/in", y=6)
    assert run.ended.outputs == {"y": 6}


def test_the_failure_of_a_nested_task_is_reported_once_and_names_it() -> None:
    run = Run(nested(3), x=5)
    run.end("in/in/in", failure="boom")
    assert run.ended.state is TaskState.FAILED
    assert [str(fact.task) for fact in run.ended.failures] == ["in/in/in"]
    assert run.state("in") is TaskState.FAILED


def test_a_missing_value_fails_the_task_and_names_the_input() -> None:
    needy = leaf({"x": ParameterInput(INT)})
    run = Run(plan(dag(node("a", component="needy")), needy=needy))
    assert run.ended.state is TaskState.FAILED
    assert "input 'x' has no value" in run.ended.failures[0].failure.message


def test_a_value_of_the_wrong_type_fails_the_task_and_names_both_types() -> None:
    run = Run(plan(dag(node("a", x=Constant("seven")))))
    message = run.ended.failures[0].failure.message
    assert "'x'" in message
    assert "(str)" in message
    assert "expected int" in message


def test_a_missing_pipeline_output_fails_the_pipeline() -> None:
    run = Run(plan(dag(node("a"), result=FromTask("a", "y"))))
    run.end("a")
    assert run.ended.state is TaskState.FAILED
    assert "'result' has no value" in run.ended.failures[0].failure.message
    assert run.ended.failures[0].task == ROOT


def test_cancelling_stops_running_tasks_and_starts_no_more() -> None:
    run = Run(plan(dag(node("a"), node("b", "a"), node("c"))), max_parallel=1)
    run.send(CancelRequested())
    assert StopAttempts((task("a"),)) in run.commands
    assert run.state("c") is TaskState.CANCELLED
    run.end("a", failure="killed")
    assert run.state("b") is TaskState.CANCELLED
    assert run.ended.state is TaskState.CANCELLED
    assert run.ended.failures == ()


def test_a_task_that_still_succeeds_after_the_cancel_has_succeeded() -> None:
    run = Run(plan(dag(node("a"))))
    run.send(CancelRequested())
    run.end("a", y=1)
    assert run.ended.state is TaskState.SUCCEEDED


def test_an_event_that_the_state_does_not_allow_is_an_internal_error() -> None:
    run = Run(plan(dag(node("a"), node("b", "a"))))
    with pytest.raises(InternalError, match="'b': TaskSucceeded is not allowed for an executor task in state PENDING"):
        run.send(AttemptEnded(task("b"), {}))


def test_a_final_state_never_changes() -> None:
    assert all(not TRANSITIONS[state] for state in TaskState if state.is_final)
    assert TRANSITIONS.keys() == set(TaskState)


def test_a_long_chain_and_deep_nesting_do_not_hit_the_recursion_limit() -> None:
    chain = Run(plan(dag(node("t0"), *(node(f"t{n}", f"t{n - 1}") for n in range(1, 2000)))))
    chain.end("t0", failure="boom")
    assert chain.state("t1999") is TaskState.SKIPPED
    deep = Run(nested(500), x=1)
    deep.end("/".join(["in"] * 500), y=2)
    assert deep.ended.outputs == {"y": 2}


def test_the_report_of_an_attempt_and_the_source_of_cached_outputs_are_in_the_facts() -> None:
    run, report = Run(plan(dag(node("a"), node("b")))), AttemptReport(2.5, log_lines=3)
    run.send(AttemptEnded(task("a"), {"y": 1}, cached_from="run-0/a"))
    run.send(AttemptEnded(task("b"), failure=Failure("boom"), report=report))
    assert TaskSucceeded(task("a"), {"y": 1}, cached_from="run-0/a") in run.facts
    assert TaskFailed(task("b"), Failure("boom"), report) in run.facts
