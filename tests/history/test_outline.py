"""What the run store keeps of a run for lists and for `standpipe show` is what its facts say."""

from __future__ import annotations

import doctest
import itertools
import re
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
from standpipe.cli.main import main
from standpipe.cli.quick import find_root
from standpipe.cli.show import _render
from standpipe.errors import StorageError
from standpipe.history import Run, outline, runs
from standpipe.history.progress import RunProgress
from standpipe.local import FakeRunner
from standpipe.model import events as e
from standpipe.model.layout import RUN_STORE_FILE
from standpipe.model.refs import TaskRef
from standpipe.model.states import TaskState
from standpipe.store.overview import read_outline, read_overview
from standpipe.store.runs import SCHEMA, RunRecorder
from tests.history.test_reader import random_facts
from tests.imports import modules_of
from tests.plans import RUN, dag, node, plan

PLAN = plan(dag(node("a")))
BOOM = e.Failure("boom")


def record(root: Path, facts: Sequence[e.Fact], run: str = RUN.id) -> None:
    clock = map(float, itertools.count()).__next__  # whole seconds, so that all sums are exact
    with closing(RunRecorder(root, RUN._replace(id=run), PLAN, now=clock, outline=RunProgress())) as recorder:
        for fact in facts:
            recorder([fact])


def loop_of(*ended: type) -> list[e.Fact]:
    """Return the facts of a loop whose iterations end like this."""
    loop = TaskRef((("loop", None),))
    facts: list[e.Fact] = [e.RunStarted({}), e.LoopStarted(loop, {}, ())]
    for number, kind in enumerate(ended):
        task = TaskRef((("loop", number),))
        facts.append(e.TaskReady(task, {}))
        if kind is e.TaskFailed:
            facts.append(e.TaskFailed(task, BOOM))
        elif kind is e.TaskSkipped:
            facts.append(e.TaskSkipped(task, "no"))
        elif kind is e.TaskSucceeded:
            facts.append(e.TaskSucceeded(task, {}))
    return facts


def lines_of(run: Run, *arguments: str, capsys: pytest.CaptureFixture[str]) -> list[str]:
    assert main(["show", run.id, "--root", str(run.folder.parent), *arguments]) == 0
    return [line.strip() for line in capsys.readouterr().out.splitlines()]


def listed(root: Path) -> list[tuple[str, str, float | None, str]]:
    rows = read_overview(str(root)) or []
    return [(row.run, row.status, row.seconds and round(row.seconds, 4), row.rerun_of) for row in rows]


def recorded(root: Path) -> list[tuple[str, str, float | None, str]]:
    return [(run.id, run.status.value, run.duration and round(run.duration, 4), run.rerun_of) for run in runs(root)]


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 2**32), st.integers(1, 25))
def test_the_stored_outline_is_the_text_of_the_run(
    tmp_path_factory: pytest.TempPathFactory, seed: int, tasks: int
) -> None:
    root = tmp_path_factory.mktemp("root")
    record(root, random_facts(Random(seed), tasks))

    (run,) = runs(root)
    stored = read_outline(str(root), "latest")

    assert (stored is None) == (run.ended is None)
    if stored is not None:
        assert _render(stored) == str(run)
    assert listed(root) == recorded(root)


@dsl.component
def work(x: int) -> int: ...


@dsl.pipeline
def flow(x: int) -> None:
    with dsl.ParallelFor([1, 2, 3]) as item:
        work(x=item).set_retry(1)
    work(x=x)


def test_a_run_that_is_resumed_gets_a_new_outline(tmp_path: Path) -> None:
    def fail(x: int) -> dict[str, int]:
        if x == 3:
            assert len(listed(tmp_path)) == 1
            seen.append((listed(tmp_path)[0][1], read_outline(str(tmp_path), "latest")))
            raise ValueError("boom")
        return {"Output": x}

    seen: list[object] = []
    runner = FakeRunner(work=fail)
    local.run(flow, {"x": 1}, runner=runner, pipeline_root=tmp_path, quiet=True, raise_on_error=False)
    first = read_outline(str(tmp_path), "latest")
    local.resume("latest", pipeline=flow, runner=runner, pipeline_root=tmp_path, quiet=True, raise_on_error=False)
    second = read_outline(str(tmp_path), "latest")

    assert seen
    assert set(seen) == {("RUNNING", None)}
    assert first is not None
    assert second is not None
    assert _render(second) == str(local.get_run("latest", tmp_path))
    assert (first.status, second.status) == ("FAILED", "FAILED")
    assert second.seconds > first.seconds
    assert listed(tmp_path) == recorded(tmp_path)
    local.resume("latest", pipeline=flow, runner=FakeRunner(work=lambda x: x), pipeline_root=tmp_path, quiet=True)
    assert [(run, status) for run, status, *_ in listed(tmp_path)] == [(first.run, "SUCCEEDED")]


@dsl.pipeline
def wide(x: int) -> None:
    items = list(range(40))
    with dsl.ParallelFor(items) as item:
        first = work(x=item)
        with dsl.If(first.output < 30):
            work(x=first.output).set_retry(1)
        with dsl.ParallelFor([100, 200]) as inner:
            work(x=inner).after(first)
    with dsl.ParallelFor(items) as other:
        work(x=other)
    with dsl.ParallelFor(items) as more:
        work(x=more)


def test_failed_iterations_of_a_long_loop_are_in_the_outline(tmp_path: Path) -> None:
    def fail(x: int) -> int:
        if x % 10 == 3:
            raise ValueError("boom")
        return x

    def latest() -> str:
        stored = read_outline(str(tmp_path), "latest")
        assert stored is not None
        texts = [
            re.sub(r" in [0-9.]+ s", "", text) for text in (_render(stored), str(local.get_run("latest", tmp_path)))
        ]
        assert texts[0] == texts[1]
        return texts[0]

    options: dict[str, Any] = {"pipeline_root": tmp_path, "quiet": True, "raise_on_error": False}
    local.run(wide, {"x": 1}, runner=FakeRunner(work=fail), **options)
    failed = latest()
    local.run(wide, {"x": 1}, runner=FakeRunner(work=lambda x: x), **options)
    succeeded = latest()
    local.resume("latest", pipeline=wide, from_task=["for-loop-2"], runner=FakeRunner(work=fail), **options)
    resumed = latest()

    assert failed.count("and 36 that succeeded") == 3
    assert len(re.findall(r"\n    3 \(item 3\): failed: (?:its task|ValueError: boom\n)", failed)) == 3
    assert "      condition-3: skipped" in failed
    assert succeeded.count("    40 that succeeded") == 3
    assert (resumed.count("and 36 that succeeded"), resumed.count("    40 that succeeded")) == (1, 2)


def test_runs_that_have_not_ended_are_listed_by_their_facts(tmp_path: Path) -> None:
    record(tmp_path, loop_of(e.TaskSucceeded), "run-1")
    record(tmp_path, [*loop_of(e.TaskSucceeded), e.RunEnded(TaskState.SUCCEEDED, {})], "run-2")
    assert [(run, status) for run, status, *_ in listed(tmp_path)] == [("run-2", "SUCCEEDED"), ("run-1", "INTERRUPTED")]
    assert listed(tmp_path) == recorded(tmp_path)
    assert read_outline(str(tmp_path), "run-1") is None


def test_runs_are_named_as_everywhere(tmp_path: Path) -> None:
    ended = [*loop_of(e.TaskSucceeded), e.RunEnded(TaskState.SUCCEEDED, {})]
    for run in ("job-1", "job-12", "other"):
        record(tmp_path, ended, run)
    names = {name: read_outline(str(tmp_path), name) for name in ("job-1", "oth", "latest", "jo", "", "none")}
    assert {name: stored.run for name, stored in names.items() if stored} == {
        "job-1": "job-1",
        "oth": "other",
        "latest": "other",
    }


@pytest.mark.parametrize("version", range(1, 6))
def test_the_migration_sums_up_runs_of_older_schemas(tmp_path: Path, version: int) -> None:
    with closing(sqlite3.connect(tmp_path / RUN_STORE_FILE)) as db, db:
        for script in SCHEMA.migrations[:version]:
            db.executescript(script)
        db.execute(f"PRAGMA user_version = {version}")
        for run, kinds in (("run-1", "RunStarted RunEnded RunResumed RunEnded"), ("run-2", "RunStarted")):
            db.execute("INSERT INTO runs (id, pipeline, created) VALUES (?, 'p', '2026-01-01T00:00:00Z')", (run,))
            for seq, kind in enumerate(kinds.split(), start=1):
                body = '{"state":"FAILED","outputs":{}}' if kind == "RunEnded" else '{"inputs":{}}'
                db.execute("INSERT INTO facts VALUES (?, ?, ?, ?, ?)", (run, seq, seq * seq, kind, body))
    before = recorded(tmp_path)
    assert before[1][1:3] == ("FAILED", 10.0)
    assert read_overview(str(tmp_path)) is None

    record(tmp_path, [], "run-3")  # migrates the store; a run without facts is not recorded
    with closing(RunRecorder(tmp_path, RUN, PLAN)):
        pass

    assert [row for row in listed(tmp_path) if row[0] != "run-3"] == before
    assert recorded(tmp_path) == listed(tmp_path)


def test_a_store_that_needs_an_explanation_is_left_to_the_reader(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert read_overview(str(tmp_path)) is None
    assert read_outline(str(tmp_path), "latest") is None
    (tmp_path / RUN_STORE_FILE).write_bytes(b"SQLite format 3\0" + bytes(100))
    assert read_overview(str(tmp_path)) is None
    assert main(["runs", "--root", str(tmp_path)]) == StorageError.exit_code
    assert "is damaged" in capsys.readouterr().err


def test_of_many_siblings_100_of_each_status_are_shown(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    ends = [e.TaskFailed] * 300 + [e.TaskSucceeded] * 50 + [e.TaskSkipped] * 101
    failed = tuple(e.TaskFailed(TaskRef((("loop", number),)), BOOM) for number in range(300))
    record(tmp_path, [*loop_of(*ends), e.RunEnded(TaskState.FAILED, {}, failed)])
    (run,) = runs(tmp_path)

    lines = lines_of(run, capsys=capsys)

    assert lines[2:4] == ["0: failed: boom", "1: failed: boom"]
    assert lines[102:205] == [
        *(f"{number}: skipped: no" for number in range(350, 450)),
        *("and 50 that succeeded", "and 200 more that failed", "and 1 more that were skipped"),
    ]
    assert lines[205:] == [
        *(f"Task 'loop/{number}' failed: boom" for number in range(100)),
        "and 200 more failures",
    ]
    assert lines == [line.strip() for line in str(run).splitlines()]
    everything = lines_of(run, "--all", capsys=capsys)
    assert len(everything) == 2 + 451 + 300
    assert everything[302] == "300: succeeded"


def test_tasks_that_wait_in_a_long_loop_are_counted(tmp_path: Path) -> None:
    record(tmp_path, loop_of(*[object] * 5000))
    (run,) = runs(tmp_path)
    assert str(run).splitlines()[-1].strip() == "and 4900 more that were interrupted"


def test_failures_are_stored_without_commands_for_the_terminal(tmp_path: Path) -> None:
    failure = e.Failure("\x1b[2Jboom\0 \udcff")
    task = TaskRef((("a", None),))
    ended = e.RunEnded(TaskState.FAILED, {}, (e.TaskFailed(task, failure),))
    record(tmp_path, [e.RunStarted({}), e.TaskFailed(task, failure), ended])
    (run,) = runs(tmp_path)
    stored = read_outline(str(tmp_path), "latest")
    assert "boom \udcff" in str(run)
    assert stored is None or _render(stored) == str(run)


def test_the_quick_commands_import_little(tmp_path: Path) -> None:
    record(tmp_path, [*loop_of(e.TaskSucceeded), e.RunEnded(TaskState.SUCCEEDED, {})])
    for command in ("'runs'", "'show', 'latest'"):
        program = f"from standpipe.cli.main import main; main([{command}, '--root', {str(tmp_path)!r}])"
        assert not {"argparse", "typing", "pathlib", "re", "json", "dataclasses"} & modules_of(program)


def test_the_examples_of_arguments_hold() -> None:
    from standpipe.cli import quick

    assert doctest.testmod(quick).failed == doctest.testmod(outline).failed == 0
    assert find_root(["--root"]) == find_root(["--root", "--json"]) == find_root(["--root", "a", "b"]) == ""
