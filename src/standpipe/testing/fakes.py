"""What stands in for tasks in a test: functions, values and exceptions, by the names of tasks and components."""

from __future__ import annotations

from collections.abc import Mapping
from difflib import get_close_matches
from typing import Any

from standpipe.errors import ArgumentError
from standpipe.model.plan import Plan
from standpipe.runners.fake import FakeRunner, Function
from standpipe.runners.fake_names import NamedTask, normalize, tasks_of

#: The most names that a message lists.
_MAX_LISTED = 20


def make_fake_runner(fakes: Mapping[str, Any], plan: Plan) -> FakeRunner:
    """Return the runner of the fakes of a test.

    Args:
        fakes: by the name of a component or task, or the path of a task: a function that takes inputs and returns
            outputs, an exception that it raises, or the outputs themselves.
        plan: the pipeline.

    Raises:
        ArgumentError: if the pipeline has no task with such a name, or a function cannot stand for a task.
    """
    if not isinstance(fakes, Mapping):
        raise ArgumentError(f"Invalid fakes={fakes!r}: expected a dict such as {{'train': 0.9}}.")
    tasks = list(tasks_of(plan))
    for name in fakes:
        if not isinstance(name, str) or not any(task.has_name(normalize(name)) for task in tasks):
            raise ArgumentError(_describe_unknown(name, plan.name, tasks))
    return FakeRunner({name: _to_function(fake) for name, fake in fakes.items()})


def _to_function(fake: Any) -> Function:
    if isinstance(fake, BaseException):
        return _raising(fake)
    if callable(fake):
        return fake  # type: ignore[no-any-return]  # `FakeRunner` checks its signature
    return lambda: fake


def _raising(error: BaseException) -> Function:
    def fail() -> None:
        raise error

    return fail


def _describe_unknown(name: object, pipeline: str, tasks: list[NamedTask]) -> str:
    names = list(dict.fromkeys(each for task in tasks for each in (task.name, task.component, str(task))))
    close = get_close_matches(normalize(str(name)), names, n=1)
    hint = f" Did you mean {close[0]!r}?" if close else ""
    listed = ", ".join(f"'{task}'" for task in tasks[:_MAX_LISTED])
    more = f" and {len(tasks) - _MAX_LISTED} more" if len(tasks) > _MAX_LISTED else ""
    return f"Pipeline {pipeline!r} has no task for the fake {name!r}.{hint} Its tasks: {listed or 'none'}{more}."
