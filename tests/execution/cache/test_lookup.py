"""Which results are cached, and when a cached one is used."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest

from standpipe.artifact_stores.local import LocalArtifactStore
from standpipe.errors import StorageError
from standpipe.execution.cache.keys import KeyInputs
from standpipe.execution.cache.lookup import ResultCache
from standpipe.model.cancellation import Cancellation
from standpipe.model.events import AttemptEnded, Failure, StartAttempt
from standpipe.model.refs import TaskRef
from standpipe.model.types import ArtifactType
from standpipe.model.values import ArtifactValue, Checksum, Value
from standpipe.store.cache import CacheIndex
from standpipe.support.checksums import compute_checksum

TASK = TaskRef((("task", None),))
COMMAND = StartAttempt(TASK, "leaf", {})
INPUTS = KeyInputs("text")


class CountingStore(LocalArtifactStore):
    """A store that records what it reads."""

    def __init__(self, read: list[str]) -> None:
        super().__init__([])
        self._read = read

    def checksum(self, location: str, cancel: Cancellation, algorithm: str = "") -> Checksum | None:
        self._read.append(location)
        return super().checksum(location, cancel, algorithm)


class Bench:
    """Runs of one task with one cache; the output of each run is its number."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.cache = CacheIndex(folder)
        self.notices: list[str] = []
        self.read: list[str] = []
        self.runs = 0

    def results(self) -> ResultCache:
        self.runs += 1
        return ResultCache(self.cache, f"run-{self.runs}", CountingStore(self.read), self.notices.append)

    def run(
        self,
        inputs: KeyInputs = INPUTS,
        command: StartAttempt = COMMAND,
        failure: Failure | None = None,
        cancel: Cancellation | None = None,
        **outputs: Value,
    ) -> tuple[str, object]:
        """Return the origin of the outputs and the number of the run that made them."""
        results = self.results()
        given = {"y": self.runs, **outputs}
        cancel = cancel or Cancellation()
        ended = results.reuse_or_run(inputs, command, cancel, lambda: AttemptEnded(TASK, given, failure))
        return ended.cached_from, ended.outputs["y"]

    def artifact(self, content: str = "content", name: str = "a") -> ArtifactValue:
        path = self.folder / name
        path.write_text(content)
        time.sleep(0.02)
        checksum = compute_checksum(str(path), Cancellation())
        assert checksum is not None
        assert checksum.signature
        return ArtifactValue(name, ArtifactType("system.Dataset"), str(path), checksum=checksum)


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    bench = Bench(tmp_path)
    yield bench
    bench.cache.close()


def test_attempts_with_the_same_key_run_once(bench: Bench) -> None:
    assert [bench.run() for _ in range(3)] == [("", 1), ("run-1/task", 1), ("run-1/task", 1)]
    assert bench.run(KeyInputs("others")) == ("", 4)


def test_a_failure_is_not_cached(bench: Bench) -> None:
    bench.run(failure=Failure("boom"))
    assert bench.run() == ("", 2)


def test_a_retry_runs_and_is_cached(bench: Bench) -> None:
    again = replace(COMMAND, attempt=1, retry_index=1)
    bench.run(command=again)
    assert bench.run() == ("run-1/task", 1)
    assert bench.run(command=again) == ("", 3)
    assert bench.run() == ("run-1/task", 1), "what holds is not replaced"


def test_a_result_without_a_fingerprint_is_not_cached(bench: Bench) -> None:
    assert [bench.run(KeyInputs("text", lambda: "")) for _ in range(2)] == [("", 1), ("", 2)]


def test_a_fingerprint_may_be_known_only_after_the_attempt(bench: Bench) -> None:
    parts = iter(["", "image"])
    assert bench.run(KeyInputs("text", lambda: next(parts))) == ("", 1)
    assert bench.run(KeyInputs("text", lambda: "image")) == ("run-1/task", 1)


def test_a_result_whose_image_changes_meanwhile_is_not_cached(bench: Bench) -> None:
    parts = iter(["old", "new"])
    bench.run(KeyInputs("text", lambda: next(parts)))
    assert bench.run(KeyInputs("text", lambda: "old")) == ("", 2)
    assert bench.run(KeyInputs("text", lambda: "new")) == ("", 3)


def test_an_artifact_that_did_not_change_is_not_read(bench: Bench) -> None:
    bench.run(a=bench.artifact())
    assert bench.run() == ("run-1/task", 1)
    assert (bench.read, bench.notices) == ([], [])


@pytest.mark.parametrize(("content", "how"), [("CONTENT", "has changed"), (None, "is missing")])
def test_a_changed_artifact_gives_a_notice_and_a_new_attempt(bench: Bench, content: str | None, how: str) -> None:
    artifact = bench.artifact()
    bench.run(a=artifact)
    path = Path(artifact.uri)
    path.write_text(content) if content else path.unlink()
    assert bench.run(a=bench.artifact(name="new")) == ("", 2)
    assert bench.notices == [f"cache: the artifact 'a' of run-1/task at {path} {how}; task 'task' runs again."]
    assert bench.run() == ("run-2/task", 2)


def test_a_damaged_artifact_is_replaced_by_the_new_attempt(bench: Bench) -> None:
    artifact = bench.artifact()
    bench.run(a=artifact)
    Path(artifact.uri).unlink()
    bench.run(command=replace(COMMAND, retry_index=1))
    assert bench.run() == ("run-2/task", 2)


def test_an_artifact_that_was_only_touched_is_read_once(bench: Bench) -> None:
    artifact = bench.artifact()
    bench.run(a=artifact)
    Path(artifact.uri).touch()
    time.sleep(0.02)
    assert [bench.run() for _ in range(3)] == [("run-1/task", 1)] * 3
    assert bench.read == [artifact.uri]


def test_an_artifact_without_payload_is_its_metadata(bench: Bench) -> None:
    metrics = ArtifactValue("m", ArtifactType("system.Metrics"), str(bench.folder / "none"), {"accuracy": 0.9})
    bench.run(m=metrics)
    ended = bench.results().reuse_or_run(INPUTS, COMMAND, Cancellation(), lambda: AttemptEnded(TASK))
    assert ended.outputs == {"y": 1, "m": metrics}


def test_a_payload_without_a_checksum_is_not_cached(bench: Bench) -> None:
    bench.run(a=ArtifactValue("a", ArtifactType("system.Dataset"), "/dev/null"))
    assert bench.run() == ("", 2)


def test_a_cancelled_lookup_reports_no_damage(bench: Bench) -> None:
    artifact = bench.artifact()
    bench.run(a=artifact)
    Path(artifact.uri).touch()
    stopped = Cancellation()
    stopped.set()
    assert bench.run(cancel=stopped) == ("", 2)
    assert bench.notices == []
    assert bench.run() == ("run-1/task", 1)


def test_an_unchanged_payload_is_read_once(bench: Bench) -> None:
    path = Path(bench.artifact("x" * 100).uri)
    results = bench.results()
    checksums = [results.checksum(str(path), Cancellation()) for _ in range(3)] + [
        bench.results().checksum(str(path), Cancellation())
    ]
    assert bench.read == [str(path)]
    assert len({each.digest for each in checksums if each}) == 1
    path.write_text("y" * 100)
    changed = results.checksum(str(path), Cancellation())
    assert changed is not None
    assert changed.digest != checksums[0].digest  # type: ignore[union-attr]


def test_a_payload_that_many_tasks_check_at_once_is_read_once(bench: Bench) -> None:
    path = bench.artifact("x" * 5_000_000).uri
    results, ready = bench.results(), threading.Barrier(4)

    def checksum(_: int) -> Checksum | None:
        ready.wait()
        return results.checksum(path, Cancellation())

    with ThreadPoolExecutor(4) as pool:
        first, *others = pool.map(checksum, range(4))
    assert first is not None
    assert others == [first] * 3
    assert bench.read == [path]


def test_a_cache_that_fails_gives_one_notice_and_fails_no_task(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []

    def broken(key: str) -> None:
        asked.append(key)
        raise StorageError("The cache is broken. Delete it.")

    monkeypatch.setattr(bench.cache, "find", broken)
    results = bench.results()
    for _ in range(3):
        assert results.reuse_or_run(INPUTS, COMMAND, Cancellation(), lambda: AttemptEnded(TASK, {"y": 1})).outputs == {
            "y": 1
        }
    assert bench.notices == ["The cache is broken. Delete it. This run continues without the cache."]
    assert len(asked) == 1
