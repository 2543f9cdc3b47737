"""The values of one attempt: what a runner is asked to run, and how it ended."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from standpipe.model.events import CodeLocation
from standpipe.model.frozen import field, frozen
from standpipe.model.plan import Component, ExecutorRef, PythonFunction
from standpipe.model.refs import RunId, TaskRef
from standpipe.model.resources import NO_REQUEST, Limits, ResourceRequest
from standpipe.model.types import Json
from standpipe.model.values import ArtifactValue, Checksum


@frozen
class CommandLine:
    """A command without placeholders. As in Kubernetes, an empty `command` uses the entrypoint of the image."""

    command: tuple[str, ...]
    args: tuple[str, ...]


@frozen
class Mount:
    """A folder or a file of this machine, mounted at an absolute path for a task.

    A `temporary` folder is created for one attempt and removed after it.
    """

    source: Path
    path: str
    read_only: bool = False
    temporary: bool = False


@frozen
class InitContainer:
    """A container that runs before a task, or a sidecar, which starts before the task and runs beside it.

    `name` is unique in the pod. As in Kubernetes, an empty `command` uses the entrypoint of the image. `env` and
    `mounts` are all that it has: neither the variables nor the volumes of the task. `limits` is what it may use.
    """

    name: str
    image: str
    command: tuple[str, ...] = ()
    args: tuple[str, ...] = ()
    env: Mapping[str, str] = field(default_factory=dict)
    mounts: tuple[Mount, ...] = ()
    limits: Limits = Limits()
    is_sidecar: bool = False


@frozen
class PodManifest:
    """The fields of a pod that its settings make, with JSON as the API of Kubernetes has it; an empty one is not set.

    `annotations` are metadata of the pod. `volumes` and `init_containers` are lists of its spec, and `spec` has the
    other fields of that, such as `nodeSelector`. The remaining fields are those of the task's container.
    """

    annotations: Mapping[str, str] = field(default_factory=dict)
    volumes: tuple[Mapping[str, Json], ...] = ()
    init_containers: tuple[Mapping[str, Json], ...] = ()
    spec: Mapping[str, Json] = field(default_factory=dict)
    env: tuple[Mapping[str, Json], ...] = ()
    volume_mounts: tuple[Mapping[str, Json], ...] = ()
    security_context: Mapping[str, Json] = field(default_factory=dict)

    @property
    def mounts_claims(self) -> bool:
        """Whether the pod has a PVC, whose content outlives it."""
        return any("persistentVolumeClaim" in volume for volume in self.volumes)


@frozen
class PodSettings:
    """The Kubernetes settings of an attempt that its runner applies.

    `env` and `mounts` can contain secrets: they are passed only to the task. `timeout` is in seconds, 0 for none; the
    caller of the runner applies it. The other settings are for containers: `pull_policy` is `Always`, `Never`,
    `IfNotPresent` or empty, which means `IfNotPresent`; `shared_memory` is in bytes, 0 for the default; `user` and
    `group` are ids, None for those of the image; `non_root` refuses to run as root; `init_containers` start in their
    order before the task.

    `manifest` has the settings as fields of Kubernetes, for runners of clusters. Then only `pull_policy` and `labels`
    are set besides it.
    """

    env: Mapping[str, str] = field(default_factory=dict)
    mounts: tuple[Mount, ...] = ()
    timeout: int = 0
    pull_policy: str = ""
    shared_memory: int = 0
    user: int | None = None
    group: int | None = None
    non_root: bool = False
    labels: Mapping[str, str] = field(default_factory=dict)
    init_containers: tuple[InitContainer, ...] = ()
    manifest: PodManifest = PodManifest()


@frozen
class Transfers:
    """The payloads of an attempt that its machine exchanges with an object store.

    `root` is the URI below which the outputs go; those that the task leaves at the `local_path` of their URIs are
    uploaded. `inputs` are the artifacts that the task reads, without the paths at which it finds them. `cache_size` is
    the most bytes of payloads that the machine keeps for later attempts.
    """

    root: str
    inputs: tuple[ArtifactValue, ...] = ()
    cache_size: int = 20 * 1024**3


@frozen
class DebugPause:
    """Where an attempt waits for its user: before the task, after it has succeeded, after it has failed."""

    before: bool = False
    after_success: bool = False
    after_failure: bool = False


@frozen
class TaskRequest:
    """One attempt at one task, with everything resolved: what a runner runs.

    `executor_input` is KFP's ExecutorInput as JSON; all paths in it are paths of this machine. `folder` is the
    attempt's own folder: it exists, the outputs' folders in it too, and only this attempt writes there.
    `pipeline_root` holds `folder`; `workspace` is the run's shared folder. `input_mounts` are the payloads of its input
    artifacts, files and folders, at their paths on this machine; they may be missing. The variables of `pod` win over
    those of `env`. `attempt` and `retry_index` count as in `model.events`; the task sees the second as
    `KFP_RETRY_INDEX`. `limits` is what it may use. With `debug` it runs under a debugger: Python's, on the terminal of
    this process, or if that is a port, that of an editor, which attaches there. `component` declares the inputs and
    outputs of the task. With `pause` it waits until its user lets it continue. `umask` has the permissions that its
    files do not get. `concurrency` is how many tasks are expected to run at the same time, this one included: unless
    its author decides otherwise, it uses its share of the cores. `resources` is what is reserved for it, for runners
    that place attempts on machines. `tracking` has the variables by which a tracker of the run knows the attempt: they
    differ from run to run, and cannot change its result. With `transfers` the runner moves the payloads of artifacts
    (`RemoteRunner`): they are neither on this machine before the attempt nor after it.
    """

    run: RunId
    task: TaskRef
    attempt: int
    image: str
    program: PythonFunction | CommandLine
    executor_input: Mapping[str, Json]
    folder: Path
    pipeline_root: Path
    workspace: Path | None = None
    env: Mapping[str, str] = field(default_factory=dict)
    limits: Limits = Limits()
    input_mounts: tuple[Mount, ...] = ()
    pod: PodSettings = PodSettings()
    retry_index: int = 0
    debug: bool | int = False
    component: Component = Component(ExecutorRef(""))
    pause: DebugPause | None = None
    umask: int = 0o077
    concurrency: int = 1
    resources: ResourceRequest = NO_REQUEST
    tracking: Mapping[str, str] = field(default_factory=dict)
    transfers: Transfers | None = None

    @property
    def variables(self) -> dict[str, str]:
        """The variables that the task has besides those of its runner."""
        return {**self.tracking, **self.env, **self.pod.env}


@frozen
class Outcome:
    """The result of the process or container of an attempt.

    Exactly one of `exit_code`, `signal` and `problem` is set: the process exited, it was killed, or it could not be
    started or its exit status is unknown (which is a failure). `detail` is the traceback of the task's code; `cause` is
    its exception in one line, `location` the line of the user's code that it comes from, and `hint` what to do about
    it. `out_of_memory` is set if the process was killed for that reason. `cpu_seconds` and `peak_memory` (bytes) are
    those of all its processes, None if unknown. `warm_imports` is whether its packages were imported before it was
    forked. These three do not take part in comparisons, nor do `hint` and `location`. With a `problem`, `is_lost` is
    whether the attempt was lost with the machine that it ran on, which says nothing about the task. `stored` are the
    checksums of the payloads that its machine has uploaded, by their URIs.
    """

    exit_code: int | None = None
    signal: int | None = None
    problem: str = ""
    detail: str = ""
    cause: str = ""
    out_of_memory: bool = False
    cpu_seconds: float | None = field(default=None, compare=False)
    peak_memory: int | None = field(default=None, compare=False)
    warm_imports: bool = field(default=False, compare=False)
    hint: str = field(default="", compare=False)
    location: CodeLocation | None = field(default=None, compare=False)
    is_lost: bool = False
    stored: Mapping[str, Checksum] = field(default_factory=dict)

    @property
    def succeeded(self) -> bool:
        return self.exit_code == 0


#: The outcome of an attempt that was cancelled before it started.
CANCELLED_BEFORE_START = Outcome(problem="it was cancelled before it started")
