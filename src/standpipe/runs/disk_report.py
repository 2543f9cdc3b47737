"""What takes space on the disk: the runs of a pipeline root, and what all pipeline roots share."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from standpipe.errors import RunnerError
from standpipe.model.layout import (
    ACTIONS_FOLDER,
    CACHE_FILE,
    DELETED_FOLDER,
    LOG_FILE,
    PAYLOADS_FOLDER,
    RUN_STORE_FILE,
    VOLUMES_FOLDER,
    WORKSPACE_FOLDER,
)
from standpipe.model.refs import RunId
from standpipe.runners.docker.stored_images import StoredImage, connected, list_images, may_have_engine
from standpipe.runners.process.stored_venvs import StoredVenv, list_venvs
from standpipe.runs.deletion import RUN_ID
from standpipe.runs.pruning import marks_folder, venvs_folder
from standpipe.store.reading import run_rows
from standpipe.support.disk_usage import DiskUsage
from standpipe.support.user_dirs import cache_folder

#: What SQLite has beside a database while it is in use.
_DATABASE_ENDINGS = ("", "-wal", "-shm")


class RunUsage(NamedTuple):
    """The bytes on the disk of a run: its logs, its workspace, and all other files, artifacts for the most part."""

    id: RunId
    pipeline: str
    logs: int
    workspace: int
    others: int

    @property
    def size(self) -> int:
        """All of them."""
        return self.logs + self.workspace + self.others


@dataclass(frozen=True)
class DiskReport:
    """What takes space on the disk, in bytes.

    `unknown` is what folders of runs have that the run store does not know. `imports` is what is known of the imports
    of components. `images` are the derived images, None if the container engine could not be asked; then `problem` says
    why, or is empty if there is none.
    """

    root: Path
    runs: tuple[RunUsage, ...]
    store: int
    cache: int
    volumes: int
    deleted: int
    actions: int
    payloads: int
    unknown: int
    venvs: tuple[StoredVenv, ...]
    imports: int
    images: tuple[StoredImage, ...] | None
    problem: str = ""

    @property
    def of_root(self) -> int:
        """The bytes of the pipeline root."""
        parts = self.store, self.cache, self.volumes, self.deleted, self.actions, self.payloads, self.unknown
        return sum(run.size for run in self.runs) + sum(parts)

    @property
    def by_pipeline(self) -> Mapping[str, tuple[int, int]]:
        """The number of runs and their bytes by the name of the pipeline, the largest first."""
        totals: dict[str, tuple[int, int]] = {}
        for run in self.runs:
            count, size = totals.get(run.pipeline, (0, 0))
            totals[run.pipeline] = count + 1, size + run.size
        return dict(sorted(totals.items(), key=lambda item: -item[1][1]))

    @property
    def largest(self) -> Sequence[RunUsage]:
        """All runs, the largest first."""
        return sorted(self.runs, key=lambda run: -run.size)


def measure(root: Path) -> DiskReport:
    """Return what takes space on the disk. Files with several hard links count once.

    Args:
        root: the pipeline root, which need not exist.

    Raises:
        StorageError: if the run store cannot be read.
    """
    usage = DiskUsage()
    runs = tuple(_measure_run(root, row.id, row.pipeline, usage) for row in run_rows(root))
    images, problem = _ask_for_images()
    return DiskReport(
        root=root,
        runs=runs,
        store=_database(root / RUN_STORE_FILE, usage),
        cache=_database(root / CACHE_FILE, usage),
        volumes=usage.folder(root / VOLUMES_FOLDER),
        deleted=usage.folder(root / DELETED_FOLDER),
        actions=usage.folder(root / ACTIONS_FOLDER),
        payloads=usage.folder(root / PAYLOADS_FOLDER),
        unknown=sum(usage.folder(folder) for folder in _unknown_folders(root, {run.id for run in runs})),
        venvs=tuple(list_venvs(venvs_folder(), usage)),
        imports=usage.folder(Path(cache_folder(), "imports")),
        images=images,
        problem=problem,
    )


def _measure_run(root: Path, run: RunId, pipeline: str, usage: DiskUsage) -> RunUsage:
    folder = root / run
    workspace = usage.folder(folder / WORKSPACE_FOLDER)
    logs, others = usage.split(folder, {LOG_FILE}, without={WORKSPACE_FOLDER})
    return RunUsage(run, pipeline, logs, workspace, others)


def _database(path: Path, usage: DiskUsage) -> int:
    return sum(usage.file(f"{path}{ending}") for ending in _DATABASE_ENDINGS)


def _unknown_folders(root: Path, known: set[RunId]) -> Iterator[Path]:
    with suppress(OSError), os.scandir(root) as entries:
        for entry in entries:
            if RUN_ID.fullmatch(entry.name) and entry.name not in known and entry.is_dir(follow_symlinks=False):
                yield root / entry.name


def _ask_for_images() -> tuple[tuple[StoredImage, ...] | None, str]:
    """Return the derived images, or None and why the engine cannot be asked."""
    if not may_have_engine():
        return None, ""
    try:
        with connected() as client:
            return tuple(list_images(client, marks_folder())), ""
    except RunnerError as error:
        return None, str(error)
