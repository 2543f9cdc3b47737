"""The queue of tasks that are ready for an attempt."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterator
from heapq import heappop, heappush

from standpipe.engine.resource_pool import ResourcePool
from standpipe.engine.tasks import ExecutorTask
from standpipe.model.resources import ResourceRequest
from standpipe.model.states import TaskState

#: What decides whether a task fits into the resource pool: cores, bytes, accelerators.
_Demand = tuple[float, int, int]

#: Tasks with their tickets, in the order in which they were added.
_Lane = deque[tuple[int, ExecutorTask]]


class ReadyQueue:
    """Tasks that are ready for an attempt. Due retries go first, by the time they were due; then the others, in order.

    A task that does not fit into the resource pool lets later ones pass, if they fit. To find those without a look at
    every task, tasks with the same demand share a lane. A task leaves the queue by no longer being ready.
    """

    def __init__(self) -> None:
        self._tickets = 0
        self._first_attempts: dict[_Demand, _Lane] = {}
        self._due_retries: dict[_Demand, _Lane] = {}
        self._delayed_retries: list[tuple[float, int, ExecutorTask]] = []  # a heap, by the time they are due

    def add(self, task: ExecutorTask) -> None:
        """Add a task that may start at once."""
        self._get_lane(self._first_attempts, task.resources).append((self._issue_ticket(task), task))

    def add_retry(self, task: ExecutorTask) -> None:
        """Add a task that may start at `task.due_at`."""
        heappush(self._delayed_retries, (task.due_at, self._issue_ticket(task), task))

    def find_next(self, now: float, pool: ResourcePool) -> ExecutorTask | None:
        """Return the task to start now, or None."""
        delayed = self._delayed_retries
        while delayed and (delayed[0][0] <= now or not _is_valid(*delayed[0][1:])):
            _, ticket, task = heappop(delayed)
            if _is_valid(ticket, task):
                self._get_lane(self._due_retries, task.resources).append((ticket, task))
        due = _find_first(self._due_retries, pool, by_due=True) if self._due_retries else None
        return due or _find_first(self._first_attempts, pool, by_due=False)

    @property
    def next_due(self) -> float | None:
        """When the next retry is due that was not when `find_next` was last called; None if there is none."""
        while self._delayed_retries and not _is_valid(*self._delayed_retries[0][1:]):
            heappop(self._delayed_retries)
        return self._delayed_retries[0][0] if self._delayed_retries else None

    def __iter__(self) -> Iterator[ExecutorTask]:
        """Yield all tasks in the queue, in the order in which they were added."""
        lanes = [*self._first_attempts.values(), *self._due_retries.values(), [e[1:] for e in self._delayed_retries]]
        entries = sorted(entry for lane in lanes for entry in lane)
        yield from (task for ticket, task in entries if _is_valid(ticket, task))

    def _issue_ticket(self, task: ExecutorTask) -> int:
        self._tickets += 1
        task.ticket = self._tickets
        return self._tickets

    @staticmethod
    def _get_lane(lanes: dict[_Demand, _Lane], request: ResourceRequest) -> _Lane:
        demand = (request.cpu, request.memory, request.gpus)
        lane = lanes.get(demand)
        if lane is None:
            lane = lanes[demand] = deque()
        return lane


def _is_valid(ticket: int, task: ExecutorTask) -> bool:
    """Return whether a task is still ready, and has not been added again since."""
    return task.state is TaskState.READY and task.ticket == ticket


def _find_first(lanes: dict[_Demand, _Lane], pool: ResourcePool, *, by_due: bool) -> ExecutorTask | None:
    """Return the first task that fits, of those at the heads of the lanes."""
    first, first_rank = None, (math.inf, 0)
    for lane in lanes.values():
        while lane:
            ticket, task = lane[0]
            if _is_valid(ticket, task):
                rank = (task.due_at if by_due else 0.0, ticket)
                if rank < first_rank and pool.fits(task.resources):
                    first, first_rank = task, rank
                break
            lane.popleft()
    return first
