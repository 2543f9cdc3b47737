"""Pipeline roots that were moved or copied: each is used with its own payloads."""

from __future__ import annotations

import logging
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from standpipe import dsl, local
from standpipe.dsl import Dataset, Input, Output
from standpipe.errors import TaskFailed


@dsl.component
def write(data: Output[Dataset]):  # type: ignore[no-untyped-def]
    with open(data.path, "w") as file:
        file.write("content")


@dsl.component
def name_path(data: Input[Dataset]) -> str:
    return data.path


@dsl.component
def read(data: Input[Dataset], path: str, stop: str) -> str:
    import os

    if os.path.exists(stop):
        raise ValueError("boom")
    with open(data.path) as file, open(path) as same:
        return f"{file.read()} {same.read()} {data.path}"


@dsl.pipeline
def copied_chain(stop: str) -> str:
    data = write().outputs["data"]
    return read(data=data, path=name_path(data=data).output, stop=stop).output


@dsl.pipeline
def cached() -> Dataset:
    return write().outputs["data"]


@dsl.component
def name_folder(data: Input[Dataset]) -> str:
    import os

    return os.path.dirname(os.path.dirname(os.path.dirname(data.path)))  # the pipeline root itself


@dsl.component
def fail(root: str) -> None:
    raise ValueError("boom")


@dsl.component
def raise_path(path: str) -> None:
    raise ValueError(f"at {path}.")


@dsl.pipeline(pipeline_config=dsl.PipelineConfig(workspace=dsl.WorkspaceConfig(size="1Gi")))
def names_workspace() -> None:
    raise_path(path=dsl.WORKSPACE_PATH_PLACEHOLDER)


@dsl.pipeline
def names_root() -> None:
    fail(root=name_folder(data=write().outputs["data"]).output)


@pytest.fixture(scope="module")
def runner() -> Iterator[local.SubprocessRunner]:
    runner = local.SubprocessRunner()
    yield runner
    runner.task_runner.close()


@pytest.fixture
def options(runner: local.SubprocessRunner, caplog: pytest.LogCaptureFixture) -> dict[str, Any]:
    caplog.set_level(logging.INFO)
    return {"runner": runner, "quiet": True}


def copied(root: Path, name: str) -> Path:
    """Return a copy of a pipeline root, with the times of its files, as `cp -a` makes it."""
    return Path(shutil.copytree(root, root.with_name(name), symlinks=True))


def start(root: Path, stop: Path, options: dict[str, Any]) -> None:
    stop.touch()
    with pytest.raises(TaskFailed):
        local.run(copied_chain, {"stop": str(stop)}, pipeline_root=root, **options)
    stop.unlink()


def payload(root: Path) -> Path:
    (path,) = root.glob("*/write/data")
    return path


@pytest.mark.parametrize("original", ["unchanged", "changed", "removed", "moved"])
def test_a_copied_root_resumes_with_its_own_artifacts(
    tmp_path: Path, options: dict[str, Any], original: str, caplog: pytest.LogCaptureFixture
) -> None:
    root = tmp_path / "root"
    start(root, tmp_path / "stop", options)
    copy = root.rename(tmp_path / "copy") if original == "moved" else copied(root, "copy")
    if original == "changed":
        payload(root).write_text("other")
    elif original == "removed":
        shutil.rmtree(root)
    (artifact,) = local.get_run("latest", copy).task("write").artifacts
    assert (artifact.path, artifact.exists) == (payload(copy), True)
    assert local.resume("latest", pipeline_root=copy, **options).output == f"content content {payload(copy)}"
    assert "name-path: its outputs name paths in" in caplog.text
    assert "write:" not in caplog.text, "its output is known to be unchanged"


def test_a_copy_whose_own_artifact_was_changed_makes_it_again(
    tmp_path: Path, options: dict[str, Any], caplog: pytest.LogCaptureFixture
) -> None:
    root = tmp_path / "root"
    start(root, tmp_path / "stop", options)
    copy = copied(root, "copy")
    damaged = payload(copy)
    damaged.write_text("changed")
    assert local.resume("latest", pipeline_root=copy, **options).output.startswith("content content ")
    assert f"write: its output {damaged} has changed" in caplog.text
    assert payload(root).read_text() == "content"
    assert local.resume("latest", pipeline_root=root, **options).output == f"content content {payload(root)}"


def test_a_copy_of_a_resumed_copy_has_its_own_artifacts(tmp_path: Path, options: dict[str, Any]) -> None:
    """The facts of the run were written in two pipeline roots before."""
    stop = tmp_path / "stop"
    start(tmp_path / "root", stop, options)
    copy = copied(tmp_path / "root", "copy")
    stop.touch()
    with pytest.raises(TaskFailed):
        local.resume("latest", pipeline_root=copy, **options)
    stop.unlink()
    last = copied(copy, "last")
    shutil.rmtree(copy)
    shutil.rmtree(tmp_path / "root")
    run = local.get_run("latest", last)
    assert {artifact.path for artifact in run.artifacts} == {payload(last)}
    assert local.resume("latest", pipeline_root=last, **options).output == f"content content {payload(last)}"


def test_a_copied_cache_has_the_artifacts_of_the_copy(
    tmp_path: Path, options: dict[str, Any], caplog: pytest.LogCaptureFixture
) -> None:
    root = tmp_path / "root"
    options["enable_caching"] = True
    local.run(cached, pipeline_root=root, **options)
    copy = copied(root, "copy")
    payload(root).write_text("changed")
    assert Path(local.run(cached, pipeline_root=copy, **options).output.path) == payload(copy)
    assert local.get_run("latest", copy).task("write").cached_from
    payload(copy).unlink()
    caplog.clear()
    local.run(cached, pipeline_root=copy, **options)
    assert f"at {copy}" in caplog.text
    assert "is missing" in caplog.text


def test_a_cache_root_is_not_part_of_a_copy(tmp_path: Path, options: dict[str, Any]) -> None:
    root = tmp_path / "root"
    options.update(enable_caching=True, cache_root=tmp_path / "cache")
    local.run(cached, pipeline_root=root, **options)
    copy = copied(root, "copy")
    assert Path(local.run(cached, pipeline_root=copy, **options).output.path) == payload(root)


def test_what_an_older_store_has_is_found_in_a_copy(tmp_path: Path, options: dict[str, Any]) -> None:
    root = tmp_path / "root"
    options["enable_caching"] = True
    local.run(cached, pipeline_root=root, **options)
    with closing(sqlite3.connect(root / "runs.sqlite")) as db, db:
        db.executescript(
            "DROP TABLE roots; DROP TABLE texts; DROP TABLE summaries; DROP TABLE outlines; DROP TRIGGER facts_deleted;"
            "DROP TABLE artifact_roots"
        )
        db.execute("PRAGMA user_version = 4")
    with closing(sqlite3.connect(root / "cache.sqlite")) as db, db:
        db.execute("ALTER TABLE entries DROP COLUMN folder")
        db.execute("PRAGMA user_version = 2")
    copy = copied(root, "copy")
    shutil.rmtree(root)
    (artifact,) = local.get_run("latest", copy).artifacts
    assert artifact.path == payload(copy)
    assert Path(local.run(cached, pipeline_root=copy, **options).output.path) == payload(copy)


def test_a_workspace_that_was_not_copied_is_named(
    tmp_path: Path, options: dict[str, Any], caplog: pytest.LogCaptureFixture
) -> None:
    for inside in (True, False):
        root = tmp_path / f"root-{inside}"
        options["workspace_root"] = (root if inside else tmp_path) / "workspace"
        start(root, tmp_path / "stop", options)
        copy = copied(root, f"copy-{inside}")
        caplog.clear()
        options.pop("workspace_root")
        local.resume("latest", pipeline_root=copy, **options)
        assert ("all copies of the run share" in caplog.text) is not inside


def test_a_copy_has_its_own_workspace_each_time_it_is_resumed(tmp_path: Path, options: dict[str, Any]) -> None:
    root = tmp_path / "root"
    with pytest.raises(TaskFailed, match=f"at {root}/ws"):
        local.run(names_workspace, pipeline_root=root, workspace_root=root / "ws", **options)
    for name in ("copy", "copy", "copy-of-copy"):
        root = root if root.name == name else copied(root, name)
        with pytest.raises(TaskFailed, match=f"at {root}/ws"):
            local.resume("latest", pipeline_root=root, **options)


def test_a_root_under_another_path_is_no_copy(
    tmp_path: Path, options: dict[str, Any], caplog: pytest.LogCaptureFixture
) -> None:
    def resumes_with_a_new_path(root: Path) -> bool:
        caplog.clear()
        with pytest.raises(TaskFailed):
            local.resume("latest", pipeline_root=root, **options)
        return "name-folder: its outputs name paths in" in caplog.text

    with pytest.raises(TaskFailed):
        local.run(names_root, pipeline_root=tmp_path / "root", **options)
    (tmp_path / "link").symlink_to("root")
    assert not resumes_with_a_new_path(tmp_path / "link")
    assert not resumes_with_a_new_path(tmp_path / "root")
    copy = copied(tmp_path / "root", "root-2")
    assert resumes_with_a_new_path(copy)
    assert not resumes_with_a_new_path(copy), "the former root's path is the beginning of this one"
