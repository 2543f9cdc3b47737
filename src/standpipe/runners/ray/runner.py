"""The runner of lightweight Python components on the nodes of a Ray cluster."""

from __future__ import annotations

import itertools
import math
import os
import re
import threading
from collections.abc import Iterator
from dataclasses import replace
from queue import Empty, SimpleQueue
from typing import Any

from standpipe import errors
from standpipe.errors import RunnerError, UnsupportedError
from standpipe.model.attempts import CANCELLED_BEFORE_START, Outcome, TaskRequest
from standpipe.model.cancellation import Cancellation
from standpipe.model.plan import Container, PythonFunction
from standpipe.model.ports import Log, Problem
from standpipe.model.resources import Capacity, ResourceRequest
from standpipe.runners.package_indexes import drop_password, has_variables, resolve_indexes
from standpipe.runners.ray.connection import Connection
from standpipe.runners.ray.node import Reply, Work
from standpipe.runners.ray.remote import KILL, STOP
from standpipe.runners.ray.shared_disk import SharedDisk
from standpipe.runners.transport.bundle import unpack_files
from standpipe.support.notices import Notice, Once, inform, warn

#: The seconds to wait, once an attempt has ended, for the rest of its log.
_REST_OF_LOG = 20.0

#: The numbers of this process's attempts.
_numbers = itertools.count()


class RayTaskRunner:
    """Implements `model.ports.Runner` with a Ray cluster: each attempt is a task of Ray, and a process below that.

    Args:
        address: the address of the cluster, as `ray.init` takes it.
        use_venv: whether each task runs in an environment that holds only its own packages.
        warn: called with what is not done as asked.
        inform: called with the progress of what takes long.
    """

    def __init__(
        self, address: str | None, *, use_venv: bool = True, warn: Notice = warn, inform: Notice = inform
    ) -> None:
        self._address = address
        self._use_venv = use_venv
        self._notices = {"warn": warn, "inform": inform}
        self._lock = threading.Lock()
        self._opened: Connection | None = None
        self._noticed = Once()
        self._shared_disk = SharedDisk()

    @property
    def is_remote(self) -> bool:
        """Whether the nodes read from and write to object stores themselves; see `model.ports.RemoteRunner`."""
        return True

    @property
    def connection(self) -> Connection:
        """The connection to the cluster, made when it is first needed.

        Raises:
            RunnerError: if there is none.
        """
        with self._lock:
            if self._opened is None:
                self._opened = Connection(self._address)
            return self._opened

    def run(self, request: TaskRequest, *, log: Log, cancel: Cancellation) -> Outcome:
        """Run one attempt to its end; see `model.ports.Runner`.

        Raises:
            UnsupportedError: if the task is not a lightweight Python component, or is to be debugged, or nodes need to
                see the pipeline root and do not.
            RunnerError: if the cluster cannot be reached, or its node cannot start the task.
        """
        _check(request)
        if cancel:
            return CANCELLED_BEFORE_START
        connection = self.connection
        if request.transfers is None:
            self._shared_disk.check(connection, request.pipeline_root, request.folder)
        name = f"{os.getpid()}-{next(_numbers)}"
        options = self._options(request, connection)
        shared = replace(request, concurrency=math.ceil(request.concurrency / max(1, len(connection.nodes))))
        with connection.inbox(name) as inbox:
            work = connection.ray.cloudpickle.dumps(tuple(Work(shared, self._use_venv)))
            task = connection.execute.options(**options)
            result = task.remote(connection.code, connection.digest, connection.exchange, name, work)
            result.future().add_done_callback(lambda future: inbox.put(("ended", future)))
            forget = cancel.on_set(lambda: inbox.put(("stop", None)))
            try:
                return _Attempt(connection, name, request, result, inbox, log, cancel, self._notices).wait()
            finally:
                forget()

    def find_problems(self, executor: Container) -> Iterator[Problem]:
        """Yield why an executor's tasks are certain to fail.

        Nothing is prepared: environments are built on the node that a task runs on, which is not known before.
        """
        if not isinstance(executor.program, PythonFunction):
            yield Problem(
                f"it runs a container ({executor.image}), and the RayRunner only runs lightweight Python components",
                "Use local.init(runner=local.DockerRunner()).",
            )

    def fingerprint(self, request: TaskRequest) -> str:
        """Return the version of Python and the platform of the head node, and indexes named by variables."""
        here = self.connection.platform
        if isinstance(request.program, PythonFunction) and has_variables(request.program):
            urls = resolve_indexes(request.program, {**request.env, **request.pod.env}).urls
            return " ".join((here, *map(drop_password, urls)))
        return here

    def capacity(self) -> Capacity:
        """Return the capacity of all nodes together."""
        return self.connection.capacity()

    def close(self) -> None:
        """Close the connection; a later attempt opens another one."""
        with self._lock:
            connection, self._opened = self._opened, None
        if connection is not None:
            connection.close()

    def _options(self, request: TaskRequest, connection: Connection) -> dict[str, Any]:
        """Return what Ray reserves for an attempt, on one node.

        As for Ray, a task that requests nothing needs a core. What no node has is a notice, as more than a machine has.
        """
        wanted = request.resources
        cpu, memory = _fit_to_ray(wanted.cpu) or 1, wanted.memory
        for what, amount, resource in (("cores", cpu, "CPU"), ("bytes of memory", memory, "memory")):
            largest = connection.largest(resource) if amount > (what == "cores") else amount
            if amount > largest:
                self._warn_once(
                    (request.run, request.task.name, resource),
                    f"Task {str(request.task)!r} requests {amount:g} {what}, and the largest node of the Ray cluster "
                    f"has {largest:g}: it runs with these.",
                )
        return {
            "name": f"standpipe: {request.task}",
            "max_retries": 0,  # the engine retries
            "num_cpus": min(cpu, connection.largest("CPU")) if cpu > 1 else cpu,
            "num_gpus": wanted.gpus,
            **({"memory": min(memory, connection.largest("memory"))} if memory else {}),
            **_accelerator_options(wanted),
        }

    def _warn_once(self, key: object, text: str) -> None:
        if self._noticed.is_first(key):
            self._notices["warn"](text)


class _Attempt:
    """One attempt, seen by the thread that waits for it."""

    def __init__(
        self,
        connection: Connection,
        name: str,
        request: TaskRequest,
        result: Any,
        inbox: SimpleQueue[tuple[str, Any]],
        log: Log,
        cancel: Cancellation,
        notices: dict[str, Notice],
    ) -> None:
        self._connection = connection
        self._name = name
        self._request = request
        self._result = result
        self._inbox = inbox
        self._log = log
        self._cancel = cancel
        self._notices = notices
        self._log_bytes = 0

    def wait(self) -> Outcome:
        """Copy the log until the attempt has ended, and return its outcome.

        Raises:
            StandpipeError: if it was not started.
        """
        while True:
            kind, content = self._inbox.get()
            if kind == "ended":
                return self._end(content)
            if kind == "disconnected":
                return Outcome(problem=f"the connection to the Ray cluster was lost: {_first_line(content)}")
            self._handle(kind, content)

    def _handle(self, kind: str, content: Any) -> None:
        if kind == "log":
            self._log_bytes += len(content)
            self._log.write(content)
        elif kind == "stop":
            self._stop()
        else:
            self._notices[kind](content.decode("utf-8", "surrogatepass"))

    def _stop(self) -> None:
        """Ask the node to stop the attempt; take it out of Ray's queue if no node has started it."""
        ray = self._connection.ray
        level = KILL if self._cancel.urgent else STOP
        try:
            is_started = ray.get(self._connection.exchange.stop.remote(self._name, level))
            if not is_started:
                ray.cancel(self._result)
        except ray.exceptions.RayError as error:
            self._inbox.put(("disconnected", error))

    def _end(self, future: Any) -> Outcome:
        error = future.exception()
        if error is not None:
            return self._explain(error)
        reply = Reply(*self._connection.ray.cloudpickle.loads(future.result()))
        self._read_rest_of_log(reply.log_bytes)
        if reply.files:
            try:
                unpack_files(self._request, reply.files)
            except OSError as error:
                return Outcome(problem=f"its outputs cannot be used: {error}")
        if reply.outcome is not None:
            return reply.outcome
        raise _make_error(reply)

    def _read_rest_of_log(self, size: int) -> None:
        while self._log_bytes < size:
            try:
                kind, content = self._inbox.get(timeout=_REST_OF_LOG)
            except Empty:
                kind = "disconnected"
            if kind == "disconnected":
                self._notices["warn"](f"{size - self._log_bytes} bytes of a log were lost on the way from its node.")
                return
            if kind != "stop":
                self._handle(kind, content)

    def _explain(self, error: BaseException) -> Outcome:
        """Return the outcome of an attempt for which Ray has an error."""
        exceptions = self._connection.ray.exceptions
        if isinstance(error, exceptions.TaskCancelledError):
            return CANCELLED_BEFORE_START
        text = _first_line(error)
        if isinstance(error, exceptions.OutOfMemoryError):
            return Outcome(problem="its node ran out of memory, and Ray killed it", out_of_memory=True, hint=text)
        if isinstance(error, (exceptions.NodeDiedError, exceptions.LocalRayletDiedError)):
            return Outcome(problem=f"the node that it ran on was lost: {text}", is_lost=True)
        if isinstance(error, exceptions.WorkerCrashedError):
            return Outcome(problem="the process of Ray that it was started from was killed, perhaps for its memory")
        return Outcome(problem=f"Ray could not run it: {text}")


def _check(request: TaskRequest) -> None:
    """Raise an error for what this runner does not run."""
    if not isinstance(request.program, PythonFunction):
        raise UnsupportedError(
            f"The task {str(request.task)!r} runs a container ({request.image}), and the RayRunner only runs "
            "lightweight Python components. Use local.init(runner=local.DockerRunner())."
        )
    if request.debug:
        raise UnsupportedError(
            f"The task {str(request.task)!r} cannot be debugged on a Ray cluster, which has no terminal. "
            "Add --runner subprocess to debug it on this machine."
        )


def _make_error(reply: Reply) -> errors.StandpipeError:
    """Return the error that was raised on a node."""
    kind = getattr(errors, reply.error, RunnerError)
    error: errors.StandpipeError = kind(reply.message)
    error.hint = reply.hint
    return error


def _first_line(error: BaseException) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[0] if lines else type(error).__name__


def _fit_to_ray(cpu: float) -> float:
    """Return a number of cores as Ray takes it: whole numbers above 1, and not more than four decimals."""
    return float(math.ceil(cpu)) if cpu > 1 else math.ceil(cpu * 10_000) / 10_000


def _accelerator_options(wanted: ResourceRequest) -> dict[str, str]:
    """Return the kind of accelerator as Ray names it: `T4` for `NVIDIA_TESLA_T4`; nothing for `nvidia.com/gpu`."""
    kind = re.sub(r"^(nvidia[_-])?(tesla[_-])?", "", wanted.accelerator, flags=re.IGNORECASE)
    return {"accelerator_type": kind.upper()} if wanted.gpus and kind and "/" not in kind else {}
