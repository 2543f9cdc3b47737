"""The tasks of a run: what each task is, where it stands in its pipeline, and how far it has got."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Union

from standpipe.errors import InternalError
from standpipe.model.events import Failure
from standpipe.model.plan import Component, Dag, ExecutorRef, Loop, Node, Plan, Retry, TriggerStrategy
from standpipe.model.refs import ROOT, TaskRef
from standpipe.model.resources import NO_REQUEST, ResourceRequest
from standpipe.model.states import TaskState
from standpipe.model.values import Value

#: The inputs and outputs of a task before it has any. Tasks share them: there may be a hundred thousand.
_NO_VALUES: Mapping[str, Value] = MappingProxyType({})


class Transition:
    """A change of a task's state, linked to the task's previous one.

    `fact` and `event` are the names of the fact that changed the state and of the event that led to the fact. Tasks
    with the same history share these objects, so that a history costs a task one reference.
    """

    __slots__ = ("event", "fact", "previous", "state")

    def __init__(self, state: TaskState, fact: str, event: str, previous: Transition | None) -> None:
        self.state = state
        self.fact = fact
        self.event = event
        self.previous = previous


class DagMember:
    """The position of a task in a DAG, and the number of its upstream tasks that are not final."""

    __slots__ = ("parent", "unfinished_upstream")

    def __init__(self, parent: DagTask) -> None:
        self.parent = parent
        self.unfinished_upstream = 0


class Iteration:
    """The position of a task in a loop, and its item."""

    __slots__ = ("item", "parent")

    def __init__(self, parent: LoopTask, item: Value) -> None:
        self.parent = parent
        self.item = item


@dataclass(init=False, repr=False, eq=False, slots=True)
class BaseTask:
    """What all tasks of a run have.

    `position` is None for the root. `ignores_upstream_failure` is True for tasks that run whatever the state of their
    upstream tasks, and for all tasks in them. `retry` is the task's own, or that of the pipeline or loop around it.
    `history` is the last of the task's transitions, None before the first.
    """

    ref: TaskRef
    node: Node
    component: Component
    position: DagMember | Iteration | None = None
    ignores_upstream_failure: bool = False
    retry: Retry | None = None
    state: TaskState = TaskState.PENDING
    history: Transition | None = None
    inputs: Mapping[str, Value] = field(default_factory=lambda: _NO_VALUES)
    outputs: Mapping[str, Value] = field(default_factory=lambda: _NO_VALUES)
    failure: Failure | None = None

    def __repr__(self) -> str:
        return f"<{type(self).__name__} '{self.ref}' {self.state.value}>"

    @property
    def parts(self) -> Collection[Task]:
        """The tasks of a DAG, or the iterations of a loop; empty before it has started."""
        return ()


@dataclass(init=False, repr=False, eq=False, slots=True)
class CompositeTask(BaseTask):
    """A task that consists of other tasks; `unfinished_parts` of them are not final."""

    unfinished_parts: int = 0


@dataclass(repr=False, eq=False, slots=True)
class DagTask(CompositeTask):
    """A task that is a DAG: the run itself, a nested pipeline, or an iteration of a loop over one."""

    dag: Dag = field(kw_only=True)
    children: dict[str, Task] = field(default_factory=dict)

    @property
    def parts(self) -> Collection[Task]:
        return self.children.values()

    def walk(self) -> Iterator[Task]:
        """Yield this task and all tasks in it, each before its parts."""
        tasks: list[Task] = [self]
        for task in tasks:  # grows
            yield task
            tasks += task.parts


@dataclass(repr=False, eq=False, slots=True)
class LoopTask(CompositeTask):
    """A task that is a loop, with one iteration for each of its `items`.

    The iterations before number `next_to_admit` may have started; `active` of those are not final.
    """

    loop: Loop = field(kw_only=True)
    items: tuple[Value, ...] = ()
    iterations: list[Task] = field(default_factory=list)
    next_to_admit: int = 0
    active: int = 0

    @property
    def parts(self) -> Collection[Task]:
        return self.iterations


@dataclass(repr=False, eq=False, slots=True)
class ExecutorTask(BaseTask):
    """A task that runs an executor, in one or more attempts.

    `next_attempt` is the number of the next attempt, so as many have started. `retry_index` is that of the running
    attempt, or else of the next one. Both count as `model.events` says. The attempt with the retry index 0 started at
    `first_started_at`, the last one failed at `failed_at`, and the next retry may start at `due_at`, all in seconds
    since the epoch. The task acquires `resources` from the resource pool; `ticket` is its valid entry in the ready
    queue. `lost_attempts` is how many were lost with the machines that they ran on.
    """

    executor: ExecutorRef = field(kw_only=True)
    next_attempt: int = 0
    retry_index: int = 0
    first_started_at: float = 0.0
    failed_at: float = 0.0
    due_at: float = 0.0
    resources: ResourceRequest = NO_REQUEST
    ticket: int = 0
    lost_attempts: int = 0


Task = Union[DagTask, LoopTask, ExecutorTask]


def make_task(ref: TaskRef, node: Node, component: Component, position: DagMember | Iteration) -> Task:
    """Return a pending task of the kind that its node, component and position call for."""
    parent = position.parent
    strategy = node.trigger.strategy
    ignores = parent.ignores_upstream_failure or strategy is TriggerStrategy.ALL_UPSTREAM_TASKS_COMPLETED
    retry = node.retry or parent.retry
    if node.loop and isinstance(position, DagMember):
        return LoopTask(ref, node, component, position, ignores, retry, loop=node.loop)
    if isinstance(component.body, Dag):
        return DagTask(ref, node, component, position, ignores, retry, dag=component.body)
    return ExecutorTask(ref, node, component, position, ignores, retry, executor=component.body)


def make_root(plan: Plan) -> DagTask:
    """Return the pending task that stands for a run of a Plan."""
    return DagTask(ROOT, Node(plan.name, component=""), plan.root, dag=get_root_dag(plan))


def get_root_dag(plan: Plan) -> Dag:
    """Return the DAG of a Plan's root component.

    Raises:
        InternalError: if the root component runs an executor.
    """
    if not isinstance(plan.root.body, Dag):
        raise InternalError(f"The root component of the Plan {plan.name!r} is not a DAG.")
    return plan.root.body
