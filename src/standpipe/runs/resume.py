"""Resuming a run that failed, was cancelled, or whose process was killed."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path

from standpipe.dsl.base_component import BaseComponent
from standpipe.dsl.registry import defined_components
from standpipe.dsl.tracing.tasks import PipelineTask, Settings
from standpipe.engine.inputs import InputError
from standpipe.engine.reruns import find_removed_tasks, select_reruns
from standpipe.engine.tasks import DagTask, ExecutorTask
from standpipe.errors import ArgumentError, TaskFailed
from standpipe.execution.checksums import is_unchanged
from standpipe.history.display_names import DisplayNames
from standpipe.model import events
from standpipe.model.cancellation import Cancellation
from standpipe.model.component_changes import compare_components
from standpipe.model.locations import is_remote
from standpipe.model.ports import ArtifactStore
from standpipe.model.refs import TaskRef
from standpipe.model.states import TaskState
from standpipe.model.values import ArtifactValue, find_artifacts
from standpipe.runs.arguments import from_values
from standpipe.runs.context import RunContext, resolve_state_root
from standpipe.runs.current_code import describe_recorded_code, find_redefined
from standpipe.runs.executor_uses import find_finished, find_uses
from standpipe.runs.launch import drive, finish_task, finish_with_error
from standpipe.runs.options import RunOptions
from standpipe.runs.preflight import check_uses
from standpipe.runs.pulled import refuse_resume
from standpipe.runs.source_root import add_modules
from standpipe.runs.stored_run import StoredRun, existing_context, find_tasks, load_run, run_folder
from standpipe.store.locks import RunLock
from standpipe.store.plans import dump, load
from standpipe.store.reading import RunRow, former_roots, run_row
from standpipe.store.runs import RunRecorder
from standpipe.support.notices import inform, quiet_notices, warn
from standpipe.support.umask import restrict_umask

#: The most tasks that a notice names.
_MAX_NAMED = 8


def resume(options: RunOptions, run_id: str, component: BaseComponent | None, from_task: Sequence[str]) -> PipelineTask:
    """Resume a run; see `standpipe.local.resume`.

    Args:
        options: the options of the run from now on.
        run_id: the id of the run, or the beginning of it, the name of a pipeline, or `latest`.
        component: the pipeline to resume it with; None for the one of its name that is defined, or the stored one.
        from_task: the names or paths of tasks to rerun with all tasks that depend on them.
    """
    root = resolve_state_root(options)
    row = run_row(root, run_id)
    refuse_resume(run_folder(root, row))
    with quiet_notices(options.quiet), restrict_umask(options.umask), RunLock(run_folder(root, row)):
        stored = load_run(root, row.id)
        defined = component or defined_components.get(stored.plan.name)
        current = defined or stored.as_component()
        for name in (each.name for each in find_redefined(current).values()):
            warn(
                f"Component {name!r} was defined again after pipeline {current.name!r}, which still has the earlier "
                "one. Define the pipeline again, too: in a notebook, run its cell."
            )
        plan = add_modules(current.plan, options) if defined else current.plan
        context = existing_context(options, root, row, plan)
        recorder = RunRecorder(
            root,
            context.info,
            plan,
            now=context.clock.now,
            redactor=context.redactor,
            recorded=stored.row.length,
            outline=stored.progress(DisplayNames(lambda: current.plan, context.redactor.redact_text)),
        )
        with context.redactor.redact_messages(), closing(recorder):
            return _resume(context, stored, current, from_task, recorder, is_recorded=defined is None)


def _resume(
    context: RunContext,
    stored: StoredRun,
    component: BaseComponent,
    from_task: Sequence[str],
    recorder: RunRecorder,
    *,
    is_recorded: bool,
) -> PipelineTask:
    row = stored.row
    # The stored Plan has no secrets; without redaction each secret of the current one would count as a change.
    has_secrets = row.redacted or context.redactor
    plan = load(dump(context.plan, context.redactor)[0]) if has_secrets else context.plan
    machine = stored.replay(context, {recorder.plan: context.plan})
    requested = dict.fromkeys(find_tasks(machine.root, from_task), "requested with from_task")
    moved = dict(_find_former_paths(machine.root, former_roots(Path(context.info.pipeline_root), row.id)))
    reasons = {**moved, **dict(_find_unusable(machine.root, stored, context.artifacts)), **requested}
    reruns = select_reruns(machine.root, plan, compare_components(stored.plan, plan), reasons)
    removed = find_removed_tasks(machine.root, plan)
    _announce(row, reruns, removed, describe_recorded_code(stored.plan) if is_recorded else "")
    context.options.runner.check_plan(plan)
    finished = find_finished(machine, (*reruns, *removed))
    uses = [use for use in find_uses(context.plan) if use.label not in finished]
    try:
        check_uses(context.options, uses, context.cluster, context.redactor)
    except TaskFailed as error:
        return finish_with_error(context.options, _as_task(component, machine.root), error, str(context.folder))
    if context.cluster:
        context.cluster(stored.facts)
    try:
        result = drive(
            replace(context, uncached=frozenset(requested)),
            machine,
            recorder,
            events.Resume((*reruns, *removed), recorder.plan),
            uses,
            row.seconds,
        )
    except InputError as error:
        raise ArgumentError(
            f"Cannot resume run {row.id} with the pipeline as it is now: {error}. Give that input a default, or start "
            "a new run."
        ) from error
    return finish_task(context, machine, result, _as_task(component, machine.root))


def _as_task(component: BaseComponent, root: DagTask) -> PipelineTask:
    """Return the whole run as a task, with the inputs that it has."""
    return PipelineTask(component, component.name, from_values(root.inputs), Settings())


def _find_unusable(root: DagTask, stored: StoredRun, store: ArtifactStore) -> Iterator[tuple[TaskRef, str]]:
    """Yield the tasks whose outputs have changed, or whose values are not in the store, with the reason.

    Raises:
        ArgumentError: if the arguments of the run are not in the store.
    """
    if stored.has_lost_secrets(root.inputs):
        raise ArgumentError(
            f"Cannot resume run {stored.row.id}: its arguments held a secret, which the run store does not keep. Start "
            "a new run."
        )
    for task in root.walk():
        if task is root:
            continue
        succeeded = task.state is TaskState.SUCCEEDED
        is_executed = isinstance(task, ExecutorTask)
        needs_inputs = not (is_executed and succeeded)
        if stored.has_lost_secrets(task.outputs) or (needs_inputs and stored.has_lost_secrets(task.inputs)):
            yield task.ref, "its inputs or outputs held a secret, which the run store does not keep"
        elif succeeded and is_executed:
            damages = (_describe_damage(artifact, store) for artifact in find_artifacts(task.outputs.values()))
            if damage := next(filter(None, damages), ""):
                yield task.ref, damage


def _find_former_paths(root: DagTask, formers: Sequence[str]) -> Iterator[tuple[TaskRef, str]]:
    """Yield the tasks whose output parameters name paths in pipeline roots that this one was moved or copied from.

    Args:
        root: the run.
        formers: those other pipeline roots.
    """
    patterns = {former: re.compile(re.escape(json.dumps(former)[1:-1]) + r"(?![\w-])") for former in formers}
    for task in root.walk() if patterns else ():
        if isinstance(task, ExecutorTask) and task.state is TaskState.SUCCEEDED:
            parameters = json.dumps([value for value in task.outputs.values() if not list(find_artifacts([value]))])
            if former := next((each for each in formers if patterns[each].search(parameters)), ""):
                yield task.ref, f"its outputs name paths in {former}, from which the run was moved or copied"


def _describe_damage(artifact: ArtifactValue, store: ArtifactStore) -> str:
    """Return how an artifact's payload differs from what its task wrote; an empty text if no difference is known."""
    location, expected = artifact.location, artifact.checksum
    if expected is None or is_unchanged(location, expected, store):
        return ""
    path = location if is_remote(location) else store.local_path(location)
    if not store.exists(location):
        return f"its output {path} is missing"
    current = store.checksum(location, Cancellation(), expected.algorithm) if expected else expected
    if current is not None and not current:
        return f"a link in its output {path} leads out of the pipeline root, so that changes there are not known"
    return "" if current and current.digest == expected.digest else f"its output {path} has changed"


def _announce(row: RunRow, reruns: Mapping[TaskRef, str], removed: Sequence[TaskRef], code: str) -> None:
    """Tell the user which tasks are rerun, and why, which the pipeline no longer has, and with which code."""
    lines = [f"    {ref}: {reason}" for ref, reason in list(reruns.items())[:_MAX_NAMED]]
    if len(reruns) > _MAX_NAMED:
        lines.append(f"    and {len(reruns) - _MAX_NAMED} more")
    summary = "These tasks are rerun:" if reruns else "No task that has started is rerun."
    if removed:
        names = ", ".join(map(str, removed[:_MAX_NAMED])) + (", …" if len(removed) > _MAX_NAMED else "")
        lines.append(f"The pipeline no longer has these tasks, so they are removed from the run: {names}.")
    lines += filter(None, [code])
    inform("\n".join((f"Resuming run {row.id}. {summary}", *lines)))
