"""The tasks of a run, as the machine keeps them."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

from standpipe.model.events import Failure
from standpipe.model.plan import Component, Dag, Loop, Node, Retry, TriggerStrategy
from standpipe.model.refs import TaskRef
from standpipe.model.resources import Needs
from standpipe.model.states import TaskState
from standpipe.model.values import Value


@dataclass(eq=False, slots=True)
class Task:
    """A task of the run: a DAG, a loop, an iteration of one (a DAG or an attempt by itself), or what is attempted.

    A DAG has `children` once it has started, a loop has `iterations`; `unfinished` counts those of them that are not
    final. `waiting` counts the upstream tasks that are not. Of a loop's iterations, `admitted` were looked at, whether
    they may start, and `open` of those that may are not final.
    `after_all` is set for tasks that run whatever became of those before them, and for all that is in them. `retry` is
    the task's own, or that of what it is in. There were so many `attempts` at it; those that `failed` since the run was
    resumed count for its retry. The first of these `began`, and the next one is `due`, at these seconds since the
    epoch. It `needs` so much of the machine, and its `place` is where it waits for that.
    """

    ref: TaskRef
    node: Node
    component: Component
    parent: Task | None = None
    waiting: int = 0
    state: TaskState = TaskState.PENDING
    inputs: Mapping[str, Value] = field(default_factory=dict)
    outputs: Mapping[str, Value] = field(default_factory=dict)
    failure: Failure | None = None
    children: dict[str, Task] = field(default_factory=dict)
    iterations: list[Task] = field(default_factory=list)
    item: Value = None
    admitted: int = 0
    open: int = 0
    unfinished: int = 0
    after_all: bool = False
    retry: Retry | None = None
    attempts: int = 0
    failed: int = 0
    began: float = 0.0
    due: float = 0.0
    needs: Needs = Needs()
    place: int = 0
    is_iteration: bool = field(init=False)
    loop: Loop | None = field(init=False)
    dag: Dag | None = field(init=False)

    def __post_init__(self) -> None:
        self.become(self.node, self.component)

    def become(self, node: Node, component: Component) -> None:
        """Takes a task's part in a Plan, or in another one: what follows from its node and its component."""
        self.node, self.component = node, component
        strategy = self.node.trigger.strategy
        inherited = self.parent is not None and self.parent.after_all
        self.after_all = inherited or strategy is TriggerStrategy.ALL_UPSTREAM_TASKS_COMPLETED
        self.retry = self.node.retry or (self.parent.retry if self.parent else None)
        self.is_iteration = self.ref.iteration is not None
        self.loop = None if self.is_iteration else self.node.loop
        self.dag = self.component.body if isinstance(self.component.body, Dag) and not self.loop else None

    @property
    def is_composite(self) -> bool:
        """Whether it has parts: a DAG or a loop."""
        return self.loop is not None or self.dag is not None

    @property
    def parts(self) -> Collection[Task]:
        """The tasks of a DAG, or the iterations of a loop."""
        return self.iterations if self.loop else self.children.values()
