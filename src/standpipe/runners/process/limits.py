"""Limits of a task's processes: enforced by a control group or, where there can be none, by the next best means."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from typing import Any

from standpipe.model.attempts import Outcome
from standpipe.model.resources import Limits
from standpipe.runners.process.cgroups import ControlGroups, Group
from standpipe.runners.process.cpu_affinity import CorePool
from standpipe.runners.process.memory_watch import MemoryWatch, process_limit


@dataclass(frozen=True)
class AttemptLimits:
    """How the limits of one attempt are enforced.

    `message` is for its process (`worker.limits.enter`). `watch` is for the thread that waits for it, unless the
    process reports that it has joined `group`.
    """

    message: Mapping[str, Any] = field(default_factory=dict)
    watch: MemoryWatch | None = None
    group: Group | None = None

    def add_usage(self, outcome: Outcome, *, grouped: bool) -> Outcome:
        """Return the outcome with the usage that the group has counted, if the process was in the group."""
        if self.group is None or not grouped:
            return outcome
        usage = self.group.usage()
        return replace(
            outcome,
            cpu_seconds=usage.cpu_seconds or outcome.cpu_seconds,
            peak_memory=usage.peak_memory or outcome.peak_memory,
            out_of_memory=outcome.out_of_memory or bool(usage.kills and not outcome.succeeded),
        )


UNLIMITED = AttemptLimits()


class Limiter:
    """Sets up the limits of attempts."""

    def __init__(self, groups: ControlGroups | None = None) -> None:
        self._groups = groups or ControlGroups()
        self._cores = CorePool()

    @contextmanager
    def limit(self, limits: Limits) -> Iterator[AttemptLimits]:
        """Set up the limits of one attempt, for as long as the block lasts."""
        if limits.cpu is None and limits.memory is None:
            yield UNLIMITED
            return
        with ExitStack() as stack:
            message: dict[str, Any] = {}
            group = self._groups.create(limits)
            if group is not None:
                stack.callback(group.remove)
                message["group"] = group.join_file
            if limits.cpu is not None:
                message["cores"] = stack.enter_context(self._cores.reserve(limits.cpu))
            if limits.memory is not None:
                message["data"] = process_limit(limits.memory)
            yield AttemptLimits(message, None if limits.memory is None else MemoryWatch(limits.memory), group)


def gpu_variables(limits: Limits) -> dict[str, str]:
    """Return the variables that tell a process, or the tools of a container, which accelerators it may use."""
    names = ",".join(limits.gpus)
    return {"CUDA_VISIBLE_DEVICES": names, "NVIDIA_VISIBLE_DEVICES": names} if names else {}
