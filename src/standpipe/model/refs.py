"""Identities of runs and tasks."""

from __future__ import annotations

import uuid
from collections.abc import Container
from typing import NamedTuple

from standpipe.model.cluster_differences import SP105, SP122, decides

#: The id of a run: the name of the pipeline and the start time. The run's folder in the pipeline root has this name.
RunId = str


class TaskRef(NamedTuple):
    """The identity of a task in a run: the path from the root DAG to it. It is never parsed from text.

    Each element of the path is the name of a task and, in a loop, the index of the iteration, from 0.
    """

    path: tuple[tuple[str, int | None], ...]

    def child(self, name: str, iteration: int | None = None) -> TaskRef:
        return _make(TaskRef, ((*self.path, (name, iteration)),))

    @property
    def parent(self) -> TaskRef:
        return _make(TaskRef, (self.path[:-1],))

    @property
    def whole(self) -> TaskRef:
        """The task that this one is a part of: the loop of an iteration, otherwise the parent."""
        path = self.path
        if not path or path[-1][1] is None:
            return _make(TaskRef, (path[:-1],))
        return _make(TaskRef, ((*path[:-1], (path[-1][0], None)),))

    def is_within(self, tasks: Container[TaskRef]) -> bool:
        """Return whether it is one of these tasks, or a part of one of them."""
        ref = self
        while ref.path:
            if ref in tasks:
                return True
            ref = ref.whole
        return False

    @property
    def name(self) -> str:
        return self.path[-1][0] if self.path else ""

    @property
    def iteration(self) -> int | None:
        """The index of the iteration that this is; None if it is not an iteration."""
        return self.path[-1][1] if self.path else None

    def __str__(self) -> str:
        return "/".join(name if iteration is None else f"{name}/{iteration}" for name, iteration in self.path)


#: Makes a `TaskRef` of its fields in half the time of a call of the class: a run makes two for each iteration.
_make = tuple.__new__

ROOT = TaskRef(())


class RunInfo(NamedTuple):
    """The properties of a run, most of them for KFP's `{{$.pipeline_…}}` placeholders. Times are ISO 8601, in UTC.

    `id` is the run's own name, and `name` that of its pipeline, which other runs have as well. As in `kfp.local`
    (`local/placeholder_utils.py`, 2.17.3) and on a cluster, the placeholder of the job's name is the run's own.
    `workspace_path` is the path of the run's workspace as tasks see it; empty if there is none. `pipeline_root` is the
    folder of the run's state, and `artifact_root` the URI below which payloads of artifacts are; empty if they are in
    that folder.
    """

    id: RunId
    uuid: str
    name: str
    created: str
    pipeline_root: str
    workspace_path: str = ""
    artifact_root: str = ""

    @decides(SP105, SP122)
    def placeholder(self, task: TaskRef, name: str) -> str:
        """Return the value of `{{$.<name>}}` in a task. Its uuid is derived from those of the run and the task."""
        if name == "pipeline_task_name":
            return task.name
        if name == "pipeline_task_uuid":
            return str(uuid.uuid5(uuid.UUID(self.uuid), str(task)))
        return {
            "pipeline_job_name": self.id,
            "pipeline_job_resource_name": self.id,
            "pipeline_job_uuid": self.uuid,
            "pipeline_job_create_time_utc": self.created,
            "pipeline_job_schedule_time_utc": self.created,
            "pipeline_root": self.artifact_root or self.pipeline_root,
            "workspace_path": self.workspace_path,
        }[name]
