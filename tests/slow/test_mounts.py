"""Roots on real mounts that are too small or become read-only."""

from __future__ import annotations

import sqlite3
import subprocess
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from standpipe import dsl, local
from standpipe.errors import StorageError, TaskFailed
from standpipe.local import FakeRunner
from standpipe.model.layout import RUN_STORE_FILE
from standpipe.runners.api import LocalRunner

from .disks import mount_small_disk

pytestmark = pytest.mark.slow


@dsl.component
def say(text: str) -> str:
    return text


@dsl.component
def fill(data: dsl.Output[dsl.Dataset]) -> None:
    """Fill a disk, and free enough space for a few facts."""
    import os

    with open(data.path, "wb", buffering=0) as file:
        try:
            while True:
                file.write(b"x" * 65536)
        except OSError:
            os.truncate(data.path, os.path.getsize(data.path) - 1_000_000)
            raise


@pytest.fixture
def root(tmp_path: Path) -> Iterator[Path]:
    with mount_small_disk(tmp_path / "root", megabytes=8) as folder:
        yield folder


def remount(place: Path, how: str) -> None:
    subprocess.run(["mount", "-o", f"remount,{how}", str(place)], check=True)


def kinds_of_facts(root: Path) -> list[str]:
    with closing(sqlite3.connect(root / RUN_STORE_FILE)) as db:
        return [kind for (kind,) in db.execute("SELECT kind FROM facts ORDER BY seq")]


def run(root: Path, target: Any, runner: LocalRunner, **options: Any) -> Any:
    arguments = {"text": "x"} if target is say else {}
    return local.run(target, arguments, runner=runner, pipeline_root=root, quiet=True, **options)


def test_a_root_that_becomes_read_only_is_an_error_and_keeps_its_files(root: Path) -> None:
    runner = FakeRunner(say=lambda text: {"Output": text})
    run(root, say, runner)
    remount(root, "ro")
    with pytest.raises(StorageError, match=r"Cannot write to the pipeline root .*: Read-only file system"):
        run(root, say, runner)
    remount(root, "rw")
    run(root, say, runner)
    assert kinds_of_facts(root).count("RunEnded") == 2


def test_only_the_task_fails_if_the_disk_it_filled_has_space_afterwards(root: Path) -> None:
    @dsl.pipeline
    def beside() -> None:
        fill()
        say(text="x")

    with pytest.raises(TaskFailed, match=r"Task 'fill' failed: OSError: \[Errno 28\] No space left on device"):
        run(root, beside, local.SubprocessRunner(use_venv=False), max_parallel=1)  # one after the other
    kinds = kinds_of_facts(root)
    assert kinds[-1] == "RunEnded"
    assert "TaskSucceeded" in kinds
