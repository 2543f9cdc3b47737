"""A run as it is stored: its row, its facts, its Plans, and the state that follows from them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from standpipe.dsl.base_component import BaseComponent
from standpipe.dsl.components import component_from_plan
from standpipe.engine.machine import Machine
from standpipe.engine.tasks import DagTask
from standpipe.errors import ArgumentError, NoSuchRun, NoSuchTask, StorageError
from standpipe.history.progress import RunProgress
from standpipe.model import events
from standpipe.model.layout import WORKSPACE_FOLDER, StateLayout
from standpipe.model.plan import Plan
from standpipe.model.redacted import is_redacted, seems_redacted
from standpipe.model.refs import RunInfo, TaskRef
from standpipe.runs.clock import SystemClock
from standpipe.runs.context import (
    RunContext,
    make_cluster,
    make_run_redactor,
    make_workspace,
    open_cache,
)
from standpipe.runs.options import RunOptions
from standpipe.store.reading import RunRow, artifact_root, former_roots, read_plan, read_run, run_row
from standpipe.store.relocation import Move
from standpipe.store.runs import UNMARKED
from standpipe.support.garbage_collection import pause_garbage_collection
from standpipe.support.near_misses import suggest
from standpipe.support.notices import warn

#: The most tasks that an error lists.
_MAX_LISTED = 50


class StoredRun(NamedTuple):
    """A run as it is stored.

    `times` are those at which its facts were stored, in seconds since the epoch. `plans` are all Plans that it was run
    with, by digest, the current one last.
    """

    row: RunRow
    facts: list[events.Fact]
    times: list[float]
    plans: dict[str, Plan]

    @property
    def plan(self) -> Plan:
        """Return the current Plan of the run."""
        return list(self.plans.values())[-1]

    def replay(self, context: RunContext, later: Mapping[str, Plan] | None = None) -> Machine:
        """Return the state that follows from the facts of the run.

        Args:
            context: the context of the run.
            later: further Plans, by digest, that the run can be resumed with.
        """
        plans = {**self.plans, **(later or {})}
        machine = context.new_machine(plans[self.row.plan], plans)
        with pause_garbage_collection():
            for fact in self.facts:
                machine.apply(fact)
        return machine

    def progress(self, display_name: Callable[[TaskRef], str]) -> RunProgress:
        """Return the progress of its tasks, to which the facts of the resumed run are added.

        Args:
            display_name: returns the display name of a task of the resumed run.
        """
        progress = RunProgress(self.row.id, display_name)
        for at, fact in zip(self.times, self.facts, strict=True):
            progress.apply(at, fact)
        return progress

    def has_lost_secrets(self, value: object) -> bool:
        """Return whether a stored value, several of them or a Plan cannot be used, as secrets were redacted in it."""
        return is_redacted(value) or (self.row.redacted == UNMARKED and seems_redacted(value))

    def as_component(self) -> BaseComponent:
        """Return the current pipeline of the run.

        Raises:
            ArgumentError: if it contains secrets, which are redacted in the store.
        """
        if self.has_lost_secrets(self.plan):
            raise ArgumentError(
                f"The pipeline of run {self.row.id} holds secrets, which the run store does not keep. Pass it with "
                "pipeline=..., or define it in this program."
            )
        return component_from_plan(self.plan)


def load_run(root: Path, run: str) -> StoredRun:
    """Read a run from the store below a pipeline root.

    Args:
        root: the pipeline root.
        run: the id of the run, or the beginning of it, the name of a pipeline, or `latest`.

    Raises:
        NoSuchRun: if there is no such run, or several ids begin so.
        StorageError: if it cannot be read, or was recorded without its pipeline.
    """
    row, dated_facts = read_run(root, run)
    if not row.plan or not row.length:
        raise StorageError(
            f"Cannot resume run {row.id}: it was recorded by an older Standpipe, which did not store pipelines. Start "
            "a new run."
        )
    facts = [fact for _, fact in dated_facts]
    digests = [row.plan, *(fact.plan for fact in facts if isinstance(fact, events.RunResumed))]
    in_order = dict.fromkeys(digest for number, digest in enumerate(digests) if digest not in digests[number + 1 :])
    return StoredRun(
        row, facts, [at for at, _ in dated_facts], {digest: read_plan(root, digest) for digest in in_order}
    )


class Origin(NamedTuple):
    """The run that a rerun goes back to, its current Plan, and the path of the task; empty for other runs."""

    row: RunRow
    plan: Plan
    path: str


def load_origin(root: Path, row: RunRow) -> Origin:
    """Return the run that a run is a rerun of, through reruns of reruns; otherwise the run itself.

    Raises:
        StorageError: as `load_run`.
    """
    path = ""
    while row.rerun_of:
        run, _, of_path = row.rerun_of.partition("/")
        try:
            row, path = run_row(root, run), of_path
        except NoSuchRun:
            break  # it was removed: the rerun has all that is left
    return Origin(row, load_run(root, row.id).plan, path)


def existing_context(options: RunOptions, root: Path, row: RunRow, plan: Plan) -> RunContext:
    """Return the context of a stored run, for a Plan.

    Raises:
        StorageError: if its folder is missing.
    """
    folder = run_folder(root, row)
    workspace = _workspace(options, row, plan, folder)
    info = RunInfo(
        id=row.id,
        uuid=row.uuid,
        name=row.pipeline,
        created=row.created,
        pipeline_root=str(root),
        workspace_path=options.runner.workspace_path(workspace) if workspace else "",
        artifact_root=artifact_root(root, row.id),
    )
    cluster, cache = make_cluster(options, plan, root), open_cache(options, root)
    redactor = make_run_redactor(options, plan, cluster, info.artifact_root)
    clock = SystemClock(row.latest or 0.0)
    return RunContext(
        options, plan, info, folder, workspace, cluster, cache, redactor, rerun_of=row.rerun_of, clock=clock
    )


def run_folder(root: Path, row: RunRow) -> Path:
    """Return the folder of a run.

    Raises:
        StorageError: if it is missing.
    """
    folder = StateLayout(root).run_folder(row.id)
    if not folder.is_dir():
        raise StorageError(
            f"Cannot resume run {row.id}: its folder {folder} is missing, and with it the outputs of its tasks. Start "
            "a new run."
        )
    return folder


def find_tasks(root: DagTask, names: Sequence[str]) -> list[TaskRef]:
    """Return the tasks of these names or paths (`for-loop-1/2/train`).

    Args:
        root: the root task of the run.
        names: names and paths of tasks.

    Raises:
        NoSuchTask: if a task is not found; the message lists the tasks of the run.
    """
    tasks = [task for task in root.walk() if task is not root]
    refs: list[TaskRef] = []
    for name in names:
        by_path = [task.ref for task in tasks if str(task.ref) == name]
        by_name = [task.ref for task in tasks if task.ref.name == name and task.ref.iteration is None]
        if not by_path and not by_name:
            known = ", ".join(sorted({str(task.ref) for task in tasks})[:_MAX_LISTED]) or "none: it never started"
            close = suggest(name, {text for task in tasks for text in (task.ref.name, str(task.ref))})
            raise NoSuchTask(f"The run has no task {name!r}.{close} It has: {known}.")
        refs += by_path or by_name
    return refs


def _workspace(options: RunOptions, row: RunRow, plan: Plan, folder: Path) -> Path | None:
    """Return the recorded workspace of a run, or a new one if it had none and needs one now.

    A workspace in the pipeline root is returned as a path in the root as it is now, which may have been moved.
    """
    if not row.workspace:
        return make_workspace(options, plan, folder)
    recorded = Path(row.workspace)
    if recorded.parts[-2:] == (row.id, WORKSPACE_FOLDER):
        return folder / WORKSPACE_FOLDER
    formers = former_roots(folder.parent, row.id)
    if not formers:
        return recorded
    root, former = str(folder.parent), formers[-1]  # the one in which the run was started
    workspace = Move(former, root).path(row.workspace)
    if workspace == row.workspace:
        warn(
            f"Run {row.id} was recorded in {former}, from which {root} was moved or copied. Its workspace {workspace} "
            "is another folder, which all copies of the run share."
        )
    return Path(workspace)
