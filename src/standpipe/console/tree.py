"""The tasks of a run as a tree, which the facts of the run keep up to date.

Each fact costs a constant time. Tasks outside of loops stay in the tree. A loop is one node with counts; of its tasks,
the tree has only those that run, or wait for their next attempt. So a loop of 100,000 iterations is a small tree.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from graphlib import TopologicalSorter
from typing import Any

from standpipe.console.nodes import Loop, Node, State
from standpipe.model import events as e
from standpipe.model.plan import Dag, Plan
from standpipe.model.plan import Node as PlanNode
from standpipe.model.refs import ROOT, TaskRef


class TaskTree:
    """The state of a run for a display.

    Args:
        plan: the Plan of the run; without one, tasks appear when they become ready.
    """

    def __init__(self, plan: Plan | None = None) -> None:
        self._plan = plan
        self.root = Node(ROOT, "", None, plan.root if plan else None)
        self.running: dict[TaskRef, Node] = {}  # the tasks with an attempt in progress
        self.totals: Counter[State] = Counter()  # of tasks that have ended, those in loops included
        self.kept = 0  # so many tasks had succeeded before the run was resumed, and are not rerun
        self.requested_memory = 0  # by the attempts in progress, in bytes
        self.end: e.RunEnded | None = None
        self._nodes: dict[TaskRef, Node] = {ROOT: self.root}
        self._requests: dict[TaskRef, int] = {}
        self._restored: set[TaskRef] = set()  # the tasks that had succeeded before the run was resumed
        self._add_children(self.root)

    @property
    def size(self) -> int:
        """The number of nodes, with those in loops that run."""
        return len(self._nodes) - 1

    def apply(self, facts: Iterable[e.Fact], now: float | None) -> None:
        """Take facts.

        Args:
            facts: the facts, in their order.
            now: the time, in seconds of any clock; None if it is unknown, as for facts before a run was resumed.
        """
        for fact in facts:
            _HANDLERS[type(fact)](self, fact, now)

    def restore(self, facts: Iterable[e.Fact]) -> None:
        """Take the facts of a run that is about to be resumed."""
        self.apply(facts, None)
        self.totals.clear()
        self.end = None

    # --- groups -------------------------------------------------------------------------------------------------------

    def _ignore(self, fact: Any, now: float | None) -> None:
        pass

    def _dag_started(self, fact: e.DagStarted, now: float | None) -> None:
        if _loop_around(fact.task) is None:
            node = self._node(fact.task)
            self._start(node, now)
            self._add_children(node)

    def _loop_started(self, fact: e.LoopStarted, now: float | None) -> None:
        around = _loop_around(fact.task)
        if around is None:
            former = self._node(fact.task)
            assert former.parent is not None, "only the root has no parent"
            loop = Loop(fact.task, former.name, former.parent, len(fact.items))
            former.parent.add(loop)
        else:
            loop = Loop(fact.task, _path_in(around, fact.task), self._nodes.get(around), len(fact.items))
        self._nodes[fact.task] = loop
        self._start(loop, now)

    def _start(self, node: Node, now: float | None) -> None:
        node.started = now if node.started is None else node.started
        node.set_state(State.RUNNING)

    def _add_children(self, node: Node) -> None:
        """Add the tasks of a pipeline that the Plan names, which wait."""
        if self._plan is None or node.component is None or not isinstance(node.component.body, Dag):
            return
        nodes = node.component.body.nodes
        for name in _in_order(nodes):
            if name not in node.children:
                child, ref = nodes[name], node.ref.child(name)
                component = self._plan.components.get(child.component)
                self._nodes[ref] = node.add(Node(ref, child.display_name or name, node, component))

    # --- tasks --------------------------------------------------------------------------------------------------------

    def _task_ready(self, fact: e.TaskReady, now: float | None) -> None:
        if fact.resources.memory:
            self._requests[fact.task] = fact.resources.memory
        if _loop_around(fact.task) is None:
            self._node(fact.task).set_state(State.READY)

    def _attempt_started(self, fact: e.AttemptStarted, now: float | None) -> None:
        node = self._node(fact.task)
        node.attempt = fact.attempt + 1
        self.running[fact.task] = node
        self.requested_memory += self._requests.get(fact.task, 0)
        self._start(node, now)

    def _attempt_failed(self, fact: e.AttemptFailed, now: float | None) -> None:
        node = self._stop(fact.task) or self._node(fact.task)
        node.attempt, node.max_attempts = fact.attempt + 2, fact.max_attempts
        node.due = (now or 0.0) + fact.delay
        node.set_state(State.RETRYING)

    def _stop(self, task: TaskRef) -> Node | None:
        """Return the node of a task whose attempt has ended; None if none was in progress."""
        node = self.running.pop(task, None)
        if node is not None:
            self.requested_memory -= self._requests.get(task, 0)
        return node

    def _succeeded(self, fact: e.TaskSucceeded, now: float | None) -> None:
        self._finish(fact.task, State.CACHED if fact.cached_from else State.SUCCEEDED, now)

    def _failed(self, fact: e.TaskFailed, now: float | None) -> None:
        is_own = not fact.failure.cause_task
        self._finish(fact.task, State.FAILED, now, counts=is_own, note=fact.failure.message if is_own else "")

    def _skipped(self, fact: e.TaskSkipped, now: float | None) -> None:
        self._finish(fact.task, State.SKIPPED, now, counts=True, note=fact.reason)

    def _cancelled(self, fact: e.TaskCancelled, now: float | None) -> None:
        self._finish(fact.task, State.CANCELLED, now)

    def _finish(self, task: TaskRef, state: State, now: float | None, *, counts: bool = False, note: str = "") -> None:
        """End a task.

        Args:
            task: the task.
            state: its final state.
            now: the time.
            counts: whether it counts as a task even if it has not started: it is not only a group of others.
            note: why it has this state.
        """
        stopped, node = self._stop(task), self._nodes.get(task)
        is_retried = node is not None and node.state is State.RETRYING
        self._requests.pop(task, None)
        if stopped is not None or is_retried or counts:
            self.totals[state] += 1
            if now is None and state in (State.SUCCEEDED, State.CACHED):
                self._restored.add(task)
        if task.iteration is not None:
            loop = self._nodes.get(task.whole)
            if isinstance(loop, Loop):
                loop.set_iteration(task.iteration, State.SUCCEEDED if state is State.CACHED else state)
        if _loop_around(task) is None:
            node = self._node(task)
            node.ended, node.note = now, note
            node.active.clear()
            node.set_state(state)
        elif node is not None:
            node.set_state(state)
            del self._nodes[task]

    def _node(self, task: TaskRef) -> Node:
        """Return the node of a task, which is made if it is new."""
        node = self._nodes.get(task)
        if node is None:
            around = _loop_around(task)
            if around is None:
                parent = self._node(task.parent)
                node = parent.add(Node(task, task.name, parent))
            else:
                node = Node(task, _path_in(around, task), self._nodes.get(around))
            self._nodes[task] = node
        return node

    # --- runs ---------------------------------------------------------------------------------------------------------

    def _run_ended(self, fact: e.RunEnded, now: float | None) -> None:
        self.end = fact

    def _run_resumed(self, fact: e.RunResumed, now: float | None) -> None:
        """Reset the tasks that are rerun, and those that have not succeeded."""
        reruns = frozenset(fact.rerun_tasks)
        self._restored = {task for task in self._restored if not task.is_within(reruns)}
        self.kept = len(self._restored)
        for task in fact.rerun_tasks:
            around = _loop_around(task)
            if around is None:
                self._reset(task)
            else:
                loop, step = self._nodes.get(around), task.path[len(around.path) - 1][1]
                if isinstance(loop, Loop) and step is not None:
                    loop.set_iteration(step, State.PENDING)
        for task in [*self.running]:
            self._stop(task)
        for task, node in [*self._nodes.items()]:
            if task.path and node.state not in (State.SUCCEEDED, State.CACHED, State.SKIPPED):
                is_open = (isinstance(node, Loop) or node.children) and node.state is not State.PENDING
                node.set_state(State.RUNNING if is_open else State.PENDING)
                node.started = node.ended = None
            if _loop_around(task) is not None:
                node.set_state(State.PENDING)
                del self._nodes[task]
        self.end = None

    def _reset(self, task: TaskRef) -> None:
        """Replace a task, and all in it, by one that waits; remove one that the Plan no longer has."""
        node = self._nodes.get(task)
        if node is None or node.parent is None:
            return
        self._forget(node)
        parent = node.parent
        body = parent.component.body if parent.component else None
        if isinstance(body, Dag) and task.name not in body.nodes:
            parent.forget(node)
            del parent.children[task.name]
        else:
            self._nodes[task] = parent.add(Node(task, node.name, parent, node.component))

    def _forget(self, node: Node) -> None:
        """Remove a node and those below it."""
        self._nodes.pop(node.ref, None)
        for child in node.children.values():
            self._forget(child)


def _in_order(nodes: Mapping[str, PlanNode]) -> Iterable[str]:
    """Return the names of tasks in the order in which they can run: each after those that it waits for."""
    upstream = {name: [other for other in node.upstream if other in nodes] for name, node in nodes.items()}
    return TopologicalSorter(upstream).static_order()


def _loop_around(task: TaskRef) -> TaskRef | None:
    """Return the innermost loop that a task is in; None if it is in none."""
    path = task.path
    for index in range(len(path) - 1, -1, -1):
        if path[index][1] is not None:
            return TaskRef((*path[:index], (path[index][0], None)))
    return None


def _path_in(loop: TaskRef, task: TaskRef) -> str:
    """Return the path of a task in a loop: the number of the iteration, and the names below it."""
    depth = len(loop.path)
    below = TaskRef(task.path[depth:])
    return "/".join(filter(None, (f"{task.path[depth - 1][1]}", str(below))))


_HANDLERS: dict[type, Callable[[Any, Any, float | None], None]] = {
    e.RunStarted: TaskTree._ignore,
    e.DagStarted: TaskTree._dag_started,
    e.LoopStarted: TaskTree._loop_started,
    e.IterationStarted: TaskTree._ignore,
    e.TaskReady: TaskTree._task_ready,
    e.AttemptStarted: TaskTree._attempt_started,
    e.AttemptFailed: TaskTree._attempt_failed,
    e.TaskSucceeded: TaskTree._succeeded,
    e.TaskFailed: TaskTree._failed,
    e.TaskSkipped: TaskTree._skipped,
    e.TaskCancelled: TaskTree._cancelled,
    e.RunCancelled: TaskTree._ignore,
    e.RunResumed: TaskTree._run_resumed,
    e.RunEnded: TaskTree._run_ended,
}
