"""The Pod Security Standard *restricted* in the test server, and tasks in namespaces that enforce it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest

from standpipe import dsl, kubernetes
from standpipe.errors import TaskFailed
from tests.kubernetes.pod_security import find_violations
from tests.kubernetes.pods import Image
from tests.kubernetes.test_runs import (  # noqa: F401  the fixtures of the runner
    IMAGE,
    Place,
    in_process,
    list_folder,
    make_folder,
    place,
    s3,
    shouting,
    stubborn,
    visible,
)
from tests.kubernetes.test_settings import identify, load, read, save
from tests.wheels import make_wheel

_SAFE = {
    "allowPrivilegeEscalation": False,
    "capabilities": {"drop": ["ALL"], "add": ["NET_BIND_SERVICE"]},
    "runAsNonRoot": True,
    "runAsUser": 1000,
    "seccompProfile": {"type": "RuntimeDefault"},
}
_NON_ROOT = 'runAsNonRoot != true (pod or container "main" must set securityContext.runAsNonRoot=true)'


def violations(context: dict[str, Any] | None = None, pod: dict[str, Any] | None = None, **container: Any) -> list[str]:
    """Return what *restricted* does not allow of a pod with one container, which it allows but for the arguments."""
    main = {"name": "main", "image": "x", "securityContext": {**_SAFE, **(context or {})}, **container}
    metadata = (pod or {}).pop("metadata", {})
    return list(find_violations(metadata, {"containers": [main], **(pod or {})}))


def test_a_pod_that_restricted_allows_has_no_violations() -> None:
    level = {"runAsNonRoot": True, "seccompProfile": {"type": "Localhost", "localhostProfile": "a.json"}}
    inherits = {"runAsNonRoot": None, "seccompProfile": None, "runAsUser": None}

    assert violations() == violations(inherits, {"securityContext": level}) == []


def test_a_pod_without_a_security_context_is_refused_for_four_reasons() -> None:
    assert list(find_violations({}, {"initContainers": [{"name": "a"}], "containers": [{"name": "b"}]})) == [
        'allowPrivilegeEscalation != false (containers "a", "b" must set '
        "securityContext.allowPrivilegeEscalation=false)",
        'unrestricted capabilities (containers "a", "b" must set securityContext.capabilities.drop=["ALL"])',
        'runAsNonRoot != true (pod or containers "a", "b" must set securityContext.runAsNonRoot=true)',
        'seccompProfile (pod or containers "a", "b" must set securityContext.seccompProfile.type to '
        '"RuntimeDefault" or "Localhost")',
    ]


@pytest.mark.parametrize(
    ("context", "pod", "container", "expected"),
    [
        ({"allowPrivilegeEscalation": True}, {}, {}, "allowPrivilegeEscalation != false"),
        ({"capabilities": {"drop": ["NET_RAW"]}}, {}, {}, "unrestricted capabilities"),
        ({"capabilities": {"drop": ["ALL"], "add": ["CHOWN"]}}, {}, {}, 'must not include "CHOWN"'),
        ({"runAsNonRoot": None}, {}, {}, _NON_ROOT),
        (
            {"runAsNonRoot": False},
            {"securityContext": {"runAsNonRoot": True}},
            {},
            "must not set security",
        ),
        ({}, {"securityContext": {"runAsNonRoot": False}}, {}, "runAsNonRoot != true (pod must not set"),
        ({"runAsUser": 0}, {}, {}, 'runAsUser=0 (container "main" must not set runAsUser=0)'),
        ({}, {"securityContext": {"runAsUser": 0}}, {}, "runAsUser=0 (pod must not set runAsUser=0)"),
        ({"seccompProfile": None}, {}, {}, "seccompProfile (pod or container"),
        ({"seccompProfile": {"type": "Unconfined"}}, {}, {}, 'seccompProfile.type to "Unconfined"'),
        ({}, {"volumes": [{"name": "v", "hostPath": {}}]}, {}, 'volume "v" uses restricted volume type "hostPath"'),
        ({}, {"volumes": [{"name": "v", "nfs": {}}]}, {}, 'volume "v" uses restricted volume type "nfs"'),
        ({"privileged": True}, {}, {}, "privileged"),
        ({"procMount": "Unmasked"}, {}, {}, "procMount"),
        ({"seLinuxOptions": {"type": "spc_t"}}, {}, {}, "seLinuxOptions"),
        ({"seLinuxOptions": {"role": "r"}}, {}, {}, "seLinuxOptions"),
        ({"windowsOptions": {"hostProcess": True}}, {}, {}, "hostProcess"),
        ({"appArmorProfile": {"type": "Unconfined"}}, {}, {}, "forbidden AppArmor profile"),
        ({}, {"hostNetwork": True}, {}, "host namespaces (hostNetwork=true)"),
        (
            {},
            {"securityContext": {"sysctls": [{"name": "kernel.msgmax", "value": "1"}]}},
            {},
            "(kernel.msgmax)",
        ),
        ({}, {}, {"ports": [{"containerPort": 80, "hostPort": 80}]}, 'container "main" uses hostPort 80'),
        ({}, {}, {"livenessProbe": {"httpGet": {"host": "a", "port": 1}}}, "probe or lifecycle host"),
    ],
)
def test_what_restricted_does_not_allow_is_named(
    context: dict[str, Any], pod: dict[str, Any], container: dict[str, Any], expected: str
) -> None:
    (violation,) = violations(context, pod, **container)
    assert expected in violation


def test_annotations_of_apparmor_are_checked() -> None:
    key = "container.apparmor.security.beta.kubernetes.io/main"
    assert violations(pod={"metadata": {"annotations": {key: "localhost/a"}}}) == []
    assert violations(pod={"metadata": {"annotations": {key: "unconfined"}}}) != []


# --- tasks -----------------------------------------------------------------------------------------------------------


@dsl.component(base_image=IMAGE)
def collect(texts: list, files: list) -> list:
    return [*texts, *files]


@dsl.pipeline
def identities() -> list:
    task = identify()
    return collect(texts=[task.outputs["Output"], read(data=task.outputs["data"]).output], files=[]).output


@in_process  # Kubernetes 1.20 has no such admission yet
def test_a_restricted_namespace_refuses_pods_with_advice_and_takes_those_with_it(place: Place) -> None:  # noqa: F811
    place.cluster.restrict()

    with pytest.raises(TaskFailed) as caught:
        place.run(identities)

    message = str(caught.value)
    assert 'its pod could not be made: Error creating: pods "standpipe-identify-' in message
    assert 'violates PodSecurity "restricted:latest"' in message
    assert 'containers "fetch", "main", "store" must set securityContext.runAsNonRoot=true' in message
    assert "local.KubernetesRunner(run_as_user=1000), or --runner-option run_as_user=1000" in message
    assert place.run(identities, runner=place.runner(run_as_user=1000)).output == ["1000 0", "written"]


@in_process  # as above
def test_a_task_whose_author_names_a_user_runs_in_a_restricted_namespace(place: Place) -> None:  # noqa: F811
    place.cluster.restrict()

    @dsl.pipeline
    def pipeline() -> str:
        task = identify()
        kubernetes.set_security_context(task, run_as_user=1234, run_as_group=1235)
        output: str = task.outputs["Output"]
        return output

    assert place.run(pipeline).output == "1234 1235"
    assert place.run(pipeline, runner=place.runner(run_as_user=1000)).output == "1234 1235"


def test_a_task_that_must_not_run_as_root_needs_a_user(place: Place) -> None:  # noqa: F811
    @dsl.pipeline
    def pipeline() -> str:
        task = identify()
        kubernetes.set_security_context(task, run_as_non_root=True)
        output: str = task.outputs["Output"]
        return output

    with pytest.raises(TaskFailed, match=r"(?s)image will run as root.*Name a user that is not root\."):
        place.run(pipeline)
    assert place.run(pipeline, runner=place.runner(run_as_user=1000)).output == "1000 0"


def test_a_folder_of_runs_that_the_user_cannot_enter_is_named(place: Place) -> None:  # noqa: F811
    """Containers see the folders of this machine, and this one is open to root alone."""
    with TemporaryDirectory(dir="/var/tmp") as closed:
        with pytest.raises(TaskFailed) as caught:
            place.run(identities, runner=place.runner(run_as_user=1000), state_root=Path(closed, "runs"))
        assert f"user 1000 cannot enter {closed}. Set state_root, which is {closed}/runs, to" in str(caught.value)


@in_process  # as above
def test_a_task_whose_author_asks_for_root_is_refused_in_a_restricted_namespace(place: Place) -> None:  # noqa: F811
    place.cluster.restrict()

    @dsl.pipeline
    def pipeline() -> None:
        kubernetes.set_security_context(identify(), run_as_user=0)

    with pytest.raises(TaskFailed, match='container "main" must not set runAsUser=0'):
        place.run(pipeline, runner=place.runner(run_as_user=1000))


@in_process  # as above
def test_everything_works_in_a_restricted_namespace(place: Place) -> None:  # noqa: F811
    """Folders, container components, volumes that belong to root, init containers, retries."""
    place.cluster.restrict()
    patch = dsl.KubernetesWorkspaceConfig(pvcSpecPatch={"accessModes": ["ReadWriteMany"]})
    config = dsl.PipelineConfig(workspace=dsl.WorkspaceConfig(size="1Gi", kubernetes=patch))

    @dsl.pipeline(pipeline_config=config)
    def pipeline() -> list:
        path = f"{dsl.WORKSPACE_PATH_PLACEHOLDER}/x"
        shared = load(path=path).after(save(path=path, text="shared"))
        prepared = load(path="/scratch/x")
        kubernetes.empty_dir_mount(prepared, "scratch", "/scratch")
        script = ["sh", "-c", "umask 077 && id -u > /scratch/x"]
        kubernetes.add_init_container(prepared, "first", "debian:12", script, volume_mounts={"scratch": "/scratch"})
        files = list_folder(model=make_folder().outputs["model"])
        texts = [shared.output, prepared.output, shouting().output, stubborn().output]
        return collect(texts=texts, files=files.output).output

    output = place.run(pipeline, runner=place.runner(run_as_user=1000)).output
    assert output == ["shared", "1000\n", "hello! hello!", "1", "a.txt", "deep/b.txt", "deep/deeper/c.txt"]


@in_process  # as above
def test_a_user_without_a_home_installs_packages(place: Place, visible: Path) -> None:  # noqa: F811
    """Its image has a Python whose packages belong to root."""
    place.cluster.restrict()
    visible.chmod(0o755)
    python = str(visible / "image")
    subprocess.run([sys.executable, "-m", "venv", "--system-site-packages", python], check=True)
    place.cluster.images["example.org/plain:1"] = Image((f"{python}/bin",), env={"PIP_BREAK_SYSTEM_PACKAGES": "1"})
    wheel = make_wheel(visible, "of_a_test", "1.5")
    wheel.chmod(0o644)

    def find() -> str:
        import of_a_test  # type: ignore[import-not-found]

        return f"{of_a_test.version} {of_a_test.__file__}"

    component = dsl.component(base_image="example.org/plain:1", packages_to_install=[str(wheel)])(find)

    version, _, path = place.run(component, runner=place.runner(run_as_user=54321)).output.partition(" ")
    assert version == "1.5"
    assert path.startswith("/.local/lib/")
