"""The payloads of a run's artifacts, from their object store if this machine may read it, or from the page of KFP."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from urllib.parse import urlsplit

from standpipe.artifact_stores.local import LocalArtifactStore
from standpipe.artifact_stores.obstore_buckets import find_s3_endpoint
from standpipe.artifact_stores.routing import ArtifactStores
from standpipe.errors import ArgumentError, ClusterError, StorageError
from standpipe.kfp_cluster.http import HttpClient
from standpipe.kfp_cluster.metadata import StoredArtifact
from standpipe.kfp_cluster.page_artifacts import ArtifactPage, PayloadUnavailable
from standpipe.kfp_cluster.records import Record, walk_tasks
from standpipe.model.cancellation import Cancellation
from standpipe.model.json_values import InvalidJson, parse_json
from standpipe.model.layout import file_name
from standpipe.model.locations import is_remote
from standpipe.runs.credentials import find_providers
from standpipe.support.notices import inform, warn
from standpipe.support.untrusted_files import remove_path

#: Writes the payload of an artifact to a path below a root. It raises a ClusterError if there is none to be had.
Fetch = Callable[[StoredArtifact, Path, Path], None]


class PayloadSources:
    """Fetches payloads: from the object store, otherwise from KFP's page.

    Args:
        page: passes payloads through.
        root: the pipeline root.
        kubernetes: objects of Kubernetes with credentials, as the option of a run has them; None for none.
    """

    def __init__(self, page: ArtifactPage, root: Path, kubernetes: str | None = None) -> None:
        self._page = page
        self._has_providers = kubernetes is not None
        find = partial(find_providers, kubernetes)
        self._stores = ArtifactStores(LocalArtifactStore([root]), root, find_providers=find)
        self._problems: dict[str, str] = {}  # of buckets that cannot be read

    def fetch(self, artifact: StoredArtifact, target: Path, root: Path) -> None:
        """Write the payload of an artifact to a path below a root; see `Fetch`.

        Raises:
            PayloadUnavailable: if neither can be read.
            StorageError: if a file cannot be written.
        """
        if not is_remote(artifact.uri):
            raise PayloadUnavailable("it is a file in a pod")
        problem = self._fetch_directly(artifact, target, root)
        if not problem:
            return
        remove_path(target, root)
        try:
            self._page.fetch(artifact, target, root)
        except ClusterError as error:
            raise PayloadUnavailable(f"{problem}; {str(error).rstrip('.')}") from error

    def _fetch_directly(self, artifact: StoredArtifact, target: Path, root: Path) -> str:
        """Write a payload from its object store; return why that is not possible, empty if it was."""
        bucket = "/".join(artifact.uri.split("/", 3)[:3])
        problem = self._problems.get(bucket) or self._stores.find_problem(artifact.uri)
        if not problem and not self._has_providers:
            problem = _find_other_server(artifact)
        if problem:
            return problem
        try:
            self._stores.fetch(artifact.uri, target, root, Cancellation())
        except StorageError as error:
            self._problems[bucket] = str(error).rstrip(".")  # the next one would wait as long, and fail as well
            return self._problems[bucket]
        except FileNotFoundError:
            return f"nothing is at {artifact.uri}"
        return ""


def _find_other_server(artifact: StoredArtifact) -> str:
    """Return why a bucket is not the one of that name that this machine can read; empty if it is."""
    try:
        endpoint = str(parse_json(artifact.session or "{}")["Params"]["endpoint"])
    except (InvalidJson, KeyError, TypeError):
        return ""
    host = urlsplit(endpoint if is_remote(endpoint) else f"//{endpoint}").hostname or ""
    if not host or host.endswith(".amazonaws.com") or find_s3_endpoint():
        return ""
    return f"its bucket is on the server {host}, and AWS_ENDPOINT_URL is not set"


def open_sources(http: HttpClient, namespace: str, root: Path, kubernetes: str | None = None) -> Fetch:
    """Return the function that fetches payloads.

    Args:
        http: the host of KFP's page.
        namespace: the namespace of the run; empty if it is not known.
        root: the pipeline root.
        kubernetes: objects of Kubernetes with credentials; None for none.
    """
    return PayloadSources(ArtifactPage(http, namespace), root, kubernetes).fetch


def find_namespace(root: Record) -> str:
    """Return the namespace of the pods of a run; empty if it is not known."""
    return next((record.pod.partition("/")[0] for _, record in walk_tasks(root) if "/" in record.pod), "")


def fetch_payloads(root: Record, folder: Path, fetch: Fetch, task: str = "") -> None:
    """Fetch the payloads of the artifacts of a run; what fails is a warning. Those that were fetched before are not.

    Args:
        root: the run.
        folder: the folder for them, which is made.
        fetch: fetches one.
        task: the name or the path of the task whose inputs are fetched alone; empty for all artifacts.

    Raises:
        ArgumentError: if no such task has started.
        StorageError: if a file cannot be written.
    """
    chosen = _list_inputs(root, task) if task else list(_list_artifacts(root))
    missing = {each.id: each for each in chosen if each.uri and not _find_file(folder, each)}
    if missing:
        inform(f"Fetching {len(missing)} artifact{'s' if len(missing) > 1 else ''} of the run.")
    for artifact in missing.values():
        unfinished = folder / str(artifact.id) / ".partial"
        remove_path(unfinished, folder)  # of a pull that was interrupted
        try:
            fetch(artifact, unfinished, folder)
            _publish(unfinished, _path(folder, artifact))
        except ClusterError as error:
            remove_path(unfinished, folder)
            warn(f"The artifact {artifact.uri} was not fetched: {str(error).rstrip('.')}. It keeps its URI.")


def use_payloads(root: Record, folder: Path) -> None:
    """Let the records of a run name the payloads in a folder, as far as they were fetched to it."""
    files = {each.id: found for each in _list_artifacts(root) if (found := _find_file(folder, each))}
    _replace_uris(root, files)


def _publish(unfinished: Path, path: Path) -> None:
    try:
        unfinished.replace(path)
    except OSError as error:
        raise StorageError(f"Cannot write the artifact {path}: {error.strerror}.") from error


def _path(folder: Path, artifact: StoredArtifact) -> Path:
    return folder / str(artifact.id) / file_name(Path(urlsplit(artifact.uri).path).name or "data")


def _find_file(folder: Path, artifact: StoredArtifact) -> str:
    """Return the path of a payload that was fetched; empty if it was not."""
    path = _path(folder, artifact)
    return str(path) if path.exists() else ""


def _list_inputs(root: Record, task: str) -> list[StoredArtifact]:
    tasks = {ref: record for ref, record in walk_tasks(root) if ref.path and task in (str(ref), ref.name)}
    if not tasks:
        raise ArgumentError(
            f"Invalid --inputs-of {task!r}: the cluster does not tell of such a task. Expected a name or a path, as "
            "`standpipe show` has them after a pull."
        )
    return [artifact for record in tasks.values() for each in (record.artifacts or {}).values() for artifact in each]


def _list_artifacts(root: Record) -> Iterator[StoredArtifact]:
    for _, record in walk_tasks(root):
        for table in (record.artifacts, record.output_artifacts):
            for artifacts in (table or {}).values():
                yield from artifacts


def _replace_uris(root: Record, files: Mapping[int, str]) -> None:
    def replace(table: Mapping[str, Sequence[StoredArtifact]] | None) -> dict[str, list[StoredArtifact]] | None:
        if table is None:
            return None
        return {
            name: [dataclasses.replace(each, uri=files.get(each.id, each.uri)) for each in artifacts]
            for name, artifacts in table.items()
        }

    for _, record in walk_tasks(root):
        record.artifacts, record.output_artifacts = replace(record.artifacts), replace(record.output_artifacts)
