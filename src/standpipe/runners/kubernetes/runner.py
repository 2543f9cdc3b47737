"""The runner of tasks in pods of a Kubernetes cluster: each attempt is a Job."""

from __future__ import annotations

import base64
import math
import secrets
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

from lightkube.resources.batch_v1 import Job
from lightkube.resources.core_v1 import ConfigMap

from standpipe.artifact_stores.clients import Clients
from standpipe.artifact_stores.providers import FindProviders
from standpipe.errors import RunnerError, StandpipeError, UnsupportedError
from standpipe.model.attempts import CANCELLED_BEFORE_START, Outcome, TaskRequest
from standpipe.model.cancellation import Cancellation
from standpipe.model.plan import Container, PythonFunction
from standpipe.model.ports import Log, Problem
from standpipe.model.refs import RunId
from standpipe.model.resources import Capacity
from standpipe.runners.image_names import find_image_problem, is_pinned
from standpipe.runners.kubernetes import names
from standpipe.runners.kubernetes.attempt import PodAttempt, Settled, delete_job
from standpipe.runners.kubernetes.claims import Claims
from standpipe.runners.kubernetes.cluster_facts import find_setting_problems, read_capacity
from standpipe.runners.kubernetes.connection import Connection
from standpipe.runners.kubernetes.mailbox import REPLY, REQUEST, Mailbox
from standpipe.runners.kubernetes.messages import pack_message, read_reply
from standpipe.runners.kubernetes.pods import PodPlan, make_code, make_job
from standpipe.runners.kubernetes.settings import DEFAULTS, AgentSettings
from standpipe.runners.kubernetes.statuses import read_checksum
from standpipe.runners.kubernetes.watching import PodWatch
from standpipe.runners.missing_modules import explain_missing_module
from standpipe.runners.request_files import read_usage
from standpipe.runners.transport.archive import TRANSPORT, make_archive
from standpipe.runners.transport.node import find_local_inputs, refuse_local_inputs
from standpipe.support.notices import Notice, Once, inform, warn
from standpipe.support.timers import cancel_after

#: What our containers run.
CODE_PARTS = (
    *TRANSPORT,
    "runners/kubernetes/__init__.py",
    "runners/kubernetes/agent.py",
    "runners/kubernetes/mailbox.py",
)

#: The folder of the messages of an attempt, in that of the attempt. No output has such a name.
_MAILBOX = ".standpipe"

#: The seconds for which the answers about what options name are remembered.
_LIFETIME = 10.0

#: Seconds after which the removal of messages is given up: it must not delay the end of a run.
_REMOVAL_TIME = 10.0


class PodTaskRunner:
    """Implements `model.ports.Runner` with Jobs of a Kubernetes cluster.

    Args:
        namespace: the namespace of the Jobs; None for that of the context.
        context: the context of the kubeconfig; None for the current one.
        settings: the user's options about pods.
        warn: called with what is not done as asked.
        inform: called with the progress of what takes long.
    """

    is_remote = True

    def __init__(
        self,
        namespace: str | None = None,
        context: str | None = None,
        settings: AgentSettings = DEFAULTS,
        *,
        warn: Notice = warn,
        inform: Notice = inform,
    ) -> None:
        self._namespace = namespace
        self._context = context
        self._settings = settings
        self._notices = {"warn": warn, "inform": inform}
        self._owner = secrets.token_hex(8)
        self._lock = threading.RLock()
        self._opened: tuple[Connection, PodWatch] | None = None
        self._code = ""
        self._swept = Once()
        self._problems: tuple[float, list[Problem]] = (-math.inf, [])
        self._jobs: set[str] = set()
        self._clients: dict[RunId, Clients] = {}

    @contextmanager
    def use_stores(self, run: RunId, find_providers: FindProviders) -> Iterator[None]:
        """Send messages with the credentials of their run; see `artifact_stores.providers.StoreUser`."""
        self._clients[run] = Clients(find_providers)
        try:
            yield
        finally:
            del self._clients[run]

    # --- attempts -------------------------------------------------------------------------------------------------

    def run(self, request: TaskRequest, *, log: Log, cancel: Cancellation) -> Outcome:
        """Run one attempt to its end; see `model.ports.Runner`.

        Raises:
            UnsupportedError: if the task cannot run in a pod.
            RunnerError: if the cluster cannot be reached, or refuses the Job.
            StorageError: if the request cannot be put into the object store.
        """
        _check(request)
        if cancel:
            return CANCELLED_BEFORE_START
        connection, watch = self._open()
        self._sweep(connection, request)
        clients = self._clients.get(request.run) or Clients()
        with _mailbox(request, clients, self._notices["warn"]) as (mailbox, uri):
            content, checksum = pack_message(request)
            mailbox.put(REQUEST, content, cancel)
            code = self._provide_code(connection, cancel)
            job = names.name_job(request)
            plan = PodPlan(job, self._owner, code, uri, checksum, self._settings)
            with watch.inbox(job) as inbox, self._job(connection, request, plan, cancel):
                forget = cancel.on_set(lambda: inbox.put("stop"))
                try:
                    attempt = PodAttempt(request, job, connection, inbox, watch, log, cancel, self._notices)
                    settled = attempt.wait()
                finally:
                    forget()
            return _conclude(request, settled, mailbox)

    @contextmanager
    def _job(self, connection: Connection, request: TaskRequest, plan: PodPlan, cancel: Cancellation) -> Iterator[None]:
        """Create the Job of an attempt, and delete it at the end of the block."""
        self._jobs.add(plan.job)
        try:
            connection.create(Job.from_dict(make_job(request, plan)), cancel)
            yield
        finally:
            self._delete(connection, plan.job)

    def _delete(self, connection: Connection, job: str) -> None:
        try:
            delete_job(connection, job, None, None)
        except RunnerError as error:
            self._notices["warn"](f"The Job {job} was not deleted: {error}")
        else:
            self._jobs.discard(job)

    def _provide_code(self, connection: Connection, cancel: Cancellation) -> str:
        """Return the name of the ConfigMap with our code, which is made once in a namespace."""
        with self._lock:
            if not self._code:
                archive, digest = make_archive(CODE_PARTS)
                name = f"standpipe-{digest[:16]}"
                if connection.get(ConfigMap, name, cancel) is None:
                    content = make_code(name, base64.b64encode(archive).decode())
                    connection.create(ConfigMap.from_dict(content), cancel)
                self._code = name
            return self._code

    def _sweep(self, connection: Connection, request: TaskRequest) -> None:
        """Delete the Jobs that a program has left which drove this run before, and was killed."""
        labels = names.run_labels(request)
        if not self._swept.is_first(labels[names.RUN_DIGEST]):
            return
        jobs, _ = connection.list(Job, labels=labels)
        for job in jobs:
            if job["metadata"]["labels"].get(names.OWNER) != self._owner:
                self._delete(connection, job["metadata"]["name"])

    # --- what is known before ---------------------------------------------------------------------------------------

    def find_problems(self, executor: Container) -> Iterator[Problem]:
        """Yield why an executor's tasks are certain to fail, as far as that is known before they start."""
        if problem := find_image_problem(executor.image):
            yield problem
        with self._lock:
            asked_at, problems = self._problems
            if time.monotonic() - asked_at > _LIFETIME:
                problems = list(self._find_problems())
                self._problems = time.monotonic(), problems
        yield from problems

    def _find_problems(self) -> Iterator[Problem]:
        try:
            connection, _ = self._open()
            yield from find_setting_problems(connection, self._settings)
        except RunnerError as error:
            yield Problem(str(error), error.hint)

    def fingerprint(self, request: TaskRequest) -> str:
        """Return the names of the images, as KFP's cache on a cluster does; empty if one of them is meant to move."""
        images = (request.image, *(container.image for container in request.pod.init_containers))
        return f"kubernetes {' '.join(images)}" if all(map(is_pinned, images)) else ""

    def capacity(self) -> Capacity:
        """Return what the ready nodes can allocate; anything if they may not be listed."""
        connection, _ = self._open()
        return read_capacity(connection)

    @property
    def claims(self) -> Claims:
        """The PVCs in the namespace of its pods.

        Raises:
            RunnerError: if there is no connection.
        """
        connection, _ = self._open()
        return Claims(connection)

    # --- the connection ---------------------------------------------------------------------------------------------

    def _open(self) -> tuple[Connection, PodWatch]:
        """Return the connection to the cluster, made when it is first needed.

        Raises:
            RunnerError: if there is none.
        """
        with self._lock:
            if self._opened is None:
                connection = Connection(self._namespace, self._context, warn=self._notices["warn"])
                self._opened = connection, PodWatch(connection, names.owner_labels(self._owner))
            return self._opened

    def close(self) -> None:
        """Delete what this program has left in the cluster, and close the connection; a later attempt opens another."""
        with self._lock:
            opened, self._opened = self._opened, None
        if opened is None:
            return
        connection, watch = opened
        watch.close()
        for job in list(self._jobs):
            self._delete(connection, job)
        connection.close()


def _check(request: TaskRequest) -> None:
    """Raise an error for what this runner does not run."""
    task = repr(str(request.task))
    if request.pause:
        raise UnsupportedError(f"The task {task} cannot pause in a pod. Remove set_debug_pause, or use another runner.")
    if request.transfers is None:
        raise UnsupportedError(
            f"The task {task} cannot run in a pod, which does not see this machine. Set pipeline_root to a URI in an "
            "object store."
        )
    inputs = find_local_inputs(request)
    if inputs:
        raise refuse_local_inputs(request, inputs, "A pod", "")


@contextmanager
def _mailbox(request: TaskRequest, clients: Clients, warn: Notice) -> Iterator[tuple[Mailbox, str]]:
    """Give the messages of an attempt, and their URI; they are deleted at the end of the block."""
    assert request.transfers is not None, "it was checked"
    folder = request.folder.relative_to(request.pipeline_root).as_posix()
    uri = f"{request.transfers.root}/{folder}/{_MAILBOX}"
    mailbox = Mailbox(uri, clients)
    try:
        yield mailbox, uri
    finally:
        try:
            with cancel_after(_REMOVAL_TIME, Cancellation()) as (cancel, _):
                mailbox.delete(cancel)
        except StandpipeError as error:
            warn(f"Cannot remove {uri}: {error}")


def _conclude(request: TaskRequest, settled: Settled, mailbox: Mailbox) -> Outcome:
    """Return the outcome of an attempt whose pod has ended, and write what it has sent."""
    has_worker = isinstance(request.program, PythonFunction)
    if settled.outcome is not None:
        outcome = settled.outcome
        return explain_missing_module(outcome, request, in_image=True) if has_worker and outcome.cause else outcome
    try:
        stored = read_reply(request, mailbox.get(REPLY, Cancellation()), read_checksum(settled.pod))
    except (OSError, StandpipeError) as error:
        return Outcome(problem=f"its outputs did not arrive: {error}")
    success = Outcome(exit_code=0, stored=stored)
    if not has_worker:
        return success
    usage = read_usage(request)
    return replace(success, cpu_seconds=usage.cpu_seconds, peak_memory=usage.peak_memory)
