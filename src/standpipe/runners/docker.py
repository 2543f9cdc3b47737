"""Tasks in containers, through the API of the Docker engine. Podman answers to the same one."""

from __future__ import annotations

import contextlib
import itertools
import os
import stat
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from standpipe.errors import RunnerError
from standpipe.model.plan import PythonFunction
from standpipe.model.ports import Cancel, Images, Log, Mount, Outcome, Pod, TaskRequest
from standpipe.runners.docker_arguments import RunArguments, Volumes
from standpipe.runners.docker_engine import Engine, Owner, engine_errors, leftovers, said
from standpipe.runners.files import Told, read_error, request_file, write_request

if TYPE_CHECKING:
    from socket import SocketIO

    from docker import DockerClient
    from docker.models.containers import Container

#: Where the package `inside` of the host is in a container, and where the run's workspace is (KFP's own place).
INSIDE = "/standpipe/inside"
WORKSPACE = "/kfp-workspace"

_INSIDE_HERE = Path(__file__).resolve().parent.parent / "inside"

#: How a container is asked to stop, and the seconds after which it is asked more plainly.
_STOP_SIGNALS = ("SIGINT", "SIGTERM", "SIGKILL")
_STOP_PATIENCE = 2.0

_STOPPED = "it was cancelled before it started"
_MUST_NOT_BE_ROOT = (
    "it must not run as root (kubernetes.set_security_context), and its image does: pass run_as_user, too, or use an "
    "image with a user of its own"
)


@dataclass(frozen=True)
class _Traits:
    """What matters of an engine: whether it labels files for SELinux, and whether its root is the calling user."""

    selinux: bool
    rootless: bool


class DockerTasks:
    """Implements `model.ports.Runner` with containers.

    A container component runs its command as Kubernetes does: `command` replaces the image's entrypoint and `args`
    its arguments. A lightweight Python component runs on the `python3` of its image, with our `inside` mounted
    read-only. A container sees the pipeline root and the brought artifacts where they are on this machine, and the
    run's workspace at `/kfp-workspace`. It runs as the image's own user, as on a cluster; what it leaves in the
    task's folder and in the workspace belongs to the caller afterwards.

    Args:
        container_run_args: arguments of `containers.run` in the Docker SDK, except those in
            `docker_arguments.REFUSED`. The entries of `environment` win over the component's own; `volumes`, `mounts`
            and `labels` join ours.
        images: has the images, and adds packages to them.
        notice: takes one line at a time about what takes long.
        engine: the connection.

    Raises:
        RunArgumentError: for a run argument that does not exist or cannot be given.
    """

    def __init__(
        self,
        container_run_args: Mapping[str, Any],
        images: Images,
        notice: Callable[[str], None],
        engine: Engine | None = None,
    ) -> None:
        self._arguments = RunArguments.check(container_run_args)
        self._images = images
        self._notice = notice
        self._engine = engine or Engine()
        self._lock = threading.Lock()
        self._traits: _Traits | None = None

    def run(self, request: TaskRequest, *, log: Log, cancel: Cancel) -> Outcome:
        """Runs one attempt in a container of its own; see `model.ports.Runner`.

        Raises:
            RunnerError: if there is no engine or no image, or the engine refuses to make the container.
            EnvironmentBuildError: if the function's packages cannot be installed.
        """
        client = self._engine()
        traits = self._first_use(client)
        try:
            image = self._image(client, request, cancel)
        except RunnerError:
            if not cancel:
                raise
        if cancel:
            return Outcome(problem=_STOPPED)
        with self._container(client, image, self._create_arguments(client, image, request, traits)) as container:
            task = _Task(request, container, traits)
            if request.pod.non_root and task.is_root:
                return Outcome(problem=_MUST_NOT_BE_ROOT)
            with task.prepared():
                outcome = task.follow(log, cancel, tty=bool(self._arguments.others.get("tty")))
        self._reclaim(client, image, task)
        return outcome

    def fingerprint(self, request: TaskRequest) -> str:
        """The id of the image, which is the digest of its content; empty while it is not on this machine."""
        with contextlib.suppress(*engine_errors()):
            return str(self._engine().images.get(request.image).id)
        return ""

    def close(self) -> None:
        """Closes the connection to the engine. A later run opens it again."""
        self._engine.close()

    def _first_use(self, client: DockerClient) -> _Traits:
        with self._lock:
            if self._traits is None:
                try:
                    options = client.info().get("SecurityOptions") or []
                    self._sweep(client)
                except engine_errors() as error:
                    raise RunnerError(f"The container engine does not answer: {said(error)}") from error
                self._traits = _Traits(
                    selinux=any("name=selinux" in option for option in options),
                    rootless=any("name=rootless" in option for option in options),
                )
            return self._traits

    def _sweep(self, client: DockerClient) -> None:
        """Removes the containers of processes that were killed before they could do it themselves."""
        for container in leftovers(client):
            try:
                client.api.remove_container(container, v=True, force=True)
            except engine_errors() as error:
                self._notice(f"The leftover container {container[:12]} was not removed: {said(error)}")

    def _image(self, client: DockerClient, request: TaskRequest, cancel: Cancel) -> str:
        function = request.program if isinstance(request.program, PythonFunction) else None
        run_args = self._arguments.merged(environment={}, labels=_labels(request), volumes={})
        run_args["labels"] = _labels(request)  # the user's own labels are for the containers of tasks
        if request.pod.pull_policy == "Always":
            self._notice(f"Pulling the image {request.image}, as the image pull policy Always says.")
            self._images.pull(request.image, run_args=run_args, notice=self._notice, cancel=cancel)
        elif request.pod.pull_policy == "Never" and not client.images.list(request.image):
            raise RunnerError(
                f"The engine has no image {request.image}, and the task's image pull policy is Never. Pull it by hand: "
                f"docker pull {request.image}"
            )
        return self._images.image(request.image, function, run_args=run_args, notice=self._notice, cancel=cancel)

    def _create_arguments(
        self, client: DockerClient, image: str, request: TaskRequest, traits: _Traits
    ) -> dict[str, Any]:
        merged = self._arguments.merged(
            environment={**request.env, **request.pod.env, "KFP_RETRY_INDEX": str(request.retry)},
            labels={**request.pod.labels, **_labels(request)},
            volumes=_volumes(request, traits),
        )
        if request.pod.mounts:
            merged["volumes"] = _as_binds(merged["volumes"], request.pod.mounts, traits)
        return {**self._of_the_pod(client, image, request.pod), **merged, **_command(request)}

    def _of_the_pod(self, client: DockerClient, image: str, pod: Pod) -> dict[str, Any]:
        """What Kubernetes' settings are in the engine's words; run arguments of the same name win."""
        arguments: dict[str, Any] = {"shm_size": pod.shared_memory} if pod.shared_memory else {}
        if pod.user is not None or pod.group is not None:
            user = _user_of(client.images.get(image).attrs) if pod.user is None else pod.user
            arguments["user"] = str(user) if pod.group is None else f"{user}:{pod.group}"
        return arguments

    @contextlib.contextmanager
    def _container(self, client: DockerClient, image: str, arguments: Mapping[str, Any]) -> Iterator[Container]:
        """A container that is made here and is always removed."""
        try:
            container = client.containers.create(image, **arguments)
        except engine_errors(TypeError, ValueError) as error:
            raise RunnerError(
                f"The engine did not make a container of the image {image}: {said(error)}\n"
                "Check the arguments of the DockerRunner, and the component's image and command."
            ) from error
        try:
            yield container
        finally:
            try:
                container.remove(v=True, force=True)
            except engine_errors() as error:
                self._notice(f"The container {container.short_id} was not removed: {said(error)}")

    def _reclaim(self, client: DockerClient, image: str, task: _Task) -> None:
        """Gives the caller what a container left behind that belongs to another user."""
        folders = task.foreign()
        if not folders:
            return
        uid, gid = task.caller
        arguments = {
            "entrypoint": ["chown", "-Rh", f"{uid}:{gid}", *map(str, folders)],
            "command": [],
            "user": "0:0",
            "network_mode": "none",
            "labels": _labels(task.request),
            "volumes": dict(_volume(folder, str(folder), "rw", task.traits) for folder in folders),
        }
        # An image may have no chown. Whether it worked is seen by looking again, and not by how it ended.
        with contextlib.suppress(*engine_errors(RunnerError)), self._container(client, image, arguments) as container:
            container.start()
            container.wait()
        for folder in task.foreign():
            self._notice(
                f"What {task.request.task} left in {folder} belongs to another user, and a container of its image "
                f"could not change that. You can: sudo chown -R {os.geteuid()}:{os.getegid()} {folder}"
            )


class _Task:
    """One attempt in its container."""

    def __init__(self, request: TaskRequest, container: Container, traits: _Traits) -> None:
        self.request = request
        self.traits = traits
        self._container = container

    @property
    def caller(self) -> tuple[int, int]:
        """The user and group of the caller, as the container sees them."""
        return (0, 0) if self.traits.rootless else (os.geteuid(), os.getegid())

    @contextlib.contextmanager
    def prepared(self) -> Iterator[None]:
        """Leaves in the task's folder what the container reads, and lets the container's user write there."""
        if isinstance(self.request.program, PythonFunction):
            give_away = self._user == 0 and self.caller[0] != 0
            write_request(self.request, self.request.program, self.caller if give_away else None)
        if self._user not in (0, self.caller[0]):
            with _open_to_all(self.request.folder):
                yield
        else:
            yield

    def follow(self, log: Log, cancel: Cancel, *, tty: bool) -> Outcome:
        """Starts the container, passes on what it prints, and tells how it ended."""
        with self._attached() as stream:
            try:
                self._container.start()
            except engine_errors() as error:
                return Outcome(problem=f"its container could not be started: {said(error)}{self._start_hint()}")
            with self._stopped_by(cancel):
                for data in _output(stream, tty):
                    log.write(data)
                try:
                    status: int = self._container.wait()["StatusCode"]
                    if status:
                        self._container.reload()
                except engine_errors() as error:
                    return Outcome(problem=f"how its container ended is not known: {said(error)}")
        return self._outcome(status)

    def foreign(self) -> list[Path]:
        """The folders in which the container left something that does not belong to the caller."""
        if self._user == self.caller[0]:
            return []
        folders = [self.request.folder, *filter(None, [self.request.workspace])]
        folders += [mount.source for mount in self.request.pod.mounts if not mount.read_only]
        return [folder for folder in folders if _holds_foreign(folder, os.geteuid())]

    @property
    def is_root(self) -> bool:
        return self._user == 0

    @property
    def _user(self) -> int | str:
        """Who the container runs as: a number, or a name that only its image can resolve."""
        name = _user_of(self._container.attrs)
        return int(name) if name.isdigit() else {"root": 0}.get(name, name)

    @contextlib.contextmanager
    def _attached(self) -> Iterator[SocketIO]:
        """The stream of what the container prints, opened before it starts, so that nothing is missed."""
        assert self._container.client is not None, "the container was made by a client"
        try:
            parameters = {"stdout": 1, "stderr": 1, "stream": 1}
            stream = self._container.client.api.attach_socket(str(self._container.id), params=parameters)
        except engine_errors() as error:
            raise RunnerError(f"The engine does not give the output of a container: {said(error)}") from error
        # The socket belongs to the response, which the SDK keeps with it; closing only the socket would leak the rest.
        with contextlib.closing(getattr(stream, "_response", stream)):
            yield stream

    @contextlib.contextmanager
    def _stopped_by(self, cancel: Cancel) -> Iterator[None]:
        ended = threading.Event()
        stopper = threading.Thread(target=_stop, args=(self._container, cancel, ended), daemon=True)
        forget = cancel.on_set(lambda: None if stopper.ident else stopper.start())
        try:
            yield
        finally:
            ended.set()
            forget()
            if stopper.ident is not None:  # it was started, and may be in the middle of a request
                stopper.join(_STOP_PATIENCE)

    def _outcome(self, status: int) -> Outcome:
        if status == 0:
            return Outcome(exit_code=0)
        told = read_error(self.request.folder) if isinstance(self.request.program, PythonFunction) else Told()
        # An engine has one number for both, as a shell does: 128 and the signal. What was killed leaves no traceback.
        killed = 128 < status <= 128 + 64 and not told.detail
        return Outcome(
            exit_code=None if killed else status,
            signal=status - 128 if killed else None,
            detail=told.detail,
            cause=told.cause,
            out_of_memory=told.out_of_memory or self._container.attrs["State"]["OOMKilled"],
        )

    def _start_hint(self) -> str:
        if isinstance(self.request.program, PythonFunction):
            return f"\nA lightweight Python component needs python3 (3.9 or newer) in its image, {self.request.image}."
        return "\nCheck the component's image, command and args."


def _command(request: TaskRequest) -> dict[str, Any]:
    """What the container runs, in the engine's words: Kubernetes' `command` is the entrypoint here."""
    if isinstance(request.program, PythonFunction):
        return {"entrypoint": ["python3", f"{INSIDE}/boot.py", "run", str(request_file(request.folder))], "command": []}
    command, args = list(request.program.command), list(request.program.args)
    return {"entrypoint": command, "command": args} if command else {"command": args}


def _labels(request: TaskRequest) -> dict[str, str]:
    return {"standpipe.run": request.run, "standpipe.task": str(request.task), **Owner.current().labels}


def _volumes(request: TaskRequest, traits: _Traits) -> Volumes:
    wanted = [(request.pipeline_root, str(request.pipeline_root), "rw")]
    if isinstance(request.program, PythonFunction):
        wanted.append((_INSIDE_HERE, INSIDE, "ro"))
    if request.workspace is not None:
        wanted.append((request.workspace, WORKSPACE, "rw"))
    for path in request.reads:
        # The engine would make a folder of what does not exist; the task itself shall find that it is missing.
        if path.exists() and not path.is_relative_to(request.pipeline_root):
            is_own = request.workspace is not None and path.is_relative_to(request.workspace)
            wanted.append((path, str(path), "rw" if is_own else "ro"))
    return dict(_volume(source, target, mode, traits) for source, target, mode in wanted)


def _volume(source: Path, target: str, mode: str, traits: _Traits) -> tuple[str, dict[str, str]]:
    if ":" in f"{source}{target}":
        raise RunnerError(f"{source} cannot be mounted into a container, because its name has a colon. Rename it.")
    return str(source), {"bind": target, "mode": f"{mode},z" if traits.selinux else mode}


def _user_of(attrs: Mapping[str, Any]) -> str:
    """The user, without the group, that an image or a container says it runs as."""
    return str(attrs["Config"].get("User") or "0").partition(":")[0]


def _as_binds(volumes: Volumes, mounts: Iterable[Mount], traits: _Traits) -> list[str]:
    """Volumes and mounts in the form of a list, which takes the same folder at several places."""
    named = [*volumes.items()]
    for mount in mounts:
        named.append(_volume(mount.source, mount.path, "ro" if mount.read_only else "rw", traits))
    return [f"{source}:{volume['bind']}:{volume.get('mode', 'rw')}" for source, volume in named]


def _output(stream: SocketIO, tty: bool) -> Iterator[bytes]:
    """What a container prints. Where the connection breaks the log says so; `wait` tells how the task ended."""
    from docker.utils import socket  # costly; a runner that is made and never used does without

    frames: Iterator[tuple[int, bytes]] = socket.frames_iter(stream, tty)  # type: ignore[no-untyped-call]
    try:
        for _, data in frames:
            yield data
    except engine_errors() as error:
        yield f"\n[the connection to the container engine broke: {said(error)}]\n".encode()


def _stop(container: Container, cancel: Cancel, ended: threading.Event) -> None:
    """Asks a container to end, more plainly each time, until it has."""
    for signal in itertools.chain(_STOP_SIGNALS, itertools.repeat("SIGKILL")):
        if cancel.urgent:
            signal = "SIGKILL"
        # It may have ended by itself meanwhile; whoever waits for it sees what became of it.
        with contextlib.suppress(*engine_errors()):
            container.kill(signal=signal)
        if ended.wait(_STOP_PATIENCE):
            return


@contextlib.contextmanager
def _open_to_all(folder: Path) -> Iterator[None]:
    """Lets every user write in a task's folders for as long as a container runs that is neither root nor the caller.

    On a cluster, too, the volumes that hold outputs are writable for whatever user an image has.
    """
    modes = {Path(path): os.stat(path).st_mode for path, _, _ in os.walk(folder)}
    for path, mode in modes.items():
        path.chmod(stat.S_IMODE(mode) | 0o777)
    try:
        yield
    finally:
        for path, mode in modes.items():
            with contextlib.suppress(FileNotFoundError):
                path.chmod(stat.S_IMODE(mode))


def _holds_foreign(folder: Path, uid: int) -> bool:
    for path, folders, files in os.walk(folder):
        for name in (*folders, *files):
            with contextlib.suppress(FileNotFoundError):  # tasks that run share the workspace
                if os.lstat(os.path.join(path, name)).st_uid != uid:
                    return True
    return False
