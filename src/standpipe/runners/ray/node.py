"""One attempt on a node: the runner of processes, with its log, its notices and its cancellation in the exchange."""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from functools import lru_cache, partial
from pathlib import Path
from typing import Any, NamedTuple

from standpipe.errors import StandpipeError, StorageError
from standpipe.model.attempts import CANCELLED_BEFORE_START, Outcome, TaskRequest
from standpipe.model.cancellation import Cancellation
from standpipe.model.resources import Limits
from standpipe.runners.process.runner import ProcessTaskRunner
from standpipe.runners.process.venv import CurrentEnvironment, Venvs
from standpipe.runners.ray.remote import KILL, RUN, STOP, Message
from standpipe.runners.ray.transfers import Result, run_with_transfers
from standpipe.support.system_files import read_text
from standpipe.support.user_dirs import cache_folder
from standpipe.worker.process_state import raw_environ

#: The seconds for which a node waits for a request to stop before it asks again.
_PATIENCE = 30.0

#: The most bytes of a log that wait in this process. A task that prints more waits.
_MOST_BYTES = 8 * 1024 * 1024


class Work(NamedTuple):
    """What the program sends to a node: an attempt, and whether its packages go into an environment of their own."""

    request: TaskRequest
    use_venv: bool


class Reply(NamedTuple):
    """How an attempt ended, with the bytes of its log; or the error for which it could not be started.

    `files` are the small files that it has left, if the program does not see them.
    """

    outcome: Outcome | None
    log_bytes: int = 0
    files: bytes = b""
    error: str = ""
    message: str = ""
    hint: str = ""


def run_attempt(exchange: Any, attempt: str, work: bytes) -> bytes:
    """Run one attempt in a process of its own, and return its `Reply`, in Ray's notation.

    Args:
        exchange: the handle of the exchange.
        attempt: the name of the attempt there.
        work: a `Work`, in Ray's notation.
    """
    import ray  # in its own process only

    request, use_venv = Work(*ray.cloudpickle.loads(work))
    level = ray.get(exchange.start.remote(attempt))
    try:
        if level != RUN:
            return _pack(Reply(CANCELLED_BEFORE_START))
        if not request.transfers and not request.folder.is_dir():
            return _pack(_refuse_folder(request, ray.util.get_node_ip_address()))
        return _pack(_run(exchange, attempt, _adapt(request, list(map(str, ray.get_gpu_ids()))), use_venv))
    finally:
        exchange.forget.remote(attempt)


def _pack(reply: Reply) -> bytes:
    import ray  # in its own process only

    packed: bytes = ray.cloudpickle.dumps(tuple(reply))  # without its class: the program may know it by another module
    return packed


def _run(exchange: Any, attempt: str, request: TaskRequest, use_venv: bool) -> Reply:
    import ray  # in its own process only

    with _sending(exchange, attempt) as outbox, _listening(exchange, attempt) as cancel:
        _send_notices(outbox)

        def run(request: TaskRequest) -> Outcome:
            return _runner(use_venv).run(request, log=outbox, cancel=cancel)

        try:
            if request.transfers:
                result = run_with_transfers(request, ray.util.get_node_ip_address(), run, cancel)
            else:
                result = Result(run(request))
        except StandpipeError as error:
            name = "StorageError" if isinstance(error, StorageError) else type(error).__name__
            return Reply(None, outbox.log_bytes, b"", name, str(error), error.hint)
    return Reply(result.outcome, outbox.log_bytes, result.files)


def _refuse_folder(request: TaskRequest, node: str) -> Reply:
    message = (
        f"The node {node} does not see the folder of the task {str(request.task)!r}: {request.folder}. The nodes of a "
        "Ray cluster need a disk that they share with this machine, at the same path."
    )
    hint = "Set pipeline_root to a folder on such a disk, or to an object store, such as s3://bucket/prefix."
    return Reply(None, 0, b"", "UnsupportedError", message, hint)


def _adapt(request: TaskRequest, gpus: list[str]) -> TaskRequest:
    """Return the request with the accelerators that Ray has reserved on this node, which are the only visible ones."""
    limits = Limits(request.limits.cpu, request.limits.memory, tuple(gpus))
    hidden = {} if gpus else {"CUDA_VISIBLE_DEVICES": ""}
    return replace(request, limits=limits, env={**hidden, **request.env})


class _Notices(logging.Handler):
    """Sends the notices of this process with those of its attempt: Ray runs one at a time here."""

    outbox: Outbox | None = None

    def tell(self, kind: str, text: str) -> None:
        if self.outbox is not None:
            self.outbox.tell(kind, text)

    def emit(self, record: logging.LogRecord) -> None:
        """Send a notice that does not come from the runner, such as one of artifact stores."""
        self.tell("warn" if record.levelno >= logging.WARNING else "inform", record.getMessage())


_notices = _Notices()


def _send_notices(outbox: Outbox) -> None:
    """Send the notices of this process with an attempt from now on."""
    _notices.outbox = outbox
    logger = logging.getLogger("standpipe")
    logger.setLevel(logging.INFO)
    logger.addHandler(_notices)  # once


@lru_cache(maxsize=2)
def _runner(use_venv: bool) -> ProcessTaskRunner:
    """Return the runner of this process, whose fork servers stay for its next attempts."""
    environments = Venvs(Path(cache_folder(), "envs")) if use_venv else CurrentEnvironment()
    return ProcessTaskRunner(
        environments,
        warn=partial(_notices.tell, "warn"),
        inform=partial(_notices.tell, "inform"),
        environ=_node_environ,
    )


@lru_cache(maxsize=1)
def _node_environ() -> Mapping[bytes, bytes]:
    """Return the variables with which Ray was started on this node, without those that it sets for its workers.

    Ray sets `OMP_NUM_THREADS`, `PYTHONBREAKPOINT` and more in this process, which no task may see.
    """
    text = read_text(Path("/proc", os.environ.get("RAY_RAYLET_PID", "self"), "environ"))
    pairs = (os.fsencode(line).partition(b"=") for line in text.split("\0") if "=" in line)
    environ = {name: value for name, _, value in pairs if name not in _OF_RAY}
    return environ or {
        name: value for name, value in raw_environ().items() if name not in {*_OF_RAY, b"OMP_NUM_THREADS"}
    }


#: What Ray sets for the processes that it starts.
_OF_RAY = frozenset(map(os.fsencode, ("PYTHONBREAKPOINT", "RAY_JOB_ID", "RAY_RAYLET_PID", "RAY_LD_PRELOAD_ON_WORKERS")))


# --- the exchange -----------------------------------------------------------------------------------------------------


class Outbox:
    """The log of an attempt, and its notices, on their way to the exchange: one message at a time, in order."""

    def __init__(self, exchange: Any, attempt: str) -> None:
        self.log_bytes = 0
        self._exchange = exchange
        self._attempt = attempt
        self._changed = threading.Condition()
        self._messages: list[Message] = []
        self._size = 0
        self._closed = False
        self._error: BaseException | None = None

    def write(self, data: bytes) -> None:
        """Take bytes of the log."""
        with self._changed:
            self._changed.wait_for(lambda: self._size < _MOST_BYTES or self._error)
            self.log_bytes += len(data)
            self._size += len(data)
            self._messages.append((self._attempt, "log", bytes(data)))
            self._changed.notify_all()

    def tell(self, kind: str, text: str) -> None:
        """Take a notice."""
        with self._changed:
            self._messages.append((self._attempt, kind, text.encode("utf-8", "surrogatepass")))
            self._changed.notify_all()

    def close(self) -> None:
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    def send(self) -> None:
        """Send messages until it is closed and nothing is left."""
        import ray  # in its own process only

        while messages := self._take():
            try:
                ray.get(self._exchange.put.remote(messages))
            except ray.exceptions.RayError as error:  # the exchange is gone, and with it the program
                with self._changed:
                    self._error = error
                    self._changed.notify_all()
                return

    def _take(self) -> list[Message]:
        with self._changed:
            self._changed.wait_for(lambda: self._messages or self._closed)
            messages, self._messages, self._size = self._messages, [], 0
            self._changed.notify_all()
        return messages


@contextmanager
def _sending(exchange: Any, attempt: str) -> Iterator[Outbox]:
    """Give an outbox; at the end of the block, everything in it has been sent."""
    outbox = Outbox(exchange, attempt)
    thread = threading.Thread(target=outbox.send, daemon=True)
    thread.start()
    try:
        yield outbox
    finally:
        outbox.close()
        thread.join()


@contextmanager
def _listening(exchange: Any, attempt: str) -> Iterator[Cancellation]:
    """Give a cancellation that is set when the program asks the attempt to stop, during the block."""
    cancel, ended = Cancellation(), threading.Event()
    threading.Thread(target=_listen, args=(exchange, attempt, cancel, ended), daemon=True).start()
    try:
        yield cancel
    finally:
        ended.set()


def _listen(exchange: Any, attempt: str, cancel: Cancellation, ended: threading.Event) -> None:
    import ray  # in its own process only

    level = RUN
    while level < KILL and not ended.is_set():
        try:
            level = ray.get(exchange.wait_for_stop.remote(attempt, level, _PATIENCE))
        except ray.exceptions.RayError:  # the program is gone: nobody reads the result
            level = KILL
        if level >= STOP and not ended.is_set():
            cancel.set(urgent=level == KILL)
