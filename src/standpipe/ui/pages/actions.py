"""Actions on runs: stop, resume, rerun a task, delete; and the page of a command that was started."""

from __future__ import annotations

from dataclasses import dataclass

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from standpipe.errors import ArgumentError
from standpipe.history import Run, Status
from standpipe.model.layout import StateLayout
from standpipe.runners.api import flags
from standpipe.runs.deletion import folder_size
from standpipe.store.deletion import find_users
from standpipe.ui.actions import Started, find, start
from standpipe.ui.pages.errors import Refused
from standpipe.ui.pages.page import respond, source_of
from standpipe.ui.rendering import link
from standpipe.ui.security import form_of

#: Seconds for which a page waits for the command that it has started: long enough to see most mistakes.
_PATIENCE = 5.0


@dataclass(frozen=True)
class DeletableRun:
    """A run that the user may delete. `size` is that of its folder on the disk, in bytes."""

    run: Run
    size: int


def stop(request: Request) -> Response:
    """Request the cancellation of a run, as `standpipe cancel` does; a second request cancels its exit tasks, too."""
    run = _run(request)
    if not run.cancel():
        raise Refused(f"Run {run.id} is not in progress, so there is nothing to stop.")
    return _to(link("runs", run.id))


def resume(request: Request) -> Response:
    """Resume a run in a process of its own."""
    run = _run(request)
    return answer(start(source_of(request).root, "resume", *_flags(request), run.id))


def rerun(request: Request) -> Response:
    """Rerun a task, as a new run, in a process of its own."""
    run, path = _run(request), _field(request, "task")
    if not path:
        raise ArgumentError("The form names no task. Select a task of the run, and rerun it from its side panel.")
    return answer(start(source_of(request).root, "rerun", *_flags(request), run.id, run.task(path).path))


def ask_to_delete(request: Request) -> Response:
    """Answer with what is deleted, and how large it is, for the user to confirm."""
    source = source_of(request)
    names = [request.path_params["run"]] if "run" in request.path_params else request.query_params.getlist("run")
    if not names:
        raise ArgumentError("The address names no run. Select runs in the list, and delete them there.")
    runs = {run.id: run for run in map(source.run, names)}
    layout = StateLayout(source.root)
    sizes = [DeletableRun(run, folder_size(layout.run_folder(run.id))) for run in runs.values()]
    users = dict.fromkeys(user for run in runs for user in find_users(source.root, run) if user not in runs)
    return respond(
        request,
        "delete.html",
        runs=sizes,
        size=sum(each.size for each in sizes),
        active=[run.id for run in runs.values() if run.status is Status.RUNNING],
        users=list(users),
    )


def delete(request: Request) -> Response:
    """Delete runs in a process of its own."""
    source = source_of(request)
    names = [request.path_params["run"]] if "run" in request.path_params else form_of(request).get("run", [])
    if not names:
        raise ArgumentError("The form names no run. Select runs in the list, and delete them there.")
    force = ["--force"] if _field(request, "force") else []
    started = start(source.root, "delete", *force, "--", *(source.run(name).id for name in names))
    return answer(started)


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


def answer(started: Started, where: str = "/") -> Response:
    """Wait a moment for a command, and lead to the run that it has started, or to its own page if it takes longer.

    Args:
        started: the command.
        where: the address that its success leads to if it starts no run.

    Raises:
        Refused: if it has failed without starting a run.
    """
    started.wait(_PATIENCE)
    run, code = started.run_id(), started.exit_code()
    if run:
        return _to(link("runs", run))
    if code:
        raise Refused(f"The command `{started.command}` failed.", started.tail())
    return _to(link("actions", started.name) if code is None else where)


def _run(request: Request) -> Run:
    return source_of(request).run(request.path_params["run"])


def _field(request: Request, name: str) -> str:
    return next(iter(form_of(request).get(name, [])), "")


def _flags(request: Request) -> list[str]:
    """Return the flags of a run that a form asks for: only where tasks run, and whether the cache is used."""
    runner = _field(request, "runner")
    if runner and runner not in flags():
        raise ArgumentError(f"Unknown runner {runner!r}: expected one of {', '.join(flags())}.")
    return [*(["--runner", runner] if runner else []), *(["--cache"] if _field(request, "cache") else [])]


def _to(address: str) -> Response:
    return RedirectResponse(address, 303)
