"""What a report of a run shows, and what is read for it: one page that needs nothing else."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from pathlib import Path

from markupsafe import Markup

from standpipe.history import Run, Task
from standpipe.history.records import Artifact
from standpipe.model.frozen import frozen
from standpipe.support.terminal_text import strip_controls
from standpipe.ui.views.changes import value_text
from standpipe.ui.views.charts import format_number, heat_map, roc_plot
from standpipe.ui.views.embedded import HTML, MARKDOWN, read_embedded, size_of
from standpipe.ui.views.metrics import Metrics, read_metrics
from standpipe.ui.views.previews import Preview
from standpipe.ui.views.states import StateCount, count_states
from standpipe.ui.views.tails import LogTail, by_urgency, read_tails
from standpipe.ui.views.task_differences import parameters_in
from standpipe.ui.views.task_rows import TaskRow, list_tasks

#: The most of each kind that a report shows, so that it stays small: it is attached to pull requests.
_MAX_FAILURES = 50
_MAX_ARTIFACTS = 200
_MAX_METRICS = 50
_MAX_DOCUMENTS = 20

#: The types of artifacts that may be documents or pictures, and how many are looked into.
_SHOWN = (MARKDOWN, HTML, "system.Artifact")
_MAX_READ = 60

#: The most characters of all documents, and of one; the most bytes of all logs, and of one.
_DOCUMENTS_SIZE, _DOCUMENT_SIZE = 600_000, 200_000
_LOGS_SIZE, _LOG_SIZE, _LOG_LINES, _MAX_LOGS = 300_000, 30_000, 200, 40


@frozen
class FailedTask:
    """A task that failed by itself. `traceback` is that of the user's code, `log` the end of its log without one."""

    path: str
    message: str
    traceback: str
    log: str
    hint: str
    attempts: int
    rerun_command: str


@frozen
class ShownMetrics:
    """The metrics of the artifacts of a task: numbers as text by their names, and pictures."""

    name: str
    scalars: Mapping[str, str]
    pictures: tuple[Markup, ...]


@frozen
class ShownDocument:
    """An artifact to read or to look at: Markdown, HTML, a picture."""

    name: str
    type: str
    preview: Preview


@frozen
class ShownArtifact:
    """An artifact as a row. `metadata` is one text for each entry."""

    name: str
    type: str
    producer: str
    location: str
    size: int | None
    digest: str
    metadata: Mapping[str, str]


@frozen
class Report:
    """All that a report shows. The numbers `hidden_…` are what it leaves out."""

    run: str
    pipeline: str
    status: str
    created: datetime
    started: datetime | None
    ended: datetime | None
    duration: float | None
    folder: Path
    rerun_of: str
    resume_count: int
    stop_reason: str
    counts: tuple[StateCount, ...]
    parameters: Mapping[str, str]
    outputs: Mapping[str, str]
    failures: tuple[FailedTask, ...]
    hidden_failures: int
    tasks: tuple[TaskRow, ...]
    metrics: tuple[ShownMetrics, ...]
    hidden_metrics: int
    documents: tuple[ShownDocument, ...]
    artifacts: tuple[ShownArtifact, ...]
    hidden_artifacts: int
    logs: tuple[LogTail, ...]
    hidden_logs: int


def read_report(run: Run) -> Report:
    """Return what a report of a run shows; its documents and logs are read.

    Args:
        run: the run.

    Raises:
        StorageError: if its facts cannot be read.
    """
    failed = failed_tasks(run)
    logs = tuple(read_tails(run, most=_MAX_LOGS, lines=_LOG_LINES, size=_LOG_SIZE, total=_LOGS_SIZE))
    measured = show_metrics(run.artifacts)
    return Report(
        run=run.id,
        pipeline=run.pipeline,
        status=run.status.value,
        created=run.created,
        started=run.started,
        ended=run.ended,
        duration=run.duration,
        folder=run.folder,
        rerun_of=run.rerun_of,
        resume_count=run.resume_count,
        stop_reason=strip_controls(run.stop_reason),
        counts=tuple(count_states(run.all_tasks())),
        parameters={name: value_text(value) for name, value in run.inputs.items()},
        outputs={name: value_text(value) for name, value in parameters_in(run.outputs).items()},
        failures=tuple(map(show_failure, failed[:_MAX_FAILURES])),
        hidden_failures=max(0, len(failed) - _MAX_FAILURES),
        tasks=tuple(list_tasks(run.tasks)),
        metrics=tuple(measured[:_MAX_METRICS]),
        hidden_metrics=max(0, len(measured) - _MAX_METRICS),
        documents=tuple(_read_documents(run)),
        artifacts=tuple(map(_show_artifact, run.artifacts[:_MAX_ARTIFACTS])),
        hidden_artifacts=max(0, len(run.artifacts) - _MAX_ARTIFACTS),
        logs=logs,
        hidden_logs=sum(task.attempts[-1].log_bytes != 0 for task in run.all_tasks() if task.attempts) - len(logs),
    )


def failed_tasks(run: Run) -> list[Task]:
    """Return the tasks that failed by themselves, not because of a task in them."""
    return by_urgency(task for task in run.all_tasks() if task.failure and not task.failure.cause_task)


def show_failure(task: Task) -> FailedTask:
    """Return the failure of a task for people."""
    failure = task.failure
    assert failure is not None, "the task has failed"
    traceback = failure.detail.rstrip() if failure.detail != failure.message else ""
    return FailedTask(
        path=task.path,
        message=strip_controls(failure.message),
        traceback=strip_controls(traceback),
        log="" if traceback else strip_controls(failure.log_tail.rstrip()),
        hint=strip_controls(failure.hint),
        attempts=len(task.attempts),
        rerun_command=task.rerun_command,
    )


def show_metrics(artifacts: Iterable[Artifact]) -> list[ShownMetrics]:
    """Return the metrics of artifacts, by the task that produced them."""
    by_task: dict[str, list[tuple[Artifact, Metrics]]] = {}
    for artifact in artifacts:
        metrics = read_metrics(artifact)
        if metrics:
            by_task.setdefault(artifact.producer or "input", []).append((artifact, metrics))
    return [_show_metrics(task, measured) for task, measured in by_task.items()]


def _show_metrics(task: str, measured: Sequence[tuple[Artifact, Metrics]]) -> ShownMetrics:
    scalars: dict[str, str] = {}
    for artifact, metrics in measured:
        for scalar in metrics.scalars:
            name = scalar.name if scalar.name not in scalars else f"{artifact.name}.{scalar.name}"
            scalars[name] = format_number(scalar.value)
    return ShownMetrics(task, scalars, tuple(picture for pair in measured for picture in _pictures(task, *pair)))


def _pictures(task: str, artifact: Artifact, metrics: Metrics) -> Iterator[Markup]:
    name = f"{task} / {artifact.name}"
    for label, each in {"": metrics, **metrics.slices}.items():
        if each.matrix:
            title = f"Confusion matrix {name}{f', {label}' if label else ''}"
            yield heat_map(each.matrix.categories, each.matrix.rows, title)
    if metrics.curves:
        yield roc_plot(metrics.curves, f"ROC curve {name}")


def _read_documents(run: Run) -> Iterator[ShownDocument]:
    """Yield the documents, as many as there is space for, and the pictures among artifacts of no special type."""
    left, count = _DOCUMENTS_SIZE, 0
    for artifact in [each for each in run.artifacts if each.type in _SHOWN][:_MAX_READ]:
        preview = read_embedded(artifact, run.folder.parent, min(_DOCUMENT_SIZE, left))
        if artifact.type in (MARKDOWN, HTML) or preview.data:
            left, count = left - size_of(preview), count + 1
            kind = artifact.type.removeprefix("system.")
            yield ShownDocument(f"{artifact.producer or 'input'} / {artifact.name}", kind, preview)
        if count == _MAX_DOCUMENTS:
            return


def _show_artifact(artifact: Artifact) -> ShownArtifact:
    metadata = {} if read_metrics(artifact) else artifact.metadata
    return ShownArtifact(
        artifact.name,
        artifact.type.removeprefix("system."),
        artifact.producer or "",
        str(artifact.path or artifact.uri),
        artifact.size,
        artifact.digest,
        {name: value_text(value) for name, value in metadata.items()},
    )
