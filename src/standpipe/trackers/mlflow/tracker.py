"""The tracker for MLflow: a thread of its own that talks to the server, and what runs and tasks have of it.

A server that is down, slow or wrong costs a run one notice and a wait that is bounded, and never fails it. While the
server does not answer, facts wait in a queue.
"""

from __future__ import annotations

import os
import threading
import time
from collections import deque
from collections.abc import Mapping, Sequence

from standpipe.model.cancellation import Cancellation
from standpipe.model.events import AttemptStarted, Fact, RunResumed, RunStarted
from standpipe.model.ports import TrackedRun
from standpipe.model.refs import TaskRef
from standpipe.support.notices import inform, quiet_notices, warn
from standpipe.trackers.mlflow.client import MlflowClient, Refused, Unreachable
from standpipe.trackers.mlflow.recorder import Recorder

#: Seconds that a task waits for its run in MLflow before it starts, while the server answers.
_TASK_PATIENCE = 30.0

#: Seconds that the end of a run waits for what is not recorded: at most; and if the last request had no answer.
_END_PATIENCE = 10.0
_PATIENCE_WHEN_DOWN = 1.0

#: Seconds after which a user is told what the end of a run waits for.
_SILENCE = 1.0

#: Seconds that tasks and the end of a run wait for an answer. Once a task has waited in vain, no later one waits.
_ANSWER_PATIENCE = 4.0

#: Seconds before a request to a server that did not answer is repeated, which double up to the last.
_FIRST_DELAY = 0.25
_LAST_DELAY = 5.0

#: The most facts that wait for the server; an iteration of a loop has about four.
_MAX_WAITING = 200_000

#: The variables of MLflow that tasks in containers, which do not see those of this process, get as well.
_PASSED_ON = (
    "MLFLOW_TRACKING_TOKEN",
    "MLFLOW_TRACKING_USERNAME",
    "MLFLOW_TRACKING_PASSWORD",
    "MLFLOW_TRACKING_INSECURE_TLS",
    "MLFLOW_WORKSPACE",
)

_DEFAULT_EXPERIMENT = "Default"

#: The variables of a task that has no run in MLflow: what it logs goes to a folder in its working directory, and is
#: gone with that. Its client would otherwise wait for the server for minutes, or fail the task.
_WITHOUT_RUN = {
    "MLFLOW_TRACKING_URI": "file:mlruns",
    "MLFLOW_ALLOW_FILE_STORE": "true",
    "MLFLOW_EXPERIMENT_ID": "0",
    "MLFLOW_RUN_ID": "",
}


def open_tracker(server: str, run: TrackedRun) -> MlflowTracker:
    """Return the tracker of a run.

    Args:
        server: the address of the MLflow server.
        run: the run.
    """
    experiment_id = os.environ.get("MLFLOW_EXPERIMENT_ID", "")
    experiment = os.environ.get("MLFLOW_EXPERIMENT_NAME") or _DEFAULT_EXPERIMENT
    recorder = Recorder(MlflowClient(server), run, experiment=experiment, experiment_id=experiment_id)
    return MlflowTracker(server, recorder, quiet=run.quiet)


class MlflowTracker:
    """Records one run in MLflow; see `standpipe.model.ports.Tracker`.

    Args:
        server: the address of the server.
        recorder: records facts there; used by the thread of the tracker alone.
        quiet: whether the run's page in MLflow is not shown.
    """

    def __init__(self, server: str, recorder: Recorder, *, quiet: bool) -> None:
        self._server = server
        self._quiet = quiet
        self._recorder = recorder
        self._facts: deque[tuple[Fact, float]] = deque()
        self._run_ids: dict[TaskRef, str] = {}  # of the tasks whose attempts have started
        self._change = threading.Condition()
        self._is_down = False  # the server did not answer the last request
        self._is_slow = False  # a task has waited in vain
        self._is_off = False  # nothing more is recorded
        self._is_closing = False
        self._is_busy = False
        self._has_warned = False
        self._answered = 0.0  # when a fact was last recorded
        self._owner = os.getpid()
        self._thread = threading.Thread(target=self._work, daemon=True, name="standpipe-mlflow")

    def __call__(self, facts: Sequence[Fact]) -> None:
        now = time.time()
        with self._change:
            if self._is_off or not facts:
                return
            self._facts += ((fact, now) for fact in facts)
            if len(self._facts) > _MAX_WAITING:
                self._turn_off("it does not keep up with the run")
            self._change.notify_all()
        if self._thread.ident is None:
            self._start()

    def _start(self) -> None:
        try:
            self._thread.start()
        except RuntimeError as error:  # the system has no thread left
            with self._change:
                self._turn_off(str(error))

    def variables(self, task: TaskRef, attempt: int, cancel: Cancellation) -> Mapping[str, str]:
        """Return the variables with which MLflow's client in a task logs to the run of the task.

        Without an answer of the server, the client logs to a folder that is dropped.
        """
        began = time.monotonic()
        with self._change:
            while not (task in self._run_ids or self._is_slow or self._is_down or self._is_off or cancel):
                if time.monotonic() >= min(began + _TASK_PATIENCE, max(began, self._answered) + _ANSWER_PATIENCE):
                    self._is_slow = True
                    self._warn(
                        "it is slow. Tasks no longer wait for it, and what they log there themselves may be lost"
                    )
                self._change.wait(0.05)
            run = self._run_ids.get(task)
        if run is None:
            return _WITHOUT_RUN
        passed_on = {name: os.environ[name] for name in _PASSED_ON if os.environ.get(name)}
        return {
            **passed_on,
            "MLFLOW_TRACKING_URI": self._server,
            "MLFLOW_EXPERIMENT_ID": self._recorder.experiment,
            "MLFLOW_RUN_ID": run,
        }

    def close(self) -> None:
        """Wait until all is recorded, but not long for a server that does not answer, and not without a notice."""
        if os.getpid() != self._owner:
            return  # a forked child, which does not have the thread
        began, is_silent = time.monotonic(), True
        with self._change:
            self._is_closing = True
            self._change.notify_all()
            while (self._facts or self._is_busy) and not self._is_off:
                patience = _PATIENCE_WHEN_DOWN if self._is_down else _ANSWER_PATIENCE
                end = min(began + _END_PATIENCE, max(began, self._answered) + patience)
                if time.monotonic() >= end:
                    self._turn_off("its last tasks, and its end, are not recorded there")
                elif is_silent and time.monotonic() - began >= _SILENCE:
                    is_silent = False
                    inform(f"Waiting for the MLflow server {self._server} to record the end of the run.")
                self._change.wait(0.05)
            self._is_off = True
            self._change.notify_all()

    # --- the thread ---------------------------------------------------------------------------------------------------

    def _work(self) -> None:
        with quiet_notices(self._quiet):
            delay = _FIRST_DELAY
            while (item := self._take()) is not None:
                try:
                    self._record(*item)
                except Unreachable as error:
                    self._put_back(item, str(error), delay)
                    delay = min(2 * delay, _LAST_DELAY)
                    continue
                except Refused as error:
                    self._handle_refusal(item[0], error)
                except Exception as error:  # noqa: BLE001  the outermost edge of a thread: a run must not wait for it
                    with self._change:
                        self._turn_off(f"recording failed with {type(error).__name__}: {error}")
                delay = _FIRST_DELAY
                self._finish()

    def _take(self) -> tuple[Fact, float] | None:
        """Return the next fact, once there is one; None if there will be no more."""
        with self._change:
            self._change.wait_for(lambda: self._facts or self._is_closing or self._is_off)
            if self._is_off or not self._facts:
                return None
            self._is_busy = True
            return self._facts.popleft()

    def _record(self, fact: Fact, at: float) -> None:
        self._recorder.record(fact, at)
        if isinstance(fact, (RunStarted, RunResumed)) and not self._is_off:
            inform(f"This run in MLflow: {self._recorder.page}")
        if isinstance(fact, AttemptStarted):
            with self._change:
                self._run_ids[fact.task] = self._recorder.runs[fact.task].id

    def _finish(self) -> None:
        with self._change:
            self._is_busy = self._is_down = False
            self._answered = time.monotonic()
            self._change.notify_all()

    def _put_back(self, item: tuple[Fact, float], problem: str, delay: float) -> None:
        """Keep a fact until the server answers again."""
        with self._change:
            if self._is_off:
                return  # the run has ended in the meantime
            self._facts.appendleft(item)
            self._is_down, self._is_busy = True, False
            self._warn(f"it does not answer ({problem}). It is asked again later")
            self._change.notify_all()
            self._change.wait_for(lambda: self._is_off or self._is_closing, delay)
            self._change.wait_for(lambda: self._is_off, _FIRST_DELAY)  # also while it is closed

    def _handle_refusal(self, fact: Fact, error: Refused) -> None:
        """Leave out what the server rejects; all that follows, too, if it rejects the run itself."""
        with self._change:
            if isinstance(fact, (RunStarted, RunResumed)) or error.status in (401, 403):
                self._turn_off(f"it rejects the run ({error}). {_advise(error.status)}")
            else:
                self._warn(f"it rejects what is known about a task ({error})")

    def _turn_off(self, problem: str) -> None:
        """Record nothing more. The caller holds the lock."""
        self._is_off = True
        self._facts.clear()
        self._warn(problem)
        self._change.notify_all()

    def _warn(self, problem: str) -> None:
        """Tell the user of a problem, once in a run."""
        if not self._has_warned:
            self._has_warned = True
            warn(f"The MLflow server {self._server} does not record all of this run: {problem.rstrip('. ')}.")


def _advise(status: int) -> str:
    if status in (401, 403):
        return "Set MLFLOW_TRACKING_TOKEN, or MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD"
    return "Correct the URL in the option mlflow, or the experiment in MLFLOW_EXPERIMENT_NAME"
