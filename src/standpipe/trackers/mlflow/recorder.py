"""The facts of a run as runs in MLflow: one for the pipeline, and nested ones for its tasks.

As KFP has it (KEP 12862), a loop has a nested run, and the tasks of all its iterations are nested in that: an iteration
of several tasks has no run of its own. Nothing of this is kept on this machine: a resumed run finds its runs in MLflow
by their tags.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from functools import singledispatchmethod
from typing import Any

from standpipe.model import events
from standpipe.model.frozen import frozen
from standpipe.model.ports import TrackedRun
from standpipe.model.refs import ROOT, TaskRef
from standpipe.model.states import TaskState
from standpipe.model.types import Json
from standpipe.model.values import Value
from standpipe.trackers.mlflow.client import MlflowClient, Refused, Unreachable
from standpipe.trackers.mlflow.limits import make_batches, make_metrics, make_params, make_tags

_RUNNING = "RUNNING"
_UNKNOWN = ""
_STATUSES = {TaskState.SUCCEEDED: "FINISHED", TaskState.FAILED: "FAILED", TaskState.CANCELLED: "KILLED"}

#: The tags by which a run is found again: KFP's own for the run, and ours for the task in it.
_RUN_TAG = "kfp.pipeline_run_id"
_TASK_TAG = "standpipe.task"
_PARENT_TAG = "mlflow.parentRunId"


@frozen
class KnownRun:
    """A run in MLflow: its id, its status, and the parameters that it has, which can never change."""

    id: str
    status: str
    params: Mapping[str, str]


class Recorder:
    """Records the facts of one run. For one thread.

    A fact can be recorded again if the server did not answer: what was done before is not done twice.

    Args:
        client: calls the server.
        run: the run.
        experiment: the name of the experiment.
        experiment_id: its id, if that is known.
    """

    def __init__(self, client: MlflowClient, run: TrackedRun, *, experiment: str, experiment_id: str = "") -> None:
        self._client = client
        self._run = run
        self._name = experiment
        self.experiment = experiment_id
        self.runs: dict[TaskRef, KnownRun] = {}
        self._by_path: dict[str, KnownRun] = {}  # of an earlier process, or created without an answer
        self._inputs: dict[TaskRef, Mapping[str, Value]] = {}
        self._attempts: dict[TaskRef, int] = {}
        self._must_search = False

    @property
    def page(self) -> str:
        """The address of the run's page in MLflow; empty as long as it has none."""
        run = self.runs.get(ROOT)
        return f"{self._client.server}/#/experiments/{self.experiment}/runs/{run.id}" if run else ""

    @singledispatchmethod
    def record(self, fact: events.Fact, at: float) -> None:
        """Record a fact.

        Args:
            fact: the fact.
            at: when it was recorded, in seconds since the epoch.

        Raises:
            Unreachable: if the server did not answer.
            Refused: if it rejects what was to be recorded.
        """

    @record.register
    def _(self, fact: events.RunStarted, at: float) -> None:
        self._open(ROOT, at)
        self._log(self.runs[ROOT], make_params(fact.inputs), at)

    @record.register
    def _(self, fact: events.RunResumed, at: float) -> None:
        if ROOT not in self.runs:
            self._must_search = True
        self._open(ROOT, at)
        self._log(self.runs[ROOT], make_params(fact.inputs), at)

    @record.register
    def _(self, fact: events.TaskReady, at: float) -> None:
        self._inputs[fact.task] = fact.inputs

    @record.register(events.DagStarted)
    @record.register(events.LoopStarted)
    def _(self, fact: events.DagStarted | events.LoopStarted, at: float) -> None:
        if fact.task != ROOT:
            self._inputs[fact.task] = fact.inputs
            self._open(fact.task, at)

    @record.register
    def _(self, fact: events.AttemptStarted, at: float) -> None:
        self._attempts[fact.task] = fact.attempt + 1
        if run := self.runs.get(fact.task):  # MLflow's client has ended it, if the attempt before has used that
            self._set(fact.task, KnownRun(run.id, _UNKNOWN, run.params))
        self._open(fact.task, fact.at or at)

    @record.register
    def _(self, fact: events.TaskSucceeded, at: float) -> None:
        tags = {"standpipe.cached_from": fact.cached_from}
        self._close(fact.task, TaskState.SUCCEEDED, at, fact.outputs, tags)

    @record.register
    def _(self, fact: events.TaskFailed, at: float) -> None:
        self._close(fact.task, TaskState.FAILED, at, {}, {"standpipe.error": fact.failure.predicate})

    @record.register
    def _(self, fact: events.TaskCancelled, at: float) -> None:
        if fact.task in self.runs:  # otherwise it has not started
            self._close(fact.task, TaskState.CANCELLED, at, {}, {})

    @record.register
    def _(self, fact: events.RunEnded, at: float) -> None:
        for task, run in list(self.runs.items()):
            if task != ROOT and run.status == _RUNNING:  # it ended with what it is in
                self._end(task, _STATUSES[fact.state], at)
        for run in self._by_path.values():
            if run.status == _RUNNING:  # the process that executed it was killed, and nothing has taken its place
                self._client.update_run(run.id, "KILLED", at)
        self._by_path.clear()
        failures = "\n".join(f"{each.task} {each.failure.predicate}" for each in fact.failures)
        self._close(ROOT, fact.state, at, fact.outputs, {"standpipe.error": failures})

    # --- runs in MLflow -----------------------------------------------------------------------------------------------

    def _open(self, task: TaskRef, at: float) -> None:
        """Let a task, and what it is in, have a run in MLflow that is in progress."""
        self._find_earlier()
        run = self.runs.get(task)
        if run is None:
            run = self._adopt(task)
        if run is None:
            self._create(task, at)
        elif run.status != _RUNNING:
            if task != ROOT:
                self._open_parent(task, at)
            self._client.update_run(run.id, _RUNNING)
            self._set(task, KnownRun(run.id, _RUNNING, run.params))

    def _open_parent(self, task: TaskRef, at: float) -> str:
        """Return the id of the run that a task is nested in, which is in progress."""
        parent = task.whole
        while parent != ROOT and parent not in self.runs and str(parent) not in self._by_path:
            parent = parent.whole
        self._open(parent, at)
        return self.runs[parent].id

    def _create(self, task: TaskRef, at: float) -> None:
        info = self._run.info
        tags = {_RUN_TAG: info.uuid, "standpipe.run": info.id}
        if task == ROOT:
            name = info.id
            tags |= {"kfp.pipeline_run_url": self._run.page, "standpipe.pipeline": info.name}
            tags["standpipe.rerun_of"] = self._run.rerun_of
        else:
            tags |= {_PARENT_TAG: self._open_parent(task, at), _TASK_TAG: str(task)}
            name = task.name if task.iteration is None else f"{task.name}/{task.iteration}"
            name = f"{task.parent.iteration}/{name}" if task.parent.iteration is not None else name
        try:
            run = self._client.create_run(self.experiment, name, at, make_tags(tags))
        except Unreachable:
            self._must_search = True  # it may have been created all the same
            raise
        self._set(task, KnownRun(run, _RUNNING, {}))

    def _adopt(self, task: TaskRef) -> KnownRun | None:
        """Return the run that a task has from an earlier process, if it can be reopened; None otherwise.

        Its parameters cannot change, so that a task with other inputs has a new one, and so has one that succeeded.
        """
        run = self._by_path.pop(str(task), None)
        if run is None or (task != ROOT and run.status == "FINISHED"):
            return None
        inputs = make_params(self._inputs.get(task, {}))
        if any(run.params.get(name, value) != value for name, value in inputs.items()) and task != ROOT:
            return None
        self._set(task, run)
        return run

    def _find_earlier(self) -> None:
        """Find the experiment, and if needed the runs in it that this run has already."""
        if not self.experiment:
            self.experiment = self._client.find_or_create_experiment(self._name)
        if self._must_search:
            condition = f"tags.`{_RUN_TAG}` = '{self._run.info.uuid}'"
            found = map(_parse, self._client.search_runs(self.experiment, condition))
            self._by_path = {path: run for path, run in found if run not in self.runs.values()}
            self._must_search = False

    def _close(
        self, task: TaskRef, state: TaskState, at: float, outputs: Mapping[str, Value], tags: Mapping[str, str]
    ) -> None:
        """Record the end of a task: what it got and returned, and its state."""
        if task not in self.runs and task.iteration is not None and task not in self._inputs:
            return  # an iteration of several tasks, which has no run of its own
        if task not in self.runs:
            self._open(task, at)  # it could not start
        attempts = self._attempts.get(task, 1)
        more = {"standpipe.attempts": str(attempts)} if attempts > 1 else {}
        params = {**make_params(outputs, "output."), **make_params(self._inputs.get(task, {}))}
        try:
            self._log(self.runs[task], params, at, make_metrics(outputs), {**tags, **more})
        except Refused:
            self._end(task, _STATUSES[state], at)
            raise
        self._end(task, _STATUSES[state], at)

    def _end(self, task: TaskRef, status: str, at: float) -> None:
        run = self.runs[task]
        self._client.update_run(run.id, status, at)
        self._set(task, KnownRun(run.id, status, run.params))
        self._inputs.pop(task, None)
        self._attempts.pop(task, None)

    def _log(
        self,
        run: KnownRun,
        params: Mapping[str, str],
        at: float,
        metrics: Mapping[str, float] | None = None,
        tags: Mapping[str, str] | None = None,
    ) -> None:
        new = {name: value for name, value in params.items() if name not in run.params}
        for entries in make_batches(new, metrics or {}, {name: tag for name, tag in (tags or {}).items() if tag}, at):
            self._log_entries(run, entries)

    def _log_entries(self, run: KnownRun, entries: Mapping[str, Json]) -> None:
        try:
            self._client.log_batch(run.id, entries)
        except Refused:
            if len(entries) > 1:  # for instance as the task has logged a parameter of the same name: log the rest
                for kind, chunk in entries.items():
                    with suppress(Refused):
                        self._client.log_batch(run.id, {kind: chunk})
            raise

    def _set(self, task: TaskRef, run: KnownRun) -> None:
        self.runs[task] = run


def _parse(run: Mapping[str, Any]) -> tuple[str, KnownRun]:
    """Return the path of the task of a run in MLflow, which is empty for the pipeline, and the run."""
    data = run.get("data", {})
    tags = {tag["key"]: tag["value"] for tag in data.get("tags", ())}
    params = {param["key"]: param["value"] for param in data.get("params", ())}
    return tags.get(_TASK_TAG, ""), KnownRun(run["info"]["run_id"], run["info"]["status"], params)
