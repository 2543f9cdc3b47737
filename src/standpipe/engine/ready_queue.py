"""Tasks that are ready for an attempt, and who of them is next."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from heapq import heappop, heappush

from standpipe.engine.resource_pool import Room
from standpipe.engine.tasks import Task
from standpipe.model.resources import Needs
from standpipe.model.states import TaskState

#: What of a task's needs decides whether it may start.
_Demand = tuple[float, int, int]


class Waiting:
    """Who waits for a slot. Those whose next attempt is due go first, by when that is; then the others, in order.

    A task that the machine has no room for now lets those behind it pass, if they fit. To find them without looking at
    everybody, those that need the same stand in a line of their own. A task leaves by not being ready any more.
    """

    def __init__(self) -> None:
        self._entries = 0
        self._fresh: dict[_Demand, deque[tuple[int, Task]]] = {}  # for their first attempts
        self._due: dict[_Demand, deque[tuple[int, Task]]] = {}  # for another one, whose time has come
        self._resting: list[tuple[float, int, Task]] = []  # a heap: for another one, by when that is due

    def add(self, task: Task) -> None:
        """Lets a task wait that may start at once."""
        self._line(self._fresh, task.needs).append((self._enter(task), task))

    def rest(self, task: Task) -> None:
        """Lets a task wait for its next attempt, which is due at `task.due`."""
        heappush(self._resting, (task.due, self._enter(task), task))

    def next(self, now: float, room: Room) -> Task | None:
        """Who may start now."""
        while self._resting and (self._resting[0][0] <= now or not _is_valid(*self._resting[0][1:])):
            _, place, task = heappop(self._resting)
            if _is_valid(place, task):
                self._line(self._due, task.needs).append((place, task))
        return _first(self._due, room, by_due=True) or _first(self._fresh, room, by_due=False)

    @property
    def next_due(self) -> float | None:
        """When the next attempt is due that was not yet when `next` was asked last."""
        while self._resting and not _is_valid(*self._resting[0][1:]):
            heappop(self._resting)
        return self._resting[0][0] if self._resting else None

    def __iter__(self) -> Iterator[Task]:
        """All that wait, in the order in which they began to."""
        lines = [*self._fresh.values(), *self._due.values(), [entry[1:] for entry in self._resting]]
        yield from (task for place, task in sorted(entry for line in lines for entry in line) if _is_valid(place, task))

    def _enter(self, task: Task) -> int:
        self._entries += 1
        task.place = self._entries
        return self._entries

    @staticmethod
    def _line(lines: dict[_Demand, deque[tuple[int, Task]]], needs: Needs) -> deque[tuple[int, Task]]:
        return lines.setdefault((needs.cpu, needs.memory, needs.gpus), deque())


def _is_valid(place: int, task: Task) -> bool:
    """Whether a task still waits at its place in a line."""
    return task.state is TaskState.READY and task.place == place


def _first(lines: dict[_Demand, deque[tuple[int, Task]]], room: Room, *, by_due: bool) -> Task | None:
    """Of those at the heads of the lines that fit, the first."""
    heads = []
    for line in lines.values():
        while line and not _is_valid(*line[0]):
            line.popleft()
        if line and room.fits(line[0][1].needs):
            place, task = line[0]
            heads.append((task.due if by_due else 0.0, place, task))
    return min(heads)[2] if heads else None
