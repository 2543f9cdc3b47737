"""The runs of a pipeline root, as the pages ask for them."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient

from standpipe import dsl, local
from standpipe.errors import NoSuchRun, TaskFailed
from standpipe.local import FakeRunner
from standpipe.store.reading import StoredFacts
from standpipe.ui.source import RunSource
from standpipe.ui.views.spec import emit_yaml


@dsl.component
def shaky_source() -> int: ...


@dsl.component
def steady_source(x: int) -> int: ...


@dsl.pipeline
def one_task_of_source() -> int:
    return shaky_source().output


@dsl.pipeline(name="one-task-of-source")
def two_tasks_of_source() -> int:
    return steady_source(x=shaky_source().output).output


def fails() -> int:
    raise ValueError("not yet")


def test_the_plan_is_that_of_the_last_resume_and_a_run_is_followed(tmp_path: Path) -> None:
    root, source = str(tmp_path), RunSource(tmp_path)
    with pytest.raises(TaskFailed):
        local.run(one_task_of_source, {}, runner=FakeRunner(shaky_source=fails), pipeline_root=root, quiet=True)
    failed = source.run("latest")
    before = source.plan(failed)
    works = FakeRunner(shaky_source=lambda: 1, steady_source=lambda x: x + 1)
    local.resume(failed.id, pipeline=two_tasks_of_source, runner=works, pipeline_root=root, quiet=True)
    after = source.plan(source.run(failed.id))

    assert before is not None
    assert after is not None
    assert [*before.components] == ["comp-shaky-source"]
    assert {*after.components} == {"comp-shaky-source", "comp-steady-source"}
    assert source.run(failed.id).outputs == {"Output": 2}
    assert [run.id for run in source.runs()] == [failed.id]


def test_the_plan_of_a_run_is_read_without_its_facts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, client: Callable[[], TestClient]
) -> None:
    root = str(tmp_path)
    with pytest.raises(TaskFailed):
        local.run(one_task_of_source, {}, runner=FakeRunner(shaky_source=fails), pipeline_root=root, quiet=True)
    (failed,) = local.runs(tmp_path)
    works = FakeRunner(shaky_source=lambda: 1, steady_source=lambda x: x + 1)
    local.resume(failed.id, pipeline=two_tasks_of_source, runner=works, pipeline_root=root, quiet=True)
    monkeypatch.setattr(StoredFacts, "facts_since", None)
    source = RunSource(tmp_path)
    plan = source.plan(source.run(failed.id))

    assert plan is not None
    assert {*plan.components} == {"comp-shaky-source", "comp-steady-source"}
    assert client().get(f"/runs/{failed.id}/spec").text == emit_yaml(plan)


def test_of_large_runs_only_the_last_one_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    runner = FakeRunner(shaky_source=lambda: 1)
    for _ in range(3):
        local.run(one_task_of_source, {}, runner=runner, pipeline_root=str(tmp_path), quiet=True)
    source = RunSource(tmp_path)
    ids = [run.id for run in source.runs()]
    assert all(source.run(run).tasks for run in ids)
    kept = [source.run(run) for run in ids]
    monkeypatch.setattr("standpipe.ui.source._MOST_FACTS", 5)
    assert [source.run(run).tasks for run in ids] == [run.tasks for run in kept]

    assert [*source._kept] == [ids[-1]]


def test_an_unknown_run_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(NoSuchRun, match="no run 'other'"):
        RunSource(tmp_path).run("other")


def test_a_run_that_was_prepared_is_not_read_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    local.run(one_task_of_source, runner=FakeRunner(shaky_source=lambda: 1), pipeline_root=tmp_path, quiet=True)
    source = RunSource(tmp_path)
    run = source.runs()[0].id
    source.prepare(run)
    monkeypatch.setattr(StoredFacts, "facts_since", None)

    assert [task.path for task in source.run(run).tasks] == ["shaky-source"]
    source.prepare(run)
    source.prepare("nothing")


def test_one_run_is_prepared_at_a_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    local.run(one_task_of_source, runner=FakeRunner(shaky_source=lambda: 1), pipeline_root=tmp_path, quiet=True)
    source = RunSource(tmp_path)
    run, read = source.runs()[0].id, []
    original = StoredFacts.facts_since

    def facts_since(self: StoredFacts, *args: Any, **how: Any) -> Any:
        read.append(args[0])
        source._kept.clear()
        source.prepare(run)
        return original(self, *args, **how)

    monkeypatch.setattr(StoredFacts, "facts_since", facts_since)
    source.prepare(run)

    assert read == [run]


def test_a_run_is_read_ahead_in_steps_while_no_page_is_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    local.run(one_task_of_source, runner=FakeRunner(shaky_source=lambda: 1), pipeline_root=tmp_path, quiet=True)
    monkeypatch.setattr("standpipe.history.reader.STEP", 2)
    source = RunSource(tmp_path)
    run, read = source.runs()[0].id, []
    original = StoredFacts.facts_since

    def facts_since(self: StoredFacts, *args: Any, **how: Any) -> Any:
        read.append(args[1:])
        assert not source.pages._count
        return original(self, *args, **how)

    monkeypatch.setattr(StoredFacts, "facts_since", facts_since)
    with source.pages.one():
        reading = threading.Thread(target=source.prepare, args=(run,))
        reading.start()
        reading.join(0.1)
        assert not read
    reading.join()

    assert read[:2] == [(0, 2), (2, 4)]
    assert [task.path for task in source.run(run).tasks] == ["shaky-source"]


def test_a_run_that_others_have_displaced_is_not_read_to_its_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    local.run(one_task_of_source, runner=FakeRunner(shaky_source=lambda: 1), pipeline_root=tmp_path, quiet=True)
    monkeypatch.setattr("standpipe.history.reader.STEP", 1)
    source = RunSource(tmp_path)
    run, read = source.runs()[0].id, []
    original = StoredFacts.facts_since

    def facts_since(self: StoredFacts, *args: Any, **how: Any) -> Any:
        read.append(args[1:])
        source._kept.clear()
        return original(self, *args, **how)

    monkeypatch.setattr(StoredFacts, "facts_since", facts_since)
    source.prepare(run)

    assert read == [(0, 1)]
