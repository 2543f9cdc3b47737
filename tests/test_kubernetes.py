"""The functions for Kubernetes settings, as users call them.

`tests/slow/test_kubernetes.py` compares them with those of the KFP SDK.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from standpipe import dsl, kubernetes, local
from standpipe.errors import AuthoringError
from standpipe.model.plan import Plan

from .imports import modules_of


@dsl.component
def work(text: str = "") -> str:
    return text


@dsl.component
def look() -> dict:
    import os

    with open("/run-data/note") as file:
        return {"user": os.environ["DB_USER"], "note": file.read()}


@dsl.component
def note() -> None:
    with open("/run-data/note", "w") as file:
        file.write("kept")


#: The same functions, for arguments of wrong types.
untyped: Any = kubernetes


def executors_of(plan: Plan) -> dict[str, Any]:
    return plan.platforms["kubernetes"]["deploymentSpec"]["executors"]


def settings_of(*calls: Callable[[dsl.PipelineTask], dsl.PipelineTask]) -> Any:
    """Return the settings of a task after these calls."""

    @dsl.pipeline
    def one() -> None:
        task = work()
        for call in calls:
            assert call(task) is task

    return executors_of(one.plan)["exec-work"]


def constant(value: object) -> dict[str, object]:
    return {"runtimeValue": {"constant": value}}


SECRET = {"secretName": "db", "secretNameParameter": constant("db"), "optional": False}
CONFIG_MAP = {"configMapName": "app", "configMapNameParameter": constant("app"), "optional": True}
AFFINITY: dict[str, Any] = {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": []}}

#: For each function: calls, and the settings that they compile to.
COMPILED: dict[str, tuple[Any, Any]] = {
    "use_secret_as_env": (
        lambda task: kubernetes.use_secret_as_env(task, "db", {"user": "DB_USER", "pw": "DB_PW"}),
        {
            "secretAsEnv": [
                {
                    **SECRET,
                    "keyToEnv": [{"secretKey": "user", "envVar": "DB_USER"}, {"secretKey": "pw", "envVar": "DB_PW"}],
                }
            ]
        },
    ),
    "use_secret_as_volume": (
        lambda task: kubernetes.use_secret_as_volume(task, "db", "/etc/db"),
        {"secretAsVolume": [{**SECRET, "mountPath": "/etc/db"}]},
    ),
    "use_config_map_as_env": (
        lambda task: kubernetes.use_config_map_as_env(task, "app", {"mode": "MODE"}, optional=True),
        {"configMapAsEnv": [{**CONFIG_MAP, "keyToEnv": [{"configMapKey": "mode", "envVar": "MODE"}]}]},
    ),
    "use_config_map_as_volume": (
        lambda task: kubernetes.use_config_map_as_volume(task, "app", "/etc/app", optional=True),
        {"configMapAsVolume": [{**CONFIG_MAP, "mountPath": "/etc/app"}]},
    ),
    "set_image_pull_secrets": (
        lambda task: kubernetes.set_image_pull_secrets(task, ["db"]),
        {"imagePullSecret": [{"secretName": "db", "secretNameParameter": constant("db")}]},
    ),
    "mount_pvc": (
        lambda task: kubernetes.mount_pvc(task, "data", "/data", sub_path="a"),
        {
            "pvcMount": [
                {"constant": "data", "pvcNameParameter": constant("data"), "mountPath": "/data", "subPath": "a"}
            ]
        },
    ),
    "empty_dir_mount": (
        lambda task: kubernetes.empty_dir_mount(task, "v", "/v", medium="Memory", size_limit="1Gi"),
        {"emptyDirMounts": [{"volumeName": "v", "mountPath": "/v", "medium": "Memory", "sizeLimit": "1Gi"}]},
    ),
    "add_ephemeral_volume": (
        lambda task: kubernetes.add_ephemeral_volume(task, "v", "/v", ["ReadWriteOnce"], "1Gi", labels={"a": "b"}),
        {
            "genericEphemeralVolume": [
                {
                    "volumeName": "v",
                    "mountPath": "/v",
                    "accessModes": ["ReadWriteOnce"],
                    "size": "1Gi",
                    "defaultStorageClass": True,
                    "metadata": {"labels": {"a": "b"}},
                }
            ]
        },
    ),
    "use_field_path_as_env": (
        lambda task: kubernetes.use_field_path_as_env(task, "POD", "metadata.name"),
        {"fieldPathAsEnv": [{"name": "POD", "fieldPath": "metadata.name"}]},
    ),
    "set_timeout": (lambda task: kubernetes.set_timeout(task, 20), {"activeDeadlineSeconds": "20"}),
    "set_image_pull_policy": (
        lambda task: kubernetes.set_image_pull_policy(task, "Never"),
        {"imagePullPolicy": "Never"},
    ),
    "set_security_context": (
        lambda task: kubernetes.set_security_context(task, run_as_user=0, run_as_non_root=False),
        {"securityContext": {"runAsUser": "0", "runAsNonRoot": False}},
    ),
    "add_pod_label": (
        lambda task: kubernetes.add_pod_label(kubernetes.add_pod_label(task, "a", "1"), "b", "2"),
        {"podMetadata": {"labels": {"a": "1", "b": "2"}}},
    ),
    "add_pod_annotation": (
        lambda task: kubernetes.add_pod_annotation(kubernetes.add_pod_label(task, "a", "1"), "b", "2"),
        {"podMetadata": {"labels": {"a": "1"}, "annotations": {"b": "2"}}},
    ),
    "add_node_selector": (
        lambda task: kubernetes.add_node_selector(task, "zone", "a"),
        {"nodeSelector": {"labels": {"zone": "a"}}},
    ),
    "add_node_selector_json": (
        lambda task: kubernetes.add_node_selector_json(kubernetes.add_node_selector(task, "a", "b"), {"zone": "a"}),
        {"nodeSelector": {"labels": {"a": "b"}, "nodeSelectorJson": constant({"zone": "a"})}},
    ),
    "add_node_affinity": (
        lambda task: kubernetes.add_node_affinity(task, [{"key": "a", "operator": "In", "values": ["b"]}], weight=5),
        {"nodeAffinity": [{"matchExpressions": [{"key": "a", "operator": "In", "values": ["b"]}], "weight": 5}]},
    ),
    "add_node_affinity_json": (
        lambda task: kubernetes.add_node_affinity_json(kubernetes.add_node_affinity_json(task, {}), AFFINITY),
        {"nodeAffinity": [{"nodeAffinityJson": constant(AFFINITY)}]},
    ),
    "add_toleration": (
        lambda task: kubernetes.add_toleration(task, "gpu", "Exists", effect="NoExecute", toleration_seconds=0),
        {"tolerations": [{"key": "gpu", "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": "0"}]},
    ),
    "add_toleration_json": (
        lambda task: kubernetes.add_toleration_json(kubernetes.add_toleration_json(task, {"key": "a"}), [{"key": "b"}]),
        {"tolerations": [{"key": "a"}, {"key": "b"}]},
    ),
    "add_init_container": (
        lambda task: kubernetes.add_init_container(task, "first", "busybox"),
        {"initContainers": [{"name": "first", "image": "busybox"}]},
    ),
}


@pytest.mark.parametrize("function", sorted(kubernetes.__all__))
def test_each_function_compiles_to_the_settings_of_kfp_kubernetes(function: str) -> None:
    if function in ("CreatePVC", "DeletePVC"):
        return  # components: see the next test
    call, settings = COMPILED[function]
    assert settings_of(call) == settings


def test_pvcs_are_made_by_components() -> None:
    @dsl.pipeline
    def volumes() -> None:
        claim = kubernetes.CreatePVC(pvc_name_suffix="-data", access_modes=["ReadWriteOnce"], size="1Gi")
        task = work()
        kubernetes.mount_pvc(task, claim.outputs["name"], "/data")
        kubernetes.DeletePVC(pvc_name=claim.output).after(task)

    source = {"taskOutputParameter": {"producerTask": "createpvc", "outputParameterKey": "name"}}
    mount = {**source, "pvcNameParameter": source, "mountPath": "/data"}
    assert executors_of(volumes.plan)["exec-work"] == {"pvcMount": [mount]}
    assert volumes.plan.root.body.nodes["work"].after == ("createpvc",)  # type: ignore[union-attr]
    images = {label: getattr(executor, "image", "") for label, executor in volumes.plan.executors.items()}
    assert str(images["exec-createpvc"]) == "argostub/createpvc"
    assert str(images["exec-deletepvc"]) == "argostub/deletepvc"


def test_settings_and_pvcs_have_their_effect_in_a_run(tmp_path: Path) -> None:
    @dsl.pipeline
    def whole(secret: str = "db") -> dict:
        claim = kubernetes.CreatePVC(pvc_name="data", access_modes=["ReadWriteMany"], size="1Gi")
        writing = kubernetes.mount_pvc(note(), claim.output, "/run-data")
        reading = look().after(writing)
        kubernetes.mount_pvc(reading, claim.output, "/run-data")
        kubernetes.use_secret_as_env(reading, secret, {"user": "DB_USER"})
        kubernetes.DeletePVC(pvc_name=claim.output).after(reading)
        return reading.output

    runner = local.SubprocessRunner(use_venv=False)
    secrets = {"secrets": {"db": {"user": "me"}}}
    task = local.run(whole, runner=runner, pipeline_root=tmp_path, quiet=True, kubernetes=secrets)
    assert task.output == {"user": "me", "note": "kept"}
    assert list((tmp_path / "pvcs").iterdir()) == []


def test_a_dict_can_be_changed_between_two_calls() -> None:
    selector = {"zone": "a", "sizes": (1, 2)}

    @dsl.pipeline
    def two() -> None:
        kubernetes.add_node_selector_json(work(), selector)
        selector["zone"] = "b"
        kubernetes.add_node_selector_json(work(), selector)

    zones = [
        settings["nodeSelector"]["nodeSelectorJson"]["runtimeValue"]["constant"]
        for settings in executors_of(two.plan).values()
    ]
    assert zones == [{"zone": "a", "sizes": [1, 2]}, {"zone": "b", "sizes": [1, 2]}]


def test_a_timeout_of_zero_removes_an_earlier_one() -> None:
    assert settings_of(lambda task: kubernetes.set_timeout(kubernetes.set_timeout(task, 5), 0)) == {}


def test_an_artifact_or_a_branch_is_no_name() -> None:
    with pytest.raises(ValueError, match="got the pipeline input 'data' of type Dataset"):

        @dsl.pipeline
        def by_artifact(data: dsl.Input[dsl.Dataset]) -> None:
            untyped.use_secret_as_env(work(), data, {"k": "V"})

    with pytest.raises(ValueError, match="got the dsl.OneOf of the output 'Output' of task 'work'"):

        @dsl.pipeline
        def by_branch(flag: bool) -> None:
            with dsl.If(flag == True):  # noqa: E712 - KFP's notation
                one = work()
            with dsl.Else():
                other = work()
            kubernetes.set_image_pull_secrets(work(), [dsl.OneOf(one.output, other.output)])


@pytest.mark.parametrize(
    ("call", "error", "problem"),
    [
        (
            lambda task: untyped.use_secret_as_env(task, 1, {}),
            ValueError,
            r"Task 'work', kubernetes.use_secret_as_env\(\): expected the name to be a str, .*, got 1",
        ),
        (lambda task: untyped.use_secret_as_env(task, "a", ["k"]), TypeError, "by key to be a dict, got \\['k'\\]"),
        (lambda task: untyped.use_config_map_as_volume(task, "a", 1), TypeError, "expected mount_path to be text"),
        (
            lambda task: untyped.use_secret_as_volume(task, "a", "/a", "no"),
            TypeError,
            "optional to be True or False",
        ),
        (lambda task: untyped.set_image_pull_secrets(task, "db"), TypeError, "secret_names to be a list, got 'db'"),
        (
            lambda task: untyped.add_ephemeral_volume(task, "v", "/v", "ReadWriteOnce", "1Gi"),
            TypeError,
            "expected access_modes to be a list",
        ),
        (lambda task: untyped.set_timeout(task, -1), ValueError, "seconds to be a whole number from 0 to"),
        (lambda task: untyped.set_timeout(task, "5"), TypeError, "expected seconds to be a whole number, got '5'"),
        (lambda task: untyped.set_image_pull_policy(task, "always"), ValueError, "Always, Never, IfNotPresent"),
        (lambda task: untyped.set_security_context(task), ValueError, "expected at least one of run_as_user"),
        (lambda task: untyped.set_security_context(task, run_as_user=True), TypeError, "run_as_user to be a whole"),
        (lambda task: untyped.set_security_context(task, run_as_group=-1), ValueError, "run_as_group to be a whole"),
        (lambda task: untyped.set_security_context(task, run_as_non_root=1), TypeError, "True or False, got 1"),
        (lambda task: untyped.add_node_selector_json(task, {"a": {1}}), ValueError, r"node_selector_json\['a'\] is"),
        (lambda task: untyped.add_node_affinity(task, weight=101), ValueError, "from 1 to 100, got 101"),
        (lambda task: untyped.add_node_affinity(task, [{"operator": "In"}]), ValueError, "expected a key in each"),
        (
            lambda task: untyped.add_node_affinity(task, match_fields=[{"key": "a", "operator": "in"}]),
            ValueError,
            "operator for 'a' in match_fields to be one of DoesNotExist, Exists, .*, got 'in'",
        ),
        (lambda task: untyped.add_node_affinity_json(task, {"required": {}}), ValueError, "got 'required'"),
        (lambda task: untyped.add_toleration_json(task, "a"), ValueError, "to be a list, a dict, an input"),
        (lambda task: untyped.add_toleration_json(task, ["a"]), TypeError, "each item of toleration_json to be a"),
    ],
)
def test_invalid_arguments_are_errors_of_the_sdk_s_classes(call: Any, error: type[Exception], problem: str) -> None:
    with pytest.raises(error, match=problem):
        settings_of(call)


def test_keys_that_the_sdk_drops_are_warned_of_at_the_line_of_the_user() -> None:
    toleration = {"key": "a", "tolerationSeconds": 5}
    with pytest.warns(UserWarning, match="'tolerationSeconds' in toleration_json has no effect") as caught:
        settings = settings_of(lambda task: kubernetes.add_toleration_json(task, toleration))
    assert settings == {"tolerations": [{"key": "a"}]}
    assert caught[0].filename == __file__
    requirement = {"key": "a", "operator": "In", "value": "b"}
    with pytest.warns(UserWarning, match="'value' in match_expressions has no effect") as caught:
        settings_of(lambda task: kubernetes.add_node_affinity(task, match_expressions=[requirement]))
    assert caught[0].filename == __file__


def test_a_value_inside_text_is_warned_of() -> None:
    with pytest.warns(
        UserWarning, match="Task 'work', its settings for kubernetes: the pipeline input 'team' is inside"
    ):

        @dsl.pipeline
        def one(team: str) -> None:
            kubernetes.use_secret_as_volume(work(), f"{team}-db", "/etc/db")

    assert executors_of(one.plan)["exec-work"]["secretAsVolume"][0]["secretName"].startswith(
        "{{channel:task=;name=team;"
    )


def test_a_task_that_has_run_is_refused(tmp_path: Path) -> None:
    local.init(runner=local.SubprocessRunner(use_venv=False), pipeline_root=tmp_path, quiet=True)
    with pytest.raises(AuthoringError, match="has already run"):
        kubernetes.set_timeout(work(), 5)


def test_the_functions_are_imported_when_they_are_used() -> None:
    assert not {name for name in modules_of("import standpipe") if "kubernetes" in name}
    modules = modules_of("from standpipe import kubernetes")
    assert "standpipe.dsl.kubernetes.volumes" in modules
    assert not {name for name in modules if name.startswith(("google", "standpipe.ir", "standpipe.pods"))}
