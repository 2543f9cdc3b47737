"""The last line of a display: how far a run is, and what it uses."""

from __future__ import annotations

from collections.abc import Iterator

from standpipe.console.nodes import State
from standpipe.console.styled import Span, Symbols
from standpipe.console.tree import TaskTree
from standpipe.model.frozen import frozen
from standpipe.model.resources import format_memory
from standpipe.support.durations import format_duration

#: The least columns in which the counts have words, and not only symbols.
_WIDE = 110

STATE_STYLES = {
    State.PENDING: "dim",
    State.READY: "dim",
    State.RUNNING: "cyan",
    State.RETRYING: "yellow",
    State.SUCCEEDED: "green",
    State.CACHED: "blue",
    State.SKIPPED: "yellow",
    State.FAILED: "red",
    State.CANCELLED: "yellow",
}


@frozen
class Limits:
    """What the tasks of a run share.

    Attributes:
        slots: how many tasks may run at once; 0 if it is unknown.
        memory: the bytes of memory that tasks may request together.
    """

    slots: int = 0
    memory: int = 0


NO_LIMITS = Limits()


@frozen
class Status:
    """What the last line of a display says, besides what the tree knows.

    Attributes:
        seconds: for how long the run has been in progress.
        limits: what its tasks share.
        machine_memory: the bytes of memory of the machine that are in use, and all of them; None if they are unknown.
    """

    seconds: float = 0.0
    limits: Limits = NO_LIMITS
    machine_memory: tuple[int, int] | None = None


def status_line(tree: TaskTree, status: Status, width: int, symbols: Symbols) -> Iterator[Span]:
    """Yield the line, the most important first, as a narrow terminal cuts the rest."""
    separator = Span(f" {symbols.separator} ", "dim")
    yield Span(format_duration(int(status.seconds)), "bold")
    yield separator
    yield Span(_describe_slots(tree, status.limits), STATE_STYLES[State.RUNNING])
    if memory := _describe_memory(tree, status):
        yield separator
        yield Span(memory)
    between = separator
    for state in (State.FAILED, State.SUCCEEDED, State.CACHED, State.SKIPPED):
        if count := tree.totals[state]:
            yield between
            words = f"{count} {state.value}" if width >= _WIDE else f"{symbols.of(state)} {count}"
            yield Span(words, STATE_STYLES[state])
            between = separator if width >= _WIDE else Span("  ")


def _describe_slots(tree: TaskTree, limits: Limits) -> str:
    running = len(tree.running)
    return f"{running} of {limits.slots} slots" if limits.slots else f"{running} running"


def _describe_memory(tree: TaskTree, status: Status) -> str:
    """Return what tasks have requested or, if they have not, what everything on this machine uses."""
    if tree.requested_memory:
        return f"memory {_share(tree.requested_memory, status.limits.memory)} requested"
    return f"machine memory {_share(*status.machine_memory)}" if status.machine_memory else ""


def _share(part: int, whole: int) -> str:
    """Return two amounts of memory, with the unit once if they have the same: `3 of 16 GiB`."""
    (amount, unit), total = format_memory(part).split(), format_memory(whole)
    return f"{amount} of {total}" if total.endswith(f" {unit}") else f"{amount} {unit} of {total}"


def count_words(tree: TaskTree) -> Iterator[tuple[str, str]]:
    """Yield what became of the tasks of a run, each a text such as `3 cached`, and its style."""
    for state in (State.SUCCEEDED, State.CACHED, State.SKIPPED, State.FAILED, State.CANCELLED):
        if count := tree.totals[state]:
            yield f"{count} {'ran' if state is State.SUCCEEDED else state.value}", STATE_STYLES[state]
    if tree.kept:
        yield f"{tree.kept} kept from before", "dim"
