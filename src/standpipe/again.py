"""Runs that go on after they had ended or were interrupted, and tasks that are run again by themselves."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

from standpipe.dsl.base_component import BaseComponent
from standpipe.dsl.components import component_from_plan
from standpipe.dsl.registry import defined_components
from standpipe.dsl.tracing.tasks import PipelineTask, Settings
from standpipe.engine.binding import BindingError
from standpipe.engine.machine import Machine
from standpipe.engine.resuming import done_again, gone
from standpipe.engine.tasks import Task
from standpipe.errors import ArgumentError, NoSuchTask, StorageError
from standpipe.execution.sealing import is_unchanged, payload_of, seal_of
from standpipe.model import events
from standpipe.model.lasting import lasting_objects
from standpipe.model.plan import Caching, Component, Constant, Dag, ExecutorRef, FromInput, FromTask, Node, Plan
from standpipe.model.ports import Cancel
from standpipe.model.redaction import was_masked
from standpipe.model.refs import RunInfo, TaskRef
from standpipe.model.signatures import difference
from standpipe.model.states import TaskState
from standpipe.model.values import ArtifactValue, artifacts_in, flattened
from standpipe.running import (
    OWN_WORKSPACE,
    Setup,
    as_arguments,
    cache_for,
    cluster_for,
    drive,
    finished,
    redactor_of,
    root_of,
    run,
    workspace_for,
)
from standpipe.session import Session, notice
from standpipe.store.locks import RunLock
from standpipe.store.plans import dump, load
from standpipe.store.reading import RunRow, read_plan, read_run, run_row
from standpipe.store.runs import RunRecorder
from standpipe.umask import not_for_everybody

#: The most tasks that a notice names.
_MOST_NAMED = 8


class _Stored(NamedTuple):
    """A run as the store has it, with the Plans that it had, by their digests, in the order in which it had them."""

    row: RunRow
    facts: list[events.Fact]
    plans: dict[str, Plan]

    @property
    def plan(self) -> Plan:
        """The Plan that it had last."""
        return list(self.plans.values())[-1]

    def machine(self, setup: Setup, later: Mapping[str, Plan] | None = None) -> Machine:
        """The state that its facts led to; it can go on with the Plans that come later."""
        plans = {**self.plans, **(later or {})}
        machine = setup.machine(plans[self.row.plan], plans)
        with lasting_objects():
            for fact in self.facts:
                machine.apply(fact)
        return machine


def resume(session: Session, run_id: str, component: BaseComponent | None, from_task: Sequence[str]) -> PipelineTask:
    """Lets a run go on; see `standpipe.local.resume`."""
    root = root_of(session)
    row = run_row(root, run_id)
    with not_for_everybody(), RunLock(_folder(root, row)):
        stored = _stored(root, row.id)
        now = component or defined_components.get(stored.plan.name) or _as_it_was(stored)
        setup = _setup(session, root, row, now.plan)
        kept = RunRecorder(root, setup.info, now.plan, redactor=setup.redactor, recorded=stored.row.length)
        with setup.redactor.errors(), closing(kept) as recorder:
            return _go_on(setup, stored, now, from_task, recorder)


def _go_on(
    setup: Setup, stored: _Stored, component: BaseComponent, from_task: Sequence[str], recorder: RunRecorder
) -> PipelineTask:
    row = stored.row
    now = load(dump(component.plan, setup.redactor)[0]) if row.masked or setup.redactor else component.plan
    machine = stored.machine(setup, {recorder.plan: component.plan})
    asked = dict.fromkeys(_named(machine.root, from_task), "you asked for it")
    reasons = {**dict(_lost(machine.root, row)), **asked}
    again = done_again(machine.root, now, difference(stored.plan, now), reasons)
    _tell(row, again)
    if setup.cluster:
        setup.cluster(stored.facts)
    try:
        ending = drive(
            replace(setup, anew=frozenset(asked)),
            machine,
            recorder,
            events.Resume((*again, *gone(machine.root, now)), recorder.plan),
        )
    except BindingError as error:
        raise ArgumentError(
            f"Run {row.id} cannot go on with the pipeline as it is now: {error}. Give that input a default, or run the "
            "pipeline anew."
        ) from error
    inputs = as_arguments(machine.root.inputs)
    return finished(setup, machine, ending, PipelineTask(component, component.name, inputs, Settings()))


def rerun_task(session: Session, run_id: str, task: str, *, debug: bool) -> PipelineTask:
    """Runs one task of a run again, as a run of its own; see `standpipe.local.rerun_task`."""
    root = root_of(session)
    stored = _stored(root, run_id)
    machine = stored.machine(_setup(session, root, stored.row, stored.plan))
    (ref, *others) = _named(machine.root, [task])
    found = machine.task(ref)
    if others:
        raise NoSuchTask(
            f"Run {stored.row.id} has {len(others) + 1} tasks {task!r}: {', '.join(map(str, (ref, *others)))}. Name "
            "one by its whole path."
        )
    if found.is_composite or not found.attempts:
        why = "is a pipeline or a loop: name a task in it" if found.is_composite else "never began, so it had no inputs"
        raise ArgumentError(f"Task '{ref}' of run {stored.row.id} cannot be run again by itself: it {why}.")
    if stored.row.masked and was_masked(found.inputs):
        raise ArgumentError(
            f"Task '{ref}' of run {stored.row.id} cannot be run again by itself: its inputs held a secret, which the "
            "run store does not keep."
        )
    component = component_from_plan(_alone(_as_it_was(stored).plan, found))
    arguments = as_arguments({name: found.inputs[name] for name in component.inputs if name in found.inputs})
    return run(session, component, arguments, repeats=f"{stored.row.id}/{ref}", debug=debug)


def _as_it_was(stored: _Stored) -> BaseComponent:
    """The pipeline that the run had, where this program does not define it."""
    if stored.row.masked and was_masked(stored.plan):
        raise ArgumentError(
            f"The pipeline of run {stored.row.id} holds secrets, which the run store does not keep. Pass it: "
            "pipeline=..., or let the program define it."
        )
    return component_from_plan(stored.plan)


# --- runs as the store has them ---------------------------------------------------------------------------------------


def _stored(root: Path, run_id: str) -> _Stored:
    row, dated = read_run(root, run_id)
    if not row.plan or not row.length:
        raise StorageError(
            f"Run {row.id} was recorded by an older Standpipe, which did not keep pipelines, so it cannot go on. Run "
            "the pipeline anew."
        )
    facts = [fact for _, fact in dated]
    digests = [row.plan, *(fact.plan for fact in facts if isinstance(fact, events.RunResumed))]
    in_order = dict.fromkeys(digest for number, digest in enumerate(digests) if digest not in digests[number + 1 :])
    return _Stored(row, facts, {digest: read_plan(root, digest) for digest in in_order})


def _setup(session: Session, root: Path, row: RunRow, plan: Plan) -> Setup:
    folder = _folder(root, row)
    workspace = _workspace(session, row, plan, folder)
    info = RunInfo(
        id=row.id,
        uuid=row.uuid,
        name=row.pipeline,
        created=row.created,
        pipeline_root=str(root),
        workspace_path=session.runner.workspace_path(workspace) if workspace else "",
    )
    cluster, cache = cluster_for(session, plan, root), cache_for(session, root)
    redactor = redactor_of(session, plan, cluster)
    return Setup(session, plan, info, folder, workspace, cluster, cache, redactor)


def _workspace(session: Session, row: RunRow, plan: Plan, folder: Path) -> Path | None:
    """The workspace that the run had, its own one where its folder is now; if it had none, one if it needs it now."""
    if not row.workspace:
        return workspace_for(session, plan, folder)
    had = Path(row.workspace)
    return folder / OWN_WORKSPACE if had.parts[-2:] == (row.id, OWN_WORKSPACE) else had


def _folder(root: Path, row: RunRow) -> Path:
    folder = root / row.id
    if not folder.is_dir():
        raise StorageError(
            f"The folder of run {row.id} is not there any more: {folder}. What its tasks made is lost, so it cannot go "
            "on: run the pipeline anew."
        )
    return folder


# --- what is done again -----------------------------------------------------------------------------------------------


def _named(root: Task, names: Sequence[str]) -> list[TaskRef]:
    """The tasks of those names or paths.

    Raises:
        NoSuchTask: if there is none; the message lists those that there are.
    """
    tasks = [task for task in _all_in(root) if task is not root]
    found = []
    for name in names:
        by_path = [task.ref for task in tasks if str(task.ref) == name]
        by_name = [task.ref for task in tasks if task.ref.name == name and not task.is_iteration]
        if not by_path and not by_name:
            known = ", ".join(sorted({str(task.ref) for task in tasks})[:50]) or "none: it never began"
            raise NoSuchTask(f"The run has no task {name!r}. It has: {known}.")
        found += by_path or by_name
    return found


def _lost(root: Task, row: RunRow) -> Iterator[tuple[TaskRef, str]]:
    """The tasks whose outputs are not what they were, or whose values are not known any more, with the reason.

    Raises:
        ArgumentError: if the arguments of the run are not known any more.
    """
    masked = bool(row.masked)
    if masked and was_masked(root.inputs):
        raise ArgumentError(
            f"Run {row.id} cannot go on: its arguments held a secret, which the run store does not keep. Run "
            "the pipeline anew."
        )
    for task in _all_in(root):
        if task is root:
            continue
        is_done = task.state is TaskState.SUCCEEDED
        if masked and (was_masked(task.outputs) or (was_masked(task.inputs) and (task.is_composite or not is_done))):
            yield task.ref, "it has to do with a secret, which the run store does not keep"
        elif is_done and not task.is_composite:
            damages = (_damage(artifact) for artifact in artifacts_in(task.outputs.values()))
            if damage := next(filter(None, damages), ""):
                yield task.ref, damage


def _damage(artifact: ArtifactValue) -> str:
    """How an artifact's payload is not what its task left; empty if it is, or nobody knows."""
    path = payload_of(artifact)
    if artifact.seal is None or not path or is_unchanged(path, artifact.seal):
        return ""
    if not os.path.exists(path):
        return f"its output {path} is gone"
    now = seal_of(path, Cancel())
    return "" if now and now.digest == artifact.seal.digest else f"its output {path} is no longer what it was"


def _all_in(root: Task) -> Iterator[Task]:
    found = [root]
    for task in found:  # which grows
        yield task
        found += task.parts if task.is_composite else ()


def _tell(row: RunRow, again: Mapping[TaskRef, str]) -> None:
    """Tells the user what of a run is done again, and why."""
    lines = [f"    {ref}: {why}" for ref, why in list(again.items())[:_MOST_NAMED]]
    if len(again) > _MOST_NAMED:
        lines.append(f"    and {len(again) - _MOST_NAMED} more")
    done = "Done again are" if again else "Nothing of what has begun is done again."
    notice("\n".join((f"Run {row.id} goes on. {done}", *lines)))


def _alone(plan: Plan, task: Task) -> Plan:
    """A pipeline of one task of another one, whose inputs are the task's."""
    name, key = task.ref.name, task.node.component
    component = plan.components[key]
    assert isinstance(component.body, ExecutorRef), "it has an executor"
    bindings = {
        name: FromInput(name) if name in component.inputs else Constant(flattened(value))  # for its command only
        for name, value in task.inputs.items()
    }
    node = Node(name, key, bindings, caching=Caching(enabled=False))  # who asks for it wants to see it run
    outputs = {output: (FromTask(name, output),) for output in component.outputs}
    root = Component(Dag({name: node}, outputs), component.inputs, component.outputs)
    executors = {component.body.label: plan.executors[component.body.label]}
    return Plan(name, root, {key: component}, executors, platforms=plan.platforms)
