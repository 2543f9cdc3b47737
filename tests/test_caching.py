"""Caching through the public functions."""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from standpipe import dsl, local
from standpipe.errors import StorageError, TaskFailed
from standpipe.local import FakeRunner
from standpipe.model.attempts import Outcome, TaskRequest
from standpipe.model.cancellation import Cancellation
from standpipe.model.ports import Runner
from standpipe.runners.api import LocalRunner
from standpipe.runners.fake import FakeTaskRunner
from standpipe.support import checksums
from standpipe.support.file_digests import compute_digest
from tests.processes import run_together


@dsl.component
def double(x: int) -> int:
    return 2 * x


@dsl.component
def write(text: str, out: dsl.Output[dsl.Dataset]):  # type: ignore[no-untyped-def]
    with open(out.path, "w") as file:
        file.write(text)
    out.metadata["length"] = len(text)


@dsl.component
def read(data: dsl.Input[dsl.Dataset]) -> str:
    with open(data.path) as file:
        return file.read()


@dsl.component
def measure(metrics: dsl.Output[dsl.Metrics]):  # type: ignore[no-untyped-def]
    metrics.log_metric("accuracy", 0.9)


@dsl.component
def judge(metrics: dsl.Input[dsl.Metrics]) -> float:
    return metrics.metadata["accuracy"]


@dsl.pipeline
def copying(text: str = "content") -> str:
    return read(data=write(text=text).outputs["out"]).output


@dsl.pipeline
def importing(path: str) -> str:
    data = dsl.importer(artifact_uri=path, artifact_class=dsl.Dataset, reimport=False)
    return read(data=data.output).output


class Runs:
    """Runs with caching in one pipeline root, and the results of their tasks."""

    def __init__(self, root: Path, runner: LocalRunner) -> None:
        self.root = root
        self.runner = runner

    def __call__(self, target: Any, arguments: dict[str, Any] | None = None, **options: Any) -> Any:
        options = {"enable_caching": True, "runner": self.runner, "pipeline_root": self.root, "quiet": True, **options}
        return local.run(target, arguments or {}, **options)

    @property
    def last(self) -> str:
        with closing(sqlite3.connect(self.root / "runs.sqlite")) as db:
            return str(db.execute("SELECT id FROM runs ORDER BY rowid DESC LIMIT 1").fetchone()[0])

    @property
    def ran(self) -> list[str]:
        """Return the tasks of the last run that were executed."""
        return [name for name, cached in self._ends() if not cached]

    @property
    def cached(self) -> list[str]:
        """Return the origins of the cached outputs of the last run."""
        return [cached for _, cached in self._ends() if cached]

    def _ends(self) -> list[tuple[str, str]]:
        with closing(sqlite3.connect(self.root / "runs.sqlite")) as db:
            facts = db.execute(
                "SELECT kind, body FROM facts WHERE run = ? AND kind IN ('AttemptStarted', 'TaskSucceeded')",
                (self.last,),
            )
            told = [(kind, json.loads(body)) for kind, body in facts]
        started = [body["task"] for kind, body in told if kind == "AttemptStarted"]
        return [
            (body["task"][-1][0], body.get("cached_from", ""))
            for kind, body in told
            if kind == "TaskSucceeded" and body["task"] in started
        ]


@pytest.fixture(scope="module")
def processes() -> Iterator[local.SubprocessRunner]:
    runner = local.SubprocessRunner()
    yield runner
    runner.task_runner.close()


@pytest.fixture
def run(tmp_path: Path, processes: local.SubprocessRunner) -> Runs:
    return Runs(tmp_path / "root", processes)


@pytest.fixture
def faked(tmp_path: Path) -> Runs:
    return Runs(tmp_path / "root", FakeRunner(double=lambda x: {"Output": 2 * x}, read=lambda: {"Output": "read"}))


def test_caching_is_off_by_default(faked: Runs) -> None:
    for _ in range(2):
        faked(double, {"x": 1}, enable_caching=False)
        assert faked.ran == ["double"]
    assert not (faked.root / "cache.sqlite").exists()


def test_the_second_run_of_a_component_or_pipeline_is_cached(run: Runs) -> None:
    for target, arguments, tasks in ((double, {"x": 3}, ["double"]), (copying, {}, ["write", "read"])):
        first = run(target, arguments)
        assert run.ran == tasks
        origins = [f"{run.last}/{task}" for task in tasks]
        second = run(target, arguments)
        assert (run.ran, run.cached) == ([], origins)
        assert first.output == second.output
        assert list((run.root / run.last).iterdir()) == [], "cached tasks do not have folders"


def test_a_cached_artifact_is_that_of_the_first_run(run: Runs) -> None:
    first, second = (run(write, {"text": "content"}).output for _ in range(2))
    assert run.ran == []
    assert (second.path, second.metadata) == (first.path, {"length": 7})
    assert Path(second.path).read_text() == "content"


def test_other_inputs_have_another_cache_key(faked: Runs) -> None:
    assert [faked(double, {"x": x}).output for x in (1, 2, 1)] == [2, 4, 2]
    assert faked.ran == []


def test_changes_of_code_miss_the_cache_and_comments_do_not(faked: Runs) -> None:
    def commented() -> Any:
        @dsl.component
        def double(x: int) -> int:
            # a comment

            return 2 * x  # twice

        return double

    def changed() -> Any:
        @dsl.component
        def double(x: int) -> int:
            return x + x

        return double

    faked(double, {"x": 1})
    faked(commented(), {"x": 1})
    assert faked.ran == []
    faked(changed(), {"x": 1})
    assert faked.ran == ["double"]


def with_settings(change: Callable[[dsl.PipelineTask], object]) -> Any:
    @dsl.pipeline
    def doubling(x: int = 1) -> int:
        task = double(x=x)
        change(task)
        return task.output

    return doubling


def test_variables_are_part_of_the_cache_key(faked: Runs) -> None:
    for value, ran in (("1", ["double"]), ("2", ["double"]), ("1", [])):
        faked(with_settings(lambda task, value=value: task.set_env_variable("A", value)))  # type: ignore[misc]
        assert faked.ran == ran


def test_a_task_can_disable_caching(faked: Runs) -> None:
    for _ in range(2):
        faked(with_settings(lambda task: task.set_caching_options(False)))
        assert faked.ran == ["double"]


def test_a_user_provided_key_replaces_the_cache_key(faked: Runs) -> None:
    mine = with_settings(lambda task: task.set_caching_options(True, "mine"))
    assert [faked(mine, {"x": x}).output for x in (1, 2)] == [2, 2]
    yours = with_settings(lambda task: task.set_caching_options(True, "yours"))
    assert faked(yours, {"x": 2}).output == 4


def test_metrics_without_a_payload_are_cached(run: Runs) -> None:
    @dsl.pipeline
    def judging() -> float:
        return judge(metrics=measure().outputs["metrics"]).output

    assert [run(judging).output for _ in range(2)] == [0.9, 0.9]
    assert run.ran == []
    shutil.rmtree(next(run.root.glob("judging-*/measure")))
    run(judging)
    assert run.ran == [], "the outputs are metadata only"


def test_the_cache_key_has_the_content_of_inputs(faked: Runs, tmp_path: Path) -> None:
    file, copy = tmp_path / "file", tmp_path / "copy"
    file.write_text("one")
    times = file.stat()
    faked(read, {"data": dsl.Dataset(uri=str(file))})
    faked(read, {"data": dsl.Dataset(uri=str(file))})
    assert faked.ran == []
    file.write_text("two")
    os.utime(file, ns=(times.st_atime_ns, times.st_mtime_ns))
    faked(read, {"data": dsl.Dataset(uri=str(file))})
    assert faked.ran == ["read"]
    copy.write_text("one")
    faked(read, {"data": dsl.Dataset(uri=str(copy))})
    assert faked.ran == []


def test_the_cache_key_has_the_content_of_imports(faked: Runs, tmp_path: Path) -> None:
    paths = [tmp_path / name for name in "abc"]
    for path, content in zip(paths, ("one", "one", "two"), strict=True):
        path.write_text(content)
    ran = []
    for path in (paths[0], paths[0], paths[1], paths[2]):
        faked(importing, {"path": str(path)})
        ran.append(faked.ran)
    assert ran == [["importer", "read"], [], [], ["importer", "read"]]


def test_a_cached_import_keeps_its_uri(faked: Runs, tmp_path: Path) -> None:
    @dsl.pipeline
    def only(path: str) -> dsl.Dataset:
        return dsl.importer(artifact_uri=path, artifact_class=dsl.Dataset).output

    for name in ("a", "b"):
        (tmp_path / name).write_text("same")
        assert faked(only, {"path": str(tmp_path / name)}).output.path == str(tmp_path / name)
    assert faked.ran == []


@pytest.mark.parametrize("damage", ["changed", "gone"])
def test_a_task_with_a_damaged_artifact_is_rerun(run: Runs, capsys: pytest.CaptureFixture[str], damage: str) -> None:
    path = Path(run(write, {"text": "content"}).output.path)
    origin = f"{run.last}/write"
    path.write_text("CONTENT") if damage == "changed" else path.unlink()
    assert Path(run(write, {"text": "content"}).output.path).read_text() == "content"
    assert run.ran == ["write"]
    told = capsys.readouterr().err
    assert told.count("\n") == 1
    assert f"the artifact 'out' of {origin} at {path}" in told
    run(write, {"text": "content"})
    assert run.ran == []
    assert capsys.readouterr().err == ""


@dsl.component
def link(target: str, data: dsl.Input[dsl.Dataset], out: dsl.Output[dsl.Dataset]):  # type: ignore[no-untyped-def]
    import os

    os.makedirs(out.path)
    os.symlink(target or data.path, f"{out.path}/link")


@dsl.component
def read_link(data: dsl.Input[dsl.Dataset]) -> str:
    with open(f"{data.path}/link") as file:
        return file.read()


@dsl.pipeline
def linking(target: str = "") -> str:
    written = write(text="content").outputs["out"]
    return read_link(data=link(target=target, data=written).outputs["out"]).output


def test_a_link_to_another_artifact_of_the_run_counts_by_its_content(run: Runs) -> None:
    for ran in (["write", "link", "read-link"], []):
        assert run(linking).output == "content"
        assert run.ran == ran
    (path,) = run.root.glob("linking-*/write/out")
    path.write_text("CONTENT")
    assert run(linking).output == "content"
    assert run.ran == ["write", "link"], "what they have written is the same again"


def test_a_link_that_leads_out_of_the_pipeline_root_is_a_cache_miss(run: Runs, tmp_path: Path) -> None:
    target = tmp_path / "outside"
    for number in range(3):
        times = (1, 1)
        target.write_text(f"content {number}")
        os.utime(target, times)  # sizes and times are always the same
        assert run(linking, {"target": str(target)}).output == f"content {number}"
        assert run.ran == ["write", "link", "read-link"][bool(number) :]


def test_a_link_out_of_an_imported_folder_is_a_cache_miss(run: Runs, tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "link").symlink_to("../outside")
    (tmp_path / "data" / "own").write_text("own")
    for content in ("one", "two", "two"):
        (tmp_path / "outside").write_text(content)
        assert run(read_link, {"data": dsl.Dataset(uri=str(tmp_path / "data"))}).output == content
        assert run.ran == ["read-link"]
    (tmp_path / "data" / "link").unlink()
    (tmp_path / "data" / "link").symlink_to("own")
    for ran in (["read-link"], []):
        assert run(read_link, {"data": dsl.Dataset(uri=str(tmp_path / "data"))}).output == "own"
        assert run.ran == ran


def test_a_failed_task_is_not_cached(faked: Runs) -> None:
    results: list[Any] = [Outcome(exit_code=1), {"Output": 2}]
    faked = Runs(faked.root, FakeRunner(double=lambda x: results.pop(0)))
    with pytest.raises(TaskFailed):
        faked(double, {"x": 1})
    faked(double, {"x": 1})
    assert faked.ran == ["double"]
    faked(double, {"x": 1})
    assert faked.ran == [], "the result of the second run is"


def test_a_fake_runner_does_not_reuse_the_results_of_another_one(faked: Runs) -> None:
    assert faked(double, {"x": 1}).output == 2
    assert faked(double, {"x": 1}, runner=FakeRunner(double=lambda x: 3 * x)).output == 3
    assert faked(double, {"x": 1}).output == 2
    assert faked.ran == []


def test_a_cache_root_is_shared_by_pipeline_roots(faked: Runs, tmp_path: Path) -> None:
    other = Runs(tmp_path / "other", faked.runner)
    faked(double, {"x": 1}, cache_root=tmp_path / "cache")
    other(double, {"x": 1}, cache_root=tmp_path / "cache")
    assert other.cached == [f"{faked.last}/double"]
    assert list(tmp_path.glob("*/cache.sqlite")) == [tmp_path / "cache" / "cache.sqlite"]


def test_an_unusable_cache_fails_before_the_run_starts(faked: Runs, tmp_path: Path) -> None:
    (tmp_path / "cache.sqlite").write_bytes(b"garbage" * 1000)
    with pytest.raises(StorageError, match="Delete the file"):
        faked(double, {"x": 1}, cache_root=tmp_path)
    assert not faked.root.exists()


def test_progress_shows_cached_tasks(faked: Runs, capsys: pytest.CaptureFixture[str]) -> None:
    faked(double, {"x": 1})
    origin = faked.last
    faked(double, {"x": 1}, quiet=False)
    assert f"\ndouble: cached (from {origin}/double)\n" in capsys.readouterr().out


def test_a_large_file_is_hashed_once_for_all_tasks(
    faked: Runs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    big = tmp_path / "big"
    with big.open("wb") as file:
        file.truncate(5_000_000)
    digests: list[str] = []

    def counted(path: str, algorithm: str, cancel: Cancellation) -> str:
        digests.append(path)
        return compute_digest(path, algorithm, cancel)

    @dsl.pipeline
    def reading(path: str) -> None:
        data = dsl.importer(artifact_uri=path, artifact_class=dsl.Dataset)
        with dsl.ParallelFor([1, 2, 3]) as number:
            read(data=data.output)
            double(x=number)

    monkeypatch.setattr(checksums, "compute_digest", counted)
    for _ in range(2):
        faked(reading, {"path": str(big)})
    faked(read, {"data": dsl.Dataset(uri=str(big))})
    assert digests == [str(big)]


@dsl.pipeline
def many(n: int = 0) -> None:
    with dsl.ParallelFor([0, 1, 2, 3, 4]) as number:
        double(x=number)


class DoublingTaskRunner(FakeTaskRunner):
    def fingerprint(self, request: TaskRequest) -> str:
        return "doubling, in each process"


class Doubling(FakeRunner):
    def open(self) -> Runner:
        return DoublingTaskRunner(self.functions)


def run_often(root: str, times: str) -> None:
    """Run the same pipeline several times; the processes of `share` call this."""
    runner = Doubling(double=lambda x: {"Output": 2 * x})
    print(flush=True)
    input()
    for _ in range(int(times)):
        local.run(many, {}, runner=runner, pipeline_root=root, enable_caching=True, quiet=True)


def share(root: Path, processes: int, times: int) -> None:
    """Run pipelines in one root in several processes at the same time, and check that each entry is stored once."""
    program = f"import sys; from {__name__} import run_often; run_often(*sys.argv[1:])"
    assert run_together(program, [[str(root), str(times)]] * processes) == [""] * processes
    with closing(sqlite3.connect(root / "cache.sqlite")) as db:
        kept = db.execute("SELECT outputs FROM entries").fetchall()
        assert db.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    assert sorted(json.loads(outputs)["Output"] for (outputs,) in kept) == [0, 2, 4, 6, 8]
    with closing(sqlite3.connect(root / "runs.sqlite")) as db:
        ended = db.execute("SELECT body FROM facts WHERE kind = 'RunEnded'").fetchall()
    assert [json.loads(body)["state"] for (body,) in ended] == ["SUCCEEDED"] * processes * times


def test_processes_share_one_cache(tmp_path: Path) -> None:
    share(tmp_path, processes=3, times=5)


def test_cache_hits_are_fast(faked: Runs) -> None:
    @dsl.pipeline
    def wide() -> None:
        with dsl.ParallelFor(list(range(300))) as number:
            double(x=number)

    faked(wide)
    began = time.perf_counter()
    faked(wide)
    assert faked.ran == []
    assert time.perf_counter() - began < 3, "0.1 s on an idle machine"


def test_from_task_and_rerun_task_ignore_the_cache(tmp_path: Path) -> None:
    ran: list[int] = []

    def counted(x: int) -> dict[str, int]:
        ran.append(x)
        return {"Output": 2 * x}

    @dsl.pipeline
    def doubling() -> int:
        with dsl.ParallelFor([1, 2]) as item:
            double(x=item)
        return double(x=4).output

    local.init(FakeRunner(double=counted, double_2=counted), tmp_path, enable_caching=True, quiet=True)
    doubling()
    doubling()
    assert sorted(ran) == [1, 2, 4]
    local.resume("latest", from_task="double-2")
    assert ran[3:] == [4]
    local.resume("latest", from_task="for-loop-2/1")
    assert ran[4:] == [2]
    local.rerun_task("latest", "double-2")
    assert ran[5:] == [4]
