"""One row of the list of runs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime

from standpipe.history import Run, Status
from standpipe.history.totals import CACHED, Metric, RunTotals
from standpipe.model.frozen import frozen
from standpipe.support.durations import format_duration
from standpipe.ui.views.states import LABELS

#: The parts of the bar, from the left to the right.
_BAR = ("SUCCEEDED", CACHED, "RUNNING", "READY", "FAILED", "CANCELLED", "INTERRUPTED", "SKIPPED")

#: The width of the bar, and of the smallest part of it, so that one failed task of thousands is seen.
_BAR_WIDTH = 100.0
_MIN_PART = 4.0

#: The runs that `standpipe resume` can continue.
_RESUMABLE = {Status.FAILED, Status.CANCELLED, Status.INTERRUPTED}


@frozen
class BarPart:
    """The tasks of a run that have one state: how many, and their part of the bar."""

    state: str
    label: str
    count: int
    x: float
    width: float


@frozen
class TaskBar:
    """The tasks of a run by state. `description` says in words what it shows."""

    parts: tuple[BarPart, ...]
    description: str
    is_complete: bool


@frozen
class MetricCell:
    """The value of a metric as text, and in full; both are empty if the run does not have it."""

    text: str = ""
    title: str = ""


@frozen
class RunRow:
    """A run in the list. `elapsed` are the seconds of progress of a run in progress, None for others."""

    id: str
    pipeline: str
    status: str
    rerun_of: str
    duration: str
    elapsed: float | None
    start: datetime
    ago: str
    tasks: TaskBar | None
    metrics: tuple[MetricCell, ...]
    can_stop: bool
    can_resume: bool

    @property
    def original(self) -> str:
        """The id of the run that it is a rerun of; empty for others."""
        return self.rerun_of.partition("/")[0]


def make_row(run: Run, totals: RunTotals | None, metrics: Sequence[str], now: datetime) -> RunRow:
    """Return the row of a run.

    Args:
        run: the run.
        totals: its totals, None if they are not known.
        metrics: the names of the metrics that are columns.
        now: the present time.
    """
    is_running = run.status is Status.RUNNING
    elapsed = run.elapsed(now)
    return RunRow(
        id=run.id,
        pipeline=run.pipeline,
        status=run.status.value,
        rerun_of=run.rerun_of,
        duration="" if elapsed is None else format_duration(elapsed),
        elapsed=elapsed if is_running else None,
        start=run.created,
        ago=format_age((now - run.created).total_seconds()),
        tasks=make_bar(totals) if totals else None,
        metrics=tuple(_cell(totals.metrics.get(name) if totals else None) for name in metrics),
        can_stop=is_running and not run.is_pulled,
        can_resume=run.status in _RESUMABLE and not run.is_pulled,
    )


def make_bar(totals: RunTotals) -> TaskBar:
    """Return the bar of the tasks of a run."""
    counts = {state: totals.counts[state] for state in _BAR if totals.counts.get(state)}
    widths = _widths(counts)
    parts, x = [], 0.0
    for state, count in counts.items():
        parts.append(BarPart(state, LABELS[state], count, round(x, 2), round(widths[state], 2)))
        x += widths[state]
    words = ", ".join(f"{part.count:,} {part.label.lower()}" for part in parts)
    return TaskBar(tuple(parts), words or "No task has started", totals.is_complete)


def _widths(counts: Mapping[str, int]) -> dict[str, float]:
    """Return the widths of the parts: in proportion to the counts, but for those that would be too small."""
    total = sum(counts.values())
    shares = {state: max(_MIN_PART, _BAR_WIDTH * count / total) for state, count in counts.items()}
    return {state: _BAR_WIDTH * share / sum(shares.values()) for state, share in shares.items()}


def _cell(metric: Metric | None) -> MetricCell:
    if metric is None:
        return MetricCell()
    lowest, highest = f"{metric.lowest:.4g}", f"{metric.highest:.4g}"
    if metric.count == 1:
        return MetricCell(highest, repr(metric.highest))
    text = highest if lowest == highest else f"{lowest} to {highest}"
    return MetricCell(text, f"{metric.count:,} values from {metric.lowest!r} to {metric.highest!r}")


def format_age(seconds: float) -> str:
    """Return how long ago something was.

    >>> [format_age(seconds) for seconds in (-3, 20, 60, 7300, 86400 * 3, 86400 * 40, 86400 * 800)]
    ['just now', 'just now', '1 min ago', '2 h ago', '3 days ago', '40 days ago', '2 years ago']
    """
    if seconds < 45:
        return "just now"
    for unit, size, limit in (("min", 60, 60), ("h", 3600, 24), ("day", 86400, 365), ("year", 86400 * 365, 1e9)):
        number = max(1, int(seconds // size))
        if number < limit:
            plural = "s" if number > 1 and unit in ("day", "year") else ""
            return f"{number} {unit}{plural} ago"
    return ""
