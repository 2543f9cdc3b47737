"""The lineage of an artifact: what it was made of, by which task, which tasks used it, and what they made of it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from markupsafe import Markup

from standpipe.history import Artifact, Run, Task
from standpipe.model.frozen import frozen
from standpipe.ui.rendering import link
from standpipe.ui.views.charts.layers import Box, Edge, draw_layers
from standpipe.ui.views.previews import location_of

#: The most boxes in one column of the picture; the table below it has all.
_MOST_BOXES = 8


@frozen
class IndexedArtifact:
    """An artifact of a run: what identifies its payload, and the paths of the tasks that made it and used it."""

    location: str
    digest: str
    producer: str | None
    is_cached: bool
    consumers: tuple[str, ...]


@frozen
class IndexedRun:
    """The artifacts of a run."""

    run: str
    artifacts: tuple[IndexedArtifact, ...]


@frozen
class Search:
    """The runs that were searched, newest first, of so many that there are; `is_complete` unless a step is left."""

    runs: tuple[IndexedRun, ...]
    run_count: int
    is_complete: bool


@frozen
class Use:
    """A task that made or used an artifact.

    `is_cached` is whether it did not run, since the artifact was reused. `is_same_file` is whether its artifact was at
    the same location; otherwise only its content was the same.
    """

    run: str
    task: str
    is_cached: bool
    is_same_file: bool


@frozen
class Lineage:
    """What an artifact comes from and what it was used for.

    `inputs` and `outputs` are the artifacts of its own run that its producer used, and that its consumers made.
    `producers` and `consumers` are of all runs that were searched, those of its own run first.
    """

    inputs: tuple[Artifact, ...]
    producers: tuple[Use, ...]
    consumers: tuple[Use, ...]
    outputs: tuple[Artifact, ...]
    search: Search


def trace_lineage(run: Run, artifact: Artifact, search: Search) -> Lineage:
    """Return the lineage of an artifact.

    Args:
        run: its run.
        artifact: the artifact.
        search: the artifacts of other runs.
    """
    tasks = {task.path: task for task in run.all_tasks()}
    producer = tasks.get(artifact.producer or "")
    own_producers = [Use(run.id, producer.path, bool(producer.cached_from), is_same_file=True)] if producer else []
    own_consumers = [
        Use(run.id, path, bool(tasks[path].cached_from), is_same_file=True)
        for path in artifact.consumers
        if path in tasks
    ]
    producers, consumers = _find_uses(artifact, search)
    return Lineage(
        _distinct(_artifacts_in(producer) if producer else ()),
        (*own_producers, *producers),
        (*own_consumers, *consumers),
        _distinct(each for path in artifact.consumers if path in tasks for each in tasks[path].artifacts),
        search,
    )


def _find_uses(artifact: Artifact, search: Search) -> tuple[list[Use], list[Use]]:
    location, producers, consumers = location_of(artifact), [], []
    for indexed in search.runs:
        for other in indexed.artifacts:
            is_same_file = other.location == location
            if is_same_file or (artifact.digest and other.digest == artifact.digest):
                if other.producer:
                    producers.append(Use(indexed.run, other.producer, other.is_cached, is_same_file))
                consumers += [Use(indexed.run, task, False, is_same_file) for task in other.consumers]
    return producers, consumers


def _artifacts_in(task: Task) -> Iterator[Artifact]:
    for value in task.inputs.values():
        yield from (each for each in (value if isinstance(value, list) else [value]) if isinstance(each, Artifact))


def _distinct(artifacts: Iterable[Artifact]) -> tuple[Artifact, ...]:
    return tuple({location_of(artifact): artifact for artifact in artifacts}.values())


def draw_lineage(lineage: Lineage, run: str, artifact: Artifact) -> Markup:
    """Return a picture of a lineage, from left to right; boxes are links to the pages of tasks and artifacts.

    Args:
        lineage: the lineage.
        run: the id of the artifact's run.
        artifact: the artifact, in the middle.
    """
    middle = Box(artifact.name, _kind_of(artifact), "", "artifact current")
    columns = [
        _artifact_boxes(lineage.inputs, run),
        _task_boxes(lineage.producers, run),
        [middle],
        _task_boxes(lineage.consumers, run),
        _artifact_boxes(lineage.outputs, run),
    ]
    edges = [
        *(Edge(0, index, 0) for index in range(len(columns[0]))),
        *(Edge(1, index, 0, not use.is_same_file) for index, use in enumerate(lineage.producers[: len(columns[1])])),
        *(Edge(2, 0, index, not use.is_same_file) for index, use in enumerate(lineage.consumers[: len(columns[3])])),
        *_edges_to_outputs(lineage, run, len(columns[3]), len(columns[4])),
    ]
    return draw_layers(columns, edges, f"Lineage of {artifact.name}")


def _edges_to_outputs(lineage: Lineage, run: str, consumer_count: int, output_count: int) -> Iterator[Edge]:
    own = {use.task: index for index, use in enumerate(lineage.consumers[:consumer_count]) if use.run == run}
    for index, output in enumerate(lineage.outputs[:output_count]):
        if output.producer in own:
            yield Edge(3, own[output.producer], index)


def _task_boxes(uses: tuple[Use, ...], run: str) -> list[Box]:
    boxes = [
        Box(
            use.task.rpartition("/")[2],
            ("cached, " if use.is_cached else "") + ("this run" if use.run == run else use.run),
            link("runs", use.run, task=use.task),
            "task" if use.is_same_file else "task same-content",
            title=f"Task {use.task} of run {use.run}{'' if use.is_same_file else ': the same content, another file'}",
        )
        for use in uses
    ]
    return _limit(boxes)


def _artifact_boxes(artifacts: tuple[Artifact, ...], run: str) -> list[Box]:
    return _limit(
        [
            Box(each.name, _kind_of(each), link("runs", run, "artifact", uri=location_of(each)), "artifact")
            for each in artifacts
        ]
    )


def _kind_of(artifact: Artifact) -> str:
    return artifact.type.removeprefix("system.")


def _limit(boxes: list[Box]) -> list[Box]:
    hidden = len(boxes) - _MOST_BOXES
    return boxes if hidden <= 0 else [*boxes[:_MOST_BOXES], Box(f"{hidden:,} more", "", "", "more")]
