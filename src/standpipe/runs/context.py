"""The constant parts of a run: its Plan, its options, its folders and its services."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from standpipe.artifact_stores.local import LocalArtifactStore
from standpipe.engine.machine import Machine
from standpipe.errors import StorageError
from standpipe.model.layout import WORKSPACE_FOLDER, StateLayout
from standpipe.model.plan import Container, Plan, Resources
from standpipe.model.ports import ArtifactStore
from standpipe.model.refs import RunInfo, TaskRef
from standpipe.model.resources import UNBOUNDED, ResourcePolicy
from standpipe.pods import uses_kubernetes
from standpipe.runs.clock import Clock, SystemClock
from standpipe.runs.options import RunOptions
from standpipe.store.cache import CacheIndex
from standpipe.support.notices import warn
from standpipe.support.paths import absolute_path
from standpipe.support.redaction import Redactor
from standpipe.support.secrets import make_redactor

if TYPE_CHECKING:
    from standpipe.pods.cluster import LocalCluster


@dataclass(frozen=True)
class RunContext:
    """The constant parts of a run.

    Attributes:
        options: the options of the run.
        plan: the Plan that is run.
        info: the names and ids of the run.
        folder: the run's own folder.
        workspace: the folder that its tasks share, None if they have none.
        cluster: the local substitute for Kubernetes, None if the pipeline has no settings for it.
        cache: the outputs of earlier runs, None if this run may not use them.
        redactor: redacts the run's secrets.
        debug: whether its task runs under a debugger, on the terminal of this process.
        rerun_of: the run and the task that this run reruns; empty for other runs.
        uncached: the tasks that are executed even if the cache has their outputs; for a DAG, all tasks in it.
        clock: tells the time of all that happens in the run.
    """

    options: RunOptions
    plan: Plan
    info: RunInfo
    folder: Path
    workspace: Path | None
    cluster: LocalCluster | None
    cache: CacheIndex | None
    redactor: Redactor
    debug: bool | int = False
    rerun_of: str = ""
    uncached: frozenset[TaskRef] = frozenset()
    clock: Clock = field(default_factory=SystemClock)

    @property
    def artifacts(self) -> ArtifactStore:
        """Return the store of the payloads that the run's tasks read and write."""
        return LocalArtifactStore([Path(self.info.pipeline_root), *filter(None, [self.workspace])])

    def new_machine(self, plan: Plan | None = None, later: Mapping[str, Plan] | None = None) -> Machine:
        """Return the initial state of the run.

        Args:
            plan: the Plan that the run started with; by default the current one.
            later: the Plans that the run was resumed with since, by their digests.
        """
        return Machine(
            plan or self.plan,
            self.info,
            max_parallel=1 if self.options.runner.in_process else self.options.max_parallel,
            capacity=self.options.runner.task_runner.capacity() if _requests_resources(self.plan) else UNBOUNDED,
            policy=ResourcePolicy(self.options.resource_policy),
            later=later,
        )


def resolve_pipeline_root(options: RunOptions) -> Path:
    """Return the pipeline root as an absolute path; it raises what `absolute_path` raises."""
    return absolute_path("pipeline_root", options.pipeline_root)


def get_timeout(plan: Plan) -> float:
    """Return the time limit of the run in seconds (`PipelineConfig.active_deadline_seconds`); 0 for none."""
    return float(plan.pipeline_config.get("activeDeadlineSeconds", 0))


def make_workspace(options: RunOptions, plan: Plan, folder: Path) -> Path | None:
    """Return the workspace of a run, created if it is missing; None if the run has none.

    Args:
        options: the options of the run.
        plan: its Plan.
        folder: its folder.

    Raises:
        StorageError: if the workspace cannot be created.
    """
    if options.workspace_root is not None:
        workspace = absolute_path("workspace_root", options.workspace_root)
    elif "workspace" in plan.pipeline_config:
        workspace = folder / WORKSPACE_FOLDER
    else:
        return None
    try:
        workspace.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StorageError(
            f"Cannot create the workspace {workspace}: {error.strerror}. "
            "Choose another one: local.init(..., workspace_root=...)."
        ) from error
    return workspace


def make_cluster(options: RunOptions, plan: Plan, root: Path) -> LocalCluster | None:
    """Return the local substitute for Kubernetes; None if the pipeline has no settings for Kubernetes."""
    if not uses_kubernetes(plan):
        return None
    from standpipe.pods import provisions  # few pipelines need it
    from standpipe.pods.cluster import LocalCluster

    return LocalCluster(plan, provisions.read(options.kubernetes), StateLayout(root).volumes, warn)


def make_run_redactor(options: RunOptions, plan: Plan, cluster: LocalCluster | None) -> Redactor:
    """Return the redactor for all that a run stores and shows."""
    provided = cluster.secrets if cluster else {}
    return make_redactor(options.secret_env, plan, options.runner.variables, provided, warn)


def open_cache(options: RunOptions, root: Path) -> CacheIndex | None:
    """Return the cache, None if the run does not use it."""
    if not options.enable_caching:
        return None
    return CacheIndex(absolute_path("cache_root", options.cache_root) if options.cache_root else root)


def _requests_resources(plan: Plan) -> bool:
    """Return whether a task requests resources, so that the capacity of the machine matters."""
    return any(
        isinstance(executor, Container) and executor.resources != Resources() for executor in plan.executors.values()
    )
