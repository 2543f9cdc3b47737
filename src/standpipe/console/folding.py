"""The rows of a tree that fit into a number of lines: of the others, only counts are shown."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import Union

from standpipe.console.nodes import ACTIVE, FINISHED, WAITING, Loop, Node, State
from standpipe.model.frozen import field, frozen

#: How many times the lines that there are a tree may have nodes before only a part of them is looked at.
_LARGE = 2

#: The most tasks of a loop that are shown below it, and the most failed tasks of a large group.
_MAX_IN_LOOP = 4
_MAX_FAILED = 20


@frozen
class Row:
    """A node, with its depth in the tree. `is_in_loop` is whether it is shown below a loop that it runs in."""

    node: Node
    depth: int
    is_in_loop: bool = False


@frozen
class Fold:
    """Nodes of a group that are not shown: how many, by their states."""

    depth: int
    counts: Counter[State] = field(default_factory=Counter)


Shown = Union[Row, Fold]


def find_rows(root: Node, size: int, lines: int, reserve: int = 0) -> list[Shown]:
    """Return the rows of a tree that fit into a number of lines.

    Tasks that have succeeded or were skipped are folded first, then those that wait, those that run in loops, other
    running ones, and failed ones. What does not fit even so is one last fold.

    Args:
        root: the root of the tree, which has no row.
        size: the number of its nodes.
        lines: how many rows there may be.
        reserve: how many lines less there should be, if that needs no folding of tasks that run.
    """
    if lines <= 0:
        return []
    rows = list(_walk(root, 0, None if size <= _LARGE * lines else lines))
    rows = _fold(rows, lines, reserve)
    if len(rows) > lines:
        rest = sum((_counts_of(row) for row in rows[lines - 1 :]), Counter())
        rows = [*rows[: lines - 1], Fold(0, rest)]
    return rows


def _walk(group: Node, depth: int, limit: int | None) -> Iterator[Shown]:
    """Yield the rows of a group; those of a large one are what failed and what runs, and folds of the rest."""
    if limit is None or len(group.children) <= limit:
        shown = list(group.children.values())
    else:
        shown = [*islice(group.failed, _MAX_FAILED), *islice(group.active, limit)]
    rest = group.counts - Counter(node.state for node in shown)
    if finished := _only(rest, FINISHED):
        yield Fold(depth, finished)
    for node in shown:
        yield Row(node, depth)
        if isinstance(node, Loop):
            yield from _walk_loop(node, depth + 1)
        elif node.children and (node.state in ACTIVE or node.state is State.FAILED):
            yield from _walk(node, depth + 1, limit)
    if others := rest - finished:
        yield Fold(depth, others)


def _walk_loop(loop: Loop, depth: int) -> Iterator[Shown]:
    """Yield rows of what runs in a loop: tasks, and loops in it."""
    for node in islice(loop.active, _MAX_IN_LOOP):
        yield Row(node, depth, is_in_loop=True)
        if isinstance(node, Loop):
            yield from _walk_loop(node, depth + 1)
    if (hidden := len(loop.active) - _MAX_IN_LOOP) > 0:
        yield Fold(depth, Counter({State.RUNNING: hidden}))


def _only(counts: Counter[State], states: frozenset[State]) -> Counter[State]:
    return Counter({state: count for state, count in counts.items() if state in states and count > 0})


def _counts_of(row: Shown) -> Counter[State]:
    return row.counts if isinstance(row, Fold) else Counter((row.node.state,))


def _fold(rows: Sequence[Shown], lines: int, reserve: int) -> list[Shown]:
    """Return rows of which as many are folded as must be, and can be; what runs is not folded for the reserve."""
    folds: dict[tuple[int, str], tuple[int, Fold]] = {}  # each with the index of the row whose line it takes
    folded: set[int] = set()
    count = len(rows)
    for index, row, kind in _order(rows):
        if count <= lines - (reserve if kind in ("finished", "waiting") else 0):
            continue
        key = (id(row.node.parent), kind)
        count -= 1 if key in folds else 0
        _, fold = folds.setdefault(key, (index, Fold(row.depth)))
        fold.counts[row.node.state] += 1
        folded.add(index)
    shown = {index: fold for index, fold in folds.values() if sum(fold.counts.values()) > 1}
    alone = {index for index, _ in folds.values()} - shown.keys()  # a fold of one row saves no line
    kept = (shown.get(index, row) for index, row in enumerate(rows) if index not in folded - shown.keys() - alone)
    return list(_merge(kept))


def _order(rows: Sequence[Shown]) -> Iterator[tuple[int, Row, str]]:
    """Yield the rows that may be folded, the least important first, with their indices and the kind of their fold."""
    leaves = [
        (index, row) for index, row in enumerate(rows) if isinstance(row, Row) and not _has_rows_below(rows, index)
    ]

    def select(states: Iterable[State], *, is_in_loop: bool = False) -> list[tuple[int, Row]]:
        return [each for each in leaves if each[1].node.state in states and each[1].is_in_loop is is_in_loop]

    yield from ((index, row, "finished") for index, row in select(FINISHED))
    yield from ((index, row, "waiting") for index, row in reversed(select(WAITING)))
    yield from ((index, row, "active") for index, row in reversed(select(ACTIVE, is_in_loop=True)))
    yield from ((index, row, "active") for index, row in reversed(select(ACTIVE)))
    yield from ((index, row, "failed") for index, row in reversed(select((State.FAILED,))))


def _has_rows_below(rows: Sequence[Shown], index: int) -> bool:
    return index + 1 < len(rows) and rows[index + 1].depth > rows[index].depth


def _merge(rows: Iterable[Shown]) -> Iterator[Shown]:
    """Yield rows, with one fold for those that follow each other at the same depth."""
    last: Fold | None = None
    for row in rows:
        if isinstance(row, Fold) and last is not None and last.depth == row.depth:
            last.counts.update(row.counts)
            continue
        last = row if isinstance(row, Fold) else None
        yield row
