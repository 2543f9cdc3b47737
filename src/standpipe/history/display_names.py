"""The display names that authors give to tasks."""

from __future__ import annotations

from collections.abc import Callable

from standpipe.model.plan import Dag, Plan
from standpipe.model.refs import TaskRef


class DisplayNames:
    """The display names of the tasks of a Plan.

    Args:
        read_plan: returns the Plan, when the first name is asked for; None if there is none.
        redact: redacts secrets in a text.
    """

    def __init__(self, read_plan: Callable[[], Plan | None], redact: Callable[[str], str] = str) -> None:
        self._read_plan = read_plan
        self._redact = redact
        self._plan: Plan | None = None
        self._is_read = False

    def __call__(self, task: TaskRef) -> str:
        """Return the display name of a task; empty if its author set none, and for iterations."""
        if not self._is_read:
            self._plan, self._is_read = self._read_plan(), True
        if self._plan is None or task.iteration is not None or not task.path:
            return ""
        body = self._plan.root.body
        for name, _ in task.path:
            node = body.nodes.get(name) if isinstance(body, Dag) else None
            if node is None or node.component not in self._plan.components:
                return ""  # the pipeline has changed since
            body = self._plan.components[node.component].body
        return self._redact(node.display_name) if node else ""


#: For runs of which no Plan is known.
NO_DISPLAY_NAMES = DisplayNames(lambda: None)
