"""Container images by content: pulled when missing, and derived ones that hold the packages of functions.

A derived image is built as a user would by hand: a container of the base image, `pip install` in it, and a commit. So
the installation has the same network, mounts and environment as the user's tasks.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import threading
import time
from collections import ChainMap
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from standpipe.errors import EnvironmentBuildError, RunnerError
from standpipe.model.cancellation import Cancellation
from standpipe.model.plan import PythonFunction
from standpipe.runners.credentials import pip_command
from standpipe.runners.docker.commit import commit
from standpipe.runners.docker.engine import engine_errors, message_of
from standpipe.runners.package_indexes import Indexes, drop_password, hide_password, resolve_indexes
from standpipe.support.locks import lock_file
from standpipe.support.notices import Notice
from standpipe.support.usage_marks import UsageMarks
from standpipe.support.waiting import iterate_in_thread

if TYPE_CHECKING:
    from docker import DockerClient
    from docker.models.containers import Container

REPOSITORY = "standpipe/env"

#: The run arguments of tasks that hold for installations, too: those that decide what it can reach and read.
_INSTALLATION_ARGUMENTS = {
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

#: What engines say first of a layer: they have found the image then, also one for the platform.
_OF_LAYERS = frozenset(("Pulling fs layer", "Already exists", "Waiting", "Downloading", "Download complete"))

_SECONDS_BETWEEN_NOTICES = 2.0
_SECONDS_TO_KILL = 2.0
_LINES_OF_PIP = 20

#: Warnings of pip that say why it finds nothing.
_CAUSES = ("WARNING: Retrying", "WARNING: The repository located at")


class DerivedImages:
    """Implements `Images` with a Docker engine.

    Args:
        client: returns the client of the engine; called each time it is needed, from any thread.
        locks: a folder for lock files, so that an image is pulled or built once by many threads and processes.
    """

    def __init__(self, client: Callable[[], DockerClient], locks: Path) -> None:
        self._client = client
        self._locks = locks
        self._marks = UsageMarks(locks)

    def image(
        self,
        base: str,
        function: PythonFunction | None,
        *,
        variables: Mapping[str, str],
        run_args: Mapping[str, Any],
        inform: Notice,
        cancel: Cancellation,
    ) -> str:
        """Return the name of the image to run; see `Images`."""
        base_config = self._ensure(base, run_args.get("platform"), inform, cancel)
        if function is None or not function.packages:
            return base
        indexes = resolve_indexes(function, ChainMap({**variables}, _variables(base_config), os.environ))
        key = _key(base_config["Id"], function, indexes)
        name = f"{REPOSITORY}:{key}"
        self._marks.hold(key, keep_waiting=lambda: _check(cancel))  # so that `standpipe prune` does not remove it
        if self._inspect(name) is None:
            with self._locked(key, cancel):
                if self._inspect(name) is None:
                    build = _Build(self._client(), base, base_config, function, indexes, run_args, cancel)
                    build.commit_as(name, key, inform)
        return name

    def pull(self, name: str, *, run_args: Mapping[str, Any], inform: Notice, cancel: Cancellation) -> None:
        """Pull an image that may be on this machine; see `Images`."""
        with _explain_errors(f"The image {name} could not be pulled"):
            _pull(self._client(), name, run_args.get("platform"), inform, cancel)

    def check(self, name: str, *, run_args: Mapping[str, Any], cancel: Cancellation) -> None:
        """Check that an image is on this machine, or can be pulled; see `Images`."""
        if self._inspect(name) is None:
            with _explain_missing(name):
                events = _pull_events(self._client(), name, run_args.get("platform"), cancel)
                next((event for event in events if event.get("status") in _OF_LAYERS), None)

    def _inspect(self, name: str) -> dict[str, Any] | None:
        from docker.errors import NotFound  # costly; only a user of containers needs it

        with _explain_errors(f"The engine could not be asked for the image {name}"):
            try:
                return dict(self._client().images.get(name).attrs)
            except NotFound:
                return None

    def _ensure(self, name: str, platform: str | None, inform: Notice, cancel: Cancellation) -> dict[str, Any]:
        config = self._inspect(name)
        if config is None:
            with self._locked(f"pull-{hashlib.sha256(name.encode()).hexdigest()[:20]}", cancel):
                config = self._inspect(name)
                if config is None:
                    _pull_missing(self._client(), name, platform, inform, cancel)
                    config = self._inspect(name)
        if config is None:
            raise RunnerError(f"The engine pulled the image {name}, but does not have it. Try `docker pull {name}`.")
        return config

    @contextlib.contextmanager
    def _locked(self, name: str, cancel: Cancellation) -> Iterator[None]:
        self._locks.mkdir(parents=True, exist_ok=True)
        with lock_file(self._locks / f"{name}.lock", keep_waiting=lambda: _check(cancel)):
            yield


class _Build:
    """The build of one derived image."""

    def __init__(
        self,
        client: DockerClient,
        base: str,
        base_config: Mapping[str, Any],
        function: PythonFunction,
        indexes: Indexes,
        run_args: Mapping[str, Any],
        cancel: Cancellation,
    ) -> None:
        self._client = client
        self._base = base
        self._base_config = base_config
        self._function = function
        self._indexes = indexes
        self._run_args = run_args
        self._cancel = cancel

    def commit_as(self, name: str, key: str, inform: Notice) -> None:
        """Install the packages, and store the image under a name."""
        packages = ", ".join(map(hide_password, self._function.packages))
        inform(f"Installing {packages} into the image {self._base}.")
        start = time.monotonic()
        failed = f"The engine failed to install {packages} into the image {self._base}"
        with _explain_errors(failed, EnvironmentBuildError), self._container() as container:
            self._install(container)
            commit(self._client, container, name, self._config(container, key))
        inform(f"Installed {packages} in {time.monotonic() - start:.1f} s, into the image {name}.")

    @contextlib.contextmanager
    def _container(self) -> Iterator[Container]:
        shared = {name: value for name, value in self._run_args.items() if name in _INSTALLATION_ARGUMENTS}
        container = self._client.containers.create(self._base, entrypoint=list(_IDLE), command=[], **shared)
        killer = threading.Thread(target=_kill, args=(container,), daemon=True)
        forget = self._cancel.on_set(lambda: _start_once(killer))
        try:
            container.start()
            yield container
        finally:
            forget()
            if killer.ident is not None:  # it was started, and may be sending a request
                killer.join(_SECONDS_TO_KILL)
            container.remove(v=True, force=True)

    def _install(self, container: Container) -> None:
        code, _ = self._execute(container, ["python3", "-m", "pip", "--version"])
        if code != 0:
            code, output = self._execute(container, ["python3", "-m", "ensurepip"])
            if code != 0:
                self._fail("it has no pip, and ensurepip could not install it", output)
        words = ["install", "--no-cache-dir", *_index_options(self._indexes), *self._function.packages]
        command, variables = pip_command("python3", words, self._run_args.get("environment", {}))
        code, output = self._execute(container, command, variables)
        if code != 0:
            self._fail("pip failed", output)

    def _execute(
        self, container: Container, command: Sequence[str], variables: Mapping[str, str] = MappingProxyType({})
    ) -> tuple[int | None, str]:
        _check(self._cancel)
        environment = {
            "PIP_DISABLE_PIP_VERSION_CHECK": "1",
            "PIP_ROOT_USER_ACTION": "ignore",
            # On a cluster, use_venv leaves the distribution's packages alone; this image has no other use.
            **({"PIP_BREAK_SYSTEM_PACKAGES": "1"} if self._function.use_venv else {}),
            **self._run_args.get("environment", {}),
            **variables,
        }
        # As the environment of the execution: that of the container would be part of the committed image.
        code, output = container.exec_run(list(command), user="0", environment=environment)
        _check(self._cancel)
        assert isinstance(output, bytes), "the output was not requested as a stream"
        return code, output.decode("utf-8", "replace")

    def _fail(self, reason: str, output: str) -> None:
        hint = (
            "Check the names and versions in packages_to_install, and that there are releases for the image's Python. "
            "If the container does not reach the index, pass DockerRunner(network_mode=..., environment=..., "
            "mounts=...)."
        )
        if self._run_args.get("network_mode") == "none":
            hint = (
                "The containers have no network (network_mode='none'). A test gets it with "
                "@pytest.mark.standpipe(network=True); the image is kept for tests without."
            )
        if "not a trusted or secure host" in output:
            hint = (
                "pip ignores an index without TLS unless its host is trusted: list the host, with its port, in "
                "pip_trusted_hosts of the component."
            )
        elif "Invalid IPv6 URL" in output:
            hint = (
                "pip takes hosts as trusted hosts, not URLs: write `host:port` in pip_trusted_hosts or --trusted-host."
            )
        elif "externally-managed-environment" in output:
            hint = (
                "The image's Python is managed by its distribution, so the installation would fail on a cluster, too. "
                "Use another base image (python:3.11), or @dsl.component(use_venv=True)."
            )
        raise EnvironmentBuildError(
            f"The packages of {self._function.name!r} could not be installed into the image {self._base}: {reason}.\n"
            f"{_errors_of_pip(output)}\n{hint}"
        )

    def _config(self, container: Container, key: str) -> dict[str, Any]:
        """Return the configuration of the base image, so that nothing of the installing container is kept.

        An engine takes from the container what is missing here, labels included: those are emptied.
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
                "standpipe.packages": json.dumps([hide_password(p) for p in sorted(self._function.packages)]),
            },
        }


def _key(base_id: str, function: PythonFunction, indexes: Indexes) -> str:
    packages = function.packages
    if not any(package.strip().startswith("-") for package in packages):
        packages = tuple(sorted(packages))  # otherwise one may be the value of the option before it
    options = list(map(drop_password, _index_options(indexes)))
    # The 1 is the version of the way in which images are built.
    content = [1, base_id, list(map(drop_password, packages)), options, function.use_venv]
    return hashlib.sha256(json.dumps(content).encode()).hexdigest()[:20]


def _variables(config: Mapping[str, Any]) -> dict[str, str]:
    """Return the variables of an image."""
    pairs = (pair.partition("=") for pair in (config["Config"] or {}).get("Env") or ())
    return {name: value for name, _, value in pairs}


def _index_options(indexes: Indexes) -> list[str]:
    return [part for name, value in indexes.options for part in (f"--{name}", value)]


def _pull_missing(client: DockerClient, name: str, platform: str | None, inform: Notice, cancel: Cancellation) -> None:
    inform(f"Pulling the image {name}, which is not on this machine.")
    with _explain_missing(name):
        _pull(client, name, platform, inform, cancel)
    inform(f"Pulled the image {name}.")


@contextlib.contextmanager
def _explain_missing(name: str) -> Iterator[None]:
    try:
        yield
    except engine_errors() as error:
        raise RunnerError(
            f"The image {name} is not on this machine, and could not be pulled: {message_of(error)}\n"
            "Check the spelling of its name. If it is private, log in first: `docker login <registry>`. "
            f"Without a network, load it (`docker load`) or build it (`docker build -t {name} .`)."
        ) from error


def _pull(client: DockerClient, name: str, platform: str | None, inform: Notice, cancel: Cancellation) -> None:
    for text in _progress(_pull_events(client, name, platform, cancel)):
        inform(f"Pulling the image {name}: {text}.")


def _pull_events(
    client: DockerClient, name: str, platform: str | None, cancel: Cancellation
) -> Iterator[dict[str, Any]]:
    from docker.errors import DockerException  # costly; only a user of containers needs it

    pull = partial(client.api.pull, name, stream=True, decode=True, platform=platform)
    # In another thread, as a registry may pause for minutes.
    for event in iterate_in_thread(pull, cancel):
        if "error" in event:
            raise DockerException(event["error"])  # an engine reports late errors in the stream
        yield event
    _check(cancel)


def _progress(events: Iterable[dict[str, Any]]) -> Iterator[str]:
    """Yield from time to time how much of the layers was downloaded."""
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


def _check(cancel: Cancellation) -> None:
    if cancel:
        raise RunnerError("It was cancelled while its image was prepared.")


def _start_once(thread: threading.Thread) -> None:
    if thread.ident is None:
        thread.start()


def _kill(container: Container) -> None:
    # It may have ended meanwhile; the request that runs in it fails in either case.
    with contextlib.suppress(*engine_errors()):
        container.kill()


@contextlib.contextmanager
def _explain_errors(what: str, kind: type[RunnerError] = RunnerError) -> Iterator[None]:
    try:
        yield
    except engine_errors() as error:
        raise kind(f"{what}: {message_of(error)}") from error


def _errors_of_pip(output: str) -> str:
    """Return pip's errors: why it could not reach the index, and its output from the first error on, or its end.

    Of a traceback of pip itself that is the end, with the exception.
    """
    lines = [line.rstrip() for line in output.splitlines() if line.strip() and not line.startswith("[notice]")]
    errors = [number for number, line in enumerate(lines) if line.lstrip().lower().startswith("error")]
    is_traceback = any(line.startswith("Traceback ") for line in lines)
    shown = lines[errors[0] :][:_LINES_OF_PIP] if errors and not is_traceback else lines[-_LINES_OF_PIP:]
    causes = [line for line in lines if line.startswith(_CAUSES) and line not in shown][-1:]
    return "\n".join(f"  {line}" for line in map(hide_password, [*causes, *shown]))
