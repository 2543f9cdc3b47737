"""A runner that runs nothing: for tests of everything around tasks, and for measuring what that costs."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

from standpipe.model.ports import Cancel, Log, Outcome, TaskRequest
from standpipe.model.types import Json

#: What a task does: it gets its parameters by name, and returns its output parameters by name, or an outcome.
Behaviour = Callable[..., Mapping[str, Json] | Outcome]


class FakeTasks:
    """Stands in for a runner. A task's behaviour is a Python function that is called in this process.

    Args:
        behaviours: by task name. A task that has none gives no outputs.

    An exception of a behaviour is the task's failure, its text the traceback; an `Outcome` that it returns is taken
    as it is.
    """

    def __init__(self, behaviours: Mapping[str, Behaviour] | None = None) -> None:
        self._behaviours = behaviours or {}

    def run(self, request: TaskRequest, *, log: Log, cancel: Cancel) -> Outcome:
        """Calls the task's behaviour; see `model.ports.Runner`."""
        behaviour: Behaviour = self._behaviours.get(request.task.name, _nothing)
        try:
            given = behaviour(**request.executor_input["inputs"]["parameterValues"])
        except Exception as error:  # noqa: BLE001 - whatever it is, it is how the task failed
            told = f"{type(error).__name__}: {error}"
            return Outcome(exit_code=1, detail=told, cause=told)
        if isinstance(given, Outcome):
            return given
        with open(request.executor_input["outputs"]["outputFile"], "w", encoding="utf-8") as file:
            json.dump({"parameterValues": given}, file)
        return Outcome(exit_code=0)

    def fingerprint(self, request: TaskRequest) -> str:
        """The same for all tasks: behaviours are what a test makes of them."""
        return "fake"

    def close(self) -> None:
        """There is nothing to end."""


def _nothing(**_: Any) -> Mapping[str, Json]:
    return {}
