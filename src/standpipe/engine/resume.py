"""The tasks of a run that goes on: those that keep their state, and those that begin anew."""

from __future__ import annotations

from standpipe.engine.tasks import Task
from standpipe.model.plan import Plan
from standpipe.model.refs import TaskRef
from standpipe.model.states import TaskState

#: Where a task without parts may stand when it is left as it is. Of any other its attempt has ended somehow.
_KEPT = {TaskState.SUCCEEDED, TaskState.SKIPPED, TaskState.READY, TaskState.PENDING}


def reopened(root: Task, plan: Plan, again: frozenset[TaskRef]) -> list[Task]:
    """All tasks of the run, as its Plan has them now, each before those that are in it.

    A task that the Plan did not have before is pending; one that it does not have any more is gone. So is what was in
    the DAGs and loops among those that are done again.

    Args:
        root: the run itself. Its tasks are changed.
        plan: what the run goes on with.
        again: the tasks that are as if they had never been.
    """
    found = [root]
    for task in found:  # which grows
        if task.dag and (task is root or task.state not in (TaskState.PENDING, TaskState.SKIPPED)):
            nodes = task.dag.nodes.items()
            new = (Task(task.ref.child(name), node, plan.components[node.component], task) for name, node in nodes)
            task.children = {part.ref.name: _kept(part, task.children.get(part.ref.name), again) for part in new}
        for number, part in enumerate(task.iterations):
            task.iterations[number] = _kept(
                Task(part.ref, task.node, task.component, task, item=part.item), part, again
            )
        found += task.parts if task.is_composite else ()
    for task in reversed(found):  # parts before the whole
        if task.is_composite:
            _open_again(task)
    root.state = TaskState.RUNNING
    return found


def _kept(new: Task, before: Task | None, again: frozenset[TaskRef]) -> Task:
    """A task as it was, in its part in the Plan as it is now; or the new one, where nothing can be kept."""
    if before is None or new.ref in again:
        return new
    if (before.dag is None, before.loop is None) != (new.dag is None, new.loop is None):
        return new
    if not before.is_composite and before.state not in _KEPT:
        return new
    if before.is_composite and not before.parts and before.state not in (TaskState.SUCCEEDED, TaskState.SKIPPED):
        return new  # it never was opened
    if before.dag and new.dag and before.dag.outputs != new.dag.outputs and before.state is TaskState.SUCCEEDED:
        before.state = TaskState.RUNNING  # its parts are as they were, and its outputs are others
    before.parent = new.parent
    before.become(new.node, new.component)
    return before


def _open_again(whole: Task) -> None:
    """Lets a DAG or loop go on that has parts which are not final, or that has come to no good end."""
    if whole.state in (TaskState.PENDING, TaskState.SKIPPED):
        return
    is_final = all(part.state.is_final for part in whole.parts)
    if whole.state is not TaskState.SUCCEEDED or not is_final:
        whole.state, whole.outputs, whole.failure = TaskState.RUNNING, {}, None
    whole.admitted = 0
    whole.open = sum(part.state in (TaskState.RUNNING, TaskState.READY) for part in whole.iterations)
