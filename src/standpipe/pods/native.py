"""A real cluster: the settings of kfp-kubernetes as they are meant, for runners whose tasks are pods."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping, Sequence

from standpipe.errors import StandpipeError
from standpipe.model.attempts import PodManifest, PodSettings
from standpipe.model.events import Fact, RunEnded
from standpipe.model.frozen import replace
from standpipe.model.kfp import CREATE_PVC, DELETE_PVC
from standpipe.model.plan import Plan
from standpipe.model.ports import ClaimStore, Problem
from standpipe.model.refs import RunInfo, TaskRef
from standpipe.model.states import TaskState
from standpipe.model.values import Value
from standpipe.pods.config_fields import ConfigFields
from standpipe.pods.manifests import UNSUPPORTED, make_pod
from standpipe.pods.name_resolution import NameResolver
from standpipe.pods.native_claims import NativeClaims, workspace_claim, workspace_name
from standpipe.pods.provisions import Provisions
from standpipe.pods.settings import read as read_settings
from standpipe.support.notices import Once

_PATH = "platforms.kubernetes.deploymentSpec.executors"

#: The name of the volume of the workspace, and its path, as in KFP.
_WORKSPACE, _WORKSPACE_PATH = "kfp-workspace", "/kfp-workspace"


class NativeCluster:
    """The `model.ports.Cluster` of a run whose tasks are pods. It is also a `model.ports.FactSink` for the run's facts.

    Args:
        plan: the Plan of the run.
        claims: returns the PVCs of the namespace; it is called when a task needs one.
        provisions: the objects that the user provides. Tasks get those of the cluster; secrets are redacted.
        notice: called with a message for each setting that is ignored, once for each.

    Raises:
        SpecError: if a setting is malformed; the message has its path.
    """

    def __init__(
        self,
        plan: Plan,
        claims: Callable[[], ClaimStore],
        provisions: Provisions,
        notice: Callable[[str], None],
    ) -> None:
        self.secrets = provisions.secrets
        self._executors = plan.kubernetes_executors
        self._workspace = plan.pipeline_config.get("workspace")
        self._claims = NativeClaims(claims)
        self._names = NameResolver(plan)
        self._notice = notice
        self._reported = Once()
        self._run: RunInfo | None = None
        for label, config in self._executors.items():
            read_settings(config, f"{_PATH}.{label}")
        if self._workspace is not None:
            workspace_claim("", self._workspace)

    def __call__(self, facts: Sequence[Fact]) -> None:
        """Collect the values in facts for the resolution of names, and delete the workspace of a run that succeeded."""
        self._names(facts)
        for fact in facts:
            if isinstance(fact, RunEnded) and fact.state is TaskState.SUCCEEDED and self._run:
                self._delete_workspace(self._run)

    def carries_out(self, image: str) -> bool:
        """Return whether `carry_out` executes the tasks of an image; see `model.ports.Cluster`."""
        return image in (CREATE_PVC, DELETE_PVC)

    def carry_out(
        self, image: str, inputs: Mapping[str, Value], *, is_repeated: bool
    ) -> tuple[Mapping[str, Value], str]:
        """Execute CreatePVC or DeletePVC; see `model.ports.Cluster`."""
        return self._claims.carry_out(image, inputs, is_repeated=is_repeated)

    def find_problems(self, executor: str) -> Iterator[Problem]:
        """Yield nothing: which objects the cluster has by the time of the task, the cluster knows."""
        yield from ()

    def user(self, executor: str) -> int | None:
        """Return the id of the user that the author of an executor has set; None if they set none."""
        return read_settings(self._executors.get(executor, {}), f"{_PATH}.{executor}").user

    def needs_image(self, executor: str, image: str) -> bool:
        """Return whether the tasks of an executor run in its image."""
        return not self.carries_out(image)

    @contextlib.contextmanager
    def pod(self, executor: str, run: RunInfo, task: TaskRef, attempt: int) -> Iterator[PodSettings]:
        """Return the settings of an executor for an attempt; see `model.ports.Cluster`."""
        pod = PodSettings()
        if executor in self._executors:
            fields = self._fields(executor)
            pod = make_pod(fields, lambda source: self._names.value(source, task))
            self._report_ignored_settings(fields, task)
        if self._workspace is not None:
            self._run = run
            self._claims.ensure(workspace_claim(workspace_name(run), self._workspace))
            pod = replace(pod, manifest=_with_workspace(pod.manifest, workspace_name(run)))
        yield pod

    def _fields(self, executor: str) -> ConfigFields:
        return ConfigFields(self._executors[executor], f"{_PATH}.{executor}")

    def _report_ignored_settings(self, fields: ConfigFields, task: TaskRef) -> None:
        for name in (*UNSUPPORTED, *fields.unread):
            if name in fields and self._reported.is_first(name):
                self._notice(f"kubernetes: ignored the setting {name} of task {str(task)!r}, as KFP does.")

    def _delete_workspace(self, run: RunInfo) -> None:
        """Delete the workspace after the run, as KFP does if it has succeeded."""
        try:
            self._claims.delete(workspace_name(run))
        except StandpipeError as error:
            self._notice(f"kubernetes: cannot delete the PVC {workspace_name(run)} of the workspace: {error}")


def _with_workspace(manifest: PodManifest, claim: str) -> PodManifest:
    """Return a manifest with the volume of the workspace, at KFP's path."""
    volume = {"name": _WORKSPACE, "persistentVolumeClaim": {"claimName": claim}}
    mount = {"name": _WORKSPACE, "mountPath": _WORKSPACE_PATH}
    return replace(manifest, volumes=(*manifest.volumes, volume), volume_mounts=(*manifest.volume_mounts, mount))
