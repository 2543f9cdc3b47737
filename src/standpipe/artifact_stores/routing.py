"""The artifact store of a run: payloads on this machine and in object stores, each location where it belongs."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING

from standpipe.artifact_stores.local import LocalArtifactStore
from standpipe.model.cancellation import Cancellation
from standpipe.model.locations import is_remote
from standpipe.model.ports import ArtifactStore
from standpipe.model.values import ArtifactValue, Checksum
from standpipe.support.properties import cached_property
from standpipe.worker.artifacts import local_path

if TYPE_CHECKING:
    from standpipe.artifact_stores.providers import FindProviders
    from standpipe.artifact_stores.remote import RemoteArtifactStore

#: The most bytes of payloads of object stores on this machine.
CACHE_LIMIT = 20 * 1024**3

#: The names of variables that configure `fsspec` with what nobody may see.
_SECRET_OF_FSSPEC = re.compile(r"FSSPEC_\w*(PASSWORD|PASSPHRASE|SECRET|TOKEN|KEY)")


class ArtifactStores:
    """Implements `model.ports.ArtifactStore`: paths are the local store's, URIs those of object stores.

    Args:
        local: keeps what is on this machine.
        state_root: the pipeline root on this machine.
        root: the URI below which outputs are; empty if they stay on this machine.
        limit: the most bytes of payloads of object stores on this machine.
        find_providers: returns where credentials are that the environment does not have; None if nowhere.
    """

    def __init__(
        self,
        local: LocalArtifactStore,
        state_root: Path,
        root: str = "",
        limit: int = CACHE_LIMIT,
        find_providers: FindProviders | None = None,
    ) -> None:
        self._local = local
        self._state_root = state_root
        self._root = root
        self._limit = limit
        self._find_providers = find_providers

    def locate(self, folder: Path, output: str) -> str:
        """Return where an output goes; see `model.ports.ArtifactStore`, also for the other methods."""
        return (self._remote if self._root else self._local).locate(folder, output)

    def local_path(self, location: str) -> str:
        return self._of(location).local_path(location)

    def owns(self, location: str) -> bool:
        return self._of(location).owns(location)

    def find_problem(self, location: str) -> str:
        return self._of(location).find_problem(location)

    def exists(self, location: str) -> bool:
        return self._of(location).exists(location)

    def put(self, location: str, cancel: Cancellation) -> Checksum | None:
        return self._of(location).put(location, cancel)

    def checksum(self, location: str, cancel: Cancellation, algorithm: str = "") -> Checksum | None:
        return self._of(location).checksum(location, cancel, algorithm)

    def signature(self, location: str) -> str:
        return self._of(location).signature(location)

    def task_path(self, artifact: ArtifactValue) -> str:
        return self._of(artifact.location).task_path(artifact)

    def provide(self, artifacts: Iterable[ArtifactValue], cancel: Cancellation) -> AbstractContextManager[None]:
        remote = [artifact for artifact in artifacts if _is_in_object_store(artifact.location)]
        return self._remote.provide(remote, cancel) if remote else nullcontext()

    def fetch(
        self,
        location: str,
        target: Path,
        root: Path,
        cancel: Cancellation,
        may_read: Callable[[str], bool] | None = None,
    ) -> None:
        self._of(location).fetch(location, target, root, cancel, may_read)

    def remove(self, location: str) -> None:
        self._of(location).remove(location)

    def _of(self, location: str) -> ArtifactStore:
        return self._remote if _is_in_object_store(location) else self._local

    @cached_property
    def _remote(self) -> RemoteArtifactStore:
        from standpipe.artifact_stores.providers import Providers
        from standpipe.artifact_stores.remote import RemoteArtifactStore  # most runs have no remote payload

        return RemoteArtifactStore(self._state_root, self._root, self._limit, self._find_providers or Providers)


def check_root(uri: str, find_providers: FindProviders) -> None:
    """Check that payloads can be put below a URI, before tasks run for hours.

    Args:
        uri: the URI.
        find_providers: returns where credentials are that the environment does not have.

    Raises:
        StorageError: if there is no such bucket, or the environment has no access to it.
    """
    from standpipe.artifact_stores import clients  # most runs have no remote payload
    from standpipe.artifact_stores.parallel import call_in_thread

    bucket, key = clients.Clients(find_providers).open(uri)
    call_in_thread(lambda: bucket.check(key), Cancellation())


def find_credentials() -> dict[str, bytes]:
    """Return the credentials to object stores in the environment and its files, by what messages call them."""
    from standpipe.artifact_stores.aws_profiles import read_profile  # most runs have no remote payload
    from standpipe.artifact_stores.clients import CREDENTIALS

    names = [*CREDENTIALS, *(name for name in os.environ if _SECRET_OF_FSSPEC.fullmatch(name))]
    found = {f"variable {name!r}": os.environb[name.encode()] for name in names if os.environ.get(name)}
    of_profile = {
        name: value for name, value in read_profile().settings.items() if name in ("secret_access_key", "session_token")
    }
    return {**found, **{f"{name} of an AWS profile": value.encode() for name, value in of_profile.items()}}


def delete_payloads(uri: str, find_providers: FindProviders) -> None:
    """Delete all that is below a URI.

    Args:
        uri: the URI.
        find_providers: returns where credentials are that the environment does not have.

    Raises:
        StorageError: if the store cannot be used.
    """
    from standpipe.artifact_stores import clients, uploads  # most runs have no remote payload

    uploads.delete(clients.Clients(find_providers), uri)


def _is_in_object_store(location: str) -> bool:
    """Return whether a location is a URI, and its bucket is not mounted on this machine where KFP mounts it."""
    return is_remote(location) and not ((path := local_path(location)).startswith("/") and os.path.lexists(path))
