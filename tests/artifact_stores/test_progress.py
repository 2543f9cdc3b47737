"""Notices about transfers that take long."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from standpipe.artifact_stores import progress
from standpipe.artifact_stores.obstore_buckets import ObstoreBucket
from standpipe.artifact_stores.progress import Progress
from standpipe.artifact_stores.remote import RemoteArtifactStore
from standpipe.model.cancellation import Cancellation
from standpipe.support.notices import quiet_notices
from tests.artifact_stores.contract import put, write
from tests.artifact_stores.servers import Memory, memory

__all__ = ["memory"]

MIB = 1024 * 1024


@pytest.fixture
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the first notice come soon, and no other."""
    monkeypatch.setattr(progress, "_FIRST", 0.01)
    monkeypatch.setattr(progress, "_INTERVAL", 60.0)


def transfer(verb: str, uri: str, done: int, total: int) -> list[str]:
    """Return the notices of a transfer that takes until the first of them."""
    told, is_told = list[str](), threading.Event()

    def tell(text: str) -> None:
        told.append(text)
        is_told.set()

    moved = Progress(verb, uri, total, tell)
    moved.add(done)
    with moved:
        assert is_told.wait(30)
    return told


def test_a_long_transfer_tells_its_bytes_and_its_rate(soon: None) -> None:
    first, last = transfer("Upload", "s3://data/a", 10 * MIB, 80 * MIB)
    assert first.startswith("Uploading s3://data/a: 10 MiB of 80 MiB (12 %), ")
    assert last.startswith("Uploaded s3://data/a: 80 MiB in 0")
    assert first.endswith("iB/s.")
    assert last.endswith("iB/s.")


def test_a_query_is_not_shown(soon: None) -> None:
    first, _ = transfer("Download", "https://host/a?signature=s3cr3t", 0, 0)
    assert first == "Downloading https://host/a?***: 0 bytes of 0 bytes (0 %), 0 bytes/s."


def test_a_short_transfer_tells_nothing() -> None:
    told: list[str] = []
    with Progress("Download", "s3://data/a", 80 * MIB, told.append) as moved:
        moved.add(80 * MIB)
    assert told == []


def test_a_transfer_that_fails_does_not_tell_that_it_is_done(soon: None) -> None:
    told, is_told = list[str](), threading.Event()

    def tell(text: str) -> None:
        told.append(text)
        is_told.set()

    def fail() -> None:
        with Progress("Upload", "s3://data/a", 1, tell):
            assert is_told.wait(30)
            raise ValueError("failed")

    with pytest.raises(ValueError, match="failed"):
        fail()
    assert len(told) == 1


@pytest.mark.parametrize("is_quiet", [False, True])
def test_transfers_are_as_quiet_as_their_run(
    is_quiet: bool,
    soon: None,
    memory: Memory,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    capfd: pytest.CaptureFixture[str],
) -> None:
    caplog.set_level(logging.INFO, "standpipe")

    def delay(call: Callable[..., Any], text: str, *arguments: Any) -> Any:
        """Wait for a notice, and call a function."""
        deadline = time.monotonic() + 30
        while text not in caplog.text:
            assert time.monotonic() < deadline
            time.sleep(0.01)
        return call(*arguments)

    def read(call: Callable[..., Iterator[bytes]], *arguments: Any) -> Iterator[bytes]:
        return delay(call, "Downloading", *arguments)

    monkeypatch.setattr(ObstoreBucket, "write", lambda *each, call=ObstoreBucket.write: delay(call, "Uploading", *each))
    monkeypatch.setattr(ObstoreBucket, "read", lambda *each, call=ObstoreBucket.read: partial(read, call)(*each))
    store = RemoteArtifactStore(tmp_path / "root", "s3://data/runs", 10**9)
    location = store.locate(tmp_path / "root" / "run" / "task", "data")
    write(store, location, "content")
    with quiet_notices(is_quiet):
        put(store, location)
        store.fetch(location, tmp_path / "copy", tmp_path, Cancellation())
    lines = capfd.readouterr().err.splitlines()
    assert [line.split()[1] for line in lines] == (
        [] if is_quiet else ["Uploading", "Uploaded", "Downloading", "Downloaded"]
    )
    assert all(f" {location}: " in line for line in lines)
