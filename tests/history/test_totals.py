"""The totals of runs: from the outlines in the store, and from facts where there is no outline."""

from __future__ import annotations

import itertools
import sqlite3
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from random import Random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from standpipe import dsl, local
from standpipe.history import runs
from standpipe.history.progress import NewRunProgress, RunProgress
from standpipe.history.totals import CACHED, Metric, RunTotals
from standpipe.history.totals_reader import TotalsReader
from standpipe.local import FakeRunner
from standpipe.model import events as e
from standpipe.model.layout import RUN_STORE_FILE
from standpipe.model.refs import TaskRef
from standpipe.model.states import TaskState
from standpipe.model.types import ArtifactType
from standpipe.model.values import ArtifactValue
from standpipe.store.runs import RunRecorder
from tests.history.test_reader import random_facts
from tests.plans import RUN, dag, node, plan

PLAN = plan(dag(node("a")))


def record(root: Path, facts: Sequence[e.Fact], run: str = RUN.id) -> None:
    clock = map(float, itertools.count()).__next__
    with closing(RunRecorder(root, RUN._replace(id=run), PLAN, now=clock, outline=RunProgress())) as recorder:
        for fact in facts:
            recorder([fact])


def stored(root: Path) -> dict[str, RunTotals]:
    return TotalsReader(root).stored(runs(root))


def folded(root: Path) -> dict[str, RunTotals]:
    return TotalsReader(root).folded(runs(root), 60)


@dsl.component
def measure(x: int, metrics: dsl.Output[dsl.Metrics]) -> int:
    metrics.log_metric("score", x / 10)
    metrics.log_metric("kind", "text")  # type: ignore[arg-type]
    return x


@dsl.component
def check(x: int) -> int:
    return x


@dsl.pipeline
def totals_of_all_kinds(x: int) -> int:
    with dsl.ParallelFor(list(range(30))) as item:
        first = measure(x=item)
        with dsl.If(first.outputs["Output"] < 10):
            check(x=first.outputs["Output"])
    with dsl.ParallelFor([40, 50]) as other:
        measure(x=other)
    return check(x=x).output


OPTIONS: dict[str, Any] = {"quiet": True, "raise_on_error": False, "enable_caching": True}


def score(x: int, metrics: Any) -> int:
    metrics.log_metric("score", x / 10)
    metrics.metadata.update(kind="text", fine=True, huge=float("1e300"))
    return x


def test_totals_are_the_same_from_the_outline_and_from_the_facts(tmp_path: Path) -> None:
    def run(check_: Any) -> RunTotals:
        runner = FakeRunner(measure=score, check=check_)
        local.run(totals_of_all_kinds, {"x": 7}, runner=runner, pipeline_root=tmp_path, **OPTIONS)
        newest = runs(tmp_path)[0].id
        assert stored(tmp_path)[newest] == folded(tmp_path)[newest]
        return stored(tmp_path)[newest]

    def fail(x: int) -> int:
        raise ValueError("boom")

    failed = run(fail)
    assert failed.counts == {"SUCCEEDED": 32, "FAILED": 11, "SKIPPED": 20}
    assert failed.metrics["score"] == Metric(32, 0.0, 5.0)
    assert set(failed.metrics) == {"score", "huge"}

    succeeded = run(lambda x: x)
    assert succeeded.counts["SKIPPED"] == 20
    assert succeeded.metrics["Output"] == Metric(1, 7, 7)
    again = run(lambda x: x)
    assert again.counts.get(CACHED, 0) + again.counts.get("SUCCEEDED", 0) == 43


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2**32), st.integers(1, 25))
def test_the_stored_totals_are_those_of_the_facts(
    tmp_path_factory: pytest.TempPathFactory, seed: int, tasks: int
) -> None:
    root = tmp_path_factory.mktemp("root")
    record(root, random_facts(Random(seed), tasks))
    (run,) = runs(root)

    assert set(stored(root)) == ({run.id} if run.ended else set())
    for run_id, totals in stored(root).items():
        assert totals == folded(root)[run_id]


def test_iterations_that_are_only_counted_are_in_the_totals() -> None:
    loop = TaskRef((("loop", None),))
    facts: list[e.Fact] = [e.RunStarted({}), e.LoopStarted(loop, {}, tuple(range(50)))]
    for number in range(50):
        inner = TaskRef((("loop", number), ("a", None)))
        facts += [e.IterationStarted(TaskRef((("loop", number),)), number), e.TaskReady(inner, {})]
        cached = "run/a" if number % 2 else ""
        facts += [
            e.TaskSucceeded(inner, {}, cached_from=cached),
            e.TaskSkipped(TaskRef((*inner.path[:1], ("b", None))), "no"),
        ]
        facts.append(e.TaskSucceeded(TaskRef((("loop", number),)), {}))
    facts += [e.TaskSucceeded(loop, {}), e.RunEnded(TaskState.SUCCEEDED, {})]
    for progress in (RunProgress(), NewRunProgress()):
        for number, fact in enumerate(facts):
            progress.apply(float(number), fact)
        assert progress.totals(is_over=True).counts == {"SUCCEEDED": 25, CACHED: 25, "SKIPPED": 50}


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32))
def test_the_totals_do_not_depend_on_which_iterations_are_only_counted(seed: int) -> None:
    full, short = RunProgress(), NewRunProgress()
    for at, fact in enumerate(facts_of_a_loop(Random(seed))):
        full.apply(float(at), fact)
        short.apply(float(at), fact)
    assert short.totals(is_over=True) == full.totals(is_over=True)


def facts_of_a_loop(random: Random) -> list[e.Fact]:
    """Return the facts of a loop with 25 iterations, which have several tasks each and end in any way and order."""
    artifact = ArtifactValue("m", ArtifactType("system.Metrics"), "/m", {"score": random.random()})
    failure = e.Failure("boom")
    loop = TaskRef((("loop", None),))
    open_iterations: list[list[e.Fact]] = []
    for number in range(25):
        iteration = TaskRef((("loop", number),))
        work, group, rest = (TaskRef((*iteration.path, (name, None))) for name in ("work", "group", "rest"))
        ends: list[e.Fact] = [e.TaskFailed(work, failure), e.TaskSucceeded(work, {"m": artifact, "x": 3})]
        facts: list[e.Fact] = [e.IterationStarted(iteration, number), e.TaskReady(work, {}), e.AttemptStarted(work, 0)]
        if random.random() < 0.3:
            facts += [e.AttemptFailed(work, 0, 2, failure, 1.0, 1.0), e.AttemptStarted(work, 1)]
        facts += [random.choice([*ends, e.TaskSucceeded(work, {}, cached_from="a/b")])]
        facts += [e.DagStarted(group, {}), e.TaskSkipped(rest, "no"), e.TaskSucceeded(group, {})]
        facts += [e.TaskSucceeded(iteration, {}) if random.random() < 0.7 else e.TaskFailed(iteration, failure)]
        open_iterations.append(facts)
    merged: list[e.Fact] = [e.RunStarted({}), e.LoopStarted(loop, {}, tuple(range(25)))]
    while open_iterations:
        chosen = random.choice(open_iterations)
        merged.append(chosen.pop(0))
        open_iterations = [each for each in open_iterations if each]
    return [*merged, e.TaskSucceeded(loop, {}), e.RunEnded(TaskState.SUCCEEDED, {"n": 2})]


def test_the_totals_of_a_run_that_was_resumed_are_those_of_its_facts(tmp_path: Path) -> None:
    def fail(x: int) -> int:
        raise ValueError("boom")

    options: dict[str, Any] = {**OPTIONS, "pipeline_root": tmp_path, "enable_caching": False}
    local.run(totals_of_all_kinds, {"x": 7}, runner=FakeRunner(measure=score, check=fail), **options)
    reader = TotalsReader(tmp_path)
    before = reader.folded(runs(tmp_path), 60)
    runner = FakeRunner(measure=score, check=lambda x: x)
    local.resume("latest", pipeline=totals_of_all_kinds, runner=runner, **options)
    (run,) = runs(tmp_path)

    assert before[run.id].counts["FAILED"] == 11
    assert reader.folded([run], 60)[run.id].counts == {"SUCCEEDED": 43, "SKIPPED": 20}
    assert reader.stored([run])[run.id] == folded(tmp_path)[run.id] == stored(tmp_path)[run.id]


def test_a_run_of_an_older_version_is_read_from_its_facts_and_then_kept(tmp_path: Path) -> None:
    local.run(check, {"x": 3}, runner=FakeRunner(check=lambda x: x), pipeline_root=tmp_path, quiet=True)
    with closing(sqlite3.connect(tmp_path / RUN_STORE_FILE)) as db, db:
        db.execute("UPDATE outlines SET body = json_remove(body, '$[3]', '$[2]')")
    reader = TotalsReader(tmp_path)
    (run,) = runs(tmp_path)

    assert reader.stored([run]) == {}
    totals = reader.folded([run], 60)[run.id]
    assert totals == RunTotals({"SUCCEEDED": 1}, {"Output": Metric(1, 3, 3)})
    assert reader.stored([run]) == {run.id: totals}


def test_reading_continues_where_the_time_was_up(tmp_path: Path) -> None:
    task = TaskRef((("a", None),))
    record(tmp_path, [e.RunStarted({}), e.TaskReady(task, {}), *[e.AttemptStarted(task, n) for n in range(4_500)]])
    (run,) = runs(tmp_path)
    times = iter([0.0, 0.5, 2.0, 0.0, 0.5, 0.6, 0.7])
    reader = TotalsReader(tmp_path, times.__next__)

    assert not reader.folded([run], 1.0)[run.id].is_complete
    assert reader.folded([run], 1.0)[run.id] == RunTotals({"INTERRUPTED": 1})


def test_a_run_that_was_removed_has_no_totals(tmp_path: Path) -> None:
    record(tmp_path, [e.RunStarted({})])
    (run,) = runs(tmp_path)
    with closing(sqlite3.connect(tmp_path / RUN_STORE_FILE)) as db, db:
        db.execute("DELETE FROM facts")
        db.execute("DELETE FROM runs")
    assert TotalsReader(tmp_path).folded([run], 1.0) == {run.id: RunTotals()}
