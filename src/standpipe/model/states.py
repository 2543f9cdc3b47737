"""The states of a task and of a run."""

from __future__ import annotations

import enum


class TaskState(enum.Enum):
    """Where a task stands. The names of the final states are those of KFP's `PipelineStateEnum`."""

    PENDING = "PENDING"  # waits for its upstream tasks
    READY = "READY"  # waits for a free slot, or for the time of its next attempt
    RUNNING = "RUNNING"
    SUCCEEDED = "SUCCEEDED"
    FAILED = "FAILED"
    SKIPPED = "SKIPPED"
    CANCELLED = "CANCELLED"

    @property
    def is_final(self) -> bool:
        return self in _FINAL


_FINAL = frozenset({TaskState.SUCCEEDED, TaskState.FAILED, TaskState.SKIPPED, TaskState.CANCELLED})
