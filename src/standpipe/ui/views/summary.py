"""A run as Markdown, for the summary of a CI job or a comment: state, tasks, metrics, failures."""

from __future__ import annotations

import html
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence

from standpipe.history import Run
from standpipe.history.records import Value, format_time
from standpipe.support.durations import format_duration
from standpipe.support.terminal_text import strip_controls
from standpipe.ui.views.changes import value_text
from standpipe.ui.views.charts import format_number
from standpipe.ui.views.metrics import read_metrics
from standpipe.ui.views.report import FailedTask, failed_tasks, show_failure
from standpipe.ui.views.states import LABELS, count_states
from standpipe.ui.views.task_differences import parameters_in
from standpipe.ui.views.task_rows import TaskRow, list_tasks

#: The first line, which says what the file is.
MARK = "<!-- standpipe report -->"

#: The most bytes of a summary: GitHub refuses one of more than 1 MiB.
MAX_SIZE = 1_000_000

#: The most failures, rows of a table, characters of a cell, and of the text of a failure.
_MAX_FAILURES = 100
_MAX_ROWS = 300
_MAX_CELL = 300
_MAX_TEXT = 10_000

_CUT = "\n_The rest does not fit. `standpipe report` shows all of it._\n"

#: What is markup in Markdown within a line, and what begins the number of an issue or a formula on GitHub.
_SPECIAL = re.compile(r"([\\`*_\[\]#|~$])")
_SIGNS = {
    "SUCCEEDED": "✅",
    "CACHED": "✅",
    "FAILED": "❌",
    "RUNNING": "🔄",
    "READY": "⏳",
    "SKIPPED": "⏭️",
    "CANCELLED": "🛑",
    "INTERRUPTED": "⚡",
}


def make_summary(run: Run, *, max_size: int = MAX_SIZE) -> str:
    """Return the summary.

    Args:
        run: the run.
        max_size: the most bytes; what does not fit is left out, and said.

    Raises:
        StorageError: if its facts cannot be read.
    """
    text, size = "", 0
    for part in map(strip_controls, _parts(run)):
        size += len(part.encode(errors="replace"))
        if size > max_size - len(_CUT):
            return text + _CUT
        text += part
    return text


def _parts(run: Run) -> Iterator[str]:
    """Yield parts, each of which is whole."""
    yield f"{MARK}\n## {_headline(run)}\n\n"
    counts = ", ".join(f"{each.count} {each.label.lower()}" for each in count_states(run.all_tasks()))
    started = format_time(run.started or run.created)
    yield f"{_code(run.id)}, started {started}{f': {counts}' if counts else ''}\n"
    if run.stop_reason:
        yield f"\nThe run was stopped: {escape(run.stop_reason)}.\n"
    failed = failed_tasks(run)
    if failed:
        yield f"\n### Failures\n\n{len(failed)} {'task' if len(failed) == 1 else 'tasks'} failed.\n"
    yield from (_failure(show_failure(task)) for task in failed[:_MAX_FAILURES])
    if len(failed) > _MAX_FAILURES:
        yield f"\nand {len(failed) - _MAX_FAILURES} more failures\n"
    yield from _table("Tasks", ("Task", "State", "Duration", "Note"), map(_task, list_tasks(run.tasks)))
    yield from _table("Metrics", ("Task", "Metric", "Value"), _metrics(run))
    yield from _table("Outputs", ("Output", "Value"), _values(parameters_in(run.outputs)))
    yield from _table("Parameters", ("Parameter", "Value"), _values(run.inputs))


def _headline(run: Run) -> str:
    duration = "" if run.duration is None else f" in {format_duration(run.duration)}"
    return f"{_SIGNS[run.status.value]} {escape(run.pipeline)} {LABELS[run.status.value].lower()}{duration}"


def _failure(failure: FailedTask) -> str:
    details = "\n\n".join(_shorten(part) for part in (failure.traceback or failure.log, failure.hint) if part)
    title = " ".join(_cell(f"{failure.path}: {failure.message}").split())  # Markdown does not look into that line
    text = f"\n<details><summary>❌ {html.escape(title)}</summary>\n\n"
    text += f"{_fenced(_shorten(failure.message))}\n" + (f"{_fenced(details)}\n" if details else "")
    if failure.rerun_command:
        text += f"Run it again:\n\n{_fenced(failure.rerun_command)}\n"
    return text + "</details>\n"


def _table(title: str, heads: Sequence[str], rows: Iterable[Sequence[str]]) -> Iterator[str]:
    """Yield a table row by row; nothing if it has no rows."""
    number = 0
    for number, row in enumerate(rows, 1):
        if number == 1:
            yield f"\n### {title}\n\n| {' | '.join(heads)} |\n|{' --- |' * len(heads)}\n| {' | '.join(row)} |\n"
        elif number <= _MAX_ROWS:
            yield f"| {' | '.join(row)} |\n"
    if number > _MAX_ROWS:
        yield f"\nand {number - _MAX_ROWS} more\n"


def _task(row: TaskRow) -> tuple[str, ...]:
    name = "&emsp;" * row.depth + escape(_cell(row.name))
    if not row.path:
        return name, "", "", ""
    state = f"{_SIGNS[row.state]} {row.label}" + (f", attempt {row.attempts}" if row.attempts > 1 else "")
    return name, state, "" if row.seconds is None else format_duration(row.seconds), escape(_cell(row.note))


def _metrics(run: Run) -> Iterator[tuple[str, ...]]:
    for artifact in run.artifacts:
        metrics = read_metrics(artifact)
        numbers = {scalar.name: scalar.value for scalar in metrics.scalars}
        if metrics.matrix and metrics.matrix.accuracy is not None:
            numbers["accuracy (confusion matrix)"] = metrics.matrix.accuracy
        if metrics.curve and metrics.curve.auc is not None:
            numbers["AUC (ROC curve)"] = metrics.curve.auc
        for name, value in numbers.items():
            yield escape(_cell(artifact.producer or "")), escape(_cell(name)), format_number(value)


def _values(values: Mapping[str, Value]) -> Iterator[tuple[str, ...]]:
    return ((escape(_cell(name)), _code(_cell(value_text(value)))) for name, value in values.items())


def escape(text: str) -> str:
    r"""Return a text in one line in which nothing is markup, a link or a mention.

    >>> escape("a|b <img> *c* @d\n#1")
    'a\\|b &lt;img&gt; \\*c\\* &#64;d \\#1'
    """
    line = " ".join(text.split()).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return _SPECIAL.sub(r"\\\1", line).replace("@", "&#64;")


def _code(text: str) -> str:
    """Return a text in one line as code; in a table, a bar ends a cell even there."""
    line = " ".join(text.split())
    return f"<code>{escape(line)}</code>" if line else ""


def _fenced(text: str) -> str:
    """Return lines as code, in a fence that is longer than any in it."""
    longest = max((len(ticks) for ticks in re.findall("`+", text)), default=0)
    fence = "`" * max(3, longest + 1)
    return f"{fence}text\n{text}\n{fence}\n"


def _cell(text: str) -> str:
    return text if len(text) <= _MAX_CELL else f"{text[:_MAX_CELL]}…"


def _shorten(text: str) -> str:
    """Return the end of a long text, where a traceback says what happened."""
    return text if len(text) <= _MAX_TEXT else f"…{text[-_MAX_TEXT:]}"
