"""The errors of Standpipe, with the exit codes of the command line.

A message says what happened, where, and what to do next; users need no traceback of Standpipe to understand it. Where
the KFP SDK raises a `TypeError`, a `ValueError` or a `RuntimeError`, the class here is a subclass of it, so that code
written for the SDK still catches it.
"""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, ParamSpec, TypeVar

P = ParamSpec("P")
R = TypeVar("R")


class StandpipeError(Exception):
    """The base class of all errors that Standpipe raises.

    `is_permanent` is whether the attempt that it ended would fail again in the same way, so that it is not retried.
    `hint` is what to do, where that is too long for the message.
    """

    exit_code = 1
    is_permanent = False
    hint = ""

    def _render_traceback_(self) -> list[str]:
        """Return the traceback for IPython, which calls this, without the frames of Standpipe.

        IPython shows the last frame of a traceback even if it has `__tracebackhide__` (8.37.0).
        """
        from standpipe.tracebacks import remove_own_frames  # no program without errors needs it

        if not isinstance(self, InternalError):
            remove_own_frames(self)
        shell = sys.modules["IPython"].get_ipython()
        lines: list[str] = shell.InteractiveTB.structured_traceback(type(self), self, self.__traceback__, tb_offset=1)
        return lines


def shorten_errors(function: Callable[P, R]) -> Callable[P, R]:
    """Decorate a public function: its errors have a traceback of the user's frames, and of one of Standpipe.

    Errors that are defects, of Standpipe or of the user's code, keep the whole traceback.
    """

    @functools.wraps(function)
    def call(*args: P.args, **kwargs: P.kwargs) -> R:
        __tracebackhide__ = True  # pytest leaves this frame out
        try:
            return function(*args, **kwargs)
        except InternalError:
            raise
        except StandpipeError as error:
            from standpipe.tracebacks import remove_own_frames  # no program without errors needs it

            remove_own_frames(error)
            # `raise` alone would restore the whole traceback in Python 3.10.
            raise error  # noqa: TRY201

    return call


class AuthoringError(StandpipeError, ValueError):
    """A component or pipeline is defined in a way that KFP does not allow."""

    exit_code = 2


class InvalidTopologyException(AuthoringError):
    """An input is an output of a task in a loop, condition or exit handler, which may not exist; the KFP SDK's name."""


class InvalidControlFlowException(AuthoringError):
    """An `Elif` or `Else` without an `If`; the KFP SDK's name."""


class AuthoringTypeError(StandpipeError, TypeError):
    """An argument or an annotation of a component or pipeline has the wrong type."""

    exit_code = 2


class InconsistentTypeException(AuthoringTypeError):
    """An output is passed to an input of another type; the KFP SDK's name."""


class AuthoringAttributeError(StandpipeError, AttributeError):
    """A task or a placeholder does not have an attribute."""

    exit_code = 2


class NoSuchOutput(StandpipeError, KeyError):
    """A component does not have an output."""

    exit_code = 2
    __str__ = Exception.__str__  # a KeyError would show the repr of its message


class NoSuchRun(StandpipeError, KeyError):
    """The run store does not have a run, or the beginning of its id is ambiguous."""

    exit_code = 2
    __str__ = Exception.__str__  # a KeyError would show the repr of its message


class NoSuchTask(StandpipeError, KeyError):
    """A run does not have a task, or not yet, or its name is ambiguous."""

    exit_code = 2
    __str__ = Exception.__str__  # a KeyError would show the repr of its message


class ArgumentError(StandpipeError, TypeError, ValueError):
    """An argument of a function, a command or a pipeline is invalid: its type or its value."""

    exit_code = 2


class RunArgumentError(ArgumentError):
    """A run argument of a DockerRunner does not exist in the Docker SDK, or cannot be set for tasks."""


class NotInitialized(StandpipeError, RuntimeError):
    """A component is called before `local.init()`."""

    exit_code = 2


class SpecError(StandpipeError, ValueError):
    """A compiled file, or a component's YAML, is malformed; the message has the path of the field."""

    exit_code = 3


class UnsupportedError(StandpipeError, NotImplementedError):
    """This version, or the runner, does not support something."""

    exit_code = 4
    is_permanent = True


class RunnerError(StandpipeError, RuntimeError):
    """The environment of a task is not available, for instance the Docker engine, an image or an interpreter."""

    exit_code = 5


class EnvironmentBuildError(RunnerError):
    """The packages of a task cannot be installed."""


class InvalidPackages(EnvironmentBuildError):
    """The packages or indexes of a component are not what an installer takes."""

    is_permanent = True


class StorageError(StandpipeError, OSError):
    """The pipeline root, or another file or folder, cannot be read or written."""

    exit_code = 6


class ClusterError(StandpipeError, ConnectionError):
    """A KFP cluster cannot be reached, or refuses a request."""

    exit_code = 7


class TaskFailure(NamedTuple):
    """A task that failed, or that the check before a run found unable to run.

    `task` is its path, empty for the pipeline. `message` is the reason, as one sentence without a subject, and `hint`
    what to do about it. `file` and `line` are those of the user's code; empty and 0 if they are not known.
    """

    task: str
    message: str
    hint: str = ""
    file: str = ""
    line: int = 0


class TaskFailed(StandpipeError, RuntimeError):
    """A task of a run failed. The message begins with the line of its function, its name and the reason.

    Args:
        message: the failure report.
        folder: the folder of the run; empty if nothing was started.
        problems: what the check before the run found, or what cannot be built for later tasks.
    """

    exit_code = 10

    def __init__(self, message: str, *, folder: str = "", problems: Sequence[TaskFailure] = ()) -> None:
        super().__init__(message)
        self._folder = folder
        self._problems = tuple(problems)

    @property
    def run(self) -> Any:
        """The run, a `standpipe.history.Run` that is read when it is used; None if nothing was started."""
        return read_run(self._folder)

    @property
    def failures(self) -> tuple[TaskFailure, ...]:
        """The tasks that failed by themselves, or that were found unable to run before they started."""
        run = self.run
        return (*self._problems, *(run.failed_tasks if run else ()))


def read_run(folder: str) -> Any:
    """Return the `standpipe.history.Run` of a folder; None if that is empty.

    Raises:
        NoSuchRun: if the run was deleted.
        StorageError: if the run store cannot be read.
    """
    if not folder:
        return None
    from importlib import import_module  # `history` is above this module, so it can only be imported by its name
    from pathlib import Path

    return import_module("standpipe.history").get_run(Path(folder).parent, Path(folder).name)


class InternalError(StandpipeError, RuntimeError):
    """An invariant of Standpipe is violated. This is a bug to report."""

    exit_code = 70
