"""The resources that attempts share: slots, cores, memory, accelerators."""

from __future__ import annotations

from standpipe.engine.tasks import ExecutorTask, Task
from standpipe.model.resources import NO_REQUEST, Capacity, ResourceRequest


class ResourcePool:
    """Counts what running attempts have acquired.

    Args:
        capacity: what the machine has.
        slots: how many attempts may run at once.

    Attributes:
        slots: as above.
    """

    def __init__(self, capacity: Capacity, slots: int) -> None:
        self._capacity = capacity
        self.slots = slots
        self._holders: dict[ExecutorTask, tuple[str, ...]] = {}
        self.release_all()

    def release_all(self) -> None:
        """Free everything."""
        self._holders.clear()
        self._free_cpu = _to_millicores(self._capacity.cpu)
        self._free_memory = self._capacity.memory
        self._free_gpus = dict.fromkeys(self._capacity.gpus)

    @property
    def has_free_slot(self) -> bool:
        """Whether fewer attempts run than may."""
        return len(self._holders) < self.slots

    @property
    def holders(self) -> tuple[ExecutorTask, ...]:
        """The tasks with a running attempt."""
        return tuple(self._holders)

    def fits(self, request: ResourceRequest) -> bool:
        """Return whether an attempt with this request may start now. One that would run alone always may."""
        if not self._holders:
            return True
        if request is NO_REQUEST:
            return self.has_free_slot and self._free_cpu >= 0 and self._free_memory >= 0
        enough = _to_millicores(request.cpu) <= self._free_cpu and request.memory <= self._free_memory
        return self.has_free_slot and enough and request.gpus <= len(self._free_gpus)

    def count_fitting(self, request: ResourceRequest) -> int:
        """Return how many attempts with this request can run at once if no others do, at least 1."""
        count = self.slots
        if request.cpu:
            count = min(count, _to_millicores(self._capacity.cpu) // _to_millicores(request.cpu))
        if request.memory:
            count = min(count, self._capacity.memory // request.memory)
        if request.gpus:
            count = min(count, len(self._capacity.gpus) // request.gpus)
        return max(1, count)

    def select_gpus(self, number: int) -> tuple[str, ...]:
        """Return free accelerators for an attempt, in the machine's order."""
        return tuple(gpu for gpu in self._capacity.gpus if gpu in self._free_gpus)[:number] if number else ()

    def acquire(self, task: ExecutorTask, gpus: tuple[str, ...]) -> None:
        """Take what an attempt at the task needs, with these accelerators."""
        self._holders[task] = gpus
        if task.resources is not NO_REQUEST:
            self._free_cpu -= _to_millicores(task.resources.cpu)
            self._free_memory -= task.resources.memory
        for gpu in gpus:
            self._free_gpus.pop(gpu, None)  # a run may have started on a machine with other accelerators

    def release(self, task: Task) -> None:
        """Free what the task's attempt acquired, if one runs."""
        gpus = self._holders.pop(task, None)  # type: ignore[arg-type]  # no other task is a key
        if gpus is None:
            return
        if isinstance(task, ExecutorTask) and task.resources is not NO_REQUEST:
            self._free_cpu += _to_millicores(task.resources.cpu)
            self._free_memory += task.resources.memory
        if gpus:
            self._free_gpus.update(dict.fromkeys(gpu for gpu in gpus if gpu in self._capacity.gpus))


def _to_millicores(cores: float) -> int:
    """Return cores as a whole number, so that sums are exact."""
    return round(cores * 1000)
