"""The tab Tasks: everything that a run has reached as a tree-table, or those tasks that a filter selects as a list.

Long loops are folded, and what is opened has pages, so that a run of any size is a page that a browser shows at once.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import datetime

from standpipe.history import Run, Task
from standpipe.history.records import first_line
from standpipe.history.render import format_value
from standpipe.model.frozen import frozen, replace
from standpipe.model.plan import Plan
from standpipe.ui.rendering import link
from standpipe.ui.views.planned import find_planned
from standpipe.ui.views.states import LABELS, StateCount, state_of, urgency

#: With more children than this, a task is folded at first.
_FOLDED_FROM = 20

#: With more tasks than this in a run, every task with children is folded at first, but for the pipelines around all.
_MOST_OPEN = 300

#: How many siblings, or selected tasks, are on one page.
PAGE = 100

#: The most characters of a note or an item.
_MAX_NOTE = 240

#: The names that the compiler gives to groups of tasks.
_COMPILED_NAMES = {
    "condition": re.compile(r"condition(-branches)?-\d+"),
    "exit handler": re.compile(r"exit-handler-\d+"),
}


@frozen
class TaskQuery:
    """What the address of the tab asks for.

    Attributes:
        run: the id of the run.
        text: a part of the paths that are listed; empty for all.
        states: the states that are listed; empty for all.
        failed_first: whether siblings are in the order of their urgency.
        folds: which tasks are open, by path: the number of the first child that is shown, -1 for a closed one. The path
            of the run itself is empty.
        page: the number of the page of a list, from 0.
        selected: the path of the task in the side panel.
        panel: the section of the side panel.
    """

    run: str
    text: str = ""
    states: tuple[str, ...] = ()
    failed_first: bool = False
    folds: tuple[tuple[str, int], ...] = ()
    page: int = 0
    selected: str = ""
    panel: str = ""

    @property
    def is_list(self) -> bool:
        """Whether it selects tasks, which are listed without their tree."""
        return bool(self.text or self.states)

    @property
    def href(self) -> str:
        """The address of this query."""
        return link(
            *("runs", self.run),
            tab="tasks",
            q=self.text,
            state=self.states,
            order="failed" if self.failed_first else "",
            fold=tuple(f"{first}:{path}" for path, first in self.folds),
            page=self.page or "",
            task=self.selected,
            panel=self.panel,
        )

    def with_fold(self, path: str, first: int) -> TaskQuery:
        """Return the query with a task opened at a child, or closed with -1."""
        others = tuple(fold for fold in self.folds if fold[0] != path)
        return replace(self, folds=(*others, (path, first)))


@frozen
class TaskRow:
    """A row of the table. `kind` is what `kind_of` returns.

    `toggle` is the address at which the task is opened or closed, empty if it has no children. `counts` are the states
    of what is in it, if it is folded. `seconds` is how long it took, or has taken so far if it is `open_ended`.
    """

    path: str
    label: str
    depth: int
    kind: str
    state: str
    href: str
    selected: bool
    started: datetime | None
    seconds: float | None
    open_ended: bool
    attempts: int
    note: str
    item: str = ""
    toggle: str = ""
    is_open: bool = False
    counts: tuple[StateCount, ...] = ()
    cached_href: str = ""


@frozen
class PageRow:
    """A row with links to the other children of a task: those from `first` to `last` of `total` are shown."""

    depth: int
    first: int
    last: int
    total: int
    earlier: str
    later: str


@frozen
class StateFilter:
    """A state with the number of its tasks, and the address that lists them, or no longer does."""

    state: str
    label: str
    count: int
    href: str
    is_active: bool


@frozen
class TasksView:
    """The tab. `total` is the number of tasks without children; `matches` is how many a filter selects."""

    query: TaskQuery
    filters: tuple[StateFilter, ...]
    rows: tuple[TaskRow | PageRow, ...]
    total: int
    matches: int
    order_href: str
    clear_href: str


def view_tasks(run: Run, query: TaskQuery, now: datetime, plan: Plan | None = None) -> TasksView:
    """Return the tab for a run.

    Args:
        run: the run.
        query: what the address asks for.
        now: the time by which tasks in progress are measured.
        plan: its Plan, which has the display names; None if that is not known.
    """
    tasks = list(run.all_tasks())
    counts = Counter(state_of(task) for task in tasks if not task.children)
    table = _Table(query, now, plan, folds_all=len(tasks) > _MOST_OPEN)
    matches = [task for task in tasks if _is_match(task, query)] if query.is_list else []
    rows = table.listing(matches) if query.is_list else table.tree(run.tasks)
    return TasksView(
        query=query,
        filters=tuple(_filter(query, state, counts[state]) for state in LABELS if counts[state]),
        rows=tuple(rows),
        total=sum(counts.values()),
        matches=len(matches),
        order_href=replace(query, failed_first=not query.failed_first).href,
        clear_href=replace(query, text="", states=(), page=0).href,
    )


def _filter(query: TaskQuery, state: str, count: int) -> StateFilter:
    is_active = state in query.states
    states = tuple(each for each in query.states if each != state) if is_active else (*query.states, state)
    return StateFilter(state, LABELS[state], count, replace(query, states=states, page=0).href, is_active)


def _is_match(task: Task, query: TaskQuery) -> bool:
    if query.states and (task.children or state_of(task) not in query.states):
        return False
    return query.text.lower() in task.path.lower()


class _Table:
    """Makes the rows."""

    def __init__(self, query: TaskQuery, now: datetime, plan: Plan | None, *, folds_all: bool) -> None:
        self._query = query
        self._now = now
        self._plan = plan
        self._folds = dict(query.folds)
        self._folds_all = folds_all

    def listing(self, tasks: Sequence[Task]) -> Iterator[TaskRow | PageRow]:
        """Yield the rows of one page of tasks, by their paths."""
        first = self._query.page * PAGE
        ordered = _failed_first(tasks) if self._query.failed_first else tasks
        for task in ordered[first : first + PAGE]:
            yield replace(self._row(task, 0), label=task.path)
        yield from _pages(0, len(tasks), first, lambda at: replace(self._query, page=at // PAGE).href)

    def tree(self, tasks: Sequence[Task]) -> Iterator[TaskRow | PageRow]:
        """Yield the rows of the run, each task before its children."""
        pending = self._level("", tasks, 0)
        while pending:
            entry = pending.pop()
            if isinstance(entry, PageRow):
                yield entry
                continue
            depth, task = entry
            row = self._row(task, depth)
            if not task.children:
                yield row
                continue
            first = self._first_child(task, depth)
            toggle = self._query.with_fold(task.path, -1 if first >= 0 else 0).href
            counts = () if first >= 0 else _counts(task)
            yield replace(row, toggle=toggle, is_open=first >= 0, counts=counts)
            if first >= 0:
                pending += self._level(task.path, task.children, depth + 1)

    def _level(self, path: str, tasks: Sequence[Task], depth: int) -> list[PageRow | tuple[int, Task]]:
        """Return what is shown of siblings, the last one first."""
        first = max(0, self._folds.get(path, 0))
        ordered = _failed_first(tasks) if self._query.failed_first else tasks
        shown: list[PageRow | tuple[int, Task]] = [(depth, task) for task in ordered[first : first + PAGE]]
        pages = _pages(depth, len(tasks), first, lambda at: self._query.with_fold(path, at).href)
        return [*shown, *pages][::-1]

    def _first_child(self, task: Task, depth: int) -> int:
        """Return the number of the first child that is shown; -1 if none is."""
        known = self._folds.get(task.path)
        if known is not None:
            return min(known, len(task.children) - 1)
        is_folded = len(task.children) > _FOLDED_FROM or (self._folds_all and (depth > 0 or kind_of(task) == "loop"))
        return -1 if is_folded else 0

    def _row(self, task: Task, depth: int) -> TaskRow:
        open_ended = task.started is not None and task.ended is None and task.status.value in ("RUNNING", "READY")
        seconds = task.duration
        if seconds is None and open_ended and task.started:
            seconds = max(0.0, (self._now - task.started).total_seconds())
        return TaskRow(
            path=task.path,
            label=title_of(self._plan, task),
            depth=depth,
            kind=kind_of(task),
            state=state_of(task),
            href=replace(self._query, selected=task.path).href,
            selected=task.path == self._query.selected,
            started=task.started,
            seconds=None if task.status.value == "SKIPPED" else seconds,
            open_ended=open_ended,
            attempts=len(task.attempts),
            note=_note(task),
            item=_shorten(format_value(task.item)) if task.iteration is not None else "",
            cached_href=_origin(task),
        )


def kind_of(task: Task) -> str:
    """Return what a task is: `task`, `pipeline`, `condition`, `exit handler`, `loop` or `iteration`."""
    if task.iteration is not None:
        return "iteration"
    if not task.children:
        return "task"
    if task.children[0].iteration is not None:
        return "loop"
    return next((kind for kind, pattern in _COMPILED_NAMES.items() if pattern.fullmatch(task.name)), "pipeline")


def title_of(plan: Plan | None, task: Task) -> str:
    """Return the name of a task for people: its display name, if its Plan has one."""
    if task.iteration is not None:
        return f"Iteration {task.name}"
    planned = find_planned(plan, task)
    return (planned.node.display_name if planned else "") or task.name


def _note(task: Task) -> str:
    """Return in one line why it failed or was skipped, or where its outputs come from."""
    if task.failure:
        return _shorten(first_line(f"{task.failure.in_attempt}: {task.failure.message}".removeprefix(": ").strip()))
    if task.cached_from:
        return f"cached from {task.cached_from}"
    return _shorten(first_line(task.skip_reason))


def _origin(task: Task) -> str:
    """Return the address of the task that the outputs come from; empty for a task that was not cached."""
    run, _, path = task.cached_from.partition("/")
    return link("runs", run, tab="tasks", task=path) if run else ""


def _shorten(text: str) -> str:
    return text if len(text) <= _MAX_NOTE else f"{text[:_MAX_NOTE]}…"


def _counts(task: Task) -> tuple[StateCount, ...]:
    """Return the states of all tasks without children in a task."""
    counts: Counter[str] = Counter()
    pending = [task]
    while pending:
        for child in pending.pop().children:
            if child.children:
                pending.append(child)
            else:
                counts[state_of(child)] += 1
    return tuple(StateCount(state, LABELS[state], counts[state]) for state in LABELS if counts[state])


def _failed_first(tasks: Sequence[Task]) -> list[Task]:
    return sorted(tasks, key=lambda task: urgency(state_of(task)))


def _pages(depth: int, total: int, first: int, href: Callable[[int], str]) -> Iterable[PageRow]:
    """Yield the row that leads to other pages, if there are any."""
    if total <= PAGE and not first:
        return
    earlier = href(max(0, first - PAGE)) if first else ""
    later = href(first + PAGE) if first + PAGE < total else ""
    yield PageRow(depth, first + 1, min(total, first + PAGE), total, earlier, later)
