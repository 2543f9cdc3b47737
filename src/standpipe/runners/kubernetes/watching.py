"""The pods of a program: one thread watches all of them, and tells each attempt what happens to its own."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from queue import SimpleQueue
from typing import Literal, NamedTuple

from httpx2 import HTTPError
from lightkube.resources.core_v1 import Pod

from standpipe.errors import RunnerError
from standpipe.model.cancellation import Cancellation
from standpipe.runners.kubernetes.connection import Connection, Object
from standpipe.runners.kubernetes.names import JOB_NAME

#: The seconds after which the server ends a watch, so that a dead connection is noticed.
_WATCH_TIME = 240

#: The seconds until a watch that has failed begins again.
_PAUSE = 0.5


class PodSeen(NamedTuple):
    """A pod as it is now, or as it was before it was deleted."""

    pod: Object
    is_deleted: bool = False


#: What an attempt is told: of its pod, or that it is to stop.
Message = PodSeen | Literal["stop"]
Inbox = SimpleQueue[Message]


class PodWatch:
    """Watches the pods with some labels, from the first attempt on.

    Args:
        connection: the connection to the cluster.
        labels: the labels.
    """

    def __init__(self, connection: Connection, labels: dict[str, str]) -> None:
        self._connection = connection
        self._labels = labels
        self._lock = threading.Lock()
        self._inboxes: dict[str, Inbox] = {}
        self._last: dict[str, Object] = {}  # by the name of the Job
        self._cancel = Cancellation()
        self._closed = threading.Event()
        self._is_started = False

    @contextmanager
    def inbox(self, job: str) -> Iterator[Inbox]:
        """Give the queue of what happens to the pod of a Job, which is created in the block."""
        inbox: Inbox = SimpleQueue()
        with self._lock:
            self._inboxes[job] = inbox
            starts, self._is_started = not self._is_started, True
        if starts:
            threading.Thread(target=self._watch, daemon=True, name="standpipe-pods").start()
        try:
            yield inbox
        finally:
            with self._lock:
                del self._inboxes[job]
                self._last.pop(job, None)

    def look(self, job: str) -> None:
        """Look at the pod of a Job, of which nothing was heard for a while; the watch may be dead.

        Raises:
            RunnerError: if the server cannot be reached for long.
        """
        with self._lock:
            known = self._last.get(job)
        pods, _ = self._connection.list(Pod, self._cancel, labels={**self._labels, JOB_NAME: job})
        for pod in pods:
            self._tell(pod)
        if known is not None and not pods:
            self._tell(known, is_deleted=True)

    def close(self) -> None:
        """Stop watching."""
        self._closed.set()
        self._cancel.set()

    def _watch(self) -> None:
        try:
            self._watch_until_closed()
        except Exception:
            if not self._closed.is_set():  # otherwise its connection is closed, whatever that raises
                raise

    def _watch_until_closed(self) -> None:
        while not self._closed.is_set():
            # `look` tells attempts of a server that does not come back.
            with suppress(RunnerError, ValueError, HTTPError):
                version = self._list()
                for change, pod in self._connection.watch(Pod, self._labels, version, _WATCH_TIME):
                    self._tell(pod, is_deleted=change == "DELETED")
            self._closed.wait(_PAUSE)

    def _list(self) -> str:
        """Tell of all pods as they are, and of those that are gone; return the version of the list."""
        with self._lock:
            known = dict(self._last)
        pods, version = self._connection.list(Pod, self._cancel, labels=self._labels)
        for pod in pods:
            known.pop(_job_of(pod), None)
            self._tell(pod)
        for pod in known.values():
            self._tell(pod, is_deleted=True)
        return version

    def _tell(self, pod: Object, *, is_deleted: bool = False) -> None:
        job = _job_of(pod)
        with self._lock:
            inbox = self._inboxes.get(job)
            if inbox is None:
                return  # the attempt has ended
            self._last[job] = pod
        inbox.put(PodSeen(pod, is_deleted))


def _job_of(pod: Object) -> str:
    labels = pod["metadata"].get("labels") or {}
    return str(labels.get(JOB_NAME, ""))
