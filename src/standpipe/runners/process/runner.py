"""The runner of lightweight Python components in processes, forked from a server in their environment."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from functools import lru_cache, partial
from pathlib import Path
from typing import Any, Protocol

from standpipe.errors import EnvironmentBuildError, RunnerError, UnsupportedError
from standpipe.model.attempts import CANCELLED_BEFORE_START, Outcome, TaskRequest
from standpipe.model.cancellation import Cancellation
from standpipe.model.kfp import DEFAULT_IMAGE
from standpipe.model.plan import Container, PythonFunction
from standpipe.model.ports import Log, Problem
from standpipe.model.resources import Capacity
from standpipe.runners.component_imports import find_missing_modules
from standpipe.runners.missing_modules import explain_missing_module
from standpipe.runners.package_indexes import drop_password, has_variables, resolve_indexes
from standpipe.runners.pauses import announce_pauses
from standpipe.runners.process.fork_servers import BOOT, START_VARIABLES, ForkServers, shared_servers
from standpipe.runners.process.limits import AttemptLimits, Limiter, gpu_variables
from standpipe.runners.process.task_process import TaskProcess
from standpipe.runners.process.warm_imports import COLD, Choice, WarmImports
from standpipe.runners.request_files import request_file, write_request
from standpipe.runners.thread_counts import CoreShares
from standpipe.support import machine_capacity
from standpipe.support.notices import Notice, Once, inform, warn
from standpipe.support.terminals import terminal_path
from standpipe.worker.process_state import raw_environ

#: Variables that would bring the packages and settings of this process into another environment.
_HOST_PYTHON = (
    "PYTHONHOME",
    "PYTHONPATH",
    "PYTHONSTARTUP",
    "PYTHONUSERBASE",
    "PYTHONEXECUTABLE",
    "PYTHONDONTWRITEBYTECODE",
    "__PYVENV_LAUNCHER__",
)


class Environments(Protocol):
    """Python environments by content: the same packages give the same environment, built once."""

    def python(
        self, function: PythonFunction, *, variables: Mapping[str, str], inform: Notice, cancel: Cancellation
    ) -> Path:
        """Return the interpreter of the environment that holds the function's packages.

        Args:
            function: the component's program, with its packages and indexes.
            variables: the variables of the task, which the URLs of indexes may refer to.
            inform: called with the progress of a build, a sentence at a time.
            cancel: cancels a build.

        Raises:
            EnvironmentBuildError: if they cannot be installed, with the installer's error, or `cancel` was set
                meanwhile.
        """

    def is_built(self, function: PythonFunction, variables: Mapping[str, str]) -> bool:
        """Return whether that environment exists already.

        Raises:
            EnvironmentBuildError: if the packages are not what an installer takes.
        """

    def check(self, function: PythonFunction, variables: Mapping[str, str], cancel: Cancellation) -> None:
        """Check that the function's packages resolve, without building their environment.

        Raises:
            EnvironmentBuildError: if they do not, with the installer's error, or `cancel` was set meanwhile.
        """

    def has_module(self, function: PythonFunction, variables: Mapping[str, str], module: str) -> bool | None:
        """Return whether that environment has a module; None if that is not known, as it is not built yet."""

    def find_unreadable(self, function: PythonFunction) -> Iterable[str]:
        """Return a sentence for each requirement of the function's that no installer can read."""


class ProcessTaskRunner:
    """Implements `model.ports.Runner` with processes.

    Args:
        environments: provides the interpreters.
        servers: the fork servers, which it may share with others.
        warn: called with what is not done as asked.
        inform: called with the progress of what takes long.
        warm: knows which packages to import ahead; None if each task imports them itself.
        environ: returns the variables that tasks have besides their own, as `os.environ` holds them.
    """

    def __init__(
        self,
        environments: Environments,
        *,
        servers: ForkServers = shared_servers,
        warn: Notice = warn,
        inform: Notice = inform,
        warm: WarmImports | None = None,
        environ: Callable[[], Mapping[bytes, bytes]] = raw_environ,
    ) -> None:
        self._environ = environ
        self._environments = environments
        self._warn = warn
        self._inform = inform
        self._servers = servers
        self._warm = warm
        self._limiter = Limiter()
        self._cores = CoreShares(machine_capacity.count_cores)
        self._noticed = Once()

    def run(self, request: TaskRequest, *, log: Log, cancel: Cancellation) -> Outcome:
        """Run one attempt to its end; see `model.ports.Runner`.

        Raises:
            UnsupportedError: if the task is not a lightweight Python component.
            EnvironmentBuildError: if its packages cannot be installed.
            RunnerError: if its interpreter does not start.
            StorageError: if its folder cannot be written.
        """
        function = _function(request)
        self._warn_of_other_python(request.image)
        self._warn_of_ignored_settings(request)
        threads = self._cores.thread_variables(request.concurrency, request.limits.cpu, self._inherited)
        variables = {**threads, **_task_variables(request)}
        python = self._environments.python(function, variables=variables, inform=self._inform, cancel=cancel)
        if cancel:
            return CANCELLED_BEFORE_START
        write_request(request, function, usage=bool(request.debug), terminal=terminal_path())
        if request.debug:
            from standpipe.runners.process.debugger import run_debugged  # only debugging needs it

            with self._servers.working_directory() as cwd:
                outcome = run_debugged(python, request, {**self._environment(python), **variables}, cwd, log, cancel)
        else:
            with announce_pauses(request, "", self._warn):
                outcome = self._run_in_server(python, request, variables, log, cancel)
        return explain_missing_module(outcome, request, in_image=False) if outcome.cause else outcome

    def find_problems(self, executor: Container) -> Iterator[Problem]:
        """Yield why an executor's tasks are certain to fail, as far as that is known."""
        function, variables = executor.program, executor.env
        if not isinstance(function, PythonFunction):
            yield Problem(
                f"it runs a container ({executor.image}), and the SubprocessRunner only runs lightweight Python "
                "components",
                "Use local.init(runner=local.DockerRunner()).",
            )
            return
        try:
            is_prepared = self._is_prepared(function, variables)
        except EnvironmentBuildError as error:
            yield Problem(str(error), error.hint)
            return
        if not is_prepared:
            yield from map(Problem, self._environments.find_unreadable(function))
        if not has_variables(function) and "PYTHONPATH" not in variables:
            has_module = partial(self._environments.has_module, function, variables)
            yield from find_missing_modules(function, has_module)

    def is_prepared(self, executor: Container) -> bool:
        """Return whether the environment of an executor exists, or cannot be built before its task."""
        try:
            return not isinstance(executor.program, PythonFunction) or self._is_prepared(executor.program, executor.env)
        except EnvironmentBuildError:
            return True  # its packages are invalid, which `find_problems` yields

    def _is_prepared(self, function: PythonFunction, variables: Mapping[str, str]) -> bool:
        return not function.packages or has_variables(function) or self._environments.is_built(function, variables)

    def prepare(self, executor: Container, cancel: Cancellation) -> None:
        """Build the environment of an executor.

        Raises:
            EnvironmentBuildError: if its packages cannot be installed, or `cancel` was set meanwhile.
        """
        assert isinstance(executor.program, PythonFunction), "other executors have no environment"
        self._environments.python(executor.program, variables=executor.env, inform=self._inform, cancel=cancel)

    def check(self, executor: Container, cancel: Cancellation) -> None:
        """Check that the packages of an executor resolve; see `model.ports.PreparingRunner`.

        Raises:
            EnvironmentBuildError: if they do not, or `cancel` was set meanwhile.
        """
        assert isinstance(executor.program, PythonFunction), "other executors have no environment"
        self._environments.check(executor.program, executor.env, cancel)

    def fingerprint(self, request: TaskRequest) -> str:
        """Return the version of Python, the platform that it was built for, and indexes named by variables."""
        here = f"{sys.implementation.cache_tag}-{sys.platform}-{os.uname().machine}"
        if isinstance(request.program, PythonFunction) and has_variables(request.program):
            urls = resolve_indexes(request.program, {**self._inherited, **_task_variables(request)}).urls
            return " ".join((here, *map(drop_password, urls)))
        return here

    def capacity(self) -> Capacity:
        """Return the capacity of this machine, as far as this process may use it."""
        return machine_capacity.read_capacity()

    def close(self) -> None:
        """Stop the fork servers that no other runner has used, and with them the tasks that still run there."""
        self._servers.leave(self)

    def _run_in_server(
        self, python: Path, request: TaskRequest, own: Mapping[str, str], log: Log, cancel: Cancellation
    ) -> Outcome:
        shared = self._environment(python)
        # The variables of a task may hold secrets, which other tasks of the same server must not see.
        start = {**shared, **{name: value for name, value in own.items() if START_VARIABLES.match(name)}}
        with self._servers.working_directory() as cwd, self._limiter.limit(request.limits) as limits:
            message: dict[str, Any] = {"request": str(request_file(request.folder)), "cwd": cwd}
            message.update(env={**shared, **own}, umask=request.umask, program=_identify(_function(request)))
            if request.pod.mounts:
                message.update(_mounts(python, request, cwd))
            if limits.message:
                message["limits"] = limits.message
            choice = self._choose_imports(python, request, message["env"])
            if choice.learn:
                message["learn"] = True
            task = self._run_warm(choice, python, message, limits, log, cancel)
            if task is None and choice.template and cancel:
                return CANCELLED_BEFORE_START  # while it waited for its template
            is_warm = task is not None
            task = task or self._run_process(python, start, message, limits, log, cancel)
            return self._learn(choice, task, replace(task.outcome(request), warm_imports=is_warm), request, cancel)

    @property
    def _inherited(self) -> Mapping[str, str]:
        """The variables that tasks have besides their own."""
        return os.environ if self._environ is raw_environ else _decode(tuple(self._environ().items()))

    def _environment(self, python: Path) -> Mapping[str, str]:
        """Return the variables that tasks have besides their own, adapted to the environment of an interpreter."""
        return _adapt_variables(python, tuple(self._environ().items()))

    def _choose_imports(self, python: Path, request: TaskRequest, env: Mapping[str, str]) -> Choice:
        return self._warm.choose(python, _function(request), request, env, self) if self._warm else COLD

    def _run_warm(
        self,
        choice: Choice,
        python: Path,
        message: Mapping[str, Any],
        limits: AttemptLimits,
        log: Log,
        cancel: Cancellation,
    ) -> TaskProcess | None:
        """Run one attempt in a process that is forked from its template; return None if that has not started it."""
        template = choice.template
        if template is None or self._warm is None:
            return None
        with self._servers.use(python, template.variables, self, template=template) as server:
            assert server.start is not None, "it has a template"
            server.start.wait(cancel)
            if cancel or not self._warm.is_usable(choice, server.start):
                return None
            task = TaskProcess(server, message, limits)
            task.wait(log, cancel)
            return task if task.started else None

    def _learn(
        self, choice: Choice, task: TaskProcess, outcome: Outcome, request: TaskRequest, cancel: Cancellation
    ) -> Outcome:
        """Learn from an attempt how to import for the next ones; return its outcome, with a hint if that may be why."""
        if self._warm is None:
            return outcome
        if outcome.warm_imports and outcome.signal is not None and not outcome.out_of_memory and not cancel:
            return self._warm.explain_death(choice, outcome)
        if task.learned is not None:
            self._warm.learn(choice, _function(request), task.learned)
        return outcome

    def _run_process(
        self,
        python: Path,
        start: Mapping[str, str],
        message: Mapping[str, Any],
        limits: AttemptLimits,
        log: Log,
        cancel: Cancellation,
    ) -> TaskProcess:
        """Run one attempt. A server that has ended before it starts the task is replaced, once."""
        replaced, printed = None, ""
        for _ in range(2):
            with self._servers.use(python, start, self, replacing=replaced) as server:
                task = TaskProcess(server, message, limits)
                task.wait(log, cancel)
                if task.started:
                    return task
                replaced, printed = server, server.error_output()
        raise RunnerError(
            f"The task's Python interpreter does not start: {python}\n{printed}\n"
            "If it was removed or upgraded, remove the environment, too: the next run builds it again."
        )

    def _warn_of_other_python(self, image: str) -> None:
        if image == DEFAULT_IMAGE:  # nobody has chosen it
            return
        requested = re.search(r"(?:^|/)python:(\d+\.\d+)", image)
        here = f"{sys.version_info[0]}.{sys.version_info[1]}"
        if not requested or requested[1] == here:
            return
        self._warn_once(
            image,
            f"Components with the base image {image} run on this machine's Python {here}: the SubprocessRunner "
            "does not use images. Use local.DockerRunner() to run them in theirs.",
        )

    def _warn_of_ignored_settings(self, request: TaskRequest) -> None:
        pod = request.pod
        settings = {
            "image pull policy": pod.pull_policy,
            "security context": pod.non_root or pod.user is not None or pod.group is not None,
            "size of shared memory": pod.shared_memory,
        }
        if pod.init_containers:
            self._warn_once(
                (request.run, request.task.name, "init containers"),
                f"kubernetes: task {str(request.task)!r} runs without its init containers and sidecars "
                f"({', '.join(container.name for container in pod.init_containers)}) with the SubprocessRunner. "
                "Use local.DockerRunner().",
            )
        for what in (what for what, is_set in settings.items() if is_set):
            self._warn_once(
                (request.run, what),
                f"kubernetes: the {what} of task {str(request.task)!r} has no effect with the SubprocessRunner. "
                "Use local.DockerRunner().",
            )

    def _warn_once(self, key: object, text: str) -> None:
        if self._noticed.is_first(key):
            self._warn(text)


def _function(request: TaskRequest) -> PythonFunction:
    if isinstance(request.program, PythonFunction):
        return request.program
    raise UnsupportedError(
        f"The task {str(request.task)!r} runs a container ({request.image}), and the SubprocessRunner only runs "
        "lightweight Python components. Use local.init(runner=local.DockerRunner())."
    )


def _identify(function: PythonFunction) -> int:
    """Return a number for the program of a function, as the fork server compiles it."""
    return hash((function.source, function.name, function.sections))


def _mounts(python: Path, request: TaskRequest, cwd: str) -> dict[str, Any]:
    """Return what to mount, and the folders to keep visible where a volume, at `/tmp` for instance, would hide them."""
    needed = [
        request.pipeline_root,
        request.workspace,
        *(mount.source for mount in request.input_mounts if not mount.source.is_relative_to(request.pipeline_root)),
        BOOT.parent,
        python.parent.parent,
        Path(cwd),
    ]
    folders = [str(path) for path in (*needed, Path(sys.base_prefix)) if path is not None and path.is_dir()]
    return {
        "mounts": [(str(mount.source), mount.path, mount.read_only) for mount in request.pod.mounts],
        "keep": sorted(set(folders)),
    }


def _task_variables(request: TaskRequest) -> dict[str, str]:
    """Return the environment variables of this task alone."""
    retry = {"KFP_RETRY_INDEX": str(request.retry_index)}
    return {**request.variables, **gpu_variables(request.limits), **retry}


@lru_cache(maxsize=16)  # decoding all variables takes as long as twenty system calls
def _adapt_variables(python: Path, variables: tuple[tuple[bytes, bytes], ...]) -> Mapping[str, str]:
    env = dict(_decode(variables))
    if str(python) != sys.executable:
        for name in _HOST_PYTHON:
            env.pop(name, None)
    env["PATH"] = os.pathsep.join((str(python.parent), env.get("PATH", os.defpath)))
    env.pop("VIRTUAL_ENV", None)
    virtual_env = _virtual_env(python)
    if virtual_env:
        env["VIRTUAL_ENV"] = virtual_env
    return env


@lru_cache(maxsize=16)
def _decode(variables: tuple[tuple[bytes, bytes], ...]) -> Mapping[str, str]:
    return {os.fsdecode(name): os.fsdecode(value) for name, value in variables}


@lru_cache(maxsize=1000)
def _virtual_env(python: Path) -> str:
    """Return the folder of the virtual environment of an interpreter; empty for others."""
    folder = python.parent.parent
    return str(folder) if (folder / "pyvenv.cfg").exists() else ""
