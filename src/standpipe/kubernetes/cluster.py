"""Stands in for the cluster: an executor's settings, turned into what a runner can do for one attempt."""

from __future__ import annotations

import contextlib
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

from standpipe.kubernetes import CREATE_PVC, DELETE_PVC, settings
from standpipe.kubernetes.claims import Claims
from standpipe.kubernetes.fields import PodFields
from standpipe.kubernetes.provisions import Kind, Provisions
from standpipe.kubernetes.scopes import Scopes
from standpipe.kubernetes.settings import AsEnv, AsVolume, ClaimMount, Scratch, SettingError, Settings
from standpipe.model.events import Fact
from standpipe.model.plan import Plan
from standpipe.model.ports import Mount, Pod
from standpipe.model.refs import RunInfo, TaskRef
from standpipe.model.values import Value
from standpipe.support.notices import Once

_PATH = "platforms.kubernetes.deploymentSpec.executors"

#: Settings that choose among a cluster's machines, or how it gets images, and what messages call them.
_ELSEWHERE = {
    "nodeSelector": "node selectors",
    "tolerations": "tolerations",
    "nodeAffinity": "node affinity",
    "podAffinity": "pod affinity",
    "imagePullSecret": "image pull secrets",
}


class LocalCluster:
    """Implements `model.ports.Cluster` for one run; takes the run's facts, too, as `runs.driver.FactSink`.

    Args:
        plan: what runs.
        provisions: what the user provides.
        claims: the folder below which PVCs are made that the user does not provide.
        notice: told of what counts on a cluster only, once for each thing.

    Raises:
        SpecError: if a setting is malformed; the message has its path.
    """

    def __init__(self, plan: Plan, provisions: Provisions, claims: Path, notice: Callable[[str], None]) -> None:
        self._settings = {
            label: settings.read(config, f"{_PATH}.{label}") for label, config in plan.kubernetes_executors.items()
        }
        self._provisions = provisions
        self._claims = Claims(provisions.claims, claims)
        self._scopes = Scopes(plan)
        self._tell = notice
        self._told = Once()
        if provisions.unused:
            notice(f"kubernetes: {provisions.origin} holds {', '.join(sorted(provisions.unused))}, of no use here.")

    def __call__(self, facts: Sequence[Fact]) -> None:
        """Notes the values that names may come from."""
        self._scopes(facts)

    @property
    def secrets(self) -> dict[str, bytes]:
        """The values of all secrets at hand, by what messages call them."""
        secrets = self._provisions.data[Kind.SECRET].items()
        return {f"the key {key!r} of the secret {name!r}": data[key] for name, data in secrets for key in data}

    def carry_out(self, image: str, inputs: Mapping[str, Value]) -> tuple[Mapping[str, Value], str] | None:
        """Does what CreatePVC and DeletePVC stand for; see `model.ports.Cluster`."""
        return self._claims.carry_out(image, inputs) if image in (CREATE_PVC, DELETE_PVC) else None

    @contextlib.contextmanager
    def pod(self, executor: str, run: RunInfo, task: TaskRef, attempt: int) -> Iterator[Pod]:
        """What the executor's settings come to; see `model.ports.Cluster`."""
        given = self._settings.get(executor)
        if given is None:
            yield Pod()
            return
        self._say_what_is_ignored(given, task)
        # A folder that only this user may enter, with what any container's user may read or write.
        folder = Path(tempfile.mkdtemp(prefix="standpipe-volumes-"))
        try:
            yield Pod(
                env=self._env(given, run, task, attempt),
                mounts=self._mounts(given, task, folder),
                timeout=given.timeout,
                pull_policy=given.pull_policy,
                shared_memory=given.shared_memory,
                user=given.user,
                group=given.group,
                non_root=given.non_root,
                labels={**given.annotations, **given.labels},
            )
        finally:
            self._remove(folder)

    def _env(self, given: Settings, run: RunInfo, task: TaskRef, attempt: int) -> dict[str, str]:
        env: dict[str, str] = {}
        for source in given.envs:
            env.update(self._variables(source, task))
        fields = PodFields(run, task, attempt, given.labels, given.annotations)
        env.update((variable, fields.value(path)) for variable, path in given.field_paths)
        return env

    def _variables(self, source: AsEnv, task: TaskRef) -> Iterator[tuple[str, str]]:
        name = self._scopes.name(source.name, task)
        if name is None:
            return
        data = self._provisions.data[source.kind].get(name)
        for key, variable in source.variables:
            if data is not None and key in data:
                yield variable, _text(data[key], source.kind, name, key)
            elif not source.optional:
                raise self._missing(source.kind, name, key)

    def _mounts(self, given: Settings, task: TaskRef, folder: Path) -> tuple[Mount, ...]:
        mounts: dict[str, Mount] = {}
        for number, volume in enumerate(given.volumes):
            mount = self._mount(volume, task, folder / str(number))
            if mount is not None and mounts.setdefault(mount.path, mount) is not mount:
                raise SettingError(f"two volumes are mounted at {mount.path}, and a cluster would refuse that")
        return tuple(mounts.values())

    def _mount(self, volume: AsVolume | ClaimMount | Scratch, task: TaskRef, fresh: Path) -> Mount | None:
        if isinstance(volume, Scratch):
            fresh.mkdir()
            fresh.chmod(0o777)
            return Mount(fresh, volume.path, temporary=True)
        name = self._scopes.name(volume.name, task)
        if isinstance(volume, AsVolume):
            return None if name is None else self._data_mount(volume, name, fresh)
        if name is None:
            raise SettingError(f"the name of the PVC for {volume.path} comes from a value that nobody gave")
        return Mount(self._claims.folder(name, volume.sub_path), volume.path)

    def _data_mount(self, volume: AsVolume, name: str, fresh: Path) -> Mount:
        data = self._provisions.data[volume.kind].get(name)
        if data is None and not volume.optional:
            raise self._missing(volume.kind, name)
        fresh.mkdir()
        fresh.chmod(0o755)
        for key, content in (data or {}).items():
            file = fresh / key
            file.write_bytes(content)
            file.chmod(0o644)  # as on a cluster; whatever the umask is
        return Mount(fresh, volume.path, read_only=True, temporary=True)

    def _missing(self, kind: Kind, name: str, key: str = "") -> SettingError:
        known = self._provisions.data[kind]
        if name in known:
            what, which = f"the key {key!r} of the {kind.value} {name!r}", f"it has {_listed(known[name])}"
        else:
            what, which = f"the {kind.value} {name!r}", f"the {kind.plural} there are {_listed(known)}"
        where = f"{self._provisions.origin} lacks it: {which}" if self._provisions.origin else "nothing provides it"
        return SettingError(
            f"it needs {what}, and {where}. Say what it holds with local.init(..., kubernetes='k8s.yaml'), where "
            f"k8s.yaml has\n\n{kind.plural}:\n  {name}:\n    {key or '<key>'}: <value>\n\n"
            f"or with a folder that has the file {kind.plural}/{name}/{key or '<key>'}; or let it not be needed, with "
            "optional=True."
        )

    def _say_what_is_ignored(self, given: Settings, task: TaskRef) -> None:
        asks = {ask for volume in given.volumes if isinstance(volume, Scratch) for ask in volume.asks}
        for what in (*(_ELSEWHERE.get(name, f"the setting {name}") for name in given.elsewhere), *sorted(asks)):
            if self._told.is_first(what):
                self._tell(f"kubernetes: {what} of task {str(task)!r}: no meaning on this machine, so not acted on.")

    def _remove(self, folder: Path) -> None:
        try:
            shutil.rmtree(folder)
        except OSError as error:
            self._tell(f"kubernetes: the volumes in {folder} were not removed: {error.strerror} ({error.filename}).")


def _text(content: bytes, kind: Kind, name: str, key: str) -> str:
    try:
        text = content.decode("utf-8")
    except UnicodeDecodeError:
        text = "\0"
    if "\0" in text:
        raise SettingError(
            f"the key {key!r} of the {kind.value} {name!r} is no text for a variable: mount it as a volume"
        )
    return text


def _listed(names: Mapping[str, object]) -> str:
    return ", ".join(map(repr, sorted(names))) or "none"
