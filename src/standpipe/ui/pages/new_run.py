"""The page on which a new run is started: of a compiled file, or of the pipeline of an earlier run."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from standpipe.errors import ArgumentError, StandpipeError
from standpipe.history import Run
from standpipe.history.queries import has_lost_secrets
from standpipe.model.frozen import field, frozen
from standpipe.model.plan import Plan
from standpipe.runners.api import default_flag, flags
from standpipe.ui import actions
from standpipe.ui.compiled_files import compiled_file, find_compiled_files, read_compiled_file
from standpipe.ui.pages.page import respond, source_of
from standpipe.ui.rendering import link
from standpipe.ui.security import form_of
from standpipe.ui.source import RunSource
from standpipe.ui.views.new_run import PREFIX, Earlier, make_fields, parse_fields

#: How many seconds the page waits for a run to start before it leads to the page of the command.
_PATIENCE = 5.0

#: How many pipelines of earlier runs the page offers.
_MAX_PIPELINES = 20

_NO_PLAN = (
    "Run {} was recorded by an older Standpipe, which did not store pipelines. Choose a compiled file, or start the "
    "script of the pipeline."
)
_SECRETS = (
    "The pipeline of run {} holds secrets, which the run store does not keep. Choose a compiled file, or start the "
    "script of the pipeline."
)


@frozen
class _Origin:
    """What a new run is made of: a compiled file, or the pipeline of a run; the other one is empty."""

    plan: Plan
    file: str = ""
    run: str = ""
    earlier: Earlier = field(default_factory=Earlier)


@frozen
class _Problem:
    """Why a run was not started. `details` are what its command printed."""

    text: str
    details: str = ""


def show(request: Request) -> Response:
    """Answer with the form for a file (`?file=`) or for the pipeline of a run (`?run=`), or with what there is."""
    query = request.query_params
    file, run = query.get("file", "").strip(), query.get("run", "")
    if not file and not run:
        return _choose(request)
    try:
        origin = _find_origin(source_of(request), file, run)
    except StandpipeError as error:
        return _choose(request, file, _Problem(str(error)))
    return _ask(request, origin, _options(request.query_params))


def start(request: Request) -> Response:
    """Start a run with the arguments of the form, or answer with the form and what is wrong in it."""
    form = {name: values[-1] for name, values in form_of(request).items()}
    source, file = source_of(request), form.get("file", "")
    try:
        origin = _find_origin(source, file, form.get("run", ""))
    except StandpipeError as error:
        return _choose(request, file, _Problem(str(error)))
    texts = {name.removeprefix(PREFIX): text for name, text in form.items() if name.startswith(PREFIX)}
    arguments, errors = parse_fields(origin.plan.root.inputs, texts, origin.earlier)
    options = _options(form)
    if errors:
        return _ask(request, origin, options, texts, errors)
    pipeline = compiled_file(Path.cwd(), origin.file) if origin.file else origin.plan
    try:
        started = actions.start_new_run(source.root, pipeline, arguments, options=_flags(options))
    except StandpipeError as error:
        return _ask(request, origin, options, texts, problem=_Problem(str(error)))
    started.wait(_PATIENCE)
    if run := started.run_id():
        return RedirectResponse(link("runs", run), 303)
    if started.is_over:
        problem = _Problem("The run could not be started.", started.tail())
        return _ask(request, origin, options, texts, problem=problem)
    return RedirectResponse(link("actions", started.name), 303)


def _find_origin(source: RunSource, file: str, run: str) -> _Origin:
    """Return what a new run is made of.

    Raises:
        StandpipeError: if there is no such file or run, or its pipeline is not known.
    """
    if file:
        return _Origin(read_compiled_file(Path.cwd(), file), file)
    if not run:
        raise ArgumentError("Choose a compiled file, or the pipeline of an earlier run.")
    record = source.run(run)
    plan = source.plan(record)
    if plan is None:
        raise ArgumentError(_NO_PLAN.format(record.id))
    if has_lost_secrets(source.root, record.id, plan):
        raise ArgumentError(_SECRETS.format(record.id))
    redacted = [name for name, value in record.inputs.items() if has_lost_secrets(source.root, record.id, value)]
    return _Origin(plan, run=record.id, earlier=Earlier(record.inputs, redacted))


def _choose(request: Request, file: str = "", problem: _Problem | None = None) -> Response:
    """Answer with the files and pipelines that there are."""
    source, folder = source_of(request), Path.cwd()
    return respond(
        request,
        "new_run.html",
        422 if problem else 200,
        origin=None,
        files=find_compiled_files(folder),
        folder=os.fspath(folder),
        runs=_newest_of_each_pipeline(source.runs()),
        file=file,
        problem=problem,
    )


def _ask(
    request: Request,
    origin: _Origin,
    options: Mapping[str, str],
    texts: Mapping[str, str] | None = None,
    errors: Mapping[str, str] | None = None,
    problem: _Problem | None = None,
) -> Response:
    """Answer with the form."""
    fields = make_fields(origin.plan.root.inputs, origin.earlier, texts, errors)
    return respond(
        request,
        "new_run.html",
        422 if errors or problem else 200,
        origin=origin,
        plan=origin.plan,
        fields=fields,
        wrong=[each for each in fields if each.error],
        runners=flags(),
        options=options,
        problem=problem,
    )


def _options(values: Mapping[str, str]) -> dict[str, str]:
    """Return the options that a form or an address has, which are valid ones."""
    runner = values.get("runner", "")
    return {
        "runner": runner if runner in flags() else default_flag(),
        "cache": "1" if values.get("cache") else "",
        "no_venv": "1" if values.get("no_venv") else "",
    }


def _flags(options: Mapping[str, str]) -> list[str]:
    """Return the flags of `standpipe run` for the options."""
    cache = ["--cache"] if options["cache"] else []
    is_process = options["runner"] == default_flag()
    return [f"--runner={options['runner']}", *cache, *(["--no-venv"] if options["no_venv"] and is_process else [])]


def _newest_of_each_pipeline(runs: list[Run]) -> list[Run]:
    newest: dict[str, Run] = {}
    for run in runs:
        if not run.rerun_of:
            newest.setdefault(run.pipeline, run)
    return [*newest.values()][:_MAX_PIPELINES]
