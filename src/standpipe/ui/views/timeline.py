"""The timeline of a run: a row for each task, with bars for the time it waited and for each attempt.

Positions are parts of the axis, from 0 to 1, so that pages and reports of any width can show them.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from datetime import datetime
from itertools import islice
from math import ceil

from standpipe.history import Attempt, Run, Status, Task
from standpipe.model.frozen import frozen
from standpipe.model.plan import Plan
from standpipe.support.durations import format_duration
from standpipe.ui.views.critical_path import find_critical_path
from standpipe.ui.views.layer_table import describe_item
from standpipe.ui.views.layers import Layer, Member, find_layer
from standpipe.ui.views.states import LABELS, state_of
from standpipe.ui.views.time_axis import Tick, TimeAxis

#: The most rows of a timeline, and the most iterations of an open loop.
MAX_ROWS, MAX_ITERATIONS = 500, 100

#: The steps of the strip that stands for the iterations of a loop.
STEPS = 120

#: The part of the axis that an iteration without a duration takes.
_INSTANT = 1e-9


@frozen
class Bar:
    """A part of a row. `kind` is `waiting`, `attempt`, `backoff`, `cached` or `group`."""

    kind: str
    start: float
    end: float
    state: str
    label: str

    @property
    def width(self) -> float:
        """Its part of the axis."""
        return self.end - self.start


@frozen
class Strip:
    """How many iterations of a loop ran at each time: parts of the most, `peak`, and where some failed."""

    peak: int
    levels: tuple[float, ...]
    failures: tuple[float, ...]


@frozen
class TimelineRow:
    """A task, group or iteration; `kind` is that of `Member.kind`, or `more` for iterations without a row.

    `toggle` is what is toggled after it is opened or closed, None if it has no tasks to show.
    """

    path: str
    name: str
    kind: str
    depth: int
    state: str
    duration: float | None
    bars: tuple[Bar, ...]
    strip: Strip | None
    is_open: bool
    is_critical: bool
    toggle: tuple[str, ...] | None
    summary: str


@frozen
class Timeline:
    """The rows in the order of the tree. `gaps` are where the run was resumed; `is_cut` if there are more rows."""

    rows: tuple[TimelineRow, ...]
    ticks: tuple[Tick, ...]
    gaps: tuple[Tick, ...]
    is_cut: bool
    has_critical_path: bool


def draw_timeline(run: Run, plan: Plan | None, now: datetime, toggled: Collection[str] = ()) -> Timeline:
    """Return the timeline of a run.

    Args:
        run: the run.
        plan: its Plan, None if that is not known; then there is no critical path.
        now: the time until which what is running is drawn.
        toggled: the paths of the loops that are open, and of the other groups that are closed.
    """
    drawing = _Drawing(_axis(run, now), find_critical_path(run, plan, now), frozenset(toggled))
    layer = find_layer(run, plan)
    rows = [*islice(drawing.rows(layer, 0), MAX_ROWS + 1)] if layer else []
    return Timeline(
        rows=tuple(rows[:MAX_ROWS]),
        ticks=drawing.axis.ticks(),
        gaps=drawing.axis.gaps(),
        is_cut=len(rows) > MAX_ROWS,
        has_critical_path=bool(drawing.critical),
    )


@frozen
class _Drawing:
    """What all rows of a timeline need."""

    axis: TimeAxis
    critical: frozenset[str]
    toggled: frozenset[str]

    def rows(self, layer: Layer, depth: int) -> Iterator[TimelineRow]:
        for member in _reached(layer):
            yield self._row(member, depth)
            if self._is_open(member):
                yield from self.rows(layer.open(member), depth + 1)
        hidden = len(layer.iterations) - MAX_ITERATIONS
        if layer.is_loop and hidden > 0:
            yield _more(layer, depth, hidden)

    def _is_open(self, member: Member) -> bool:
        """Return whether the tasks in a group are shown: those of loops if they are toggled, others unless they are."""
        return bool(member.children) and member.is_loop == (member.path in self.toggled)

    def _row(self, member: Member, depth: int) -> TimelineRow:
        task, is_open = member.task, self._is_open(member)
        assert task  # only tasks that were reached have rows
        bars = tuple(self._bars(member, task))
        strip = self._strip(task.children) if member.is_loop and member.children and not is_open else None
        is_critical = member.path in self.critical
        return TimelineRow(
            path=member.path,
            name=f"{member.title}: {describe_item(task)}" if member.iteration is not None else member.title,
            kind=member.kind,
            depth=depth,
            state=member.state,
            duration=task.duration,
            bars=bars,
            strip=strip,
            is_open=is_open,
            is_critical=is_critical,
            toggle=tuple(sorted(self.toggled ^ {member.path})) if member.children else None,
            summary=_summarize(member, bars, strip, is_critical=is_critical),
        )

    def _bars(self, member: Member, task: Task) -> Iterator[Bar]:
        if member.is_group:
            yield from self._span("group", task.started, task.ended, state_of(task), "")
        elif task.cached_from:
            yield from self._span("cached", task.started, task.ended, state_of(task), f"cached from {task.cached_from}")
        else:
            yield from self._waiting(task)
            yield from self._attempts(task.attempts, is_waiting=task.status is Status.READY)

    def _waiting(self, task: Task) -> Iterator[Bar]:
        """Yield the time from when a task was ready to its first attempt after that, or to its end without one."""
        yield from self._span("waiting", task.ready, task.started or task.ended, Status.READY.value, "waited")

    def _attempts(self, attempts: Sequence[Attempt], *, is_waiting: bool) -> Iterator[Bar]:
        """Yield the attempts, and the times between them."""
        for attempt in attempts:
            label = f"attempt {attempt.number}" if len(attempts) > 1 else ""
            yield from self._span("attempt", attempt.started, attempt.ended, attempt.status.value, label)
        following = [*(after.started for after in attempts[1:]), *((None,) if is_waiting else ())]
        for before, start in zip(attempts, following, strict=False):
            if before.ended and not (start and self.axis.is_paused_between(before.ended, start)):
                yield from self._span("backoff", before.ended, start, Status.READY.value, "waited for a retry")

    def _span(self, kind: str, start: datetime | None, end: datetime | None, state: str, label: str) -> Iterator[Bar]:
        """Yield a bar from one time to another; what has no end lasts until the run was paused, or until now."""
        if start is None:
            return
        end = end or self.axis.end_of_progress(start)
        seconds = format_duration(self.axis.between(start, end))
        text = ", ".join(filter(None, [label or LABELS[state].lower(), seconds]))
        first = self.axis.place(start)
        last = max(first, self.axis.place(end))  # facts are recorded a little later than what they tell of
        yield Bar(kind, round(first, 6), round(last, 6), state, text)

    def _strip(self, iterations: Iterable[Task]) -> Strip:
        changes: list[tuple[float, int]] = []
        failures: set[float] = set()
        for task in iterations:
            if task.started is None:
                continue
            start = self.axis.place(task.started)
            end = self.axis.place(task.ended or self.axis.end_of_progress(task.started))
            changes += (start, 1), (max(end, start + _INSTANT), -1)
            if task.status is Status.FAILED:
                failures.add(round(end, 2))
        levels = _count_running(sorted(changes))
        peak = max(levels)
        return Strip(peak, tuple(round(level / max(1, peak), 3) for level in levels), tuple(sorted(failures)))


def _count_running(changes: Iterable[tuple[float, int]]) -> list[int]:
    """Return the most iterations that ran at the same time, for each step of the axis.

    Args:
        changes: where an iteration starts (1) or ends (-1), in order.
    """
    levels, running, step = [0] * STEPS, 0, 0
    for at, change in changes:
        for passed in range(step, min(STEPS, ceil(at * STEPS))):
            levels[passed] = max(levels[passed], running)
        step = min(STEPS - 1, int(at * STEPS))
        running += change
        levels[step] = max(levels[step], running)
    return levels


def _more(loop: Layer, depth: int, hidden: int) -> TimelineRow:
    """Return the row that stands for the iterations without one."""
    name = f"{hidden} more iterations"
    return TimelineRow(loop.path, name, "more", depth, "", None, (), None, False, False, None, name)


def _axis(run: Run, now: datetime) -> TimeAxis:
    """Return the axis of a run, which ends when the run did, or with the last that is known of an interrupted one."""
    start = run.started or run.created
    if run.status is Status.RUNNING:
        return TimeAxis(start, max(start, now), run.pauses)
    times = (time for task in run.tasks for time in _times(task))
    return TimeAxis(start, run.ended or max(times, default=start), run.pauses)


def _times(task: Task) -> Iterator[datetime]:
    """Yield the times that are known of a task, and of those in it."""
    yield from filter(None, (task.ready, task.started, task.ended))
    for attempt in task.attempts:
        yield attempt.ended or attempt.started
    for child in task.children:
        yield from _times(child)


def _reached(layer: Layer) -> Iterable[Member]:
    """Return the members of a layer that the run has reached: tasks in that order, iterations by their numbers."""
    if layer.is_loop:
        return [layer.iteration(number) for number in sorted(layer.iterations)[:MAX_ITERATIONS]]
    return [layer.members[task.name] for task in layer.tasks]


def _summarize(member: Member, bars: Iterable[Bar], strip: Strip | None, *, is_critical: bool) -> str:
    """Return what a row shows as one text."""
    facts = [LABELS[member.state], *(bar.label for bar in bars if bar.kind != "group")]
    if strip:
        facts.append(f"{len(member.children)} iterations, up to {strip.peak} at the same time")
    if is_critical:
        facts.append("on the critical path")
    return ", ".join(facts)
