"""Run history: the runs of a run store as objects, for people and programs."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from standpipe.history.queries import get_run, runs
    from standpipe.history.records import Artifact, Attempt, Status
    from standpipe.history.run import Run
    from standpipe.history.task import Task

__all__ = ["Artifact", "Attempt", "Run", "Status", "Task", "get_run", "runs"]

_MODULES = {
    "Artifact": "records",
    "Attempt": "records",
    "Run": "run",
    "Status": "records",
    "Task": "task",
    "get_run": "queries",
    "runs": "queries",
}


def __getattr__(name: str) -> Any:
    """Import what is used: `standpipe show` needs none of it most of the time."""
    from importlib import import_module  # the outline of a run does without

    if name in _MODULES:
        return getattr(import_module(f"standpipe.history.{_MODULES[name]}"), name)
    raise AttributeError(f"module 'standpipe.history' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
