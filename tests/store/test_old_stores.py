"""A store that an older Standpipe wrote is listed, shown, resumed, and one of its tasks rerun. See `data/*/make.py`."""

from __future__ import annotations

import json
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from standpipe import local
from standpipe.history import Artifact, Run
from standpipe.model.values import ArtifactValue
from standpipe.runs.deletion import RunIsUsed, delete_runs
from standpipe.store.cache import CacheIndex
from standpipe.store.runs import SCHEMA
from tests.store.data.schema_2 import pipelines

SAMPLE = Path(pipelines.__file__).parent / "root"
MADE_IN = "/tmp/standpipe-sample"

#: The runs of the sample, newest first: pipeline, status, number of resumes.
RUNS = [
    ("sample-waiting", "INTERRUPTED", 0),
    ("sample-waiting", "CANCELLED", 0),
    ("sample-secret", "SUCCEEDED", 0),
    ("sample-failing", "SUCCEEDED", 1),
    ("sample-failing", "FAILED", 0),
    ("train", "SUCCEEDED", 0),
    ("sample-everything", "SUCCEEDED", 0),
    ("sample-everything", "SUCCEEDED", 0),
]
INTERRUPTED, CANCELLED, SECRET, RESUMED, FAILED, RERUN, CACHED, FIRST = range(len(RUNS))

#: The SHA-256 of "row\n" three times.
DATA = "sha256:03321c600cd76f6f0556aae7ea446dc79530e1f8eed14bae1f47d6ee831871f9"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Return a copy of the sample with the paths of the copy."""
    root = tmp_path / "root"
    shutil.copytree(SAMPLE, root)
    paths = {"old": MADE_IN, "new": json.dumps(str(root))[1:-1]}
    with closing(sqlite3.connect(root / "runs.sqlite")) as db, db:
        db.execute("UPDATE facts SET body = replace(body, :old, :new)", paths)
    with closing(sqlite3.connect(root / "cache.sqlite")) as db, db:
        db.execute("UPDATE entries SET outputs = replace(outputs, :old, :new)", paths)
        db.execute("UPDATE digests SET path = CAST(replace(CAST(path AS TEXT), :old, :new) AS BLOB)", paths)
    return root


@pytest.fixture
def processes(root: Path) -> Iterator[None]:
    """Configure runs in the copy with real processes."""
    runner = local.SubprocessRunner(use_venv=False)
    local.init(runner=runner, pipeline_root=root, quiet=True, enable_caching=True)
    yield
    runner.task_runner.close()


def nth(root: Path, number: int) -> Run:
    return local.runs(root)[number]


def version(file: Path) -> int:
    with closing(sqlite3.connect(file)) as db:
        return int(db.execute("PRAGMA user_version").fetchone()[0])


def everything_in(root: Path) -> list[str]:
    """Return everything that the run history shows of a store."""
    return [repr((run, run.inputs, run.outputs, run.artifacts, list(run.all_tasks()))) for run in local.runs(root)]


def test_runs_are_listed(root: Path) -> None:
    listed = local.runs(root)
    assert [(run.pipeline, run.status.name, run.resume_count) for run in listed] == RUNS
    assert [run.rerun_of for run in listed if run.rerun_of] == [
        f"{listed[FIRST].id}/sample-training/for-loop-1/1/train"
    ]


def test_a_run_is_shown_with_tasks_attempts_and_artifacts(root: Path) -> None:
    run = nth(root, FIRST)
    assert run.inputs == {"path": f"{root}/imported.csv", "rows": 3}
    assert run.outputs == {"Output": "model of size 2 for 3 rows"}
    assert {task.path: task.status.name for task in run.all_tasks() if task.status.name != "SUCCEEDED"} == {
        "condition-branches-2/condition-3": "SKIPPED"
    }
    assert len(list(run.all_tasks())) == 17
    assert str(run.task("condition-3").skip_reason).startswith("its condition is false: sample-training-Output ==")
    loop = run.task("for-loop-1")
    assert [child.item for child in loop.children] == [1, 2]
    assert loop.outputs["pipelinechannel--train-Output"] == [1 / 3, 2 / 3]
    models = loop.outputs["pipelinechannel--train-model"]
    assert isinstance(models, list)
    assert [model.metadata for model in models] == [{"size": 1}, {"size": 2}]
    data = run.task("generate").outputs["data"]
    assert isinstance(data, Artifact)
    assert (data.type, data.uri, data.digest, data.size, data.metadata) == (
        *("system.Dataset", f"{root}/{run.id}/generate/data", DATA, 12),
        {"rows": 3},
    )
    assert data.consumers == ("sample-training/for-loop-1/0/train", "sample-training/for-loop-1/1/train")
    (attempt,) = run.task("sample-training/for-loop-1/0/train").attempts
    assert (attempt.number, attempt.status.name, attempt.log_lines) == (1, "SUCCEEDED", 1)
    assert attempt.peak_memory is not None
    assert attempt.peak_memory > 1_000_000
    assert run.log("sample-training/for-loop-1/1/train") == "trained with size 2\n"


def test_cached_tasks_name_where_their_outputs_come_from(root: Path) -> None:
    first, cached = nth(root, FIRST), nth(root, CACHED)
    assert cached.task("generate").cached_from == f"{first.id}/generate"
    assert cached.task("for-loop-1").outputs == first.task("for-loop-1").outputs


def test_failures_are_shown_with_their_details(root: Path) -> None:
    run = nth(root, FAILED)
    require = run.task("require")
    assert run.failures == (f"Task 'require' failed in attempt 2 of 2: FileNotFoundError: {root}/gate",)
    assert [attempt.status.name for attempt in require.attempts] == ["FAILED", "FAILED"]
    assert require.failure is not None
    assert (require.failure.exit_code, require.failure.attempts) == (1, 2)
    assert require.failure.detail.startswith("Traceback")
    assert run.task("say").skip_reason == "its upstream task 'require' failed"
    assert [attempt.number for attempt in nth(root, RESUMED).task("require").attempts] == [1, 2, 3]


def test_reading_does_not_change_the_store(root: Path) -> None:
    before = (root / "runs.sqlite").read_bytes()
    everything_in(root)
    assert (root / "runs.sqlite").read_bytes() == before
    assert version(root / "runs.sqlite") == 2


@pytest.mark.usefixtures("processes")
def test_a_failed_run_is_resumed(root: Path) -> None:
    run = nth(root, FAILED)
    (root / "gate").touch()
    assert local.resume(run, pipeline=pipelines.failing).output == "open"
    resumed = local.get_run(run.id, root)
    assert (resumed.status.name, resumed.resume_count) == ("SUCCEEDED", 1)
    attempts = {task.path: len(task.attempts) for task in resumed.all_tasks() if task.path != "say"}
    assert attempts == {
        "for-loop-2": 0,
        "for-loop-2/0": 0,
        "for-loop-2/0/train": 1,
        "for-loop-2/1": 0,
        "for-loop-2/1/train": 1,
        "generate": 1,
        "require": 3,
    }
    assert version(root / "runs.sqlite") == len(SCHEMA.migrations)


@pytest.mark.usefixtures("processes")
@pytest.mark.parametrize("number", [CANCELLED, INTERRUPTED])
def test_a_run_that_was_cancelled_or_killed_is_resumed(root: Path, number: int) -> None:
    run = nth(root, number)
    (root / "gate").touch()
    assert local.resume(run, pipeline=pipelines.waiting).output == "row\n" * 2
    resumed = local.get_run(run.id, root)
    assert resumed.status.name == "SUCCEEDED"
    assert len(resumed.task("wait").attempts) == 2
    assert resumed.task("generate").cached_from == f"{nth(root, FAILED).id}/generate"


@pytest.mark.usefixtures("processes")
def test_a_run_with_secrets_is_resumed(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SAMPLE_TOKEN", "another-token")
    assert local.resume(nth(root, SECRET), pipeline=pipelines.secret).output == "another-token"
    assert len(nth(root, SECRET).task("reveal").attempts) == 2, "its output was not kept"


@pytest.mark.parametrize(
    ("number", "output"), [(FAILED, "open"), (CANCELLED, "row\nrow\n"), (FIRST, "model of size 2 for 3 rows")]
)
def test_a_run_is_resumed_from_its_stored_plan(root: Path, number: int, output: str) -> None:
    (root / "gate").touch()
    program = (
        "import sys; from standpipe import local; local.init(runner=local.SubprocessRunner(use_venv=False), quiet=True,"
        " pipeline_root=sys.argv[1]); print(repr(local.resume(sys.argv[2], **eval(sys.argv[3])).output))"
    )
    options = repr({"from_task": "say-3"} if number == FIRST else {})
    arguments = [str(root), nth(root, number).id, options]
    found = subprocess.run([sys.executable, "-c", program, *arguments], capture_output=True, text=True, timeout=60)
    assert found.stdout == f"{output!r}\n", found.stderr
    assert local.get_run(arguments[1], root).status.name == "SUCCEEDED"


@pytest.mark.usefixtures("processes")
def test_a_task_is_rerun(root: Path) -> None:
    run = nth(root, FIRST)
    assert local.rerun_task(run, "sample-training/for-loop-1/0/train").outputs["Output"] == 1 / 3
    newest = nth(root, 0)
    assert newest.rerun_of == f"{run.id}/sample-training/for-loop-1/0/train"
    select = local.rerun_task(run, "sample-training/select")
    assert select.output == "model of size 2 for 3 rows"


@pytest.mark.usefixtures("processes")
def test_runs_are_the_same_after_the_migration(root: Path) -> None:
    before = everything_in(root)
    local.rerun_task(nth(root, FIRST), "generate")
    assert version(root / "runs.sqlite") == len(SCHEMA.migrations)
    assert everything_in(root)[1:] == before


def test_the_cache_finds_its_entries(root: Path) -> None:
    with closing(sqlite3.connect(root / "cache.sqlite")) as db:
        keys = dict(db.execute("SELECT origin, key FROM entries").fetchall())
        noted: list[Any] = db.execute("SELECT path, digest, size, signature FROM digests").fetchall()
    first = nth(root, FIRST).id
    with closing(CacheIndex(root)) as cache:
        generated = cache.find(keys[f"{first}/generate"])
        assert generated is not None
        assert generated.outputs["Output"] == [1, 2]
        data = generated.outputs["data"]
        assert isinstance(data, ArtifactValue)
        assert (str(data.type), data.uri, data.metadata) == (
            *("system.Dataset@0.0.1", f"{root}/{first}/generate/data"),
            {"rows": 3},
        )
        assert data.checksum is not None
        assert (data.checksum.digest, data.checksum.size) == (DATA, 12)
        assert {entry and entry.origin for entry in map(cache.find, keys.values())} == set(keys)
        assert noted
        for path, digest, size, signature in noted:
            seal = cache.checksum(path.decode(), signature)
            assert seal is not None
            assert (seal.digest, seal.size, seal.signature) == (digest, size, signature)


def test_its_runs_are_deleted(root: Path) -> None:
    ids = [run.id for run in local.runs(root)]
    with pytest.raises(RunIsUsed, match=ids[CACHED]):
        delete_runs(root, [ids[FIRST]])
    unused = [ids[SECRET], ids[RERUN]]
    assert [deleted.id for deleted in delete_runs(root, unused)] == unused
    assert [run.id for run in local.runs(root)] == [run for run in ids if run not in unused]
    list(delete_runs(root, [run.id for run in local.runs(root)]))
    with closing(sqlite3.connect(root / "runs.sqlite")) as db:
        tables = ("runs", "facts", "plans", "texts", "roots", "summaries", "outlines")
        assert [db.execute(f"SELECT count(*) FROM {table}").fetchone()[0] for table in tables] == [0] * len(tables)
