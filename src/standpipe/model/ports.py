"""Ports: the protocols of the services that a run uses. The values of attempts that they exchange are in `attempts`.

A module that implements a port imports only `model`, `support` and `errors`, and `worker` for what tasks share.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Protocol, runtime_checkable

from standpipe.model.attempts import Outcome, PodSettings, TaskRequest
from standpipe.model.cancellation import Cancellation
from standpipe.model.events import AttemptEnded, Fact, StartAttempt
from standpipe.model.frozen import frozen
from standpipe.model.plan import Container
from standpipe.model.refs import RunId, RunInfo, TaskRef
from standpipe.model.resources import Capacity
from standpipe.model.states import TaskState
from standpipe.model.types import Json
from standpipe.model.values import ArtifactValue, Checksum, Value


class Log(Protocol):
    """The sink of the bytes that a task prints, in their order."""

    def write(self, data: bytes) -> None: ...


#: Executes one attempt in the thread that calls it.
Attempt = Callable[[StartAttempt, Cancellation], AttemptEnded]


class FactSink(Protocol):
    """Takes the facts of a run, in order; for instance the run store or an observer."""

    def __call__(self, facts: Sequence[Fact], /) -> None: ...


@frozen
class TrackedRun:
    """What a tracker learns about a run, besides its facts.

    `page` is the address of its page in the web UI, without the token; empty if there is none. `rerun_of` is the run
    and the task that it reruns; empty for other runs. `quiet` is whether it shows no progress.
    """

    info: RunInfo
    page: str = ""
    rerun_of: str = ""
    quiet: bool = False


class Tracker(FactSink, Protocol):
    """The port of a tracker: it shows a run on a server of others, from its facts, which it gets without secrets.

    Neither a call nor `variables` waits long for the server, and none of them raises: whatever the server does, the run
    is the same.
    """

    def variables(self, task: TaskRef, attempt: int, cancel: Cancellation) -> Mapping[str, str]:
        """Return the variables by which a library in the task finds what the server has of it. Many threads call this.

        Args:
            task: the task.
            attempt: the number of the attempt, from 0; the tracker has got the fact that it has started.
            cancel: ends a wait for the server.
        """

    def close(self) -> None:
        """Wait until the server has all facts, a few seconds at most."""


class Runner(Protocol):
    """The port of a runner: it executes one attempt at a task and returns its outcome.

    `run` is called from several threads at the same time. It raises a `StandpipeError` only if nothing was started.
    When `cancel` is set it stops what it has started, and returns.
    """

    def run(self, request: TaskRequest, *, log: Log, cancel: Cancellation) -> Outcome: ...

    def fingerprint(self, request: TaskRequest) -> str:
        """Return what of the runner can affect the result of a task: the digest of the image, the version of Python.

        The fingerprint is a part of the cache key. It is empty if it is unknown, and then the result is not cached.
        The method starts nothing, and takes microseconds except for the first task of each image or environment.
        """

    def capacity(self) -> Capacity:
        """Return the CPU, memory and accelerators that its tasks share at this moment.

        Runs whose tasks ask for resources call it once, before the first task.
        """

    def close(self) -> None:
        """Close what outlives a task: fork servers, connections. It can be called more than once."""


@runtime_checkable
class RemoteRunner(Protocol):
    """A `Runner` of machines that read from and write to object stores themselves.

    If the artifacts of a run are in an object store, its requests have `transfers`, and this machine neither downloads
    inputs for an attempt nor uploads outputs after it.
    """

    @property
    def is_remote(self) -> bool:
        """Whether its tasks run on other machines."""


def moves_payloads(runner: Runner) -> bool:
    """Return whether a runner exchanges payloads with object stores itself, as a `RemoteRunner` does."""
    return isinstance(runner, RemoteRunner) and runner.is_remote


@frozen
class Problem:
    """A reason for which the tasks of an executor cannot run, known before they start.

    `message` is a sentence about the task, without an end, and `hint` is what to do. `line` is the number of the line
    of the executor's program that it is about, from 1; 0 if it is about the executor as a whole.
    """

    message: str
    hint: str = ""
    line: int = 0


@runtime_checkable
class CheckingRunner(Protocol):
    """A `Runner` that knows before a task starts what is wrong with its executor."""

    def find_problems(self, executor: Container) -> Iterable[Problem]:
        """Return why the tasks of an executor cannot run, as far as that is known before they start."""


@runtime_checkable
class PreparingRunner(CheckingRunner, Protocol):
    """A `CheckingRunner` that can build or pull ahead what executors need."""

    def is_prepared(self, executor: Container) -> bool:
        """Return whether nothing has to be built or pulled before a task of an executor can start, in microseconds."""

    def prepare(self, executor: Container, cancel: Cancellation) -> None:
        """Build or pull what the tasks of an executor need. It is called while other tasks run, from any thread.

        Args:
            executor: the image and program of the tasks, one that is not prepared.
            cancel: cancels it.

        Raises:
            StandpipeError: if the tasks will not be able to start, or `cancel` was set meanwhile.
        """

    def check(self, executor: Container, cancel: Cancellation) -> None:
        """Raise what `prepare` would, as far as that is known in a second: nothing is built or pulled.

        Args:
            executor: as for `prepare`.
            cancel: cancels it.

        Raises:
            StandpipeError: if `prepare` is certain to fail, or `cancel` was set meanwhile.
        """


#: Takes the requests of the attempts that are expected next, and the folders of the running ones; see `StandbyRunner`.
ExpectAttempts = Callable[[Sequence[TaskRequest], Collection[Path]], None]


@runtime_checkable
class StandbyRunner(Protocol):
    """A `Runner` that can start what an attempt runs in before the attempt, where it waits for its request."""

    def stand_by(self, run: RunId, root: Path) -> AbstractContextManager[ExpectAttempts]:
        """Start what expected attempts of a run will run in, during a block, at whose end all of it is gone.

        The value of the context is called at each turn of the run, with the requests of the attempts that are expected
        now, in the order in which they start, and with the folders of those that run. What waits for others is not
        needed any more. Parameters may be missing in the requests, and the folders do not exist. The call takes
        microseconds.

        Args:
            run: the run.
            root: the pipeline root.
        """


#: Calls a function in the thread that has called the run, and returns when the function has.
CallInThread = Callable[[Callable[[], None]], None]


@runtime_checkable
class CallerThreadRunner(Protocol):
    """A `Runner` that executes tasks in the thread that has called their run."""

    def use_thread(self, run: RunId, call: CallInThread) -> AbstractContextManager[None]:
        """Execute the attempts of a run in its caller's thread, during a block.

        Args:
            run: the run.
            call: calls a function there. It may be called from any thread but that one.
        """


class Cluster(Protocol):
    """The port of a cluster: it provides what the Kubernetes settings of a pipeline refer to.

    On this machine that is a substitute. For pods of a real cluster, it is the cluster itself.
    """

    def pod(self, executor: str, run: RunInfo, task: TaskRef, attempt: int) -> AbstractContextManager[PodSettings]:
        """Return the settings for an attempt at a task, as a context that removes temporary folders at its end.

        Args:
            executor: the label of the executor.
            run: the run.
            task: the task.
            attempt: the number of the attempt, from 0.

        Raises:
            StandpipeError: if an object is missing; the message says how to provide it.
        """

    def carries_out(self, image: str) -> bool:
        """Return whether an image is only a marker for the cluster, such as that of CreatePVC."""

    def carry_out(
        self, image: str, inputs: Mapping[str, Value], *, is_repeated: bool
    ) -> tuple[Mapping[str, Value], str]:
        """Execute a task whose image is only a marker for the cluster.

        Args:
            image: the image.
            inputs: the inputs of the task.
            is_repeated: whether it was executed before, but the run store does not know of its success.

        Returns:
            The outputs, and a sentence for the log.

        Raises:
            StandpipeError: if it fails.
        """


class ClaimStore(Protocol):
    """The PVCs in the namespace of a real cluster.

    A manifest is that of a PersistentVolumeClaim. Each method raises a `StandpipeError` if the cluster does not answer.
    """

    def create(self, manifest: Mapping[str, Json]) -> bool:
        """Create a PVC, and return whether its name was free.

        Raises:
            StandpipeError: if the cluster refuses it.
        """

    def delete(self, name: str) -> bool:
        """Delete a PVC, and return whether there was one."""


@runtime_checkable
class PodRunner(Protocol):
    """A `Runner` whose tasks are pods of a Kubernetes cluster, with the `manifest` of their settings."""

    @property
    def claims(self) -> ClaimStore:
        """The PVCs in the namespace of its pods."""


class ArtifactStore(Protocol):
    """Keeps the payloads of artifacts. Each is a file or a folder, at a location: a URI, or the `local_path` of one.

    An attempt uses it in this order: `locate` names the URI of each output before the task starts; `put` takes the
    payload over after the task has succeeded; `remove` deletes what a cancelled task has left. `exists`, `checksum` and
    `signature` tell the cache and `resume` whether a payload is still what its task left. `fetch` copies one to a path,
    for importers. A folder of this machine has the payload where the task wrote it, so that `put` only reads it. A
    store of objects, such as `s3://`, gives it a `local_path` of its own, uploads from there in `put`, and takes its
    signature from the object's ETag or version; docs/contributing/artifact-stores.md has the steps.

    Each method may be called from many threads at once, and with any location: tasks choose URIs of their own.
    """

    def locate(self, folder: Path, output: str) -> str:
        """Return the URI of an output that is not written yet.

        Args:
            folder: the attempt's own folder, which no other attempt of any run has.
            output: the name of the output, unique in its attempt.
        """

    def local_path(self, location: str) -> str:
        """Return the absolute path at which tasks on this machine read or write a payload; empty if there is none."""

    def owns(self, location: str) -> bool:
        """Return whether a location is the store's own: `locate` may have named it in some run."""

    def exists(self, location: str) -> bool:
        """Return whether anything is at a location, readable or not."""

    def put(self, location: str, cancel: Cancellation) -> Checksum | None:
        """Take over the payload that a task has written at the `local_path` of a location, and return its checksum.

        Returns:
            None if the location is not the store's own, or as `checksum`.
        """

    def checksum(self, location: str, cancel: Cancellation, algorithm: str = "") -> Checksum | None:
        """Return the checksum of a payload, wherever it is.

        Args:
            location: the location.
            cancel: stops the reading.
            algorithm: that of a checksum to compare with; by default, the store chooses it.

        Returns:
            None if there is no payload, it cannot be read, or `cancel` is set meanwhile.
        """

    def signature(self, location: str) -> str:
        """Return what tells one state of a payload from the next without reading it; empty if there is none."""

    def fetch(
        self,
        location: str,
        target: Path,
        root: Path,
        cancel: Cancellation,
        may_read: Callable[[str], bool] | None = None,
    ) -> None:
        """Copy a payload to `target`, over what is there. Each file appears whole, as other tasks may be reading it.

        Args:
            location: where the payload is.
            target: a path below `root`; the folders above it are made.
            root: the folder that no link may lead out of.
            cancel: stops the copying.
            may_read: returns whether a path of this machine may be read, which has no links; None if links of a payload
                of the store's own may lead to the payload itself and to `root`, and other links to anywhere.

        Raises:
            StandpipeError: if the store cannot read such a location, links lead out of `root` or to what may not be
                read, or `cancel` is set.
            OSError: if the payload is missing, or cannot be read or written.
        """

    def find_problem(self, location: str) -> str:
        """Return why this machine can read no payload at a location, as a phrase; empty if it can."""

    def task_path(self, artifact: ArtifactValue) -> str:
        """Return the path at which a task reads the payload of an input artifact, if that is not its location.

        It is the same before and after `provide`; empty if the task reads the payload at its location.
        """

    def provide(self, artifacts: Iterable[ArtifactValue], cancel: Cancellation) -> AbstractContextManager[None]:
        """Have the payloads of input artifacts at their `task_path`, as long as a block runs that reads them.

        Args:
            artifacts: the artifacts.
            cancel: stops it.

        Raises:
            StandpipeError: when the block is entered: a payload is missing, cannot be got, or is not what its task
                left, or `cancel` is set.
        """

    def remove(self, location: str) -> None:
        """Remove the payload at a location, if one is there and can be removed."""


@frozen
class CacheEntry:
    """The outputs of an attempt that succeeded, and their origin: a run and its task."""

    origin: str
    outputs: Mapping[str, Value]


class Cache(Protocol):
    """The port of the cache: outputs of attempts by cache key, and checksums of payloads by path.

    Threads and processes share it. Each method raises a `StorageError` if the cache cannot be read or written.
    """

    def find(self, key: str) -> CacheEntry | None:
        """Return the entry for a key, None if there is none. Its artifacts may have been modified or removed since."""

    def keep(self, key: str, entry: CacheEntry, instead_of: CacheEntry | None = None) -> CacheEntry:
        """Store an entry for a key, unless there is one already that is not `instead_of`.

        Returns:
            The entry that the cache has for the key now.
        """

    def checksum(self, path: str, signature: str) -> Checksum | None:
        """Return the checksum stored for a path, if it has this signature; otherwise None."""

    def note(self, path: str, checksum: Checksum) -> None:
        """Store the checksum of a path, in place of an older one."""

    def has_older_entries(self) -> bool:
        """Return whether an older Standpipe, which had SHA-256 only, has stored entries."""


class RecordedRun(Protocol):
    """What a store says about a run at one moment, without its facts."""

    @property
    def number(self) -> int:
        """The number of the run in the store. A run that was recorded later has a higher one.

        If its facts are replaced by others, it gets a new number.
        """

    @property
    def id(self) -> RunId: ...

    @property
    def pipeline(self) -> str: ...

    @property
    def created(self) -> str:
        """When the run was requested: ISO 8601, in UTC."""

    @property
    def rerun_of(self) -> str:
        """The run and the task that it reruns; empty for other runs."""

    @property
    def length(self) -> int:
        """How many facts it has, which is the sequence number of the last one."""

    @property
    def began(self) -> float | None:
        """When its first fact was recorded, in seconds since the epoch; None if it has no facts."""

    @property
    def latest(self) -> float | None:
        """When its last fact was recorded, in seconds since the epoch; None if it has no facts."""

    @property
    def idle(self) -> float:
        """The seconds between its first and its last fact in which no process drove it."""

    @property
    def state(self) -> TaskState | None:
        """Its final state; None until it has ended."""


class FactsReplaced(Exception):
    """The facts of a run were replaced by others after its number was read."""


class FactReader(Protocol):
    """Reads runs and their facts, from any thread, also while they are in progress.

    Facts are immutable and only appended, and the facts of a run are numbered from 1 without gaps; runs have ascending
    numbers. So a reader that keeps the last number it has seen can follow them without reading anything twice. A run
    whose facts are replaced, all at once, is a new one with the same id. Each method raises a `StorageError` if the
    store cannot be read.
    """

    def runs_since(self, number: int = 0) -> Sequence[RecordedRun]:
        """Return the runs with a higher number, in ascending order."""

    def run(self, run: RunId) -> RecordedRun:
        """Return what the store says about a run now.

        Raises:
            NoSuchRun: if there is no run with this id.
        """

    def facts_since(
        self, run: RunId, seq: int = 0, until: int | None = None, *, number: int | None = None
    ) -> Sequence[tuple[float, Fact]]:
        """Return the facts of a run with a higher sequence number, in order.

        Each is paired with the time at which it was recorded, in seconds since the epoch.

        Args:
            run: the id of the run. An unknown run has no facts.
            seq: the sequence number of the last fact that is known; 0 returns all facts.
            until: the sequence number of the last fact to return; by default, of the last one that is recorded.
            number: the number of the run whose facts are read; by default, of the one with this id now.

        Raises:
            FactsReplaced: if the run has another number by now.
        """
