"""The check before a run: what can be known of its tasks before hours of work end in an error."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, NamedTuple

from standpipe.check.free_names import find_free_names
from standpipe.errors import TaskFailed, TaskFailure
from standpipe.execution import pauses
from standpipe.model.plan import PythonFunction, SourceLocation
from standpipe.model.ports import CheckingRunner, Problem
from standpipe.runs.executor_uses import ExecutorUse
from standpipe.runs.options import RunOptions
from standpipe.support.code_locations import describe_place
from standpipe.support.notices import warn
from standpipe.support.paths import absolute_path
from standpipe.support.redaction import Redactor

if TYPE_CHECKING:
    from standpipe.pods.cluster import LocalCluster
    from standpipe.pods.native import NativeCluster

#: The only name of a signature that is not in the `__all__` of `kfp.dsl` in a task (kfp 2.17.3, `dsl/__init__.py`).
_EMBEDDED = "EmbeddedInput"

#: The most problems that an error lists.
_MAX_LISTED = 20

#: The most tasks that one of them names.
_MAX_NAMED = 3


class _Finding(NamedTuple):
    """What was found about a task.

    `predicate` is between the task and the message; empty for what is about its component. `is_certain` is whether the
    run would fail.
    """

    failure: TaskFailure
    predicate: str
    is_certain: bool


def check_uses(
    options: RunOptions, uses: Sequence[ExecutorUse], cluster: LocalCluster | NativeCluster | None, redactor: Redactor
) -> None:
    """Check what the tasks of a run need. What may not be needed, and what may be a mistake, is a warning only.

    Raises:
        TaskFailed: if tasks that are certain to run cannot run; with all that was found.
    """
    findings = sorted(_find_all(options, uses, cluster), key=lambda finding: not finding.is_certain)
    texts = [redactor.redact_text(text) for text in _describe_all(findings)]
    if not findings or not findings[0].is_certain:
        for text in texts:
            warn(text)
        return
    more = [f"And {len(texts) - _MAX_LISTED} more."] if len(texts) > _MAX_LISTED else []
    parts = ("The check before the run failed, so nothing was started.", *texts[:_MAX_LISTED], *more)
    problems = [_redact(finding.failure, redactor) for finding in findings]
    raise TaskFailed("\n\n".join(parts), problems=problems)


def _describe_all(findings: Sequence[_Finding]) -> Iterator[str]:
    """Yield the text of each finding, of equal ones once."""
    equal: dict[tuple[str, str, str], list[_Finding]] = {}
    for finding in findings:
        key = (finding.predicate, finding.failure.message, finding.failure.hint)
        equal.setdefault(key, []).append(finding)
    for (predicate, message, hint), (first, *others) in equal.items():
        place = describe_place(first.failure.file, first.failure.line)
        subject = [_name_tasks([first, *others]), predicate] if predicate else []
        sentence = " ".join((*([f"{place}:"] if place else []), *subject, message))
        if "\n" in message or "\n" in hint:
            yield "\n\n".join(filter(None, (sentence, hint)))
        else:
            yield f"{sentence.removesuffix('.')}. {hint}".rstrip()


def _name_tasks(findings: Sequence[_Finding]) -> str:
    names = [f"'{finding.failure.task}'" for finding in findings]
    if len(names) == 1:
        return f"Task {names[0]}"
    hidden = len(names) - _MAX_NAMED
    return f"Tasks {', '.join(names[:_MAX_NAMED])}{f' and {hidden} more' if hidden > 0 else ''}"


def _find_all(
    options: RunOptions, uses: Sequence[ExecutorUse], cluster: LocalCluster | NativeCluster | None
) -> Iterator[_Finding]:
    runner = options.runner.task_runner
    checking = runner if isinstance(runner, CheckingRunner) else None  # once, as this check is slow
    root = absolute_path("pipeline_root", options.state_folder)
    for use in uses:
        yield from _find_problems(checking, use, cluster)
        if options.runner.runs_pods:
            user = _find_user(use, cluster)
            for problem in options.runner.find_user_problems(use.executor, user, root):
                yield _problem_finding(use, problem, use.call or use.definition)
        if not options.runner.can_pause and pauses.find_pause(use.executor.env) and pauses.has_terminal():
            message = f"it is to pause, as set_debug_pause asks, which the {type(options.runner).__name__} cannot do"
            yield _problem_finding(use, Problem(message, "Remove set_debug_pause, or use another runner."), use.call)
        if options.runner.executes_code:
            yield from _find_free_names(use)


def _find_problems(
    runner: CheckingRunner | None, use: ExecutorUse, cluster: LocalCluster | NativeCluster | None
) -> Iterator[_Finding]:
    if cluster and cluster.carries_out(str(use.executor.image)):
        return
    for problem in runner.find_problems(use.executor) if runner else ():
        yield _problem_finding(use, problem, use.line(problem.line))
    for problem in cluster.find_problems(use.label) if cluster else ():
        yield _problem_finding(use, problem, use.call or use.definition)


def _find_user(use: ExecutorUse, cluster: LocalCluster | NativeCluster | None) -> int | None:
    """Return the id of the user of an executor's pods that the author has set; None if they set none."""
    from standpipe.pods.native import NativeCluster  # few runners need it

    return cluster.user(use.label) if isinstance(cluster, NativeCluster) else None


def _problem_finding(use: ExecutorUse, problem: Problem, place: SourceLocation | None) -> _Finding:
    predicate = "failed:" if use.is_certain else "will fail if it runs:"
    return _Finding(_failure(use, problem.message, problem.hint, place), predicate, use.is_certain)


def _find_free_names(use: ExecutorUse) -> Iterator[_Finding]:
    """Yield what a component says of names that it does not define. Its lines with them may never be reached."""
    function = use.executor.program
    if not isinstance(function, PythonFunction):
        return
    names = dict(find_free_names(function.source))
    numbers = _number_lines(function.source)
    if marker := names.pop(_EMBEDDED, ""):
        subject = f"Component {function.name!r} has {_EMBEDDED}"
        message = f"{subject}, which is not defined in a task, neither here nor on a cluster."
        hint = f"Write dsl.{_EMBEDDED} instead of {_EMBEDDED}."
        yield _Finding(_failure(use, message, hint, use.line(numbers[marker])), "", is_certain=False)
    if names:
        listed = ", ".join(f"{name} (in `{line}`)" for name, line in names.items())
        message = f"Component {function.name!r} uses names that it does not define: {listed}."
        hint = (
            "A component runs without the rest of its file: import the name in the function, pass it as an input, or "
            "list the function that it stands for in additional_funcs."
        )
        first = min(numbers[line] for line in names.values())
        yield _Finding(_failure(use, message, hint, use.line(first)), "", is_certain=False)


def _number_lines(source: str) -> dict[str, int]:
    """Return the number of the first line with each text, without its indent."""
    lines = source.split("\n")
    return {line.strip(): len(lines) - number for number, line in enumerate(reversed(lines))}


def _failure(use: ExecutorUse, message: str, hint: str, place: SourceLocation | None) -> TaskFailure:
    return TaskFailure(use.task, message, hint, *((place.file, place.line) if place else ()))


def _redact(failure: TaskFailure, redactor: Redactor) -> TaskFailure:
    return failure._replace(message=redactor.redact_text(failure.message), hint=redactor.redact_text(failure.hint))
