"""What has to be done again when a run is resumed, and why.

What has come to a good end is kept, unless it, or something that it takes, is another one now. A skipped task is kept
under the same condition: it was skipped for what is still true.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import NamedTuple

from standpipe.engine.tasks import Task
from standpipe.engine.topology import Topologies
from standpipe.model.plan import Dag, Loop, Node, Plan
from standpipe.model.refs import TaskRef
from standpipe.model.states import TaskState

#: Says what is different in a component, named by its keys in the Plan of before and in that of now; empty if nothing.
Difference = Callable[[str, str], str]

_ENDED_BADLY = {
    TaskState.FAILED: "it failed",
    TaskState.CANCELLED: "it was stopped",
    TaskState.RUNNING: "it was interrupted",
}


def done_again(root: Task, now: Plan, difference: Difference, reasons: Mapping[TaskRef, str]) -> dict[TaskRef, str]:
    """The tasks of a run that are to be done again, each with the reason.

    What is in a DAG or loop among them is not named. Tasks that never began are not among them; nor are DAGs and loops
    that go on.

    Args:
        root: the run as it stood, in the Plan that it had then.
        now: the Plan to go on with.
        difference: compares components that have an executor.
        reasons: the caller's own reasons for tasks, such as that the user named them.
    """
    return _Resuming(now, difference, reasons).of(root)


def gone(root: Task, now: Plan) -> tuple[TaskRef, ...]:
    """The tasks of a run that the Plan to go on with does not have any more, without what is in them."""
    return tuple(
        child.ref
        for part in _in_both_plans(root, now)
        if part.dag
        for name, child in part.task.children.items()
        if name not in part.dag.nodes
    )


class _Part(NamedTuple):
    """A task as it stands, with its part in the Plan to go on with: its node, and the DAG that it is, if it is one."""

    task: Task
    node: Node
    dag: Dag | None


class _Resuming:
    def __init__(self, now: Plan, difference: Difference, reasons: Mapping[TaskRef, str]) -> None:
        self._now = now
        self._topologies = Topologies()
        self._difference = difference
        self._reasons = reasons
        self._own: dict[TaskRef, str] = {}  # why a task is done again, looked at for itself
        self._touched: set[TaskRef] = set()  # those on whose outputs nobody can rely

    def of(self, root: Task) -> dict[TaskRef, str]:
        known = list(_in_both_plans(root, self._now))
        for part in reversed(known):  # parts before the whole
            self._look_at(part)
        again: dict[TaskRef, str] = {}
        for part in known:  # the whole before its parts
            if not part.task.ref.is_within(again):
                again.update(self._parts_done_again(part))
        return again

    def _look_at(self, part: _Part) -> None:
        """Decides about a task by itself, and whether something in it is done again or was never done."""
        task = part.task
        reason = self._own_reason(part)
        if reason:
            self._own[task.ref] = reason
        is_done = task.state in (TaskState.SUCCEEDED, TaskState.SKIPPED)
        if reason or not is_done or _is_another(part) or any(inner.ref in self._touched for inner in task.parts):
            self._touched.add(task.ref)

    def _own_reason(self, part: _Part) -> str:
        task = part.task
        if task.ref in self._reasons:
            return self._reasons[task.ref]
        if task.parent is None or task.state is TaskState.PENDING:
            return ""
        if (not task.is_composite or not task.parts) and task.state in _ENDED_BADLY:
            return _ENDED_BADLY[task.state]
        return self._change(part)

    def _change(self, part: _Part) -> str:
        """How a task differs from what it was."""
        old, new = part.task.node, part.node
        if part.task.is_iteration:
            return "" if part.task.dag and part.dag else self._difference(old.component, new.component)
        if old.inputs != new.inputs:
            return "its inputs come from elsewhere now"
        if old.trigger != new.trigger:
            return "its condition is another one now"
        if _items(old.loop) != _items(new.loop):
            return "its loop is another one now"
        if self._skipped_among(part.task, {*old.upstream} ^ {*new.upstream}):
            return "it comes after others now"
        if part.task.is_composite and part.task.component.inputs != self._now.components[new.component].inputs:
            return "its inputs are others now"
        if part.task.dag and not part.dag:
            return "it is no pipeline any more"
        return "" if part.task.is_composite else self._difference(old.component, new.component)

    @staticmethod
    def _skipped_among(task: Task, names: set[str]) -> bool:
        """Whether one of its siblings was skipped, which skips what comes after it."""
        siblings = task.parent.children if task.parent else {}
        return any(name in siblings and siblings[name].state is TaskState.SKIPPED for name in names)

    def _parts_done_again(self, whole: _Part) -> Iterator[tuple[TaskRef, str]]:
        """The parts of a DAG or loop that goes on which are done again."""
        if whole.task.loop:
            yield from ((part.ref, self._own[part.ref]) for part in whole.task.iterations if part.ref in self._own)
            return
        redone: set[str] = set()
        for name in self._topologies.of(whole.dag).in_order() if whole.dag else ():
            part = whole.task.children.get(name)
            if part is None or part.state is TaskState.PENDING:
                redone.add(name)
                continue
            reason = self._own.get(part.ref, "")
            for before in whole.dag.nodes[name].upstream if whole.dag and not reason else ():
                if before in redone:
                    reason = f"'{before}' comes before it"
            if reason:
                yield part.ref, reason
            if reason or part.ref in self._touched:
                redone.add(name)


def _in_both_plans(root: Task, now: Plan) -> Iterator[_Part]:
    """All tasks that there have been and will be, each before those that are in it."""
    body = now.root.body
    assert isinstance(body, Dag)
    found = [_Part(root, root.node, body)]
    for part in found:  # which grows
        yield part
        if part.task.loop:
            found += (_Part(iteration, part.node, part.dag) for iteration in part.task.iterations)
        elif part.dag:
            for name, child in part.task.children.items():
                if name in part.dag.nodes:
                    found.append(_part(child, part.dag.nodes[name], now))


def _part(task: Task, node: Node, now: Plan) -> _Part:
    body = now.components[node.component].body
    return _Part(task, node, body if isinstance(body, Dag) else None)


def _is_another(part: _Part) -> bool:
    """Whether a DAG has got other tasks, or gives other outputs to those who take them."""
    before, now = part.task.dag, part.dag
    if not before or not now or not part.task.children:
        return False
    return not part.task.children.keys() >= now.nodes.keys() or any(
        now.outputs.get(name) != sources for name, sources in before.outputs.items()
    )


def _items(loop: Loop | None) -> object:
    """What a loop goes over; how many iterations may run at once changes no result."""
    return loop and (loop.items, loop.item_input)
