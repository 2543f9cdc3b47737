"""Runs and tasks as text, for people."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from standpipe.model.resources import in_words

if TYPE_CHECKING:
    from standpipe.history.records import Artifact, Attempt, Run, Task, Value
    from standpipe.model.events import Failure

#: Of more children than these, those that succeeded are only counted.
_MANY = 20

#: The longest value that is shown whole.
_LONGEST_VALUE = 200


def lines_of_run(run: Run) -> Iterator[str]:
    """A run, its tasks below each other, and what failed."""
    yield f"{run.id}: {_status(run)}"
    yield from _tree(run.tasks)
    yield from run.failures


def lines_of_task(task: Task) -> Iterator[str]:
    """A task with all that is known of it."""
    yield f"{task.path}: {_story(task)}"
    if task.started:
        yield f"started: {task.started:%Y-%m-%d %H:%M:%S} UTC"
    if task.iteration is not None:
        yield f"item: {_shown(task.item)}"
    for title, values in (("inputs", task.inputs), ("outputs", task.outputs)):
        if values:
            yield f"{title}:"
            yield from (f"  {name} = {_shown(value)}" for name, value in values.items())
    for attempt in task.attempts:
        yield from _lines_of_attempt(attempt)
    if task.failure:
        yield from _lines_of_failure(task.failure)
    yield f"folder: {task.folder}"
    if task.rerun_command:
        yield f"to run it again: {task.rerun_command}"
    yield from _tree(task.children)


def duration_in_words(seconds: float) -> str:
    """A duration for people: `0.442 s`, `12 min 5 s`.

    >>> [duration_in_words(seconds) for seconds in (0.4421, 59.96, 725, 7260, 180000)]
    ['0.442 s', '1 min 0 s', '12 min 5 s', '2 h 1 min', '2 d 2 h']
    """
    if seconds < 59.95:
        return f"{seconds:.3g} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest} s"
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours < 24 else f"{hours // 24} d {hours % 24} h"


def _tree(tasks: Sequence[Task]) -> Iterator[str]:
    waiting: list[str | tuple[int, Task]] = _level(1, tasks)
    while waiting:
        line = waiting.pop()
        if isinstance(line, str):
            yield line
            continue
        depth, task = line
        yield f"{'  ' * depth}{task.name}: {_story(task)}"
        waiting += _level(depth + 1, task.children)


def _level(depth: int, tasks: Sequence[Task]) -> list[str | tuple[int, Task]]:
    """Tasks that stand below each other, the last one first. Of many, those that went well are counted."""
    shown = tasks if len(tasks) <= _MANY else [task for task in tasks if not _went_well(task)]
    level: list[str | tuple[int, Task]] = [(depth, task) for task in reversed(shown)]
    hidden = len(tasks) - len(shown)
    return [f"{'  ' * depth}{'and ' if shown else ''}{hidden} that succeeded", *level] if hidden else level


def _went_well(task: Task) -> bool:
    return task.status.value == "SUCCEEDED"


def _status(record: Run | Task) -> str:
    duration = record.duration
    took = f" in {duration_in_words(duration)}" if duration is not None and record.status.value != "SKIPPED" else ""
    return record.status.value.lower() + took


def _story(task: Task) -> str:
    if task.cached_from:
        return f"{_status(task)}, cached from {task.cached_from}"
    if task.skipped_because:
        return f"{_status(task)}: {task.skipped_because}"
    if task.failure:
        return f"{_status(task)}{task.failure.in_attempt}: {task.failure.message}"
    return _status(task)


def _lines_of_attempt(attempt: Attempt) -> Iterator[str]:
    facts = [attempt.status.value.lower()]
    if attempt.duration is not None:
        facts[0] += f" in {duration_in_words(attempt.duration)}"
    if attempt.cpu_seconds is not None:
        facts.append(f"CPU {duration_in_words(attempt.cpu_seconds)}")
    if attempt.peak_memory is not None:
        facts.append(f"memory {in_words(attempt.peak_memory)}")
    if attempt.log_lines is not None:
        facts.append(f"{attempt.log_lines} {'line' if attempt.log_lines == 1 else 'lines'} of log")
    failure = f": {attempt.failure.message}" if attempt.failure else ""
    yield f"attempt {attempt.number}: {', '.join(facts)}{failure}"
    yield f"  log: {attempt.log}"


def _lines_of_failure(failure: Failure) -> Iterator[str]:
    if failure.detail not in ("", failure.message):
        yield failure.detail.rstrip()
    if failure.printed:
        yield "printed at last:"
        yield from (f"  {line}" for line in failure.printed.splitlines())
    if failure.exit_code is not None:
        yield f"exit code: {failure.exit_code}"
    if failure.signal is not None:
        yield f"signal: {failure.signal}"


def _shown(value: Value) -> str:
    from standpipe.history.records import Artifact  # which needs this module for its own text

    if isinstance(value, Artifact):
        return _artifact(value)
    if isinstance(value, list) and value and isinstance(value[0], Artifact):
        return f"[{', '.join(map(_artifact, value))}]"
    text = repr(value)
    return text if len(text) <= _LONGEST_VALUE else f"{text[:_LONGEST_VALUE]}…"


def _artifact(artifact: Artifact) -> str:
    facts = [artifact.type, *([in_words(artifact.size)] if artifact.size is not None else [])]
    return f"{artifact.path or artifact.uri} ({', '.join(facts)})"
