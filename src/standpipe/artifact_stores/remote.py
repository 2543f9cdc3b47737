"""Payloads in object stores: tasks write and read files of this machine, which are uploaded and downloaded for them."""

from __future__ import annotations

import os
import threading
import uuid
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from typing import NamedTuple

from standpipe.artifact_stores import clients, downloads, objects, uploads, web
from standpipe.artifact_stores.objects import RemoteState
from standpipe.artifact_stores.parallel import call_in_thread
from standpipe.artifact_stores.payload_cache import PayloadCache, name_of_content, name_of_version
from standpipe.artifact_stores.progress import Progress
from standpipe.artifact_stores.providers import FindProviders, Providers
from standpipe.errors import StorageError
from standpipe.model.cancellation import Cancellation
from standpipe.model.layout import file_name
from standpipe.model.locations import split_scheme
from standpipe.model.values import ArtifactValue, Checksum
from standpipe.support.checksums import compute_checksum
from standpipe.support.notices import Once, warn
from standpipe.support.timers import cancel_after
from standpipe.support.untrusted_files import check_payload, remove_path

#: Seconds after which the removal of a payload is given up: it must not delay the end of a run.
_REMOVAL_TIME = 10.0


class _Found(NamedTuple):
    """What is at a URI that is not below the root, as a run has seen it first, or why it cannot be read."""

    state: RemoteState | None
    problem: str = ""


class RemoteArtifactStore:
    """Implements `model.ports.ArtifactStore` on object stores, for locations that are URIs.

    The payload of an output is at `<root>/<run>/<task>/<output>`. Its task writes it to the same path below the
    pipeline root on this machine; once it is uploaded, it is moved to a `PayloadCache`, from which tasks read it. What
    is not there, because it is from another machine or not from a run, is downloaded to it.

    Args:
        state_root: the pipeline root on this machine.
        root: the URI below which outputs are; empty if they stay on this machine, and object stores are only read.
        limit: the most bytes of payloads on this machine.
        find_providers: returns where credentials are that the environment does not have.
    """

    def __init__(self, state_root: Path, root: str, limit: int, find_providers: FindProviders = Providers) -> None:
        self._state_root = state_root
        self._root = root.rstrip("/")
        self._clients = clients.Clients(find_providers)
        self._cache = PayloadCache(state_root, limit)
        self._found: dict[str, _Found] = {}
        self._lock = threading.Lock()
        self._reported = Once()
        self._run = uuid.uuid4().hex

    def locate(self, folder: Path, output: str) -> str:
        """Return the URI of an output; see `model.ports.ArtifactStore`."""
        return f"{self._root}/{folder.relative_to(self._state_root).as_posix()}/{file_name(output)}"

    def local_path(self, location: str) -> str:
        """Return the path at which a task on this machine writes an output; see `model.ports.ArtifactStore`."""
        return os.path.join(self._state_root, location[len(self._root) + 1 :]) if self.owns(location) else ""

    def owns(self, location: str) -> bool:
        """Return whether a location is below the root."""
        return bool(self._root) and location.startswith(f"{self._root}/")

    def find_problem(self, location: str) -> str:
        """Return why payloads at a location cannot be read; see `model.ports.ArtifactStore`."""
        is_web = split_scheme(location)[0] in web.SCHEMES
        return web.find_problem(location) if is_web else clients.find_problem(location)

    def exists(self, location: str) -> bool:
        """Return whether an object, or one below it, is there and can be read."""
        return self._look_up(location).state is not None

    def signature(self, location: str) -> str:
        """Return what the object store says of a payload, as one word; see `model.ports.ArtifactStore`."""
        state = self._look_up(location).state
        return state.signature if state else ""

    def put(self, location: str, cancel: Cancellation) -> Checksum | None:
        """Upload a payload, and move it to the cache; see `model.ports.ArtifactStore`."""
        if cancel or not self.owns(location):
            return None
        path = self.local_path(location)
        if not os.path.lexists(path):
            return self.checksum(location, cancel)  # a task on another machine has written it
        check_payload(path)
        checksum = compute_checksum(path, cancel, (str(self._state_root),))
        if not checksum:
            return checksum
        with Progress("Upload", location, checksum.size) as progress:
            uploads.upload(self._clients, Path(path), location, self._state_root, cancel, progress)
        state = self._state(location, cancel)
        if state is None or state.size != checksum.size:
            raise StorageError(f"Cannot upload {path} to {location}: the object store has not got all of it.")
        self._cache.add(name_of_content(checksum), Path(path), cancel)
        return Checksum(checksum.digest, checksum.size, state.signature)

    def checksum(self, location: str, cancel: Cancellation, algorithm: str = "") -> Checksum | None:
        """Return the checksum of a payload, which is downloaded unless it is known; see `model.ports.ArtifactStore`."""
        if cancel or self._is_unknown(location):
            return None
        state = self._state(location, cancel)
        if state is None:
            return None
        name = self._name_of_version(location, state)
        known = self._cache.digest(name)
        if known and algorithm in ("", known.algorithm):
            return Checksum(known.digest, known.size, state.signature)
        with self._cache.holding(name, partial(self._download, location, state, cancel), cancel) as payload:
            found = compute_checksum(str(payload), cancel, (str(self._state_root),), algorithm)
        if not found:
            return found
        if not known:
            self._cache.note(name, found, cancel)
        return Checksum(found.digest, found.size, state.signature)

    def task_path(self, artifact: ArtifactValue) -> str:
        """Return where a task on this machine reads a remote payload; see `model.ports.ArtifactStore`."""
        if artifact.custom_path or self._is_unknown(artifact.uri):
            return ""
        if artifact.checksum:
            return str(self._cache.path(name_of_content(artifact.checksum)))
        state = self._look_up(artifact.uri).state
        if state is None:
            return self.local_path(artifact.uri)  # where its task should have written it
        return str(self._cache.path(self._name_of_version(artifact.uri, state)))

    @contextmanager
    def provide(self, artifacts: Iterable[ArtifactValue], cancel: Cancellation) -> Iterator[None]:
        """Have payloads at their `task_path`, during a block; see `model.ports.ArtifactStore`."""
        with ExitStack() as held:
            for artifact in artifacts:
                if artifact.custom_path or self._is_unknown(artifact.uri):
                    continue
                if artifact.checksum:
                    name, save = name_of_content(artifact.checksum), partial(self._restore, artifact, cancel)
                    held.enter_context(self._cache.holding(name, save, cancel))
                else:
                    self._provide_foreign(artifact.uri, held, cancel)
            yield

    def _provide_foreign(self, uri: str, held: ExitStack, cancel: Cancellation) -> None:
        """Have the payload of an artifact that is from no task of the run; tasks may need only its URI."""
        state, problem = self._look_up(uri)
        if state is None:
            if not self.owns(uri) and self._reported.is_first(uri):
                warn(f"{problem or f'Nothing is at {uri}.'} Tasks that only use its URI run; others will fail.")
            return
        name, save = self._name_of_version(uri, state), partial(self._download, uri, state, cancel)
        held.enter_context(self._cache.holding(name, save, cancel))

    def fetch(
        self,
        location: str,
        target: Path,
        root: Path,
        cancel: Cancellation,
        may_read: Callable[[str], bool] | None = None,
    ) -> None:
        """Download a payload to a path; see `model.ports.ArtifactStore`."""
        if problem := self.find_problem(location):
            raise StorageError(f"Cannot download {location}: {problem}.")
        state = self._state(location, cancel)
        if state is None:
            raise FileNotFoundError(f"nothing is at {location}")
        self._download(location, state, cancel, target, root)

    def remove(self, location: str) -> None:
        """Remove a payload from the object store and from this machine; see `model.ports.ArtifactStore`."""
        if self.owns(location):
            remove_path(Path(self.local_path(location)), self._state_root)
            try:
                with cancel_after(_REMOVAL_TIME, Cancellation()) as (cancel, _):
                    call_in_thread(lambda: uploads.delete(self._clients, location), cancel)
            except StorageError as error:
                warn(f"Cannot remove {location}: {error}")

    def _is_unknown(self, location: str) -> bool:
        return split_scheme(location)[0] not in web.SCHEMES and not clients.knows(location)

    def _look_up(self, location: str) -> _Found:
        """Return what is at a URI; if it is not below the root, what was there when the run looked first.

        Raises:
            StorageError: if it is below the root, and the object store cannot be used.
        """
        if self._is_unknown(location):
            return _Found(None)
        if self.owns(location):
            return _Found(self._state(location, Cancellation()))
        with self._lock:
            if location not in self._found:
                try:
                    self._found[location] = _Found(self._state(location, Cancellation()))
                except StorageError as error:
                    self._found[location] = _Found(None, str(error))
            return self._found[location]

    def _state(self, location: str, cancel: Cancellation) -> RemoteState | None:
        if split_scheme(location)[0] in web.SCHEMES:
            return call_in_thread(lambda: web.read_state(location), cancel)
        return call_in_thread(lambda: objects.read_state(self._clients, location), cancel)

    def _name_of_version(self, uri: str, state: RemoteState) -> str:
        return name_of_version(uri, state.signature or self._run)  # without a signature, each run reads it again

    def _download(
        self, uri: str, state: RemoteState, cancel: Cancellation, target: Path, root: Path | None = None
    ) -> None:
        with Progress("Download", uri, state.size) as progress:
            if split_scheme(uri)[0] in web.SCHEMES:
                web.download(uri, target, root or self._state_root, cancel, progress)
            else:
                downloads.download(self._clients, uri, state, target, root or self._state_root, cancel, progress)

    def _restore(self, artifact: ArtifactValue, cancel: Cancellation, target: Path) -> None:
        """Download a payload, and compare it with its checksum.

        Raises:
            StorageError: if it is missing, or not what its task left.
        """
        state, expected = self._state(artifact.uri, cancel), artifact.checksum
        assert expected, "otherwise nothing is known of the content"
        if state is None:
            raise StorageError(f"Cannot download {artifact.uri}: nothing is there. Rerun the task that made it.")
        self._download(artifact.uri, state, cancel, target)
        found = compute_checksum(str(target), cancel, (str(self._state_root),), expected.algorithm)
        if found is None or found.digest != expected.digest:
            raise StorageError(
                f"{artifact.uri} was overwritten: its checksum is {found.digest if found else 'not known'}, expected "
                f"{expected.digest}. Rerun the task that made it."
            )
