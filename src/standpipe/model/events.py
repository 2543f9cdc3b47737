"""Events, commands and facts: the inputs and outputs of the engine.

Events are inputs from the driver. Commands are outputs to the driver. Facts are immutable records of what happened in
a run: they are stored, passed to sinks, and sufficient to rebuild the engine's state.

Three numbers count the attempts at a task, here and in all other packages:

* `attempt` is the number of an attempt, from 0. It counts every attempt at the task in the run, also those before the
  run was resumed and those of a process that was killed, so it is never used twice.
* `retry_index` is the number of attempts that failed since the run was started or last resumed, without those that were
  lost with a machine. It is what the task reads as `KFP_RETRY_INDEX`.
* `max_retries` is the `retry_index` of the last attempt that the author of the pipeline allows (`model.plan.Retry`).

People and programs read numbers of attempts from 1, as in "attempt 2 of 3" and `history.Attempt.number`. Messages
derive what they show from these numbers once, in the engine: `AttemptFailed.max_attempts` is the last `attempt` that
`max_retries` allows plus 1, `Failure.attempts` the last `retry_index` plus 1.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Union

from standpipe.model.frozen import field, frozen
from standpipe.model.plan import Caching
from standpipe.model.refs import TaskRef
from standpipe.model.resources import NO_REQUEST, ResourceRequest
from standpipe.model.states import TaskState
from standpipe.model.values import Value


@frozen
class CodeLocation:
    """The innermost line of the user's code in the traceback of an error.

    `file` is an absolute path, or a name in angle brackets such as `<component train>` where there is no file, as in
    compiled pipelines. `line` counts from 1; without a file, in the source of the component. `code` is the text of the
    line; empty if it is unknown.
    """

    file: str
    line: int
    function: str
    code: str = ""

    @property
    def has_file(self) -> bool:
        return not self.file.startswith("<")


@frozen
class Failure:
    """The reason for the failure of a task.

    `message` is one sentence. `detail` is the traceback of the task's code, if there is one; `log_tail` is the end of
    its log; `hint` is what to do next. `exit_code` or `signal` is how its process ended, if it had one. A DAG or loop
    fails because of a task in it: `cause_task` is that task. `attempts` is the retry index of the last attempt plus 1,
    for a task that was retried; 0 for other tasks. `location` is the line of the user's code that raised the error, or
    called what raised it; None if it is unknown.
    """

    message: str
    detail: str = ""
    hint: str = ""
    exit_code: int | None = None
    signal: int | None = None
    out_of_memory: bool = False
    cause_task: TaskRef | None = None
    attempts: int = 0
    log_tail: str = ""
    location: CodeLocation | None = None

    @property
    def in_attempt(self) -> str:
        """` in attempt 3 of 3`, to follow a verb; empty for a task that was not retried."""
        return f" in attempt {self.attempts} of {self.attempts}" if self.attempts else ""

    @property
    def predicate(self) -> str:
        """The failure as a sentence without its subject: `failed in attempt 3 of 3: it ran out of …`."""
        return f"failed{self.in_attempt}: {self.message}"


@frozen
class AttemptReport:
    """The resource usage of an attempt, and the size of its log.

    `seconds` is the time from its start to its end, including the preparation of its environment. `cpu_seconds` and
    `peak_memory` (bytes) are those of its processes, None if the runner does not measure them. `log_bytes` and
    `log_lines` are the size of its log. `warm_imports` is whether its packages were imported before it was forked.
    """

    seconds: float
    cpu_seconds: float | None = None
    peak_memory: int | None = None
    log_bytes: int = 0
    log_lines: int = 0
    warm_imports: bool = False


# --- events -----------------------------------------------------------------------------------------------------------


@frozen
class Start:
    """Start the run, with these arguments for the inputs of the root component.

    Text in an argument is data; placeholders about the run, if they are to be replaced, are in `Template`s.
    """

    arguments: Mapping[str, Value]


@frozen
class Resume:
    """Resume a run that ended or was interrupted; see `RunResumed`, which follows from it.

    `plan` is the Plan to resume with, by the name under which the engine has it; empty for the same Plan.
    """

    rerun_tasks: tuple[TaskRef, ...]
    plan: str = ""


@frozen
class AttemptEnded:
    """An attempt ended: it succeeded with `outputs`, or failed if there is a `failure`.

    `cached_from` is the origin of outputs that were reused from the cache: a run and its task. Empty if the task ran.
    `is_final` is whether another attempt would fail in the same way, so that the task is not retried. `is_lost` is
    whether it failed as the machine that it ran on was lost, so that the task is retried in any case.
    """

    task: TaskRef
    outputs: Mapping[str, Value] = field(default_factory=dict)
    failure: Failure | None = None
    report: AttemptReport | None = None
    cached_from: str = ""
    is_final: bool = False
    is_lost: bool = False


@frozen
class CancelRequested:
    """The run is to be cancelled. The second time, all tasks are stopped at once, including exit tasks.

    The fields are those of `RunCancelled`.
    """

    reason: str = ""
    failures: tuple[TaskFailed, ...] = ()


@frozen
class TimePassed:
    """The time has passed that the engine waits for (`Machine.due`)."""


Event = Union[Start, Resume, AttemptEnded, CancelRequested, TimePassed]

# --- commands ---------------------------------------------------------------------------------------------------------


@frozen
class StartAttempt:
    """Run the component's executor with these inputs; send `AttemptEnded` when it has ended.

    `attempt` and `retry_index` count as this module's description says. `gpus` are the accelerators that the attempt
    may use. `concurrency` is how many tasks are expected to run at the same time, this one included.
    """

    task: TaskRef
    component: str
    inputs: Mapping[str, Value]
    attempt: int = 0
    retry_index: int = 0
    caching: Caching | None = None
    resources: ResourceRequest = NO_REQUEST
    gpus: tuple[str, ...] = ()
    concurrency: int = 1


@frozen
class StopAttempts:
    """Stop the attempts at these tasks; each still sends `AttemptEnded`. If `urgent`, kill them at once."""

    tasks: tuple[TaskRef, ...]
    urgent: bool = False


@frozen
class EndRun:
    """The run has ended: there is nothing left to do."""


Command = Union[StartAttempt, StopAttempts, EndRun]

# --- facts ------------------------------------------------------------------------------------------------------------


@frozen
class RunStarted:
    """A run started with these inputs of its root component, including defaults."""

    inputs: Mapping[str, Value]


@frozen
class DagStarted:
    """A task that is a DAG started: its own tasks are pending."""

    task: TaskRef
    inputs: Mapping[str, Value]


@frozen
class LoopStarted:
    """A task that is a loop started: it has one iteration for each item, whose tasks are pending."""

    task: TaskRef
    inputs: Mapping[str, Value]
    items: tuple[Value, ...]


@frozen
class IterationStarted:
    """An iteration of a loop over a DAG started. Its inputs are those of the loop, and its item."""

    task: TaskRef
    item: Value


@frozen
class TaskReady:
    """The inputs of a task are resolved; it waits for a free slot and for its resources."""

    task: TaskRef
    inputs: Mapping[str, Value]
    resources: ResourceRequest = NO_REQUEST


@frozen
class AttemptStarted:
    """An attempt was passed to the runner, at the time `at`: see `AttemptFailed`. `attempt` counts from 0."""

    task: TaskRef
    attempt: int
    at: float = 0.0
    gpus: tuple[str, ...] = ()


@frozen
class AttemptFailed:
    """An attempt failed, and the task is retried: `max_attempts` is the maximum number of attempts.

    `at` is the time of the failure, in seconds since the epoch by the engine's clock. The next attempt starts `delay`
    seconds later, or when a slot is free after that. If the attempt `is_lost`, with the machine that it ran on, it does
    not count as one that the author of the pipeline allows.
    """

    task: TaskRef
    attempt: int
    max_attempts: int
    failure: Failure
    at: float
    delay: float
    report: AttemptReport | None = None
    is_lost: bool = False

    @property
    def due(self) -> float:
        """The earliest time of the next attempt."""
        return self.at + self.delay


@frozen
class TaskSucceeded:
    """A task succeeded. `cached_from` is the run and task that its outputs were reused from; empty if it ran."""

    task: TaskRef
    outputs: Mapping[str, Value]
    report: AttemptReport | None = None
    cached_from: str = ""


@frozen
class TaskFailed:
    """A task failed, or could not start."""

    task: TaskRef
    failure: Failure
    report: AttemptReport | None = None


@frozen
class TaskSkipped:
    """A task is skipped. `reason` is an upstream task, or a condition that is false."""

    task: TaskRef
    reason: str


@frozen
class TaskCancelled:
    """A task was stopped, or does not start, because the run was cancelled."""

    task: TaskRef
    report: AttemptReport | None = None


@frozen
class RunCancelled:
    """The run was cancelled. A second one is recorded if the user cancels it a second time.

    `reason` is a clause about the run that says why it was stopped; empty if the user cancelled it. `failures` are the
    tasks that cannot be set up, each with the failure that it would have by itself: it fails with that instead of being
    cancelled, and so does the run. The references of these tasks have no numbers of iterations.
    """

    reason: str = ""
    failures: tuple[TaskFailed, ...] = ()


@frozen
class RunResumed:
    """A run that ended or was interrupted is resumed. The state of the `rerun_tasks` is discarded: they are rerun.

    Tasks that the Plan no longer has are among them. For a DAG or loop among them, the state of all tasks in it is
    discarded. All other tasks keep their state; those that have not succeeded continue, or are rerun. `plan` is the
    digest of the Plan that the run is resumed with, empty for the same Plan; `inputs` are the inputs of its root
    component. `at` is the time, in seconds since the epoch, 0 where it was not recorded.
    """

    rerun_tasks: tuple[TaskRef, ...]
    plan: str = ""
    inputs: Mapping[str, Value] = field(default_factory=dict)
    at: float = 0.0


@frozen
class RunEnded:
    """The run ended. `failures` are the failures in order, without those of DAGs and loops that have a failed task."""

    state: TaskState
    outputs: Mapping[str, Value]
    failures: tuple[TaskFailed, ...] = ()


TaskFact = Union[
    DagStarted,
    LoopStarted,
    IterationStarted,
    TaskReady,
    AttemptStarted,
    AttemptFailed,
    TaskSucceeded,
    TaskFailed,
    TaskSkipped,
    TaskCancelled,
]
Fact = Union[RunStarted, TaskFact, RunCancelled, RunResumed, RunEnded]
