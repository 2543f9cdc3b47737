"""Timelines of recorded facts, whose times are known, and of runs with fake tasks."""

from __future__ import annotations

from contextlib import closing
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import pytest

from standpipe import dsl, local
from standpipe.history import Run
from standpipe.local import FakeRunner
from standpipe.model import events as e
from standpipe.model.plan import Loop, Plan, RawItems
from standpipe.model.refs import ROOT, TaskRef
from standpipe.model.states import TaskState
from standpipe.store.locks import RunLock
from standpipe.store.runs import RunRecorder
from standpipe.ui.source import RunSource
from standpipe.ui.views import timeline
from standpipe.ui.views.timeline import Timeline, TimelineRow, draw_timeline
from tests.plans import RUN, dag, group, node, plan

A, B, C = ROOT.child("a"), ROOT.child("b"), ROOT.child("c")
LOOP = ROOT.child("loop")
BOOM = e.Failure("boom")
SUCCEEDED, FAILED = e.RunEnded(TaskState.SUCCEEDED, {}), e.RunEnded(TaskState.FAILED, {})
PLAN = plan(dag(node("a"), node("b", "a"), node("c")))
LOOP_PLAN = plan(
    dag(node("loop", component="body", loop=Loop(RawItems((1, 2, 3)), "x")), node("b", "loop")),
    body=group(dag(node("a"))),
)


def recorded_at(root: Path, *dated: tuple[float, e.Fact], made: Plan = PLAN) -> Run:
    """Record the facts of a run that starts at 0, at these times in seconds since the epoch."""
    dated = ((0.0, e.RunStarted({})), *dated)
    times = iter(at for at, _ in dated)
    with closing(RunRecorder(root, RUN, made, now=lambda: next(times))) as recorder:
        for _, fact in dated:
            recorder([fact])
    return local.get_run(RUN.id, root)


def draw(run: Run, made: Plan | None = PLAN, *toggled: str, now: float = 100.0) -> Timeline:
    return draw_timeline(run, made, datetime.fromtimestamp(now, timezone.utc), toggled)


def bars(row: TimelineRow, length: float) -> list[tuple[str, float, float, str]]:
    """Return the kind, start and end in seconds, and state of each bar."""
    return [(bar.kind, round(bar.start * length, 3), round(bar.end * length, 3), bar.state) for bar in row.bars]


def rows(drawn: Timeline) -> dict[str, TimelineRow]:
    return {row.path: row for row in drawn.rows}


def executed(task: TaskRef, ready: float, started: float, ended: float) -> list[tuple[float, e.Fact]]:
    return [
        (ready, e.TaskReady(task, {})),
        (started, e.AttemptStarted(task, 0, started)),
        (ended, e.TaskSucceeded(task, {})),
    ]


def test_waiting_is_shown_apart_from_running(tmp_path: Path) -> None:
    run = recorded_at(
        tmp_path,
        *(*executed(A, 1.0, 3.0, 6.0), *executed(B, 6.0, 6.0, 10.0)),
        (10.0, SUCCEEDED),
    )
    drawn = draw(run)

    assert [row.path for row in drawn.rows] == ["a", "b"]
    assert bars(drawn.rows[0], 10) == [("waiting", 1, 3, "READY"), ("attempt", 3, 6, "SUCCEEDED")]
    assert drawn.rows[0].bars[0].label == "waited, 2 s"
    assert drawn.rows[0].summary == "Succeeded, waited, 2 s, succeeded, 3 s, on the critical path"
    assert drawn.rows[1].duration == 4.0
    assert [tick.label for tick in drawn.ticks] == ["0", "2 s", "4 s", "6 s", "8 s", "10 s"]


def test_each_attempt_is_a_bar_with_the_wait_for_the_next_one(tmp_path: Path) -> None:
    run = recorded_at(
        tmp_path,
        *((0.0, e.TaskReady(A, {})), (0.0, e.AttemptStarted(A, 0, 0.0))),
        *((2.0, e.AttemptFailed(A, 0, 2, BOOM, 2.0, 4.0)), (6.0, e.AttemptStarted(A, 1, 6.0))),
        *((8.0, e.TaskFailed(A, BOOM)), (8.0, FAILED)),
    )
    (row,) = draw(run).rows

    assert bars(row, 8) == [
        ("waiting", 0, 0, "READY"),
        ("attempt", 0, 2, "FAILED"),
        ("attempt", 6, 8, "FAILED"),
        ("backoff", 2, 6, "READY"),
    ]
    assert row.bars[2].label == "attempt 2, 2 s"


def test_what_runs_is_drawn_until_now(tmp_path: Path) -> None:
    (tmp_path / RUN.id).mkdir()
    with RunLock(tmp_path / RUN.id):
        run = recorded_at(
            tmp_path,
            *((1.0, e.TaskReady(A, {})), (2.0, e.AttemptStarted(A, 0, 2.0))),
            *((4.0, e.TaskReady(B, {})), (5.0, e.TaskReady(C, {})), (5.0, e.AttemptStarted(C, 0, 5.0))),
            (6.0, e.AttemptFailed(C, 0, 2, BOOM, 6.0, 60.0)),
        )
        drawn = rows(draw(run, now=10.0))

    assert bars(drawn["a"], 10) == [("waiting", 1, 2, "READY"), ("attempt", 2, 10, "RUNNING")]
    assert bars(drawn["b"], 10) == [("waiting", 4, 10, "READY")]
    assert bars(drawn["c"], 10)[-1] == ("backoff", 6, 10, "READY")


def test_an_interrupted_run_ends_with_what_is_known_last(tmp_path: Path) -> None:
    run = recorded_at(
        tmp_path,
        *(*executed(A, 0.0, 0.0, 4.0), (4.0, e.TaskReady(B, {}))),
        (5.0, e.AttemptStarted(B, 0, 5.0)),
    )
    drawn = rows(draw(run))

    assert bars(drawn["b"], 5) == [("waiting", 4, 5, "READY"), ("attempt", 5, 5, "INTERRUPTED")]


def test_the_time_before_a_resume_takes_no_room(tmp_path: Path) -> None:
    run = recorded_at(
        tmp_path,
        *((0.0, e.TaskReady(A, {})), (0.0, e.AttemptStarted(A, 0, 0.0))),
        *((4.0, e.TaskReady(B, {})), (1000.0, e.RunResumed(())), (1000.0, e.TaskReady(A, {}))),
        *((1001.0, e.AttemptStarted(A, 1, 1001.0)), (1006.0, e.TaskSucceeded(A, {})), (1006.0, SUCCEEDED)),
    )
    drawn = draw(run)

    assert bars(rows(drawn)["a"], 10) == [
        ("waiting", 4, 5, "READY"),
        ("attempt", 0, 4, "INTERRUPTED"),
        ("attempt", 5, 10, "SUCCEEDED"),
    ]
    assert [(round(gap.at, 3), gap.label) for gap in drawn.gaps] == [(0.4, "16 min 36 s")]


def test_cached_skipped_and_cancelled_tasks(tmp_path: Path) -> None:
    run = recorded_at(
        tmp_path,
        *((1.0, e.TaskReady(A, {})), (1.0, e.AttemptStarted(A, 0, 1.0))),
        *((3.0, e.TaskSucceeded(A, {}, cached_from="run-0/a")), (3.0, e.TaskSkipped(B, "its condition is false"))),
        *((3.0, e.TaskReady(C, {})), (7.0, e.TaskCancelled(C)), (10.0, e.RunEnded(TaskState.CANCELLED, {}))),
    )
    drawn = rows(draw(run))

    assert (bars(drawn["a"], 10), drawn["a"].state) == ([("cached", 1, 3, "CACHED")], "CACHED")
    assert drawn["a"].bars[0].label == "cached from run-0/a, 2 s"
    assert (drawn["b"].bars, drawn["b"].state) == ((), "SKIPPED")
    assert bars(drawn["c"], 10) == [("waiting", 3, 7, "READY")]


def test_the_critical_path_is_the_chain_that_ended_last(tmp_path: Path) -> None:
    made = plan(dag(node("a"), node("b"), node("c", "a", "b"), node("d")))
    run = recorded_at(
        tmp_path,
        *(*executed(A, 0.0, 0.0, 2.0), *executed(B, 0.0, 0.0, 5.0)),
        *(*executed(C, 5.0, 5.0, 9.0), *executed(ROOT.child("d"), 0.0, 0.0, 8.0), (9.0, SUCCEEDED)),
        made=made,
    )
    drawn = draw(run, made)

    assert {row.path for row in drawn.rows if row.is_critical} == {"b", "c"}
    assert drawn.has_critical_path
    assert not draw(run, None).has_critical_path


def iterate(number: int, start: float, end: float, *, fails: bool = False) -> list[tuple[float, e.Fact]]:
    iteration = ROOT.child("loop", number)
    inside = iteration.child("a")
    return [
        (start, e.IterationStarted(iteration, number + 1)),
        *((start, e.TaskReady(inside, {})), (start, e.AttemptStarted(inside, 0, start))),
        (end, e.TaskFailed(inside, BOOM) if fails else e.TaskSucceeded(inside, {})),
        (end, e.TaskFailed(iteration, e.Failure("", cause_task=inside)) if fails else e.TaskSucceeded(iteration, {})),
    ]


def looped(root: Path) -> Run:
    iterations = [*iterate(0, 0.0, 4.0), *iterate(1, 0.0, 6.0, fails=True), *iterate(2, 4.0, 8.0)]
    iterations.sort(key=lambda dated: dated[0])
    return recorded_at(
        root,
        *((0.0, e.LoopStarted(LOOP, {}, (1, 2, 3))), *iterations),
        *((8.0, e.TaskFailed(LOOP, BOOM)), (10.0, FAILED)),
        made=LOOP_PLAN,
    )


def test_a_loop_is_a_row_that_opens(tmp_path: Path) -> None:
    run = looped(tmp_path)
    (row,) = draw(run, LOOP_PLAN).rows

    assert (row.kind, row.is_open, row.toggle, row.state) == ("loop", False, ("loop",), "FAILED")
    assert row.strip
    assert row.strip.peak == 2
    assert (len(row.strip.levels), row.strip.failures) == (timeline.STEPS, (0.6,))
    assert [row.strip.levels[int(part * timeline.STEPS)] for part in (0.2, 0.5, 0.7, 0.9)] == [1.0, 1.0, 0.5, 0.0]
    assert "3 iterations, up to 2 at the same time" in row.summary

    opened = draw(run, LOOP_PLAN, "loop")
    assert [(each.path, each.depth, each.name) for each in opened.rows] == [
        ("loop", 0, "loop"),
        *(("loop/0", 1, "0: 1"), ("loop/0/a", 2, "a")),
        *(("loop/1", 1, "1: 2"), ("loop/1/a", 2, "a")),
        *(("loop/2", 1, "2: 3"), ("loop/2/a", 2, "a")),
    ]
    assert (opened.rows[0].strip, opened.rows[0].toggle) == (None, ())
    assert {each.path for each in opened.rows if each.is_critical} == {"loop", "loop/2", "loop/2/a"}
    assert bars(opened.rows[1], 10) == [("group", 0, 4, "SUCCEEDED")]
    closed = draw(run, LOOP_PLAN, "loop", "loop/1")
    assert [each.path for each in closed.rows][3:5] == ["loop/1", "loop/2"]


def test_long_timelines_are_cut(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(timeline, "MAX_ITERATIONS", 2)
    run = looped(tmp_path)
    drawn = draw(run, LOOP_PLAN, "loop")
    assert [(row.path, row.kind, row.name) for row in drawn.rows[-1:]] == [("loop", "more", "1 more iterations")]
    assert not drawn.is_cut

    monkeypatch.setattr(timeline, "MAX_ROWS", 3)
    cut = draw(run, LOOP_PLAN, "loop")
    assert (len(cut.rows), cut.is_cut) == (3, True)


def test_a_run_without_tasks_has_no_rows(tmp_path: Path) -> None:
    drawn = draw(recorded_at(tmp_path))

    assert (drawn.rows, drawn.is_cut, drawn.has_critical_path) == ((), False, False)


# --- runs -------------------------------------------------------------------------------------------------------------


@dsl.component
def step(x: int) -> int: ...


@dsl.component
def finish(status: dsl.PipelineTaskFinalStatus) -> None: ...


@dsl.pipeline
def timeline_inner(x: int) -> int:
    return step(x=x).output


@dsl.pipeline
def timeline_of_groups(x: int = 1) -> None:
    with dsl.ExitHandler(finish(), name='wrap "up" <b>'):
        inner = timeline_inner(x=x)
        with dsl.If(inner.output == 1):
            step(x=2).set_display_name("überprüfen")
        with dsl.If(inner.output == 5):
            step(x=3)


def test_groups_are_open_and_their_tasks_in_the_order_in_which_they_were_reached(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    functions: dict[str, Any] = {"step": lambda x: {"Output": x}}
    local.run(timeline_of_groups, runner=FakeRunner(functions), quiet=True)
    source = RunSource(Path("local_outputs").absolute())
    run = source.run("latest")
    drawn = draw_timeline(run, source.plan(run), datetime.now(timezone.utc))

    shown = [(row.depth, row.name, row.kind, row.state) for row in drawn.rows]
    assert shown[:3] == [
        (0, 'wrap "up" <b>', "exit-handler", "SUCCEEDED"),
        (1, "timeline-inner", "pipeline", "SUCCEEDED"),
        (2, "step", "execution", "SUCCEEDED"),
    ]
    assert (2, "überprüfen", "execution", "SUCCEEDED") in shown
    assert (1, "condition-3", "condition", "SKIPPED") in shown
    assert shown[-1] == (0, "finish", "execution", "SUCCEEDED")
    critical = {row.name for row in drawn.rows if row.is_critical}
    assert critical == {'wrap "up" <b>', "timeline-inner", "step", "condition-2", "überprüfen", "finish"}
