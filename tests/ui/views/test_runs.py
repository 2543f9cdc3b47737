"""Which runs a list shows, in which order, and what its rows say."""

from __future__ import annotations

import doctest
from collections.abc import Mapping
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest

from standpipe.history import Run, Status
from standpipe.history.totals import CACHED, Metric, RunTotals
from standpipe.ui.views import run_rows
from standpipe.ui.views.run_rows import make_bar, make_row
from standpipe.ui.views.runs import PAGE_SIZE, RunsPage, RunsQuery, select_runs, show_runs

NOW = datetime(2026, 11, 30, 12, tzinfo=timezone.utc)


def a_run(
    name: str, status: Status = Status.SUCCEEDED, *, age: float = 60, seconds: float | None = 5, **more: Any
) -> Run:
    start = NOW - timedelta(seconds=age)
    is_over = status not in (Status.RUNNING, Status.INTERRUPTED) and seconds is not None
    fields: dict[str, Any] = {
        "pipeline": "train",
        "created": start,
        "started": start,
        "ended": start + timedelta(seconds=seconds or 0) if is_over else None,
        "folder": Path("/root") / name,
        "rerun_of": "",
        "_idle": 0.0,
        "_number": 1,
        "_read": lambda: pytest.fail("a list reads no facts"),
        "_refresh": lambda: pytest.fail("a list reads no facts"),
        "_read_ahead": lambda: pytest.fail("a list reads no facts"),
    }
    return Run(id=name, status=status, **{**fields, **more})


def page_of(runs: list[Run], address: str = "", totals: Mapping[str, RunTotals] | None = None) -> RunsPage:
    query = RunsQuery.parse(parse_qsl(address))
    known = totals or {}
    return show_runs(runs, select_runs(runs, known, query, NOW), known, NOW)


def names(page: RunsPage) -> list[str]:
    return [row.id for row in page.rows]


def test_the_newest_run_is_first() -> None:
    page = page_of([a_run("b", age=10), a_run("a", age=20)])
    assert names(page) == ["b", "a"]
    assert (page.total, page.matching, page.first, page.last) == (2, 2, 1, 2)
    assert [column.key for column in page.columns if column.order == "descending"] == ["start"]


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        ("q=TRAIN", ["train-1", "train-2"]),
        ("q=train 2", ["train-2"]),
        ("q=export", ["b"]),
        ("q=load", ["b"]),
        ("q=Ä", ["ä"]),
        ("status=FAILED", ["train-2"]),
        ("status=FAILED&status=RUNNING", ["train-2", "b"]),
        ("status=UNKNOWN", ["train-1", "train-2", "b", "ä"]),
        ("pipeline=export", ["b"]),
        ("pipeline=none", []),
    ],
)
def test_filters(address: str, expected: list[str]) -> None:
    runs = [
        a_run("train-1"),
        a_run("train-2", Status.FAILED, age=70),
        a_run("b", Status.RUNNING, pipeline="export", age=80, rerun_of="other/load"),
        a_run("ä", pipeline="umlaut", age=90),
    ]
    assert names(page_of(runs, address)) == expected


@pytest.mark.parametrize(
    ("sort", "expected"),
    [
        ("name", ["a", "B", "c"]),
        ("-name", ["c", "B", "a"]),
        ("duration", ["c", "B", "a"]),
        ("-duration", ["B", "c", "a"]),
        ("start", ["c", "B", "a"]),
        ("status", ["B", "a", "c"]),
        ("pipeline", ["c", "B", "a"]),
        ("tasks", ["c", "B", "a"]),
        ("-tasks", ["B", "c", "a"]),
        ("metric:loss", ["a", "c", "B"]),
        ("-metric:loss", ["c", "a", "B"]),
        ("unknown", ["c", "B", "a"]),
    ],
)
def test_sorting_puts_runs_without_a_value_last(sort: str, expected: list[str]) -> None:
    runs = [
        a_run("a", Status.INTERRUPTED, age=1, pipeline="z"),
        a_run("B", Status.RUNNING, age=20, pipeline="y"),
        a_run("c", age=30, seconds=7, pipeline="x"),
    ]
    totals = {
        "a": RunTotals({}, {"loss": Metric(1, 0.1, 0.1)}),
        "B": RunTotals({"RUNNING": 3}),
        "c": RunTotals({"SUCCEEDED": 2}, {"loss": Metric(2, 0.05, 0.9)}),
    }
    assert names(page_of(runs, f"sort={sort}", totals)) == expected


def test_a_column_sorts_in_one_direction_and_then_in_the_other() -> None:
    def after(address: str, key: str) -> str:
        (column,) = (each for each in page_of([], address).columns if each.key == key)
        return dict(parse_qsl(urlsplit(column.href).query)).get("sort", "-start")

    assert after("", "name") == "name"
    assert after("sort=name", "name") == "-name"
    assert after("sort=-name", "name") == "name"
    assert after("sort=name", "duration") == "-duration"
    assert after("", "start") == "start"
    assert after("sort=start", "start") == "-start"


def test_pages() -> None:
    runs = [a_run(f"run-{n}", age=n) for n in range(2 * PAGE_SIZE + 3)]
    first, second, last = page_of(runs), page_of(runs, "page=2&q=run"), page_of(runs, "page=3")
    assert (names(first)[0], first.previous_href, first.next_href) == ("run-0", "", "/?page=2")
    assert (names(second)[0], second.previous_href, second.next_href) == ("run-50", "/?q=run", "/?q=run&page=3")
    assert (len(last.rows), last.first, last.last, last.next_href) == (3, 101, 103, "")
    for beyond in ("page=99", "page=9999999"):
        assert names(page_of(runs, beyond)) == names(last)
    for nonsense in ("page=", "page=0", "page=-1", "page=x", "page=²", "page=12345678901234567890"):
        assert names(page_of(runs, nonsense)) == names(first)


def test_a_filter_leads_to_the_first_page() -> None:
    query = RunsQuery.parse(parse_qsl("page=3&status=FAILED&metric=a%26b&metric=c&q=x y"))
    assert query.address(states=()) == "/?q=x+y&metric=a%26b&metric=c"
    assert query.address(page=3) == "/?q=x+y&status=FAILED&metric=a%26b&metric=c&page=3"
    assert query.parameters("metric", "page") == [("q", "x y"), ("status", "FAILED")]
    assert RunsQuery().address() == "/"


def test_chips_count_the_runs_of_each_state_that_the_other_filters_let_pass() -> None:
    runs = [
        a_run("a"),
        a_run("b", Status.FAILED),
        a_run("c", Status.FAILED),
        a_run("other", Status.CANCELLED, pipeline="zero"),
    ]
    chips = page_of(runs, "status=FAILED&q=train a").chips
    assert [(chip.state, chip.count, chip.is_chosen, chip.href) for chip in chips] == [
        ("FAILED", 2, True, "/?q=train+a"),
        ("SUCCEEDED", 1, False, "/?q=train+a&status=FAILED&status=SUCCEEDED"),
    ]
    assert [chip.count for chip in page_of(runs, "status=FAILED&q=zero").chips] == [0, 1]
    assert {chip.state: chip.count for chip in page_of(runs).chips} == {"FAILED": 2, "CANCELLED": 1, "SUCCEEDED": 1}


def test_metrics_are_columns_that_one_chooses() -> None:
    totals = {
        "a": RunTotals({}, {"accuracy": Metric(1, 0.91236, 0.91236), "Loss": Metric(3, 0.1, 0.25)}),
        "b": RunTotals({}, {"Loss": Metric(2, 7, 7)}),
    }
    page = page_of([a_run("a"), a_run("b"), a_run("c")], "metric=Loss&metric=accuracy&metric=Loss&metric=gone", totals)
    assert [(choice.name, choice.is_chosen) for choice in page.metrics] == [
        ("accuracy", True),
        ("gone", True),
        ("Loss", True),
    ]
    assert [[cell.text for cell in row.metrics] for row in page.rows] == [
        ["0.1 to 0.25", "0.9124", ""],
        ["7", "", ""],
        ["", "", ""],
    ]
    assert page.rows[0].metrics[0].title == "3 values from 0.1 to 0.25"
    assert [column.remove_href for column in page.columns if column.is_metric] == [
        "/?metric=accuracy&metric=gone",
        "/?metric=Loss&metric=gone",
        "/?metric=Loss&metric=accuracy",
    ]
    assert not page.is_complete


def test_the_bar_shows_every_state_and_fills_its_width() -> None:
    bar = make_bar(RunTotals({"SUCCEEDED": 9_999, "FAILED": 1, CACHED: 20}))
    assert [(part.state, part.count) for part in bar.parts] == [("SUCCEEDED", 9_999), (CACHED, 20), ("FAILED", 1)]
    assert min(part.width for part in bar.parts) > 3
    assert bar.parts[-1].x + bar.parts[-1].width == pytest.approx(100, abs=0.05)
    assert bar.description == "9,999 succeeded, 20 cached, 1 failed"
    assert make_bar(RunTotals()).description == "No task has started"


def test_what_a_row_says_of_a_run_in_progress_and_of_others() -> None:
    running = make_row(a_run("a", Status.RUNNING, age=90, _idle=20.0), None, (), NOW)
    assert (running.duration, running.elapsed, running.ago) == ("1 min 10 s", 70.0, "1 min ago")
    assert (running.can_stop, running.can_resume, running.tasks) == (True, False, None)
    failed = make_row(a_run("b", Status.FAILED, rerun_of="other/train"), RunTotals(), (), NOW)
    assert (failed.can_stop, failed.can_resume, failed.elapsed, failed.original) == (False, True, None, "other")
    interrupted = make_row(a_run("c", Status.INTERRUPTED), RunTotals(), (), NOW)
    assert (interrupted.duration, interrupted.can_resume) == ("", True)
    assert not make_row(a_run("d"), RunTotals(), (), NOW).can_resume


def test_examples() -> None:
    assert doctest.testmod(run_rows).failed == 0
