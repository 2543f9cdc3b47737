"""Statuses, durations, values, attempts and failures as text for people."""

from __future__ import annotations

from collections.abc import Iterator

from standpipe.history.outline import format_progress
from standpipe.history.records import Artifact, Attempt, Value
from standpipe.history.values_text import describe_item
from standpipe.model.events import Failure
from standpipe.model.resources import format_memory
from standpipe.model.types import is_complete_without_payload
from standpipe.support.durations import format_duration

#: The most characters of a value that are shown.
_MAX_VALUE_LENGTH = 200


def name_task(name: str, display_name: str, iteration: int | None, item: object) -> str:
    """Return the name of a task in a line: with the one that its author set for people, or with the item."""
    if iteration is not None and item is not None:
        return f"{name} (item {describe_item(item)})"
    return f"{name} ({display_name})" if display_name else name


def explain_status(cached_from: str, skip_reason: str, failure: Failure | None, attempt: int) -> str:
    """Return what follows a status in a line: where outputs come from, why a task was skipped or has failed.

    Args:
        cached_from: the run and task whose outputs were reused.
        skip_reason: why the task was skipped.
        failure: why it failed.
        attempt: the number of its last attempt, from 1; 0 if it had none.
    """
    if cached_from:
        return f", cached from {cached_from}"
    if skip_reason:
        return f": {skip_reason}"
    if failure:
        return f"{failure.in_attempt}: {failure.message}"
    return f" in attempt {attempt}" if attempt > 1 else ""


def format_value(value: Value) -> str:
    """Return an input or output as text, shortened if it is long."""
    if isinstance(value, Artifact):
        return _format_artifact(value)
    if isinstance(value, list) and value and isinstance(value[0], Artifact):
        return f"[{', '.join(map(_format_artifact, value))}]"
    text = repr(value)
    return text if len(text) <= _MAX_VALUE_LENGTH else f"{text[:_MAX_VALUE_LENGTH]}…"


def render_attempt(attempt: Attempt) -> Iterator[str]:
    """Yield the lines of an attempt: its number, its status, what it used, why it failed, its log."""
    facts = [format_progress(attempt.status.value, attempt.duration)]
    if attempt.cpu_seconds is not None:
        facts.append(f"CPU {format_duration(attempt.cpu_seconds)}")
    if attempt.peak_memory is not None:
        facts.append(f"memory {format_memory(attempt.peak_memory)}")
    if attempt.warm_imports:
        facts.append("warm imports")
    if attempt.log_lines is not None:
        facts.append(f"{attempt.log_lines} {'line' if attempt.log_lines == 1 else 'lines'} of log")
    failure = f": {attempt.failure.message}" if attempt.failure else ""
    yield f"attempt {attempt.number}: {', '.join(facts)}{failure}"
    yield f"  log: {attempt.log}"


def render_failure(failure: Failure) -> Iterator[str]:
    """Yield the lines of a failure's details: the user's traceback, the end of the log, how its process ended."""
    if failure.detail not in ("", failure.message):
        yield failure.detail.rstrip()
    if failure.log_tail:
        yield "last lines of the log:"
        yield from (f"  {line}" for line in failure.log_tail.splitlines())
    if failure.exit_code is not None:
        yield f"exit code: {failure.exit_code}"
    if failure.signal is not None:
        yield f"signal: {failure.signal}"


def _format_artifact(artifact: Artifact) -> str:
    facts = [
        artifact.type.removeprefix("system."),
        *([format_memory(artifact.size)] if artifact.size is not None else []),
    ]
    if artifact.registration:
        facts.append(f"to register as {artifact.registration.get('model_name')!r}")
    if artifact.exists is False:
        facts.append(describe_absence(artifact))
    return f"{artifact.location} ({', '.join(facts)})"


def describe_absence(artifact: Artifact) -> str:
    """Return why an artifact has no file."""
    if artifact.digest:
        return "removed"
    return (
        "no file, only metadata" if is_complete_without_payload(artifact.type, artifact.metadata) else "never written"
    )
