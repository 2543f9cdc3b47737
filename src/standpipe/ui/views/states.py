"""The states of runs and tasks, as pages name, order and count them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from standpipe.history import Status, Task
from standpipe.model.frozen import frozen

#: Cached tasks have succeeded; pages show them apart.
CACHED = "CACHED"

#: The state of a task that the run has not reached.
PENDING = "PENDING"

#: All states with their labels. Those that need attention first.
LABELS = {
    Status.FAILED.value: "Failed",
    Status.RUNNING.value: "Running",
    Status.READY.value: "Waiting",
    Status.CANCELLED.value: "Cancelled",
    Status.INTERRUPTED.value: "Interrupted",
    Status.SUCCEEDED.value: "Succeeded",
    CACHED: "Cached",
    Status.SKIPPED.value: "Skipped",
    PENDING: "Not started",
}
_ORDER = {state: number for number, state in enumerate(LABELS)}


@frozen
class StateCount:
    """How many tasks have a state."""

    state: str
    label: str
    count: int


def state_of(task: Task) -> str:
    """Return the state of a task, a key of `LABELS`."""
    return CACHED if task.cached_from and task.status is Status.SUCCEEDED else task.status.value


def urgency(state: str) -> int:
    """Return the place of a state in the order in which pages list states."""
    return _ORDER[state]


def count_states(tasks: Iterable[Task]) -> list[StateCount]:
    """Count the tasks without children by state, in the order of `LABELS`."""
    counts = Counter(state_of(task) for task in tasks if not task.children)
    return [StateCount(state, LABELS[state], counts[state]) for state in LABELS if counts[state]]
