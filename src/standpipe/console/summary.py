"""The last lines of a run on a terminal: what became of its tasks, where things are, and the next command."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from standpipe.console.messages import describe_end
from standpipe.console.status_line import count_words
from standpipe.console.styled import Line, Span
from standpipe.console.tree import TaskTree
from standpipe.model.events import RunEnded
from standpipe.model.refs import RunInfo
from standpipe.model.states import TaskState
from standpipe.support.shell_commands import standpipe_command

_STYLES = {TaskState.SUCCEEDED: "bold green", TaskState.FAILED: "bold red", TaskState.CANCELLED: "bold yellow"}


def summarize(
    run: RunInfo,
    folder: str,
    tree: TaskTree,
    end: RunEnded,
    seconds: float,
    earlier: float,
    flags: Sequence[str] = (),
    next_command: str = "",
    *,
    has_report: bool = False,
) -> Iterator[Line]:
    """Yield the lines of a summary.

    Args:
        run: the run.
        folder: its folder.
        tree: its tasks.
        end: its end.
        seconds: for how long it was in progress since it was started, or last resumed.
        earlier: for how long it was in progress before it was last resumed, in seconds.
        flags: those with which commands set its options.
        next_command: the command that comes next, for a run that is not in the run store.
        has_report: whether an error report follows that says how to resume the run, with the code as it is then.
    """
    yield [Span(describe_end(end, seconds, earlier), _STYLES[end.state])]
    counts = list(count_words(tree))
    if counts:
        separated = [(Span(", "), Span(text, style)) for text, style in counts]
        yield [Span("  tasks  ", "dim"), *[span for pair in separated for span in pair][1:]]
    yield [Span("  files  ", "dim"), Span(folder)]
    if not has_report:
        yield [Span("  next   ", "dim"), Span(next_command or _next_command(run, end, flags))]


def _next_command(run: RunInfo, end: RunEnded, flags: Sequence[str]) -> str:
    """Return the command that is most likely to come next: to see the run or its first failure, or to resume it."""
    if end.state is TaskState.CANCELLED:
        return standpipe_command("resume", run.pipeline_root, run.id, flags=flags)
    failed = next((str(fact.task) for fact in end.failures if fact.task.path), "")
    return standpipe_command("show", run.pipeline_root, run.id, *filter(None, [failed]))
