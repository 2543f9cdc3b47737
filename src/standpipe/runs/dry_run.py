"""Dry runs: what a run would do, found by its own state machine and its cache, with nothing written or started.

The machine decides conditions, expands loops and starts attempts as in a run. An attempt ends if its outputs are in the
cache, or its error is known already. All others never end, so that what depends on them is not reached.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

from standpipe.dsl.base_component import BaseComponent
from standpipe.engine.machine import Machine
from standpipe.errors import TaskFailed
from standpipe.execution.attempt_preview import AttemptPreview, WouldRun
from standpipe.history.folding import RunFold
from standpipe.history.records import Status
from standpipe.history.run import Run, RunDetails
from standpipe.model import events
from standpipe.model.frozen import frozen, replace
from standpipe.model.layout import StateLayout
from standpipe.model.plan import Component, Container, Dag, Plan
from standpipe.model.ports import PreparingRunner
from standpipe.model.refs import RunInfo
from standpipe.model.templates import parse_value
from standpipe.runs.arguments import to_values
from standpipe.runs.context import (
    RunContext,
    find_host_paths,
    find_workspace,
    make_cluster,
    make_run_info,
    make_run_redactor,
    open_cache,
    open_result_cache,
    resolve_state_root,
)
from standpipe.runs.executor_uses import find_uses
from standpipe.runs.options import RunOptions
from standpipe.runs.preflight import check_uses
from standpipe.runs.source_root import add_modules
from standpipe.store.cache import CacheSnapshot
from standpipe.support.redaction import Redactor

#: More than a run has attempts, so that none waits for a slot.
_UNLIMITED = 1_000_000_000


@frozen
class DryRun:
    """What a run would do.

    Attributes:
        run: the run as a record: tasks that would be executed are in progress, and never end.
        plan: the Plan.
        root: the pipeline root.
        options: the options of the run.
        redactor: knows the secrets of the run.
        uncached: why tasks that would be executed have no cache key, by their paths, where that is the reason.
        problem: what the check before a run has found; None if nothing.
    """

    run: Run
    plan: Plan
    root: Path
    options: RunOptions
    redactor: Redactor
    uncached: Mapping[str, str]
    problem: TaskFailed | None

    def is_prepared(self, container: Container) -> bool:
        """Return whether the environment or image of an executor exists, as far as its runner knows."""
        runner = self.options.runner.task_runner
        return not isinstance(runner, PreparingRunner) or runner.is_prepared(container)


def dry_run(options: RunOptions, component: BaseComponent, arguments: Mapping[str, Any]) -> DryRun:
    """Return what a run with checked arguments would do.

    Args:
        options: the options of the run.
        component: the component or pipeline.
        arguments: its inputs by name.

    Raises:
        StandpipeError: if the runner cannot run the pipeline, or something cannot be read.
    """
    plan, root = add_modules(component.plan, options), resolve_state_root(options)
    cluster = make_cluster(options, plan, root)
    redactor = make_run_redactor(options, plan, cluster, options.artifact_root)
    options.runner.check_plan(plan)
    problem = None
    try:
        check_uses(options, find_uses(plan), cluster, redactor)
    except TaskFailed as error:
        problem = error
    folder = StateLayout(root).run_folder(f"{plan.name}-dry-run")
    workspace = find_workspace(options, plan, folder)
    info = make_run_info(options, plan, folder, workspace, redactor)
    cache = open_cache(options, root, CacheSnapshot)
    context = RunContext(options, plan, info, folder, workspace, cluster, cache, redactor)
    machine = Machine(_without_limits(plan), info, max_parallel=_UNLIMITED)
    host_paths = find_host_paths(context, machine)
    preview = AttemptPreview(
        plan=plan,
        run=info,
        run_folder=folder,
        workspace=workspace,
        runner=options.runner.task_runner,
        artifacts=context.artifacts,
        show_line=lambda task, text: None,
        cluster=cluster,
        cache=open_result_cache(context, host_paths),
        redactor=redactor,
        host_paths=host_paths,
        umask=options.umask,
    )
    fold, uncached = RunFold(folder), dict[str, str]()
    with redactor.redact_messages():
        facts = _drive(machine, preview, events.Start(parse_value(to_values(arguments))), uncached)
    for fact in redactor.redact(facts):
        fold.apply(time.time(), fact)
    run = _make_record(info, folder, fold.details(is_over=False))
    return DryRun(run, plan, root, options, redactor, uncached, problem)


def _without_limits(plan: Plan) -> Plan:
    """Return a Plan whose loops start all iterations at once: those that would run never end, and others would wait."""

    def free(component: Component) -> Component:
        if not isinstance(component.body, Dag):
            return component
        nodes = {
            name: replace(node, loop=replace(node.loop, parallelism=0)) if node.loop else node
            for name, node in component.body.nodes.items()
        }
        return replace(component, body=replace(component.body, nodes=nodes))

    components = {name: free(component) for name, component in plan.components.items()}
    return replace(plan, root=free(plan.root), components=components)


def _drive(
    machine: Machine, preview: AttemptPreview, first: events.Event, uncached: dict[str, str]
) -> list[events.Fact]:
    """Return the facts of the run until nothing more is known; `uncached` gets the reasons of the preview."""
    facts: list[events.Fact] = []
    pending = deque([first])
    while pending or machine.due == 0:
        step = machine.handle(pending.popleft() if pending else events.TimePassed(), time.time())
        facts += step.facts
        for command in step.commands:
            if isinstance(command, events.StartAttempt):
                try:
                    pending.append(preview.look_up(command))
                except WouldRun as reason:
                    uncached[str(command.task)] = str(reason)
    return facts


def _make_record(info: RunInfo, folder: Path, details: RunDetails) -> Run:
    run = Run(
        id=info.id,
        pipeline=info.name,
        status=Status.RUNNING,
        created=datetime.now().astimezone(),
        started=None,
        ended=None,
        folder=folder,
        rerun_of="",
        _idle=0.0,
        _number=0,
        _read=lambda: details,
        _refresh=lambda: run,
        _read_ahead=lambda: True,
    )
    return run
