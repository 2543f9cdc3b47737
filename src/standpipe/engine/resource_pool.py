"""What of the machine is free for further attempts."""

from __future__ import annotations

from standpipe.engine.tasks import Task
from standpipe.model.resources import Capacity, Needs


class Room:
    """Counts what the running attempts hold: slots, cores, memory, accelerators.

    Args:
        capacity: what the machine has.
        slots: how many attempts may run at once.
    """

    def __init__(self, capacity: Capacity, slots: int) -> None:
        self._capacity = capacity
        self._slots = slots
        self._held: dict[Task, tuple[str, ...]] = {}
        self.clear()

    def clear(self) -> None:
        """Takes everything back."""
        self._held.clear()
        self._cpu = _thousandths(self._capacity.cpu)
        self._memory = self._capacity.memory
        self._gpus = dict.fromkeys(self._capacity.gpus)

    @property
    def has_slot(self) -> bool:
        """Whether another attempt may start at all."""
        return len(self._held) < self._slots

    @property
    def holders(self) -> tuple[Task, ...]:
        """The tasks with an attempt that runs."""
        return tuple(self._held)

    def fits(self, needs: Needs) -> bool:
        """Whether an attempt that needs so much may start now. One that is alone always may."""
        if not self._held:
            return True
        enough = _thousandths(needs.cpu) <= self._cpu and needs.memory <= self._memory
        return self.has_slot and enough and needs.gpus <= len(self._gpus)

    def free_gpus(self, number: int) -> tuple[str, ...]:
        """Accelerators to hand out, in the machine's order."""
        return tuple(gpu for gpu in self._capacity.gpus if gpu in self._gpus)[:number]

    def take(self, task: Task, gpus: tuple[str, ...]) -> None:
        """Notes that an attempt at the task runs, with these accelerators."""
        self._held[task] = gpus
        self._cpu -= _thousandths(task.needs.cpu)
        self._memory -= task.needs.memory
        for gpu in gpus:
            self._gpus.pop(gpu, None)  # the run may have begun on a machine that had others

    def give_back(self, task: Task) -> None:
        """Notes that the task's attempt has ended, if one ran."""
        if task not in self._held:
            return
        gpus = self._held.pop(task)
        self._cpu += _thousandths(task.needs.cpu)
        self._memory += task.needs.memory
        self._gpus.update(dict.fromkeys(gpu for gpu in gpus if gpu in self._capacity.gpus))


def _thousandths(cores: float) -> int:
    """Cores as a whole number, so that adding and taking away leaves nothing over."""
    return round(cores * 1000)
