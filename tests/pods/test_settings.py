"""An executor's settings, as kfp-kubernetes writes them."""

from __future__ import annotations

from typing import Any

import pytest

from standpipe.errors import SpecError
from standpipe.model.plan import Constant, FromInput, FromTask
from standpipe.pods.provisions import Kind
from standpipe.pods.settings import ClaimMount, EnvironmentSource, ObjectVolume, ScratchVolume, read


def test_names_come_from_constants_inputs_and_tasks() -> None:
    settings = read(
        {
            "secretAsEnv": [
                {"secretName": "old", "keyToEnv": [{"secretKey": "k", "envVar": "V"}]},
                {"secretName": "x", "secretNameParameter": {"runtimeValue": {"constant": "new"}}, "optional": True},
            ],
            "configMapAsVolume": [{"mountPath": "/c/", "configMapNameParameter": {"componentInputParameter": "name"}}],
            "pvcMount": [
                {"constant": "a", "mountPath": "/a"},
                {"componentInputParameter": "b", "mountPath": "/b", "subPath": "s"},
                {"taskOutputParameter": {"producerTask": "t", "outputParameterKey": "o"}, "mountPath": "/c"},
            ],
        },
        "here",
    )
    assert settings.envs == (
        EnvironmentSource(Kind.SECRET, Constant("old"), (("k", "V"),), optional=False),
        EnvironmentSource(Kind.SECRET, Constant("new"), (), optional=True),
    )
    assert settings.volumes == (
        ClaimMount(Constant("a"), "/a", ""),
        ClaimMount(FromInput("b"), "/b", "s"),
        ClaimMount(FromTask("t", "o"), "/c", ""),
        ObjectVolume(Kind.CONFIG_MAP, FromInput("name"), "/c", optional=False),
    )


def test_the_rest_of_the_settings() -> None:
    settings = read(
        {
            "activeDeadlineSeconds": "20",
            "imagePullPolicy": "Never",
            "enabledSharedMemory": {"volumeName": "shm", "size": "1.5Gi"},
            "securityContext": {"runAsUser": "0", "runAsGroup": 7.0, "runAsNonRoot": True},
            "podMetadata": {"labels": {"l": "1"}, "annotations": {"a": "2"}},
            "fieldPathAsEnv": [{"name": "POD", "fieldPath": "metadata.name"}],
            "emptyDirMounts": [
                {"volumeName": "e", "mountPath": "/e"},
                {"volumeName": "m", "mountPath": "/m", "medium": "Memory", "sizeLimit": "1Gi"},
            ],
            "tolerations": [{}],
            "newInLaterVersions": {},
        },
        "here",
    )
    assert (settings.timeout, settings.pull_policy, settings.shared_memory) == (20, "Never", 3 * 2**29)
    assert (settings.user, settings.group, settings.non_root) == (0, 7, True)
    assert (settings.labels, settings.annotations) == ({"l": "1"}, {"a": "2"})
    assert settings.field_paths == (("POD", "metadata.name"),)
    plain, asking = settings.volumes
    assert plain == ScratchVolume("e", "/e", ())
    assert isinstance(asking, ScratchVolume)
    assert len(asking.unsupported) == 2
    assert settings.ignored == ("tolerations", "newInLaterVersions")


def test_parts_of_settings_without_an_effect_are_named() -> None:
    """Older releases of kfp-kubernetes set privileges; newer ones may set what nobody knows yet."""
    settings = read(
        {
            "securityContext": {"runAsUser": "1", "privileged": True},
            "genericEphemeralVolume": [{"mountPath": "/e", "size": "1Gi", "metadata": {"labels": {"a": "b"}}}],
            "initContainers": [{"name": "n", "image": "i", "newField": 1}],
        },
        "here",
    )
    assert settings.ignored == ("securityContext.privileged",)
    (volume,) = settings.volumes
    assert isinstance(volume, ScratchVolume)
    assert volume.unsupported[-1] == "the labels and annotations of an ephemeral volume"
    assert settings.init_containers[0].unsupported == ("setting newField",)


def test_nothing_is_set_by_default() -> None:
    settings = read({}, "here")
    assert (settings.envs, settings.volumes, settings.ignored) == ((), (), ())
    assert (settings.timeout, settings.user, settings.non_root, settings.shared_memory) == (0, None, False, 0)


@pytest.mark.parametrize(
    ("config", "path"),
    [
        ([], "here: expected a mapping"),
        ({"secretAsEnv": {}}, "here.secretAsEnv: expected a list"),
        ({"secretAsEnv": ["x"]}, "here.secretAsEnv[0]: expected a mapping"),
        ({"secretAsEnv": [{"secretName": 1}]}, "here.secretAsEnv[0].secretName: expected text"),
        ({"secretAsEnv": [{"secretNameParameter": {}}]}, "here.secretAsEnv[0].secretNameParameter: expected a name"),
        ({"secretAsEnv": [{"optional": "yes"}]}, "here.secretAsEnv[0].optional: expected true or false"),
        (
            {"secretAsVolume": [{"secretName": "s", "mountPath": "x"}]},
            "here.secretAsVolume[0].mountPath: invalid path 'x'",
        ),
        ({"emptyDirMounts": [{"mountPath": "//"}]}, "here.emptyDirMounts[0].mountPath: invalid path '//'"),
        ({"pvcMount": [{"mountPath": "/x"}]}, "here.pvcMount[0]: expected a name"),
        (
            {"pvcMount": [{"constant": "c", "mountPath": "/x", "subPath": "../y"}]},
            "here.pvcMount[0].subPath: invalid path '../y'",
        ),
        ({"activeDeadlineSeconds": "soon"}, "here.activeDeadlineSeconds: expected a whole number, got 'soon'"),
        ({"activeDeadlineSeconds": 1.5}, "here.activeDeadlineSeconds: expected a whole number, got 1.5"),
        ({"enabledSharedMemory": {"size": "big"}}, "here.enabledSharedMemory.size: invalid memory quantity 'big'"),
        ({"podMetadata": {"labels": {"a": 1}}}, "here.podMetadata.labels.a: expected text"),
    ],
)
def test_a_malformed_field_is_named(config: Any, path: str) -> None:
    with pytest.raises(SpecError) as caught:
        read(config, "here")
    assert str(caught.value).startswith(path)
