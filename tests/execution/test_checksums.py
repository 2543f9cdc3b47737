"""Which payloads are read for their checksums, and what identifies the content of an artifact."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from standpipe.artifact_stores.local import LocalArtifactStore
from standpipe.execution.checksums import add_checksums, is_unchanged, payload_digest
from standpipe.model.cancellation import Cancellation
from standpipe.model.types import ArtifactType
from standpipe.model.values import ArtifactValue, Checksum

DATASET = ArtifactType("system.Dataset")


@pytest.fixture
def store(tmp_path: Path) -> LocalArtifactStore:
    return LocalArtifactStore([tmp_path])


def artifact(uri: object, checksum: Checksum | None = None) -> ArtifactValue:
    return ArtifactValue("a", DATASET, str(uri), checksum=checksum)


def checksum(path: Path, store: LocalArtifactStore) -> Checksum:
    time.sleep(0.02)  # the clock of the file system must advance before a checksum has a signature
    computed = store.checksum(str(path), Cancellation())
    assert computed is not None
    return computed


def test_each_payload_is_read_once_and_unchanged_inputs_not_at_all(tmp_path: Path, store: LocalArtifactStore) -> None:
    file, given = tmp_path / "f", tmp_path / "given"
    given.write_text("a")
    source = artifact(given, checksum(given, store))
    file.write_text("a")
    read: list[str] = []

    def compute(location: str, _: str) -> Checksum | None:
        read.append(location)
        return store.checksum(location, Cancellation())

    outputs = {"a": artifact(file), "b": artifact(file), "c": artifact(given), "far": artifact("x://y"), "n": 3}
    found = add_checksums(outputs, {"i": [source]}, store, compute)
    assert read == [str(file)]
    assert found.pop("n") == 3
    digests = {name: value.checksum and value.checksum.digest for name, value in found.items()}  # type: ignore[union-attr]
    digest = checksum(file, store).digest
    assert digests == {"a": digest, "b": digest, "c": checksum(given, store).digest, "far": None}
    given.write_text("b")
    add_checksums({"c": artifact(given)}, {"i": source}, store, compute)
    assert read == [str(file), str(given)]


def test_a_checksum_without_a_signature_proves_nothing(tmp_path: Path, store: LocalArtifactStore) -> None:
    (tmp_path / "f").write_text("a")
    known = checksum(tmp_path / "f", store)
    assert is_unchanged(str(tmp_path / "f"), known, store)
    assert not is_unchanged(str(tmp_path / "f"), Checksum(known.digest, known.size, ""), store)
    assert not is_unchanged(str(tmp_path / "missing"), Checksum(known.digest, known.size, ""), store)


def test_the_content_of_an_artifact_is_its_digest_or_its_uri(tmp_path: Path, store: LocalArtifactStore) -> None:
    def digest(of: ArtifactValue) -> str | None:
        return payload_digest(of, store, lambda location, _: store.checksum(location, Cancellation()))

    (tmp_path / "f").write_text("a")
    os.mkfifo(tmp_path / "fifo")
    (tmp_path / "broken").symlink_to(tmp_path / "missing")
    assert digest(artifact(tmp_path / "f")) == checksum(tmp_path / "f", store).digest
    assert digest(artifact("s3://bucket/key")) == "s3://bucket/key"
    assert digest(artifact(tmp_path / "missing")) == "", "metrics have no payload"
    assert digest(artifact("/no/such/file")) == "/no/such/file", "a task may read the URI"
    assert digest(artifact("registry/model:v1")) == "registry/model:v1"
    assert digest(artifact(tmp_path / "fifo")) is None
    assert digest(artifact(tmp_path / "broken")) is None
