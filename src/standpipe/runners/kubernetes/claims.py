"""PVCs in the namespace of the pods."""

from __future__ import annotations

from collections.abc import Mapping

from lightkube.resources.core_v1 import PersistentVolumeClaim

from standpipe.model.types import Json
from standpipe.runners.kubernetes.connection import Connection


class Claims:
    """Implements `model.ports.ClaimStore`.

    Args:
        connection: the connection to the namespace.
    """

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def create(self, manifest: Mapping[str, Json]) -> bool:
        """Create a PVC, and return whether its name was free; see `model.ports.ClaimStore`."""
        metadata = manifest["metadata"]
        assert isinstance(metadata, dict), "a manifest has a name"
        if self._connection.get(PersistentVolumeClaim, str(metadata["name"])) is not None:
            return False
        self._connection.create(PersistentVolumeClaim.from_dict(dict(manifest)))
        return True

    def delete(self, name: str) -> bool:
        """Delete a PVC, and return whether there was one; see `model.ports.ClaimStore`."""
        if self._connection.get(PersistentVolumeClaim, name) is None:
            return False
        self._connection.delete(PersistentVolumeClaim, name)
        return True
