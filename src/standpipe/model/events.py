"""What happens in a run, in three vocabularies.

Events come to the engine from the world. Commands go from the engine to the world. Facts are what the engine has
decided: they are stored, shown to observers, and enough to rebuild the engine's state.

Three numbers count the attempts at a task, here and in all other packages:

* `attempt` is the number of an attempt, from 0. It counts every attempt at the task in the run, also those before the
  run was resumed and those of a process that was killed, so it is never used twice.
* `retry_index` is the number of attempts that failed since the run was started or last resumed. It is what the task
  reads as `KFP_RETRY_INDEX`.
* `max_retries` is the `retry_index` of the last attempt that the author of the pipeline allows (`model.plan.Retry`).

Messages count attempts from 1, as in "attempt 2 of 3". What they show is derived from these numbers once, in the
engine: `AttemptFailed.max_attempts` is the last `attempt` that `max_retries` allows plus 1, `Failure.attempts` the last
`retry_index` plus 1.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field
from typing import Union

from standpipe.model.frozen import frozen
from standpipe.model.plan import Caching
from standpipe.model.refs import TaskRef
from standpipe.model.resources import Needs
from standpipe.model.states import TaskState
from standpipe.model.values import Value


@frozen
class Failure:
    """Why a task failed.

    `message` is one sentence; `detail` is the user's own traceback, where there is one; `printed` is the end of its
    log; `hint` is what to do next. `exit_code` or `signal` tell how its process ended, if it had one. A DAG or loop
    fails because of a task within; `within` is that task, the one that failed by itself. `attempts` is the retry index
    of the last attempt plus 1, for a task that was retried; 0 for other tasks.
    """

    message: str
    detail: str = ""
    hint: str = ""
    exit_code: int | None = None
    signal: int | None = None
    out_of_memory: bool = False
    within: TaskRef | None = None
    attempts: int = 0
    printed: str = ""

    @property
    def in_attempt(self) -> str:
        """` in attempt 3 of 3`, to be put behind a verb; empty for a task that was not tried again."""
        return f" in attempt {self.attempts} of {self.attempts}" if self.attempts else ""

    @property
    def predicate(self) -> str:
        """What became of the task, as a sentence without its subject: `failed in attempt 3 of 3: it ran out of …`."""
        return f"failed{self.in_attempt}: {self.message}"


@frozen
class Report:
    """What an attempt took, and what it printed.

    `seconds` go from its start to its end, waiting for its environment included. `cpu_seconds` and `peak_memory`
    (bytes) are those of its processes, None where the runner cannot tell. `log_bytes` and `log_lines` say where its log
    ended.
    """

    seconds: float
    cpu_seconds: float | None = None
    peak_memory: int | None = None
    log_bytes: int = 0
    log_lines: int = 0


# --- events -----------------------------------------------------------------------------------------------------------


@frozen
class Start:
    """The run begins, with these arguments for the root component's inputs."""

    arguments: Mapping[str, Value]


@frozen
class Resume:
    """A run that had ended or was interrupted goes on; see `RunResumed`, which follows from it.

    `plan` names the Plan to go on with, by the name that the engine was given it under; empty for the same.
    """

    again: tuple[TaskRef, ...]
    plan: str = ""


@frozen
class AttemptEnded:
    """An attempt at a task came to its end: `failure` says why it failed, None that it succeeded with `outputs`.

    `cached` names where the outputs come from, a run and its task, if nothing had to run.
    """

    task: TaskRef
    outputs: Mapping[str, Value] = field(default_factory=dict)
    failure: Failure | None = None
    report: Report | None = None
    cached: str = ""


@frozen
class CancelRequested:
    """The user wants the run to stop; a second time: at once, without the tasks that come after all others."""


@frozen
class TimePassed:
    """The moment has come that the engine named (`Machine.due`)."""


Event = Union[Start, Resume, AttemptEnded, CancelRequested, TimePassed]

# --- commands ---------------------------------------------------------------------------------------------------------


@frozen
class StartAttempt:
    """Run the component's executor with these inputs; send `AttemptEnded` when it has ended.

    `attempt` and `retry_index` count as this module's description says. `gpus` are the accelerators that the attempt
    may use.
    """

    task: TaskRef
    component: str
    inputs: Mapping[str, Value]
    attempt: int = 0
    retry_index: int = 0
    caching: Caching | None = None
    needs: Needs = Needs()
    gpus: tuple[str, ...] = ()


@frozen
class StopAttempts:
    """Stop the attempts at these tasks; each still says `AttemptEnded`. `now` is without asking them first."""

    tasks: tuple[TaskRef, ...]
    now: bool = False


@frozen
class EndRun:
    """Nothing is left to do."""


Command = Union[StartAttempt, StopAttempts, EndRun]

# --- facts ------------------------------------------------------------------------------------------------------------


@frozen
class RunStarted:
    """A run began with these inputs of its root component, defaults included."""

    inputs: Mapping[str, Value]


@frozen
class DagStarted:
    """A task that is itself a DAG began: its own tasks are pending now."""

    task: TaskRef
    inputs: Mapping[str, Value]


@frozen
class LoopStarted:
    """A task that is a loop began: it has one iteration for each item, whose tasks are pending now."""

    task: TaskRef
    inputs: Mapping[str, Value]
    items: tuple[Value, ...]


@frozen
class IterationStarted:
    """An iteration of a loop over a DAG began. Its inputs are those of the loop, and its item."""

    task: TaskRef
    item: Value


@frozen
class TaskReady:
    """A task's inputs are known; it waits for a free slot, and for what it needs of the machine."""

    task: TaskRef
    inputs: Mapping[str, Value]
    needs: Needs = Needs()


@frozen
class AttemptStarted:
    """A task was given to the runner; `attempt` counts from 0. That was `at`: see `AttemptFailed`."""

    task: TaskRef
    attempt: int
    at: float = 0.0
    gpus: tuple[str, ...] = ()


@frozen
class AttemptFailed:
    """An attempt at a task failed, and the task is retried; `max_attempts` is how many attempts there may be in all.

    That was `at`, in seconds since the epoch by the engine's clock; the next attempt begins `delay` seconds later, or
    as soon as a slot is free after that.
    """

    task: TaskRef
    attempt: int
    max_attempts: int
    failure: Failure
    at: float
    delay: float
    report: Report | None = None

    @property
    def due(self) -> float:
        """When the next attempt may begin."""
        return self.at + self.delay


@frozen
class TaskSucceeded:
    """A task ended well. `cached` names the run and task that its outputs come from, if it did not have to run."""

    task: TaskRef
    outputs: Mapping[str, Value]
    report: Report | None = None
    cached: str = ""


@frozen
class TaskFailed:
    """A task ended badly, or could not start."""

    task: TaskRef
    failure: Failure
    report: Report | None = None


@frozen
class TaskSkipped:
    """A task will not run; `because` names what its upstream lacked, or the condition that is false."""

    task: TaskRef
    because: str


@frozen
class TaskCancelled:
    """A task was stopped, or will not start, because the run was cancelled."""

    task: TaskRef
    report: Report | None = None


@frozen
class RunCancelled:
    """The user asked the run to stop; a second one says that they asked again."""


@frozen
class RunResumed:
    """A run that had ended or was interrupted goes on, with the tasks `again` as if they had never been.

    Those that the Plan does not have any more are among them, and nothing is kept of what is in a DAG or loop among
    them. All others keep their state; what has not come to a good end goes on, or is done again. `plan` is the digest
    of the Plan that it goes on with, empty if that is the same; `inputs` are the inputs of its root component.
    """

    again: tuple[TaskRef, ...]
    plan: str = ""
    inputs: Mapping[str, Value] = field(default_factory=dict)


@frozen
class RunEnded:
    """The run is over. `failures` are those that are not the failure of a task within, in order."""

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
