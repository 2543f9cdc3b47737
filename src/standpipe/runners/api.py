"""What users choose a runner by, and the registry of the runners that there are."""

from __future__ import annotations

import os
import threading
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from importlib import import_module
from typing import TYPE_CHECKING, NamedTuple

from standpipe.errors import ArgumentError, UnsupportedError
from standpipe.support.forking import paused, register_functions

if TYPE_CHECKING:
    from pathlib import Path

    from standpipe.model.plan import Container, Plan
    from standpipe.model.ports import Problem, Runner


class Registration(NamedTuple):
    """Where the class of a runner is, and its name for `--runner`.

    Args:
        module: the module that defines the class; it is imported when a program first uses the class.
        flag: the value of `--runner`; empty if only Python code can make such a runner.
    """

    module: str
    flag: str


#: All runners, by the name of their class in `standpipe.local`. The first one is the default of the command line.
RUNNERS: Mapping[str, Registration] = {
    "SubprocessRunner": Registration("standpipe.runners.process.api", flag="subprocess"),
    "DockerRunner": Registration("standpipe.runners.docker.api", flag="docker"),
    "InProcessRunner": Registration("standpipe.runners.in_process.api", flag="in-process"),
    "RayRunner": Registration("standpipe.runners.ray.api", flag="ray"),
    "KubernetesRunner": Registration("standpipe.runners.kubernetes.api", flag="kubernetes"),
    "FakeRunner": Registration("standpipe.runners.fake", flag=""),
}


class LocalRunner(ABC):
    """Where tasks run, with the user's options. It holds nothing open until the first task comes.

    A subclass implements `open` and `workspace_path`, and takes its options as arguments of `__init__`.
    """

    #: Whether tasks run the code of their components. If not, nobody misses the names that the code does not define, or
    #: the output artifacts that it would have written.
    executes_code = True

    #: Whether its tasks exchange artifacts with this program through an object store, and in no other way.
    needs_object_store = False

    #: The arguments that `--runner-option` sets, all of them texts.
    text_options: tuple[str, ...] = ()

    #: Whether tasks run in this process, one at a time. Progress then leaves the terminal to them and to debuggers.
    in_process = False

    #: Whether tasks are pods of a real cluster, which has what the Kubernetes settings of a pipeline refer to. Its
    #: runner is a `model.ports.PodRunner`.
    runs_pods = False

    #: Whether tasks can wait for their user, as `set_debug_pause` asks.
    can_pause = True

    _opening = threading.RLock()  # a runner around another one opens that, too
    _opened: Runner | None = None
    _opened_by = 0
    _runs = 0  # in progress
    _is_retired = False

    @property
    def task_runner(self) -> Runner:
        """The open runner, which all runs and threads of this process share.

        A process that was forked from the one that opened it opens its own: connections cannot be shared.
        """
        with LocalRunner._opening, paused():
            if self._opened is None or self._opened_by != os.getpid():
                self._opened, self._opened_by = self.open(), os.getpid()
                self._runs, self._is_retired = 0, False
            return self._opened

    @contextmanager
    def running(self) -> Iterator[Runner]:
        """Give the open runner for the length of a run, during which `retire` does not close it."""
        runner = self.task_runner
        with LocalRunner._opening:
            self._runs += 1
            self._is_retired = False
        try:
            yield runner
        finally:
            with LocalRunner._opening:
                self._runs -= 1
                is_unneeded = self._is_retired and not self._runs
            if is_unneeded and self._opened_by == os.getpid():
                runner.close()

    def retire(self, successor: LocalRunner) -> None:
        """Close what is open, once no run of this runner is in progress; a later run opens it again.

        Args:
            successor: the runner that `local.init` has set in its place.
        """
        with LocalRunner._opening:
            self._is_retired = True
            runner = self._opened if not self._runs and self._opened_by == os.getpid() else None
        if runner is not None:
            runner.close()

    @abstractmethod
    def open(self) -> Runner:
        """Make the runner that executes attempts. It is called once per process, by `task_runner`.

        Import here, not at the top of the module, what costs time to import.

        Raises:
            StandpipeError: if tasks cannot run in this way on this machine.
        """

    @abstractmethod
    def workspace_path(self, workspace: Path) -> str:
        """Return the absolute path at which tasks see a run's workspace.

        Args:
            workspace: the folder of the workspace on this machine.
        """

    def check_plan(self, plan: Plan) -> None:  # noqa: B027 - most runners have no options that refer to tasks
        """Warn of options that do not fit a pipeline. It is called before the pipeline is run or resumed.

        Args:
            plan: the Plan of the pipeline.

        Raises:
            StandpipeError: if the runner cannot run the pipeline as it is.
        """

    def find_user_problems(self, executor: Container, user: int | None, root: Path) -> Iterable[Problem]:
        """Return why the user of an executor's tasks cannot use the folder of runs, as far as that is known before.

        Args:
            executor: the executor.
            user: the id of the user that the author has set; None if they set none.
            root: the folder of the state of runs.
        """
        return ()

    def check_debug(self) -> None:  # noqa: B027 - others say it of each task
        """Check that tasks can run under a debugger. It is called before a run whose task is to be debugged.

        Raises:
            UnsupportedError: if they cannot; the message says how to debug them.
        """

    @property
    def variables(self) -> Mapping[str, str]:
        """Environment variables that the user's options set for all tasks, by name."""
        return {}

    @property
    def mount_points(self) -> tuple[str, ...] | None:
        """The paths at which every task has a volume of its own.

        None if tasks see all of this machine. Otherwise they see volumes, their own folder and their inputs, and what
        they name on other paths is refused (`execution.host_paths`).
        """
        return None

    @property
    def command_options(self) -> tuple[str, ...]:
        """The flags of the command line that choose this runner, from which `from_command_line` makes it again."""
        flag = RUNNERS[type(self).__name__].flag if type(self).__name__ in RUNNERS else ""
        chosen = ("--runner", flag) if flag and flag != default_flag() else ()
        values = ((name, getattr(self, name)) for name in self.text_options)
        return (*chosen, *(part for name, value in values if value for part in ("--runner-option", f"{name}={value}")))

    @classmethod
    def from_command_line(
        cls, *, no_venv: bool, no_init_containers: bool = False, no_warm_imports: bool = False, **options: str
    ) -> LocalRunner:
        """Make the runner that the flags of the command line ask for.

        Args:
            no_venv: whether `--no-venv` was passed.
            no_init_containers: whether `--no-init-containers` was passed.
            no_warm_imports: whether `--no-warm-imports` was passed.
            **options: what `--runner-option` was passed, with names of `text_options`.

        Raises:
            ArgumentError: if a flag is not for this runner.
        """
        if no_venv:
            raise ArgumentError("--no-venv is for --runner subprocess: only its tasks can run in your environment.")
        if no_init_containers:
            raise ArgumentError("--no-init-containers is for --runner subprocess: other runners do run them.")
        if no_warm_imports:
            raise ArgumentError("--no-warm-imports is for --runner subprocess: other runners have no warm imports.")
        return cls(**options)


def _after_fork_in_child() -> None:
    LocalRunner._opening = threading.RLock()  # a thread that is not in this process may hold the old one


register_functions(in_child=_after_fork_in_child)


def refuse_init_containers(plan: Plan, runner: str, advice: str = "") -> None:
    """Refuse a pipeline whose tasks have init containers or sidecars, for a runner that has no containers.

    A task reads what its init container has left, or calls its sidecar. Without them its failure, or its wrong result,
    would come hours later.

    Args:
        plan: the Plan of the pipeline.
        runner: the name of the class of the runner.
        advice: what else the user can do, as a sentence.

    Raises:
        UnsupportedError: if tasks have some; the message names them.
    """
    tasks = plan.tasks_with_init_containers
    if tasks:
        raise UnsupportedError(
            f"Pipeline {plan.name!r} has tasks with init containers or sidecars, which the {runner} does not run: "
            f"{', '.join(map(repr, tasks))}. Use local.DockerRunner(). {advice}".rstrip()
        )


def runner_class(name: str) -> type[LocalRunner]:
    """Return a registered class by its name, such as `DockerRunner`.

    Raises:
        KeyError: if no runner has that name.
    """
    loaded: type[LocalRunner] = getattr(import_module(RUNNERS[name].module), name)
    return loaded


def flags() -> tuple[str, ...]:
    """Return the values that `--runner` takes."""
    return tuple(registration.flag for registration in RUNNERS.values() if registration.flag)


def default_flag() -> str:
    """Return the value of `--runner` where none is passed."""
    return flags()[0]


def from_command_line(
    flag: str,
    *,
    no_venv: bool,
    no_init_containers: bool = False,
    no_warm_imports: bool = False,
    options: Mapping[str, str] | None = None,
) -> LocalRunner:
    """Make the runner that the flags of the command line ask for.

    Args:
        flag: the value of `--runner`, one of `flags()`.
        no_venv: whether `--no-venv` was passed.
        no_init_containers: whether `--no-init-containers` was passed.
        no_warm_imports: whether `--no-warm-imports` was passed.
        options: what `--runner-option` was passed, by name.

    Raises:
        ArgumentError: if a flag is not for this runner.
    """
    chosen = runner_class(next(name for name, registration in RUNNERS.items() if registration.flag == flag))
    for name in options or {}:
        if name not in chosen.text_options:
            known = f"expected one of {', '.join(chosen.text_options)}" if chosen.text_options else "it has none"
            raise ArgumentError(f"Invalid --runner-option {name!r} of --runner {flag}: {known}.")
    return chosen.from_command_line(
        no_venv=no_venv, no_init_containers=no_init_containers, no_warm_imports=no_warm_imports, **(options or {})
    )


def suggestions() -> list[str]:
    """Return the calls that make a runner with its defaults, such as `local.SubprocessRunner()`, for errors."""
    return [f"local.{name}()" for name, registration in RUNNERS.items() if registration.flag]
