"""Loops and large layers as tables."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from standpipe import dsl, local
from standpipe.local import FakeRunner
from standpipe.ui.source import RunSource
from standpipe.ui.views.layer_table import LayerTable, tabulate_layer
from standpipe.ui.views.layers import Layer, find_layer


@dsl.component
def numbers(count: int) -> list: ...


@dsl.component
def square(x: int) -> int: ...


@dsl.component
def make_part(x: int, part: dsl.Output[dsl.Dataset]) -> None: ...


@dsl.component
def use_part(part: dsl.Input[dsl.Dataset]) -> None: ...


@dsl.pipeline
def table_of_squares(count: int = 250) -> None:
    with dsl.ParallelFor(numbers(count=count).output, parallelism=1) as item:
        square(x=item)


@dsl.pipeline
def table_of_uses(parts: dsl.Input[list[dsl.Dataset]]) -> None:
    with dsl.ParallelFor(parts) as part:
        use_part(part=part)


@dsl.pipeline
def table_of_parts() -> None:
    with dsl.ParallelFor([1, 2]) as item:
        made = make_part(x=item)
    table_of_uses(parts=dsl.Collected(made.outputs["part"]))


@dsl.pipeline
def table_of_texts() -> None:
    with dsl.ParallelFor(["ä" * 300, '<b>"x"</b>']):
        square(x=1)


@dsl.pipeline
def table_of_tasks() -> None:
    for _ in range(310):
        square(x=1)


def odd(x: int) -> dict[str, int]:
    if x % 10 == 3:
        raise ValueError(f"{x} is odd\nand more")
    return {"Output": x * x}


FUNCTIONS = {"numbers": lambda count: {"Output": [*range(count)]}, "square": odd}


@pytest.fixture(autouse=True)
def _own_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)


def layer_of(path: str) -> Layer:
    source = RunSource(Path("local_outputs").absolute())
    run = source.run("latest")
    layer = find_layer(run, source.plan(run), path)
    assert layer
    return layer


def run(pipeline: Any, **functions: Any) -> None:
    runner = FakeRunner({**FUNCTIONS, **functions})
    local.run(pipeline, runner=runner, quiet=True, raise_on_error=False, enable_caching=False)


def names(table: LayerTable) -> list[str]:
    return [row.name for row in table.rows]


def test_iterations_that_failed_come_first() -> None:
    run(table_of_squares)
    table = tabulate_layer(layer_of("for-loop-1"))

    assert names(table)[:4] == ["3", "13", "23", "33"]
    assert names(table)[25:28] == ["0", "1", "2"]
    assert [(each.state, each.count) for each in table.counts] == [("FAILED", 25), ("SUCCEEDED", 225)]
    first = table.rows[0]
    assert (first.task, first.item, first.state, first.layer) == ("for-loop-1/3", "3", "FAILED", "for-loop-1/3")
    assert first.note == "its task 'for-loop-1/3/square' failed: ValueError: 3 is odd"
    assert first.duration is not None
    assert table.has_items


def test_rows_come_in_pages() -> None:
    run(table_of_squares)
    layer = layer_of("for-loop-1")
    pages = [tabulate_layer(layer, page=number) for number in (1, 2, 3, 4, -1)]

    assert [(page.page, page.first, page.last, len(page.rows)) for page in pages] == [
        *((1, 1, 100, 100), (2, 101, 200, 100), (3, 201, 250, 50)),
        *((3, 201, 250, 50), (1, 1, 100, 100)),
    ]
    assert {page.pages for page in pages} == {3}
    assert len({name for page in pages[:3] for name in names(page)}) == 250


def test_the_page_of_the_selected_task_is_shown_unless_another_is_asked_for() -> None:
    run(table_of_squares)
    layer = layer_of("for-loop-1")

    page = tabulate_layer(layer, page=None, selected="for-loop-1/248")
    assert (page.page, "248" in names(page)) == (3, True)
    assert tabulate_layer(layer, page=1, selected="for-loop-1/248").page == 1
    assert tabulate_layer(layer, page=None, selected="elsewhere").page == 1


def test_rows_are_filtered_by_state() -> None:
    run(table_of_squares)
    layer = layer_of("for-loop-1")
    failed, none = tabulate_layer(layer, "FAILED"), tabulate_layer(layer, "SKIPPED", page=3)

    assert (failed.total, failed.pages, names(failed)[-1]) == (25, 1, "243")
    assert failed.counts == tabulate_layer(layer).counts
    assert (none.total, none.pages, none.page, none.first, none.last, none.rows) == (0, 1, 1, 0, 0, ())


def test_iterations_that_have_not_started_are_listed() -> None:
    seen: list[LayerTable] = []

    def look(x: int) -> dict[str, int]:
        if x == 2:
            seen.append(tabulate_layer(layer_of("for-loop-1")))
        return {"Output": x}

    run(table_of_squares, square=look)
    states = [(row.name, row.state, row.item) for row in seen[0].rows[:4]]

    assert [(each.state, each.count) for each in seen[0].counts] == [
        *(("RUNNING", 1), ("SUCCEEDED", 2), ("PENDING", 247)),
    ]
    assert states == [
        *(("2", "RUNNING", "2"), ("0", "SUCCEEDED", "0"), ("1", "SUCCEEDED", "1"), ("3", "PENDING", "")),
    ]


def test_items_are_short_texts_or_names_of_artifacts() -> None:
    run(table_of_texts)
    items = [row.item for row in tabulate_layer(layer_of("for-loop-2")).rows]
    assert items == ['"' + "ä" * 119 + "…", '"<b>\\"x\\"</b>"']

    run(table_of_parts)
    assert [row.item for row in tabulate_layer(layer_of("table-of-uses/for-loop-1")).rows] == ["part", "part"]


def test_a_large_layer_has_a_row_for_each_task() -> None:
    run(table_of_tasks)
    table = tabulate_layer(layer_of(""))

    assert (table.is_loop, table.has_items, table.total, table.layer) == (False, False, 310, "")
    assert (table.rows[0].task, table.rows[0].layer) == ("square", "")
