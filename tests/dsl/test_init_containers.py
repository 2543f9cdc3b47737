"""`add_init_container`, as users call it."""

from __future__ import annotations

from typing import Any

import pytest

from standpipe import dsl
from standpipe.errors import AuthoringError
from standpipe.kubernetes import add_init_container


@dsl.component
def work(text: str = "") -> None:
    pass


def compiled(*calls: dict[str, Any], platform: dict[str, Any] | None = None) -> Any:
    """Return the settings of a task after these calls."""

    @dsl.pipeline
    def one() -> None:
        task = work()
        for call in calls:
            assert add_init_container(task, **call) is task
        if platform:
            task.platform_config["kubernetes"] = platform

    return one.plan.platforms["kubernetes"]["deploymentSpec"]["executors"]["exec-work"]


def test_all_fields_compile_as_by_the_next_kfp_kubernetes() -> None:
    settings = compiled(
        {
            "name": "fetch",
            "image": "busybox:1",
            "command": ["sh", "-c"],
            "args": ["wget $(URL)", ""],
            "env": {"URL": "http://x", "EMPTY": ""},
            "volume_mounts": {"config": "/config"},
            "restart_policy": "Always",
            "resource_requests": {"cpu": "250m"},
            "resource_limits": {"memory": "256Mi"},
        },
        {"name": "second", "image": "i", "resource_limits": {"cpu": "1"}},
        platform={"activeDeadlineSeconds": "5"},
    )
    assert settings == {
        "activeDeadlineSeconds": "5",
        "initContainers": [
            {
                "name": "fetch",
                "image": "busybox:1",
                "command": ["sh", "-c"],
                "args": ["wget $(URL)", ""],
                "env": [{"name": "URL", "value": "http://x"}, {"name": "EMPTY", "value": ""}],
                "volumeMounts": [{"volumeName": "config", "mountPath": "/config"}],
                "restartPolicy": "Always",
                "resources": {"requests": {"cpu": "250m"}, "limits": {"memory": "256Mi"}},
            },
            {"name": "second", "image": "i", "resources": {"limits": {"cpu": "1"}}},
        ],
    }


def test_init_containers_of_a_newer_kfp_kubernetes_are_kept() -> None:
    theirs = {"initContainers": [{"name": "first", "image": "i"}]}
    settings = compiled({"name": "second", "image": "i"}, platform=theirs)
    assert [container["name"] for container in settings["initContainers"]] == ["first", "second"]


@pytest.mark.parametrize(
    ("change", "error", "problem"),
    [
        ({"name": ""}, ValueError, "expected name to be text that is not empty"),
        ({"name": "kfp-launcher"}, ValueError, "reserved"),
        ({"image": ""}, ValueError, "expected image to be text that is not empty"),
        ({"image": None}, TypeError, "expected image to be text"),
        ({"command": "sh -c"}, TypeError, "expected command to be a list, got 'sh -c'"),
        ({"args": [1]}, TypeError, r"expected args\[0\] to be text"),
        ({"env": {"": "x"}}, ValueError, "expected a name in env to be text that is not empty"),
        ({"env": {"PORT": 80}}, TypeError, r"expected env\['PORT'\] to be text"),
        ({"volume_mounts": {"": "/x"}}, ValueError, "expected a name in volume_mounts"),
        ({"volume_mounts": {"v": ""}}, ValueError, r"expected volume_mounts\['v'\] to be text that is not empty"),
        ({"volume_mounts": {"v": "x"}}, ValueError, "expected an absolute path for the volume 'v', got 'x'"),
        ({"restart_policy": "Never"}, ValueError, "expected restart_policy to be 'Always' or None, got 'Never'"),
        ({"resource_limits": {"cpu": ""}}, ValueError, r"expected resource_limits\['cpu'\]"),
        ({"resource_requests": {"": "1"}}, ValueError, "expected a name in resource_requests"),
    ],
)
def test_invalid_arguments_are_errors_of_the_sdk_s_classes(
    change: dict[str, Any], error: type[Exception], problem: str
) -> None:
    with pytest.raises(error, match=problem):
        compiled({"name": "fetch", "image": "i", **change})


def test_a_second_container_of_a_name_is_refused() -> None:
    with pytest.raises(ValueError, match="Task 'work' already has an init container 'fetch'"):
        compiled({"name": "fetch", "image": "i"}, {"name": "fetch", "image": "j"})


def test_a_value_of_the_run_is_refused() -> None:
    with pytest.raises(TypeError, match=r"expected args\[0\] to be text that is known while the pipeline is traced"):

        @dsl.pipeline
        def one(url: str) -> None:
            add_init_container(work(), "fetch", "i", args=[f"wget {url}"])


def test_a_value_inside_text_of_settings_is_warned_of() -> None:
    with pytest.warns(
        UserWarning, match=r"Task 'work', its settings for kubernetes: the pipeline input 'team' is inside"
    ):

        @dsl.pipeline
        def one(team: str) -> None:
            task = work()
            task.platform_config["kubernetes"] = {"podMetadata": {"labels": {"a": f"{team}-x", "b": f"{team}"}}}

    labels = one.plan.platforms["kubernetes"]["deploymentSpec"]["executors"]["exec-work"]["podMetadata"]["labels"]
    assert labels["a"].startswith("{{channel:task=;name=team;")  # as the KFP SDK compiles it


def test_a_pipeline_in_a_pipeline_has_none() -> None:
    @dsl.pipeline
    def inner() -> None:
        work()

    with pytest.raises(AuthoringError, match="cannot have settings for a platform"):

        @dsl.pipeline
        def outer() -> None:
            add_init_container(inner(), "fetch", "i")
