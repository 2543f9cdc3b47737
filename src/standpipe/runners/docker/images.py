"""Container images by content: pulled when missing, and derived ones that hold the packages of functions.

A derived image is made as a user would by hand: a container of the base image, `pip install` in it, and a commit. So
the network, the mounts and the environment that the user's tasks have hold for the installation, too.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import re
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from queue import SimpleQueue
from typing import TYPE_CHECKING, Any

from standpipe.errors import EnvironmentBuildError, RunnerError
from standpipe.model.plan import PythonFunction
from standpipe.model.ports import Cancel
from standpipe.support.locks import lock_file

if TYPE_CHECKING:
    from docker import DockerClient
    from docker.models.containers import Container

Notice = Callable[[str], None]

REPOSITORY = "standpipe/env"

#: The run arguments that an installation shares with the tasks: those that decide what it can reach and read.
_SHARED = {
    "dns",
    "dns_opt",
    "dns_search",
    "extra_hosts",
    "labels",
    "mounts",
    "network",
    "network_mode",
    "networking_config",
    "platform",
    "privileged",
    "runtime",
    "security_opt",
    "use_config_proxy",
    "userns_mode",
    "volumes",
}

#: Keeps a container up while commands are executed in it. Python is what an image of Python components has.
_IDLE = ("python3", "-c", "import time\nwhile True: time.sleep(3600)")

_SECONDS_BETWEEN_NOTICES = 2.0
_SECONDS_TO_KILL = 2.0
_LINES_OF_PIP = 20


class DerivedImages:
    """Implements `model.ports.Images` with a Docker engine.

    Args:
        client: gives the client of the engine; called each time it is needed, from any thread.
        locks: a folder for lock files, so that an image is pulled or built once by many threads and processes.
    """

    def __init__(self, client: Callable[[], DockerClient], locks: Path) -> None:
        self._client = client
        self._locks = locks

    def image(
        self,
        base: str,
        function: PythonFunction | None,
        *,
        run_args: Mapping[str, Any],
        notice: Notice,
        cancel: Cancel,
    ) -> str:
        """The image to run; see `model.ports.Images`."""
        base_config = self._ensure(base, run_args.get("platform"), notice, cancel)
        if function is None or not function.packages:
            return base
        key = _key(base_config["Id"], function)
        name = f"{REPOSITORY}:{key}"
        if self._inspect(name) is None:
            with self._locked(key, cancel):
                if self._inspect(name) is None:
                    build = _Build(self._client(), base, base_config, function, run_args, cancel)
                    build.commit_as(name, key, notice)
        return name

    def pull(self, name: str, *, run_args: Mapping[str, Any], notice: Notice, cancel: Cancel) -> None:
        """Pulls an image that may be here; see `model.ports.Images`."""
        with _explained(f"The image {name} could not be pulled"):
            _pull(self._client(), name, run_args.get("platform"), notice, cancel)

    def _inspect(self, name: str) -> dict[str, Any] | None:
        from docker.errors import ImageNotFound  # costly; only a user of containers needs it

        with _explained(f"The engine could not say whether it has the image {name}"):
            try:
                return dict(self._client().images.get(name).attrs)
            except ImageNotFound:
                return None

    def _ensure(self, name: str, platform: str | None, notice: Notice, cancel: Cancel) -> dict[str, Any]:
        found = self._inspect(name)
        if found is None:
            with self._locked(f"pull-{hashlib.sha256(name.encode()).hexdigest()[:20]}", cancel):
                found = self._inspect(name)
                if found is None:
                    _pull_missing(self._client(), name, platform, notice, cancel)
                    found = self._inspect(name)
        if found is None:
            raise RunnerError(
                f"The engine pulled the image {name}, and does not have it afterwards. Try `docker pull`."
            )
        return found

    @contextlib.contextmanager
    def _locked(self, name: str, cancel: Cancel) -> Iterator[None]:
        self._locks.mkdir(parents=True, exist_ok=True)
        with lock_file(self._locks / f"{name}.lock", keep_waiting=lambda: _check(cancel)):
            yield


class _Build:
    """The making of one derived image."""

    def __init__(
        self,
        client: DockerClient,
        base: str,
        base_config: Mapping[str, Any],
        function: PythonFunction,
        run_args: Mapping[str, Any],
        cancel: Cancel,
    ) -> None:
        self._client = client
        self._base = base
        self._base_config = base_config
        self._function = function
        self._run_args = run_args
        self._cancel = cancel

    def commit_as(self, name: str, key: str, notice: Notice) -> None:
        packages = ", ".join(map(_without_password, self._function.packages))
        notice(f"Installing {packages} into the image {self._base}.")
        start = time.monotonic()
        failed = f"The engine failed to install {packages} into the image {self._base}"
        with _explained(failed, EnvironmentBuildError), self._container() as container:
            self._install(container)
            container.commit(*name.split(":"), pause=False, conf=self._config(container, key))
        notice(f"Installed {packages} in {time.monotonic() - start:.1f} s; the image {name} keeps them.")

    @contextlib.contextmanager
    def _container(self) -> Iterator[Container]:
        shared = {name: value for name, value in self._run_args.items() if name in _SHARED}
        container = self._client.containers.create(self._base, entrypoint=list(_IDLE), command=[], **shared)
        killer = threading.Thread(target=_kill, args=(container,), daemon=True)
        forget = self._cancel.on_set(lambda: _start_once(killer))
        try:
            container.start()
            yield container
        finally:
            forget()
            if killer.ident is not None:  # it was started, and may be in the middle of a request
                killer.join(_SECONDS_TO_KILL)
            container.remove(v=True, force=True)

    def _install(self, container: Container) -> None:
        code, _ = self._execute(container, ["python3", "-m", "pip", "--version"])
        if code != 0:
            code, words = self._execute(container, ["python3", "-m", "ensurepip"])
            if code != 0:
                self._fail("it has no pip, and ensurepip could not bring it", words)
        command = ["python3", "-m", "pip", "install", "--no-cache-dir", *_index_options(self._function)]
        code, words = self._execute(container, [*command, *self._function.packages])
        if code != 0:
            self._fail("pip failed", words)

    def _execute(self, container: Container, command: Sequence[str]) -> tuple[int | None, str]:
        _check(self._cancel)
        environment = {
            "PIP_DISABLE_PIP_VERSION_CHECK": "1",
            "PIP_ROOT_USER_ACTION": "ignore",
            # On the cluster, use_venv keeps out of what a distribution manages; this image belongs to us alone.
            **({"PIP_BREAK_SYSTEM_PACKAGES": "1"} if self._function.use_venv else {}),
            **self._run_args.get("environment", {}),
        }
        # In the environment of an execution, and not in that of the container, which a commit would keep.
        code, output = container.exec_run(list(command), user="0", environment=environment)
        _check(self._cancel)
        assert isinstance(output, bytes), "it was not asked for in pieces"
        return code, output.decode("utf-8", "replace")

    def _fail(self, why: str, words: str) -> None:
        hint = (
            "Does the package exist, under that name and in that version, for the image's Python? "
            "Does the container reach the index? DockerRunner(network_mode=..., environment=..., mounts=...) say how."
        )
        if "externally-managed-environment" in words:
            hint = (
                "The image's Python belongs to its distribution, so a cluster would refuse, too. Use another base "
                "image (python:3.11), or @dsl.component(use_venv=True)."
            )
        raise EnvironmentBuildError(
            f"The packages of {self._function.name!r} could not be installed into the image {self._base}: {why}.\n"
            f"{_trimmed(words)}\n{hint}"
        )

    def _config(self, container: Container, key: str) -> dict[str, Any]:
        """The base image's own configuration, so that nothing of the container that installed them is kept.

        An engine fills what is missing here from the container, labels included: those are emptied.
        """
        config = self._base_config["Config"] or {}
        return {
            "Cmd": config.get("Cmd") or [],
            "Entrypoint": config.get("Entrypoint") or [],
            "Env": config.get("Env") or [],
            "Labels": {
                **dict.fromkeys(container.labels, ""),
                **(config.get("Labels") or {}),
                "standpipe.key": key,
                "standpipe.base": self._base,
                "standpipe.packages": json.dumps([_without_password(p) for p in sorted(self._function.packages)]),
            },
        }


def _key(base_id: str, function: PythonFunction) -> str:
    # The 1 is the version of how images are derived.
    content = [1, base_id, sorted(function.packages), _index_options(function), function.use_venv]
    return hashlib.sha256(json.dumps(content).encode()).hexdigest()[:20]


def _index_options(function: PythonFunction) -> list[str]:
    """Pip's options for the function's indexes, as KFP compiles them (`make_index_url_options` of its SDK)."""
    if not function.index_urls:
        return []
    first, *others = function.index_urls
    trusted = function.index_urls if function.trusted_hosts is None else function.trusted_hosts
    return [
        *("--index-url", first),
        *(part for url in others for part in ("--extra-index-url", url)),
        *(part for host in trusted for part in ("--trusted-host", host)),
    ]


def _pull_missing(client: DockerClient, name: str, platform: str | None, notice: Notice, cancel: Cancel) -> None:
    notice(f"Pulling the image {name}, which is not on this machine.")
    try:
        _pull(client, name, platform, notice, cancel)
    except _engine_errors() as error:
        raise RunnerError(
            f"The image {name} is not on this machine, and could not be pulled: {_said(error)}\n"
            "Check its name for a typo. If it is private, log in first: `docker login <registry>`. "
            f"Offline, bring it with `docker load`, or build it: `docker build -t {name} .`"
        ) from error
    notice(f"Pulled the image {name}.")


def _pull(client: DockerClient, name: str, platform: str | None, notice: Notice, cancel: Cancel) -> None:
    pull = partial(client.api.pull, name, stream=True, decode=True, platform=platform)
    for text in _progress(_checked(pull, cancel)):
        notice(f"Pulling the image {name}: {text}.")


def _checked(pull: Callable[[], Iterable[dict[str, Any]]], cancel: Cancel) -> Iterator[dict[str, Any]]:
    from docker.errors import DockerException  # costly; only a user of containers needs it

    for event in _awaited(pull, cancel):
        if "error" in event:
            raise DockerException(event["error"])  # an engine tells late failures in the stream
        yield event


def _awaited(pull: Callable[[], Iterable[dict[str, Any]]], cancel: Cancel) -> Iterator[dict[str, Any]]:
    """The events as they come. A registry may send nothing for minutes, so that another thread waits for them."""
    _check(cancel)
    arrived: SimpleQueue[dict[str, Any] | Exception | None] = SimpleQueue()

    def read() -> None:
        try:
            for event in pull():
                arrived.put(event)
            arrived.put(None)
        except Exception as error:  # noqa: BLE001  it is raised where they are wanted
            arrived.put(error)

    forget = cancel.on_set(lambda: arrived.put(None))
    threading.Thread(target=read, daemon=True).start()
    try:
        while (news := arrived.get()) is not None:
            _check(cancel)
            if isinstance(news, Exception):
                raise news
            yield news
        _check(cancel)
    finally:
        forget()


def _progress(events: Iterable[dict[str, Any]]) -> Iterator[str]:
    """Now and then, how much of the layers has come."""
    layers: dict[str, tuple[int, int]] = {}
    last = time.monotonic()
    for event in events:
        detail = event.get("progressDetail") or {}
        if event.get("status") == "Downloading" and detail.get("total"):
            layers[event["id"]] = (detail["current"], detail["total"])
        if layers and time.monotonic() - last >= _SECONDS_BETWEEN_NOTICES:
            last = time.monotonic()
            done, total = (sum(sizes) / 1e6 for sizes in zip(*layers.values(), strict=True))
            yield f"{done:.0f} of {total:.0f} MB"


def _check(cancel: Cancel) -> None:
    if cancel:
        raise RunnerError("It was stopped while its image was made ready.")


def _start_once(thread: threading.Thread) -> None:
    if thread.ident is None:
        thread.start()


def _kill(container: Container) -> None:
    # It may have ended by itself; whoever waits for it sees what became of it.
    with contextlib.suppress(*_engine_errors()):
        container.kill()


@contextlib.contextmanager
def _explained(what: str, kind: type[RunnerError] = RunnerError) -> Iterator[None]:
    try:
        yield
    except _engine_errors() as error:
        raise kind(f"{what}: {_said(error)}") from error


def _engine_errors() -> tuple[type[Exception], ...]:
    from docker.errors import DockerException  # costly, and needed only once something went wrong

    return (DockerException, OSError)


def _said(error: BaseException) -> str:
    return str(getattr(error, "explanation", None) or error).strip()


def _trimmed(words: str) -> str:
    """Pip's own words: why it could not reach the index, if so, and from its first error on, or else its last lines."""
    lines = [line.rstrip() for line in words.splitlines() if line.strip() and not line.startswith("[notice]")]
    errors = [number for number, line in enumerate(lines) if line.lstrip().lower().startswith("error")]
    shown = lines[errors[0] :][:_LINES_OF_PIP] if errors else lines[-_LINES_OF_PIP:]
    unreachable = [line for line in lines if line.startswith("WARNING: Retrying") and line not in shown][-1:]
    return "\n".join(f"  {line}" for line in [*unreachable, *shown])


def _without_password(requirement: str) -> str:
    return re.sub(r"//[^/@\s]+@", "//***@", requirement)
