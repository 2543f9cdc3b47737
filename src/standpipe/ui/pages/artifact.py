"""The page of one artifact: what it is, what it contains, what it says about a model, and where it was used."""

from __future__ import annotations

from collections.abc import Mapping

from starlette.requests import Request
from starlette.responses import Response

from standpipe.history import Artifact, Run
from standpipe.ui.artifact_index import ArtifactIndex
from standpipe.ui.pages.page import respond, source_of
from standpipe.ui.payloads import NoSuchArtifact
from standpipe.ui.views.json_tree import json_tree
from standpipe.ui.views.lineage import draw_lineage, trace_lineage
from standpipe.ui.views.metrics import read_metrics
from standpipe.ui.views.previews import location_of, read_preview
from standpipe.ui.views.visualization import visualize


def show(request: Request) -> Response:
    """Answer with the page of an artifact, or of a file in it (`path`)."""
    source, query = source_of(request), request.query_params
    run = source.run(request.path_params["run"])
    artifact, inner = find_artifact(run, query), query.get("path", "")
    index: ArtifactIndex = request.app.state.artifacts
    lineage = trace_lineage(run, artifact, index.read(source, run.id))
    preview = read_preview(artifact, source.root, inner)
    return respond(
        request,
        "artifact.html",
        run=run,
        artifact=artifact,
        uri=location_of(artifact),
        inner=inner,
        preview=preview,
        scripts=query.get("scripts") == "1",
        is_changed=not inner and None not in (artifact.size, preview.size) and artifact.size != preview.size,
        visualization=visualize(read_metrics(artifact)),
        metadata=json_tree(dict(artifact.metadata)),
        registration=artifact.registration,
        lineage=lineage,
        lineage_chart=draw_lineage(lineage, run.id, artifact),
    )


def find_artifact(run: Run, query: Mapping[str, str]) -> Artifact:
    """Return the artifact that the query of an address names: by `uri`, or by `task`, `output` and `index`.

    Args:
        run: the run.
        query: `uri` is the location of the payload, and `task` the producer if several artifacts were there, one
            after the other. Without `uri`, `output` names the output of `task`, and `index` the item of a list.

    Raises:
        NoSuchArtifact: if the run has no such artifact.
    """
    uri, task = query.get("uri", ""), query.get("task", "")
    if uri:
        matches = [each for each in run.artifacts if uri in (location_of(each), each.uri)]
        matches.sort(key=lambda each: each.producer == task)
    else:
        matches = _outputs(run, task, query.get("output", ""), query.get("index", ""))
    if not matches:
        raise NoSuchArtifact(f"Run {run.id} has no artifact at this address. Its tasks may have been rerun.")
    return matches[-1]


def _outputs(run: Run, task: str, output: str, index: str) -> list[Artifact]:
    values = (each.outputs.get(output) for each in run.all_tasks() if each.path == task)
    value = next(values, None) if task else run.inputs.get(output)
    items = value if isinstance(value, list) else [value]
    number = int(index) if index.isdecimal() and len(index) < 10 else 0
    return [item for item in items[number : number + 1] if isinstance(item, Artifact)]
