"""Which tasks to rerun when a run is resumed, and why.

A task that succeeded keeps its result, unless the task itself, or something that it depends on, has changed. A skipped
task stays skipped under the same condition.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import NamedTuple

from standpipe.engine.tasks import DagMember, DagTask, ExecutorTask, Iteration, LoopTask, Task, get_root_dag
from standpipe.engine.topology import Topologies
from standpipe.model.plan import Dag, Loop, Node, Plan
from standpipe.model.refs import TaskRef
from standpipe.model.states import TaskState

#: Returns how a component has changed, from its key in the old Plan and its key in the new one; empty if it has not.
Difference = Callable[[str, str], str]

_UNSUCCESSFUL = {
    TaskState.FAILED: "it failed",
    TaskState.CANCELLED: "it was cancelled",
    TaskState.RUNNING: "it was interrupted",
}


def select_reruns(
    root: DagTask, plan: Plan, difference: Difference, reasons: Mapping[TaskRef, str]
) -> dict[TaskRef, str]:
    """Return the tasks of a run that have to be rerun, each with the reason.

    Tasks that never started are not among them, and neither is what is in a DAG or loop that is rerun as a whole.

    Args:
        root: the run as it is, with the Plan that it had.
        plan: the Plan to resume with.
        difference: compares components that have an executor.
        reasons: reasons of the caller, such as that the user named a task.
    """
    return _Selection(plan, difference, reasons).select(root)


def find_removed_tasks(root: DagTask, plan: Plan) -> tuple[TaskRef, ...]:
    """Return the tasks of a run that a Plan does not have any more, without what is in them."""
    return tuple(
        child.ref
        for pair in _pair_with_plan(root, plan)
        if isinstance(pair.task, DagTask) and pair.dag
        for name, child in pair.task.children.items()
        if name not in pair.dag.nodes
    )


class _Pair(NamedTuple):
    """A task of the run, with its node in the Plan to resume with, and the node's DAG if it is one."""

    task: Task
    node: Node
    dag: Dag | None


class _Selection:
    def __init__(self, plan: Plan, difference: Difference, reasons: Mapping[TaskRef, str]) -> None:
        self._plan = plan
        self._topologies = Topologies()
        self._difference = difference
        self._reasons = reasons
        self._own_reasons: dict[TaskRef, str] = {}  # reasons that do not come from upstream tasks
        self._outdated: set[TaskRef] = set()  # tasks whose outputs may change

    def select(self, root: DagTask) -> dict[TaskRef, str]:
        """Return the tasks to rerun."""
        pairs = list(_pair_with_plan(root, self._plan))
        for pair in reversed(pairs):  # parts before the whole
            self._examine(pair)
        reruns: dict[TaskRef, str] = {}
        for pair in pairs:  # the whole before its parts
            if not pair.task.ref.is_within(reruns):
                reruns.update(self._select_parts(pair))
        return reruns

    def _examine(self, pair: _Pair) -> None:
        """Find the task's own reason, and whether its outputs may change."""
        task = pair.task
        reason = self._find_own_reason(pair)
        if reason:
            self._own_reasons[task.ref] = reason
        is_done = task.state in (TaskState.SUCCEEDED, TaskState.SKIPPED)
        if reason or not is_done or _is_changed_dag(pair) or any(part.ref in self._outdated for part in task.parts):
            self._outdated.add(task.ref)

    def _find_own_reason(self, pair: _Pair) -> str:
        task = pair.task
        if task.ref in self._reasons:
            return self._reasons[task.ref]
        if task.position is None or task.state is TaskState.PENDING:
            return ""
        if not task.parts and task.state in _UNSUCCESSFUL:
            return _UNSUCCESSFUL[task.state]
        return self._describe_change(pair)

    def _describe_change(self, pair: _Pair) -> str:
        """Return how a task differs from what it was; empty if it does not."""
        task, old, new = pair.task, pair.task.node, pair.node
        if isinstance(task.position, Iteration):
            is_dag = isinstance(task, DagTask) and pair.dag
            return "" if is_dag else self._difference(old.component, new.component)
        if old.inputs != new.inputs:
            return "its inputs have changed"
        if old.trigger != new.trigger:
            return "its condition has changed"
        if _get_items(old.loop) != _get_items(new.loop):
            return "its loop has changed"
        if _has_skipped(task.position, {*old.upstream} ^ {*new.upstream}):
            return "its upstream tasks have changed"
        if isinstance(task, ExecutorTask):
            return self._difference(old.component, new.component)
        if task.component.inputs != self._plan.components[new.component].inputs:
            return "its declared inputs have changed"
        if isinstance(task, DagTask) and not pair.dag:
            return "it is no longer a pipeline"
        return ""

    def _select_parts(self, whole: _Pair) -> Iterator[tuple[TaskRef, str]]:
        """Yield the parts to rerun of a DAG or loop that is not rerun as a whole."""
        if isinstance(whole.task, LoopTask):
            for part in whole.task.iterations:
                if part.ref in self._own_reasons:
                    yield part.ref, self._own_reasons[part.ref]
        elif isinstance(whole.task, DagTask) and whole.dag:
            yield from self._select_children(whole.task, whole.dag)

    def _select_children(self, dag: DagTask, new: Dag) -> Iterator[tuple[TaskRef, str]]:
        outdated: set[str] = set()
        for name in self._topologies.get(new).sort():
            child = dag.children.get(name)
            if child is None or child.state is TaskState.PENDING:
                outdated.add(name)
                continue
            reason = self._own_reasons.get(child.ref, "")
            if not reason:
                upstream = [other for other in new.nodes[name].upstream if other in outdated]
                reason = f"its upstream task '{upstream[-1]}' has to run" if upstream else ""
            if reason:
                yield child.ref, reason
            if reason or child.ref in self._outdated:
                outdated.add(name)


def _pair_with_plan(root: DagTask, plan: Plan) -> Iterator[_Pair]:
    """Yield the tasks of a run that a Plan has, too, each before its parts."""
    pairs = [_Pair(root, root.node, get_root_dag(plan))]
    for pair in pairs:  # grows
        yield pair
        if isinstance(pair.task, LoopTask):
            pairs += (_Pair(iteration, pair.node, pair.dag) for iteration in pair.task.iterations)
        elif isinstance(pair.task, DagTask) and pair.dag:
            for name, child in pair.task.children.items():
                if name in pair.dag.nodes:
                    pairs.append(_make_pair(child, pair.dag.nodes[name], plan))


def _make_pair(task: Task, node: Node, plan: Plan) -> _Pair:
    body = plan.components[node.component].body
    return _Pair(task, node, body if isinstance(body, Dag) else None)


def _has_skipped(position: DagMember | None, names: set[str]) -> bool:
    """Return whether one of these tasks was skipped, which skips the tasks that depend on it."""
    children = position.parent.children if position else {}
    return any(name in children and children[name].state is TaskState.SKIPPED for name in names)


def _is_changed_dag(pair: _Pair) -> bool:
    """Return whether a DAG has new tasks, or outputs from other sources."""
    if not isinstance(pair.task, DagTask) or not pair.dag or not pair.task.children:
        return False
    old, new = pair.task.dag, pair.dag
    return not pair.task.children.keys() >= new.nodes.keys() or any(
        new.outputs.get(name) != sources for name, sources in old.outputs.items()
    )


def _get_items(loop: Loop | None) -> object:
    """Return what decides about the iterations of a loop; how many may run at once does not."""
    return loop and (loop.items, loop.item_input)
