"""The tab Logs: the log of an attempt, or those of all tasks one after the other, as lines with colors.

What a page shows of a log is read when it is made; `read_new_lines` continues it. Nothing reads a whole log at once.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path

from standpipe.errors import StandpipeError
from standpipe.history import Attempt, Run, Status, Task, log_files
from standpipe.history.log_files import describe_problem, describe_truncation
from standpipe.history.log_stream import list_attempts
from standpipe.ui.rendering import link
from standpipe.ui.views.ansi import Line, Style, parse_line, parse_lines
from standpipe.ui.views.log_records import (
    AttemptLink,
    Cursor,
    Followed,
    LogLine,
    LogQuery,
    LogsView,
    NewLines,
    Note,
    color_of,
)

#: How many attempts a page with several logs has, how many lines and bytes of each, and how many lines in all.
MAX_ATTEMPTS = 100
_MAX_LINES_OF_EACH = 200
_MAX_BYTES_OF_EACH = 64 * 1024
_MAX_LINES = 2000

#: The most lines that a search returns, and for how many seconds it reads logs.
MAX_MATCHES = 500
_SEARCH_SECONDS = 5.0


def read_logs(run: Run, query: LogQuery) -> LogsView:
    """Return the tab for a run.

    Args:
        run: the run.
        query: what the address asks for.

    Raises:
        NoSuchTask: if the run has no such task.
    """
    task = run.task(query.task) if query.task else None
    all_href = LogQuery(run.id, selected=query.selected).href if task else ""
    if task is not None and not task.children:
        return replace(_read_single(run, task, query), all_href=all_href)
    view = _read_several(run, task, query)
    return replace(view, all_href=all_href)


def read_new_lines(run: Run, cursor: Cursor) -> NewLines:
    """Return what was added to logs since a cursor.

    Args:
        run: the run as it is now.
        cursor: how far the logs were read.

    Raises:
        NoSuchTask: if the run has no such task.
    """
    pending = list(cursor.followed)
    known = cursor.known
    if known >= 0:
        attempts = list_attempts(run, run.task(cursor.scope) if cursor.scope else None)
        known = max(known, len(attempts))
        pending += [Followed(task.path, attempt.number) for task, attempt in attempts[cursor.known :][:MAX_ATTEMPTS]]
    lines: list[LogLine | Note] = []
    unfinished: list[LogLine] = []
    followed: list[Followed] = []
    for each in pending:
        if len(lines) > _MAX_LINES:
            followed.append(each)
            continue
        new, rest, after = _continue(run, each, is_single=known < 0)
        lines += new
        unfinished += rest
        followed += after
    may_grow = known >= 0 and run.status is Status.RUNNING
    after_all = Cursor(cursor.scope, known, tuple(followed)).encode() if followed or may_grow else ""
    return NewLines(tuple(lines), tuple(unfinished), after_all, has_more=len(lines) > _MAX_LINES)


def find_attempt(task: Task, number: int | None) -> Attempt | None:
    """Return an attempt of a task, by default the last one; None if there is none of that number."""
    return next((each for each in reversed(task.attempts) if number in (None, each.number)), None)


# --- one log ----------------------------------------------------------------------------------------------------------


def _read_single(run: Run, task: Task, query: LogQuery) -> LogsView:
    attempt = find_attempt(task, query.attempt)
    links = [
        AttemptLink(each.number, each.status.value, replace(query, attempt=each.number, end=None).href, each is attempt)
        for each in task.attempts
    ]
    view = LogsView(query, is_single=True, attempts=tuple(links) if len(links) > 1 else ())
    view = replace(view, shown_attempt=attempt.number if attempt else None)
    if attempt is None:
        problem, href = _explain_absence(task, query)
        return replace(view, problem=problem, problem_href=href)
    try:
        if query.search:
            return _search_single(view, attempt, run.folder.parent)
        return _read_piece(view, task, attempt, run.folder.parent)
    except (OSError, StandpipeError) as error:
        will_come = isinstance(error, FileNotFoundError) and attempt.status is Status.RUNNING
        start = Followed(task.path, attempt.number, line=1)
        cursor = Cursor(followed=(start,)).encode() if will_come and not query.search else ""
        return replace(view, problem=describe_problem(error, attempt), cursor=cursor)


def _read_piece(view: LogsView, task: Task, attempt: Attempt, root: Path) -> LogsView:
    query = view.query
    piece = log_files.read_tail(attempt.log, root, end=query.end)
    before = log_files.count_lines(attempt.log, root, piece.start)
    parsed, style = parse_lines(piece.lines, Style())
    lines = [_numbered(spans, before, index) for index, spans in enumerate(parsed, 1)]
    is_running = attempt.status is Status.RUNNING
    rest = [_numbered(parse_line(piece.rest, style)[0], before, len(lines) + 1)] if piece.rest else []
    is_end = query.end is None or query.end >= piece.size
    truncation = describe_truncation(attempt, piece.size)
    notes = [Note(truncation)] if is_end and truncation else []
    next_line = None if before is None else before + len(lines) + 1
    here = Followed(task.path, attempt.number, piece.end, piece.stop, style.code, next_line)
    return replace(
        view,
        lines=tuple(lines if is_running and is_end else [*lines, *rest, *notes]),
        unfinished=tuple(rest if is_running and is_end else ()),
        cursor=Cursor(followed=(here,)).encode() if is_running and is_end else "",
        earlier=replace(query, end=piece.start).href if piece.start else "",
        later="" if is_end else replace(query, end=None).href,
        size=piece.size,
    )


def _numbered(spans: Line, before: int | None, index: int) -> LogLine:
    return LogLine(spans, None if before is None else before + index)


def _search_single(view: LogsView, attempt: Attempt, root: Path) -> LogsView:
    until = time.monotonic() + _SEARCH_SECONDS
    matches, has_more = log_files.search(attempt.log, root, view.query.search, MAX_MATCHES, until)
    lines = [
        LogLine(
            parse_line(match.text)[0],
            match.number,
            href=replace(view.query, search="", end=match.end).href,
        )
        for match in matches
    ]
    return replace(view, lines=tuple(lines), has_more_matches=has_more)


def _explain_absence(task: Task, query: LogQuery) -> tuple[str, str]:
    """Return why a task has no log, and the address of the log of the task that it was cached from."""
    if query.attempt is not None and task.attempts:
        return f"There was no attempt {query.attempt}.", ""
    if task.cached_from:
        run, _, path = task.cached_from.partition("/")
        return f"Nothing ran: the outputs were cached from {task.cached_from}.", link(
            "runs", run, tab="logs", task=path
        )
    reasons = {
        Status.READY: "It waits: it has not started yet.",
        Status.SKIPPED: f"It was skipped: {task.skip_reason}",
        Status.CANCELLED: "It was cancelled before it started.",
    }
    return reasons.get(task.status, "It has no log."), ""


# --- several logs -----------------------------------------------------------------------------------------------------


def _read_several(run: Run, group: Task | None, query: LogQuery) -> LogsView:
    attempts = list_attempts(run, group)
    if query.search:
        return _search_several(run, query, attempts)
    last = len(attempts) if query.before is None else min(query.before, len(attempts))
    first, shown = last, []
    lines_left = _MAX_LINES
    followed: list[Followed] = []
    unfinished: list[LogLine] = []
    while first > max(0, last - MAX_ATTEMPTS) and lines_left > 0:
        first -= 1
        lines, rest, follow = _read_end(run, query, *attempts[first], most=min(_MAX_LINES_OF_EACH, lines_left))
        shown.append(lines)
        unfinished[:0] = rest
        followed[:0] = follow
        lines_left -= len(lines)
    is_end = last == len(attempts)
    grows = is_end and (bool(followed) or run.status is Status.RUNNING)
    cursor = Cursor(group.path if group else "", len(attempts), tuple(followed)).encode() if grows else ""
    return LogsView(
        query,
        is_single=False,
        lines=tuple(line for lines in reversed(shown) for line in lines),
        unfinished=tuple(unfinished if is_end else ()),
        problem="" if attempts else "No task has started yet." if run.status is Status.RUNNING else "No task ran.",
        cursor=cursor,
        earlier=replace(query, before=first).href if first else "",
        later="" if is_end else replace(query, before=None).href,
    )


def _read_end(
    run: Run, query: LogQuery, task: Task, attempt: Attempt, *, most: int
) -> tuple[list[LogLine | Note], list[LogLine], list[Followed]]:
    """Return the last lines of one of several logs, the one that has no end yet, and where it continues."""
    color, of_task = color_of(task.path), LogQuery(query.run, task.path, attempt.number, selected=query.selected)
    is_running = attempt.status is Status.RUNNING
    start = [Followed(task.path, attempt.number)] if is_running else []
    if attempt.log_bytes == 0:
        return [], [], start
    try:
        piece = log_files.read_tail(attempt.log, run.folder.parent, most=most, most_bytes=_MAX_BYTES_OF_EACH)
    except (OSError, StandpipeError) as error:
        if is_running and isinstance(error, FileNotFoundError):
            return [], [], start
        return [Note(describe_problem(error, attempt), task.path, color)], [], []
    parsed, style = parse_lines(piece.lines, Style())
    lines: list[LogLine | Note] = [LogLine(spans, None, task.path, color) for spans in parsed]
    rest = [LogLine(parse_line(piece.rest, style)[0], None, task.path, color)] if piece.rest else []
    if piece.start:
        lines.insert(0, Note("Earlier lines are on the page of this task.", task.path, color, of_task.href))
    if not is_running:
        return [*lines, *rest], [], []
    return lines, rest, [Followed(task.path, attempt.number, piece.end, piece.stop, style.code)]


def _search_several(run: Run, query: LogQuery, attempts: Sequence[tuple[Task, Attempt]]) -> LogsView:
    lines: list[LogLine | Note] = []
    has_more, until = False, time.monotonic() + _SEARCH_SECONDS
    for task, attempt in attempts:
        if attempt.log_bytes == 0:
            continue
        try:
            matches, has_more = log_files.search(
                attempt.log, run.folder.parent, query.search, MAX_MATCHES - len(lines), until
            )
        except (OSError, StandpipeError):
            continue  # the page without the search says why
        of_task = LogQuery(query.run, task.path, attempt.number, selected=query.selected)
        lines += (_match(match, task.path, of_task) for match in matches)
        if has_more:
            break
    return LogsView(query, is_single=False, lines=tuple(lines), has_more_matches=has_more)


def _match(match: log_files.Match, path: str, of_task: LogQuery) -> LogLine:
    return LogLine(parse_line(match.text)[0], match.number, path, color_of(path), replace(of_task, end=match.end).href)


def _continue(
    run: Run, followed: Followed, *, is_single: bool
) -> tuple[list[LogLine | Note], Iterable[LogLine], list[Followed]]:
    """Return the new lines of a log, the one that has no end yet, and where it continues."""
    attempt = find_attempt(run.task(followed.task), followed.attempt)
    if attempt is None:
        return [], [], []
    path, color = ("", 0) if is_single else (followed.task, color_of(followed.task))
    has_ended = attempt.status is not Status.RUNNING
    try:
        piece = log_files.read_on(attempt.log, run.folder.parent, followed.offset)
    except FileNotFoundError:
        return [], [], [] if has_ended else [followed]
    except (OSError, StandpipeError) as error:
        return [Note(describe_problem(error, attempt), path, color)], [], []
    parsed, style = parse_lines(piece.lines, Style().after(followed.style))
    first = followed.line
    lines = [LogLine(spans, first and first + at, path, color) for at, spans in enumerate(parsed)]
    next_line = first and first + len(lines)
    rest = [LogLine(parse_line(piece.rest, style)[0], next_line, path, color)] if piece.rest else []
    if has_ended and piece.stop >= piece.size:
        return [*lines, *rest], [], []
    return [*lines], rest, [Followed(followed.task, followed.attempt, piece.end, piece.stop, style.code, next_line)]
