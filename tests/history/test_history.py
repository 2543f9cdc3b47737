"""Run history, of runs with fake tasks and of recorded facts."""

from __future__ import annotations

import copy
import dataclasses
import doctest
import json
import pickle
import re
import time
from collections.abc import Mapping
from contextlib import closing
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from standpipe import dsl, local
from standpipe.cli.main import main
from standpipe.dsl.tracing.tasks import FailedTaskOutput
from standpipe.errors import NoSuchRun, NoSuchTask, StorageError, TaskFailed
from standpipe.history import Run, Status, Task, render
from standpipe.history.documents import document
from standpipe.local import FakeRunner
from standpipe.model import events as e
from standpipe.model.attempts import Outcome
from standpipe.model.refs import TaskRef
from standpipe.model.states import TaskState
from standpipe.model.types import ArtifactType
from standpipe.model.values import ArtifactValue, Checksum
from standpipe.store.locks import RunLock, was_asked_to_stop
from standpipe.store.runs import RunRecorder
from standpipe.support import durations
from tests.imports import modules_of
from tests.plans import RUN, dag, node, plan


@dsl.component
def make(rows: int, data: dsl.Output[dsl.Dataset]) -> None: ...


@dsl.component
def train(data: dsl.Input[dsl.Dataset], rate: int, model: dsl.Output[dsl.Model]) -> int: ...


@dsl.component
def pick(models: dsl.Input[list[dsl.Model]]) -> int: ...


@dsl.component
def shaky(x: int) -> int: ...


@dsl.pipeline
def prepare(rows: int) -> dsl.Dataset:
    return make(rows=rows).outputs["data"]


@dsl.pipeline
def search(rows: int = 3) -> int:
    data = prepare(rows=rows)
    with dsl.ParallelFor([10, 20]) as rate:
        trained = train(data=data.output, rate=rate)
        with dsl.If(trained.outputs["Output"] > 15):
            shaky(x=trained.outputs["Output"])
    return pick(models=dsl.Collected(trained.outputs["model"])).output


@dsl.pipeline
def fragile(x: int = 1) -> None:
    first = shaky(x=x).set_retry(2, backoff_duration="0s")
    shaky(x=first.output)
    make(rows=x)


RUNNER = FakeRunner(train=lambda rate: {"Output": rate}, pick=lambda: {"Output": 1}, shaky=lambda x: {"Output": x + 1})


@pytest.fixture(autouse=True)
def _own_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)


def run_of(pipeline: Any, runner: FakeRunner = RUNNER, **arguments: Any) -> Run:
    local.run(pipeline, arguments, runner=runner, quiet=True, raise_on_error=False)
    return local.get_run("latest")


def shape(tasks: tuple[Task, ...]) -> dict[str, Any]:
    """Return the tasks as a tree, with the status of those without children."""
    return {task.name: shape(task.children) or task.status.value for task in tasks}


def test_a_run_can_be_copied() -> None:
    run = run_of(search)
    duplicate = copy.deepcopy(run)

    assert document(duplicate) == document(run)
    assert duplicate.refresh().status is Status.SUCCEEDED
    assert dataclasses.asdict(run)["id"] == run.id


def test_a_run_has_its_tasks_as_a_tree() -> None:
    before = datetime.now(timezone.utc) - timedelta(seconds=1)
    run = run_of(search)

    assert (run.pipeline, run.status, run.inputs, run.outputs) == (
        "search",
        Status.SUCCEEDED,
        {"rows": 3},
        {"Output": 1},
    )
    assert run.folder == Path("local_outputs", run.id).absolute()
    assert run.folder.is_dir()
    assert run.started
    assert run.ended
    assert before < run.created <= run.started <= run.ended
    assert run.duration == (run.ended - run.started).total_seconds()
    assert shape(run.tasks) == {
        "prepare": {"make": "SUCCEEDED"},
        "for-loop-2": {
            "0": {"train": "SUCCEEDED", "condition-3": "SKIPPED"},
            "1": {"train": "SUCCEEDED", "condition-3": {"shaky": "SUCCEEDED"}},
        },
        "pick": "SUCCEEDED",
    }
    assert (run.failures, run.resume_count) == ((), 0)


def test_a_task_is_found_by_its_path_or_its_unique_name() -> None:
    run = run_of(search)

    trained = run.task("for-loop-2/1/train")
    assert (trained.path, trained.inputs["rate"], trained.outputs["Output"]) == ("for-loop-2/1/train", 20, 20)
    assert run.task("pick").path == "pick"
    assert (run.task("for-loop-2/1").iteration, run.task("for-loop-2/1").item) == (1, 20)
    assert "condition" in run.task("for-loop-2/0/condition-3").skip_reason
    with pytest.raises(
        NoSuchTask, match="2 tasks of run .* named 'train': use the path of one, such as 'for-loop-2/0/tr"
    ):
        run.task("train")
    with pytest.raises(
        NoSuchTask, match="has not reached a task 'pcik'. The closest are pick; `standpipe show --root .* search-"
    ):
        run.task("pcik")


def test_artifacts_have_their_producers_and_consumers() -> None:
    run = run_of(search)

    lineage = {(artifact.type, artifact.producer): artifact.consumers for artifact in run.artifacts}
    assert lineage == {
        ("system.Dataset", "prepare/make"): ("for-loop-2/0/train", "for-loop-2/1/train"),
        ("system.Model", "for-loop-2/0/train"): ("pick",),
        ("system.Model", "for-loop-2/1/train"): ("pick",),
    }
    (data,) = run.task("make").artifacts
    assert data.path == run.folder / "prepare" / "make" / "data"
    assert run.task("for-loop-2/0/train").inputs["data"] is data
    assert run.task("pick").inputs["models"] == [
        run.task(f"for-loop-2/{number}/train").artifacts[0] for number in (0, 1)
    ]


def test_tasks_have_their_attempts_and_failures() -> None:
    calls: list[int] = []

    def fails_twice(x: int) -> Mapping[str, Any]:
        calls.append(x)
        return Outcome(exit_code=1, cause="ValueError: boom") if len(calls) < 3 else {"Output": 5}  # type: ignore[return-value]

    def fails(x: int) -> Mapping[str, Any]:
        raise ValueError(x)

    run = run_of(fragile, FakeRunner(shaky=fails_twice, shaky_2=fails))

    first, second = run.task("shaky"), run.task("shaky-2")
    assert (run.status, first.status, second.status) == (Status.FAILED, Status.SUCCEEDED, Status.FAILED)
    told = [(attempt.number, attempt.status, attempt.folder.name) for attempt in first.attempts]
    assert told == [
        (1, Status.FAILED, "shaky"),
        (2, Status.FAILED, "shaky@1"),
        (3, Status.SUCCEEDED, "shaky@2"),
    ]
    assert first.attempts[0].failure
    assert first.attempts[0].failure.message == "ValueError: boom"
    assert all(attempt.duration is not None and attempt.log.is_file() for attempt in first.attempts)
    assert second.failure
    assert run.failures == ("Task 'shaky-2' failed: ValueError: 5",)


def test_logs_are_read(tmp_path: Path) -> None:
    run = run_of(fragile)
    task = run.task("shaky")
    task.attempts[-1].log.write_bytes(b"caf\xc3\xa9 \xff\n")

    assert run.log("shaky") == run.log(task, attempt=1) == "café \ufffd\n"
    with pytest.raises(NoSuchTask, match="Task 'shaky' has no attempt 7. Its attempts are 1, .*numbered from 1"):
        run.log("shaky", attempt=7)
    task.attempts[-1].log.unlink()
    with pytest.raises(StorageError, match="log of task 'shaky' was removed: .*log.txt"):
        run.log("shaky")
    looped = run_of(search)
    with pytest.raises(NoSuchTask, match="its status is SKIPPED"):
        looped.log("for-loop-2/0/condition-3")
    with pytest.raises(NoSuchTask, match="Its children have logs of their own"):
        looped.log("prepare")


def test_runs_are_listed_newest_first_per_pipeline_root(tmp_path: Path) -> None:
    assert local.runs() == []
    first, second = run_of(search), run_of(fragile)

    assert [run.id for run in local.runs()] == [second.id, first.id]
    assert local.runs(tmp_path / "elsewhere") == []
    local.init(RUNNER, pipeline_root=tmp_path / "elsewhere")
    assert local.runs() == []
    with pytest.raises(NoSuchRun, match="holds no runs"):
        local.get_run(first.id)
    assert local.get_run(first.id, "local_outputs").id == first.id


def test_the_text_of_a_run_is_a_tree() -> None:
    run = run_of(search)
    lines = [line.rstrip("0123456789.e-s ") for line in str(run).splitlines()]

    assert lines[1:5] == [
        "  prepare: succeeded in",
        "    make: succeeded in",
        "  for-loop-2: succeeded in",
        "    0 (item 10): succeeded in",
    ]
    assert "      condition-3: skipped: its condition is false" in str(run)
    assert str(run.task("pick")).startswith("pick: succeeded in ")
    assert f"  log: {run.folder / 'pick' / 'log.txt'}" in str(run.task("pick"))
    assert (repr(run), repr(run.task("pick"))) == (f"<Run {run.id}: SUCCEEDED>", "<Task pick: SUCCEEDED>")


def test_the_document_of_a_run_is_json_with_each_task_once() -> None:
    run = run_of(search)
    told = json.loads(json.dumps(document(run)))

    assert (told["id"], told["status"], told["duration"]) == (run.id, "SUCCEEDED", run.duration)
    assert [(task["path"], task["parent"]) for task in told["tasks"][:4]] == [
        *(("prepare", None), ("prepare/make", "prepare")),
        *(("for-loop-2", None), ("for-loop-2/0", "for-loop-2")),
    ]
    assert told["tasks"][1]["outputs"]["data"]["producer"] == "prepare/make"


def test_a_resumed_run_has_the_attempts_before_and_after() -> None:
    def fails(x: int) -> Mapping[str, Any]:
        raise ValueError(x)

    gives_5 = {"shaky": lambda x: {"Output": 5}}
    failed = run_of(fragile, FakeRunner(gives_5, shaky_2=fails))
    local.resume(failed.id, pipeline=fragile, runner=FakeRunner(gives_5, shaky_2=gives_5["shaky"]), quiet=True)
    run = local.get_run(failed.id)

    assert (failed.status, failed.resume_count, run.status, run.resume_count) == (Status.FAILED, 0, Status.SUCCEEDED, 1)
    assert [attempt.status for attempt in run.task("shaky-2").attempts] == [Status.FAILED, Status.SUCCEEDED]
    assert [attempt.number for attempt in run.task("shaky").attempts] == [1]
    assert run.failures == ()
    assert failed.failures == ("Task 'shaky-2' failed: ValueError: 5",)


def test_cached_outputs_have_their_origin() -> None:
    local.init(RUNNER, quiet=True, enable_caching=True)
    first = run_of(search)
    second = run_of(search)

    task = second.task("make")
    assert (task.status, task.cached_from, task.attempts) == (Status.SUCCEEDED, f"{first.id}/prepare/make", ())
    assert (task.artifacts[0].path, task.artifacts[0].producer) == (
        first.task("make").artifacts[0].path,
        "prepare/make",
    )


def test_a_finished_run_cannot_be_cancelled() -> None:
    assert run_of(search).cancel() is False


# --- recorded facts ---------------------------------------------------------------------------------------------------

A, B, LOOP = TaskRef((("a", None),)), TaskRef((("b", None),)), TaskRef((("loop", None),))
INSIDE = TaskRef((("loop", 0), ("a", None)))
REPORT = e.AttemptReport(2.5, cpu_seconds=1.5, peak_memory=2048, log_bytes=10, log_lines=2, warm_imports=True)
BOOM = e.Failure("boom")
OVER = TaskState.SUCCEEDED


def recorded(root: Path, *facts: e.Fact) -> Run:
    with closing(RunRecorder(root, RUN, plan(dag(node("a"))))) as recorder:
        recorder((e.RunStarted({}), *facts))
    return local.get_run(RUN.id, root)


def recorded_at(root: Path, *dated: tuple[float, e.Fact]) -> Run:
    """Record facts at these times, in seconds since the epoch."""
    times = iter(at for at, _ in dated)
    with closing(RunRecorder(root, RUN, plan(dag(node("a"))), now=lambda: next(times))) as recorder:
        for _, fact in dated:
            recorder([fact])
    return local.get_run(RUN.id, root)


@pytest.mark.parametrize(
    "end",
    [
        pytest.param((20.0, e.RunEnded(TaskState.FAILED, {})), id="after a failure"),
        pytest.param((20.0, e.RunEnded(TaskState.SUCCEEDED, {})), id="after a success"),
        pytest.param((20.0, e.TaskReady(B, {})), id="after its process was killed"),
    ],
)
def test_a_resume_does_not_stretch_durations(tmp_path: Path, end: tuple[float, e.Fact]) -> None:
    """`a` waits for a retry while the run is idle, for 980 s; the loop has a part before and a part after."""
    run = recorded_at(
        *(tmp_path, (0.0, e.RunStarted({})), (1.0, e.LoopStarted(LOOP, {}, (1,)))),
        *((1.0, e.TaskReady(A, {})), (2.0, e.AttemptStarted(A, 0, 2.0)), (3.0, e.AttemptFailed(A, 0, 3, BOOM, 3, 90))),
        *(end, (1000.0, e.RunResumed(())), (1001.0, e.AttemptStarted(A, 1, 1001.0))),
        *((1004.0, e.TaskSucceeded(A, {})), (1005.0, e.TaskSucceeded(LOOP, {})), (1010.0, e.RunEnded(OVER, {}))),
    )
    assert (run.duration, run.task("a").duration, run.task("loop").duration) == (30.0, 22.0, 24.0)
    assert document(run)["duration"] == 30.0
    assert [(start.timestamp(), end.timestamp()) for start, end in run.pauses] == [(end[0], 1000.0)]
    (listed,) = local.runs(tmp_path)
    assert listed.duration == 30.0
    assert str(run).startswith("run-1: succeeded in 30 s\n")


def test_a_group_that_ended_before_the_resume_was_idle_until_then(tmp_path: Path) -> None:
    run = recorded_at(
        *(tmp_path, (0.0, e.RunStarted({})), (1.0, e.LoopStarted(LOOP, {}, (1,))), (2.0, e.TaskReady(INSIDE, {}))),
        *((5.0, e.TaskFailed(INSIDE, BOOM)), (5.0, e.TaskFailed(LOOP, e.Failure("", cause_task=INSIDE)))),
        *((20.0, e.RunEnded(TaskState.FAILED, {})), (1000.0, e.RunResumed(()))),
        *(
            (1001.0, e.TaskReady(INSIDE, {})),
            (1004.0, e.TaskSucceeded(INSIDE, {})),
            (1005.0, e.TaskSucceeded(LOOP, {})),
        ),
        (1010.0, e.RunEnded(OVER, {})),
    )
    assert (run.duration, run.task("loop").duration) == (30.0, 9.0)


def test_times_are_local_with_their_offset(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("TZ", "UTC-05:30")
    time.tzset()
    try:
        run = recorded_at(tmp_path, (0.0, e.RunStarted({})), (0.0, e.TaskReady(A, {})), (0.0, e.AttemptStarted(A, 0)))
        shown = document(run)
        assert shown["started"] == "1970-01-01T05:30:00+05:30"
        assert shown["created"] == run.created.isoformat()
        assert run.created.utcoffset() == timedelta(hours=5, minutes=30)
        assert "started: 1970-01-01 05:30:00 +05:30\n" in str(run.task("a"))
        assert main(["runs", "--root", str(tmp_path)]) == 0
        assert f"  {run.created:%Y-%m-%d %H:%M} +05:30" in capsys.readouterr().out
        assert main(["runs", "--root", str(tmp_path), "--root", str(tmp_path)]) == 0  # from the facts
        assert f"  {run.created:%Y-%m-%d %H:%M} +05:30" in capsys.readouterr().out
    finally:
        monkeypatch.undo()
        time.tzset()


def test_the_latest_run_is_not_a_rerun(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = run_of(fragile)
    local.rerun_task("latest", "shaky", runner=RUNNER, quiet=True)
    rerun, _ = local.runs()

    assert (rerun.rerun_of, local.get_run("latest").id) == (f"{run.id}/shaky", run.id)
    assert f"\nrerun of: {run.id}/shaky\n" in str(rerun)
    assert main(["runs"]) == 0
    listed = capsys.readouterr().out.splitlines()
    assert [line.partition("rerun of ")[2] for line in listed] == [f"{run.id}/shaky", ""]
    assert main(["runs", "--json"]) == 0
    assert [run["rerun_of"] for run in json.loads(capsys.readouterr().out)] == [f"{run.id}/shaky", ""]


def test_a_run_without_an_end_is_running_or_interrupted(tmp_path: Path) -> None:
    facts = (e.TaskReady(A, {}), e.AttemptStarted(A, 0, 5.0), e.TaskReady(B, {}))
    (tmp_path / RUN.id).mkdir()
    with RunLock(tmp_path / RUN.id):
        run = recorded(tmp_path, *facts)
        assert (run.status, run.ended, run.duration) == (Status.RUNNING, None, None)
        assert run.cancel() is was_asked_to_stop(run.folder) is True
        assert shape(run.tasks) == {"a": "RUNNING", "b": "READY"}
    run = local.get_run(RUN.id, tmp_path)
    assert (run.status, run.ended) == (Status.INTERRUPTED, None)
    assert shape(run.tasks) == {"a": "INTERRUPTED", "b": "INTERRUPTED"}
    (attempt,) = run.task("a").attempts
    assert (attempt.status, attempt.started.timestamp(), attempt.ended) == (Status.INTERRUPTED, 5.0, None)


def test_a_task_is_ready_before_it_starts(tmp_path: Path) -> None:
    run = recorded_at(
        *(tmp_path, (0.0, e.RunStarted({})), (1.0, e.LoopStarted(LOOP, {}, (1,))), (2.0, e.TaskReady(A, {}))),
        (5.0, e.AttemptStarted(A, 0, 4.0)),
    )
    times = [run.task("a").ready, run.task("a").started]

    assert [time and time.timestamp() for time in times] == [2.0, 4.0]
    assert run.task("loop").ready is None


def test_attempts_have_their_resource_usage(tmp_path: Path) -> None:
    run = recorded(tmp_path, e.TaskReady(A, {}), e.AttemptStarted(A, 0, 5.0), e.TaskSucceeded(A, {}, REPORT))

    (attempt,) = run.task("a").attempts
    assert (attempt.duration, attempt.cpu_seconds, attempt.peak_memory) == (2.5, 1.5, 2048)
    assert (attempt.log_bytes, attempt.log_lines) == (10, 2)
    assert attempt.warm_imports
    assert "attempt 1: succeeded in 2.5 s, CPU 1.5 s, memory 2 KiB, warm imports, 2 lines of log\n" in str(
        run.task("a")
    )


def test_a_cached_task_has_no_attempts(tmp_path: Path) -> None:
    run = recorded(
        *(
            tmp_path,
            e.TaskReady(A, {}),
            e.AttemptStarted(A, 0, 5.0),
            e.TaskSucceeded(A, {"y": 1}, cached_from="run-0/a"),
        ),
        e.RunEnded(TaskState.SUCCEEDED, {}),
    )

    task = run.task("a")
    assert (task.status, task.cached_from, task.attempts) == (Status.SUCCEEDED, "run-0/a", ())
    assert "a: succeeded in " in str(run)
    assert str(run).endswith("cached from run-0/a")
    with pytest.raises(NoSuchTask, match="it was cached from run-0/a"):
        run.log("a")


def test_a_resumed_run_has_the_state_after_the_resume(tmp_path: Path) -> None:
    began = (e.LoopStarted(LOOP, {}, (1,)), e.IterationStarted(INSIDE.parent, 1))
    failed = (e.TaskReady(INSIDE, {}), e.AttemptStarted(INSIDE, 0), e.TaskFailed(INSIDE, BOOM))
    ends = (
        e.TaskFailed(INSIDE.parent, e.Failure("x", cause_task=INSIDE)),
        e.TaskFailed(LOOP, e.Failure("x", cause_task=INSIDE)),
    )
    killed = (e.TaskReady(B, {}), e.AttemptStarted(B, 0))
    resumed = (e.RunResumed((INSIDE,), inputs={"n": 2}), e.TaskReady(INSIDE, {}), e.AttemptStarted(INSIDE, 1))

    (tmp_path / RUN.id).mkdir()
    with RunLock(tmp_path / RUN.id):
        run = recorded(tmp_path, *began, *failed, *killed, *ends, *resumed)
    assert (run.resume_count, run.inputs, run.failures) == (1, {"n": 2}, ())

    with RunLock(tmp_path / RUN.id):
        run = local.get_run(RUN.id, tmp_path)
        assert shape(run.tasks) == {"loop": {"0": {"a": "RUNNING"}}}
        assert run.task("loop").status is run.task("loop/0").status is Status.RUNNING
        assert run.task("loop").failure is None
    assert [attempt.status for attempt in run.task("loop/0/a").attempts] == [Status.FAILED, Status.RUNNING]


def test_tasks_in_a_loop_that_is_rerun_are_removed(tmp_path: Path) -> None:
    began = (e.LoopStarted(LOOP, {}, (1,)), e.IterationStarted(INSIDE.parent, 1), e.TaskReady(INSIDE, {}))
    run = recorded(tmp_path, *began, e.AttemptStarted(INSIDE, 0), e.TaskSucceeded(INSIDE, {}), e.RunResumed((LOOP,)))

    assert run.tasks == ()


def artifact(digest: str = "", uri: str = "/data") -> ArtifactValue:
    return ArtifactValue(
        "d", ArtifactType("system.Dataset"), uri, checksum=Checksum(digest, 7, "s") if digest else None
    )


def test_artifacts_are_identified_by_location_and_content(tmp_path: Path) -> None:
    run = recorded(
        tmp_path,
        *(e.TaskReady(A, {"x": artifact("sha256:old")}), e.TaskSucceeded(A, {"d": artifact("sha256:new")})),
        *(e.TaskReady(B, {"d": artifact(), "far": artifact(uri="gs://bucket/far")}), e.TaskSucceeded(B, {})),
    )

    told = {(each.uri, each.digest): (each.producer, each.consumers, each.size, each.path) for each in run.artifacts}
    assert told == {
        ("/data", "sha256:new"): ("a", ("b",), 7, Path("/data")),
        ("/data", "sha256:old"): (None, ("a",), 7, Path("/data")),
        ("gs://bucket/far", ""): (None, ("b",), None, None),
    }


def test_successful_iterations_of_a_long_loop_are_counted(tmp_path: Path) -> None:
    facts: list[e.Fact] = [e.LoopStarted(LOOP, {}, tuple(range(50)))]
    for number in range(50):
        ref = TaskRef((("loop", number),))
        facts += [e.TaskReady(ref, {}), e.TaskFailed(ref, BOOM) if number == 7 else e.TaskSucceeded(ref, {})]
    run = recorded(tmp_path, *facts)

    assert [line.strip() for line in str(run).splitlines()[2:4]] == ["7: failed: boom", "and 49 that succeeded"]


def test_durations_are_formatted() -> None:
    assert doctest.testmod(render).failed == 0
    assert doctest.testmod(durations).failed == 0


def test_authoring_does_not_import_sqlite() -> None:
    assert not {"sqlite3", "difflib"} & modules_of("from standpipe import dsl, local")


class Results(NamedTuple):
    data: dsl.Dataset
    n: int


def test_the_text_of_a_run_has_items_names_attempts_and_values(capsys: pytest.CaptureFixture[str]) -> None:
    @dsl.pipeline
    def inner(x: int) -> int:
        return shaky(x=x).set_display_name("In it").output

    @dsl.pipeline
    def named(rows: int = 3, note: str = "x" * 300) -> Results:
        made = make(rows=rows).set_display_name("Make the data")
        with dsl.ParallelFor([{"rate": 0.1}, {"rate": 0.2}], name="Try rates"):
            measure().after(made)
            inner(x=1).set_display_name("Nested")
        tried = shaky(x=7).set_retry(2, backoff_duration="0s")
        return Results(data=made.outputs["data"], n=tried.output)

    attempts = iter((Outcome(exit_code=1), {"Output": 5}))
    runner = FakeRunner(measure=write_scores, shaky=lambda x: next(attempts) if x == 7 else {"Output": x})
    run = local.run(named, runner=runner, quiet=True).run
    first, *lines = re.sub(r" in [0-9.e-]+ s", "", str(run)).splitlines()

    assert first == f"{run.id}: succeeded"
    assert [line for line in lines if "measure" not in line] == [
        "  make (Make the data): succeeded",
        "  shaky: succeeded in attempt 2",
        "  for-loop-2 (Try rates): succeeded",
        *_lines_of_iteration("0 (item {'rate': 0.1})"),
        *_lines_of_iteration("1 (item {'rate': 0.2})"),
        "inputs:",
        "  rows = 3",
        f"  note = '{'x' * 199}…",
        "outputs:",
        "  data = Dataset at make/data",
        "  n = 5",
        "metrics:",
        "  accuracy = 0.9, of 2 tasks",
        "  loss = 1, of 2 tasks",
    ]
    assert main(["show", "latest"]) == 0  # from the outline in the run store
    assert capsys.readouterr().out == f"{run}\n"
    tasks = {task["path"]: task for task in document(run)["tasks"]}
    assert (tasks["make"]["display_name"], tasks["shaky"]["display_name"]) == ("Make the data", "")
    assert [each["number"] for each in tasks["shaky"]["attempts"]] == [1, 2]
    assert tasks["for-loop-2/1"]["item"] == {"rate": 0.2}
    assert "\ndisplay name: Make the data\n" in str(run.task("make"))
    assert "\nmetrics:\n  accuracy = 0.9\n  loss = 1\n" in str(run.task("for-loop-2/0/measure"))


def _lines_of_iteration(name: str) -> list[str]:
    return [f"    {name}: succeeded", "      inner (Nested): succeeded", "        shaky (In it): succeeded"]


# --- the run of an error and of a task --------------------------------------------------------------------------------


@dsl.component
def measure(scores: dsl.Output[dsl.Metrics], other: dsl.Output[dsl.Metrics]) -> None: ...


def write_scores(scores: Any, other: Any) -> None:
    scores.log_metric("accuracy", 0.9)
    scores.metadata["note"] = "good"
    other.log_metric("loss", 1)


def test_an_error_knows_its_run_and_what_failed() -> None:
    with pytest.raises(TaskFailed) as caught:
        local.run(fragile, runner=FakeRunner(shaky=lambda x: Outcome(exit_code=3)), quiet=True)

    error = pickle.loads(pickle.dumps(caught.value))  # as pytest-xdist and process pools do
    assert isinstance(error.run, Run)
    assert (error.run.id, error.run.status) == (local.get_run("latest").id, Status.FAILED)
    assert [failure.task for failure in error.failures] == ["shaky"]
    assert error.failures == error.run.failed_tasks
    assert "exited with code 3" in error.failures[0].message
    assert str(error) == str(caught.value)


def test_a_failure_has_the_line_of_the_function() -> None:
    @dsl.component
    def divide() -> None:
        print("about to fail")
        1 / 0  # noqa: B018

    with pytest.raises(TaskFailed) as caught:
        local.run(divide, runner=local.SubprocessRunner(), quiet=True)

    (failure,) = caught.value.failures
    lines = Path(__file__).read_text().splitlines()
    assert (failure.task, failure.file) == ("divide", __file__)
    assert lines[failure.line - 1].strip().startswith("1 / 0")
    assert document(caught.value.run)["failed_tasks"] == [failure._asdict()]


def test_a_returned_task_knows_its_run() -> None:
    done = local.run(search, runner=RUNNER, quiet=True)
    failed = local.run(
        fragile, runner=FakeRunner(shaky=lambda x: Outcome(exit_code=3)), quiet=True, raise_on_error=False
    )

    assert done.run.status is Status.SUCCEEDED
    assert done.run.outputs == {"Output": 1}
    assert failed.run.task("shaky").status is Status.FAILED
    with pytest.raises(FailedTaskOutput) as caught:
        _ = failed.output
    assert caught.value.run.id == failed.run.id


def test_a_traced_task_has_no_run() -> None:
    runs = []

    @dsl.pipeline
    def traced() -> None:
        runs.append(shaky(x=1).run)

    assert runs == [None]


def test_a_component_that_is_called_knows_its_run() -> None:
    local.init(runner=RUNNER, quiet=True)

    assert shaky(x=1).run.pipeline == "shaky"


def test_metrics_are_numbers_by_task_and_name() -> None:
    @dsl.pipeline
    def twice() -> None:
        measure()
        with dsl.ParallelFor([1, 2]):
            measure()

    run = local.run(twice, runner=FakeRunner(measure=write_scores), quiet=True).run

    each = {"accuracy": 0.9, "loss": 1.0}
    assert run.metrics == {"measure": each, "for-loop-2/0/measure-2": each, "for-loop-2/1/measure-2": each}
    assert document(run)["metrics"] == run.metrics


def test_the_name_of_a_pipeline_names_its_newest_run_everywhere(capsys: pytest.CaptureFixture[str]) -> None:
    fails = FakeRunner(shaky=lambda x: Outcome(exit_code=3))
    run_of(fragile)
    failed = run_of(fragile, fails)
    local.rerun_task(failed.id, "shaky", runner=RUNNER, quiet=True)
    other = run_of(search)

    assert local.get_run("fragile").id == failed.id
    assert local.resume("fragile", runner=RUNNER, quiet=True).run.id == failed.id
    assert local.rerun_task("fragile", "shaky", runner=RUNNER, quiet=True).run.rerun_of == f"{failed.id}/shaky"
    assert main(["show", "fragile"]) == 0
    assert capsys.readouterr().out.startswith(f"{failed.id}: succeeded")
    assert main(["cancel", "fragile"]) == 1
    assert failed.id in capsys.readouterr().out
    assert main(["delete", "search"]) == 0
    assert f"Deleted run {other.id}" in capsys.readouterr().out
    assert main(["delete", "fragile", "--force"]) == 0
    assert len([run for run in local.runs() if run.pipeline == "fragile"]) == 1  # only the newest was deleted
