"""What the status of a pod says: whether it waits for something that never comes, and how it has ended."""

from __future__ import annotations

import re
import signal
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from standpipe.model.attempts import Outcome
from standpipe.model.frozen import replace
from standpipe.model.json_values import InvalidJson, parse_json
from standpipe.model.types import Json
from standpipe.runners.kubernetes.connection import Object
from standpipe.runners.kubernetes.pods import FETCH, MAIN, STORE
from standpipe.runners.request_files import is_count, make_outcome, to_error_details, to_usage

#: The reasons for which a container waits although its image, or what it refers to, cannot be had (kubelet,
#: `images/types.go` and `kuberuntime/kuberuntime_container.go`).
_IMAGE_REASONS = frozenset(
    (
        "ErrImagePull",
        "ImagePullBackOff",
        "InvalidImageName",
        "ErrImageNeverPull",
        "ImageInspectError",
        "RegistryUnavailable",
    )
)
_CONFIG_REASONS = frozenset(("CreateContainerConfigError", "CreateContainerError"))

#: What a registry says that does not change in a minute.
_IS_FINAL = re.compile(
    r"not found|manifest unknown|unauthorized|denied|forbidden|invalid reference|no such host|no match for platform",
    re.IGNORECASE,
)

#: The reasons of a pod that failed with its node, or that never had one (`status.reason`).
_LOST_REASONS = re.compile(
    r"Evicted|NodeLost|NodeShutdown|Shutdown|Terminated|Preempting|Node\w*Affinity|OutOf.+|"
    r"UnexpectedAdmissionError|TopologyAffinityError|NodeAffinity|NodePorts"
)

#: What the kubelet says of a pod that it has evicted for its own use of disk: it would be evicted on any node.
_OWN_FAULT = re.compile(r"exceed(s|ed) (the total|its local|the).*limit", re.IGNORECASE)

#: The reason of a pod that took longer than its `activeDeadlineSeconds`.
_TIMEOUT = "DeadlineExceeded"

#: The exit code for a container of which nothing is known, because its node is gone.
_UNKNOWN_STATUS = "ContainerStatusUnknown"

#: The reasons of a container whose program could not be started.
_NOT_STARTED = frozenset(("StartError", "ContainerCannotRun", "RunContainerError"))
_NOT_STARTED_HINT = (
    "Check the component's image, command and args. A lightweight Python component needs python3 (3.9 or newer) in its "
    "image."
)


class Wait(NamedTuple):
    """What a pod waits for. With `is_final`, waiting longer is certain to be of no use.

    `kind` is `image`, `config` or `node`; `container` the name of its container. A final `config` is that of a
    container that must not run as root, and would.
    """

    kind: str
    text: str
    container: str = ""
    is_final: bool = False


class Containers(NamedTuple):
    """The statuses of the containers of a pod, by their names, in the order in which they run."""

    statuses: Mapping[str, Object]

    @classmethod
    def of(cls, pod: Object) -> Containers:
        """Return those of a pod."""
        status = pod.get("status") or {}
        listed = [*(status.get("initContainerStatuses") or ()), *(status.get("containerStatuses") or ())]
        return cls({each["name"]: each for each in listed})

    def terminated(self, name: str) -> Object | None:
        """Return how a container has ended; None if it has not."""
        found: Object | None = self._state(name).get("terminated")
        return found

    def has_started(self, name: str) -> bool:
        """Return whether a container runs, or has run."""
        state = self._state(name)
        return bool(state.get("running") or state.get("terminated"))

    def waiting(self) -> Iterator[tuple[str, Object]]:
        """Yield the containers that wait for something, with the reason."""
        for name in self.statuses:
            waiting = self._state(name).get("waiting")
            if waiting:
                yield name, waiting

    def _state(self, name: str) -> Mapping[str, Any]:
        return (self.statuses.get(name) or {}).get("state") or {}


def find_wait(pod: Object) -> Wait | None:
    """Return what a pod waits for that may never come; None if it is on its way."""
    for name, waiting in Containers.of(pod).waiting():
        reason, message = waiting.get("reason", ""), (waiting.get("message") or waiting.get("reason", "")).strip()
        if reason in _IMAGE_REASONS:
            is_final = reason in ("InvalidImageName", "ErrImageNeverPull") or bool(_IS_FINAL.search(message))
            return Wait("image", message, name, is_final)
        if reason in _CONFIG_REASONS:
            return Wait("config", message, name, "run as root" in message.lower() or "non-root" in message.lower())
    for condition in (pod.get("status") or {}).get("conditions") or ():
        if condition["type"] == "PodScheduled" and condition["status"] == "False":
            return Wait("node", condition.get("message") or condition.get("reason") or "no node was chosen")
    return None


def has_ended(pod: Object) -> bool:
    """Return whether all containers of a pod have ended for good."""
    return (pod.get("status") or {}).get("phase") in ("Succeeded", "Failed")


def find_loss(pod: Object, *, is_deleted: bool) -> str:
    """Return why a pod that did not succeed says nothing of its task, as a phrase; empty if it does.

    Args:
        pod: the pod, as it was last seen.
        is_deleted: whether somebody else has deleted it.
    """
    status = pod.get("status") or {}
    reason, message = status.get("reason") or "", (status.get("message") or "").strip()
    if reason and _LOST_REASONS.fullmatch(reason) and not _OWN_FAULT.search(message):
        return f"its pod was lost: {reason}{f' ({message})' if message else ''}"
    for condition in status.get("conditions") or ():
        if condition["type"] == "DisruptionTarget" and condition["status"] == "True":
            what = condition.get("message") or condition.get("reason") or "disruption"
            return f"its pod was lost: {what}"
    terminated = filter(None, map(Containers.of(pod).terminated, Containers.of(pod).statuses))
    if any(each.get("reason") == _UNKNOWN_STATUS for each in terminated):
        return "its pod was lost: its node does not say how it ended"
    if is_deleted or (pod.get("metadata") or {}).get("deletionTimestamp"):
        node = (pod.get("spec") or {}).get("nodeName")
        return f"its pod was deleted, which was on the node {node}" if node else "its pod was deleted"
    return ""


def read_failure(pod: Object, *, is_deleted: bool) -> Outcome:
    """Return the outcome of a pod that did not succeed.

    Args:
        pod: the pod, as it was last seen.
        is_deleted: whether somebody else has deleted it.
    """
    containers, status = Containers.of(pod), pod.get("status") or {}
    sidecars = _sidecars(pod)
    if status.get("reason") == _TIMEOUT:
        seconds = (pod.get("spec") or {}).get("activeDeadlineSeconds")
        return Outcome(problem=f"it was stopped by its timeout, after {seconds} s (kubernetes.set_timeout)")
    main = containers.terminated(MAIN)
    has_failed = main is not None and main["exitCode"] != 0
    loss = find_loss(pod, is_deleted=is_deleted)
    if loss and not (has_failed and main and main.get("reason") == "OOMKilled"):
        return Outcome(problem=loss, is_lost=True)
    for name in containers.statuses:
        ended = containers.terminated(name)
        if ended is None or ended["exitCode"] == 0 or name in sidecars:
            continue
        if name == MAIN:
            return _read_main(pod, ended)
        return _read_other(name, ended)
    text = status.get("message") or status.get("reason") or "its pod failed, and no container says why"
    return Outcome(problem=str(text))


def read_usage(pod: Object) -> Mapping[str, Json]:
    """Return the termination message of the task's container; empty if it has left none that the worker writes."""
    return _read_message(Containers.of(pod).terminated(MAIN) or {})


def read_checksum(pod: Object) -> str:
    """Return the checksum of the reply of a pod that has succeeded; empty if it has sent none."""
    checksum = _read_message(Containers.of(pod).terminated(STORE) or {}).get("checksum")
    return checksum if isinstance(checksum, str) else ""


def _read_main(pod: Object, ended: Object) -> Outcome:
    """Return the outcome of a task that failed. Like a shell, Kubernetes reports a signal as 128 plus its number."""
    code = int(ended["exitCode"])
    if ended.get("reason") in _NOT_STARTED:
        text = (ended.get("message") or "no reason is known").strip()
        return Outcome(problem=f"its container could not be started: {text}", hint=_NOT_STARTED_HINT)
    message = _read_message(ended)
    reported, usage = message.get("error"), message.get("usage")
    error = to_error_details(reported if isinstance(reported, dict) else {})
    used = to_usage(usage if isinstance(usage, dict) else {})
    number = code - 128
    killed = 0 < number <= 64 and not error.detail
    # Some engines say nothing of a process that the kernel has killed, unless it was the first one of the container.
    kills = message.get("memory_kills")
    out_of_memory = ended.get("reason") == "OOMKilled" or (number == signal.SIGKILL and is_count(kills) and kills > 0)
    return replace(
        make_outcome(None if killed else code, error, used),
        signal=number if killed else None,
        out_of_memory=error.out_of_memory or out_of_memory,
    )


def _read_other(name: str, ended: Object) -> Outcome:
    """Return the outcome of a pod in which another container than that of the task has failed."""
    message = _read_message(ended)
    report = message.get("message")
    hint = message.get("hint")
    text = report if isinstance(report, str) else (ended.get("message") or "").strip()
    how = f"{_describe_exit(ended)}{f': {text}' if text else ''}"
    if name == FETCH:
        problem = text if report else f"its inputs could not be fetched: the container {name!r} {how}"
    elif name == STORE:
        problem = f"its outputs could not be stored: {text if report else f'the container {name!r} {how}'}"
    else:
        problem = f"its init container {name!r} {how}"
    return Outcome(problem=problem, hint=hint if isinstance(hint, str) else "")


def _describe_exit(ended: Object) -> str:
    if ended.get("reason") == "OOMKilled":
        return "was killed for its memory"
    return f"failed with exit code {ended['exitCode']}"


def _sidecars(pod: Object) -> set[str]:
    containers = (pod.get("spec") or {}).get("initContainers") or ()
    return {each["name"] for each in containers if each.get("restartPolicy") == "Always"}


def _read_message(ended: Object) -> dict[str, Json]:
    """Return the termination message of a container; empty if it is not a JSON object, which a task may write."""
    try:
        content = parse_json(ended.get("message") or "", any_text=True)
    except InvalidJson:
        return {}
    return content if isinstance(content, dict) else {}
