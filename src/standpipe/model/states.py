"""States of tasks and runs."""

from __future__ import annotations

import enum


class TaskState(enum.Enum):
    """The state of a task or run. The names of the final states are those of KFP's `PipelineStateEnum`."""

    PENDING = "PENDING"  # waiting for its upstream tasks
    READY = "READY"  # waiting for a free slot or resources, or for the time of its next attempt
    RUNNING = "RUNNING"
    SUCCEEDED = "SUCCEEDED"
    FAILED = "FAILED"
    SKIPPED = "SKIPPED"
    CANCELLED = "CANCELLED"

    is_final: bool
    __hash__ = object.__hash__  # members are singletons; that of `Enum` is a function in Python

    def __init__(self, name: str) -> None:
        self.is_final = name in {"SUCCEEDED", "FAILED", "SKIPPED", "CANCELLED"}
