"""Actions on runs: stop, resume, rerun a task, delete; and the page of a command that was started."""

from __future__ import annotations

import time
from urllib.parse import SplitResult, urlsplit

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from standpipe.errors import ArgumentError
from standpipe.history import Run, Status
from standpipe.model.frozen import frozen
from standpipe.runners.api import flags
from standpipe.store.deletion import find_users
from standpipe.support.disk_usage import folder_size
from standpipe.ui.actions import Started, find, start
from standpipe.ui.pages.errors import Refused
from standpipe.ui.pages.page import respond, source_of
from standpipe.ui.rendering import link
from standpipe.ui.security import form_of

#: Seconds for which a page waits for the command that it has started: long enough to see most mistakes.
_PATIENCE = 5.0

#: How many runs one click resumes, each in a process of its own.
_MAX_RESUMED = 10


@frozen
class DeletableRun:
    """A run that the user may delete. `size` is that of its folder on the disk, in bytes."""

    run: Run
    size: int


def stop(request: Request) -> Response:
    """Request the cancellation of runs, as `standpipe cancel` does; a second request cancels their exit tasks, too."""
    runs = _runs(request)
    cancelled = [run.cancel() for run in runs]
    if not any(cancelled):
        names = ", ".join(run.id for run in runs)
        raise Refused(f"There is nothing to stop: {names} {'is' if len(runs) == 1 else 'are'} not in progress here.")
    return _to(_page_of(request, runs[0])) if len(runs) == 1 else _to_list(request)


def resume(request: Request) -> Response:
    """Resume runs, each in a process of its own.

    Raises:
        Refused: if some of them have failed at once.
    """
    runs = _runs(request)
    if len(runs) > _MAX_RESUMED:
        raise ArgumentError(f"{len(runs)} runs are selected: expected at most {_MAX_RESUMED} to resume at a time.")
    started = [start(source_of(request).root, "resume", *_flags(request), run.id) for run in runs]
    if len(started) == 1:
        return answer(started[0], page=_page_of(request, runs[0]))
    deadline = time.monotonic() + _PATIENCE
    for each in started:
        each.wait(max(0.0, deadline - time.monotonic()))
    failed = [each for each in started if each.is_over and each.exit_code() and not each.run_id()]
    if failed:
        details = "\n\n".join(f"{each.command}\n{each.tail()}" for each in failed)
        raise Refused(f"{len(failed)} of {len(runs)} runs could not be resumed.", details)
    return _to_list(request)


def rerun(request: Request) -> Response:
    """Rerun a task, as a new run, in a process of its own."""
    [run], path = _runs(request), _field(request, "task")
    if not path:
        raise ArgumentError("The form names no task. Select a task of the run, and rerun it from its side panel.")
    return answer(start(source_of(request).root, "rerun", *_flags(request), run.id, run.task(path).path))


def ask_to_delete(request: Request) -> Response:
    """Answer with what is deleted, and how large it is, for the user to confirm."""
    root = source_of(request).root
    runs = {run.id: run for run in _runs(request)}
    sizes = [DeletableRun(run, folder_size(run.folder)) for run in runs.values()]
    users = dict.fromkeys(user for run in runs for user in find_users(root, run) if user not in runs)
    return respond(
        request,
        "delete.html",
        runs=sizes,
        size=sum(each.size for each in sizes),
        active=[run.id for run in runs.values() if run.status is Status.RUNNING and not run.is_pulled],
        users=list(users),
    )


def delete(request: Request) -> Response:
    """Delete runs in a process of its own."""
    force = ["--force"] if _field(request, "force") else []
    return answer(start(source_of(request).root, "delete", *force, "--", *(run.id for run in _runs(request))))


def show(request: Request) -> Response:
    """Answer with a command that was started: whether it is in progress, and what it has printed."""
    started = find(source_of(request).root, request.path_params["action"])
    if started is None:
        raise HTTPException(404)
    run, code = started.run_id(), started.exit_code()
    if run and not started.is_over:
        return _to(link("runs", run))
    if not started.is_over:
        heading, text = "In progress", "The command has started. This page shows when it has ended."
    elif code:
        heading, text = "The command failed", f"Its exit code is {code}. The end of what it printed says why."
    else:
        heading, text = "The command has ended", "This is what it printed."
    return respond(
        request,
        "action.html",
        heading=heading,
        text=text,
        line=started.command,
        log=started.tail(),
        run=run,
        is_over=started.is_over,
    )


def answer(started: Started, where: str = "/", page: str = "") -> Response:
    """Wait a moment for a command, and lead to the run that it has started, or to its own page if it takes longer.

    Args:
        started: the command.
        where: the address that its success leads to if it starts no run.
        page: the address of the page of its run, if that is not the first tab.

    Raises:
        Refused: if it has failed without starting a run.
    """
    started.wait(_PATIENCE)
    run, code = started.run_id(), started.exit_code()
    if run:
        return _to(page or link("runs", run))
    if code:
        raise Refused(f"The command `{started.command}` failed.", started.tail())
    return _to(link("actions", started.name) if code is None else where)


def _runs(request: Request) -> list[Run]:
    """Return the runs that the path, the form or the query names, each once."""
    source, path = source_of(request), request.path_params
    fields = form_of(request).get("run", []) if request.method == "POST" else request.query_params.getlist("run")
    names = [path["run"]] if "run" in path else fields
    if not names:
        raise ArgumentError("No run is named. Select runs in the list first.")
    return list({run.id: run for run in map(source.run, dict.fromkeys(names))}.values())


def _field(request: Request, name: str) -> str:
    return next(iter(form_of(request).get(name, [])), "")


def _flags(request: Request) -> list[str]:
    """Return the flags of a run that a form asks for: only where tasks run, and whether the cache is used."""
    runner = _field(request, "runner")
    if runner and runner not in flags():
        raise ArgumentError(f"Unknown runner {runner!r}: expected one of {', '.join(flags())}.")
    return [*(["--runner", runner] if runner else []), *(["--cache"] if _field(request, "cache") else [])]


def _page_of(request: Request, run: Run) -> str:
    """Return the address of the page of a run, with the tab and the task that the user was at."""
    page, referrer = link("runs", run.id), _referrer(request)
    return f"{page}?{referrer.query}" if referrer.path == page and referrer.query else page


def _to_list(request: Request) -> Response:
    """Lead back to the list, with the filters that it had."""
    referrer = _referrer(request)
    return _to(f"/?{referrer.query}" if referrer.path == "/" and referrer.query else "/")


def _referrer(request: Request) -> SplitResult:
    """Return the address of the page that the request comes from; an empty one if it is not known."""
    try:
        return urlsplit(request.headers.get("referer", ""))
    except ValueError:
        return urlsplit("")


def _to(address: str) -> Response:
    return RedirectResponse(address, 303)
