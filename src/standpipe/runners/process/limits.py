"""What holds a task's process to its limits: a control group or, where there can be none, the next best thing."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from typing import Any

from standpipe.model.ports import Outcome
from standpipe.model.resources import Limits
from standpipe.runners.process.cgroups import ControlGroups, Group
from standpipe.runners.process.cpu_affinity import Cores
from standpipe.runners.process.memory_watch import MemoryWatch, backstop


@dataclass(frozen=True)
class Bounds:
    """The limits of one attempt.

    `told` is for its process (`worker.limits.enter`), `watch` for whoever waits for it, unless the process says that
    it is in the group.
    """

    told: Mapping[str, Any] = field(default_factory=dict)
    watch: MemoryWatch | None = None
    group: Group | None = None

    def measured(self, outcome: Outcome, *, grouped: bool) -> Outcome:
        """The outcome, with what the group knows of it if the process was in there."""
        if self.group is None or not grouped:
            return outcome
        usage = self.group.usage()
        return replace(
            outcome,
            cpu_seconds=usage.cpu_seconds or outcome.cpu_seconds,
            peak_memory=usage.peak_memory or outcome.peak_memory,
            out_of_memory=outcome.out_of_memory or bool(usage.kills and not outcome.succeeded),
        )


NO_BOUNDS = Bounds()


class Limiter:
    """Makes the bounds of attempts."""

    def __init__(self, groups: ControlGroups | None = None) -> None:
        self._groups = groups or ControlGroups()
        self._cores = Cores()

    @contextmanager
    def bounds(self, limits: Limits) -> Iterator[Bounds]:
        """The bounds for one attempt, which last as long as the block."""
        if limits.cpu is None and limits.memory is None:
            yield NO_BOUNDS
            return
        with ExitStack() as stack:
            told: dict[str, Any] = {}
            group = self._groups.group(limits)
            if group is not None:
                stack.callback(group.remove)
                told["group"] = group.entrance
            if limits.cpu is not None:
                told["cores"] = stack.enter_context(self._cores.some(limits.cpu))
            if limits.memory is not None:
                told["data"] = backstop(limits.memory)
            yield Bounds(told, None if limits.memory is None else MemoryWatch(limits.memory), group)


def variables(limits: Limits) -> dict[str, str]:
    """What says to a process, or to the tools of a container, which accelerators are its own."""
    names = ",".join(limits.gpus)
    return {"CUDA_VISIBLE_DEVICES": names, "NVIDIA_VISIBLE_DEVICES": names} if names else {}
