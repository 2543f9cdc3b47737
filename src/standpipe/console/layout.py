"""The lines that show a tree of tasks, for a width and a height. It is pure: nothing here knows of a terminal."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from standpipe.console.folding import Fold, Row, Shown, find_rows
from standpipe.console.nodes import Loop, Node, State
from standpipe.console.status_line import STATE_STYLES, Status, status_line
from standpipe.console.styled import UNICODE, Line, Span, Symbols, cell_width, crop, crop_line
from standpipe.console.tree import TaskTree
from standpipe.model.refs import TaskRef
from standpipe.support.durations import format_duration
from standpipe.support.terminal_text import strip_controls

#: The most lines of a task's output below it, and for how many of them other tasks are folded.
MAX_TAIL = 4
_USUAL_TAIL = 2

#: The most columns of names, and those of a loop's bar.
_MAX_NAME = 40
_MAX_BAR = 24


class Frame(NamedTuple):
    """The lines of a display, and of each task how many of its last lines are among them."""

    lines: list[Line]
    tails: dict[TaskRef, int]


def lay_out(
    tree: TaskTree,
    tails: Mapping[TaskRef, Sequence[str]],
    status: Status,
    now: float,
    size: tuple[int, int],
    symbols: Symbols = UNICODE,
) -> Frame:
    """Return the display of a run in progress.

    Args:
        tree: its tasks.
        tails: by task, the lines that it has printed last.
        status: what the last line says.
        now: the time, by the clock of the tree.
        size: the columns and the lines that there are.
        symbols: the characters to use.
    """
    width, height = size
    most = max(0, height - 1)  # the last line is the status
    wanted = sum(min(len(tails.get(task, ())), _USUAL_TAIL) for task in tree.running)
    rows = find_rows(tree.root, tree.size, most, min(wanted, most // 2))
    shown = _share(rows, tails, most - len(rows))
    lines = _tree_lines(rows, shown, now, width, symbols)
    if height > 0:
        lines.append(crop_line(status_line(tree, status, width, symbols), width, symbols.omission))
    return Frame(lines, {task: len(tail) for task, tail in shown.items()})


def lay_out_end(tree: TaskTree, now: float, size: tuple[int, int], symbols: Symbols = UNICODE) -> list[Line]:
    """Return the tree of a run that has ended; arguments as those of `lay_out`."""
    width, height = size
    return _tree_lines(find_rows(tree.root, tree.size, height), {}, now, width, symbols)


def _share(rows: Sequence[Shown], tails: Mapping[TaskRef, Sequence[str]], lines: int) -> dict[TaskRef, Sequence[str]]:
    """Return the last lines of tasks that fit, one line for each task in turn."""
    present = [row.node.ref for row in rows if isinstance(row, Row) and tails.get(row.node.ref)]
    lengths = dict.fromkeys(present, 0)
    for _ in range(MAX_TAIL):
        for task in present:
            if lines > 0 and lengths[task] < len(tails[task]):
                lengths[task] += 1
                lines -= 1
    return {task: list(tails[task])[-length:] for task, length in lengths.items() if length}


# --- rows -------------------------------------------------------------------------------------------------------------


def _tree_lines(
    rows: Sequence[Shown], tails: Mapping[TaskRef, Sequence[str]], now: float, width: int, symbols: Symbols
) -> list[Line]:
    lines: list[Line] = []
    labels = [_label(row, symbols) for row in rows]
    guides = list(_guides([row.depth for row in rows], symbols))
    column = _column(rows, guides, labels, width)
    for row, (guide, below), label in zip(rows, guides, labels, strict=True):
        lines.append(crop_line(_row_line(row, guide, label, column, now, width, symbols), width, symbols.omission))
        if isinstance(row, Row):
            indent = below + (symbols.line if row.node.active else "  ")
            lines += (
                crop_line(
                    (Span(f"{indent}  ", "dim"), Span(strip_controls(text).expandtabs(4), "dim")),
                    width,
                    symbols.omission,
                )
                for text in tails.get(row.node.ref, ())
            )
    return lines


def _guides(depths: Sequence[int], symbols: Symbols) -> Iterator[tuple[str, str]]:
    """Yield, for each row, the lines of the tree before it, and before what belongs to it."""
    guides: list[tuple[str, str]] = []
    continued: set[int] = set()  # the depths that have another row below
    for depth in reversed(depths):
        outer = "".join(symbols.line if level in continued else "  " for level in range(1, depth))
        is_continued = depth in continued
        own = (symbols.branch if is_continued else symbols.last_branch) if depth else ""
        rest = (symbols.line if is_continued else "  ") if depth else ""
        guides.append((outer + own, outer + rest))
        continued = {level for level in continued if level < depth} | {depth}
    return reversed(guides)


def _label(row: Shown, symbols: Symbols) -> str:
    if isinstance(row, Fold):
        return ""
    return crop(strip_controls(row.node.name).replace("\n", " "), _MAX_NAME, symbols.omission)


def _column(rows: Sequence[Shown], guides: Sequence[tuple[str, str]], labels: Sequence[str], width: int) -> int:
    """Return the column at which what follows the names begins."""
    named = zip(rows, guides, labels, strict=True)
    longest = max((cell_width(guide) + 2 + cell_width(label) for row, (guide, _), label in named), default=0)
    return min(longest + 2, max(8, width // 2))


def _row_line(
    row: Shown, guide: str, label: str, column: int, now: float, width: int, symbols: Symbols
) -> Iterator[Span]:
    yield Span(guide, "dim")
    if isinstance(row, Fold):
        yield Span(_describe_fold(row, symbols), "dim")
        return
    node, used = row.node, cell_width(guide) + 2
    yield Span(f"{symbols.of(node.state)} ", STATE_STYLES[node.state])
    name = crop(label, max(1, column - used - 1), symbols.omission)
    yield Span(name + " " * max(1, column - used - cell_width(name)), "dim" if node.state is State.PENDING else "")
    if isinstance(node, Loop):
        yield from _describe_loop(node, width - column, symbols)
    details = [text for text in (_describe_time(node, now), _describe_state(node, now)) if text]
    yield Span("  ".join(details), "red" if node.state is State.FAILED else "dim")


def _describe_fold(fold: Fold, symbols: Symbols) -> str:
    counts = [f"{fold.counts[state]} {state.value}" for state in State if fold.counts[state] > 0]
    if len(counts) == 1:
        return f"{symbols.omission} {counts[0].replace(' ', ' more ', 1)}"
    return f"{symbols.omission} {sum(fold.counts.values())} more: {', '.join(counts)}"


def _describe_loop(loop: Loop, width: int, symbols: Symbols) -> Iterator[Span]:
    """Yield a bar and the counts of a loop: `━━━──── 12/40, 1 failed`."""
    finished, failed = loop.finished, loop.counts[State.FAILED]
    bar = min(_MAX_BAR, width - 40)
    if bar >= 4 and loop.total:
        full = finished * bar // loop.total
        yield Span(symbols.full * full, "red" if failed else "green")
        yield Span(symbols.empty * (bar - full) + " ", "dim")
    yield Span(f"{finished}/{loop.total}")
    if failed:
        yield Span(f", {failed} failed", "red")
    if skipped := loop.counts[State.SKIPPED]:
        yield Span(f", {skipped} skipped", "yellow")
    yield Span("  ")


def _describe_time(node: Node, now: float) -> str:
    """Return how long a task has taken; for one that runs, in whole seconds."""
    if node.started is None or node.state is State.CACHED:
        return ""
    if node.ended is not None:
        return format_duration(node.ended - node.started)
    return format_duration(int(now - node.started)) if node.state is State.RUNNING else ""


def _describe_state(node: Node, now: float) -> str:
    if node.state is State.CACHED:
        return "cached"
    if node.state is State.RETRYING:
        seconds = int(max(0.0, node.due - now) + 0.999)
        when = f"in {format_duration(seconds)}" if seconds else "waits for a slot"
        return f"attempt {node.attempt} of {node.max_attempts} {when}"
    if node.state is State.RUNNING and node.attempt > 1:
        return f"attempt {node.attempt} of {node.max_attempts}" if node.max_attempts > 1 else f"attempt {node.attempt}"
    if node.state is State.READY:
        return "waits for a slot"
    if node.state in (State.SKIPPED, State.FAILED):
        return strip_controls(node.note).replace("\n", " ")
    return ""
