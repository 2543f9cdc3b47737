"""The Jobs that are made of attempts."""

from __future__ import annotations

import base64
from dataclasses import replace
from typing import Any

import pytest
from lightkube.resources.batch_v1 import Job
from lightkube.resources.core_v1 import ConfigMap

from standpipe.model.attempts import CommandLine, PodManifest, PodSettings, TaskRequest, Transfers
from standpipe.model.plan import PythonFunction
from standpipe.model.resources import Limits, ResourceRequest
from standpipe.runners.kubernetes import names
from standpipe.runners.kubernetes.pods import PodPlan, make_code, make_job
from standpipe.runners.kubernetes.runner import CODE_PARTS
from standpipe.runners.kubernetes.settings import AgentSettings
from standpipe.runners.transport.archive import make_archive
from tests.kubernetes.pod_security import find_violations
from tests.runners.kubernetes.attempts import request

#: What *restricted* asks of a container that the pod does not say for all.
RESTRICTED: dict[str, Any] = {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}}

PLAN = PodPlan("standpipe-train-1", "owner-1", "standpipe-code-1", "s3://data/runs/run-1/train/.standpipe", "abc")


def job(made_from: TaskRequest, **settings: Any) -> dict[str, Any]:
    """Return the Job of an attempt, in which lightkube knows each field."""
    made = make_job(made_from, PLAN._replace(settings=AgentSettings(**settings)))
    assert without_empty(Job.from_dict(made).to_dict()) == without_empty(made)
    return made


def without_empty(value: Any) -> Any:
    """Return JSON without what lightkube leaves out: values that are the defaults of fields."""
    if isinstance(value, dict):
        return {key: without_empty(each) for key, each in value.items() if each not in (None, [], "")}
    return [without_empty(each) for each in value] if isinstance(value, list) else value


def pod_spec(made_from: TaskRequest, **settings: Any) -> dict[str, Any]:
    spec: dict[str, Any] = job(made_from, **settings)["spec"]["template"]["spec"]
    return spec


def containers(made_from: TaskRequest, **settings: Any) -> dict[str, Any]:
    spec = pod_spec(made_from, **settings)
    return {each["name"]: each for each in (*spec["initContainers"], *spec["containers"])}


def test_kubernetes_runs_the_containers_in_a_sequence_and_repeats_nothing() -> None:
    made = job(request())
    spec = made["spec"]["template"]["spec"]

    assert [each["name"] for each in spec["initContainers"]] == ["fetch", "main"]
    assert [each["name"] for each in spec["containers"]] == ["store"]
    assert (made["spec"]["backoffLimit"], spec["restartPolicy"]) == (0, "Never")
    assert made["spec"]["ttlSecondsAfterFinished"] > 0


def test_a_container_component_runs_its_own_command() -> None:
    main = containers(request(env={"COLOUR": "blue"}, retry_index=2))["main"]

    assert (main["image"], main["command"], main["args"]) == ("python:3.11", ["echo"], ["hello"])
    assert {"name": "COLOUR", "value": "blue"} in main["env"]
    assert {"name": "KFP_RETRY_INDEX", "value": "2"} in main["env"]


def test_a_command_without_program_uses_the_entrypoint_of_the_image() -> None:
    main = containers(request(CommandLine((), ("hello",))))["main"]

    assert "command" not in main
    assert main["args"] == ["hello"]


def test_a_function_runs_in_the_worker_without_installing_anything() -> None:
    main = containers(request(PythonFunction("train", "def train(): ...")))["main"]

    assert main["command"] == ["python3", "/standpipe/worker/boot.py"]
    assert main["args"] == ["pod", "/runs/run-1/train/request.json"]


def test_packages_are_installed_as_on_a_cluster() -> None:
    function = PythonFunction(
        "train", "def train(): ...", packages=("numpy==2.1", "it's"), index_urls=("https://a.example/simple",)
    )

    shell, option, script, *rest = containers(request(function))["main"]["command"]

    assert (shell, option, rest) == ("sh", "-c", ["python3", "/standpipe/worker/boot.py"])
    assert "--index-url https://a.example/simple 'numpy==2.1' \"it's\"" in script
    assert script.rstrip().endswith('exec "$0" "$@"')


def test_only_our_containers_get_the_credentials_to_the_store() -> None:
    made = containers(request(), store_secret="s3")

    assert made["fetch"]["envFrom"] == made["store"]["envFrom"] == [{"secretRef": {"name": "s3"}}]
    assert "envFrom" not in made["main"]
    assert "envFrom" not in containers(request())["fetch"]


def test_a_task_can_write_to_the_pipeline_root_but_not_to_the_code() -> None:
    mounts = {each["mountPath"]: each for each in containers(request())["main"]["volumeMounts"]}

    assert set(mounts) == {"/standpipe/worker", "/runs"}
    assert mounts["/standpipe/worker"]["readOnly"] is True
    assert mounts["/standpipe/worker"]["subPath"] == "code/standpipe/worker"


@pytest.mark.parametrize(
    ("resources", "limits", "expected"),
    [
        ({}, Limits(), None),
        ({"cpu": 0.25, "memory": 1024}, Limits(), {"requests": {"cpu": "250m", "memory": "1024"}}),
        ({"cpu": 1.0}, Limits(cpu=2.5), {"requests": {"cpu": "1000m"}, "limits": {"cpu": "2500m"}}),
        ({"gpus": 2}, Limits(gpus=("0", "1")), {"limits": {"nvidia.com/gpu": "2"}}),
        ({"gpus": 1, "accelerator": "amd.com/gpu"}, Limits(), {"limits": {"amd.com/gpu": "1"}}),
        ({"gpus": 1, "accelerator": "NVIDIA_TESLA_T4"}, Limits(), {"limits": {"nvidia.com/gpu": "1"}}),
    ],
)
def test_resources_are_requests_and_limits(resources: dict[str, Any], limits: Limits, expected: Any) -> None:
    main = containers(request(resources=ResourceRequest(**resources), limits=limits))["main"]

    assert main.get("resources") == expected


def test_the_user_names_account_and_image() -> None:
    made = containers(request(), image="registry.example/agent:1")

    assert made["fetch"]["image"] == made["store"]["image"] == "registry.example/agent:1"
    assert pod_spec(request(), service_account="trainer")["serviceAccountName"] == "trainer"
    assert "serviceAccountName" not in pod_spec(request())


def authored(**context: Any) -> TaskRequest:
    """Return an attempt whose author has set a security context, as settings of kfp-kubernetes make it."""
    return request(pod=PodSettings(manifest=PodManifest(security_context=context)))


def test_without_a_user_nothing_is_asked_of_containers() -> None:
    spec = pod_spec(request())

    assert "securityContext" not in spec
    assert not any("securityContext" in each for each in (*spec["initContainers"], *spec["containers"]))
    assert [each["name"] for each in spec["volumes"]] == ["standpipe-agent", "standpipe-code", "standpipe-state"]


def test_a_pod_whose_user_is_named_satisfies_restricted() -> None:
    sidecar = {"name": "proxy", "image": "proxy:1", "securityContext": {**RESTRICTED}}
    made = request(pod=PodSettings(manifest=PodManifest(init_containers=(sidecar,))))

    spec = pod_spec(made, run_as_user=1000)

    assert list(find_violations({}, pod_spec(made))) != []
    assert list(find_violations({}, spec)) == []
    context = spec["securityContext"]
    assert (context["runAsUser"], context["fsGroup"], context["fsGroupChangePolicy"]) == (1000, 1000, "OnRootMismatch")
    assert {each["securityContext"].get("runAsUser", 1000) for each in spec["initContainers"]} == {1000}


def test_our_containers_run_as_the_user_that_the_author_of_the_task_names() -> None:
    for options in ({}, {"run_as_user": 1000}):
        made = containers(authored(runAsUser=1234, runAsGroup=1235, capabilities={"drop": ["ALL"]}), **options)

        for name in ("fetch", "main", "store"):
            context = made[name]["securityContext"]
            assert (context["runAsUser"], context["runAsGroup"], context["runAsNonRoot"]) == (1234, 1235, True)
    assert list(find_violations({}, pod_spec(authored(runAsUser=1234)))) == []


def test_what_the_author_of_a_task_sets_wins() -> None:
    refused = containers(authored(runAsUser=1234, runAsNonRoot=False), run_as_user=1000)
    root = pod_spec(authored(runAsUser=0), run_as_user=1000)

    assert refused["main"]["securityContext"]["runAsNonRoot"] is False
    assert "securityContext" not in root
    assert root["initContainers"][-1]["securityContext"] == {"runAsUser": 0}
    assert "securityContext" not in root["containers"][0]  # root reads what it has written


def test_an_author_who_only_forbids_root_leaves_the_user_to_the_image() -> None:
    made = containers(authored(runAsNonRoot=True))

    assert made["main"]["securityContext"] == {"runAsNonRoot": True}
    assert "securityContext" not in made["store"]


def test_a_user_without_a_home_can_write_where_pip_installs() -> None:
    mounted = PodSettings(manifest=PodManifest(volume_mounts=({"name": "data", "mountPath": "/.cache"},)))
    mounts = {each["mountPath"]: each for each in containers(request(), run_as_user=1000)["main"]["volumeMounts"]}
    others = containers(request(pod=mounted), run_as_user=1000)["main"]["volumeMounts"]

    assert mounts["/.local"] == {"name": "standpipe-home", "mountPath": "/.local", "subPath": ".local"}
    assert {"/.cache", "/.config"} < set(mounts)
    assert [each["name"] for each in others if each["mountPath"] == "/.cache"] == ["data"]


def test_labels_of_the_user_do_not_hide_ours() -> None:
    labels = {names.OWNER: "somebody", "team": "blue"}

    made = job(request(pod=PodSettings(labels=labels)))["spec"]["template"]["metadata"]["labels"]

    assert made[names.OWNER] == "owner-1"
    assert made["team"] == "blue"


def test_pods_get_no_proxy_of_a_mesh_unless_the_user_wants_one() -> None:
    labels = {"sidecar.istio.io/inject": "true"}
    plain = job(request())["spec"]["template"]["metadata"]
    chosen = job(request(pod=PodSettings(labels=labels)))["spec"]["template"]["metadata"]

    assert plain["labels"]["sidecar.istio.io/inject"] == plain["annotations"]["sidecar.istio.io/inject"] == "false"
    assert chosen["labels"]["sidecar.istio.io/inject"] == "true"


def test_settings_of_the_user_are_fields_of_the_pod_around_ours() -> None:
    pod = PodSettings(
        pull_policy="Always",
        labels={"team": "blue", names.OWNER: "x"},
        manifest=PodManifest(
            annotations={"note": "n"},
            volumes=({"name": "data", "persistentVolumeClaim": {"claimName": "data"}},),
            init_containers=({"name": "proxy", "image": "proxy:1", "restartPolicy": "Always"},),
            spec={"nodeSelector": {"disk": "ssd"}, "restartPolicy": "Always"},
            env=({"name": "COLOUR", "valueFrom": {"secretKeyRef": {"name": "s", "key": "k"}}},),
            volume_mounts=({"name": "data", "mountPath": "/data"},),
            security_context={"runAsGroup": 7},
        ),
    )
    made = job(request(env={"COLOUR": "red"}, pod=pod))["spec"]["template"]
    spec = made["spec"]
    main = spec["initContainers"][-1]

    assert (made["metadata"]["labels"]["team"], made["metadata"]["labels"][names.OWNER]) == ("blue", "owner-1")
    assert made["metadata"]["annotations"]["note"] == "n"
    assert (spec["nodeSelector"], spec["restartPolicy"]) == ({"disk": "ssd"}, "Never")
    assert [each["name"] for each in spec["initContainers"]] == ["fetch", "proxy", "main"]
    assert [each["name"] for each in spec["volumes"]][-1] == "data"
    assert (main["imagePullPolicy"], main["securityContext"]) == ("Always", {"runAsGroup": 7})
    assert [each for each in main["env"] if each["name"] == "COLOUR"] == list(pod.manifest.env)
    assert [each["mountPath"] for each in main["volumeMounts"]] == ["/standpipe/worker", "/runs", "/data"]


def test_runs_of_the_same_name_with_other_roots_have_other_labels() -> None:
    mine, theirs = request(), request(transfers=Transfers("s3://theirs/runs"))

    assert names.digest_run(mine) != names.digest_run(theirs)
    assert names.digest_run(mine) == names.digest_run(replace(mine, attempt=1))


@pytest.mark.parametrize("name", ["Größe_" * 30, "---", "for-loop-1/0/train", "a" * 63])
def test_names_are_valid_for_kubernetes(name: str) -> None:
    label = names.to_label(name)

    assert len(label) <= 63
    assert label == label.strip("-_.")


def test_the_code_fits_into_a_config_map() -> None:
    archive, _ = make_archive(CODE_PARTS)
    made = make_code("standpipe-1", base64.b64encode(archive).decode())

    assert len(archive) < 1024**2
    assert ConfigMap.from_dict(made).to_dict() == made
