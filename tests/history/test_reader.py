"""Following a run: reading its facts step by step gives what reading all of them gives, and reads none twice."""

from __future__ import annotations

import itertools
import pickle
import sqlite3
import subprocess
import sys
import threading
import zlib
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from random import Random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from standpipe import dsl, local
from standpipe.engine.machine import Machine
from standpipe.errors import NoSuchRun, StorageError
from standpipe.history import Run, Status, get_run, queries, runs
from standpipe.history.documents import document
from standpipe.history.folding import RunFold
from standpipe.history.reader import RunReader
from standpipe.history.run import RunDetails
from standpipe.local import FakeRunner
from standpipe.model import events as e
from standpipe.model.fact_values import map_values
from standpipe.model.layout import RUN_STORE_FILE
from standpipe.model.plan import Plan
from standpipe.model.refs import RunId, TaskRef
from standpipe.model.states import TaskState
from standpipe.model.values import ArtifactValue, Checksum, Value
from standpipe.store.locks import RunLock, is_in_progress
from standpipe.store.reading import RunRow, StoredFacts
from standpipe.store.runs import RunRecorder
from tests.engine.random_plans import Maker, behaviour
from tests.plans import RUN, dag, node, plan

A, B = TaskRef((("a", None),)), TaskRef((("b", None),))
FOLDER = Path("/root-of-all/run-1")
FACTS = (
    *(e.RunStarted({"x": 1}), e.TaskReady(A, {}), e.AttemptStarted(A, 0, 5.0), e.TaskSucceeded(A, {"y": 2})),
    *(e.TaskReady(B, {}), e.AttemptStarted(B, 0, 6.0), e.TaskFailed(B, e.Failure("boom"))),
    e.RunEnded(TaskState.FAILED, {}, (e.TaskFailed(B, e.Failure("boom")),)),
)
BEHAVE = behaviour(failing=10)


class Counting(StoredFacts):
    """Counts the facts that it decodes."""

    decoded = 0

    def facts_since(
        self, run: RunId, seq: int = 0, until: int | None = None, *, number: int | None = None
    ) -> list[tuple[float, e.Fact]]:
        facts = super().facts_since(run, seq, until, number=number)
        self.decoded += len(facts)
        return facts


def facts_of(made: Plan, random: Random) -> Iterator[e.Fact]:
    """The facts of a run whose attempts end in a random order, and that may be cancelled."""
    machine, now = Machine(made, RUN, max_parallel=4), 1000.0
    running: list[e.StartAttempt] = []
    event: e.Event = e.Start({"n": 3, "l": [3, 1]})
    while True:
        step = machine.handle(event, now)
        yield from step.facts
        if isinstance(step.facts[-1] if step.facts else None, e.RunEnded):
            return
        running += [command for command in step.commands if isinstance(command, e.StartAttempt)]
        if random.randrange(30) == 0:
            event = e.CancelRequested()
        elif not running:
            assert machine.due is not None
            now, event = max(now, machine.due), e.TimePassed()
        else:
            now, command = now + 1, running.pop(random.randrange(len(running)))
            component = made.components[command.component]
            outputs = BEHAVE(command.task, component, command.inputs, command.attempt)
            failure = e.Failure("boom") if outputs is None else None
            event = e.AttemptEnded(command.task, outputs or {}, failure, e.AttemptReport(1.0))


def with_shared_locations(fact: e.Fact, random: Random) -> e.Fact:
    """Return a fact whose artifacts are at few locations, with and without checksums."""
    checksums = (None, None, Checksum("sha256:1", 1, ""), Checksum("sha256:2", 1, ""))

    def move(value: Value) -> Value:
        if isinstance(value, ArtifactValue):
            place = zlib.crc32(value.uri.encode()) % 7
            return replace(value, uri=f"/{place}", checksum=checksums[place % 4 if place > 1 else random.randrange(4)])
        return [move(item) for item in value] if isinstance(value, list) else value

    return map_values(fact, move)


def random_facts(random: Random, tasks: int) -> list[e.Fact]:
    """The facts of a run that may have been killed and resumed, each time with other tasks to rerun."""
    made = Maker(random, tasks, retried=50).plan()
    facts = [*facts_of(made, random)]
    for _ in range(random.randrange(3)):
        facts = facts[: random.randrange(1, len(facts) + 1)]
        reached = [*dict.fromkeys(task for fact in facts if (task := getattr(fact, "task", None)))]
        reset = random.sample(reached, random.randrange(len(reached) + 1))
        facts += [e.RunResumed(tuple(reset), inputs={"n": 4}), *facts_of(made, random)]
    return facts


@settings(max_examples=100, deadline=None)
@given(st.integers(0, 2**32), st.integers(1, 25))
def test_facts_that_are_folded_step_by_step_give_what_all_of_them_give(seed: int, tasks: int) -> None:
    random = Random(seed)
    facts = [(float(at), fact) for at, fact in enumerate(random_facts(random, tasks))]
    incremental, applied = RunFold(FOLDER), 0
    while applied < len(facts):
        step = random.choice([1, 2, 5, 20, len(facts)])
        for at, fact in facts[applied : applied + step]:
            incremental.apply(at, fact)
        applied = min(applied + step, len(facts))
        for is_over in (True, False):
            whole = RunFold(FOLDER)
            for at, fact in facts[:applied]:
                whole.apply(at, fact)
            assert content(incremental.details(is_over=is_over)) == content(whole.details(is_over=is_over))


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32), st.integers(1, 25), st.booleans())
def test_records_are_those_of_their_time_also_if_they_are_used_later(seed: int, tasks: int, shared: bool) -> None:
    random = Random(seed)
    facts = [with_shared_locations(fact, random) if shared else fact for fact in random_facts(random, tasks)]
    fold, earlier = RunFold(FOLDER), []
    for at, fact in enumerate(facts, start=1):
        fold.apply(float(at), fact)
        if random.randrange(len(facts)) < 4:
            is_over = random.random() < 0.5
            earlier.append((at, is_over, fold.details(is_over=is_over)))

    for applied, is_over, details in earlier:
        whole = RunFold(FOLDER)
        for at, fact in enumerate(facts[:applied], start=1):
            whole.apply(float(at), fact)
        assert content(details) == content(whole.details(is_over=is_over))


def content(details: RunDetails) -> tuple[object, ...]:
    lineage = details.lineage
    return details.tasks, lineage.artifacts, lineage.inputs, lineage.outputs, details.failures, details.pauses


def test_a_record_can_be_copied_to_another_process() -> None:
    fold = RunFold(FOLDER)
    for at, fact in enumerate(random_facts(Random(3), 10)):
        fold.apply(float(at), fact)
    tasks = fold.details(is_over=True).tasks

    copies = pickle.loads(pickle.dumps(tasks))
    assert copies == tasks
    assert repr(copies) == repr(tasks)
    with pytest.raises(AttributeError, match="has no attribute 'pth'"):
        tasks[0].pth  # type: ignore[attr-defined]  # noqa: B018 - what does not exist


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 2**32), st.integers(1, 25))
def test_a_run_that_is_refreshed_is_the_run_that_is_read_anew(
    tmp_path_factory: pytest.TempPathFactory, seed: int, tasks: int
) -> None:
    random, root = Random(seed), tmp_path_factory.mktemp("root")
    facts = random_facts(random, tasks)
    reader = Counting(root)
    with closing(RunRecorder(root, RUN, plan(dag(node("a"))))) as recorder:
        recorder(facts[:1])
        run, recorded = RunReader(reader, RUN.id, root / RUN.id).snapshot(), 1
        while recorded < len(facts):
            assert document(run) == document(get_run(root, RUN.id))
            step = random.choice([1, 5, 20, len(facts)])
            recorder(facts[recorded : recorded + step])
            recorded, run = recorded + step, run.refresh()
    assert document(run) == document(get_run(root, RUN.id))
    assert reader.decoded == len(facts)


@pytest.fixture
def recorder(tmp_path: Path) -> Iterator[RunRecorder]:
    with closing(RunRecorder(tmp_path, RUN, plan(dag(node("a"))))) as opened:
        yield opened


def statuses(run: Run) -> dict[str, str]:
    return {task.path: task.status.value for task in run.all_tasks()}


def test_facts_that_were_read_are_not_decoded_again(tmp_path: Path, recorder: RunRecorder) -> None:
    recorder(FACTS[:4])
    run = get_run(tmp_path, RUN.id)
    assert statuses(run) == {"a": "SUCCEEDED"}
    with closing(sqlite3.connect(tmp_path / RUN_STORE_FILE)) as db, db:
        db.execute("UPDATE facts SET body = 'unreadable'")
    recorder(FACTS[4:])

    assert statuses(run.refresh()) == {"a": "SUCCEEDED", "b": "FAILED"}
    with pytest.raises(StorageError):
        statuses(get_run(tmp_path, RUN.id))


def test_records_are_made_again_only_if_facts_are_new(tmp_path: Path, recorder: RunRecorder) -> None:
    recorder(FACTS[:3])
    run = get_run(tmp_path, RUN.id)
    tasks = run.tasks

    assert run.refresh().tasks is tasks
    recorder(FACTS[3:4])
    assert statuses(run.refresh()) == {"a": "SUCCEEDED"}
    assert statuses(run) == {"a": "INTERRUPTED"}


def test_a_run_stays_as_it_was_when_it_was_read(tmp_path: Path, recorder: RunRecorder) -> None:
    recorder(FACTS[:3])
    first = get_run(tmp_path, RUN.id)
    recorder(FACTS[3:5])
    second = first.refresh()
    recorder(FACTS[5:])
    third = second.refresh()

    assert statuses(third) == {"a": "SUCCEEDED", "b": "FAILED"}
    assert statuses(first) == {"a": "INTERRUPTED"}, "it is read after a later one"
    assert statuses(second) == {"a": "SUCCEEDED", "b": "INTERRUPTED"}
    assert (first.status, third.status) == (Status.INTERRUPTED, Status.FAILED)
    assert statuses(first.refresh()) == statuses(third)


def test_a_run_that_ends_while_it_is_read_was_not_interrupted(tmp_path: Path, recorder: RunRecorder) -> None:
    recorder(FACTS[:5])
    facts = StoredFacts(tmp_path)
    before = facts.run(RUN.id)
    recorder(FACTS[5:])

    run = RunReader(facts, RUN.id, tmp_path / RUN.id).snapshot(before)

    assert (run.status, statuses(run)) == (Status.FAILED, {"a": "SUCCEEDED", "b": "FAILED"})


def test_a_run_that_ends_while_all_are_listed_was_not_interrupted(
    tmp_path: Path, recorder: RunRecorder, monkeypatch: pytest.MonkeyPatch
) -> None:
    def end_and_check(folder: Path) -> bool:
        if not ended:
            ended.append(folder)
            recorder(FACTS[5:])
        return is_in_progress(folder)

    ended: list[Path] = []
    recorder(FACTS[:5])
    with closing(RunRecorder(tmp_path, RUN._replace(id="run-0"), plan(dag(node("a"))))) as other:
        other(FACTS[:3])
    assert [run.status for run in runs(tmp_path)] == [Status.INTERRUPTED, Status.INTERRUPTED]
    monkeypatch.setattr(queries, "is_in_progress", end_and_check)

    listed = {run.id: (run.status, statuses(run)) for run in runs(tmp_path)}

    assert listed == {
        RUN.id: (Status.FAILED, {"a": "SUCCEEDED", "b": "FAILED"}),
        "run-0": (Status.INTERRUPTED, {"a": "INTERRUPTED"}),
    }


def test_a_run_that_is_resumed_while_it_is_read_is_running(tmp_path: Path, recorder: RunRecorder) -> None:
    class Resumes(StoredFacts):
        """A store whose run is resumed just before it is read again."""

        def run(self, run: RunId) -> RunRow:
            if not lock_is_held:
                recorder((e.RunResumed(()),))
                lock.__enter__()
                lock_is_held.append(True)
            return super().run(run)

    lock_is_held: list[bool] = []

    recorder(FACTS[:5])
    (tmp_path / RUN.id).mkdir()
    lock = RunLock(tmp_path / RUN.id)
    try:
        run = RunReader(Resumes(tmp_path), RUN.id, tmp_path / RUN.id).snapshot(StoredFacts(tmp_path).run(RUN.id))
        assert (run.status, run.resume_count) == (Status.RUNNING, 1)
    finally:
        lock.__exit__(None, None, None)


def replace_facts(root: Path, facts: Sequence[e.Fact]) -> None:
    with closing(RunRecorder(root, RUN, plan(dag(node("a"))), replaces=True)) as recorder:
        recorder(facts)


def test_facts_that_take_the_place_of_those_that_were_read_are_read(tmp_path: Path, recorder: RunRecorder) -> None:
    recorder(FACTS[:5])
    run = get_run(tmp_path, RUN.id)
    assert statuses(run) == {"a": "SUCCEEDED", "b": "INTERRUPTED"}
    replace_facts(tmp_path, (*FACTS[:3], e.TaskSkipped(A, "no"), e.TaskReady(B, {}), e.TaskSkipped(B, "no")))
    assert statuses(run) == {"a": "SUCCEEDED", "b": "INTERRUPTED"}, "it stays as it was read"
    assert statuses(run.refresh()) == {"a": "SKIPPED", "b": "SKIPPED"}


@pytest.mark.parametrize("length", [2, 8])
def test_facts_that_are_replaced_while_they_are_read_are_never_mixed(
    tmp_path: Path, recorder: RunRecorder, length: int
) -> None:
    class Replaced(StoredFacts):
        """A store in which another process replaces facts just before some are read."""

        def facts_since(
            self, run: RunId, seq: int = 0, until: int | None = None, *, number: int | None = None
        ) -> list[tuple[float, e.Fact]]:
            if not replaced and seq:
                replaced.append(run)
                replace_facts(tmp_path, new)
            return super().facts_since(run, seq, until, number=number)

    replaced: list[RunId] = []
    new: list[e.Fact] = [FACTS[0], e.TaskReady(B, {})]
    new += [e.AttemptStarted(B, number, 5.0) for number in range(length - 2)]
    recorder(FACTS[:4])
    run = RunReader(Replaced(tmp_path), RUN.id, tmp_path / RUN.id).snapshot()
    assert statuses(run) == {"a": "SUCCEEDED"}
    recorder(FACTS[4:])
    after = run.refresh()
    assert [*statuses(after)] == ["b"]
    assert statuses(after) == statuses(get_run(tmp_path, RUN.id))
    assert replaced


def test_a_run_that_was_deleted_is_named(tmp_path: Path, recorder: RunRecorder) -> None:
    recorder(FACTS)
    run = get_run(tmp_path, RUN.id)
    with closing(sqlite3.connect(tmp_path / RUN_STORE_FILE)) as db, db:
        db.execute("DELETE FROM facts")
        db.execute("DELETE FROM runs")

    with pytest.raises(NoSuchRun, match=f"Run '{RUN.id}' is no longer in .*{RUN_STORE_FILE}"):
        run.refresh()


# --- runs in progress -------------------------------------------------------------------------------------------------


@dsl.component
def wait(number: int) -> int:
    return number


@dsl.pipeline  # its name is its own: `local.resume` finds the pipelines of a program by their names
def followed_pipeline() -> int:
    task = wait(number=0)
    for _ in range(19):
        task = wait(number=task.output)
    return task.output


def test_a_run_in_another_thread_is_followed_to_its_end(tmp_path: Path) -> None:
    has_started, may_end = threading.Event(), threading.Event()

    def call(number: int) -> dict[str, int]:
        has_started.set()
        may_end.wait(30)
        return {"Output": number + 1}

    runner = FakeRunner({"wait" if n == 1 else f"wait_{n}": call for n in range(1, 21)})
    options: dict[str, Any] = {"runner": runner, "pipeline_root": tmp_path, "quiet": True}
    thread = threading.Thread(target=lambda: local.run(followed_pipeline, **options))
    thread.start()
    try:
        has_started.wait(30)
        run = local.get_run("latest", tmp_path)
        assert (run.status, statuses(run)) == (Status.RUNNING, {"wait": "RUNNING"})
        may_end.set()
        followed: list[Sequence[str]] = []
        while run.status is Status.RUNNING:
            run = run.refresh()
            followed.append([*statuses(run)])
    finally:
        may_end.set()
        thread.join()
    assert (run.status, run.outputs) == (Status.SUCCEEDED, {"Output": 20})
    assert all(earlier == later[: len(earlier)] for earlier, later in itertools.pairwise(followed))
    assert str(run) == str(local.get_run("latest", tmp_path))


RECORDS = """
import sys
from contextlib import closing
from pathlib import Path
from standpipe.store.locks import RunLock, is_in_progress
from standpipe.store.runs import RunRecorder
from tests.history.test_reader import FACTS
from tests.plans import RUN, dag, node, plan

root = Path(sys.argv[1])
with RunLock(root / RUN.id), closing(RunRecorder(root, RUN, plan(dag(node("a"))))) as recorder:
    for fact in FACTS[:-1]:
        recorder([fact])
        print("recorded", flush=True)
        sys.stdin.readline()
"""


def test_a_run_in_another_process_is_followed_until_it_is_killed(tmp_path: Path) -> None:
    (tmp_path / RUN.id).mkdir()
    command = [sys.executable, "-c", RECORDS, str(tmp_path)]
    checkout = Path(__file__).parents[2]
    followed = []
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=checkout) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        assert process.stdout.readline() == "recorded\n"
        run = local.get_run(RUN.id, tmp_path)
        for _ in FACTS[1:-1]:
            assert run.status is Status.RUNNING
            process.stdin.write("\n")
            process.stdin.flush()
            assert process.stdout.readline() == "recorded\n"
            run = run.refresh()
            followed.append(statuses(run))
        process.kill()
    assert followed == [
        *({"a": "READY"}, {"a": "RUNNING"}, {"a": "SUCCEEDED"}),
        *({"a": "SUCCEEDED", "b": status} for status in ("READY", "RUNNING", "FAILED")),
    ]
    run = run.refresh()
    assert (run.status, run.ended) == (Status.INTERRUPTED, None)
