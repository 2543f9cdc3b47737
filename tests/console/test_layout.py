"""A tree, a width and a height become lines, without a terminal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pytest

from standpipe.console.layout import lay_out, lay_out_end
from standpipe.console.status_line import Limits, Status
from standpipe.console.styled import ASCII, UNICODE, Line, Span, cell_width, crop, crop_line, symbols_for, to_text
from standpipe.console.tree import TaskTree
from standpipe.model.events import Fact, LoopStarted, TaskReady
from standpipe.model.refs import TaskRef
from tests.console.stories import (
    END,
    GIBIBYTE,
    LOOP,
    RETRY,
    RUNNING,
    plan_of,
    started,
    succeeded,
    task,
    whole,
)

STATUS = Status(75.9, Limits(4, 8 * 1024**3), (3 * 1024**3, 16 * 1024**3))
TAILS = {task(f"{LOOP}/10/step"): ["epoch 1", "epoch 2"], task("prepare/step-2"): ["reading"]}

Tails = Mapping[TaskRef, Sequence[str]]
NO_TAILS: Tails = {}


def tree_of(*parts: Sequence[Fact]) -> TaskTree:
    tree = TaskTree(plan_of(whole))
    for second, facts in enumerate(parts):
        tree.apply(facts, float(second))
    return tree


def text_of(lines: Sequence[Line]) -> list[str]:
    return [to_text(line, colored=False).rstrip() for line in lines]


def shown(tree: TaskTree, width: int = 80, height: int = 24, *, tails: Tails = NO_TAILS, now: float = 5.0) -> list[str]:
    return text_of(lay_out(tree, tails, STATUS, now, (width, height)).lines)


def test_a_running_tree() -> None:
    assert shown(tree_of(RUNNING), tails=TAILS) == [
        "≡ numbers      cached",
        "▸ prepare      5 s",
        "├ ✓ clean      0 s",
        "└ ▸ split      5 s",
        "      reading",
        "▸ sweep        ━━━━━━────────────────── 10/40, 1 failed  5 s",
        "├ ▸ 10/step    5 s",
        "│     epoch 1",
        "│     epoch 2",
        "└ ▸ 11/step    5 s",
        "· flaky",
        "· condition-2",
        "· report",
        "1 min 15 s · 3 of 4 slots · machine memory 3 of 16 GiB · ✗ 1  ✓ 10  ≡ 1",
    ]


def test_a_wide_terminal_has_words_for_the_counts() -> None:
    assert shown(tree_of(RUNNING), width=160)[-1] == (
        "1 min 15 s · 3 of 4 slots · machine memory 3 of 16 GiB · 1 failed · 10 succeeded · 1 cached"
    )


def test_a_retry_counts_down_and_a_finished_branch_is_one_line() -> None:
    lines = shown(tree_of(RUNNING, RETRY), now=4.2)
    assert "✓ prepare      1 s" in lines
    assert "↻ flaky        attempt 2 of 3 in 7 s" in lines
    assert "↻ flaky        attempt 2 of 3 waits for a slot" in shown(tree_of(RUNNING, RETRY), now=50.0)


def test_the_end_keeps_all_that_fits() -> None:
    assert text_of(lay_out_end(tree_of(RUNNING, RETRY, END), 3.0, (80, 20))) == [
        "≡ numbers      cached",
        "✓ prepare      1 s",
        "✗ sweep        ━━━━━━━───────────────── 12/40, 1 failed  2 s",
        "✓ flaky        1 s",
        "- condition-2  its condition is false",
        "✓ report       0 s",
    ]


FOLDED = {
    7: [
        "… 2 more: 1 succeeded, 1 cached",
        "▸ sweep      ━━━━━━────────────────── 10/40, 1 failed  5 s",
        "├ ▸ 10/step  5 s",
        "└ ▸ 11/step  5 s",
        "↻ flaky      attempt 2 of 3 in 6 s",
        "… 2 more waiting",
    ],
    5: [
        "… 2 more: 1 succeeded, 1 cached",
        "▸ sweep  ━━━━━━────────────────── 10/40, 1 failed  5 s",
        "└ … 2 more running",
        "… 3 more: 2 waiting, 1 retrying",
    ],
    2: ["… 8 more: 2 waiting, 3 running, 1 retrying, 1 succeeded, 1 cached"],
    1: [],
}


@pytest.mark.parametrize("height", FOLDED)
def test_what_does_not_fit_is_folded_finished_tasks_first(height: int) -> None:
    *lines, status = shown(tree_of(RUNNING, RETRY), height=height)
    assert lines == FOLDED[height]
    assert status == "1 min 15 s · 2 of 4 slots · machine memory 3 of 16 GiB · ✗ 1  ✓ 11  ≡ 1"


def test_a_large_pipeline_shows_what_runs_what_failed_and_counts() -> None:
    tree = TaskTree()
    names = [f"task-{index}" for index in range(1000)]
    tree.apply([TaskReady(task(name), {}) for name in names], 0.0)
    tree.apply([fact for name in names[:500] for fact in (*started(name), *succeeded(name))], 0.0)
    tree.apply(started("task-500", "task-501"), 0.0)
    assert shown(tree, height=10) == [
        "… 500 more succeeded",
        "▸ task-500  5 s",
        "▸ task-501  5 s",
        "… 498 more ready",
        "1 min 15 s · 2 of 4 slots · machine memory 3 of 16 GiB · ✓ 500",
    ]


def test_many_running_tasks_of_a_loop_are_counted() -> None:
    tree = TaskTree()
    facts: list[Fact] = [LoopStarted(task("loop"), {}, (*range(100),))]
    tree.apply([*facts, *started(*(f"loop/{index}" for index in range(10)))], 0.0)
    assert shown(tree)[1:-1] == [
        "├ ▸ 0   5 s",
        "├ ▸ 1   5 s",
        "├ ▸ 2   5 s",
        "├ ▸ 3   5 s",
        "└ … 6 more running",
    ]


def test_requested_memory_is_labelled_as_such() -> None:
    tree = TaskTree()
    tree.apply([TaskReady(task("big"), {}, GIBIBYTE), *started("big")[1:]], 0.0)
    assert shown(tree)[-1] == "1 min 15 s · 1 of 4 slots · memory 1 of 8 GiB requested"


def test_the_frame_says_how_many_lines_of_a_task_it_shows() -> None:
    tree = tree_of(RUNNING)
    tails: dict[TaskRef, list[str]] = {task("prepare/step-2"): [f"line {number}" for number in range(9)]}
    for height, count in ((30, 4), (12, 2), (8, 0), (2, 0)):
        frame = lay_out(tree, tails, STATUS, 5.0, (80, height))
        lines = [line for line in text_of(frame.lines) if "line " in line]
        assert frame.tails.get(task("prepare/step-2"), 0) == len(lines) == count, height
        assert not lines or lines[-1].endswith("line 8")


@pytest.mark.parametrize("width", [1, 2, 3, 8, 20, 79, 160])
@pytest.mark.parametrize("height", [0, 1, 2, 3, 5, 40])
def test_no_line_is_too_wide_whatever_the_size(width: int, height: int) -> None:
    tails = {task("prepare/step-2"): ["日本語" * 50, "a" * 500]}
    for symbols in (UNICODE, ASCII):
        frame = lay_out(tree_of(RUNNING, RETRY[2:]), tails, STATUS, 5.0, (width, height), symbols)
        assert len(frame.lines) <= height
        assert all(cell_width(to_text(line, colored=False)) <= width for line in frame.lines)


def test_ascii_symbols_are_ascii() -> None:
    lines = lay_out(tree_of(RUNNING, RETRY), TAILS, STATUS, 5.0, (80, 24), ASCII).lines
    assert all(to_text(line, colored=False).isascii() for line in lines)
    assert symbols_for("ISO-8859-1") is ASCII
    assert symbols_for("UTF-8") is symbols_for("utf8") is UNICODE


def test_names_of_tasks_cannot_command_the_terminal() -> None:
    tree = TaskTree()
    tree.apply(started("a\x1b[2Jb\nc"), 0.0)
    assert shown(tree)[0] == "▸ ab c  5 s"


def test_text_is_cropped_by_columns() -> None:
    assert crop("abcdef", 4) == "abc…"
    assert crop("日本語", 5) == "日本…"
    assert crop("日本語", 4) == "日…"
    assert crop("e\u0301e\u0301", 2) == "e\u0301e\u0301"
    assert crop("abcdef", 2, "...") == ".."
    assert crop_line([Span("ab", "red"), Span("cdef"), Span("g")], 5) == [Span("ab", "red"), Span("cd…")]


def test_styles_are_codes_of_the_terminal() -> None:
    line = [Span("a", "bold red"), Span(""), Span("b")]
    assert to_text(line, colored=True) == "\x1b[1;31ma\x1b[0mb"
    assert to_text(line, colored=False) == "ab"
