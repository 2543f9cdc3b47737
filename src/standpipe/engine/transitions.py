"""The states of tasks: which fact leads from which state to which, and the history of each task."""

from __future__ import annotations

from standpipe.engine.tasks import BaseTask, DagMember, DagTask, ExecutorTask, Iteration, LoopTask, Transition
from standpipe.errors import InternalError
from standpipe.model.events import (
    AttemptFailed,
    AttemptStarted,
    DagStarted,
    Fact,
    IterationStarted,
    LoopStarted,
    TaskCancelled,
    TaskFact,
    TaskFailed,
    TaskReady,
    TaskSkipped,
    TaskSucceeded,
)
from standpipe.model.refs import TaskRef
from standpipe.model.states import TaskState

#: The facts that a state allows, and the state that each leads to.
TRANSITIONS: dict[TaskState, dict[type, TaskState]] = {
    TaskState.PENDING: {
        DagStarted: TaskState.RUNNING,
        LoopStarted: TaskState.RUNNING,
        IterationStarted: TaskState.RUNNING,
        TaskReady: TaskState.READY,
        TaskSkipped: TaskState.SKIPPED,
        TaskFailed: TaskState.FAILED,
        TaskCancelled: TaskState.CANCELLED,
    },
    TaskState.READY: {
        AttemptStarted: TaskState.RUNNING,
        TaskFailed: TaskState.FAILED,
        TaskCancelled: TaskState.CANCELLED,
    },
    TaskState.RUNNING: {
        AttemptFailed: TaskState.READY,
        TaskSucceeded: TaskState.SUCCEEDED,
        TaskFailed: TaskState.FAILED,
        TaskCancelled: TaskState.CANCELLED,
    },
    TaskState.SUCCEEDED: {},
    TaskState.FAILED: {},
    TaskState.SKIPPED: {},
    TaskState.CANCELLED: {},
}

#: The facts that only one kind of task in one position allows. The others are for all tasks but the root.
_KINDS: dict[type, tuple[type, type]] = {
    DagStarted: (DagTask, DagMember),
    IterationStarted: (DagTask, Iteration),
    LoopStarted: (LoopTask, DagMember),
    TaskReady: (ExecutorTask, object),
    AttemptStarted: (ExecutorTask, object),
    AttemptFailed: (ExecutorTask, object),
}

_NAMES: dict[type, str] = {DagTask: "a DAG", LoopTask: "a loop", ExecutorTask: "an executor task"}

#: Stands for the event while stored facts are replayed.
REPLAY = "replay"


class IllegalTransition(InternalError):
    """An event or fact came for a task whose state does not allow it. The message holds the history of the task.

    Args:
        ref: the task.
        task: its record; None if the run has not reached it.
        what: the name of the fact, or of the event where no fact follows from it.
        event: the name of the event that is being handled.
    """

    def __init__(self, ref: TaskRef, task: BaseTask | None, what: str, event: str) -> None:
        super().__init__(
            f"Illegal transition of task '{ref}': {what} is not allowed {_describe(task)} (while handling {event}). "
            f"History of the task: {'; '.join(history_of(task)) or 'no transitions'}. "
            "This is a defect in Standpipe. Report it with this message."
        )


def _describe(task: BaseTask | None) -> str:
    if task is None:
        return "for a task that the run has not reached"
    return f"for {_NAMES[type(task)]} in state {task.state.value}"


def history_of(task: BaseTask | None) -> list[str]:
    """Return the transitions of a task, the first one first: `READY by TaskReady (while handling Start)`."""
    lines = []
    transition = task.history if task else None
    while transition:
        lines.append(f"{transition.state.value} by {transition.fact} (while handling {transition.event})")
        transition = transition.previous
    return lines[::-1]


class Transitions:
    """Changes the states of tasks, and keeps the history of each task.

    `event` is the name of the event that is being handled. Tasks that take the same steps share their history, so the
    table is consulted once for each sequence of steps that occurs, not once for each task.
    """

    def __init__(self) -> None:
        self.event = REPLAY
        self._known: dict[tuple[type, type, Transition | None, type, str], Transition] = {}

    def advance(self, task: BaseTask, fact: TaskFact) -> None:
        """Change the state of a task as a fact says.

        Raises:
            IllegalTransition: if the task does not allow the fact; the task is unchanged.
        """
        key = (task.__class__, task.position.__class__, task.history, fact.__class__, self.event)
        transition = self._known.get(key)
        if transition is None:
            state = TRANSITIONS[task.state].get(type(fact))
            kind, position = _KINDS.get(type(fact), (object, (DagMember, Iteration)))
            if state is None or not isinstance(task, kind) or not isinstance(task.position, position):
                raise IllegalTransition(fact.task, task, type(fact).__name__, self.event)
            transition = self._known[key] = Transition(state, type(fact).__name__, self.event, task.history)
        task.history, task.state = transition, transition.state

    def force(self, task: BaseTask, state: TaskState, fact: type[Fact]) -> None:
        """Change the state of a task as a fact about the whole run says."""
        task.history, task.state = Transition(state, fact.__name__, self.event, task.history), state
