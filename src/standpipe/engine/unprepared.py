"""The tasks that cannot be set up, for which a run is stopped."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from standpipe.model.events import Failure, TaskFailed
from standpipe.model.refs import TaskRef

#: The names of a task and of the groups that it is in, from the outside in, without the numbers of iterations.
_Names = tuple[str, ...]


class UnpreparedFailures:
    """The tasks that cannot be set up, with the failure of each."""

    def __init__(self) -> None:
        self._failures: dict[_Names, TaskFailed] = {}

    def __bool__(self) -> bool:
        return bool(self._failures)

    def add(self, failures: Iterable[TaskFailed]) -> None:
        """Add tasks; their references have no numbers of iterations."""
        self._failures.update((_names(failed.task), failed) for failed in failures)

    def find(self, ref: TaskRef) -> Failure | None:
        """Return the failure of a task that has not ended; None if it and all tasks in it can be set up."""
        if not self._failures:
            return None
        names = _names(ref)
        if own := self._failures.get(names):
            return own.failure
        inner = next((each for path, each in self._failures.items() if path[: len(names)] == names), None)
        if inner is None:
            return None
        # Without a cause: the run has not reached that task.
        return replace(inner.failure, message=f"its task '{inner.task}' {inner.failure.predicate}")


def _names(ref: TaskRef) -> _Names:
    return tuple(name for name, _ in ref.path)
