"""Checksums that an older Standpipe made, which had SHA-256 only, stay valid: nothing runs again after an upgrade."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from standpipe import dsl, local
from standpipe.local import FakeRunner
from standpipe.support import checksums
from standpipe.support.file_digests import SHA256, choose_algorithm

SIZE = 16 * 1024 * 1024


@dsl.component
def make(data: dsl.Output[dsl.Dataset], fill: str) -> None: ...


@dsl.component
def use(data: dsl.Input[dsl.Dataset], more: dsl.Input[dsl.Dataset]) -> int: ...


@dsl.pipeline
def flow(path: str, fill: str) -> int:
    given = dsl.importer(artifact_uri=path, artifact_class=dsl.Dataset)
    made = make(fill=fill)
    made.set_caching_options(True)
    return use(data=made.outputs["data"], more=given.output).output


@dsl.pipeline
def flow_without_cache(path: str, fill: str) -> int:
    given = dsl.importer(artifact_uri=path, artifact_class=dsl.Dataset)
    made = make(fill=fill)
    made.set_caching_options(False)
    return use(data=made.outputs["data"], more=given.output).output


class Machine:
    """Runs pipelines whose artifacts are large, with the present Standpipe or an older one."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.root = folder / "root"
        self.input = folder / "input"
        self.input.write_bytes(b"i" * SIZE)
        self.executed: list[str] = []
        self._patch = monkeypatch
        self.runner = FakeRunner(make=self._make, use=self._use)

    def is_old(self, is_old: bool) -> None:
        self._patch.setattr(checksums, "choose_algorithm", (lambda _: SHA256) if is_old else choose_algorithm)

    def run(
        self, pipeline: Callable[..., object] = flow_without_cache, fill: str = "x", **arguments: object
    ) -> list[str]:
        """Return the tasks that were executed."""
        self.executed.clear()
        local.init(self.runner, self.root, quiet=True, enable_caching=True)
        pipeline(path=str(self.input), fill=fill)
        return sorted(self.executed)

    def resume(self) -> list[str]:
        self.executed.clear()
        local.resume("latest", runner=self.runner, pipeline_root=self.root, quiet=True, enable_caching=False)
        return sorted(self.executed)

    def digests(self) -> set[str]:
        return {artifact.digest.partition(":")[0] for artifact in local.get_run("latest", self.root).artifacts}

    def made(self) -> Path:
        run = local.get_run("latest", self.root)
        return next(Path(artifact.uri) for artifact in run.artifacts if artifact.producer == "make")

    def upgrade(self) -> None:
        """Mark the entries of the cache as those of the older Standpipe."""
        self.is_old(False)
        with closing(sqlite3.connect(self.root / "cache.sqlite")) as db, db:
            db.execute("UPDATE entries SET version = 2")

    def _make(self, data: dsl.Dataset, fill: str) -> None:
        self.executed.append("make")
        Path(data.path).write_bytes(fill.encode() * SIZE)

    def _use(self, data: dsl.Dataset, more: dsl.Dataset) -> int:
        self.executed.append("use")
        return os.path.getsize(data.path)


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Machine:
    return Machine(tmp_path, monkeypatch)


def touch(path: Path) -> None:
    os.utime(path, (1.0, 1.0))


def test_large_artifacts_have_the_new_algorithm(machine: Machine) -> None:
    assert machine.run(flow_without_cache) == ["make", "use"]
    assert machine.digests() == {"blake3-4m"}
    assert machine.run(flow_without_cache) == ["make"]
    touch(machine.input)
    assert machine.run(flow_without_cache) == ["make"]


def test_after_an_upgrade_everything_is_cached(machine: Machine) -> None:
    machine.is_old(True)
    assert machine.run(flow) == ["make", "use"]
    assert machine.digests() == {"sha256"}
    machine.upgrade()
    assert machine.run(flow) == []
    touch(machine.made())
    touch(machine.input)
    assert machine.run(flow) == []
    assert machine.run(flow, fill="y") == ["make", "use"]


def test_after_an_upgrade_new_payloads_with_the_content_of_old_ones_are_known(machine: Machine) -> None:
    machine.is_old(True)
    assert machine.run(flow_without_cache) == ["make", "use"]
    machine.upgrade()
    touch(machine.input)
    assert machine.run(flow_without_cache) == ["make"]
    assert machine.digests() == {"blake3-4m"}
    with closing(sqlite3.connect(machine.root / "cache.sqlite")) as db, db:
        db.execute("UPDATE entries SET version = 3")  # so that only the present key can be found
    assert machine.run(flow_without_cache) == ["make"]


def test_a_resumed_run_compares_by_the_algorithm_of_its_checksums(machine: Machine) -> None:
    machine.is_old(True)
    machine.run(flow_without_cache)
    machine.is_old(False)
    touch(machine.made())
    assert machine.resume() == []
    machine.made().write_bytes(b"z" * SIZE)
    assert machine.resume() == ["make", "use"]
    assert "blake3-4m" in machine.digests()
    touch(machine.made())
    assert machine.resume() == []
