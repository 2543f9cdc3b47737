"""Names of runs and of the tasks in them."""

from __future__ import annotations

import uuid
from collections.abc import Container
from typing import NamedTuple

#: A run's id: the pipeline's name and when it started; also the name of the run's folder in the pipeline root.
RunId = str


class TaskRef(NamedTuple):
    """Which task of a run: the names on the way from the root DAG down to it, never parsed out of text.

    Each step is a task's name and, inside a loop, the number of the iteration, from 0.
    """

    path: tuple[tuple[str, int | None], ...]

    def child(self, name: str, iteration: int | None = None) -> TaskRef:
        return TaskRef((*self.path, (name, iteration)))

    @property
    def parent(self) -> TaskRef:
        return TaskRef(self.path[:-1])

    @property
    def whole(self) -> TaskRef:
        """The task that this one is a part of: of an iteration its loop, of any other its parent."""
        return TaskRef((*self.path[:-1], (self.name, None))) if self.iteration is not None else self.parent

    def is_within(self, tasks: Container[TaskRef]) -> bool:
        """Whether it is one of these tasks, or a part of one."""
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
        """The number of the iteration that this is; None for what is none."""
        return self.path[-1][1] if self.path else None

    def __str__(self) -> str:
        return "/".join(name if iteration is None else f"{name}/{iteration}" for name, iteration in self.path)


ROOT = TaskRef(())


class RunInfo(NamedTuple):
    """What a run knows of itself; most of it for KFP's `{{$.pipeline_…}}` placeholders. Times are ISO 8601, in UTC.

    `workspace_path` is where tasks see the run's workspace; empty if they have none.
    """

    id: RunId
    uuid: str
    name: str
    created: str
    pipeline_root: str
    workspace_path: str = ""

    def placeholder(self, task: TaskRef, name: str) -> str:
        """What `{{$.<name>}}` stands for in a task. Its uuid follows from the run's and from its place in the run."""
        if name == "pipeline_task_name":
            return task.name
        if name == "pipeline_task_uuid":
            return str(uuid.uuid5(uuid.UUID(self.uuid), str(task)))
        return {
            "pipeline_job_name": self.name,
            "pipeline_job_resource_name": self.id,
            "pipeline_job_uuid": self.uuid,
            "pipeline_job_create_time_utc": self.created,
            "pipeline_job_schedule_time_utc": self.created,
            "pipeline_root": self.pipeline_root,
            "workspace_path": self.workspace_path,
        }[name]
