"""The page that shows runs side by side."""

from __future__ import annotations

from collections.abc import Sequence

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from standpipe.errors import NoSuchRun
from standpipe.ui.pages.page import respond, source_of
from standpipe.ui.rendering import link
from standpipe.ui.source import RunSource
from standpipe.ui.views.compare import MAX_RUNS, Comparison, compare
from standpipe.ui.views.differences import RecordedRun
from standpipe.ui.views.previews import Preview, read_preview

#: The most runs that can be chosen from a list, the newest ones.
_MAX_CHOICES = 200


def show(request: Request) -> Response:
    """Answer with the comparison of the runs in the address, or with a list to choose them from.

    The first run is the one that the others are compared with. The list of runs asks for the oldest one.
    """
    source = source_of(request)
    requested = list(dict.fromkeys(request.query_params.getlist("run")))
    if request.query_params.get("order") == "start":
        positions = {run.id: number for number, run in enumerate(source.runs())}
        oldest_first = sorted(requested, key=lambda run: -positions.get(run, -1))
        return RedirectResponse(link("compare", run=oldest_first), 303)
    recorded, problems = _read(source, requested[:MAX_RUNS])
    if len(requested) > MAX_RUNS:
        problems.append(f"At most {MAX_RUNS} runs are compared: {len(requested) - MAX_RUNS} are left out.")
    only_differences = request.query_params.get("only") == "differences"
    view = compare(recorded, only_differences=only_differences) if len(recorded) > 1 else None
    chosen = [each.run.id for each in recorded]
    return respond(
        request,
        "compare.html",
        chosen=chosen,
        choices=[run for run in source.runs() if run.id not in chosen][:_MAX_CHOICES],
        problems=problems,
        only_differences=only_differences,
        max_runs=MAX_RUNS,
        view=view,
        previews=_read_previews(view, source),
    )


def _read(source: RunSource, names: Sequence[str]) -> tuple[list[RecordedRun], list[str]]:
    """Return the runs that there are, each once, and a sentence for each of the others."""
    recorded: dict[str, RecordedRun] = {}
    problems = []
    for name in names:
        try:
            run = source.run(name)
            recorded[run.id] = RecordedRun(run, source.plan(run))
        except NoSuchRun as error:
            problems.append(str(error))
    return list(recorded.values()), problems


def _read_previews(view: Comparison | None, source: RunSource) -> dict[tuple[str, tuple[str, str]], Preview]:
    """Return the previews of documents, by the id of their run and the key of their artifact."""
    documents = (*view.markdown, *view.html) if view else ()
    located = [pair for each in documents for pair in each.artifacts]
    return {
        (column.id, each.key): read_preview(each.artifact, source.root) for column, each in located if each is not None
    }
