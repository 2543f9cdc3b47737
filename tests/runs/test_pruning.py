"""Which runs, cache entries and environments a pruning deletes, and what it keeps."""

from __future__ import annotations

import os
import shutil
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from standpipe import dsl, local
from standpipe.dsl import Artifact, Input, Output
from standpipe.errors import RunnerError, StorageError
from standpipe.history import Status
from standpipe.local import FakeRunner, SubprocessRunner
from standpipe.model.layout import CACHE_FILE, DELETED_FOLDER, RUN_STORE_FILE
from standpipe.runners.process.stored_venvs import list_venvs, remove_venv
from standpipe.runs import deletion, pruning
from standpipe.runs.pruning import Pruning, Selection, prune_runs, select_runs, select_venvs
from standpipe.store.cache import read_entries
from standpipe.store.deletion import find_all_users, find_users
from standpipe.store.locks import RunLock
from standpipe.support.disk_usage import DiskUsage
from standpipe.support.usage_marks import UsageMarks
from tests.processes import CHECKOUT

DAY = 86_400.0


@dsl.component
def write_file(text: str, file: Output[Artifact]) -> None:
    with open(file.path, "w") as opened:
        opened.write(text)


@dsl.component
def read_pruned(file: Input[Artifact]) -> str:
    with open(file.path) as opened:
        return opened.read()


@dsl.pipeline
def pruned_copy(text: str = "hello") -> None:
    read_pruned(file=write_file(text=text).outputs["file"])


@dsl.component
def echo(text: str) -> str: ...


@dsl.component
def other(text: str) -> str: ...


def run_fake(root: Path, component: dsl.BaseComponent = echo, text: str = "a") -> str:
    """Run a component, which fails if the text is `fail`; return the id of the run."""

    def work(text: str) -> dict[str, str]:
        if text == "fail":
            raise ValueError(text)
        return {"Output": text}

    runner = FakeRunner({component.name: work})
    local.run(component, {"text": text}, runner=runner, pipeline_root=root, quiet=True, raise_on_error=False)
    return local.get_run("latest", root).id


def run_real(root: Path, text: str = "hello", **options: object) -> str:
    """Run `pruned_copy` with the cache, and return the id of the run."""
    runner = SubprocessRunner(use_venv=False)
    local.run(
        pruned_copy, {"text": text}, runner=runner, pipeline_root=root, quiet=True, enable_caching=True, **options
    )
    return local.get_run("latest", root).id


def ids(selected: Pruning) -> list[str]:
    return [run.id for run in selected.runs]


def remaining(root: Path) -> list[str]:
    return [run.id for run in local.runs(root)]


def test_runs_are_selected_by_age(tmp_path: Path) -> None:
    run = run_fake(tmp_path)
    old, now = Selection(older_than=2 * DAY), time.time()
    assert ids(select_runs(tmp_path, old, now=now + DAY)) == []
    assert ids(select_runs(tmp_path, old, now=now + 3 * DAY)) == [run]


def test_the_newest_of_each_pipeline_are_kept(tmp_path: Path) -> None:
    first, second = run_fake(tmp_path), run_fake(tmp_path)
    run_fake(tmp_path, other)
    assert ids(select_runs(tmp_path, Selection(keep=1))) == [first]
    assert ids(select_runs(tmp_path, Selection(keep=0, pipeline="echo"))) == [second, first]
    failed = run_fake(tmp_path, text="fail")
    assert ids(select_runs(tmp_path, Selection(keep=1, statuses=[Status.FAILED]))) == []
    assert ids(select_runs(tmp_path, Selection(statuses=[Status.FAILED]))) == [failed]


def test_runs_are_selected_by_size(tmp_path: Path) -> None:
    run_fake(tmp_path)
    large = run_fake(tmp_path)
    (tmp_path / large / "large").write_bytes(b"x" * 1024**2)
    selected = select_runs(tmp_path, Selection(larger_than=1024**2 - 1))
    assert ids(selected) == [large]
    assert 1024**2 <= selected.size < 1.2 * 1024**2


def test_nothing_in_particular_selects_no_run(tmp_path: Path) -> None:
    run_fake(tmp_path)
    assert not select_runs(tmp_path, Selection())
    assert not select_runs(tmp_path / "nowhere", Selection(keep=0), with_cache=True)
    assert not (tmp_path / CACHE_FILE).exists(), "reading creates nothing"
    assert not (tmp_path / "nowhere").exists()


def test_a_run_in_progress_is_never_selected_and_an_interrupted_one_is(tmp_path: Path) -> None:
    run = run_fake(tmp_path)
    _forget_end(tmp_path, run)
    with RunLock(tmp_path / run):
        assert ids(select_runs(tmp_path, Selection(keep=0))) == []
    assert ids(select_runs(tmp_path, Selection(statuses=[Status.INTERRUPTED]))) == [run]


def _forget_end(root: Path, run: str) -> None:
    """Let a run be one whose process was killed before its end."""
    with closing(sqlite3.connect(root / RUN_STORE_FILE)) as db:
        db.execute("DELETE FROM facts WHERE run = ? AND kind = 'RunEnded'", (run,))
        db.commit()


def test_a_run_that_is_resumed_meanwhile_is_left(tmp_path: Path) -> None:
    run, idle = run_fake(tmp_path), run_fake(tmp_path)
    selected = select_runs(tmp_path, Selection(keep=0))
    with RunLock(tmp_path / run):
        assert [each.id for each in prune_runs(selected)] == [idle]
    assert remaining(tmp_path) == [run]


def test_what_a_kept_run_uses_is_kept(tmp_path: Path) -> None:
    first, second = run_real(tmp_path), run_real(tmp_path)
    assert local.get_run(second, tmp_path).task("write-file").cached_from
    selected = select_runs(tmp_path, Selection(keep=1), with_cache=True)
    assert (ids(selected), selected.entries) == ([], ())
    [kept] = selected.kept
    assert (kept.id, kept.users) == (first, (second,))
    both = select_runs(tmp_path, Selection(keep=0), with_cache=True)
    assert ids(both) == [second, first]
    assert len(list(prune_runs(both))) == 2
    assert [each.entry.origin for each in read_entries(tmp_path)] == [f"{first}/read-pruned"], "it needs no file"


def test_what_a_kept_rerun_uses_is_kept_in_turn(tmp_path: Path) -> None:
    first = run_real(tmp_path)
    second = run_real(tmp_path)
    local.rerun_task(second, "read-pruned", runner=SubprocessRunner(use_venv=False), pipeline_root=tmp_path, quiet=True)
    rerun = remaining(tmp_path)[0]
    selected = select_runs(tmp_path, Selection(pipeline="pruned-copy"), with_cache=True)
    assert local.get_run(rerun, tmp_path).pipeline != "pruned-copy"
    assert ids(selected) == [second]
    assert [(kept.id, kept.users) for kept in selected.kept] == [(first, (rerun,))]


def test_relations_read_at_once_are_those_of_each_run(tmp_path: Path) -> None:
    runs = [run_real(tmp_path), run_real(tmp_path), run_real(tmp_path, "else"), run_real(tmp_path)]
    run_fake(tmp_path, text=f"see {runs[0]}/write-file")
    found = find_all_users(tmp_path)
    assert {run: {*find_users(tmp_path, run)} for run in runs} == {run: found.get(run, set()) for run in runs}
    assert found == {runs[0]: {runs[1], runs[3]}}


def test_what_the_cache_has_is_kept_unless_the_cache_is_pruned(tmp_path: Path) -> None:
    run = run_real(tmp_path)
    selected = select_runs(tmp_path, Selection(keep=0))
    assert ids(selected) == []
    [kept] = selected.kept
    assert (kept.id, kept.users, kept.entries) == (run, (), 1)

    selected = select_runs(tmp_path, Selection(keep=0), with_cache=True)
    assert [entry.origin for entry in selected.entries] == [f"{run}/write-file"]
    assert [each.id for each in prune_runs(selected)] == [run]
    assert [each.entry.origin for each in read_entries(tmp_path)] == [f"{run}/read-pruned"], "it needs no file"
    task = local.get_run(run_real(tmp_path), tmp_path).task("write-file")
    assert not task.cached_from


def test_entries_without_their_files_are_pruned_with_the_cache(tmp_path: Path) -> None:
    run = run_real(tmp_path)
    shutil.rmtree(tmp_path / run)
    selected = select_runs(tmp_path, Selection(), with_cache=True)
    assert [entry.origin for entry in selected.entries] == [f"{run}/write-file"]
    list(prune_runs(selected))
    assert len(read_entries(tmp_path)) == 1


def test_a_cache_elsewhere_is_found(tmp_path: Path) -> None:
    root, cache = tmp_path / "root", tmp_path / "cache"
    run = run_real(root, cache_root=cache)
    assert ids(select_runs(root, Selection(keep=0))) == [run]
    assert [kept.id for kept in select_runs(root, Selection(keep=0), cache=cache).kept] == [run]


def test_a_root_that_was_moved_has_its_relations(tmp_path: Path) -> None:
    run = run_real(tmp_path / "root")
    (tmp_path / "root").rename(tmp_path / "moved")
    assert [kept.id for kept in select_runs(tmp_path / "moved", Selection(keep=0)).kept] == [run]


def test_a_run_that_others_use_since_it_was_selected_is_left(tmp_path: Path) -> None:
    run = run_real(tmp_path)
    selected = select_runs(tmp_path, Selection(keep=0), with_cache=True)
    user = run_real(tmp_path)
    assert list(prune_runs(selected)) == []
    assert remaining(tmp_path) == [user, run]


@pytest.mark.parametrize("step", ["delete_run", "_move", "_remove"])
def test_a_pruning_that_is_killed_is_finished_by_the_next(
    tmp_path: Path, step: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Killed(BaseException):
        pass

    def kill(*_: object) -> None:
        raise Killed

    first, second = run_fake(tmp_path), run_fake(tmp_path)
    with monkeypatch.context() as patched:
        patched.setattr(deletion, step, kill)
        with pytest.raises(Killed):
            list(prune_runs(select_runs(tmp_path, Selection(keep=0))))
    list(prune_runs(select_runs(tmp_path, Selection(keep=0))))
    assert remaining(tmp_path) == []
    assert not {first, second} & {*os.listdir(tmp_path)}
    assert os.listdir(tmp_path / DELETED_FOLDER) == []


def test_a_store_that_is_damaged_is_an_error(tmp_path: Path) -> None:
    run_real(tmp_path)
    (tmp_path / CACHE_FILE).write_text("not a database")
    with pytest.raises(StorageError, match="The cache .* is damaged"):
        select_runs(tmp_path, Selection(keep=0))


# --- environments -----------------------------------------------------------------------------------------------------


@pytest.fixture
def venvs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], Path]:
    """Return a function that makes a folder as that of an environment, used 10 days ago."""
    monkeypatch.setenv("STANDPIPE_CACHE", str(tmp_path / "cache"))

    def make(key: str, *, complete: bool = True) -> Path:
        folder = tmp_path / "cache" / "envs" / (key * 32)
        (folder / "lib").mkdir(parents=True)
        (folder / "lib" / "module.py").write_bytes(b"x" * 10_000)
        if complete:
            created = time.time() - 10 * DAY
            (folder / "complete.json").write_text(f'{{"created": {created}, "requirements": ["numpy==2"]}}')
        return folder

    return make


def test_environments_are_selected_by_their_last_use(venvs: Callable[..., Path]) -> None:
    old, used, broken = venvs("a"), venvs("b"), venvs("c", complete=False)
    UsageMarks(used.parent).hold(used.name)
    assert [venv.folder for venv in select_venvs(20 * DAY)] == [broken]
    selected = select_venvs(5 * DAY)
    assert [(venv.folder, venv.packages, venv.is_complete) for venv in selected] == [
        (old, ("numpy==2",), True),
        (broken, (), False),
    ]
    assert all(venv.size > 10_000 for venv in selected)


def test_an_environment_that_this_process_uses_is_not_removed(venvs: Callable[..., Path]) -> None:
    folder = venvs("a")
    marks = UsageMarks(folder.parent)
    marks.hold(folder.name)
    assert not remove_venv(folder)
    assert folder.is_dir()


def test_an_environment_that_another_process_uses_is_not_removed(venvs: Callable[..., Path]) -> None:
    folder = venvs("a")
    program = (
        "from pathlib import Path\nfrom standpipe.support.usage_marks import UsageMarks\n"
        f"UsageMarks(Path({str(folder.parent)!r})).hold({folder.name!r})\nprint(flush=True)\ninput()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", program], cwd=CHECKOUT, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        process.stdout.readline()
        assert not remove_venv(folder)
        process.communicate(b"\n")
    assert remove_venv(folder)
    assert not folder.exists()


def test_what_a_killed_removal_has_left_is_removed(venvs: Callable[..., Path]) -> None:
    folder = venvs("a")
    left = folder.rename(folder.with_name(f".removed-{folder.name}"))
    [venv] = list_venvs(folder.parent, DiskUsage())
    assert (venv.folder, venv.is_complete) == (left, False)
    assert remove_venv(left)
    assert not left.exists()


def test_other_folders_are_no_environments(venvs: Callable[..., Path]) -> None:
    folder = venvs("a")
    (folder.parent / "mine").mkdir()
    shutil.rmtree(folder)
    assert select_venvs(0) == ()


def test_a_task_marks_its_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STANDPIPE_CACHE", str(tmp_path / "cache"))
    runner = SubprocessRunner()
    local.run(write_file, {"text": "a"}, runner=runner, pipeline_root=tmp_path / "root", quiet=True)
    [venv] = select_venvs(-DAY)
    assert venv.used == pytest.approx(time.time(), abs=60)
    assert not remove_venv(venv.folder), "this process may start tasks in it"


def test_without_an_engine_there_are_no_images(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pruning, "may_have_engine", lambda: False)
    with pytest.raises(RunnerError, match="no container engine"):
        pruning.select_images(0)


def test_hard_links_count_once_and_links_are_not_followed(tmp_path: Path) -> None:
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
    (tmp_path / "one" / "file").write_bytes(b"x" * 1_000_000)
    os.link(tmp_path / "one" / "file", tmp_path / "one" / "again")
    os.link(tmp_path / "one" / "file", tmp_path / "two" / "again")
    (tmp_path / "two" / "link").symlink_to(tmp_path / "one")
    usage = DiskUsage()
    assert 1_000_000 <= usage.folder(tmp_path / "one") < 1_100_000
    assert usage.folder(tmp_path / "two") < 100_000


def test_sizes_are_split_by_the_names_of_files(tmp_path: Path) -> None:
    (tmp_path / "run" / "task").mkdir(parents=True)
    (tmp_path / "run" / ".workspace").mkdir()
    (tmp_path / "run" / "task" / "log.txt").write_bytes(b"x" * 100_000)
    (tmp_path / "run" / "task" / "out").write_bytes(b"x" * 200_000)
    (tmp_path / "run" / ".workspace" / "file").write_bytes(b"x" * 900_000)
    logs, others = DiskUsage().split(tmp_path / "run", {"log.txt"}, without=(".workspace",))
    assert 100_000 <= logs < 110_000
    assert 200_000 <= others < 250_000


def test_a_pruning_without_runs_deletes_none(tmp_path: Path) -> None:
    run_fake(tmp_path)
    selected = replace(select_runs(tmp_path, Selection(keep=0)), runs=())
    assert list(prune_runs(selected)) == []
    assert len(remaining(tmp_path)) == 1
