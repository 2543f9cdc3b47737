"""The tasks of a resumed run: some keep their progress, the others start again."""

from __future__ import annotations

from standpipe.engine.tasks import (
    CompositeTask,
    DagMember,
    DagTask,
    ExecutorTask,
    Iteration,
    LoopTask,
    Task,
    make_root,
    make_task,
)
from standpipe.engine.transitions import Transitions
from standpipe.model.events import RunResumed
from standpipe.model.plan import Plan
from standpipe.model.refs import TaskRef
from standpipe.model.states import TaskState

#: The states that a task with an executor keeps. In any other, its last attempt has ended without success.
_KEPT_STATES = {TaskState.SUCCEEDED, TaskState.SKIPPED, TaskState.READY, TaskState.PENDING}


def resume_tasks(old_root: DagTask, plan: Plan, rerun: frozenset[TaskRef], transitions: Transitions) -> DagTask:
    """Return the root of a resumed run, with all tasks in it.

    A task that the Plan did not have before is pending. Tasks that it no longer has are left out, and so is all that
    was in the DAGs and loops to rerun.

    Args:
        old_root: the run as it was.
        plan: the Plan to resume with.
        rerun: the tasks that lose their progress.
        transitions: records the changes of states.
    """
    root = make_root(plan)
    _copy_progress(old_root, root)
    root.children = old_root.children
    tasks: list[Task] = [root]
    for task in tasks:  # grows
        if isinstance(task, DagTask) and (task is root or task.state not in (TaskState.PENDING, TaskState.SKIPPED)):
            _resume_children(task, plan, rerun, transitions)
        elif isinstance(task, LoopTask):
            _resume_iterations(task, rerun, transitions)
        tasks += task.parts
    for task in reversed(tasks):  # parts before the whole
        if isinstance(task, CompositeTask):
            _reopen(task, transitions)
    if root.state is not TaskState.RUNNING:
        transitions.force(root, TaskState.RUNNING, RunResumed)
    return root


def _resume_children(dag: DagTask, plan: Plan, rerun: frozenset[TaskRef], transitions: Transitions) -> None:
    old_children, dag.children = dag.children, {}
    for name, node in dag.dag.nodes.items():
        child = make_task(dag.ref.child(name), node, plan.components[node.component], DagMember(dag))
        if name in old_children and child.ref not in rerun:
            _keep(old_children[name], child, transitions)
        dag.children[name] = child


def _resume_iterations(loop: LoopTask, rerun: frozenset[TaskRef], transitions: Transitions) -> None:
    old_iterations, loop.iterations = loop.iterations, []
    for item, old in zip(loop.items, old_iterations, strict=True):
        iteration = make_task(old.ref, loop.node, loop.component, Iteration(loop, item))
        if old.ref not in rerun:
            _keep(old, iteration, transitions)
        loop.iterations.append(iteration)


def _keep(old: Task, new: Task, transitions: Transitions) -> None:
    """Give a task the progress that it had in the old Plan, if it can keep it."""
    if isinstance(new, ExecutorTask) and isinstance(old, ExecutorTask):
        if old.state not in _KEPT_STATES:
            return
        new.next_attempt, new.retry_index = old.next_attempt, old.retry_index
        new.first_started_at, new.failed_at, new.due_at = old.first_started_at, old.failed_at, old.due_at
        new.resources, new.lost_attempts = old.resources, old.lost_attempts
    elif not old.parts and old.state not in (TaskState.SUCCEEDED, TaskState.SKIPPED):
        return  # it never started
    elif isinstance(new, DagTask) and isinstance(old, DagTask):
        new.children = old.children
    elif isinstance(new, LoopTask) and isinstance(old, LoopTask):
        new.items, new.iterations = old.items, old.iterations
    else:
        return  # it was of another kind
    _copy_progress(old, new)
    is_other = isinstance(new, DagTask) and isinstance(old, DagTask) and new.dag.outputs != old.dag.outputs
    if is_other and new.state is TaskState.SUCCEEDED:  # its parts are kept, its outputs are collected again
        transitions.force(new, TaskState.RUNNING, RunResumed)


def _copy_progress(old: Task, new: Task) -> None:
    new.state, new.history = old.state, old.history
    new.inputs, new.outputs, new.failure = old.inputs, old.outputs, old.failure


def _reopen(whole: CompositeTask, transitions: Transitions) -> None:
    """Set a DAG or loop running that has unfinished parts, or that did not succeed."""
    if whole.state in (TaskState.PENDING, TaskState.SKIPPED):
        return
    if whole.state is not TaskState.SUCCEEDED or not all(part.state.is_final for part in whole.parts):
        if whole.state is not TaskState.RUNNING:
            transitions.force(whole, TaskState.RUNNING, RunResumed)
        whole.outputs, whole.failure = {}, None
    if isinstance(whole, LoopTask):
        whole.active = sum(part.state in (TaskState.RUNNING, TaskState.READY) for part in whole.iterations)
