"""The server of these tests against what clusters do, by a client that others have written."""

# All fields of lightkube's models may be None.
# mypy: disable-error-code="union-attr, attr-defined, arg-type, assignment, call-overload, return-value, type-var"

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from lightkube import ApiError, Client
from lightkube.config.kubeconfig import KubeConfig
from lightkube.resources.batch_v1 import Job
from lightkube.resources.core_v1 import ConfigMap, Event, Node, PersistentVolumeClaim, Pod, Secret
from lightkube.types import CascadeType

from tests.kubernetes.clusters import REAL_SERVER, Cluster, TestCluster
from tests.processes import wait_until

#: For tests of what only the server of these tests can do.
in_process = pytest.mark.skipif(REAL_SERVER in os.environ, reason="a real server has no such faults")


@pytest.fixture
def client(any_kubernetes: Cluster, tmp_path: Path) -> Iterator[Client]:
    config = any_kubernetes.kubeconfig(tmp_path / "kubeconfig")
    client = Client(config=KubeConfig.from_file(str(config)).get(), trust_env=False)
    yield client
    client._client._client.close()  # it has no public way


def job(name: str, command: str, **spec: Any) -> Job:
    """Return a Job with the usual settings, whose only container runs a shell command."""
    container = {"name": "main", "image": "debian:12", "command": ["sh", "-c", command], **spec.pop("container", {})}
    return job_of({"containers": [container], **spec.pop("pod", {})}, name, **spec)


def job_of(pod: dict[str, Any], name: str = "one", **spec: Any) -> Job:
    template = {"metadata": {"labels": {"task": name}}, "spec": {"restartPolicy": "Never", **pod}}
    return Job.from_dict(
        {"metadata": {"name": name}, "spec": {"backoffLimit": 0, "template": template, **spec}, "kind": "Job"}
    )


def end(client: Client, name: str = "one") -> tuple[str, Pod]:
    """Wait for the end of a Job, and return its last condition and its pod."""

    def conditions() -> list[Any]:
        status = client.get(Job, name).status
        return [each for each in (status and status.conditions) or [] if each.type in ("Complete", "Failed")]

    assert wait_until(conditions, 30), client.get(Job, name).to_dict()
    (pod,) = client.list(Pod, labels={"job-name": name})
    return f"{conditions()[-1].type} {conditions()[-1].reason}", pod


def state_of(pod: Pod, container: str = "main") -> Any:
    assert pod.status
    statuses = [*(pod.status.initContainerStatuses or []), *(pod.status.containerStatuses or [])]
    return next((each.state for each in statuses if each.name == container), None)


def runs(client: Client) -> bool:
    """Return whether the main container of a pod runs."""
    return any(state and state.running for state in map(state_of, client.list(Pod)))


def wait_for_state(client: Client, reason: str, container: str = "main") -> Any:
    """Wait until a container of the only pod waits for a reason, and return its state."""

    def waiting() -> Any:
        for pod in client.list(Pod):
            state = state_of(pod, container)
            if state and state.waiting and state.waiting.reason == reason:
                return state.waiting
        return None

    assert wait_until(waiting, 20), [pod.to_dict()["status"] for pod in client.list(Pod)]
    return waiting()


# --- objects ----------------------------------------------------------------------------------------------------------


def test_objects_are_created_changed_listed_and_deleted(client: Client) -> None:
    client.create(ConfigMap.from_dict({"metadata": {"name": "a", "labels": {"x": "1"}}, "data": {"k": "v"}}))
    client.create(ConfigMap.from_dict({"metadata": {"name": "b"}}))

    client.patch(ConfigMap, "a", {"data": {"k": "w"}})
    assert client.get(ConfigMap, "a").data == {"k": "w"}
    assert [each.metadata.name for each in client.list(ConfigMap, labels={"x": "1"})] == ["a"]
    assert [each.metadata.name for each in client.list(ConfigMap, fields={"metadata.name": "b"})] == ["b"]
    client.delete(ConfigMap, "a")
    with pytest.raises(ApiError, match="not found") as missing:
        client.get(ConfigMap, "a")
    assert missing.value.status.code == 404


def test_a_name_is_taken_once(client: Client) -> None:
    client.create(ConfigMap.from_dict({"metadata": {"name": "a"}}))
    with pytest.raises(ApiError, match="already exists"):
        client.create(ConfigMap.from_dict({"metadata": {"name": "a"}}))


@pytest.mark.parametrize(
    ("pod", "message"),
    [
        pytest.param(
            {"containers": [{"name": "main", "image": "x", "comand": ["a"]}]},
            r"'comand' was unexpected",
            marks=in_process,  # others only warn
        ),
        ({"containers": [{"name": "Main", "image": "x"}]}, r'containers\[0\].name: Invalid value: "Main"'),
        ({"containers": [{"name": "main", "image": "x", "env": [{"name": "A", "value": 1}]}]}, r"1 is not|found 1"),
        (
            {"containers": [{"name": "main", "image": "x", "volumeMounts": [{"name": "v", "mountPath": "/v"}]}]},
            r'containers\[0\].volumeMounts\[0\].name: Not found: "v"',
        ),
        ({"containers": []}, r"containers: Required value"),
        ({"containers": [{"name": "main", "image": "x"}], "restartPolicy": "Always"}, r"restartPolicy: Required value"),
        (
            {"containers": [{"name": "main", "image": "x", "resources": {"limits": {"cpu": "1x"}}}]},
            r"quantities must match",
        ),
    ],
)
def test_what_a_cluster_refuses_is_refused(any_kubernetes: Cluster, pod: Any, message: str) -> None:
    from tests.kubernetes.storage import ApiError

    spec = {"template": {"spec": {"restartPolicy": "Never", **pod}}}
    metadata = {"name": "a", "namespace": any_kubernetes.namespace}
    body = {"apiVersion": "batch/v1", "kind": "Job", "metadata": metadata, "spec": spec}
    with pytest.raises(ApiError, match=message) as refused:
        any_kubernetes.client.create("jobs", body)
    assert refused.value.code in (400, 422)


def test_a_watch_starts_at_a_version(client: Client) -> None:
    client.create(ConfigMap.from_dict({"metadata": {"name": "a"}}))
    objects = client.list(ConfigMap, fields={"metadata.name": "a"})
    assert [each.metadata.name for each in objects] == ["a"]
    version = objects.resourceVersion
    client.create(ConfigMap.from_dict({"metadata": {"name": "b"}}))
    watch = client.watch(ConfigMap, resource_version=version)
    assert [next(watch)[1].metadata.name] == ["b"]


@in_process
def test_a_watch_expires(any_kubernetes: TestCluster, client: Client) -> None:
    version = client.create(ConfigMap.from_dict({"metadata": {"name": "a"}})).metadata.resourceVersion
    any_kubernetes.storage.compact()
    with pytest.raises(ApiError, match="too old resource version") as expired:
        next(client.watch(ConfigMap, resource_version=version, on_error=_raise))
    assert expired.value.status.code == 410


def _raise(error: ApiError, count: int) -> Any:
    raise error


@in_process
def test_faults_are_answers_and_broken_connections(any_kubernetes: TestCluster, client: Client) -> None:
    from tests.kubernetes import storage

    any_kubernetes.faults.rejects = lambda request: (
        storage.ApiError(403, "Forbidden", "nodes is forbidden") if request.resource.plural == "nodes" else None
    )
    with pytest.raises(ApiError, match="forbidden"):
        list(client.list(Node))
    any_kubernetes.faults.down = True
    with pytest.raises(Exception, match="(?i)disconnected|reset|closed"):
        client.get(ConfigMap, "a")
    any_kubernetes.faults.down = False
    any_kubernetes.faults.token = "secret"
    with pytest.raises(ApiError, match="Unauthorized"):
        client.get(ConfigMap, "a")


# --- Jobs and their pods ----------------------------------------------------------------------------------------------


def test_a_job_runs_its_containers_in_order(client: Client) -> None:
    mount = {"name": "work", "mountPath": "/work-of-pod"}
    first = {"name": "first", "image": "debian:12", "command": ["sh", "-c", "echo 1 > /work-of-pod/x"]}
    main = {
        "name": "main",
        "image": "debian:12",
        "command": ["sh", "-c", "cat /work-of-pod/x; hostname -I > /dev/null"],
    }
    containers = [{**each, "volumeMounts": [mount]} for each in (first, main)]
    pod = {
        "initContainers": containers[:1],
        "containers": containers[1:],
        "volumes": [{"name": "work", "emptyDir": {}}],
    }
    client.create(job_of(pod))

    ended, pod_of_job = end(client)
    assert ended.startswith("Complete")
    assert pod_of_job.status
    assert pod_of_job.status.phase == "Succeeded"
    assert list(client.log(pod_of_job.metadata.name, container="main")) == ["1\n"]


def test_a_failed_task_has_its_exit_code_and_message(client: Client) -> None:
    client.create(job("one", "echo why > /dev/termination-log; exit 3"))

    ended, pod = end(client)
    terminated = state_of(pod).terminated
    assert (ended, terminated.exitCode, terminated.reason) == ("Failed BackoffLimitExceeded", 3, "Error")
    assert terminated.message == "why\n"


def test_a_failed_init_container_ends_the_pod(client: Client) -> None:
    failing = {"name": "first", "image": "debian:12", "command": ["false"]}
    main = {"name": "main", "image": "debian:12", "command": ["true"]}
    client.create(job_of({"initContainers": [failing], "containers": [main]}))

    ended, pod = end(client)
    assert ended.startswith("Failed")
    assert state_of(pod, "first").terminated.exitCode == 1
    assert state_of(pod).waiting.reason == "PodInitializing"


@in_process  # since Kubernetes 1.28
def test_a_sidecar_starts_before_the_task_and_ends_after_it(client: Client) -> None:
    mount = {"volumeMounts": [{"name": "shared", "mountPath": "/shared"}]}
    loop = "trap 'echo end; exit 0' TERM; touch /shared/ready; while :; do sleep 0.05; done"
    sidecar = {"name": "side", "image": "debian:12", "command": ["sh", "-c", loop], "restartPolicy": "Always", **mount}
    wait = "until [ -e /shared/ready ]; do sleep 0.02; done"
    main = {"name": "main", "image": "debian:12", "command": ["sh", "-c", wait], **mount}
    volumes = [{"name": "shared", "emptyDir": {}}]
    client.create(job_of({"initContainers": [sidecar], "containers": [main], "volumes": volumes}))

    ended, pod = end(client)
    assert ended.startswith("Complete")
    assert "end\n" in list(client.log(pod.metadata.name, container="side"))


def test_a_container_that_uses_too_much_memory_is_killed(client: Client) -> None:
    program = "import time; x = bytearray(300 * 1024**2); x[::4096] = b'1' * len(x[::4096]); time.sleep(20)"
    container = {"image": "python:3.11", "command": ["python", "-c", program]}
    client.create(job("one", "", container={**container, "resources": {"limits": {"memory": "100Mi"}}}))

    _, pod = end(client)
    assert (state_of(pod).terminated.reason, state_of(pod).terminated.exitCode) == ("OOMKilled", 137)


def test_an_image_that_is_missing_is_an_error_of_the_pull(client: Client) -> None:
    client.create(job("one", "true", container={"image": "nobody/nothing:1"}))

    assert "not found" in wait_for_state(client, "ErrImagePull").message
    wait_for_state(client, "ImagePullBackOff")
    assert any("Failed to pull image" in (event.message or "") for event in client.list(Event))


def test_a_secret_that_is_missing_is_waited_for(client: Client) -> None:
    ref = {"secretKeyRef": {"name": "s", "key": "k"}}
    client.create(job("one", "echo $V", container={"env": [{"name": "V", "valueFrom": ref}]}))

    assert 'secrets "s" not found' in wait_for_state(client, "CreateContainerConfigError").message
    client.create(Secret.from_dict({"metadata": {"name": "s"}, "stringData": {"k": "hidden"}}))
    ended, pod = end(client)
    assert ended.startswith("Complete")
    assert list(client.log(pod.metadata.name)) == ["hidden\n"]


def test_a_pod_that_fits_no_node_is_unschedulable(client: Client) -> None:
    client.create(job("one", "true", container={"resources": {"requests": {"cpu": "100"}}}))

    def message() -> str:
        conditions = [each for pod in client.list(Pod) for each in (pod.status and pod.status.conditions) or []]
        return next((each.message or "" for each in conditions if each.reason == "Unschedulable"), "")

    assert wait_until(message)
    assert message() == "0/1 nodes are available: 1 Insufficient cpu."


def test_logs_are_followed(client: Client) -> None:
    client.create(job("one", "for i in 1 2 3 4; do echo line $i; sleep 0.2; done"))
    assert wait_until(lambda: runs(client))
    (pod,) = client.list(Pod)
    assert list(client.log(pod.metadata.name, follow=True)) == [f"line {number}\n" for number in (1, 2, 3, 4)]
    (first, *_) = client.log(pod.metadata.name, timestamps=True)
    assert first.endswith("Z line 1\n")


@in_process
def test_logs_break(any_kubernetes: TestCluster, client: Client) -> None:
    client.create(job("one", "for i in 1 2 3 4; do echo line $i; sleep 0.2; done"))
    assert wait_until(lambda: runs(client))
    (pod,) = client.list(Pod)
    any_kubernetes.faults.log_bytes = 10
    with pytest.raises(Exception, match="(?i)closed|incomplete"):
        list(client.log(pod.metadata.name, follow=True))


@in_process  # what has made the cluster decides whether it makes volumes
def test_a_claim_keeps_what_pods_write(client: Client) -> None:
    claim = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}}
    client.create(PersistentVolumeClaim.from_dict({"metadata": {"name": "data"}, "spec": claim}))
    volumes = [{"name": "data", "persistentVolumeClaim": {"claimName": "data"}}]
    mounts = {"volumeMounts": [{"name": "data", "mountPath": "/data", "subPath": "in"}]}
    client.create(job("one", "echo kept > /data/x", container=mounts, pod={"volumes": volumes}))
    end(client)

    client.create(job("two", "cat /data/x", container=mounts, pod={"volumes": volumes}))
    _, pod = end(client, "two")
    assert list(client.log(pod.metadata.name)) == ["kept\n"]


# --- admission -------------------------------------------------------------------------------------------------------


@in_process  # Kubernetes 1.20 has no such admission yet
def test_a_restricted_namespace_refuses_pods_and_not_jobs(any_kubernetes: Cluster, client: Client) -> None:
    any_kubernetes.restrict()
    safe = {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}, "runAsNonRoot": True}
    safe |= {"runAsUser": 1000, "seccompProfile": {"type": "RuntimeDefault"}}
    pod = {"metadata": {"name": "plain"}, "spec": {"containers": [{"name": "main", "image": "debian:12"}]}}
    with pytest.raises(ApiError, match='pods "plain" is forbidden: violates PodSecurity "restricted:latest"') as error:
        client.create(Pod.from_dict(pod))
    assert error.value.status.code == 403

    client.create(job("one", "true"))
    client.create(job("two", "id -u; umask; touch /x", container={"securityContext": safe}))
    state, ended = end(client, "two")
    assert (state, next(iter(client.log(ended.metadata.name)))) == ("Failed BackoffLimitExceeded", "1000\n")
    assert not list(client.list(Pod, labels={"job-name": "one"}))
    (event,) = client.list(Event, fields={"involvedObject.name": "one", "type": "Warning"})
    assert event.reason == "FailedCreate"
    assert 'pod or container "main" must set securityContext.runAsNonRoot=true' in (event.message or "")


# --- the end of pods --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("propagation", [CascadeType.BACKGROUND, CascadeType.FOREGROUND])
def test_the_pods_of_a_deleted_job_are_deleted(client: Client, propagation: CascadeType) -> None:
    client.create(job("one", "trap 'exit 0' TERM; echo ready; while :; do sleep 0.05; done"))
    assert wait_until(lambda: runs(client))
    (pod,) = client.list(Pod)
    assert next(iter(client.log(pod.metadata.name, follow=True))) == "ready\n"

    client.delete(Job, "one", cascade=propagation, grace_period=1)
    assert wait_until(lambda: not list(client.list(Pod)) and not list(client.list(Job)), 20)


def test_a_job_that_is_deleted_without_saying_how_leaves_its_pods(client: Client) -> None:
    client.create(job("one", "sleep 60"))
    assert wait_until(lambda: list(client.list(Pod)))

    client.delete(Job, "one")
    assert wait_until(lambda: not list(client.list(Job)))
    assert list(client.list(Pod))


def test_a_job_is_removed_some_time_after_its_end(client: Client) -> None:
    client.create(job("one", "true", ttlSecondsAfterFinished=1))
    assert wait_until(lambda: not list(client.list(Job)) and not list(client.list(Pod)), 20)


def test_an_evicted_pod_says_so(any_kubernetes: Cluster, client: Client) -> None:
    client.create(job("one", "sleep 60"))
    assert wait_until(lambda: runs(client))
    (pod,) = client.list(Pod)

    any_kubernetes.evict(pod.metadata.name)
    _, pod = end(client)
    assert pod.status
    assert (pod.status.phase, pod.status.reason) == ("Failed", "Evicted")
    assert "DisruptionTarget" in [each.type for each in pod.status.conditions or []]


def test_a_preempted_pod_is_deleted(any_kubernetes: Cluster, client: Client) -> None:
    client.create(job("one", "sleep 60", pod={"terminationGracePeriodSeconds": 1}))
    assert wait_until(lambda: runs(client))
    (pod,) = client.list(Pod)

    any_kubernetes.preempt(pod.metadata.name)
    assert wait_until(lambda: not any(each.metadata.name == pod.metadata.name for each in client.list(Pod)))


@pytest.mark.timeout(300)
# A real cluster deletes no pods as long as all its nodes are away.
@pytest.mark.parametrize("removed", [True, pytest.param(False, marks=in_process)])
def test_a_lost_node_takes_its_pods_along(any_kubernetes: Cluster, client: Client, removed: bool) -> None:
    reasons = ("not-ready", "unreachable")
    gone = [{"key": f"node.kubernetes.io/{reason}", "operator": "Exists", "effect": "NoExecute"} for reason in reasons]
    client.create(job("one", "sleep 600", pod={"tolerations": [{**each, "tolerationSeconds": 1} for each in gone]}))
    assert wait_until(lambda: runs(client))
    (pod,) = client.list(Pod)

    def state() -> Any:
        return next((each for each in client.list(Pod) if each.metadata.name == pod.metadata.name), None)

    any_kubernetes.lose("node-0", removed=removed)
    if removed:
        assert wait_until(lambda: not state(), 120)
    else:
        assert wait_until(lambda: not state() or state().metadata.deletionTimestamp, 120)


def test_nothing_of_a_cluster_is_left(tmp_path: Path) -> None:
    from tests.kubernetes.clusters import cluster

    threads = set(threading.enumerate())
    with cluster(tmp_path / "other") as started:
        body = job("one", "sleep 60").to_dict()
        body.update(apiVersion="batch/v1")
        body["metadata"]["namespace"] = "pipelines"
        started.client.create("jobs", body)
        (node,) = started.nodes.values()
        assert wait_until(lambda: any(worker.containers for worker in node.pods.values()))
        (container,) = next(iter(node.pods.values())).containers.values()
    assert not container.is_running
    assert wait_until(lambda: not {each for each in threading.enumerate() if each.name.startswith("pod ")} - threads)
