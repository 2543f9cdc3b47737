"""Reading the run store."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable
from contextlib import closing, nullcontext
from pathlib import Path
from typing import Any

import pytest

from standpipe.errors import NoSuchRun, StorageError
from standpipe.history.progress import RunProgress
from standpipe.model.events import AttemptStarted, Fact, RunEnded, RunStarted, TaskReady, TaskSkipped, TaskSucceeded
from standpipe.model.layout import RUN_STORE_FILE
from standpipe.model.refs import TaskRef
from standpipe.model.states import TaskState
from standpipe.store.overview import read_outline
from standpipe.store.reading import StoredFacts, read_run, run_facts, run_row, run_rows
from standpipe.store.runs import SCHEMA, RunRecorder
from tests.plans import RUN, dag, node, plan

TASK = TaskRef((("train", None),))
STARTED, ENDED = RunStarted({"x": 1}), RunEnded(TaskState.SUCCEEDED, {"y": 2})
FACTS = (STARTED, TaskReady(TASK, {"x": 1}), AttemptStarted(TASK, 0, 5.0), TaskSucceeded(TASK, {"y": 2}), ENDED)

PLAN = plan(dag(node("a")))


def record(
    root: Path, run: str, *facts: Fact, created: str = "2026-01-01T00:00:00Z", name: str = "job", rerun_of: str = ""
) -> None:
    info = RUN._replace(id=run, created=created, name=name)
    with closing(RunRecorder(root, info, PLAN, rerun_of=rerun_of, outline=RunProgress())) as recorder:
        recorder(facts)


def test_large_texts_are_read_as_they_were_recorded(tmp_path: Path) -> None:
    large = {"y": "\udcffé" + "x" * 3_000_000, "z": [None, "x" * 2_000_000], "texts": None}
    succeeded, ended = TaskSucceeded(TASK, large), RunEnded(TaskState.SUCCEEDED, large)
    record(tmp_path, "job-1", RunStarted({}), succeeded, ended)
    record(tmp_path, "job-2", RunStarted(large))

    assert [fact for _, fact in read_run(tmp_path, "job-1")[1]] == [RunStarted({}), succeeded, ended]
    assert [fact for _, fact in read_run(tmp_path, "job-2")[1]] == [RunStarted(large)]
    assert StoredFacts(tmp_path).run("job-1").state is TaskState.SUCCEEDED


def test_a_large_text_that_is_missing_is_damage(tmp_path: Path) -> None:
    record(tmp_path, "job-1", RunStarted({"x": "x" * 2_000_000}))
    with closing(sqlite3.connect(tmp_path / RUN_STORE_FILE)) as db, db:
        db.execute("DELETE FROM texts")
    with pytest.raises(StorageError, match=r"runs\.sqlite is damaged: the text [0-9a-f]{64} of a fact is missing"):
        read_run(tmp_path, "job-1")


def test_a_run_is_read_as_it_was_recorded(tmp_path: Path) -> None:
    record(tmp_path, "job-1", *FACTS)

    row, facts = read_run(tmp_path, "job-1")

    assert (row.id, row.pipeline, row.created, row.length, row.state) == (
        *("job-1", "job", "2026-01-01T00:00:00Z", 5),
        TaskState.SUCCEEDED,
    )
    assert tuple(fact for _, fact in facts) == FACTS
    assert [facts[0][0], facts[-1][0]] == [row.began, row.latest]


def test_runs_come_newest_first_whatever_the_clock_says(tmp_path: Path) -> None:
    record(tmp_path, "b", *FACTS)
    record(tmp_path, "c", STARTED, created="2026-01-02T00:00:00Z")
    record(tmp_path, "a")

    assert [(row.id, row.length, row.state) for row in run_rows(tmp_path)] == [
        *(("a", 0, None), ("c", 1, None), ("b", 5, TaskState.SUCCEEDED)),
    ]


def test_without_a_store_there_are_no_runs_and_none_is_created(tmp_path: Path) -> None:
    assert run_rows(tmp_path) == run_rows(tmp_path / "nowhere") == []
    with pytest.raises(NoSuchRun, match=f"no run 'latest': {tmp_path} holds no runs. Name another folder"):
        run_row(tmp_path, "latest")
    assert list(tmp_path.iterdir()) == []


def test_a_store_whose_first_run_has_not_started_has_no_runs(tmp_path: Path) -> None:
    (tmp_path / RUN_STORE_FILE).touch()

    assert run_rows(tmp_path) == []


def test_a_run_is_named_by_a_prefix_of_its_id_or_as_latest(tmp_path: Path) -> None:
    for run in ("job-1", "job-12", "other-3"):
        record(tmp_path, run)

    assert run_row(tmp_path, "job-1").id == "job-1"
    assert run_row(tmp_path, "o").id == run_row(tmp_path, "latest").id == "other-3"
    with pytest.raises(NoSuchRun, match="2 runs in .* begins with 'jo': job-12, job-1. Use a longer prefix"):
        run_row(tmp_path, "jo")


def test_the_name_of_a_pipeline_is_its_newest_run_that_is_no_rerun(tmp_path: Path) -> None:
    time = "-2026-01-01-00-00-00-000000"
    record(tmp_path, f"train{time}", STARTED, ENDED)
    record(tmp_path, f"train{time[:-1]}1", STARTED, ENDED)
    record(tmp_path, f"train-more{time}", STARTED, ENDED)
    record(tmp_path, f"train{time[:-1]}2", STARTED, ENDED, rerun_of=f"train{time}/fit")
    record(tmp_path, f"other{time}", STARTED, ENDED, name="train-more")

    names = ("train", "train-more", "other", "job", f"train{time}", f"train{time[:-1]}2", "train-", "tr", "fit", "")
    found = {name: _find(run_row, tmp_path, name) for name in names}
    outlines = {name: _find(read_outline, str(tmp_path), name) for name in names}

    assert (
        found
        == {
            "train": f"train{time[:-1]}1",
            "train-more": f"other{time}",  # by its display name
            "other": f"other{time}",
            "job": f"train-more{time}",  # the display name of all but one
            f"train{time}": f"train{time}",
            f"train{time[:-1]}2": f"train{time[:-1]}2",  # an id names a rerun, too
            **dict.fromkeys(("train-", "tr", "fit", "")),
        }
    )
    assert outlines == found


def test_an_id_wins_over_the_name_of_a_pipeline(tmp_path: Path) -> None:
    record(tmp_path, "train-1", STARTED, ENDED)
    record(tmp_path, "other-1", STARTED, ENDED, name="train-1")

    assert run_row(tmp_path, "train-1").id == _find(read_outline, str(tmp_path), "train-1") == "train-1"


def _find(read: Callable[[Any, str], Any], root: Any, name: str) -> str | None:
    """Return the id of the run that a name stands for."""
    try:
        run = read(root, name)
    except NoSuchRun:
        return None
    return run and str(getattr(run, "id", "") or run.run)


def test_an_error_about_a_missing_run_names_the_closest(tmp_path: Path) -> None:
    for run in ("train-1", "evaluate-1"):
        record(tmp_path, run)

    with pytest.raises(
        NoSuchRun,
        match=r"no run 'tarin-1' in .* closest are train-1, or use 'latest' or the name",
    ):
        run_row(tmp_path, "tarin-1")
    for nothing in ("", "%"):
        with pytest.raises(NoSuchRun, match="The newest are evaluate-1, train-1, or use"):
            run_row(tmp_path, nothing)
    with pytest.raises(KeyError):
        run_row(tmp_path, "zzz")


def test_facts_recorded_after_the_row_was_read_are_not_read(tmp_path: Path) -> None:
    with closing(RunRecorder(tmp_path, RUN, PLAN)) as recorder:
        recorder(FACTS[:2])
        row = run_row(tmp_path, RUN.id)
        recorder(FACTS[2:])
        assert [fact for _, fact in run_facts(tmp_path, row)] == [*FACTS[:2]]


def test_runs_are_read_since_a_number_in_the_order_in_which_they_began(tmp_path: Path) -> None:
    reader = StoredFacts(tmp_path)
    assert reader.runs_since() == []
    record(tmp_path, "b", *FACTS, created="2026-01-02T00:00:00Z")
    record(tmp_path, "a", STARTED)

    first, second = reader.runs_since()
    assert [(run.id, run.length, run.state) for run in (first, second)] == [
        *(("b", 5, TaskState.SUCCEEDED), ("a", 1, None)),
    ]
    assert reader.runs_since(first.number) == [second] == [reader.run("a")]
    assert reader.runs_since(second.number) == []
    record(tmp_path, "c")
    assert [run.id for run in reader.runs_since(second.number)] == ["c"]


@pytest.mark.parametrize("rows", [2, 200])
def test_facts_are_read_since_a_number(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, rows: int) -> None:
    monkeypatch.setattr("standpipe.store.reading._ROWS", rows)
    reader = StoredFacts(tmp_path)
    assert reader.facts_since("job-1") == []
    record(tmp_path, "job-1", *FACTS)
    record(tmp_path, "job-2", STARTED)

    everything = reader.facts_since("job-1")
    assert [fact for _, fact in everything] == [*FACTS]
    for seq in range(len(FACTS) + 1):
        assert reader.facts_since("job-1", seq) == everything[seq:]
        assert reader.facts_since("job-1", min(seq, 4), until=4) == everything[seq:4]
    with pytest.raises(NoSuchRun, match=f"Run 'job-3' is no longer in {tmp_path}"):
        reader.run("job-3")


def test_facts_that_are_missing_after_a_number_are_noticed(tmp_path: Path) -> None:
    record(tmp_path, "job-1", *FACTS)
    with closing(sqlite3.connect(tmp_path / RUN_STORE_FILE)) as db, db:
        db.execute("DELETE FROM facts WHERE seq IN (1, 3)")

    reader = StoredFacts(tmp_path)
    assert [fact for _, fact in reader.facts_since("job-1", 3)] == [*FACTS[3:]]
    with pytest.raises(StorageError, match="damaged: run job-1 has 4 facts, expected 5"):
        reader.facts_since("job-1", 2)


def test_a_newer_schema_is_an_error_and_is_not_changed(tmp_path: Path) -> None:
    record(tmp_path, "job-1", *FACTS)
    with closing(sqlite3.connect(tmp_path / RUN_STORE_FILE)) as db:
        db.execute("PRAGMA user_version = 99")
    before = (tmp_path / RUN_STORE_FILE).read_bytes()

    with pytest.raises(StorageError, match=r"written by a newer Standpipe \(schema 99, expected at most \d+\)"):
        run_rows(tmp_path)
    assert (tmp_path / RUN_STORE_FILE).read_bytes() == before


@pytest.mark.parametrize("left", [1, 50, 100, 5_000, 9_000, 20_000])
def test_a_truncated_database_is_an_error_and_is_not_changed(tmp_path: Path, left: int) -> None:
    record(tmp_path, "job-1", *FACTS * 100)
    whole = (tmp_path / RUN_STORE_FILE).read_bytes()
    assert len(whole) > left
    (tmp_path / RUN_STORE_FILE).write_bytes(whole[:left])

    with pytest.raises(
        StorageError, match=rf"{RUN_STORE_FILE} is damaged: .* move it away: the next run creates a new one"
    ):
        read_run(tmp_path, "job-1")
    assert (tmp_path / RUN_STORE_FILE).read_bytes() == whole[:left]


def test_a_file_that_is_not_a_database_is_an_error(tmp_path: Path) -> None:
    (tmp_path / RUN_STORE_FILE).write_text("not a database at all" * 100)

    with pytest.raises(StorageError, match=rf"{RUN_STORE_FILE} is damaged: file is not a database"):
        run_rows(tmp_path)


def test_a_store_that_cannot_be_opened_is_an_error(tmp_path: Path) -> None:
    (tmp_path / RUN_STORE_FILE).mkdir()

    with pytest.raises(StorageError, match=rf"{RUN_STORE_FILE} cannot be read: .* Check that you may read"):
        run_rows(tmp_path)


def test_missing_facts_are_an_error(tmp_path: Path) -> None:
    record(tmp_path, "job-1", *FACTS)
    with closing(sqlite3.connect(tmp_path / RUN_STORE_FILE)) as db, db:
        db.execute("DELETE FROM facts WHERE seq = 3")

    with pytest.raises(StorageError, match="damaged: run job-1 has 4 facts, expected 5"):
        read_run(tmp_path, "job-1")


def test_a_store_in_a_read_only_folder_is_read(tmp_path: Path) -> None:
    record(tmp_path, "job-1", *FACTS)
    assert not os.path.exists(tmp_path / f"{RUN_STORE_FILE}-wal"), "the recorder was closed"
    (tmp_path / f"{RUN_STORE_FILE}-shm").mkdir()  # the shared memory of SQLite's readers and writers

    assert len(read_run(tmp_path, "job-1")[1]) == len(FACTS)


@pytest.mark.parametrize(("log", "is_read"), [(b"", True), (b"facts", False)])
def test_a_store_on_a_full_disk_is_read_unless_its_log_has_something(
    log: bytes, is_read: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An attempt to open it creates an empty log, and fails as there is no space for the shared memory."""
    record(tmp_path, "job-1", *FACTS)
    (tmp_path / f"{RUN_STORE_FILE}-wal").write_bytes(log)
    connect: Callable[..., sqlite3.Connection] = sqlite3.connect

    class FullDisk(sqlite3.Connection):
        def execute(self, *_: Any) -> Any:
            raise sqlite3.OperationalError("disk I/O error")

    def fail_unless_immutable(path: str, **options: Any) -> sqlite3.Connection:
        return connect(path, **options, **({} if "immutable" in path else {"factory": FullDisk}))

    monkeypatch.setattr(sqlite3, "connect", fail_unless_immutable)
    with nullcontext() if is_read else pytest.raises(StorageError, match="cannot be read: disk I/O error"):
        assert len(read_run(tmp_path, "job-1")[1]) == len(FACTS)


def test_a_store_of_schema_1_is_read(tmp_path: Path) -> None:
    with closing(sqlite3.connect(tmp_path / RUN_STORE_FILE)) as db, db:
        db.executescript(SCHEMA.migrations[0])
        db.execute("INSERT INTO runs VALUES ('job-1', 'job', '2026-01-01T00:00:00Z')")
        bodies = ['{"inputs":{"x":1}}', '{"task":[["a",null]],"because":"no"}', '{"state":"SUCCEEDED","outputs":{}}']
        for seq, body in enumerate(bodies):
            kind = ("RunStarted", "TaskSkipped", "RunEnded")[seq]
            db.execute("INSERT INTO facts VALUES ('job-1', ?, 5.0, ?, ?)", (seq + 1, kind, body))
        db.execute("PRAGMA user_version = 1")
    before = (tmp_path / RUN_STORE_FILE).read_bytes()

    row, facts = read_run(tmp_path, "job-1")

    ended = RunEnded(TaskState.SUCCEEDED, {})
    assert [fact for _, fact in facts] == [STARTED, TaskSkipped(TaskRef((("a", None),)), "no"), ended]
    assert (row.state, row.uuid, row.plan, row.rerun_of, row.redacted) == (ended.state, "", "", "", 0)
    assert (tmp_path / RUN_STORE_FILE).read_bytes() == before


def test_a_folder_may_have_any_name(tmp_path: Path) -> None:
    root = tmp_path / "50% of é?mode=rw#1"
    root.mkdir()
    record(root, "job-1")

    assert [row.id for row in run_rows(root)] == ["job-1"]
