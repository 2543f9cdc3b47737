"""The list of runs: which are shown, in which order, and what each row says."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any
from urllib.parse import urlencode

from standpipe.history import Run, Status
from standpipe.history.totals import RunTotals
from standpipe.model.frozen import frozen, replace
from standpipe.ui.views.run_rows import RunRow, make_row
from standpipe.ui.views.states import LABELS

#: How many runs a page has, and how many can be compared.
PAGE_SIZE = 50
MAX_COMPARED = 10

#: The columns that all lists have, and whether they begin with the highest value when one sorts by them.
_COLUMNS = {
    "name": ("Name", False),
    "status": ("Status", False),
    "duration": ("Duration", True),
    "start": ("Start", True),
    "pipeline": ("Pipeline", False),
    "tasks": ("Tasks", True),
}
_NEWEST_FIRST = "-start"

#: In addresses, what precedes the name of a metric that one sorts by.
_METRIC = "metric:"

#: The states of runs, in the order of their labels.
_STATES = tuple(state for state in LABELS if state in Status.__members__ and state not in ("READY", "SKIPPED"))


@frozen
class RunsQuery:
    """What the address of a list of runs asks for. `sort` begins with `-` for the highest value first."""

    text: str = ""
    states: tuple[str, ...] = ()
    pipeline: str = ""
    sort: str = _NEWEST_FIRST
    metrics: tuple[str, ...] = ()
    page: int = 1

    @classmethod
    def parse(cls, parameters: Iterable[tuple[str, str]]) -> RunsQuery:
        """Return the query of an address. What it does not understand is left out."""
        values: dict[str, list[str]] = {}
        for name, value in parameters:
            values.setdefault(name, []).append(value)
        page = values.get("page", ["1"])[-1]
        return cls(
            text=values.get("q", [""])[-1].strip(),
            states=tuple(state for state in _STATES if state in values.get("status", ())),
            pipeline=values.get("pipeline", [""])[-1],
            sort=values.get("sort", [""])[-1] or _NEWEST_FIRST,
            metrics=tuple(dict.fromkeys(filter(None, values.get("metric", ())))),
            page=max(1, int(page)) if page.isascii() and page.isdigit() and len(page) < 8 else 1,
        )

    def address(self, **changes: Any) -> str:
        """Return the address of the list with these changes. Unless `page` is one of them, it is the first page."""
        fields = replace(self, **{"page": 1, **changes}).parameters()
        return f"/?{urlencode(fields)}" if fields else "/"

    def parameters(self, *without: str) -> list[tuple[str, str]]:
        """Return the parameters of the address, but for those of these names, for the hidden fields of a form."""
        fields = [
            ("q", self.text),
            *(("status", state) for state in self.states),
            ("pipeline", self.pipeline),
            ("sort", "" if self.sort == _NEWEST_FIRST else self.sort),
            *(("metric", metric) for metric in self.metrics),
            ("page", str(self.page) if self.page > 1 else ""),
        ]
        return [(name, value) for name, value in fields if value and name not in without]


@frozen
class Column:
    """A column. `order` is the value of `aria-sort`; `href` sorts by the column."""

    key: str
    label: str
    href: str
    order: str
    is_metric: bool = False
    remove_href: str = ""


@frozen
class StateChip:
    """A state with the number of its runs. `href` shows only them, or all if they are shown already."""

    state: str
    label: str
    count: int
    href: str
    is_chosen: bool


@frozen
class MetricChoice:
    """A metric that can be a column."""

    name: str
    is_chosen: bool


@frozen
class RunsPage:
    """A page of the list. `total` is the number of all runs, `matching` that of the runs that the filters let pass."""

    query: RunsQuery
    rows: tuple[RunRow, ...]
    columns: tuple[Column, ...]
    chips: tuple[StateChip, ...]
    pipelines: tuple[str, ...]
    metrics: tuple[MetricChoice, ...]
    total: int
    matching: int
    first: int
    previous_href: str
    next_href: str
    is_complete: bool

    @property
    def last(self) -> int:
        """The number of the last row, counted from 1 over all pages."""
        return self.first + len(self.rows) - 1


@frozen
class Selection:
    """The runs of one page, and how many there are besides. `matching` has the runs of all states."""

    query: RunsQuery
    shown: tuple[Run, ...]
    of_any_state: tuple[Run, ...]
    matching: int


def select_runs(runs: Sequence[Run], totals: Mapping[str, RunTotals], query: RunsQuery, now: datetime) -> Selection:
    """Return the runs of the page that a query asks for.

    Args:
        runs: all runs, the newest first.
        totals: their totals, as far as they are known, by id.
        query: the query. If there is no such page, it is the last one.
        now: the present time.
    """
    words = query.text.casefold().split()
    matching = tuple(
        run for run in runs if query.pipeline in ("", run.pipeline) and all(word in _text_of(run) for word in words)
    )
    selected = [run for run in matching if not query.states or run.status.value in query.states]
    ordered = _sort(selected, totals, query.sort, now)
    pages = max(1, -(-len(ordered) // PAGE_SIZE))
    page = min(query.page, pages)
    shown = ordered[(page - 1) * PAGE_SIZE : page * PAGE_SIZE]
    return Selection(replace(query, page=page), tuple(shown), matching, len(ordered))


def show_runs(runs: Sequence[Run], selection: Selection, totals: Mapping[str, RunTotals], now: datetime) -> RunsPage:
    """Return the page of a selection.

    Args:
        runs: all runs.
        selection: those of the page.
        totals: the totals of runs, by id; those that are not there are not known.
        now: the present time.
    """
    query, page = selection.query, selection.query.page
    first = (page - 1) * PAGE_SIZE + 1
    is_last = first + len(selection.shown) > selection.matching
    return RunsPage(
        query=query,
        rows=tuple(make_row(run, totals.get(run.id), query.metrics, now) for run in selection.shown),
        columns=_columns(query),
        chips=_chips(selection),
        pipelines=tuple(sorted({run.pipeline for run in runs}, key=str.casefold)),
        metrics=_metrics(totals, query),
        total=len(runs),
        matching=selection.matching,
        first=first,
        previous_href=query.address(page=page - 1) if page > 1 else "",
        next_href="" if is_last else query.address(page=page + 1),
        is_complete=all(run.id in totals and totals[run.id].is_complete for run in selection.shown),
    )


def _text_of(run: Run) -> str:
    return f"{run.id}\n{run.pipeline}\n{run.rerun_of}".casefold()


def _sort(runs: Sequence[Run], totals: Mapping[str, RunTotals], sort: str, now: datetime) -> list[Run]:
    """Return the runs by a column. Those without a value are last, whatever the direction."""
    value = _sort_value(sort.removeprefix("-"), totals, now)
    values = {run.id: value(run) for run in runs}
    known = sorted(
        (run for run in runs if values[run.id] is not None),
        key=lambda run: values[run.id],
        reverse=sort.startswith("-"),
    )
    return [*known, *(run for run in runs if values[run.id] is None)]


def _sort_value(column: str, totals: Mapping[str, RunTotals], now: datetime) -> Callable[[Run], Any]:
    """Return the function that returns the value of a run in a column; None without a value."""
    if column.startswith(_METRIC):
        name = column.removeprefix(_METRIC)
        return lambda run: metric.highest if (metric := _totals(totals, run).metrics.get(name)) else None
    by_column: dict[str, Callable[[Run], Any]] = {
        "name": lambda run: run.id.casefold(),
        "status": lambda run: _STATES.index(run.status.value),
        "duration": lambda run: run.elapsed(now),
        "pipeline": lambda run: run.pipeline.casefold(),
        "tasks": lambda run: sum(_totals(totals, run).counts.values()) or None,
    }
    return by_column.get(column, lambda run: run.created)


def _totals(totals: Mapping[str, RunTotals], run: Run) -> RunTotals:
    return totals.get(run.id) or RunTotals()


def _columns(query: RunsQuery) -> tuple[Column, ...]:
    fixed = [_column(key, label, is_high_first, query) for key, (label, is_high_first) in _COLUMNS.items()]
    metrics = [
        replace(
            _column(f"{_METRIC}{name}", name, True, query),
            is_metric=True,
            remove_href=query.address(metrics=tuple(each for each in query.metrics if each != name)),
        )
        for name in query.metrics
    ]
    return (*fixed, *metrics)


def _column(key: str, label: str, is_high_first: bool, query: RunsQuery) -> Column:
    orders = {key: "ascending", f"-{key}": "descending"}
    order = orders.get(query.sort, "none")
    is_next_high = order == "ascending" if order != "none" else is_high_first
    return Column(key, label, query.address(sort=f"-{key}" if is_next_high else key), order)


def _chips(selection: Selection) -> tuple[StateChip, ...]:
    query = selection.query
    counts = Counter(run.status.value for run in selection.of_any_state)
    return tuple(
        StateChip(state, LABELS[state], counts[state], query.address(states=_toggle(query.states, state)), is_chosen)
        for state in _STATES
        if counts[state] or state in query.states
        for is_chosen in [state in query.states]
    )


def _toggle(states: tuple[str, ...], state: str) -> tuple[str, ...]:
    return tuple(each for each in _STATES if (each in states) != (each == state))


def _metrics(totals: Mapping[str, RunTotals], query: RunsQuery) -> tuple[MetricChoice, ...]:
    names = {name for each in totals.values() for name in each.metrics} | {*query.metrics}
    return tuple(MetricChoice(name, name in query.metrics) for name in sorted(names, key=str.casefold))
