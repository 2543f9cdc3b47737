"""The check before a run: what can be known of its tasks before hours of work end in an error."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from standpipe.errors import StandpipeError, TaskFailed
from standpipe.model.plan import PythonFunction
from standpipe.model.ports import PreparingRunner
from standpipe.runs.executor_uses import ExecutorUse
from standpipe.runs.free_names import find_free_names
from standpipe.runs.options import RunOptions
from standpipe.support.notices import warn
from standpipe.support.redaction import Redactor

if TYPE_CHECKING:
    from standpipe.pods.cluster import LocalCluster

#: The only name of a signature that is not in the `__all__` of `kfp.dsl` in a task (kfp 2.17.3, `dsl/__init__.py`).
_EMBEDDED = "EmbeddedInput"

#: The most problems that an error lists.
_MAX_LISTED = 10


def check_uses(
    options: RunOptions, uses: Sequence[ExecutorUse], cluster: LocalCluster | None, redactor: Redactor
) -> None:
    """Check what the tasks of a run need. What may not be needed, and what may be a mistake, is a warning only.

    Raises:
        TaskFailed: if tasks that are certain to run cannot run; with all that was found.
    """
    runner, failures = options.runner.task_runner, []
    preparing = runner if isinstance(runner, PreparingRunner) else None  # once, as this check is slow
    for use in uses:
        for problem in _find_problems(preparing, use, cluster):
            if use.is_certain:
                failures.append(f"Task '{use.task}' failed: {_describe(problem)}")
            else:
                warn(redactor.redact_text(f"Task '{use.task}' will fail if it runs: {_describe(problem)}"))
        if options.runner.executes_code:
            _warn_of_free_names(use, redactor)
    if failures:
        more = [f"And {len(failures) - _MAX_LISTED} more."] if len(failures) > _MAX_LISTED else []
        parts = ("The check before the run failed, so nothing was started.", *failures[:_MAX_LISTED], *more)
        raise TaskFailed(redactor.redact_text("\n\n".join(parts)))


def _find_problems(
    runner: PreparingRunner | None, use: ExecutorUse, cluster: LocalCluster | None
) -> list[StandpipeError]:
    if cluster and cluster.carries_out(str(use.executor.image)):
        return []
    of_runner = runner.find_problem(use.executor) if runner else None
    problems = [of_runner, cluster.find_problem(use.label) if cluster else None]
    return [problem for problem in problems if problem]


def _describe(problem: StandpipeError) -> str:
    return "\n\n".join(filter(None, (str(problem), problem.hint)))


def _warn_of_free_names(use: ExecutorUse, redactor: Redactor) -> None:
    function = use.executor.program
    if not isinstance(function, PythonFunction):
        return
    names = dict(find_free_names(function.source))
    if names.pop(_EMBEDDED, ""):
        warn(
            f"Component {function.name!r}: write dsl.{_EMBEDDED} instead of {_EMBEDDED}, which is not defined in a "
            "task, neither here nor on a cluster."
        )
    if names:
        listed = ", ".join(f"{name} (in `{line}`)" for name, line in names.items())
        warn(
            redactor.redact_text(
                f"Component {function.name!r} uses names that it does not define: {listed}. A component runs without "
                "the rest of its file: import the name in the function, pass it as an input, or list the function that "
                "it stands for in additional_funcs."
            )
        )
