"""A run as events of OpenLineage (2-0-2), made with the classes of `openlineage-python`.

The pipeline and each task are jobs, which runs share; a run and each execution of a task in it are runs of these jobs.
Artifacts are datasets. The id of the run of a task is what the task itself knows as `{{$.pipeline_task_uuid}}`.
"""

from __future__ import annotations

import os
import time
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import datetime, timezone
from pathlib import Path
from urllib.parse import urlsplit

from openlineage.client import OpenLineageClient
from openlineage.client.event_v2 import InputDataset, Job, OutputDataset, Run, RunEvent, RunState
from openlineage.client.facet_v2 import (
    DatasetFacet,
    JobFacet,
    OutputDatasetFacet,
    RunFacet,
    dataset_type_dataset,
    dataset_version_dataset,
    error_message_run,
    execution_parameters_run,
    job_type_job,
    output_statistics_output_dataset,
    parent_run,
    processing_engine_run,
    tags_run,
)
from openlineage.client.serde import Serde
from openlineage.client.transport.console import ConsoleTransport

import standpipe
from standpipe.errors import ArgumentError
from standpipe.history.records import Artifact, Status, Value
from standpipe.history.run import Run as RunRecord
from standpipe.history.task import Task
from standpipe.model.frozen import frozen
from standpipe.model.values import shorten, to_text
from standpipe.store.reading import run_row

_PRODUCER = f"https://github.com/standpipe/standpipe/tree/v{standpipe.__version__}"

#: The states of runs that have ended.
_ENDS = {Status.SUCCEEDED: RunState.COMPLETE, Status.FAILED: RunState.FAIL, Status.CANCELLED: RunState.ABORT}

#: The seconds between two looks at a run in progress, and the part of the time that they may take.
_INTERVAL, _SHARE = 1.0, 0.1

#: The most characters of a parameter.
_MAX_VALUE = 10_000


@frozen
class Execution:
    """The pipeline or a task in one run: the job, the id of its run, what it is a part of, and what is known of it."""

    job: Job
    run_id: str
    parent: Execution | None
    record: RunRecord | Task

    @property
    def root(self) -> Execution:
        return self.parent.root if self.parent else self


def make_events(run: RunRecord) -> list[RunEvent]:
    """Return the events of a run, in the order of their times.

    Args:
        run: the run. Of one that is in progress, events are missing.

    Raises:
        StorageError: if the run store cannot be read.
    """
    namespace = os.environ.get("OPENLINEAGE_NAMESPACE") or "standpipe"
    row = run_row(run.folder.parent, run.id)
    run_id = row.uuid or str(uuid.uuid5(uuid.NAMESPACE_URL, f"standpipe:{run.id}"))  # the first stores have none
    root = Execution(_make_job(namespace, run.pipeline, "PIPELINE"), run_id, None, run)
    executions = [root, *_find_executions(root, run.tasks)]
    starts = [event for execution in executions for event in _make_start(execution)]
    ends = [event for execution in reversed(executions) for event in _make_end(execution)]
    # At the same time, a run starts before its tasks, and ends after them.
    return sorted([*starts, *ends], key=lambda event: event.eventTime)


def follow_events(run: RunRecord, sleep: Callable[[float], object] = time.sleep) -> Iterator[RunEvent]:
    """Yield the events of a run as they happen, until it has ended; those that have happened already at once.

    Args:
        run: the run.
        sleep: waits, in seconds.

    Raises:
        StorageError: if the run store cannot be read.
        NoSuchRun: if the run is deleted meanwhile.
    """
    known: set[tuple[str, RunState | None]] = set()
    while True:
        began, is_over = time.monotonic(), run.status is not Status.RUNNING
        for event in make_events(run):
            if (event.run.runId, event.eventType) not in known:
                known.add((event.run.runId, event.eventType))
                yield event
        if is_over:
            return
        sleep(max(_INTERVAL, (time.monotonic() - began) / _SHARE))
        run = run.refresh()


def to_json(event: RunEvent) -> str:
    """Return an event as one line of JSON."""
    return Serde.to_json(event)


def send(events: Iterable[RunEvent]) -> int:
    """Send events as the variables and the file of OpenLineage's client say, and return how many there were.

    They are `OPENLINEAGE_URL` and `openlineage.yml`.

    Raises:
        ArgumentError: if they name no destination.
    """
    client = OpenLineageClient()
    try:
        if client.transport.kind == ConsoleTransport.kind:  # the default, which only logs
            raise ArgumentError("The events have no destination: set OPENLINEAGE_URL, or write openlineage.yml.")
        count = 0
        for event in events:
            client.emit(event)
            count += 1
        return count
    finally:
        client.close()


def _find_executions(parent: Execution, tasks: tuple[Task, ...]) -> Iterator[Execution]:
    """Yield the tasks that have started. An iteration of several tasks is none: they belong to the loop."""
    for task in tasks:
        is_iteration = task.iteration is not None and bool(task.children)
        if is_iteration:
            yield from _find_executions(parent, task.children)
        elif task.started is not None:
            name = ".".join((parent.root.job.name, *(step for step in task.path.split("/") if not step.isdigit())))
            job = _make_job(parent.job.namespace, name, "DAG" if task.children else "TASK")
            execution = Execution(job, str(uuid.uuid5(uuid.UUID(parent.root.run_id), task.path)), parent, task)
            yield execution
            yield from _find_executions(execution, task.children)


def _make_job(namespace: str, name: str, kind: str) -> Job:
    facets: dict[str, JobFacet] = {
        "jobType": job_type_job.JobTypeJobFacet(
            processingType="BATCH", integration="STANDPIPE", jobType=kind, producer=_PRODUCER
        )
    }
    return Job(namespace=namespace, name=name, facets=facets)


def _make_start(execution: Execution) -> Iterator[RunEvent]:
    if times := [*_find_starts(execution.record)]:
        yield _make_event(execution, RunState.START, min(times))


def _find_starts(record: RunRecord | Task) -> Iterator[datetime]:
    """Yield when a run or a task, and the tasks in it, started: their attempts may, just before that is recorded."""
    if record.started is not None:
        yield record.started
        for task in record.children if isinstance(record, Task) else record.tasks:
            yield from _find_starts(task)


def _make_end(execution: Execution) -> Iterator[RunEvent]:
    record = execution.record
    if record.status in _ENDS and record.ended is not None:
        yield _make_event(execution, _ENDS[record.status], record.ended)


def _make_event(execution: Execution, state: RunState, at: datetime) -> RunEvent:
    is_end = state is not RunState.START
    return RunEvent(
        eventTime=at.astimezone(timezone.utc).isoformat(timespec="microseconds"),
        producer=_PRODUCER,
        run=Run(runId=execution.run_id, facets={**_facets(execution), **(_error(execution.record) if is_end else {})}),
        job=execution.job,
        eventType=state,
        inputs=[_make_input(artifact) for artifact in _artifacts(execution.record.inputs)],
        outputs=[_make_output(artifact) for artifact in _artifacts(execution.record.outputs)] if is_end else [],
    )


# --- facets of runs ---------------------------------------------------------------------------------------------------


def _facets(execution: Execution) -> dict[str, RunFacet]:
    facets: dict[str, RunFacet] = {
        "processing_engine": processing_engine_run.ProcessingEngineRunFacet(
            version=standpipe.__version__, name="standpipe", producer=_PRODUCER
        )
    }
    if execution.parent:
        facets["parent"] = _make_parent(execution.parent)
    if parameters := [*_parameters(execution.record.inputs)]:
        facets["executionParameters"] = execution_parameters_run.ExecutionParametersRunFacet(
            parameters=parameters, producer=_PRODUCER
        )
    tags = [tags_run.TagsRunFacetFields(key, value, "STANDPIPE") for key, value in _tags(execution).items()]
    return {**facets, "tags": tags_run.TagsRunFacet(tags=tags, producer=_PRODUCER)}


def _make_parent(parent: Execution) -> parent_run.ParentRunFacet:
    root = parent.root
    return parent_run.ParentRunFacet(
        run=parent_run.Run(runId=parent.run_id),
        job=parent_run.Job(namespace=parent.job.namespace, name=parent.job.name),
        root=parent_run.Root(
            run=parent_run.RootRun(runId=root.run_id),
            job=parent_run.RootJob(namespace=root.job.namespace, name=root.job.name),
        ),
        producer=_PRODUCER,
    )


def _parameters(inputs: Mapping[str, Value]) -> Iterator[execution_parameters_run.ExecutionParameter]:
    for name, value in inputs.items():
        if value is not None and not [*_artifacts({name: value})]:
            text = shorten(to_text(value), _MAX_VALUE)
            yield execution_parameters_run.ExecutionParameter(key=name, name=name, value=text)


def _tags(execution: Execution) -> dict[str, str]:
    root = execution.root.record
    assert isinstance(root, RunRecord), "a task is a part of a run"
    tags = {"run": root.id}
    if isinstance(execution.record, Task):
        tags["task"] = execution.record.path
        if execution.record.cached_from:
            tags["cached_from"] = execution.record.cached_from
    return tags


def _error(record: RunRecord | Task) -> dict[str, RunFacet]:
    """Return the facet for the error of a run or a task that failed."""
    if isinstance(record, RunRecord):
        message, trace = "\n".join(record.failures), None
    else:
        message = record.failure.message if record.failure else ""
        trace = (record.failure.detail if record.failure else "") or None
    if not message:
        return {}
    facet = error_message_run.ErrorMessageRunFacet(
        message=message, programmingLanguage="python", stackTrace=trace, producer=_PRODUCER
    )
    return {"errorMessage": facet}


# --- datasets ---------------------------------------------------------------------------------------------------------


def _artifacts(values: Mapping[str, Value]) -> Iterator[Artifact]:
    for value in values.values():
        items = value if isinstance(value, list) else [value]
        yield from (item for item in items if isinstance(item, Artifact))


def name_dataset(artifact: Artifact) -> tuple[str, str]:
    """Return the namespace and the name of an artifact by OpenLineage's rules for names: `s3://bucket` and a key."""
    path = artifact.path
    if path is not None:
        return "file", str(Path(os.path.abspath(path)))
    url = urlsplit(artifact.uri)
    return f"{url.scheme}://{url.netloc}", url.path.strip("/") or "/"


def _make_input(artifact: Artifact) -> InputDataset:
    namespace, name = name_dataset(artifact)
    return InputDataset(namespace, name, facets=_dataset_facets(artifact))


def _make_output(artifact: Artifact) -> OutputDataset:
    namespace, name = name_dataset(artifact)
    statistics: dict[str, OutputDatasetFacet] = {}
    if artifact.size is not None:
        statistics["outputStatistics"] = output_statistics_output_dataset.OutputStatisticsOutputDatasetFacet(
            size=artifact.size, producer=_PRODUCER
        )
    return OutputDataset(namespace, name, facets=_dataset_facets(artifact), outputFacets=statistics)


def _dataset_facets(artifact: Artifact) -> dict[str, DatasetFacet]:
    facets: dict[str, DatasetFacet] = {
        "datasetType": dataset_type_dataset.DatasetTypeDatasetFacet(
            datasetType="MODEL" if artifact.type == "system.Model" else "FILE",
            subType=artifact.type,
            producer=_PRODUCER,
        )
    }
    if artifact.digest:
        facets["version"] = dataset_version_dataset.DatasetVersionDatasetFacet(artifact.digest, producer=_PRODUCER)
    return facets
