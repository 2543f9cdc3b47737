"""Settings of pipelines, and of the configuration that a task's code receives."""

from __future__ import annotations

import enum
import re
from typing import Any

from standpipe.errors import AuthoringError, AuthoringTypeError
from standpipe.model.frozen import field, frozen, lazy_dataclass
from standpipe.model.types import Json

_SIZE = r"(0|[1-9]\d*)(\.\d+)?(Ki|Mi|Gi|Ti|Pi|Ei|K|M|G|T|P|E)?"
_INT32_MAX = 2**31 - 1


class TaskConfigField(enum.IntEnum):
    """Parts of a task's configuration that its code may receive (`TaskConfigPassthroughTypeEnum`)."""

    RESOURCES = 1
    ENV = 2
    KUBERNETES_AFFINITY = 3
    KUBERNETES_TOLERATIONS = 4
    KUBERNETES_NODE_SELECTOR = 5
    KUBERNETES_VOLUMES = 6


@frozen
class TaskConfigPassthrough:
    """A part of the configuration that the code receives. `apply_to_task` also applies it to the task itself."""

    field: TaskConfigField
    apply_to_task: bool = False


@lazy_dataclass
class KubernetesWorkspaceConfig:
    """Settings of the workspace's volume claim on a cluster: the fields to change in the claim."""

    pvcSpecPatch: dict[str, Any] = field(default_factory=dict)  # noqa: N815 - KFP's name

    def set_pvcSpecPatch(self, patch: dict[str, Any]) -> None:  # noqa: N802 - KFP's name
        """Set the fields to change."""
        self.pvcSpecPatch = patch


class WorkspaceConfig:
    """The workspace of a run: a folder that all its tasks share.

    Args:
        size: its size on a cluster as a Kubernetes quantity, such as `'10Gi'`.
        kubernetes: the settings of its volume claim there.

    Raises:
        AuthoringError: if the size is not a quantity.
    """

    def __init__(self, size: str, kubernetes: KubernetesWorkspaceConfig | None = None) -> None:
        self.size = size
        self.kubernetes = kubernetes or KubernetesWorkspaceConfig()

    @property
    def size(self) -> str:
        """The size. It is checked when it is set."""
        return self._size

    @size.setter
    def size(self, size: str) -> None:
        text = str(size).strip()
        if not re.fullmatch(_SIZE, text):
            raise AuthoringError(f"Invalid workspace size {size!r}: expected a number with a unit, such as '10Gi'.")
        self._size = text

    def set_size(self, size: str) -> None:
        """Set the size."""
        self.size = size

    def set_kubernetes_config(self, kubernetes_config: KubernetesWorkspaceConfig) -> None:
        """Set the settings of the volume claim on a cluster."""
        self.kubernetes = kubernetes_config

    def get_workspace(self) -> dict[str, Json]:
        """Return KFP's `WorkspaceConfig` message as JSON."""
        return {"size": self.size, "kubernetes": {"pvcSpecPatch": self.kubernetes.pvcSpecPatch}}


class PipelineConfig:
    """Settings of a whole pipeline. Those in seconds apply to the workflow on a cluster.

    Args:
        workspace: a folder that all tasks share.
        ttl_seconds_after_finished: how long the workflow is kept after it has finished.
        ttl_seconds_after_success: how long it is kept after it has succeeded.
        ttl_seconds_after_failure: how long it is kept after it has failed.
        active_deadline_seconds: how long a run may take before it is terminated.

    Raises:
        AuthoringTypeError: if a number of seconds is not an int.
        AuthoringError: if it is negative or too large.
    """

    def __init__(
        self,
        workspace: WorkspaceConfig | None = None,
        ttl_seconds_after_finished: int | None = None,
        ttl_seconds_after_success: int | None = None,
        ttl_seconds_after_failure: int | None = None,
        active_deadline_seconds: int | None = None,
    ) -> None:
        self.workspace = workspace
        self.ttl_seconds_after_finished = _check_seconds("ttl_seconds_after_finished", ttl_seconds_after_finished)
        self.ttl_seconds_after_success = _check_seconds("ttl_seconds_after_success", ttl_seconds_after_success)
        self.ttl_seconds_after_failure = _check_seconds("ttl_seconds_after_failure", ttl_seconds_after_failure)
        self.active_deadline_seconds = _check_seconds("active_deadline_seconds", active_deadline_seconds)

    def as_json(self) -> Json:
        """Return KFP's `PipelineConfig` message as JSON, without the fields that are not set."""
        config: dict[str, Json] = {}
        if self.workspace:
            config["workspace"] = self.workspace.get_workspace()
        for key, seconds in (
            ("resourceTtlOnCompletion", self.ttl_seconds_after_finished),
            ("resourceTtlOnSuccess", self.ttl_seconds_after_success),
            ("resourceTtlOnFailure", self.ttl_seconds_after_failure),
            ("activeDeadlineSeconds", self.active_deadline_seconds),
        ):
            if seconds:
                config[key] = seconds
        return config


def _check_seconds(name: str, value: int | None) -> int | None:
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int):
        raise AuthoringTypeError(f"{name}: expected an int, got {value!r} of type {type(value).__name__}.")
    if not 0 <= value <= _INT32_MAX:
        raise AuthoringError(f"{name}: expected a number between 0 and {_INT32_MAX}, got {value}.")
    return value
