"""`standpipe delete`."""

from __future__ import annotations

import os
import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from types import SimpleNamespace

import pytest

from standpipe import dsl, local
from standpipe.cli.main import main
from standpipe.dsl import Artifact, Output
from standpipe.errors import StorageError
from standpipe.local import FakeRunner, SubprocessRunner
from standpipe.model.layout import DELETED_FOLDER, RUN_STORE_FILE
from standpipe.runs import deletion
from standpipe.store import deletion as store_deletion
from standpipe.store.locks import RunLock


@dsl.component
def write_file(text: str, file: Output[Artifact]) -> None:
    with open(file.path, "w") as opened:
        opened.write(text)


@dsl.component
def echo_text(text: str) -> str: ...


@pytest.fixture
def run(tmp_path: Path) -> Callable[..., str]:
    """Return a function that runs `echo_text` with a text, and returns the id of the run."""

    def start(text: str = "a") -> str:
        runner = FakeRunner(echo_text=lambda **_: {"Output": text})
        local.run(echo_text, {"text": text}, runner=runner, pipeline_root=tmp_path, quiet=True)
        return local.get_run("latest", tmp_path).id

    return start


def write(root: Path, text: str = "hello") -> str:
    """Run `write_file`, with the cache, and return the id of the run."""
    runner = SubprocessRunner(use_venv=False)
    local.run(write_file, {"text": text}, runner=runner, pipeline_root=root, quiet=True, enable_caching=True)
    return local.get_run("latest", root).id


def delete(root: Path, *arguments: str) -> int:
    return main(["delete", "--root", str(root), *arguments])


def rows(root: Path, table: str) -> int:
    with closing(sqlite3.connect(root / RUN_STORE_FILE)) as db:
        return int(db.execute(f"SELECT count(*) FROM {table}").fetchone()[0])


def test_a_run_is_deleted_with_its_folder_and_all_that_the_store_has(
    tmp_path: Path, run: Callable[..., str], capsys: pytest.CaptureFixture[str]
) -> None:
    run_id = run("x" * 2_000_000)
    (tmp_path / run_id / "notes").write_bytes(b"x" * 100_000)

    assert delete(tmp_path, run_id) == 0
    assert capsys.readouterr().out.startswith(f"Deleted run {run_id}: ")
    assert os.listdir(tmp_path / DELETED_FOLDER) == []
    assert not (tmp_path / run_id).exists()
    tables = ("runs", "facts", "plans", "texts", "roots", "summaries", "outlines")
    assert [rows(tmp_path, table) for table in tables] == [0] * len(tables)


def test_the_freed_bytes_are_those_of_the_folder(tmp_path: Path, run: Callable[..., str]) -> None:
    run_id = run()
    (tmp_path / run_id / "large").write_bytes(b"x" * 1024**2)
    [deleted] = deletion.delete_runs(tmp_path, [run_id])
    assert 1024**2 <= deleted.size < 1.2 * 1024**2


def test_on_a_full_disk_the_folder_is_emptied_first(
    tmp_path: Path, run: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    run_id = run()
    large = tmp_path / run_id / "echo-text" / "large"
    large.parent.mkdir(exist_ok=True)
    large.write_bytes(b"x" * 1024**2)
    delete_run = store_deletion.delete_run

    def fail_while_full(root: Path, name: str) -> None:
        if large.exists():
            raise StorageError("database or disk is full")
        delete_run(root, name)

    monkeypatch.setattr(deletion, "delete_run", fail_while_full)
    with pytest.raises(StorageError, match="disk is full"):
        [*deletion.delete_runs(tmp_path, [run_id])]
    assert large.exists(), "the disk has space: the error has another cause"
    monkeypatch.setattr(shutil, "disk_usage", lambda path: SimpleNamespace(free=0))
    [deleted] = deletion.delete_runs(tmp_path, [run_id])
    assert deleted.size >= 1024**2
    assert not (tmp_path / run_id).exists()
    assert rows(tmp_path, "runs") == 0


def test_other_runs_keep_what_they_share(tmp_path: Path, run: Callable[..., str]) -> None:
    text = "shared" * 300_000
    first, second = run(text), run(text)
    assert delete(tmp_path, first) == 0
    assert [each.id for each in local.runs(tmp_path)] == [second]
    assert local.get_run(second, tmp_path).inputs["text"] == text
    local.resume(second, runner=FakeRunner(), pipeline_root=tmp_path, quiet=True)  # reads its Plan


def test_several_are_deleted_by_prefix_and_as_latest(tmp_path: Path, run: Callable[..., str]) -> None:
    first, second, third = run(), run(), run()
    assert delete(tmp_path, first[:-1] if first[:-1] not in second else first, "latest") == 0
    assert [each.id for each in local.runs(tmp_path)] == [second]
    assert third not in os.listdir(tmp_path)


def test_nothing_is_deleted_if_one_name_is_unknown(
    tmp_path: Path, run: Callable[..., str], capsys: pytest.CaptureFixture[str]
) -> None:
    run_id = run()
    assert delete(tmp_path, run_id, "nothing") == 2
    assert "There is no run 'nothing'" in capsys.readouterr().err
    assert local.get_run(run_id, tmp_path).status.value == "SUCCEEDED"


def test_a_run_in_progress_is_refused(
    tmp_path: Path, run: Callable[..., str], capsys: pytest.CaptureFixture[str]
) -> None:
    other, run_id = run(), run()
    with RunLock(tmp_path / run_id):
        assert delete(tmp_path, other, run_id, "--force") == 6
    assert f"Run {run_id} is still active" in capsys.readouterr().err
    assert len(local.runs(tmp_path)) == 2


def test_a_run_whose_folder_was_removed_is_deleted(tmp_path: Path, run: Callable[..., str]) -> None:
    run_id = run()
    shutil.rmtree(tmp_path / run_id)
    assert delete(tmp_path, run_id) == 0
    assert local.runs(tmp_path) == []


def test_a_run_whose_outputs_others_use_is_refused_and_they_are_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    first, second = write(tmp_path), write(tmp_path)
    assert local.get_run(second, tmp_path).tasks[0].cached_from

    assert delete(tmp_path, first) == 6
    assert second in capsys.readouterr().err
    assert (tmp_path / first).is_dir()
    assert delete(tmp_path, second) == 0, "nobody uses the outputs of the other run"
    write(tmp_path)
    assert delete(tmp_path, first, "--force") == 0


def test_runs_that_use_each_other_are_deleted_together(tmp_path: Path) -> None:
    first, second = write(tmp_path), write(tmp_path)
    assert delete(tmp_path, first, second) == 0
    assert local.runs(tmp_path) == []


def test_a_run_that_only_names_another_does_not_use_it(tmp_path: Path, run: Callable[..., str]) -> None:
    first = run()
    run(f"see {first}/echo-text")
    assert delete(tmp_path, first) == 0


def test_what_the_cache_has_of_a_deleted_run_is_a_miss(tmp_path: Path) -> None:
    assert delete(tmp_path, write(tmp_path)) == 0
    task = local.get_run(write(tmp_path), tmp_path).tasks[0]
    assert not task.cached_from
    assert task.status.value == "SUCCEEDED"


@pytest.mark.parametrize("step", ["delete_run", "_move", "_remove"])
def test_a_deletion_that_is_killed_leaves_no_broken_list(
    tmp_path: Path, run: Callable[..., str], step: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_id, other = run(), run()

    class Killed(BaseException):
        pass

    def kill(*_: object) -> None:
        raise Killed

    with monkeypatch.context() as patched:
        patched.setattr(deletion, step, kill)
        with pytest.raises(Killed):
            list(deletion.delete_runs(tmp_path, [run_id]))
    listed = [each.id for each in local.runs(tmp_path)]
    assert listed == ([other, run_id] if step == "delete_run" else [other])
    assert ((tmp_path / run_id).is_dir()) == (step != "_remove")

    assert delete(tmp_path, other) == 0
    assert (tmp_path / run_id).is_dir() == (run_id in listed), "what was left of a deleted run is removed"
    if run_id in listed:
        assert str(local.get_run(run_id, tmp_path))


def test_names_that_a_task_put_there_are_not_removed(tmp_path: Path, run: Callable[..., str]) -> None:
    run()
    for name in ("keep", RUN_STORE_FILE):
        (tmp_path / DELETED_FOLDER / name).mkdir(parents=True)
    (tmp_path / "keep").mkdir()
    assert delete(tmp_path, "latest") == 0
    assert (tmp_path / "keep").is_dir()
    assert (tmp_path / RUN_STORE_FILE).is_file()


def test_links_in_the_folder_are_removed_and_not_followed(tmp_path: Path, run: Callable[..., str]) -> None:
    root, outside = tmp_path, tmp_path / "outside"
    outside.mkdir()
    (outside / "file").write_text("mine")
    run_id = run()
    (root / run_id / "link").symlink_to(outside)
    assert delete(root, run_id) == 0
    assert (outside / "file").read_text() == "mine"
