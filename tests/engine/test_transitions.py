"""Illegal transitions, and the history of tasks that their errors carry."""

from __future__ import annotations

from dataclasses import replace

import pytest

from standpipe.engine.machine import Machine
from standpipe.engine.transitions import TRANSITIONS, IllegalTransition, history_of
from standpipe.model.events import (
    AttemptEnded,
    AttemptStarted,
    DagStarted,
    Fact,
    Failure,
    IterationStarted,
    LoopStarted,
    Resume,
    TaskFact,
    TaskReady,
    TaskSucceeded,
)
from standpipe.model.plan import Loop, Plan, RawItems, Retry
from standpipe.model.refs import ROOT
from standpipe.model.states import TaskState
from tests.engine.driving import Run, task
from tests.plans import RUN, dag, group, node, plan

INNER = group(dag(node("x")))
KINDS = plan(
    dag(
        replace(node("leaf"), retry=Retry(1, 5.0)),
        node("pipeline", component="inner"),
        node("loop", component="inner", loop=Loop(RawItems((1, 2)), "x", 1)),
        node("late", "leaf"),
    ),
    inner=INNER,
)


def replayed(made: Plan, facts: list[Fact]) -> Machine:
    machine = Machine(made, RUN, max_parallel=100)
    for fact in facts:
        machine.apply(fact)
    return machine


def test_an_illegal_transition_shows_the_history_of_its_task() -> None:
    run = Run(KINDS)
    run.end("leaf", failure="boom")
    run.wait(5.0)
    run.end("leaf", y=1)
    with pytest.raises(IllegalTransition) as error:
        run.send(AttemptEnded(task("leaf"), {"y": 2}))
    assert str(error.value) == (
        "Illegal transition of task 'leaf': TaskSucceeded is not allowed for an executor task in state SUCCEEDED "
        "(while handling AttemptEnded). History of the task: READY by TaskReady (while handling Start); "
        "RUNNING by AttemptStarted (while handling Start); READY by AttemptFailed (while handling AttemptEnded); "
        "RUNNING by AttemptStarted (while handling TimePassed); SUCCEEDED by TaskSucceeded (while handling "
        "AttemptEnded). This is a defect in Standpipe. Report it with this message."
    )
    assert error.value.exit_code == 70


def test_the_history_of_a_replayed_and_resumed_run_says_so() -> None:
    run = Run(KINDS)
    run.end("pipeline/x", y=1)
    machine = replayed(KINDS, run.facts)
    machine.handle(Resume((task("leaf"), task("pipeline/x"))), 0.0)
    assert history_of(machine.task(task("leaf"))) == [
        "READY by TaskReady (while handling Resume)",
        "RUNNING by AttemptStarted (while handling Resume)",
    ]
    assert history_of(machine.task(task("pipeline"))) == [
        "RUNNING by DagStarted (while handling replay)",
        "SUCCEEDED by TaskSucceeded (while handling replay)",
        "RUNNING by RunResumed (while handling Resume)",
    ]
    assert history_of(machine.root)[0] == "RUNNING by RunStarted (while handling replay)"


def test_tasks_that_take_the_same_steps_share_their_history() -> None:
    run = Run(plan(dag(*(node(f"t{number}") for number in range(3)))))
    histories = [run.machine.task(task(f"t{number}")).history for number in range(3)]
    assert histories[0] is histories[1] is histories[2]


def test_a_task_shows_its_kind_its_path_and_its_state() -> None:
    shown = [repr(each) for each in Run(KINDS).machine.root.walk()]
    assert shown[:2] == ["<DagTask '' RUNNING>", "<ExecutorTask 'leaf' RUNNING>"]
    assert "<LoopTask 'loop' RUNNING>" in shown
    assert "<DagTask 'loop/1' PENDING>" in shown


@pytest.mark.parametrize(
    "fact",
    [
        TaskReady(task("pipeline"), {}),
        AttemptStarted(task("loop"), 0),
        DagStarted(task("late"), {}),
        DagStarted(task("loop/1"), {}),
        IterationStarted(task("late"), 1),
        LoopStarted(task("late"), {}, (1,)),
        TaskSucceeded(ROOT, {}),
        TaskSucceeded(task("late"), {}),
        TaskSucceeded(task("no-such-task"), {}),
    ],
    ids=lambda fact: f"{type(fact).__name__}-{fact.task}",
)
def test_a_fact_of_another_kind_of_task_or_state_is_refused_and_changes_nothing(fact: TaskFact) -> None:
    run = Run(KINDS)
    before = {each.ref: (each.state, each.history) for each in run.machine.root.walk()}
    with pytest.raises(IllegalTransition, match=f"'{fact.task}': {type(fact).__name__} is not allowed"):
        run.machine.apply(fact)
    assert {each.ref: (each.state, each.history) for each in run.machine.root.walk()} == before


@pytest.mark.parametrize("path", ["pipeline", "loop", "no-such-task"])
def test_an_attempt_cannot_end_at_a_task_that_has_none(path: str) -> None:
    run = Run(KINDS)
    with pytest.raises(IllegalTransition, match=f"'{path}': AttemptEnded is not allowed"):
        run.send(AttemptEnded(task(path), failure=Failure("boom")))


def test_every_fact_about_tasks_is_in_the_table() -> None:
    in_table = {fact for allowed in TRANSITIONS.values() for fact in allowed}
    assert in_table == set(TaskFact.__args__)  # type: ignore[attr-defined]
    assert all(not TRANSITIONS[state] for state in TaskState if state.is_final)
