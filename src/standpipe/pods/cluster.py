"""The local cluster: it applies the Kubernetes settings of an executor to an attempt on this machine."""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

from standpipe.model.attempts import InitContainer, Mount, PodSettings
from standpipe.model.events import Fact
from standpipe.model.frozen import frozen
from standpipe.model.kfp import CREATE_PVC, DELETE_PVC
from standpipe.model.plan import Constant, Plan
from standpipe.model.ports import Problem
from standpipe.model.refs import ROOT, RunInfo, TaskRef
from standpipe.model.values import Value
from standpipe.pods.claims import Claims
from standpipe.pods.fields import PodFields
from standpipe.pods.init_containers import InitContainerSettings
from standpipe.pods.name_resolution import NameResolver
from standpipe.pods.provisions import Kind, Provisions
from standpipe.pods.settings import (
    ClaimMount,
    EnvironmentSource,
    ObjectVolume,
    ScratchVolume,
    SettingError,
    Settings,
)
from standpipe.pods.settings import read as read_settings
from standpipe.support.forking import paused
from standpipe.support.notices import Once
from standpipe.support.untrusted_files import open_parent, remove_entry

_PATH = "platforms.kubernetes.deploymentSpec.executors"

#: Settings that apply only to a cluster, as they select nodes or pull images, with their names in messages.
_CLUSTER_ONLY = {
    "nodeSelector": "node selectors",
    "tolerations": "tolerations",
    "nodeAffinity": "node affinity",
    "podAffinity": "pod affinity",
    "imagePullSecret": "image pull secrets",
}


class LocalCluster:
    """The `model.ports.Cluster` of a run. It is also a `model.ports.FactSink` for the facts of the run.

    Args:
        plan: the Plan of the run.
        provisions: the objects that the user provides.
        claims: the folder in which PVCs are created that the user does not provide.
        notice: called with a message for each setting that is ignored, once for each.

    Raises:
        SpecError: if a setting is malformed; the message has its path.
    """

    def __init__(self, plan: Plan, provisions: Provisions, claims: Path, notice: Callable[[str], None]) -> None:
        self._settings = {
            label: read_settings(config, f"{_PATH}.{label}") for label, config in plan.kubernetes_executors.items()
        }
        self._provisions = provisions
        self._claims = Claims(provisions.claims, claims, notice)
        self._names = NameResolver(plan)
        self._notice = notice
        self._reported = Once()
        if provisions.ignored_kinds:
            notice(f"kubernetes: ignored {', '.join(sorted(provisions.ignored_kinds))} in {provisions.origin}.")

    def __call__(self, facts: Sequence[Fact]) -> None:
        """Collect the values in facts for the resolution of names."""
        self._names(facts)

    @property
    def secrets(self) -> dict[str, bytes]:
        """The values of all secrets, by their descriptions in messages."""
        return self._provisions.secrets

    def carries_out(self, image: str) -> bool:
        """Return whether `carry_out` executes the tasks of an image; see `model.ports.Cluster`."""
        return image in (CREATE_PVC, DELETE_PVC)

    def carry_out(
        self, image: str, inputs: Mapping[str, Value], *, is_repeated: bool
    ) -> tuple[Mapping[str, Value], str]:
        """Execute CreatePVC or DeletePVC; see `model.ports.Cluster`."""
        return self._claims.carry_out(image, inputs, is_repeated=is_repeated)

    def find_problems(self, executor: str) -> Iterator[Problem]:
        """Yield why an executor's tasks are certain to fail: each object that it names and that is missing or not text.

        Args:
            executor: the label of the executor.
        """
        settings, once = self._settings.get(executor), Once()
        for check in self._checks(settings) if settings else ():
            try:
                check()
            except SettingError as error:
                if once.is_first(str(error)):  # an object is missing for each of its keys
                    yield Problem(str(error), error.hint)

    def _checks(self, settings: Settings) -> Iterator[Callable[[], object]]:
        """Yield functions that raise a `SettingError` if an object of their own is missing."""
        for source in settings.envs:
            for variable in source.variables if isinstance(source.name, Constant) else ():
                yield partial(self._check_variables, replace(source, variables=(variable,)))
        for volume in settings.volumes:
            if isinstance(volume, ObjectVolume) and isinstance(volume.name, Constant):
                yield partial(self._data, volume, str(volume.name.value))
        yield partial(self._check_volumes_of_init_containers, settings)

    def _check_variables(self, source: EnvironmentSource) -> None:
        for _ in self._variables(source, ROOT):
            pass

    def _check_volumes_of_init_containers(self, settings: Settings) -> None:
        """Check the names of volumes, if all are known before the run.

        Raises:
            SettingError: if an init container mounts a volume that the task does not have.
        """
        names = [volume.name for volume in settings.volumes]
        known = [name.value if isinstance(name, Constant) else name for name in names]
        if all(isinstance(name, str) for name in known):
            for container in settings.init_containers:
                for name, _ in container.mounts:
                    _check_volume(container.name, name, known)

    def needs_image(self, executor: str, image: str) -> bool:
        """Return whether the tasks of an executor run in its image, and it is pulled if it is missing."""
        settings = self._settings.get(executor)
        pull_policy = settings.pull_policy if settings else ""
        return not self.carries_out(image) and pull_policy in ("", "IfNotPresent")

    @contextlib.contextmanager
    def pod(self, executor: str, run: RunInfo, task: TaskRef, attempt: int) -> Iterator[PodSettings]:
        """Return the settings of an executor for an attempt; see `model.ports.Cluster`."""
        settings = self._settings.get(executor)
        if settings is None:
            yield PodSettings()
            return
        self._report_ignored_settings(settings, task)
        # Only this user can enter the folder. Its content can be read or written by the user of any container.
        with paused():  # `mkdtemp` has a lock of its own
            folder = Path(tempfile.mkdtemp(prefix="standpipe-volumes-"))
        try:
            volumes = self._volumes(settings, task, folder)
            yield PodSettings(
                env=self._env(settings, run, task, attempt),
                mounts=_mounts_of_task(volumes),
                timeout=settings.timeout,
                pull_policy=settings.pull_policy,
                shared_memory=settings.shared_memory,
                user=settings.user,
                group=settings.group,
                non_root=settings.non_root,
                labels={**settings.annotations, **settings.labels},
                init_containers=tuple(
                    self._init_container(container, volumes) for container in settings.init_containers
                ),
            )
        finally:
            self._remove(folder)

    def _env(self, settings: Settings, run: RunInfo, task: TaskRef, attempt: int) -> dict[str, str]:
        env: dict[str, str] = {}
        for source in settings.envs:
            env.update(self._variables(source, task))
        fields = PodFields(run, task, attempt, settings.labels, settings.annotations)
        env.update((variable, fields.value(path)) for variable, path in settings.field_paths)
        return env

    def _variables(self, source: EnvironmentSource, task: TaskRef) -> Iterator[tuple[str, str]]:
        name = self._names.resolve(source.name, task)
        if name is None:
            return
        data = self._provisions.data[source.kind].get(name)
        for key, variable in source.variables:
            if data is not None and key in data:
                yield variable, _decode(data[key], source.kind, name, key)
            elif not source.optional:
                raise self._missing(source.kind, name, key)

    def _volumes(self, settings: Settings, task: TaskRef, folder: Path) -> list[_Volume]:
        """Return the volumes of a pod. Temporary ones are created in `folder`."""
        volumes = (self._volume(volume, task, folder / str(number)) for number, volume in enumerate(settings.volumes))
        return [volume for volume in volumes if volume is not None]

    def _volume(self, volume: ObjectVolume | ClaimMount | ScratchVolume, task: TaskRef, fresh: Path) -> _Volume | None:
        if isinstance(volume, ScratchVolume):
            fresh.mkdir()
            fresh.chmod(0o777)
            return _Volume(volume.name, Mount(fresh, volume.path, temporary=True), fresh)
        name = self._names.resolve(volume.name, task)
        if isinstance(volume, ObjectVolume):
            return None if name is None else self._object_volume(volume, name, fresh)
        if name is None:
            raise SettingError(f"the name of the PVC for {volume.path} comes from an input without a value")
        mount = Mount(self._claims.folder(name, volume.sub_path), volume.path)
        return _Volume(name, mount, self._claims.folder(name))

    def _object_volume(self, volume: ObjectVolume, name: str, fresh: Path) -> _Volume:
        data = self._data(volume, name)
        fresh.mkdir()
        fresh.chmod(0o755)
        for key, content in data.items():
            file = fresh / key
            file.write_bytes(content)
            file.chmod(0o644)  # as on a cluster, independent of the umask
        return _Volume(name, Mount(fresh, volume.path, read_only=True, temporary=True), fresh)

    def _init_container(self, container: InitContainerSettings, volumes: list[_Volume]) -> InitContainer:
        return InitContainer(
            name=container.name,
            image=container.image,
            command=container.command,
            args=container.args,
            env=container.env,
            mounts=tuple(_mount_of_init_container(container.name, *mount, volumes) for mount in container.mounts),
            limits=container.limits,
            is_sidecar=container.is_sidecar,
        )

    def _data(self, volume: ObjectVolume, name: str) -> Mapping[str, bytes]:
        data = self._provisions.data[volume.kind].get(name)
        if data is None and not volume.optional:
            raise self._missing(volume.kind, name)
        return data or {}

    def _missing(self, kind: Kind, name: str, key: str = "") -> SettingError:
        known = self._provisions.data[kind]
        if name in known:
            what, available = (
                f"the key {key!r} of the {kind.value} {name!r}",
                f"its keys are {_list_names(known[name])}",
            )
        else:
            what, available = f"the {kind.value} {name!r}", f"its {kind.plural} are {_list_names(known)}"
        origin = self._provisions.origin
        problem = f"{origin} does not have it: {available}" if origin else "nothing provides it"
        return SettingError(
            f"it requires {what}, but {problem}",
            "Provide it with local.init(..., kubernetes='k8s.yaml'), where "
            f"k8s.yaml has\n\n{kind.plural}:\n  {name}:\n    {key or '<key>'}: <value>\n\n"
            f"or with a folder that has the file {kind.plural}/{name}/{key or '<key>'}; or make it optional with "
            "optional=True.",
        )

    def _report_ignored_settings(self, settings: Settings, task: TaskRef) -> None:
        unsupported = {
            what for volume in settings.volumes if isinstance(volume, ScratchVolume) for what in volume.unsupported
        }
        of_init_containers = [
            f"the {what} of the init container {container.name!r}"
            for container in settings.init_containers
            for what in container.unsupported
        ]
        for what in (
            *(_CLUSTER_ONLY.get(name, f"the setting {name}") for name in settings.ignored),
            *sorted(unsupported),
            *of_init_containers,
        ):
            if self._reported.is_first(what):
                self._notice(f"kubernetes: ignored {what} of task {str(task)!r}: it has no effect on this machine.")

    def _remove(self, folder: Path) -> None:
        try:
            with open_parent(folder, folder.parent) as (parent, name):
                remove_entry(name, parent)
        except OSError as error:
            self._notice(f"kubernetes: cannot remove the volumes in {folder}: {error.strerror} ({error.filename}).")


@frozen
class _Volume:
    """A volume of a pod: its name, its mount in the task, and its whole folder, which init containers mount.

    The names are those that the KFP backend (`backend/src/v2/driver/k8s.go`, 2.17) uses for the volumes of a pod: the
    name of the PVC, secret or config map, or the one that the author chose for an emptyDir or ephemeral volume.
    """

    name: str
    mount: Mount
    folder: Path


def _mounts_of_task(volumes: Iterable[_Volume]) -> tuple[Mount, ...]:
    mounts: dict[str, Mount] = {}
    for volume in volumes:
        if mounts.setdefault(volume.mount.path, volume.mount) is not volume.mount:
            raise SettingError(f"two volumes are mounted at {volume.mount.path}, which a cluster does not allow")
    return tuple(mounts.values())


def _mount_of_init_container(container: str, name: str, path: str, volumes: Iterable[_Volume]) -> Mount:
    """Return the mount of a volume of the pod in an init container, which has the whole volume, without a sub-path."""
    by_name = {volume.name: volume for volume in volumes}
    _check_volume(container, name, by_name)
    return replace(by_name[name].mount, source=by_name[name].folder, path=path)


def _check_volume(container: str, name: str, known: Iterable[object]) -> None:
    names = [str(volume) for volume in known]
    if name not in names:
        listed = _list_names(dict.fromkeys(names))
        raise SettingError(
            f"its init container {container!r} mounts the volume {name!r}, which the task does not have: its volumes "
            f"are {listed}. Add it to the task, for instance with kubernetes.empty_dir_mount or kubernetes.mount_pvc"
        )


def _decode(content: bytes, kind: Kind, name: str, key: str) -> str:
    try:
        text = content.decode("utf-8")
    except UnicodeDecodeError:
        text = "\0"
    if "\0" in text:
        raise SettingError(
            f"the key {key!r} of the {kind.value} {name!r} is not text: mount it as a volume, not as a variable"
        )
    return text


def _list_names(names: Mapping[str, object]) -> str:
    return ", ".join(map(repr, sorted(names))) or "none"
