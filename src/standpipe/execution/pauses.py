"""Pauses of tasks, which `task.set_debug_pause` asks for."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import replace

from standpipe.model.attempts import DebugPause, TaskRequest
from standpipe.support.notices import Once, warn

#: The variables of a task that ask for a pause, and the fields that they set. Their names and the value `true` are
#: those of Argo Workflows, which reads them on a cluster (KFP SDK 2.17.3, `PipelineTask.set_debug_pause`).
_VARIABLES = {
    "ARGO_DEBUG_PAUSE_BEFORE": ("before",),
    "ARGO_DEBUG_PAUSE_AFTER": ("after_success", "after_failure"),
    "ARGO_DEBUG_PAUSE_ON_ERROR": ("after_failure",),
}


def find_pause(env: Mapping[str, str]) -> DebugPause | None:
    """Return the pause that the environment variables of a task ask for; None if they ask for none.

    >>> find_pause({"ARGO_DEBUG_PAUSE_ON_ERROR": "true"})
    DebugPause(before=False, after_success=False, after_failure=True)
    """
    if not env:
        return None
    fields = [field for name, fields in _VARIABLES.items() if env.get(name) == "true" for field in fields]
    return DebugPause(**dict.fromkeys(fields, True)) if fields else None


def add_pause(request: TaskRequest, reported: Once) -> TaskRequest:
    """Return a request with the pause that its variables ask for, if there is a user to end it.

    Args:
        request: the request.
        reported: the names of tasks of which the user knows that they do not pause.
    """
    pause = find_pause({**request.env, **request.pod.env} if request.pod.env else request.env)
    if pause is None or request.debug:
        return request
    if has_terminal():
        return replace(request, pause=pause)
    if reported.is_first(request.task.name):
        warn(
            f"Task {str(request.task)!r} does not pause as set_debug_pause asks: this process has no terminal, at "
            "which somebody could let it continue."
        )
    return request


def has_terminal() -> bool:
    """Return whether a user is at the terminal of this process, who can let a task continue."""
    return sys.stdin is not None and not sys.stdin.closed and sys.stdin.isatty()
