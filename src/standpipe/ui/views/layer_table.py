"""A layer as a table: the iterations of a loop, or the tasks of a layer that is too large to be drawn."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator

from standpipe.history import Artifact, Task
from standpipe.history.records import first_line
from standpipe.model.frozen import frozen
from standpipe.support.properties import cached_property
from standpipe.ui.views.graph import list_counts
from standpipe.ui.views.layers import Crumb, Layer, Member
from standpipe.ui.views.states import PENDING, StateCount, state_of, urgency

#: How many rows a page has.
ROWS = 100

#: The most characters of an item that are shown.
_MAX_ITEM_LENGTH = 120


@frozen
class LayerRow:
    """An iteration or task. `layer` is the layer that it opens, empty if it opens none; `note` says why it failed."""

    task: str
    name: str
    item: str
    state: str
    duration: float | None
    layer: str
    note: str


@frozen
class LayerTable:
    """A page of the rows of a layer, those that need attention first.

    `counts` are those of all rows, `state` is the one that the rows are filtered by, empty for all. Pages count from 1.
    """

    layer: str
    crumbs: tuple[Crumb, ...]
    is_loop: bool
    rows: tuple[LayerRow, ...]
    counts: tuple[StateCount, ...]
    state: str
    total: int
    page: int

    @property
    def pages(self) -> int:
        """How many pages there are."""
        return max(1, -(-self.total // ROWS))

    @property
    def first(self) -> int:
        """The number of the first row, from 1; 0 if there is none."""
        return (self.page - 1) * ROWS + 1 if self.total else 0

    @property
    def last(self) -> int:
        """The number of the last row."""
        return min(self.page * ROWS, self.total)

    @cached_property
    def has_items(self) -> bool:
        """Whether any row has an item."""
        return any(row.item for row in self.rows)


def tabulate_layer(layer: Layer, state: str = "", page: int | None = 1, selected: str = "") -> LayerTable:
    """Return a page of the rows of a layer.

    Args:
        layer: the layer.
        state: the state of the rows to show; all if it is empty.
        page: the number of the page, from 1. The nearest one is shown if there is no such page, and that of the
            selected task if it is None.
        selected: the path of the selected task.
    """
    keys = [key for key in _keys(layer) if state in ("", key[0])]
    keys.sort(key=lambda key: urgency(key[0]))  # stable, so that equal ones stay in their order
    if page is None:
        name = selected.removeprefix(f"{layer.path}/" if layer.path else "")
        page = next((number for number, key in enumerate(keys) if str(key[1]) == name), 0) // ROWS + 1
    page = max(1, min(page, -(-len(keys) // ROWS)))
    shown = keys[(page - 1) * ROWS : page * ROWS]
    return LayerTable(
        layer=layer.path,
        crumbs=layer.crumbs,
        is_loop=layer.is_loop,
        rows=tuple(_row(layer, name) for _, name in shown),
        counts=list_counts(layer.count_states()),
        state=state,
        total=len(keys),
        page=page,
    )


def describe_item(task: Task | None) -> str:
    """Return the item of an iteration as a short text; empty if the run has not reached it."""
    if task is None or task.iteration is None:
        return ""
    if isinstance(task.item, Artifact):
        return task.item.name
    text = json.dumps(task.item, ensure_ascii=False, default=str)
    return text if len(text) <= _MAX_ITEM_LENGTH else f"{text[:_MAX_ITEM_LENGTH]}…"


def _keys(layer: Layer) -> Iterable[tuple[str, str | int]]:
    """Return the state and the name of each row; making a member of each of 10,000 iterations would take longer."""
    if not layer.is_loop:
        return [(member.state, name) for name, member in layer.members.items()]
    return _keys_of_iterations(layer)


def _keys_of_iterations(layer: Layer) -> Iterator[tuple[str, int]]:
    iterations = layer.iterations
    for number in range(layer.member.count_iterations()):
        task = iterations.get(number)
        yield state_of(task) if task else PENDING, number


def _row(layer: Layer, name: str | int) -> LayerRow:
    member = layer.iteration(name) if isinstance(name, int) else layer.members[name]
    return LayerRow(
        task=member.path,
        name=member.title,
        item=describe_item(member.task),
        state=member.state,
        duration=member.task.duration if member.task else None,
        layer=member.path if member.is_group else "",
        note=_explain(member),
    )


def _explain(member: Member) -> str:
    task = member.task
    if task is None:
        return ""
    return first_line(task.failure.message) if task.failure else task.skip_reason
