"""Init containers and sidecars: how they are read, and what a runner is asked for."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from standpipe import dsl, local
from standpipe.errors import SpecError, TaskFailed, UnsupportedError
from standpipe.kubernetes import add_init_container
from standpipe.model.attempts import InitContainer, Mount
from standpipe.model.resources import Limits
from standpipe.pods.init_containers import expand_references
from standpipe.pods.settings import read
from tests.pods.test_cluster import OBJECTS, Watching, as_volume, constant, run, work

__all__ = ["run"]

FULL = {
    "name": "fetch",
    "image": "busybox:1",
    "command": ["sh", "-c"],
    "args": ["echo $(PLACE) $(NOT_SET) $$(PLACE)"],
    "env": [{"name": "HOST", "value": "db"}, {"name": "PLACE", "value": "$(HOST):1/$(LATER)"}, {"name": "LATER"}],
    "volumeMounts": [{"volumeName": "shared", "mountPath": "/data/"}],
    "restartPolicy": "Always",
    "resources": {
        "requests": {"cpu": "1"},
        "limits": {"cpu": "500m", "memory": "64Mi", "nvidia.com/gpu": "1"},
    },
}


def test_an_init_container_is_read_as_kubernetes_reads_it() -> None:
    settings = read({"initContainers": [FULL, {"name": "plain", "image": "b"}]}, "here")
    full, plain = settings.init_containers
    assert (full.name, full.image, full.command, full.is_sidecar) == ("fetch", "busybox:1", ("sh", "-c"), True)
    assert full.env == {"HOST": "db", "PLACE": "db:1/$(LATER)", "LATER": ""}
    assert full.args == ("echo db:1/$(LATER) $(NOT_SET) $(PLACE)",)
    assert full.mounts == (("shared", "/data"),)
    assert full.limits == Limits(cpu=0.5, memory=64 * 2**20)
    assert full.unsupported == ("limit of nvidia.com/gpu", "resource requests")
    assert (plain.command, plain.args, plain.env, plain.mounts, plain.limits) == ((), (), {}, (), Limits())
    assert not plain.is_sidecar
    assert settings.ignored == ()


def test_both_spellings_of_protobuf_are_read() -> None:
    snake = {
        "init_containers": [
            {
                **{field: FULL[field] for field in ("name", "image", "command", "args", "env", "resources")},
                "volume_mounts": [{"volume_name": "shared", "mount_path": "/data/"}],
                "restart_policy": "Always",
            }
        ],
        "secret_as_env": [
            {
                "secret_name_parameter": {"runtime_value": {"constant": "db"}},
                "key_to_env": [{"secret_key": "k", "env_var": "V"}],
            }
        ],
        "node_selector": {"labels": {"a_b": "c_d"}},
        "pod_metadata": {"labels": {"snake_key": "1", "camelKey": "2"}},
    }
    camel = {
        "initContainers": [FULL],
        "secretAsEnv": [
            {
                "secretNameParameter": {"runtimeValue": {"constant": "db"}},
                "keyToEnv": [{"secretKey": "k", "envVar": "V"}],
            }
        ],
        "nodeSelector": {"labels": {"a_b": "c_d"}},
        "podMetadata": {"labels": {"snake_key": "1", "camelKey": "2"}},
    }
    assert read(snake, "here") == read(camel, "here")
    assert read(snake, "here").ignored == ("nodeSelector",)


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"name": ""}, "here.initContainers[0].name: expected text, got none"),
        ({"image": ""}, "here.initContainers[0].image: expected text, got none"),
        ({"name": "main"}, "here.initContainers[0].name: the name 'main' belongs to KFP"),
        ({"name": "kfp-launcher"}, "here.initContainers[0].name: the name 'kfp-launcher' belongs to KFP"),
        ({"command": "sh"}, "here.initContainers[0].command: expected a list"),
        ({"args": [1]}, "here.initContainers[0].args[0]: expected text"),
        ({"env": [{"value": "x"}]}, "here.initContainers[0].env[0].name: expected text, got none"),
        ({"restartPolicy": "OnFailure"}, "here.initContainers[0].restartPolicy: expected 'Always', got 'OnFailure'"),
        ({"volumeMounts": [{"mountPath": "/x"}]}, "here.initContainers[0].volumeMounts[0].volumeName: expected text"),
        (
            {"volumeMounts": [{"volumeName": "v", "mountPath": "x"}]},
            "here.initContainers[0].volumeMounts[0].mountPath: invalid path 'x'",
        ),
        (
            {"volumeMounts": [{"volumeName": name, "mountPath": "/x"} for name in "ab"]},
            "here.initContainers[0].volumeMounts[1].mountPath: another volume is mounted at '/x'",
        ),
        ({"resources": {"limits": {"memory": "much"}}}, "here.initContainers[0].resources.limits: invalid memory"),
    ],
)
def test_what_a_cluster_refuses_is_named(change: dict[str, Any], problem: str) -> None:
    with pytest.raises(SpecError) as caught:
        read({"initContainers": [{**FULL, **change}]}, "here")
    assert str(caught.value).startswith(problem)


def test_two_containers_with_one_name_are_refused() -> None:
    with pytest.raises(
        SpecError, match=r"initContainers\[1\].name: the name 'fetch' belongs to another init container"
    ):
        read({"initContainers": [FULL, FULL]}, "here")


@pytest.mark.parametrize(
    ("text", "expanded"),
    [
        ("$(A)", "1"),
        ("$$(A)", "$(A)"),
        ("$$$(A)", "$1"),
        ("$A ${A} $(B) $(A", "$A ${A} $(B) $(A"),
        ("100$", "100$"),
        ("$$", "$"),
    ],
)
def test_references_are_expanded_as_by_kubernetes(text: str, expanded: str) -> None:
    assert expand_references(text, {"A": "1"}) == expanded


def test_volumes_of_the_task_are_mounted_by_their_names(run: Callable[..., Watching], tmp_path: Path) -> None:
    mounts = [{"volumeName": name, "mountPath": f"/in/{name}"} for name in ("scratch", "big", "data", "db", "app")]
    config = {
        "emptyDirMounts": [{"volumeName": "scratch", "mountPath": "/scratch"}],
        "genericEphemeralVolume": [{"volumeName": "big", "mountPath": "/big"}],
        "pvcMount": [{"pvcNameParameter": constant("data"), "mountPath": "/data", "subPath": "part"}],
        "secretAsVolume": [as_volume("db", "/db")],
        "configMapAsVolume": [as_volume("app", "/app", kind="configMap")],
        "initContainers": [{"name": "init", "image": "i", "volumeMounts": mounts}],
    }
    pod = run(config, OBJECTS).seen["work"].request.pod
    of_task = {mount.path: mount for mount in pod.mounts}
    (container,) = pod.init_containers
    by_path = {mount.path: mount for mount in container.mounts}
    assert by_path["/in/scratch"].source == of_task["/scratch"].source
    assert by_path["/in/big"].source == of_task["/big"].source
    assert by_path["/in/data"] == Mount(tmp_path / "root" / "pvcs" / "data", "/in/data")  # the whole volume
    assert (by_path["/in/db"].source, by_path["/in/db"].read_only) == (of_task["/db"].source, True)
    assert by_path["/in/app"].read_only


def test_an_unknown_volume_fails_the_task(run: Callable[..., Watching]) -> None:
    config = {
        "emptyDirMounts": [{"volumeName": "scratch", "mountPath": "/scratch"}],
        "initContainers": [{"name": "init", "image": "i", "volumeMounts": [{"volumeName": "x", "mountPath": "/x"}]}],
    }
    with pytest.raises(TaskFailed, match=r"'init' mounts the volume 'x', which the task does not have: .* 'scratch'"):
        run(config)
    config["pvcMount"] = [{"componentInputParameter": "claim", "mountPath": "/c"}]  # known only in the run
    with pytest.raises(TaskFailed, match="comes from the input 'claim'"):
        run(config)


def test_an_unknown_volume_is_found_before_the_run(run: Callable[..., Watching]) -> None:
    runner = Watching()
    mounts = [{"volumeName": "x", "mountPath": "/x"}]
    with pytest.raises(TaskFailed, match="The check before the run failed"):
        run({"initContainers": [{"name": "init", "image": "i", "volumeMounts": mounts}]}, runner=runner)
    assert runner.seen == {}


def test_what_has_no_effect_is_said(run: Callable[..., Watching], capsys: pytest.CaptureFixture[str]) -> None:
    config = {"emptyDirMounts": [{"volumeName": "shared", "mountPath": "/x"}], "initContainers": [FULL]}
    (container,) = run(config).seen["work"].request.pod.init_containers
    assert isinstance(container, InitContainer)
    notices = capsys.readouterr().err
    assert "ignored the limit of nvidia.com/gpu of the init container 'fetch' of task 'work'" in notices
    assert "ignored the resource requests of the init container 'fetch' of task 'work'" in notices


@dsl.pipeline
def with_init_container() -> None:
    add_init_container(work(), "fetch", "busybox:1")


def test_a_process_has_no_containers_beside_it(tmp_path: Path) -> None:
    runner = local.SubprocessRunner(use_venv=False)
    with pytest.raises(UnsupportedError, match=r"does not run: 'work'\. Use local.DockerRunner\(\).*ignore_init"):
        local.run(with_init_container, runner=runner, pipeline_root=tmp_path, quiet=True)
    assert list(tmp_path.iterdir()) == []


def test_a_user_may_run_without_them(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    runner = local.SubprocessRunner(use_venv=False, ignore_init_containers=True)
    assert local.run(with_init_container, runner=runner, pipeline_root=tmp_path, quiet=True).succeeded
    assert "task 'work' runs without its init containers and sidecars (fetch)" in capsys.readouterr().err
