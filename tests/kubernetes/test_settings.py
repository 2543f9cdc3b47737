"""Settings of kfp-kubernetes in pods: what the task finds there."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from standpipe import dsl, kubernetes, local
from standpipe.dsl import Dataset, Input, Output
from standpipe.errors import TaskFailed, UnsupportedError
from standpipe.execution import pauses
from standpipe.model.cancellation import Cancellation
from standpipe.runners.partly_fake import PartlyFakeRunner
from tests.kubernetes.test_contract import PodHarness
from tests.kubernetes.test_runs import (  # noqa: F401  the fixtures of the runner
    IMAGE,
    Place,
    in_process,
    place,
    s3,
)
from tests.pods.test_native import Pods
from tests.processes import wait_until
from tests.runners.bench import Kept
from tests.runners.contract import add


@dsl.component(base_image=IMAGE)
def look(variable: str, path: str) -> list:
    import os

    with open(path) as file:
        return [os.environ[variable], file.read()]


@dsl.component(base_image=IMAGE)
def save(path: str, text: str) -> None:
    with open(path, "w") as file:
        file.write(text)


@dsl.component(base_image=IMAGE)
def load(path: str) -> str:
    with open(path) as file:
        return file.read()


@dsl.component(base_image=IMAGE)
def identify(data: Output[Dataset]) -> str:
    import os

    with open(data.path, "w") as file:
        file.write("written")
    return f"{os.getuid()} {os.getgid()}"


@dsl.component(base_image=IMAGE)
def read(data: Input[Dataset]) -> str:
    with open(data.path) as file:
        return file.read()


@dsl.component(base_image=IMAGE)
def sleep() -> None:
    import time

    time.sleep(120)


def create(place: Place, kind: str, plural: str, name: str, **fields: Any) -> None:  # noqa: F811
    metadata = {"name": name, "namespace": place.cluster.namespace}
    place.cluster.client.create(plural, {"apiVersion": "v1", "kind": kind, "metadata": metadata, **fields})


def test_secrets_and_config_maps_are_those_of_the_cluster(place: Place) -> None:  # noqa: F811
    create(place, "Secret", "secrets", "db", stringData={"password": "from-the-secret"})
    create(place, "ConfigMap", "configmaps", "settings", data={"level": "from-the-map"})

    @dsl.pipeline
    def pipeline(secret: str = "db") -> list:
        task = look(variable="PASSWORD", path="/settings/level")
        kubernetes.use_secret_as_env(task, secret, {"password": "PASSWORD"})
        kubernetes.use_config_map_as_volume(task, "settings", "/settings")
        return task.output

    assert place.run(pipeline).output == ["from-the-secret", "from-the-map"]


def test_tasks_beside_fakes_have_the_settings_of_the_cluster(place: Place) -> None:  # noqa: F811
    create(place, "Secret", "secrets", "db", stringData={"password": "from-the-secret"})
    create(place, "ConfigMap", "configmaps", "settings", data={"level": "from-the-map"})

    @dsl.pipeline
    def pipeline() -> list:
        task = look(variable="PASSWORD", path=load(path="/nowhere").output)
        kubernetes.use_secret_as_env(task, "db", {"password": "PASSWORD"})
        kubernetes.use_config_map_as_volume(task, "settings", "/settings")
        claim = kubernetes.CreatePVC(
            pvc_name_suffix="-data", access_modes=["ReadWriteOnce"], size="1Gi", storage_class_name="standard"
        )
        kubernetes.DeletePVC(pvc_name=claim.outputs["name"])
        return task.output

    runner = PartlyFakeRunner(local.FakeRunner(load=lambda path: "/settings/level"), place.runner())
    assert place.run(pipeline, runner=runner).output == ["from-the-secret", "from-the-map"]
    assert place.names("persistentvolumeclaims") == []


@in_process  # what has made a cluster decides whether it makes volumes
def test_a_claim_carries_files_from_task_to_task(place: Place) -> None:  # noqa: F811
    @dsl.pipeline
    def pipeline() -> str:
        claim = kubernetes.CreatePVC(
            pvc_name_suffix="-data", access_modes=["ReadWriteMany"], size="1Gi", storage_class_name="standard"
        )
        first = save(path="/data/x", text="kept")
        second = load(path="/data/in/x").after(first)
        kubernetes.mount_pvc(first, claim.outputs["name"], "/data", sub_path="folder")
        kubernetes.mount_pvc(second, claim.outputs["name"], "/data/in", sub_path="folder")
        kubernetes.DeletePVC(pvc_name=claim.outputs["name"]).after(second)
        return second.output

    assert place.run(pipeline).output == "kept"
    assert place.names("persistentvolumeclaims") == []


@in_process  # as above
def test_a_workspace_is_shared_and_gone_afterwards(place: Place) -> None:  # noqa: F811
    patch = dsl.KubernetesWorkspaceConfig(pvcSpecPatch={"accessModes": ["ReadWriteMany"]})
    config = dsl.PipelineConfig(workspace=dsl.WorkspaceConfig(size="1Gi", kubernetes=patch))

    @dsl.pipeline(pipeline_config=config)
    def pipeline() -> str:
        path = f"{dsl.WORKSPACE_PATH_PLACEHOLDER}/x"
        return load(path=path).after(save(path=path, text="shared")).output

    assert place.run(pipeline).output == "shared"
    assert place.names("persistentvolumeclaims") == []


def test_an_import_into_the_workspace_is_refused(place: Place) -> None:  # noqa: F811
    patch = dsl.KubernetesWorkspaceConfig(pvcSpecPatch={"accessModes": ["ReadWriteMany"]})
    config = dsl.PipelineConfig(workspace=dsl.WorkspaceConfig(size="1Gi", kubernetes=patch))

    @dsl.pipeline(pipeline_config=config)
    def pipeline() -> str:
        data = dsl.importer("s3://data/x", Dataset, download_to_workspace=True)
        return read(data=data.output).output

    with pytest.raises(UnsupportedError, match="cannot copy to its workspace"):
        place.run(pipeline)


@in_process  # it counts the requests
def test_a_task_that_is_to_pause_is_refused_before_anything_runs(
    place: Place,  # noqa: F811
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(pauses, "has_terminal", lambda: True)

    @dsl.pipeline
    def pipeline() -> None:
        first = identify()
        sleep().after(first).set_debug_pause()

    with pytest.raises(TaskFailed, match="it is to pause, as set_debug_pause asks, which the Kubernetes"):
        place.run(pipeline)
    assert not place.created()


@in_process  # it counts the requests
def test_a_debugger_is_refused_before_anything_runs(place: Place) -> None:  # noqa: F811
    place.run(identify)
    (run,), before = local.runs(place.root), place.created()

    with pytest.raises(UnsupportedError, match=r"cannot run a task under a debugger.*runner=local\.SubprocessRunner"):
        local.rerun_task(run.id, "identify", debug=True, runner=place.runner(), state_root=place.root)
    assert place.created() == before
    assert [each.id for each in local.runs(place.root)] == [run.id]


def test_an_init_container_prepares_a_volume_of_the_task(place: Place) -> None:  # noqa: F811
    @dsl.pipeline
    def pipeline() -> str:
        task = load(path="/scratch/x")
        kubernetes.empty_dir_mount(task, "scratch", "/scratch")
        script = ["sh", "-c", "printf prepared > /work-of-init/x"]
        kubernetes.add_init_container(task, "first", "debian:12", script, volume_mounts={"scratch": "/work-of-init"})
        return task.output

    assert place.run(pipeline).output == "prepared"


def test_a_task_runs_as_another_user(place: Place) -> None:  # noqa: F811
    @dsl.pipeline
    def pipeline() -> list:
        task = identify()
        kubernetes.set_security_context(task, run_as_user=1234, run_as_group=1235, run_as_non_root=True)
        return join(user=task.outputs["Output"], text=read(data=task.outputs["data"]).output).output

    assert place.run(pipeline).output == ["1234 1235", "written"]


@dsl.component(base_image=IMAGE)
def join(user: str, text: str) -> list:
    return [user, text]


def test_a_task_that_takes_longer_than_its_timeout_fails(place: Place) -> None:  # noqa: F811
    @dsl.pipeline
    def pipeline() -> None:
        kubernetes.set_timeout(sleep(), 4)

    with pytest.raises(TaskFailed, match="it was stopped by its timeout, after 4 s"):
        place.run(pipeline)


def test_a_pod_goes_to_a_node_with_its_labels(place: Place) -> None:  # noqa: F811
    place.cluster.add_node(f"{place.cluster.namespace}-labelled", labels={"disk": "ssd"})

    @dsl.pipeline
    def pipeline() -> list:
        task = look(variable="NODE", path="/proc/version")
        kubernetes.use_field_path_as_env(task, "NODE", "spec.nodeName")
        kubernetes.add_node_selector(task, "disk", "ssd")
        return task.output

    assert place.run(pipeline).output[0] == f"{place.cluster.namespace}-labelled"


@in_process  # Kubernetes 1.20 has no generic ephemeral volumes yet
def test_a_pod_with_every_setting_is_accepted(place: Place, tmp_path: Path) -> None:  # noqa: F811
    """The server checks it by the schemas; the pod waits for a node with the label."""
    create(place, "Secret", "secrets", "db.example", stringData={"password": "x"})

    @dsl.pipeline
    def pipeline(selector: dict, tolerations: list) -> None:
        task = sleep()
        kubernetes.use_secret_as_env(task, "db.example", {"password": "PASSWORD"}, optional=True)
        kubernetes.use_secret_as_volume(task, "db.example", "/secret", optional=True)
        kubernetes.use_config_map_as_env(task, "settings", {"level": "LEVEL"}, optional=True)
        kubernetes.use_config_map_as_volume(task, "settings", "/settings", optional=True)
        kubernetes.use_field_path_as_env(task, "POD", "metadata.labels['team']")
        kubernetes.mount_pvc(task, "data", "/data", sub_path="in")
        kubernetes.empty_dir_mount(task, "scratch", "/scratch", medium="Memory", size_limit="64Mi")
        kubernetes.add_ephemeral_volume(
            task, "big", "/big", ["ReadWriteOnce"], "1Gi", storage_class_name="fast", labels={"a": "b"}
        )
        kubernetes.add_node_selector_json(task, selector)
        kubernetes.add_toleration(task, key="gpu", operator="Exists", effect="NoExecute", toleration_seconds=10)
        kubernetes.add_toleration_json(task, tolerations)
        kubernetes.add_node_affinity(task, [{"key": "zone", "operator": "In", "values": ["a"]}])
        kubernetes.add_node_affinity(task, [{"key": "fast", "operator": "Exists"}], weight=5)
        kubernetes.set_image_pull_policy(task, "IfNotPresent")
        kubernetes.set_image_pull_secrets(task, ["registry"])
        kubernetes.add_pod_label(task, "team", "a")
        kubernetes.add_pod_annotation(task, "example.org/note", "b")
        kubernetes.set_security_context(task, run_as_user=1000, run_as_group=100, run_as_non_root=True)
        kubernetes.set_timeout(task, 600)
        kubernetes.add_init_container(
            task, "first", "debian:12", ["true"], volume_mounts={"scratch": "/x"}, resource_limits={"memory": "64Mi"}
        )

    arguments = {"selector": {"disk": "none"}, "tolerations": [{"key": "a", "operator": "Exists"}]}
    noting, harness, cancel = Pods(), PodHarness(place), Cancellation()
    local.run(pipeline, arguments, runner=noting, pipeline_root=tmp_path / "noted", quiet=True)
    request = harness.request(add, {"a": 1, "b": 2}, pod=noting.pods["sleep"])

    def pods() -> list[Any]:
        return place.cluster.client.find("pods", place.cluster.namespace)

    with ThreadPoolExecutor(1) as pool:
        outcome = pool.submit(harness.runner.run, request, log=Kept(), cancel=cancel)
        try:
            assert wait_until(lambda: pods() or outcome.done(), 30)
            assert not outcome.done(), outcome.result()
            (pod,) = pods()
            assert wait_until(lambda: pods()[0]["status"].get("conditions"), 30)
        finally:
            cancel.set(urgent=True)
        assert not outcome.result(60).succeeded
    assert pod["spec"]["nodeSelector"] == {"disk": "none"}
    assert [each["name"] for each in pod["spec"]["initContainers"]] == ["fetch", "first", "main"]
