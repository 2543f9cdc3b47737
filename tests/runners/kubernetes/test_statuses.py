"""What the statuses of pods mean for an attempt."""

from __future__ import annotations

import json
from typing import Any

import pytest

from standpipe.model.attempts import Outcome
from standpipe.model.events import CodeLocation
from standpipe.runners.kubernetes import statuses

LOCATION = {"file": "/t.py", "line": 3, "function": "t", "code": "1 / 0"}
ERROR = {
    "usage": {"cpu_seconds": 1.5, "peak_memory": 1024},
    "error": {"kind": "ValueError", "summary": "ValueError: no", "traceback": "Traceback …", "location": LOCATION},
}


def terminated(code: int, reason: str = "Error", message: Any = "") -> dict[str, Any]:
    text = message if isinstance(message, str) else json.dumps(message)
    return {"terminated": {"exitCode": code, "reason": reason, **({"message": text} if text else {})}}


def waiting(reason: str, message: str = "") -> dict[str, Any]:
    return {"waiting": {"reason": reason, **({"message": message} if message else {})}}


DONE = terminated(0, "Completed")


def pod(phase: str = "Failed", *, sidecar: Any = None, store: Any = None, **parts: Any) -> dict[str, Any]:
    """Return a pod whose containers have the states `fetch`, `prepare` and `main`, as far as they are passed."""
    states = {name: parts.pop(name) for name in ("fetch", "prepare", "main") if name in parts}
    init = [{"name": name, "state": state} for name, state in states.items()]
    if sidecar:
        init.insert(1, {"name": "proxy", "state": sidecar})
    status = {"phase": phase, "initContainerStatuses": init, **parts}
    if store:
        status["containerStatuses"] = [{"name": "store", "state": store}]
    spec: dict[str, Any] = {"initContainers": [{"name": "proxy", "restartPolicy": "Always"}], "nodeName": "node-1"}
    spec["activeDeadlineSeconds"] = 5
    return {"metadata": {"name": "p", "labels": {}}, "spec": spec, "status": status}


def failure(failed: dict[str, Any], *, is_deleted: bool = False) -> Outcome:
    return statuses.read_failure(failed, is_deleted=is_deleted)


def test_a_function_that_raises_has_its_traceback() -> None:
    outcome = failure(pod(fetch=DONE, main=terminated(1, message=ERROR)))

    assert (outcome.exit_code, outcome.detail, outcome.cause) == (1, "Traceback …", "ValueError: no")
    assert outcome.location == CodeLocation("/t.py", 3, "t", "1 / 0")
    assert (outcome.cpu_seconds, outcome.peak_memory) == (1.5, 1024)


@pytest.mark.parametrize("message", ["", "no JSON", "[]", '{"error": 1, "usage": []}', '{"error": {"traceback": 1}}'])
def test_a_task_may_leave_any_termination_message(message: str) -> None:
    assert failure(pod(fetch=DONE, main=terminated(3, message=message))) == Outcome(exit_code=3)


@pytest.mark.parametrize(("code", "expected"), [(2, Outcome(exit_code=2)), (139, Outcome(signal=11))])
def test_a_command_has_an_exit_code_or_a_signal(code: int, expected: Outcome) -> None:
    assert failure(pod(fetch=DONE, main=terminated(code))) == expected


def test_a_task_that_was_killed_for_its_memory() -> None:
    assert failure(pod(fetch=DONE, main=terminated(137, "OOMKilled"))) == Outcome(signal=9, out_of_memory=True)


@pytest.mark.parametrize(("kills", "expected"), [(1, True), (0, False), (None, False), ("1", False)])
def test_the_worker_knows_that_the_kernel_has_killed_the_task(kills: Any, expected: bool) -> None:
    outcome = failure(pod(fetch=DONE, main=terminated(137, message={"memory_kills": kills})))

    assert (outcome.signal, outcome.out_of_memory) == (9, expected)


def test_a_command_that_cannot_be_started() -> None:
    outcome = failure(pod(fetch=DONE, main=terminated(128, "StartError", 'exec: "trian": not found')))

    assert outcome.problem == 'its container could not be started: exec: "trian": not found'


@pytest.mark.parametrize(
    ("failed", "expected"),
    [
        (
            pod(fetch=terminated(1, message={"error": "StorageError", "message": "Cannot use s3://data", "hint": "h"})),
            "Cannot use s3://data",
        ),
        (
            pod(fetch=terminated(1, message="pip: no network")),
            "its inputs could not be fetched: the container 'fetch' failed with exit code 1: pip: no network",
        ),
        (pod(fetch=DONE, prepare=terminated(4)), "its init container 'prepare' failed with exit code 4"),
        (
            pod(fetch=DONE, main=DONE, store=terminated(1, message={"message": "Cannot use s3://data"})),
            "its outputs could not be stored: Cannot use s3://data",
        ),
        (
            pod(fetch=DONE, main=DONE, store=terminated(137, "OOMKilled")),
            "its outputs could not be stored: the container 'store' was killed for its memory",
        ),
        (
            pod(reason="DeadlineExceeded", fetch=DONE, main=terminated(143)),
            "it was stopped by its timeout, after 5 s (kubernetes.set_timeout)",
        ),
        (pod(reason="Unknown", message="something else"), "something else"),
        (pod(), "its pod failed, and no container says why"),
    ],
)
def test_the_failed_container_is_named(failed: dict[str, Any], expected: str) -> None:
    outcome = failure(failed)

    assert (outcome.problem, outcome.is_lost) == (expected, False)


def test_the_end_of_a_sidecar_is_not_that_of_the_task() -> None:
    failed = pod(fetch=DONE, sidecar=terminated(143), main=terminated(3))

    assert failure(failed) == Outcome(exit_code=3)


@pytest.mark.parametrize(
    "failed",
    [
        pod(reason="Evicted", message="The node was low on resource: memory."),
        pod(reason="NodeLost", fetch=DONE, main=terminated(137)),
        pod(reason="Terminated", message="Pod was terminated in response to imminent node shutdown."),
        pod(reason="Preempting"),
        pod(reason="OutOfnvidia.com/gpu"),
        pod(reason="UnexpectedAdmissionError"),
        pod(
            fetch=DONE,
            main=terminated(143),
            conditions=[{"type": "DisruptionTarget", "status": "True", "reason": "PreemptionByScheduler"}],
        ),
        pod(fetch=DONE, main=terminated(137, "ContainerStatusUnknown")),
    ],
    ids=lambda failed: failed["status"].get("reason", "condition"),
)
def test_a_pod_that_is_lost_says_nothing_of_its_task(failed: dict[str, Any]) -> None:
    assert failure(failed).is_lost


def test_a_pod_that_somebody_deletes_is_lost() -> None:
    running = pod("Running", fetch=DONE, main={"running": {}})

    assert failure(running, is_deleted=True).problem == "its pod was deleted, which was on the node node-1"
    assert failure(running, is_deleted=True).is_lost


def test_a_pod_that_uses_too_much_disk_would_on_any_node() -> None:
    message = "Pod ephemeral local storage usage exceeds the total limit of containers 1Gi."
    evicted = pod(reason="Evicted", message=message, fetch=DONE)

    assert failure(evicted) == Outcome(problem=message)


def test_memory_is_the_fault_of_the_task_even_if_its_node_shuts_down() -> None:
    failed = pod(reason="Terminated", fetch=DONE, main=terminated(137, "OOMKilled"))

    assert failure(failed).out_of_memory


@pytest.mark.parametrize(
    ("state", "kind", "is_final"),
    [
        (waiting("ErrImagePull", "manifest for x:1 not found: manifest unknown"), "image", True),
        (waiting("ImagePullBackOff", 'Back-off pulling image "x:1"'), "image", False),
        (waiting("InvalidImageName"), "image", True),
        (waiting("CreateContainerConfigError", 'secret "s3" not found'), "config", False),
        (
            waiting("CreateContainerConfigError", "container has runAsNonRoot and image will run as root"),
            "config",
            True,
        ),
    ],
)
def test_what_a_container_waits_for(state: Any, kind: str, is_final: bool) -> None:
    wait = statuses.find_wait(pod("Pending", fetch=DONE, main=state))

    assert wait is not None
    assert (wait.kind, wait.container, wait.is_final) == (kind, "main", is_final)


def test_a_pod_without_a_node_has_the_message_of_the_scheduler() -> None:
    condition = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": "0/3 nodes: cpu."}

    wait = statuses.find_wait(pod("Pending", conditions=[condition]))

    assert wait == statuses.Wait("node", "0/3 nodes: cpu.")


@pytest.mark.parametrize("state", [waiting("PodInitializing"), waiting("ContainerCreating"), {"running": {}}, {}])
def test_a_pod_on_its_way_waits_for_nothing(state: Any) -> None:
    assert statuses.find_wait(pod("Pending", fetch=state)) is None
