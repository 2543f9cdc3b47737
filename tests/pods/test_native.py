"""Settings of kfp-kubernetes as parts of the manifests of pods, up to what the runner is asked for."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from standpipe import dsl, kubernetes, local
from standpipe.errors import SpecError, StandpipeError, TaskFailed
from standpipe.model.attempts import Outcome, PodManifest, PodSettings, TaskRequest
from standpipe.model.cancellation import Cancellation
from standpipe.model.ports import Log
from standpipe.model.types import Json
from standpipe.pods.manifests import volume_name
from standpipe.runners.api import LocalRunner


class Pods(LocalRunner):
    """Notes the settings of each task, and writes its output. Its PVCs are in memory."""

    runs_pods = True

    def __init__(self, **outputs: str) -> None:
        self.outputs = outputs
        self.pods: dict[str, PodSettings] = {}
        self.existing: dict[str, Any] = {}
        self.deleted: list[str] = []

    @property
    def claims(self) -> Pods:
        return self

    def create(self, manifest: Mapping[str, Json]) -> bool:
        name = manifest["metadata"]["name"]
        is_new = name not in self.existing
        self.existing.setdefault(name, manifest)
        return is_new

    def delete(self, name: str) -> bool:
        self.deleted.append(name)
        return self.existing.pop(name, None) is not None

    def open(self) -> Any:
        return self

    def run(self, request: TaskRequest, *, log: Log, cancel: Cancellation) -> Outcome:
        self.pods[request.task.name] = request.pod
        if text := self.outputs.get(request.task.name):
            Path(request.executor_input["outputs"]["parameters"]["Output"]["outputFile"]).write_text(text)
        return Outcome(exit_code=0)

    def fingerprint(self, request: TaskRequest) -> str:
        return ""

    def close(self) -> None:
        """Nothing is open."""

    def workspace_path(self, workspace: Path) -> str:
        return "/kfp-workspace"


class Pinned(Pods):
    """Its tasks can be cached."""

    def fingerprint(self, request: TaskRequest) -> str:
        return "image"


@dsl.component
def work(text: str = "") -> None:
    pass


@dsl.component
def names() -> str:
    return "db"


@dsl.component
def objects() -> dict:
    return {}


@dsl.component
def several() -> list:
    return []


def pod_of(root: Path, configure: Any, runner: Pods | None = None) -> PodSettings:
    """Run a task with settings, and return what they mean for its pod."""
    runner = runner or Pods()

    @dsl.pipeline
    def pipeline() -> None:
        configure(work())

    local.run(pipeline, {}, runner=runner, pipeline_root=root, quiet=True, enable_caching=True)
    return runner.pods["work"]


def test_a_task_without_settings_has_none_in_its_pod(tmp_path: Path) -> None:
    def configure(task: dsl.PipelineTask) -> None:
        task.set_caching_options(False)

    assert pod_of(tmp_path, configure) == PodSettings()


# --- variables and volumes --------------------------------------------------------------------------------------------


def test_variables_refer_to_objects_of_the_cluster(tmp_path: Path) -> None:
    def configure(task: dsl.PipelineTask) -> None:
        kubernetes.use_secret_as_env(task, "db", {"password": "PASSWORD"})
        kubernetes.use_config_map_as_env(task, "settings", {"level": "LEVEL"}, optional=True)
        kubernetes.use_field_path_as_env(task, "POD", "metadata.name")

    assert list(pod_of(tmp_path, configure).manifest.env) == [
        {"name": "PASSWORD", "valueFrom": {"secretKeyRef": {"name": "db", "key": "password", "optional": False}}},
        {"name": "LEVEL", "valueFrom": {"configMapKeyRef": {"name": "settings", "key": "level", "optional": True}}},
        {"name": "POD", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}},
    ]


def test_objects_and_claims_are_volumes(tmp_path: Path) -> None:
    def configure(task: dsl.PipelineTask) -> None:
        kubernetes.mount_pvc(task, "data", "/data", sub_path="in")
        kubernetes.use_secret_as_volume(task, "db", "/secret", optional=True)
        kubernetes.use_config_map_as_volume(task, "settings", "/settings")

    made = pod_of(tmp_path, configure).manifest
    assert list(made.volumes) == [
        {"name": "data", "persistentVolumeClaim": {"claimName": "data"}},
        {"name": "db", "secret": {"secretName": "db", "optional": True}},
        {"name": "settings", "configMap": {"name": "settings", "optional": False}},
    ]
    assert list(made.volume_mounts) == [
        {"name": "data", "mountPath": "/data", "subPath": "in"},
        {"name": "db", "mountPath": "/secret"},
        {"name": "settings", "mountPath": "/settings"},
    ]


def test_volumes_of_a_pod_alone(tmp_path: Path) -> None:
    def configure(task: dsl.PipelineTask) -> None:
        kubernetes.empty_dir_mount(task, "scratch", "/scratch", medium="Memory", size_limit="1Gi")
        kubernetes.add_ephemeral_volume(
            task, "big", "/big", ["ReadWriteOnce"], "10Gi", storage_class_name="fast", labels={"a": "b"}
        )
        kubernetes.add_ephemeral_volume(task, "small", "/small", ["ReadWriteOnce"], "1Gi")

    volumes = {volume["name"]: volume for volume in pod_of(tmp_path, configure).manifest.volumes}
    assert volumes["scratch"]["emptyDir"] == {"medium": "Memory", "sizeLimit": "1Gi"}
    assert volumes["big"]["ephemeral"]["volumeClaimTemplate"] == {
        "metadata": {"labels": {"a": "b"}},
        "spec": {
            "accessModes": ["ReadWriteOnce"],
            "resources": {"requests": {"storage": "10Gi"}},
            "storageClassName": "fast",
        },
    }
    assert "storageClassName" not in volumes["small"]["ephemeral"]["volumeClaimTemplate"]["spec"]


def test_one_claim_is_mounted_twice(tmp_path: Path) -> None:
    def configure(task: dsl.PipelineTask) -> None:
        kubernetes.mount_pvc(task, "data", "/in", sub_path="in")
        kubernetes.mount_pvc(task, "data", "/out", sub_path="out")

    made = pod_of(tmp_path, configure).manifest
    assert [volume["name"] for volume in list(made.volumes)] == ["data"]
    assert [mount["name"] for mount in list(made.volume_mounts)] == ["data", "data"]


def test_a_secret_and_a_config_map_of_one_name_are_two_volumes(tmp_path: Path) -> None:
    def configure(task: dsl.PipelineTask) -> None:
        kubernetes.use_secret_as_volume(task, "app", "/a")
        kubernetes.use_config_map_as_volume(task, "app", "/b")

    made = pod_of(tmp_path, configure).manifest
    volumes = {volume["name"]: volume for volume in list(made.volumes)}
    assert len(volumes) == 2
    first, second = list(made.volume_mounts)
    assert "secret" in volumes[first["name"]]
    assert "configMap" in volumes[second["name"]]


def test_two_volumes_at_one_path_are_an_error(tmp_path: Path) -> None:
    def configure(task: dsl.PipelineTask) -> None:
        kubernetes.mount_pvc(task, "a", "/data")
        kubernetes.mount_pvc(task, "b", "/data")

    with pytest.raises(TaskFailed, match="two volumes are mounted at /data"):
        pod_of(tmp_path, configure)


@pytest.mark.parametrize("name", ["my.secret", "a" * 100, "-", "UPPER"])
def test_names_of_volumes_are_valid(name: str) -> None:
    import re

    assert re.fullmatch(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?", volume_name(name))


# --- the pod ----------------------------------------------------------------------------------------------------------


def test_where_a_pod_may_run(tmp_path: Path) -> None:
    def configure(task: dsl.PipelineTask) -> None:
        kubernetes.add_node_selector(task, "disk", "ssd")
        kubernetes.add_toleration(task, key="gpu", operator="Exists", effect="NoExecute", toleration_seconds=10)
        zone = {"key": "zone", "operator": "In", "values": ["a"]}
        kubernetes.add_node_affinity(task, match_expressions=[zone])
        kubernetes.add_node_affinity(task, match_expressions=[{"key": "fast", "operator": "Exists"}], weight=5)

    spec = pod_of(tmp_path, configure).manifest.spec
    assert spec["nodeSelector"] == {"disk": "ssd"}
    assert spec["tolerations"] == [{"key": "gpu", "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 10}]
    required = [{"matchExpressions": [{"key": "zone", "operator": "In", "values": ["a"]}]}]
    preferred = [{"weight": 5, "preference": {"matchExpressions": [{"key": "fast", "operator": "Exists"}]}}]
    assert spec["affinity"]["nodeAffinity"] == {
        "requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": required},
        "preferredDuringSchedulingIgnoredDuringExecution": preferred,
    }


def test_how_a_pod_is_started_and_ends(tmp_path: Path) -> None:
    def configure(task: dsl.PipelineTask) -> None:
        kubernetes.set_image_pull_policy(task, "Always")
        kubernetes.set_image_pull_secrets(task, ["registry"])
        kubernetes.set_timeout(task, 60)
        kubernetes.add_pod_label(task, "team", "a")
        kubernetes.add_pod_annotation(task, "note", "b")
        kubernetes.set_security_context(task, run_as_user=1000, run_as_group=100, run_as_non_root=True)

    made = pod_of(tmp_path, configure)
    security = {"runAsUser": 1000, "runAsGroup": 100, "runAsNonRoot": True, "capabilities": {"drop": ["ALL"]}}
    assert made == PodSettings(
        pull_policy="Always",
        labels={"team": "a"},
        manifest=PodManifest(
            annotations={"note": "b"},
            spec={"imagePullSecrets": [{"name": "registry"}], "activeDeadlineSeconds": 60},
            security_context=security,
        ),
    )


def test_init_containers_and_sidecars(tmp_path: Path) -> None:
    def configure(task: dsl.PipelineTask) -> None:
        kubernetes.empty_dir_mount(task, "scratch", "/scratch")
        kubernetes.add_init_container(
            task,
            name="first",
            image="busybox:1",
            command=["sh"],
            args=["-c", "echo $(A)"],
            env={"A": "1"},
            volume_mounts={"scratch": "/work"},
            restart_policy="Always",
            resource_limits={"memory": "64Mi"},
        )

    (container,) = pod_of(tmp_path, configure).manifest.init_containers
    assert container == {
        "name": "first",
        "image": "busybox:1",
        "command": ["sh"],
        "args": ["-c", "echo $(A)"],
        "env": [{"name": "A", "value": "1"}],
        "volumeMounts": [{"name": "scratch", "mountPath": "/work"}],
        "restartPolicy": "Always",
        "resources": {"limits": {"memory": "64Mi"}},
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "capabilities": {"drop": ["ALL"]},
            "seccompProfile": {"type": "RuntimeDefault"},
        },
    }


def test_settings_that_kfp_ignores_are_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    @dsl.pipeline
    def pipeline() -> None:
        work().platform_config["kubernetes"] = {"podAffinity": [{"topologyKey": "zone"}], "enabledSharedMemory": {}}

    runner = Pods()
    local.run(pipeline, {}, runner=runner, pipeline_root=tmp_path)
    assert runner.pods["work"].manifest.volumes == ({"name": "shared-memory", "emptyDir": {"medium": "Memory"}},)
    assert "ignored the setting podAffinity of task 'work', as KFP does" in capsys.readouterr().err


# --- values of the run ------------------------------------------------------------------------------------------------


def test_names_come_from_inputs_and_outputs(tmp_path: Path) -> None:
    @dsl.pipeline
    def pipeline(secret: str, selector: dict, absent: str | None = None) -> None:
        task = work()
        kubernetes.use_secret_as_env(task, secret, {"k": "A"})
        kubernetes.use_secret_as_env(task, names().output, {"k": "B"})
        kubernetes.use_secret_as_env(task, absent, {"k": "C"})  # type: ignore[arg-type]
        kubernetes.add_node_selector_json(task, selector)
        kubernetes.add_toleration_json(task, objects().output)
        kubernetes.add_toleration_json(task, several().output)

    runner = Pods(
        names="from-task", objects='{"key": "a", "tolerationSeconds": 5}', several='[{"key": "b"}, {"key": "c"}]'
    )
    arguments = {"secret": "from-input", "selector": {"disk": "ssd"}}
    local.run(pipeline, arguments, runner=runner, pipeline_root=tmp_path, quiet=True)
    made = runner.pods["work"].manifest
    refs = [variable["valueFrom"]["secretKeyRef"]["name"] for variable in made.env]
    assert refs == ["from-input", "from-task"]
    assert made.spec["nodeSelector"] == {"disk": "ssd"}
    assert made.spec["tolerations"] == [{"key": "a", "tolerationSeconds": 5}, {"key": "b"}, {"key": "c"}]


# --- the cache --------------------------------------------------------------------------------------------------------


def test_results_depend_on_what_a_pod_has_and_not_on_its_node(tmp_path: Path) -> None:
    def run(label: str, secret: str) -> bool:
        """Run a task, and return whether it was not cached."""

        def configure(task: dsl.PipelineTask) -> None:
            kubernetes.add_pod_label(task, "run", label)
            kubernetes.use_secret_as_env(task, secret, {"k": "K"})

        runner = Pinned()
        try:
            return bool(pod_of(tmp_path, configure, runner))
        except KeyError:
            return False

    assert [run("a", "x"), run("b", "x"), run("b", "y")] == [True, False, True]


@pytest.mark.parametrize("setting", ["claim", "pull"])
def test_what_a_key_cannot_tell_is_not_cached(tmp_path: Path, setting: str) -> None:
    def configure(task: dsl.PipelineTask) -> None:
        if setting == "claim":
            kubernetes.mount_pvc(task, "data", "/data")
        else:
            kubernetes.set_image_pull_policy(task, "Always")

    for _ in range(2):
        assert pod_of(tmp_path, configure, Pinned())


# --- PVCs -------------------------------------------------------------------------------------------------------------


def test_claims_are_created_used_and_deleted(tmp_path: Path) -> None:
    @dsl.pipeline
    def pipeline() -> None:
        pvc = kubernetes.CreatePVC(
            pvc_name_suffix="-data", access_modes=["ReadWriteOnce"], size="5Gi", storage_class_name="fast"
        )
        task = work()
        kubernetes.mount_pvc(task, pvc.outputs["name"], "/data")
        kubernetes.DeletePVC(pvc_name=pvc.outputs["name"]).after(task)

    runner = Pods()
    local.run(pipeline, {}, runner=runner, pipeline_root=tmp_path, quiet=True)
    (name,) = runner.deleted
    assert name.endswith("-data")
    assert runner.existing == {}
    assert runner.pods["work"].manifest.volumes[0]["persistentVolumeClaim"] == {"claimName": name}


def test_a_claim_of_a_name_that_is_taken_fails_the_task(tmp_path: Path) -> None:
    @dsl.pipeline
    def pipeline() -> None:
        kubernetes.CreatePVC(pvc_name="data", access_modes=["ReadWriteOnce"], size="5Gi", storage_class_name="fast")

    runner = Pods()
    local.run(pipeline, {}, runner=runner, pipeline_root=tmp_path, quiet=True)
    assert runner.existing["data"]["spec"] == {
        "accessModes": ["ReadWriteOnce"],
        "resources": {"requests": {"storage": "5Gi"}},
        "storageClassName": "fast",
    }
    with pytest.raises(TaskFailed, match="the PVC 'data' exists already"):
        local.run(pipeline, {}, runner=runner, pipeline_root=tmp_path, quiet=True, enable_caching=False)


def test_a_claim_that_is_missing_cannot_be_deleted(tmp_path: Path) -> None:
    @dsl.pipeline
    def pipeline() -> None:
        kubernetes.DeletePVC(pvc_name="gone")

    with pytest.raises(TaskFailed, match="the PVC 'gone' does not exist"):
        local.run(pipeline, {}, runner=Pods(), pipeline_root=tmp_path, quiet=True)


def workspace(**patch: Any) -> dsl.PipelineConfig:
    return dsl.PipelineConfig(
        workspace=dsl.WorkspaceConfig(size="3Gi", kubernetes=dsl.KubernetesWorkspaceConfig(pvcSpecPatch=patch))
    )


def test_a_workspace_is_a_claim_that_a_run_deletes_after_its_success(tmp_path: Path) -> None:
    @dsl.pipeline(pipeline_config=workspace(accessModes=["ReadWriteMany"]))
    def pipeline() -> None:
        work(text=dsl.WORKSPACE_PATH_PLACEHOLDER)

    runner = Pods()
    local.run(pipeline, {}, runner=runner, pipeline_root=tmp_path, quiet=True)
    name = f"{local.get_run('latest', tmp_path).id}-kfp-workspace"
    assert runner.pods["work"].manifest == PodManifest(
        volumes=({"name": "kfp-workspace", "persistentVolumeClaim": {"claimName": name}},),
        volume_mounts=({"name": "kfp-workspace", "mountPath": "/kfp-workspace"},),
    )
    assert runner.deleted == [name]


def test_a_workspace_needs_access_modes(tmp_path: Path) -> None:
    @dsl.pipeline(pipeline_config=workspace())
    def pipeline() -> None:
        work(text=dsl.WORKSPACE_PATH_PLACEHOLDER)

    with pytest.raises(SpecError, match="expected accessModes"):
        local.run(pipeline, {}, runner=Pods(), pipeline_root=tmp_path, quiet=True)


def test_a_cluster_that_does_not_answer_fails_the_task(tmp_path: Path) -> None:
    class Silent(Pods):
        def create(self, manifest: Mapping[str, Json]) -> bool:
            raise StandpipeError("the cluster does not answer")

    @dsl.pipeline
    def pipeline() -> None:
        kubernetes.CreatePVC(pvc_name="data", access_modes=["ReadWriteOnce"], size="5Gi", storage_class_name="fast")

    with pytest.raises(TaskFailed, match="the cluster does not answer"):
        local.run(pipeline, {}, runner=Silent(), pipeline_root=tmp_path, quiet=True)
