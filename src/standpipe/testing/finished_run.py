"""The run that a test makes assertions about."""

from __future__ import annotations

from dataclasses import dataclass, field, fields

from standpipe.errors import ArgumentError
from standpipe.history.records import Status, Value
from standpipe.history.run import Run
from standpipe.history.task import Task
from standpipe.model.plan import Plan
from standpipe.runners.fake_names import tasks_of


@dataclass(frozen=True, eq=False)
class FinishedRun(Run):
    """A `standpipe.history.Run` that has ended, with what tests ask for.

    `unused_fakes` has the names of the fakes that were not called, because their tasks were skipped, cached, or not
    reached.
    """

    unused_fakes: tuple[str, ...]
    _plan: Plan = field(repr=False)

    @property
    def order(self) -> list[str]:
        """The names of the tasks that were executed or cached, in the order in which they started.

        A task of a loop is there once for each iteration. Nested pipelines, conditions and loops are not tasks here.
        """
        executed = [task for task in self.all_tasks() if task.attempts or task.cached_from]
        return [task.name for task in sorted(executed, key=_start)]

    @property
    def skipped(self) -> list[str]:
        """The names of the tasks that were skipped, those of a skipped condition or nested pipeline included."""
        paths = [task.path for task in self.all_tasks() if task.status is Status.SKIPPED]
        return [name for path in paths for name in self._tasks_below(path)]

    @property
    def output(self) -> Value:
        """The only output of the pipeline.

        Raises:
            ArgumentError: if it has none or several.
        """
        if len(self.outputs) != 1:
            names = ", ".join(self.outputs) or "none"
            raise ArgumentError(
                f"Run {self.id} does not have exactly one output (it has: {names}). Use .outputs['name']."
            )
        return next(iter(self.outputs.values()))

    def _tasks_below(self, path: str) -> list[str]:
        steps = path.split("/")
        return [task.name for task in tasks_of(self._plan) if _begins_with(task.path, steps)]


def finished_run(run: Run, plan: Plan, unused_fakes: tuple[str, ...]) -> FinishedRun:
    """Return a run of a Plan for assertions."""
    values = {each.name: getattr(run, each.name) for each in fields(Run)}
    return FinishedRun(**values, unused_fakes=unused_fakes, _plan=plan)


def _start(task: Task) -> float:
    moment = task.started or task.ended  # a cached task does not start
    return moment.timestamp() if moment else float("inf")


def _begins_with(path: tuple[str | range, ...], steps: list[str]) -> bool:
    """Return whether a task of a Plan is the one with this path in a run, or below it."""
    return len(path) >= len(steps) and all(
        step == part if isinstance(part, str) else step.isdecimal() and int(step) in part
        for part, step in zip(path, steps, strict=False)
    )
