"""The sentences that all observers share."""

from __future__ import annotations

from standpipe.model.events import AttemptFailed, LoopStarted, RunEnded, TaskSucceeded
from standpipe.model.refs import RunInfo
from standpipe.model.states import TaskState

_ENDS = {
    TaskState.SUCCEEDED: "Succeeded",
    TaskState.FAILED: "Failed",
    TaskState.CANCELLED: "Cancelled",
}


def headline(run: RunInfo, folder: str) -> str:
    return f"Running {run.name} in {folder}"


def ended(fact: RunEnded, seconds: float) -> str:
    return f"{_ENDS[fact.state]} in {seconds:.3g} s"


def cached(fact: TaskSucceeded) -> str:
    """What became of a task that did not have to run."""
    return f"cached (from {fact.cached})"


def next_attempt(fact: AttemptFailed) -> str:
    """`attempt 2 of 3 in 10 s`, after the first one has failed."""
    when = f"in {fact.delay:g} s" if fact.delay else "follows"
    return f"attempt {fact.attempt + 2} of {fact.max_attempts} {when}"


def iterations(fact: LoopStarted) -> str:
    return "1 iteration" if len(fact.items) == 1 else f"{len(fact.items)} iterations"
