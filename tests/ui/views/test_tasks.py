"""The tab Tasks: the tree, what is folded, pages, filters and notes."""

from __future__ import annotations

from datetime import datetime, timezone
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from standpipe import dsl, local
from standpipe.history import Run, get_run
from standpipe.local import FakeRunner
from standpipe.ui.source import RunSource
from standpipe.ui.views.tasks import PAGE, PageRow, TaskQuery, TaskRow, TasksView, view_tasks

NOW = datetime(2030, 1, 1, tzinfo=timezone.utc)


@dsl.component
def tabs_count(x: int) -> int: ...


@dsl.component
def tabs_use(x: int) -> int: ...


@dsl.pipeline
def tabs_inner(x: int) -> int:
    return tabs_count(x=x).output


@dsl.pipeline
def tabs_tree(n: int = 3) -> None:
    inner = tabs_inner(x=n)
    with dsl.If(inner.output > 1000):
        tabs_use(x=1)
    with dsl.ParallelFor([5, 6]) as item:
        tabs_use(x=item)


@dsl.pipeline
def tabs_long(items: list) -> None:
    with dsl.ParallelFor(items) as item:
        tabs_use(x=tabs_count(x=item).output)


def fails_on(bad: int) -> FakeRunner:
    def use(x: int) -> int:
        if x == bad:
            raise ValueError("this one\nis bad")
        return x

    return FakeRunner(tabs_count=lambda x: x, tabs_use=use)


def run_of(root: Path, pipeline: Any, runner: FakeRunner, **arguments: Any) -> Run:
    local.run(pipeline, arguments, runner=runner, quiet=True, raise_on_error=False, pipeline_root=root)
    return get_run(root, "latest")


@pytest.fixture
def tree(tmp_path: Path) -> Run:
    return run_of(tmp_path, tabs_tree, fails_on(6))


@pytest.fixture(scope="module")
def long(tmp_path_factory: pytest.TempPathFactory) -> Run:
    return run_of(tmp_path_factory.mktemp("root"), tabs_long, fails_on(120), items=list(range(130)))


def view(run: Run, **query: Any) -> TasksView:
    return view_tasks(run, TaskQuery(run.id, **query), NOW)


def rows(run: Run, **query: Any) -> list[TaskRow]:
    return [row for row in view(run, **query).rows if isinstance(row, TaskRow)]


def pages(run: Run, **query: Any) -> list[PageRow]:
    return [row for row in view(run, **query).rows if isinstance(row, PageRow)]


def follow(run: Run, href: str) -> list[TaskRow]:
    """Return the rows at an address."""
    query = parse_qs(urlsplit(href).query)
    folds = tuple((path, int(first)) for first, _, path in (fold.partition(":") for fold in query.get("fold", [])))
    return rows(run, states=tuple(query.get("state", [])), text=query.get("q", [""])[0], folds=folds)


def test_all_tasks_are_a_tree_with_their_states(tree: Run) -> None:
    assert {(row.depth, row.path, row.kind, row.state) for row in rows(tree)} == {
        (0, "tabs-inner", "pipeline", "SUCCEEDED"),
        (1, "tabs-inner/tabs-count", "task", "SUCCEEDED"),
        (0, "condition-1", "task", "SKIPPED"),
        (0, "for-loop-3", "loop", "FAILED"),
        (1, "for-loop-3/0", "iteration", "SUCCEEDED"),
        (2, "for-loop-3/0/tabs-use-2", "task", "SUCCEEDED"),
        (1, "for-loop-3/1", "iteration", "FAILED"),
        (2, "for-loop-3/1/tabs-use-2", "task", "FAILED"),
    }


def test_a_line_says_why_a_task_failed_or_was_skipped(tree: Run) -> None:
    notes = {row.path: row.note for row in rows(tree)}

    assert notes["for-loop-3/1/tabs-use-2"] == "ValueError: this one"
    assert "1000" in notes["condition-1"]
    assert [row.item for row in rows(tree) if row.kind == "iteration"] == ["5", "6"]


def test_states_are_counted_and_lead_to_their_tasks(tree: Run) -> None:
    filters = {each.state: each for each in view(tree).filters}

    assert {state: each.count for state, each in filters.items()} == {"FAILED": 1, "SUCCEEDED": 2, "SKIPPED": 1}
    assert [row.label for row in follow(tree, filters["FAILED"].href)] == ["for-loop-3/1/tabs-use-2"]
    both = follow(tree, view(tree, states=("FAILED",)).filters[2].href)
    assert {row.state for row in both} == {"FAILED", "SKIPPED"}


def test_a_text_filters_by_path(tree: Run) -> None:
    assert [row.label for row in rows(tree, text="INNER/")] == ["tabs-inner/tabs-count"]
    assert view(tree, text="nothing").matches == 0


def test_failed_tasks_come_first(tree: Run) -> None:
    ordered = rows(tree, failed_first=True)

    assert [row.label for row in ordered if row.depth < 2][:2] == ["for-loop-3", "Iteration 1"]


def test_a_task_can_be_closed_and_opened(tree: Run) -> None:
    loop = next(row for row in rows(tree) if row.kind == "loop")
    closed = follow(tree, loop.toggle)
    folded = next(row for row in closed if row.kind == "loop")

    assert loop.is_open
    assert not folded.is_open
    assert [(each.state, each.count) for each in folded.counts] == [("FAILED", 1), ("SUCCEEDED", 1)]
    assert len(follow(tree, folded.toggle)) == len(rows(tree))


def test_a_long_loop_is_folded_and_has_pages(long: Run) -> None:
    (loop,) = rows(long)
    query = {"folds": ((loop.path, 0),)}
    (page,) = pages(long, **query)

    assert [(each.state, each.count) for each in loop.counts] == [("FAILED", 1), ("SUCCEEDED", 259)]
    assert len(rows(long, **query)) == 1 + PAGE
    assert (page.first, page.last, page.total, page.earlier) == (1, 100, 130, "")
    assert [row.label for row in follow(long, page.later)][1:3] == ["Iteration 100", "Iteration 101"]


def test_a_long_list_has_pages(long: Run) -> None:
    first = view(long, text="count")
    page = next(row for row in first.rows if isinstance(row, PageRow))

    assert (first.matches, page.last, page.total) == (130, 100, 130)
    assert len(rows(long, text="count", page=1)) == 30


def test_folds_that_no_task_has_are_ignored(tree: Run) -> None:
    assert len(rows(tree, folds=(("nothing", 5), ("for-loop-3", 10**6), ("", 10**6)))) < 20


def test_a_task_that_was_cached_leads_to_its_origin(tmp_path: Path) -> None:
    runner = fails_on(-1)
    options: dict[str, Any] = {"runner": runner, "quiet": True, "pipeline_root": tmp_path, "enable_caching": True}
    local.run(tabs_inner, {"x": 1}, **options)
    first = get_run(tmp_path, "latest").id
    local.run(tabs_inner, {"x": 1}, **options)
    (row,) = rows(get_run(tmp_path, "latest"))

    assert row.state == "CACHED"
    assert row.note == f"cached from {first}/tabs-count"
    assert row.cached_href == f"/runs/{first}?tab=tasks&task=tabs-count"


@dsl.pipeline
def tabs_named() -> None:
    with dsl.ExitHandler(tabs_count(x=0)):
        first = tabs_count(x=1).set_display_name("Count the rows")
        with dsl.If(first.output == 1):
            tabs_use(x=1)


def test_tasks_have_their_display_names_and_groups_say_what_they_are(tmp_path: Path) -> None:
    run = run_of(tmp_path, tabs_named, fails_on(6))
    shown = view_tasks(run, TaskQuery(run.id), NOW, RunSource(tmp_path).plan(run)).rows

    assert [(row.label, row.kind) for row in shown if isinstance(row, TaskRow)] == [
        ("exit-handler-1", "exit handler"),
        ("Count the rows", "task"),
        ("condition-2", "condition"),
        ("tabs-use", "task"),
        ("tabs-count", "task"),
    ]
