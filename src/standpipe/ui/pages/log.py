"""The log of an attempt as text, and what was added to logs since a page was made."""

from __future__ import annotations

import time
from itertools import chain

import anyio
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response, StreamingResponse

from standpipe.errors import NoSuchTask, StandpipeError
from standpipe.model.layout import file_name
from standpipe.ui import log_files
from standpipe.ui.pages.page import number_in, source_of
from standpipe.ui.rendering import render
from standpipe.ui.views.log_records import Cursor, NewLines
from standpipe.ui.views.logs import describe_problem, find_attempt, read_new_lines

#: For how many seconds a request waits for new lines, and how often it looks for them.
_PATIENCE = 15.0
_INTERVAL = 0.25


def show(request: Request) -> Response:
    """Answer with the log of an attempt from a byte on, or with the whole of it as a file."""
    run = source_of(request).run(request.path_params["run"])
    query = request.query_params
    try:
        task = run.task(query.get("task", ""))
    except NoSuchTask as error:
        return PlainTextResponse(f"{error}\n", 404)
    attempt = find_attempt(task, number_in(query, "attempt"))
    if attempt is None:
        return PlainTextResponse(f"Task {task.path!r} has no log.\n", 404)
    try:
        if "download" in query:
            name = f"{file_name(run.id)}-{file_name(task.path)}-{attempt.number}.txt"
            headers = {"Content-Disposition": f'attachment; filename="{name}"'}
            pieces = log_files.read_bytes(attempt.log, run.folder.parent)
            begin = next(pieces, b"")  # opens the log: nothing can be said once the answer has begun
            return StreamingResponse(chain((begin,), pieces), media_type="text/plain; charset=utf-8", headers=headers)
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
        new = await run_in_threadpool(_read, request, cursor)
        is_over = request.app.state.live.is_closed or time.monotonic() > deadline or await request.is_disconnected()
        if new.lines or new.cursor != text or is_over:
            return JSONResponse(await run_in_threadpool(_document, new))
        await anyio.sleep(_INTERVAL)


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
