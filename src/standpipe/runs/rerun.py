"""The rerun of one task of a run, with the inputs that it had, as a run of its own."""

from __future__ import annotations

from standpipe.dsl.components import component_from_plan
from standpipe.dsl.tracing.tasks import PipelineTask
from standpipe.engine.tasks import ExecutorTask
from standpipe.errors import ArgumentError, NoSuchTask
from standpipe.model.plan import Caching, Component, Constant, Dag, FromInput, FromTask, Node, Plan
from standpipe.model.values import flatten
from standpipe.runs.arguments import from_values
from standpipe.runs.context import pipeline_root_of
from standpipe.runs.launch import start
from standpipe.runs.options import RunOptions
from standpipe.runs.stored_run import existing_context, find_tasks, load_run
from standpipe.support.redaction import is_redacted


def rerun_task(options: RunOptions, run_id: str, task_name: str, *, debug: bool) -> PipelineTask:
    """Rerun one task of a run, as a run of its own; see `standpipe.local.rerun_task`.

    Args:
        options: the options of the new run.
        run_id: the id of the run, or the beginning of it, or `latest`.
        task_name: the name or the path of the task.
        debug: whether the task runs under a debugger.
    """
    root = pipeline_root_of(options)
    stored = load_run(root, run_id)
    machine = stored.replay(existing_context(options, root, stored.row, stored.plan))
    (ref, *others) = find_tasks(machine.root, [task_name])
    if others:
        raise NoSuchTask(
            f"Run {stored.row.id} has {len(others) + 1} tasks {task_name!r}: {', '.join(map(str, (ref, *others)))}. "
            "Pass the path of one of them."
        )
    task = machine.task(ref)
    if not isinstance(task, ExecutorTask) or not task.next_attempt:
        is_executed = isinstance(task, ExecutorTask)
        reason = "it never started" if is_executed else "it is a pipeline or a loop: pass a task in it"
        raise ArgumentError(f"Cannot rerun task '{ref}' of run {stored.row.id}: {reason}.")
    if stored.row.redacted and is_redacted(task.inputs):
        raise ArgumentError(
            f"Cannot rerun task '{ref}' of run {stored.row.id}: its inputs held a secret, which the run store does not "
            "keep. Start a new run."
        )
    component = component_from_plan(_single_task_plan(stored.as_component().plan, task))
    arguments = from_values({name: task.inputs[name] for name in component.inputs if name in task.inputs})
    return start(options, component, arguments, rerun_of=f"{stored.row.id}/{ref}", debug=debug)


def _single_task_plan(plan: Plan, task: ExecutorTask) -> Plan:
    """Return a Plan with one task of another Plan; its inputs are those of the task."""
    name, key = task.ref.name, task.node.component
    component = plan.components[key]
    bindings = {
        name: FromInput(name) if name in component.inputs else Constant(flatten(value))  # for its command only
        for name, value in task.inputs.items()
    }
    node = Node(name, key, bindings, caching=Caching(enabled=False))  # a rerun always executes the task
    outputs = {output: (FromTask(name, output),) for output in component.outputs}
    root = Component(Dag({name: node}, outputs), component.inputs, component.outputs)
    executors = {task.executor.label: plan.executors[task.executor.label]}
    return Plan(name, root, {key: component}, executors, platforms=plan.platforms)
