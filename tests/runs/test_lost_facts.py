"""Resuming runs of which the run store has lost the last facts: after a power loss, or with a restored backup."""

from __future__ import annotations

import os
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from standpipe import dsl, kubernetes, local
from standpipe.dsl import Dataset, Input, Output
from standpipe.errors import NoSuchRun, StorageError, TaskFailed
from standpipe.local import FakeRunner
from standpipe.model.layout import RUN_STORE_FILE
from standpipe.store.reading import run_rows

#: A store of small pages needs few bytes for a transaction, so that a test can cut it at each of them.
PAGE = 512


@dsl.component
def write(x: int, data: Output[Dataset]) -> int:
    raise NotImplementedError


@dsl.component
def unstable(x: int) -> int:
    raise NotImplementedError


@dsl.component
def read(x: int, data: Input[Dataset]) -> str:
    raise NotImplementedError


@dsl.pipeline
def lossy(x: int = 1) -> str:
    written = write(x=x)
    changed = unstable(x=written.outputs["Output"]).set_retry(2, backoff_duration="0s")
    return read(x=changed.output, data=written.outputs["data"]).output


class Tasks:
    """Fake tasks of `lossy`. `unstable` fails in its first attempt; `fails` makes it fail in all."""

    def __init__(self) -> None:
        self.ran: list[str] = []
        self.fails = False
        self._tries = 0

    @property
    def runner(self) -> FakeRunner:
        return FakeRunner(write=self._write, unstable=self._unstable, read=self._read)

    def _write(self, x: int, data: Dataset) -> int:
        self.ran.append("write")
        assert not os.path.exists(data.path), "an attempt has a folder of its own"
        Path(data.path).write_text(f"data {x}")
        return x + 1

    def _unstable(self, x: int) -> int:
        self.ran.append("unstable")
        self._tries += 1
        if self.fails or self._tries == 1:
            raise ValueError("not at first")
        return x * 10

    def _read(self, x: int, data: Dataset) -> str:
        self.ran.append("read")
        return f"{x} {Path(data.path).read_text()}"


OUTPUT = "20 data 1"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    root = tmp_path / "root"
    root.mkdir()
    with closing(sqlite3.connect(root / RUN_STORE_FILE)) as db:
        db.execute(f"PRAGMA page_size = {PAGE}")
        db.execute("VACUUM")
    return root


@pytest.fixture
def tasks(root: Path) -> Tasks:
    made = Tasks()
    local.init(made.runner, root, quiet=True)
    return made


@pytest.fixture
def log(root: Path) -> Iterator[Path]:
    """Keep the write-ahead log of the store when a run ends, as that of a killed process stays."""
    log = root / f"{RUN_STORE_FILE}-wal"
    with closing(sqlite3.connect(root / RUN_STORE_FILE)) as db:
        db.execute("PRAGMA journal_mode = WAL")
        db.execute("SELECT * FROM sqlite_master").fetchall()
        yield log


def forget(root: Path, run: str, facts: int) -> None:
    """Forget the last facts of a run."""
    with closing(sqlite3.connect(root / RUN_STORE_FILE)) as db, db:
        db.execute("DELETE FROM facts WHERE run = ? AND seq > ?", (run, facts))


def last(root: Path) -> tuple[str, int]:
    row = run_rows(root)[0]
    return row.id, row.length


def count_facts(root: Path) -> int:
    """Return the number of facts in a store, which is read as `standpipe.store.reading` reads it."""
    with closing(sqlite3.connect(f"file:{root / RUN_STORE_FILE}?mode=ro", uri=True)) as db:
        return int(db.execute("SELECT count(*) FROM facts").fetchone()[0])


def test_a_run_is_resumed_from_each_of_its_facts(root: Path, tasks: Tasks, caplog: pytest.LogCaptureFixture) -> None:
    lossy()
    run, length = last(root)
    assert length >= 9
    shutil.copytree(root, root.with_name("whole"))
    for kept in range(1, length + 1):
        shutil.rmtree(root)
        shutil.copytree(root.with_name("whole"), root)
        forget(root, run, kept)
        caplog.clear()
        tasks.ran.clear()
        executed = {path.parent for path in (root / run).rglob("log.txt")}
        assert local.resume(run).output == OUTPUT
        moved = {path.parent for path in (root / run / ".lost").rglob("log.txt")}
        assert {root / run / path.name for path in moved} <= executed
        notices = [record for record in caplog.records if "existed before the attempt" in record.getMessage()]
        assert len(notices) == bool(moved)
        assert tasks.ran == [] or moved or kept < length
    assert tasks.ran == []


def test_what_is_moved_aside_stays_as_it_was(root: Path, tasks: Tasks, caplog: pytest.LogCaptureFixture) -> None:
    lossy()
    run, _ = last(root)
    folder = root / run
    (folder / "write" / "data").write_text("precious")
    (root / "outside").mkdir()
    shutil.rmtree(folder / "read")
    (folder / "read").symlink_to(root / "outside")
    for number in (1, 2):
        forget(root, run, 1)
        assert local.resume(run).output == OUTPUT
        moved = [path.read_text() for path in folder.glob(".lost/*/write/data")]
        assert sorted(moved) == ["data 1"] * (number - 1) + ["precious"]
    assert [path.readlink() for path in folder.glob(".lost/*/read") if path.is_symlink()] == [root / "outside"]
    assert list((root / "outside").iterdir()) == []
    assert f"It is now {folder / '.lost'}" in caplog.text.replace("\n", " ")


def test_links_do_not_lead_what_is_moved_aside_out_of_the_run(root: Path, tasks: Tasks) -> None:
    lossy()
    run, _ = last(root)
    (root / "outside").mkdir()
    (root / run / ".lost").symlink_to(root / "outside")
    forget(root, run, 1)
    with pytest.raises(TaskFailed, match="is a symbolic link"):
        local.resume(run)
    assert list((root / "outside").iterdir()) == []
    assert (root / run / "write" / "data").exists()


def test_a_task_that_was_a_pipeline_before(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    def part_as_pipeline() -> Any:
        @dsl.pipeline
        def part(x: int) -> int:
            return unstable(x=x).output

        @dsl.pipeline
        def changing() -> str:
            return str_of(x=part(x=1).output).output

        return changing

    def part_as_task() -> Any:
        @dsl.component
        def part(x: int) -> int:
            raise NotImplementedError

        @dsl.pipeline
        def changing() -> str:
            return str_of(x=part(x=1).output).output

        return changing

    @dsl.component
    def str_of(x: int) -> str:
        raise NotImplementedError

    runner = FakeRunner(unstable=lambda x: x + 1, part=lambda x: x + 2, str_of=lambda x: str(x))
    for first, second in ((part_as_pipeline, part_as_task), (part_as_task, part_as_pipeline)):
        caplog.clear()
        local.init(runner, tmp_path / first.__name__, quiet=True)
        before = first()().output
        assert local.resume("latest", pipeline=second()).output != before
        assert ("existed before the attempt" in caplog.text) == (first is part_as_pipeline)


def test_the_end_of_a_volume_is_lost(root: Path) -> None:
    """A PVC can be deleted once: a second DeletePVC fails, unless the task has deleted the PVC before."""

    @dsl.pipeline
    def deletes(name: str = "data") -> None:
        claim = kubernetes.CreatePVC(pvc_name="data", access_modes=["ReadWriteOnce"], size="1Gi")
        kubernetes.DeletePVC(pvc_name=name).after(claim)

    local.init(FakeRunner(), root, quiet=True)
    deletes()
    run, length = last(root)
    assert list((root / "pvcs").iterdir()) == []
    for kept in range(length - 1, length - 4, -1):  # the end of the run, of the task, and its start
        forget(root, run, kept)
        local.resume(run)
    assert local.get_run(run).status.value == "SUCCEEDED"
    with pytest.raises(TaskFailed, match="unknown PVC 'other'"):
        deletes(name="other")
    with pytest.raises(TaskFailed, match="unknown PVC 'other'"):
        local.resume("latest")


def test_a_run_that_the_store_does_not_know(root: Path, tasks: Tasks) -> None:
    shutil.copy(root / RUN_STORE_FILE, root.with_name("backup"))
    lossy()
    run, _ = last(root)
    for store in (root.with_name("backup"), None):
        (root / RUN_STORE_FILE).unlink()
        if store:
            shutil.copy(store, root / RUN_STORE_FILE)
        with pytest.raises(NoSuchRun, match=rf"Its folder .*{run} exists, .* were lost.*Start a new run"):
            local.resume(run)
    assert lossy().output == OUTPUT
    assert last(root)[0] != run
    assert len(list(root.glob("lossy-*"))) == 2


def test_a_lost_cache_and_a_cache_that_has_more_than_the_store(root: Path, tasks: Tasks) -> None:
    local.init(tasks.runner, root, quiet=True, enable_caching=True)
    lossy()
    run, _ = last(root)
    forget(root, run, 3)
    tasks.ran.clear()
    assert local.resume(run).output == OUTPUT
    assert tasks.ran == [], "the cache has what the store has lost"
    for file in root.glob("cache.sqlite*"):
        file.unlink()
    forget(root, run, 3)
    assert local.resume(run).output == OUTPUT
    assert tasks.ran == ["write", "unstable", "read"]


def test_a_disk_that_lies(root: Path, tasks: Tasks, log: Path) -> None:
    """Cut the write-ahead log at each byte of the last transactions: what is left is a store that can be resumed."""
    lossy()
    run, length = last(root)
    cut = root.with_name("cut")
    cut.mkdir()
    shutil.copy(root / RUN_STORE_FILE, cut)
    cut_log = Path(shutil.copy(log, cut))
    sizes: dict[int, int] = {}  # for each number of facts that is left, one size of the log
    for size in range(log.stat().st_size, 0, -1):
        os.truncate(cut_log, size)
        kept = count_facts(cut)
        sizes.setdefault(kept, size)
        if kept <= length - 4:  # two transactions and a part of the third
            break
    assert len(sizes) >= 3
    shutil.copytree(root, root.with_name("whole"))
    for kept, size in sizes.items():
        damaged = root.with_name(f"kept-{kept}")
        shutil.copytree(root.with_name("whole"), damaged, ignore=shutil.ignore_patterns("*-shm"))
        os.truncate(damaged / log.name, size)
        local.init(tasks.runner, damaged, quiet=True)
        assert local.get_run(run).outputs == ({"Output": OUTPUT} if kept == length else {})
        assert local.resume(run).output == OUTPUT


@pytest.mark.parametrize("index", ["stays", "is removed, too"])
def test_the_log_of_the_store_is_removed(root: Path, tasks: Tasks, index: str) -> None:
    lossy()
    first, _ = last(root)
    with closing(sqlite3.connect(root / RUN_STORE_FILE)) as db:
        db.execute("SELECT * FROM runs").fetchall()  # keeps the log when the run ends
        lossy(x=2)
        second, _ = last(root)
        shutil.copytree(root, root.with_name("copy"), ignore=shutil.ignore_patterns("*-wal"))
    root = root.with_name("copy")
    if index != "stays":
        (root / f"{RUN_STORE_FILE}-shm").unlink()
    local.init(tasks.runner, root, quiet=True)
    assert [run.id for run in local.runs()] == [first]
    with pytest.raises(NoSuchRun, match=f"Its folder .*{second} exists"):
        local.resume(second)
    assert local.resume(first).output == OUTPUT
    assert lossy().output == OUTPUT


def test_a_store_without_its_end_is_damaged(root: Path, tasks: Tasks) -> None:
    lossy()
    run, length = last(root)
    store = root / RUN_STORE_FILE
    whole = store.read_bytes()
    for size in (*range(97, len(whole), 97), *range(PAGE, len(whole), PAGE)):
        store.write_bytes(whole[:size])
        for use in (lambda: local.get_run(run).tasks, lambda: local.resume(run), lossy):
            with pytest.raises(StorageError, match=r"run store .* is damaged: .*Restore a backup of the file"):
                use()
        assert store.read_bytes() == whole[:size], "nothing is written to it"
    store.write_bytes(whole)
    assert last(root) == (run, length)


@pytest.mark.parametrize(
    ("statement", "problem"),
    [
        ("DELETE FROM plans", "the pipeline [0-9a-f]+ of a run is missing"),
        ("DELETE FROM facts WHERE seq = 4", "has 12 facts, expected 13"),
    ],
)
def test_a_gap_in_the_store_is_damage(root: Path, tasks: Tasks, statement: str, problem: str) -> None:
    """Neither a power loss nor a backup makes gaps, so the whole run is in doubt."""
    lossy()
    with closing(sqlite3.connect(root / RUN_STORE_FILE)) as db, db:
        db.execute(statement)
    tasks.ran.clear()
    with pytest.raises(StorageError, match=problem):
        local.resume("latest")
    assert tasks.ran == []
