"""Checksums of artifacts: added when their task has left them, compared before anybody relies on them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Union

from standpipe.model.locations import is_remote
from standpipe.model.ports import ArtifactStore
from standpipe.model.values import ArtifactValue, Checksum, Value, find_artifacts

#: Returns the checksum of the payload at a location, by an algorithm, or by the one for its size if that is empty; None
#: if there is no payload, or it should not be read.
ChecksumFunction = Callable[[str, str], Union[Checksum, None]]


def is_unchanged(location: str, checksum: Checksum, store: ArtifactStore) -> bool:
    """Return whether a payload is known to be the one of a checksum without reading it."""
    return bool(checksum.signature) and checksum.signature == store.signature(location)


def add_checksums(
    outputs: Mapping[str, Value], inputs: Mapping[str, Value], store: ArtifactStore, compute: ChecksumFunction
) -> dict[str, Value]:
    """Return the outputs of an attempt, with the checksum of each payload that can be read.

    A payload of several artifacts is read once, and one that is an unchanged input not at all.
    """
    of_inputs = {artifact.location: artifact.checksum for artifact in find_artifacts(inputs.values())}
    checksums: dict[str, Checksum | None] = {}

    def with_checksum(artifact: ArtifactValue) -> ArtifactValue:
        location = artifact.location
        if not store.local_path(location):
            return artifact
        if location not in checksums:
            known = of_inputs.get(location)
            is_known = known is not None and is_unchanged(location, known, store)
            checksums[location] = known if is_known else compute(location, "")
        return replace(artifact, checksum=checksums[location])

    return {
        name: with_checksum(value) if isinstance(value, ArtifactValue) else value for name, value in outputs.items()
    }


def payload_digest(
    artifact: ArtifactValue, store: ArtifactStore, compute: ChecksumFunction, algorithm: str = ""
) -> str | None:
    """Return what identifies the content of an artifact in a cache key.

    Args:
        artifact: the artifact.
        store: where its payload is.
        compute: computes checksums.
        algorithm: that of the digest; by default that of the artifact's checksum, if it has one, so that the key stays
            what it was.

    Returns:
        The digest of its payload. Where the store finds none, an empty text for an artifact of a run, which is all
        metadata, and the URI of any other. None if there is a payload that cannot be read.
    """
    location = artifact.location
    if not store.exists(location):
        return "" if store.owns(location) and not is_remote(artifact.uri) else artifact.uri
    known = artifact.checksum
    if known and algorithm in ("", known.algorithm) and is_unchanged(location, known, store):
        return known.digest
    checksum = compute(location, algorithm or (known.algorithm if known else ""))
    return checksum.digest if checksum else None
