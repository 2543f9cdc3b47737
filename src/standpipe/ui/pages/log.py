"""Logs as text, of one attempt or of several, and what was added to logs since a page was made."""

from __future__ import annotations

import time
from collections.abc import Iterator
from itertools import chain

import anyio
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response, StreamingResponse

from standpipe.errors import NoSuchTask, StandpipeError
from standpipe.history import Attempt, Run, Task, log_files
from standpipe.history.log_files import describe_problem
from standpipe.history.log_stream import list_attempts
from standpipe.model.layout import file_name
from standpipe.ui.live import in_thread
from standpipe.ui.pages.page import number_in, source_of
from standpipe.ui.rendering import render
from standpipe.ui.views.log_records import Cursor, NewLines
from standpipe.ui.views.logs import find_attempt, read_new_lines

#: For how many seconds a request waits for new lines, and how often it looks for them.
_PATIENCE = 15.0
_INTERVAL = 0.25


def show(request: Request) -> Response:
    """Answer with the log of an attempt from a byte on, or with the whole of it, or of several, as a file."""
    run = source_of(request).run(request.path_params["run"])
    query = request.query_params
    if "download" in query and not query.get("task"):
        return _download(run, None)
    try:
        task = run.task(query.get("task", ""))
    except NoSuchTask as error:
        return PlainTextResponse(f"{error}\n", 404)
    if "download" in query and task.children:
        return _download(run, task)
    attempt = find_attempt(task, number_in(query, "attempt"))
    if attempt is None:
        return PlainTextResponse(f"Task {task.path!r} has no log.\n", 404)
    try:
        if "download" in query:
            pieces = log_files.read_bytes(attempt.log, run.folder.parent)
            begin = next(pieces, b"")  # opens the log: nothing can be said once the answer has begun
            return _file(chain((begin,), pieces), run.id, task.path, str(attempt.number))
        piece = log_files.read_on(attempt.log, run.folder.parent, number_in(query, "offset") or 0)
    except (OSError, StandpipeError) as error:
        return PlainTextResponse(f"{describe_problem(error, attempt)}\n", 404)
    text = "".join(f"{line}\n" for line in piece.lines)
    headers = {"X-Next-Offset": str(piece.end), "X-Size": str(piece.size)}
    return PlainTextResponse(text, headers=headers)


async def follow(request: Request) -> Response:
    """Answer with the lines that were added to logs since a cursor, as soon as there are any."""
    text = request.query_params.get("cursor", "")
    try:
        cursor = Cursor.decode(text)
    except ValueError as error:
        return PlainTextResponse(f"Invalid cursor: {error}.\n", 400)
    deadline = time.monotonic() + _PATIENCE
    while True:
        new = await in_thread(_read, request, cursor)
        is_over = request.app.state.live.is_closed or time.monotonic() > deadline or await request.is_disconnected()
        if new.lines or new.cursor != text or is_over:
            return JSONResponse(await in_thread(_document, new))
        await anyio.sleep(_INTERVAL)


def _download(run: Run, group: Task | None) -> Response:
    """Answer with the logs of all attempts, or those in a group, as one file."""
    return _file(_merge(run, list_attempts(run, group)), run.id, *([group.path] if group else []))


def _merge(run: Run, attempts: list[tuple[Task, Attempt]]) -> Iterator[bytes]:
    """Yield logs one after the other, each below a line that says whose it is, or why it cannot be read."""
    for task, attempt in attempts:
        last = b"\n"
        yield f"==> {task.path}, attempt {attempt.number} <==\n".encode(errors="replace")
        try:
            for last in log_files.read_bytes(attempt.log, run.folder.parent):
                yield last
        except (OSError, StandpipeError) as error:
            yield f"{describe_problem(error, attempt)}\n".encode(errors="replace")
        yield b"\n" if last.endswith(b"\n") else b"\n\n"


def _file(pieces: Iterator[bytes], *names: str) -> Response:
    name = "-".join(map(file_name, names))
    headers = {"Content-Disposition": f'attachment; filename="{name}.txt"'}
    return StreamingResponse(pieces, media_type="text/plain; charset=utf-8", headers=headers)


def _read(request: Request, cursor: Cursor) -> NewLines:
    try:
        return read_new_lines(source_of(request).run(request.path_params["run"]), cursor)
    except StandpipeError:  # the run was deleted, or a task of it is gone after a resume
        return NewLines((), (), "")


def _document(new: NewLines) -> dict[str, object]:
    return {
        "html": render("run/log_lines.html", {"lines": new.lines}),
        "unfinished": render("run/log_lines.html", {"lines": new.unfinished}),
        "cursor": new.cursor,
        "has_more": new.has_more,
    }
