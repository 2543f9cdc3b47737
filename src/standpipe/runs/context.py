"""The constant parts of a run: its Plan, its options, its folders and its services."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timezone
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from standpipe.artifact_stores.local import LocalArtifactStore
from standpipe.artifact_stores.routing import ArtifactStores, find_credentials
from standpipe.engine.machine import Machine
from standpipe.engine.tasks import ExecutorTask
from standpipe.errors import StorageError
from standpipe.execution.cache.lookup import ResultCache
from standpipe.execution.host_paths import HostPaths
from standpipe.execution.importing import uri_input
from standpipe.model.layout import WORKSPACE_FOLDER, StateLayout
from standpipe.model.origins import comes_from_task
from standpipe.model.plan import Container, Importer, Plan, Resources
from standpipe.model.ports import ArtifactStore, ClaimStore, PodRunner
from standpipe.model.refs import RunInfo, TaskRef
from standpipe.model.resources import UNBOUNDED, ResourcePolicy, parse_memory
from standpipe.model.values import find_artifacts
from standpipe.pods import uses_kubernetes
from standpipe.runs.clock import Clock, SystemClock
from standpipe.runs.credentials import find_providers
from standpipe.runs.options import RunOptions
from standpipe.store.cache import CacheIndex
from standpipe.support.notices import warn
from standpipe.support.paths import absolute_path
from standpipe.support.properties import cached_property
from standpipe.support.redaction import Redactor
from standpipe.support.secrets import make_redactor
from standpipe.trackers.api import find_secrets

if TYPE_CHECKING:
    from standpipe.pods.cluster import LocalCluster
    from standpipe.pods.native import NativeCluster
    from standpipe.runners.api import LocalRunner


@dataclass(frozen=True)
class RunContext:
    """The constant parts of a run.

    Attributes:
        options: the options of the run.
        plan: the Plan that is run.
        info: the names and ids of the run.
        folder: the run's own folder.
        workspace: the folder that its tasks share, None if they have none.
        cluster: Kubernetes or the local substitute for it, None if the pipeline has no settings for it.
        cache: the outputs of earlier runs, None if this run may not use them.
        redactor: redacts the run's secrets.
        debug: whether its task runs under a debugger, on the terminal of this process.
        rerun_of: the run and the task that this run reruns; empty for other runs.
        inputs_of: the run and the task whose inputs a rerun has; empty if some were replaced, and for other runs.
        uncached: the tasks that are executed even if the cache has their outputs; for a DAG, all tasks in it.
        clock: tells the time of all that happens in the run.
    """

    options: RunOptions
    plan: Plan
    info: RunInfo
    folder: Path
    workspace: Path | None
    cluster: LocalCluster | NativeCluster | None
    cache: CacheIndex | None
    redactor: Redactor
    debug: bool | int = False
    rerun_of: str = ""
    inputs_of: str = ""
    uncached: frozenset[TaskRef] = frozenset()
    clock: Clock = field(default_factory=SystemClock)

    @cached_property
    def artifacts(self) -> ArtifactStore:
        """Return the store of the payloads that the run's tasks read and write."""
        root = Path(self.info.pipeline_root)
        local = LocalArtifactStore([root, *filter(None, [self.workspace])])
        limit, find = parse_memory(self.options.payload_cache_size), partial(find_providers, self.options.kubernetes)
        return ArtifactStores(local, root, self.info.artifact_root, limit, find)

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


def resolve_state_root(options: RunOptions) -> Path:
    """Return the folder of the state of runs as an absolute path; it raises what `absolute_path` raises."""
    return absolute_path("pipeline_root", options.state_folder)


def get_timeout(plan: Plan) -> float:
    """Return the time limit of the run in seconds (`PipelineConfig.active_deadline_seconds`); 0 for none."""
    return float(plan.pipeline_config.get("activeDeadlineSeconds", 0))


def find_workspace(options: RunOptions, plan: Plan, folder: Path) -> Path | None:
    """Return the path of the workspace of a run, which may not exist yet; None if the run has none."""
    if options.workspace_root is not None:
        return absolute_path("workspace_root", options.workspace_root)
    return folder / WORKSPACE_FOLDER if "workspace" in plan.pipeline_config else None


def make_workspace(options: RunOptions, plan: Plan, folder: Path) -> Path | None:
    """Return the workspace of a run, created if it is missing; None if the run has none.

    Args:
        options: the options of the run.
        plan: its Plan.
        folder: its folder.

    Raises:
        StorageError: if the workspace cannot be created.
    """
    workspace = find_workspace(options, plan, folder)
    if workspace is None:
        return None
    try:
        workspace.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StorageError(
            f"Cannot create the workspace {workspace}: {error.strerror}. "
            "Choose another one: local.init(..., workspace_root=...)."
        ) from error
    return workspace


def make_cluster(options: RunOptions, plan: Plan, root: Path) -> LocalCluster | NativeCluster | None:
    """Return Kubernetes for runners of pods, and otherwise its local substitute.

    It is None if the pipeline has no settings for Kubernetes.
    """
    runs_pods = options.runner.runs_pods
    if not uses_kubernetes(plan) and not (runs_pods and "workspace" in plan.pipeline_config):
        return None
    from standpipe.pods import provisions  # few pipelines need it

    if runs_pods:
        from standpipe.pods.native import NativeCluster

        return NativeCluster(plan, partial(find_claims, options.runner), provisions.read(options.kubernetes), warn)
    from standpipe.pods.cluster import LocalCluster

    return LocalCluster(plan, provisions.read(options.kubernetes), StateLayout(root).volumes, warn)


def find_claims(runner: LocalRunner) -> ClaimStore:
    """Return the PVCs of the cluster that a runner has its pods in.

    Raises:
        StandpipeError: if the runner cannot be opened.
    """
    pods = runner.task_runner
    assert isinstance(pods, PodRunner), "what runs pods has PVCs"
    return pods.claims


def make_run_redactor(
    options: RunOptions, plan: Plan, cluster: LocalCluster | NativeCluster | None, artifact_root: str = ""
) -> Redactor:
    """Return the redactor for all that a run stores and shows.

    Args:
        options: the options of the run.
        plan: its Plan.
        cluster: Kubernetes or its substitute.
        artifact_root: the URI below which payloads of artifacts are, to which the environment may have credentials.
    """
    provided = {**(cluster.secrets if cluster else {}), **find_secrets(options.trackers)}
    if artifact_root:
        from standpipe.pods import provisions  # few runs have remote payloads

        provided |= {**find_credentials(), **provisions.read(options.kubernetes).secrets}
    return make_redactor(options.secret_env, plan, options.runner.variables, provided, warn)


def make_run_info(options: RunOptions, plan: Plan, folder: Path, workspace: Path | None, redactor: Redactor) -> RunInfo:
    """Return the names and ids of a new run.

    Args:
        options: the options of the run.
        plan: its Plan.
        folder: its folder, which is named after its id.
        workspace: the folder that its tasks share, if they have one.
        redactor: redacts its secrets.
    """
    return RunInfo(
        id=folder.name,
        uuid=str(uuid.uuid4()),
        name=redactor.redact_text(plan.display_name) or plan.name,
        created=datetime.now(timezone.utc).isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        pipeline_root=str(folder.parent),
        workspace_path=options.runner.workspace_path(workspace) if workspace else "",
        artifact_root=options.artifact_root,
    )


def open_cache(options: RunOptions, root: Path, index: type[CacheIndex] = CacheIndex) -> CacheIndex | None:
    """Return the cache, None if the run does not use it.

    Args:
        options: the options of the run.
        root: the folder of the state of runs.
        index: the class that reads it.
    """
    if not options.enable_caching:
        return None
    return index(absolute_path("cache_root", options.cache_root) if options.cache_root else root)


def open_result_cache(context: RunContext, host_paths: HostPaths | None) -> ResultCache | None:
    """Return the cache as the attempts of a run use it, None if the run does not use it.

    Args:
        context: the context of the run.
        host_paths: the paths of this machine that tasks may see; None if they see all of it.
    """
    if context.cache is None:
        return None
    may_use = host_paths.may_use if host_paths else lambda _: True
    return ResultCache(context.cache, context.info.id, context.artifacts, warn, may_use, context.redactor)


def find_host_paths(context: RunContext, machine: Machine) -> HostPaths | None:
    """Return the paths of this machine that tasks may see; None if they see all of it."""
    mount_points = context.options.runner.mount_points
    if mount_points is None:
        return None
    paths = HostPaths(
        Path(context.info.pipeline_root), context.workspace, mount_points, lambda: machine.root.inputs.values()
    )
    for task in machine.root.walk():  # before the run was resumed
        executor = machine.plan.executors.get(task.executor.label) if isinstance(task, ExecutorTask) else None
        if isinstance(executor, Importer) and not comes_from_task(machine.plan, task.ref, uri_input(executor)):
            for artifact in find_artifacts(task.outputs.values()):
                paths.add_import(artifact.location)
    return paths


def _requests_resources(plan: Plan) -> bool:
    """Return whether a task requests resources, so that the capacity of the machine matters."""
    return any(
        isinstance(executor, Container) and executor.resources != Resources() for executor in plan.executors.values()
    )
