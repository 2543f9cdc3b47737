"""Runs lightweight Python components in processes of this machine, forked from a server in their environment."""

from __future__ import annotations

import atexit
import os
import re
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from standpipe.errors import RunnerError, UnsupportedError
from standpipe.model.plan import PythonFunction
from standpipe.model.ports import Cancel, Environments, Log, Outcome, TaskRequest
from standpipe.runners.process.fork_servers import BOOT, START, Server, Servers
from standpipe.runners.process.limits import Bounds, Limiter, variables
from standpipe.runners.process.task_process import TaskProcess
from standpipe.runners.request_files import request_file, write_request
from standpipe.support.notices import Once

#: Variables that would bring the host's packages and settings into another environment.
_HOST_PYTHON = (
    "PYTHONHOME",
    "PYTHONPATH",
    "PYTHONSTARTUP",
    "PYTHONUSERBASE",
    "PYTHONEXECUTABLE",
    "PYTHONDONTWRITEBYTECODE",
    "__PYVENV_LAUNCHER__",
)


class SubprocessTasks:
    """The runner of lightweight Python components, as `standpipe.model.ports.Runner` says.

    Args:
        environments: where the interpreters come from.
        notice: told what the user should know, a sentence at a time.

    Raises:
        UnsupportedError: on Windows, which has no `fork`.
    """

    def __init__(self, environments: Environments, notice: Callable[[str], None]) -> None:
        if not hasattr(os, "fork"):
            raise UnsupportedError("Processes cannot be forked on Windows. Use local.DockerRunner(), or WSL.")
        self._environments = environments
        self._notice = notice
        self._servers = Servers()
        self._limiter = Limiter()
        self._noticed = Once()
        atexit.register(self.close)

    def run(self, request: TaskRequest, *, log: Log, cancel: Cancel) -> Outcome:
        """Runs one attempt to its end.

        Raises:
            UnsupportedError: if the task is not a lightweight Python component.
            EnvironmentBuildError: if its packages cannot be installed.
            RunnerError: if its interpreter does not start.
            StorageError: if its folder cannot be written.
        """
        function = _function(request)
        self._compare_versions(request.image)
        self._say_what_is_ignored(request)
        python = self._environments.python(function, notice=self._notice, cancel=cancel)
        if cancel:
            return Outcome(problem="it was cancelled before it started")
        write_request(request, function, usage=request.debug)
        if request.debug:
            from standpipe.runners.process.debugger import run_debugged  # only a person who debugs needs it

            with _working_directory() as cwd:
                return run_debugged(python, request, {**_environment(python), **_variables(request)}, cwd, log, cancel)
        return self._run_in_server(python, request, log, cancel)

    def fingerprint(self, request: TaskRequest) -> str:
        """The version of Python, and the kind of machine that it was made for."""
        return f"{sys.implementation.cache_tag}-{sys.platform}-{os.uname().machine}"

    def close(self) -> None:
        """Ends the servers, and with them whatever still runs."""
        self._servers.close()
        atexit.unregister(self.close)

    def _run_in_server(self, python: Path, request: TaskRequest, log: Log, cancel: Cancel) -> Outcome:
        shared, own = _environment(python), _variables(request)
        # What one task is told, a secret perhaps, is no business of those that are forked from the same server.
        start = {**shared, **{name: value for name, value in own.items() if START.match(name)}}
        with _working_directory() as cwd, self._limiter.bounds(request.limits) as bounds:
            message = {"request": str(request_file(request.folder)), "cwd": cwd, "env": {**shared, **own}}
            if request.pod.mounts:
                message.update(_volumes(python, request, cwd))
            if bounds.told:
                message["limits"] = bounds.told
            return self._started(python, start, message, bounds, log, cancel).outcome(request.folder)

    def _started(
        self,
        python: Path,
        start: Mapping[str, str],
        message: Mapping[str, Any],
        bounds: Bounds,
        log: Log,
        cancel: Cancel,
    ) -> TaskProcess:
        """Runs one task. A server that turns out to be dead before it starts anything is replaced, once."""

        def run_on(server: Server) -> TaskProcess:
            task = TaskProcess(server, message, bounds)
            task.wait(log, cancel)
            return task

        server = self._servers.get(python, start)
        task = run_on(server)
        if not task.started:
            server = self._servers.get(python, start, instead_of=server)
            task = run_on(server)
        if task.started:
            return task
        raise RunnerError(
            f"The Python that the task should run with does not start: {python}\n{server.last_words()}\n"
            "If it was removed or upgraded, remove its environment too: it is then made anew."
        )

    def _compare_versions(self, image: str) -> None:
        wanted = re.search(r"(?:^|/)python:(\d+\.\d+)", image)
        here = f"{sys.version_info[0]}.{sys.version_info[1]}"
        if not wanted or wanted[1] == here:
            return
        self._notice_once(
            image,
            f"Components with the base image {image} run on this machine's Python {here}: the SubprocessRunner "
            "has no images. Use local.DockerRunner() to run them in theirs.",
        )

    def _say_what_is_ignored(self, request: TaskRequest) -> None:
        pod = request.pod
        asked = {
            "image pull policy": pod.pull_policy,
            "security context": pod.non_root or pod.user is not None or pod.group is not None,
            "size of shared memory": pod.shared_memory,
        }
        for what in (what for what, is_asked in asked.items() if is_asked):
            self._notice_once(
                (request.run, what),
                f"kubernetes: the {what} of task {str(request.task)!r} has no meaning for the SubprocessRunner, so it "
                "is not acted on. Use local.DockerRunner().",
            )

    def _notice_once(self, key: object, text: str) -> None:
        if self._noticed.is_first(key):
            self._notice(text)


def _function(request: TaskRequest) -> PythonFunction:
    if isinstance(request.program, PythonFunction):
        return request.program
    raise UnsupportedError(
        f"The task {str(request.task)!r} runs a container ({request.image}), and the SubprocessRunner only runs "
        "lightweight Python components. Use local.init(runner=local.DockerRunner())."
    )


def _volumes(python: Path, request: TaskRequest, cwd: str) -> dict[str, Any]:
    """What is to be mounted, and what the task needs besides, which a volume at `/tmp` for instance would hide."""
    needed = [request.pipeline_root, request.workspace, *request.reads, BOOT.parent, python.parent.parent, Path(cwd)]
    folders = [str(path) for path in (*needed, Path(sys.base_prefix)) if path is not None and path.is_dir()]
    return {
        "mounts": [(str(mount.source), mount.path, mount.read_only) for mount in request.pod.mounts],
        "keep": sorted(set(folders)),
    }


def _variables(request: TaskRequest) -> dict[str, str]:
    """A task's own variables."""
    return {**request.env, **request.pod.env, **variables(request.limits), "KFP_RETRY_INDEX": str(request.retry_index)}


def _environment(python: Path) -> dict[str, str]:
    """The variables of this process, as seen from a task's environment."""
    env = dict(os.environ)
    if str(python) != sys.executable:
        for name in _HOST_PYTHON:
            env.pop(name, None)
    env["PATH"] = os.pathsep.join((str(python.parent), env.get("PATH", os.defpath)))
    env.pop("VIRTUAL_ENV", None)
    if (python.parent.parent / "pyvenv.cfg").exists():
        env["VIRTUAL_ENV"] = str(python.parent.parent)
    return env


@contextmanager
def _working_directory() -> Iterator[str]:
    """An empty folder that is removed afterwards, whatever a task did to it."""
    import tempfile  # costs 6 ms, which a program that runs nothing need not pay

    folder = tempfile.mkdtemp(prefix="standpipe-")
    try:
        yield folder
    finally:
        try:
            os.rmdir(folder)  # most tasks leave nothing there
        except OSError:
            _remove(folder)


def _remove(folder: str) -> None:
    import shutil  # costs 5 ms, and tempfile has imported it

    for parent, folders, _ in os.walk(folder):
        for path in (os.path.join(parent, name) for name in folders):
            if not os.path.islink(path):
                with suppress(OSError):
                    os.chmod(path, 0o700)
    shutil.rmtree(folder, ignore_errors=True)
