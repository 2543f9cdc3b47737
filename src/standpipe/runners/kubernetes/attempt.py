"""One attempt in a pod, as the thread sees it that waits for it."""

from __future__ import annotations

import signal
import time
from contextlib import suppress
from queue import Empty
from typing import NamedTuple

from lightkube.resources.batch_v1 import Job
from lightkube.resources.core_v1 import Event, Pod

from standpipe.errors import RunnerError
from standpipe.model.attempts import Outcome, TaskRequest
from standpipe.model.cancellation import Cancellation
from standpipe.model.ports import Log
from standpipe.runners.kubernetes import statuses
from standpipe.runners.kubernetes.connection import Connection, Object
from standpipe.runners.kubernetes.pod_logs import PodLogs
from standpipe.runners.kubernetes.pods import GRACE_PERIOD, MAIN
from standpipe.runners.kubernetes.statuses import Containers, Wait
from standpipe.runners.kubernetes.watching import Inbox, PodWatch
from standpipe.support.notices import Notice

#: The seconds without news after which the pod is looked at.
_SILENCE = 60.0

#: The seconds for which a pod may wait for an image or for what its containers refer to, where that may come.
_PATIENCE = {"image": 90.0, "config": 60.0}

#: The seconds after which the user is told what a pod waits for, and why a Job has no pod.
_QUIET = 10.0

#: The seconds after which the events of a Job are read that has no pod yet.
_EARLY = 2.0

#: The seconds for which a Job may have no pod, unless a quota holds it back.
_POD_PATIENCE = 120.0

#: What the API server says of a pod that its namespace does not allow (`pod-security-admission`, `admission.go`).
_INSECURE = "violates PodSecurity"

#: What to do about a container that must not run as root.
_USER_HINT = (
    "Name a user that is not root. For all containers: local.KubernetesRunner(run_as_user=1000), or --runner-option "
    "run_as_user=1000. For one task, but not its init containers and sidecars: "
    "kubernetes.set_security_context(task, run_as_user=1000), which wins over the option."
)
_INSECURE_HINT = (
    "The namespace enforces a Pod Security Standard, and the message names what does not satisfy it. " + _USER_HINT
)

#: The seconds after the grace period in which a stopped pod is gone.
_STOPPING = 10.0


class Settled(NamedTuple):
    """The pod of an attempt at its end: how it ended, unless it succeeded."""

    pod: Object
    outcome: Outcome | None


class PodAttempt:
    """Waits for the pod of a Job, and stops it.

    Args:
        request: the attempt.
        job: the name of the Job.
        connection: the connection to the cluster.
        inbox: gets what happens to the pod.
        watch: looks at the pod.
        log: gets what the task prints.
        cancel: asks to stop.
        notices: `warn` and `inform`.
    """

    def __init__(
        self,
        request: TaskRequest,
        job: str,
        connection: Connection,
        inbox: Inbox,
        watch: PodWatch,
        log: Log,
        cancel: Cancellation,
        notices: dict[str, Notice],
    ) -> None:
        self._request = request
        self._job = job
        self._connection = connection
        self._inbox = inbox
        self._watch = watch
        self._logs = PodLogs(connection, log, notices["inform"])
        self._cancel = cancel
        self._notices = notices
        self._started = time.monotonic()
        self._looked = self._started
        self._asks_at = _EARLY
        self._pod: Object | None = None
        self._waits: dict[Wait, float] = {}
        self._shown: set[str] = set()
        self._ends_by = float("inf")

    def wait(self) -> Settled:
        """Copy the log until the pod has ended.

        Raises:
            RunnerError: if the cluster cannot be reached for long.
        """
        try:
            while True:
                settled = self._step()
                if settled is not None:
                    return settled
        finally:
            self._logs.close()

    def _step(self) -> Settled | None:
        """Wait for one message, or a second; return the end of the pod, None if it has not ended."""
        try:
            message = self._inbox.get(timeout=1.0)
        except Empty:
            return self._check_time()
        self._looked = time.monotonic()
        if message == "stop":
            return self._stop()
        return self._see(*message)

    def _see(self, pod: Object, is_deleted: bool) -> Settled | None:
        self._pod = pod
        self._logs.follow(pod)
        if statuses.has_ended(pod) or is_deleted:
            return self._end(pod, is_deleted=is_deleted)
        wait = statuses.find_wait(pod)
        self._waits = {wait: self._waits.get(wait, time.monotonic())} if wait else {}
        return self._check_wait()

    def _end(self, pod: Object, *, is_deleted: bool) -> Settled:
        if not self._logs.finish() and not self._cancel:
            self._notices["warn"](f"The end of the log of task {str(self._request.task)!r} was lost with its pod.")
        if (pod.get("status") or {}).get("phase") == "Succeeded":
            return Settled(pod, None)
        if self._cancel:
            return Settled(pod, _stopped(pod, is_urgent=self._cancel.urgent))
        return Settled(pod, statuses.read_failure(pod, is_deleted=is_deleted))

    # --- waits ----------------------------------------------------------------------------------------------------

    def _check_time(self) -> Settled | None:
        now = time.monotonic()
        if now > self._ends_by:
            self._notices["warn"](
                f"The pod of task {str(self._request.task)!r} has not ended after its cancellation. Its Job was "
                f"deleted; look with: kubectl get pods --namespace {self._connection.namespace} -l job-name={self._job}"
            )
            return Settled(self._pod or {}, Outcome(problem="it was cancelled, and its pod may still run"))
        if now - self._looked > _SILENCE:
            self._looked = now
            self._watch.look(self._job)
        return self._check_wait() or self._check_events()

    def _check_wait(self) -> Settled | None:
        """Tell what the pod waits for; return its end if that will not come."""
        if self._cancel:
            return None
        for wait, since in self._waits.items():
            waited = time.monotonic() - since
            if wait.is_final or waited > _PATIENCE.get(wait.kind, float("inf")):
                is_root = wait.kind == "config" and wait.is_final
                return self._give_up(_describe_wait(self._request, wait), _USER_HINT if is_root else "")
            if waited > _QUIET:
                self._tell(f"Task {str(self._request.task)!r} waits: {wait.text}")
        return None

    def _check_events(self) -> Settled | None:
        """Tell why the Job has no pod, or why no container of it has started; return its end if no pod will come."""
        waited = time.monotonic() - self._started
        if self._has_started or self._cancel or waited < self._asks_at:
            return None
        self._asks_at = waited + (_EARLY if waited < _QUIET else _QUIET)
        if self._pod is None:
            return self._check_job(waited)
        if waited > _QUIET and (reason := self._read_events(self._pod["metadata"]["name"])):
            self._tell(f"Task {str(self._request.task)!r} waits: {reason}")
        return None

    def _check_job(self, waited: float) -> Settled | None:
        """Tell why the Job has no pod yet, after so many seconds; return its end if no pod will come."""
        reason = self._read_events(self._job)
        if reason and _INSECURE in reason:
            return self._give_up(f"its pod could not be made: {reason}", _INSECURE_HINT)
        if reason and waited > _POD_PATIENCE and "exceeded quota" not in reason:
            return self._give_up(f"its pod could not be made: {reason}")
        if reason is None:
            look = f"kubectl describe job {self._job} --namespace {self._connection.namespace}"
            reason = f"events, which say why, cannot be read. Look with: {look}"
        if reason and waited > _QUIET:
            self._tell(f"Task {str(self._request.task)!r} has no pod yet: {reason}")
        return None

    @property
    def _has_started(self) -> bool:
        containers = Containers.of(self._pod or {})
        return any(map(containers.has_started, containers.statuses))

    def _read_events(self, name: str) -> str | None:
        """Return the newest warning about an object; empty if there is none, None if events cannot be read."""
        with suppress(RunnerError):
            fields = {"involvedObject.name": name, "type": "Warning"}
            events, _ = self._connection.list(Event, self._cancel, fields=fields)
            return next((str(event.get("message", "")) for event in reversed(events)), "")
        return None

    def _give_up(self, problem: str, hint: str = "") -> Settled:
        return Settled(self._pod or {}, Outcome(problem=problem, hint=hint))

    def _tell(self, text: str) -> None:
        if text not in self._shown:
            self._shown.add(text)
            self._notices["inform"](text)

    # --- stops ----------------------------------------------------------------------------------------------------

    def _stop(self) -> Settled | None:
        """Delete the pod, with time to end or without; the Job first, which would report a failure."""
        grace = 0 if self._cancel.urgent else GRACE_PERIOD
        self._ends_by = time.monotonic() + grace + _STOPPING
        self._cancel.expect_cleanup(grace + _STOPPING)
        delete_job(self._connection, self._job, self._pod, grace)
        if self._pod is None:
            return Settled({}, Outcome(problem="it was cancelled before its pod was made"))
        return None


def delete_job(connection: Connection, job: str, pod: Object | None, grace: int | None) -> None:
    """Delete a Job and its pod.

    Args:
        connection: the connection to the cluster.
        job: the name of the Job.
        pod: its pod, if it is known.
        grace: the seconds that the pod has to end; None if it has ended.

    Raises:
        RunnerError: if the server refuses it, or cannot be reached for long.
    """
    connection.delete(Job, job)
    if pod is not None and grace is not None:
        connection.delete(Pod, pod["metadata"]["name"], grace=grace)


def _stopped(pod: Object, *, is_urgent: bool) -> Outcome:
    """Return the outcome of a task that was cancelled: how it ended, if its container says it.

    A pod that gets no time to end is gone before its node has killed it.
    """
    ended = Containers.of(pod).terminated(MAIN)
    code = int(ended["exitCode"]) if ended else 0
    if not code:
        return Outcome(signal=signal.SIGKILL) if is_urgent else Outcome(problem="it was cancelled")
    return Outcome(signal=code - 128) if 128 < code <= 192 else Outcome(exit_code=code)


def _describe_wait(request: TaskRequest, wait: Wait) -> str:
    if wait.kind == "image":
        image = (
            f"its image {request.image}" if wait.container == MAIN else f"the image of the container {wait.container!r}"
        )
        return f"{image} cannot be pulled: {wait.text}"
    return f"its container {wait.container!r} cannot be made: {wait.text}"
