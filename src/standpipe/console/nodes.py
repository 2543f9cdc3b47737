"""The nodes of the tree of a run, and their states."""

from __future__ import annotations

import enum
from collections import Counter

from standpipe.model.plan import Component
from standpipe.model.refs import TaskRef


class State(enum.Enum):
    """What a person sees of the state of a task: that of the engine, with more detail."""

    PENDING = "waiting"  # for its upstream tasks
    READY = "ready"  # waits for a free slot, or for resources
    RUNNING = "running"
    RETRYING = "retrying"  # waits for its next attempt
    SUCCEEDED = "succeeded"
    CACHED = "cached"
    SKIPPED = "skipped"
    FAILED = "failed"
    CANCELLED = "cancelled"

    __hash__ = object.__hash__  # members are singletons; that of `Enum` is a function in Python


ACTIVE = frozenset((State.RUNNING, State.RETRYING))
WAITING = frozenset((State.PENDING, State.READY))
FINISHED = frozenset((State.SUCCEEDED, State.CACHED, State.SKIPPED, State.CANCELLED))


class Node:
    """A task outside of loops, or one in a loop while it runs.

    Times are those of the clock that `TaskTree.apply` gets, None if they are unknown. `children` are the tasks of a
    nested pipeline, a condition or another block; `counts`, `active` and `failed` are kept for them. `attempt` is the
    number of the attempt that runs or comes next, from 1, and `due` when the next one starts.
    """

    __slots__ = (
        *("active", "attempt", "children", "component", "counts", "due", "ended", "failed", "max_attempts"),
        *("name", "note", "parent", "ref", "started", "state"),
    )

    def __init__(self, ref: TaskRef, name: str, parent: Node | None, component: Component | None = None) -> None:
        self.ref, self.name, self.parent, self.component = ref, name, parent, component
        self.state = State.PENDING
        self.started: float | None = None
        self.ended: float | None = None
        self.due: float = 0.0
        self.attempt = self.max_attempts = 1
        self.note = ""
        self.children: dict[str, Node] = {}
        self.active: dict[Node, None] = {}
        self.failed: dict[Node, None] = {}
        self.counts: Counter[State] = Counter()

    def set_state(self, state: State) -> None:
        """Change the state, and what is kept for it around this node."""
        if self.parent is not None:
            self.parent.forget(self)
            self.parent.note_state(self, state)
        self.state = state

    def add(self, child: Node) -> Node:
        """Add a child, or replace the one of its name, and return it."""
        former = self.children.get(child.ref.name)
        if former is not None:
            self.forget(former)
        self.children[child.ref.name] = child
        self.note_state(child, child.state)
        return child

    def forget(self, child: Node) -> None:
        """Take the state of a child out of what is kept."""
        self.counts[child.state] -= 1
        self.active.pop(child, None)
        self.failed.pop(child, None)

    def note_state(self, child: Node, state: State) -> None:
        """Add the state of a child to what is kept."""
        self.counts[state] += 1
        if state in ACTIVE:
            self.active[child] = None
        elif state is State.FAILED:
            self.failed[child] = None


#: The states of iterations, each as the number that stands for it.
_ITERATION_STATES = (State.PENDING, State.SUCCEEDED, State.FAILED, State.SKIPPED, State.CANCELLED)


class Loop(Node):
    """A loop: counts of its iterations, and the tasks in it that are running, or loops in it, as its `active`."""

    __slots__ = ("_states", "total")

    def __init__(self, ref: TaskRef, name: str, parent: Node | None, total: int) -> None:
        super().__init__(ref, name, parent)
        self.total = total
        self.counts[State.PENDING] = total
        self._states = bytearray(total)  # a byte for each iteration

    def set_iteration(self, index: int, state: State) -> None:
        """Set the state of an iteration; iterations may be reset when a run is resumed."""
        if index < self.total:
            self.counts[_ITERATION_STATES[self._states[index]]] -= 1
            self._states[index] = _ITERATION_STATES.index(state)
            self.counts[state] += 1

    @property
    def finished(self) -> int:
        """The number of iterations that have ended, without the cancelled ones, most of which had not begun."""
        return self.total - self.counts[State.PENDING] - self.counts[State.CANCELLED]

    def forget(self, child: Node) -> None:
        self.active.pop(child, None)

    def note_state(self, child: Node, state: State) -> None:
        if state in ACTIVE:
            self.active[child] = None
