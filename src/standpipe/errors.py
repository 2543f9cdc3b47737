"""Every error of Standpipe: what happened, where, what to do next, and the exit code of a command that ends so.

The message is written for the user's terminal; it needs no traceback of ours beside it. Where the KFP SDK raises a
`TypeError`, a `ValueError` or a `RuntimeError`, the class here is one too, so that code written for the SDK still
catches it.
"""

from __future__ import annotations


class StandpipeError(Exception):
    """The base of all errors that Standpipe raises."""

    exit_code = 1


class AuthoringError(StandpipeError, ValueError):
    """A component or pipeline was written in a way that KFP does not allow."""

    exit_code = 2


class InvalidTopologyException(AuthoringError):
    """A task takes what may not be there, from within a loop, a condition or an exit handler; the KFP SDK's name."""


class InvalidControlFlowException(AuthoringError):
    """A branch without the one that it follows; the name is the KFP SDK's."""


class AuthoringTypeError(StandpipeError, TypeError):
    """A component or pipeline was called or annotated with something of the wrong type."""

    exit_code = 2


class InconsistentTypeException(AuthoringTypeError):
    """An output was passed to an input of another type; the name is the KFP SDK's."""


class AuthoringAttributeError(StandpipeError, AttributeError):
    """Something was asked of a task or a placeholder that it does not have."""

    exit_code = 2


class NoSuchOutput(StandpipeError, KeyError):
    """An output was asked for that the component does not have."""

    exit_code = 2
    __str__ = Exception.__str__  # a KeyError shows its message as Python writes text


class NoSuchRun(StandpipeError, KeyError):
    """A run was asked for that the run store does not have, or an abbreviation that several runs share."""

    exit_code = 2
    __str__ = Exception.__str__  # a KeyError shows its message as Python writes text


class NoSuchTask(StandpipeError, KeyError):
    """A task was asked for that the run does not have, or has not reached, or a name that several tasks share."""

    exit_code = 2
    __str__ = Exception.__str__  # a KeyError shows its message as Python writes text


class ArgumentError(StandpipeError, TypeError):
    """A run was asked for with arguments that the component or pipeline does not take."""

    exit_code = 2


class RunArgumentError(ArgumentError, ValueError):
    """A run argument of a DockerRunner that the Docker SDK does not have, or that would break how tasks are run."""


class NotInitialized(StandpipeError, RuntimeError):
    """A component was called before `local.init()`."""

    exit_code = 2


class SpecError(StandpipeError, ValueError):
    """A compiled file, or a component's YAML, is not what it should be; the message holds the field's path."""

    exit_code = 3


class UnsupportedError(StandpipeError, NotImplementedError):
    """Something that this version, or the runner at hand, does not do."""

    exit_code = 4


class RunnerError(StandpipeError, RuntimeError):
    """The place that tasks run in could not be had: no engine, no image, no interpreter."""

    exit_code = 5


class EnvironmentBuildError(RunnerError):
    """The packages of a task could not be installed."""


class StorageError(StandpipeError, OSError):
    """The pipeline root could not be read or written."""

    exit_code = 6


class TaskFailed(StandpipeError, RuntimeError):
    """At least one task of a run failed. The message holds the task's name and the user's own traceback."""

    exit_code = 10


class InternalError(StandpipeError, RuntimeError):
    """Standpipe broke one of its own rules: a defect to report."""

    exit_code = 70
