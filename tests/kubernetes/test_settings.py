"""An executor's settings, as kfp-kubernetes writes them."""

from __future__ import annotations

from typing import Any

import pytest

from standpipe.errors import SpecError
from standpipe.kubernetes.provisions import Kind
from standpipe.kubernetes.settings import AsEnv, AsVolume, ClaimMount, Scratch, read
from standpipe.model.plan import Constant, FromInput, FromTask


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
        AsEnv(Kind.SECRET, Constant("old"), (("k", "V"),), optional=False),
        AsEnv(Kind.SECRET, Constant("new"), (), optional=True),
    )
    assert settings.volumes == (
        ClaimMount(Constant("a"), "/a", ""),
        ClaimMount(FromInput("b"), "/b", "s"),
        ClaimMount(FromTask("t", "o"), "/c", ""),
        AsVolume(Kind.CONFIG_MAP, FromInput("name"), "/c", optional=False),
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
    assert plain == Scratch("emptyDir", "/e", ())
    assert isinstance(asking, Scratch)
    assert len(asking.asks) == 2
    assert settings.elsewhere == ("tolerations", "newInLaterVersions")


def test_nothing_is_set_by_default() -> None:
    settings = read({}, "here")
    assert (settings.envs, settings.volumes, settings.elsewhere) == ((), (), ())
    assert (settings.timeout, settings.user, settings.non_root, settings.shared_memory) == (0, None, False, 0)


@pytest.mark.parametrize(
    ("config", "path"),
    [
        ([], "here: a mapping"),
        ({"secretAsEnv": {}}, "here.secretAsEnv: a list"),
        ({"secretAsEnv": ["x"]}, "here.secretAsEnv[0]: a mapping"),
        ({"secretAsEnv": [{"secretName": 1}]}, "here.secretAsEnv[0].secretName: text"),
        ({"secretAsEnv": [{"secretNameParameter": {}}]}, "here.secretAsEnv[0].secretNameParameter: a name"),
        ({"secretAsEnv": [{"optional": "yes"}]}, "here.secretAsEnv[0].optional: true or false"),
        ({"secretAsVolume": [{"secretName": "s", "mountPath": "x"}]}, "here.secretAsVolume[0].mountPath: 'x'"),
        ({"emptyDirMounts": [{"mountPath": "//"}]}, "here.emptyDirMounts[0].mountPath: '//'"),
        ({"pvcMount": [{"mountPath": "/x"}]}, "here.pvcMount[0]: a name is wanted"),
        ({"pvcMount": [{"constant": "c", "mountPath": "/x", "subPath": "../y"}]}, "here.pvcMount[0].subPath: '../y'"),
        ({"activeDeadlineSeconds": "soon"}, "here.activeDeadlineSeconds: 'soon'"),
        ({"activeDeadlineSeconds": 1.5}, "here.activeDeadlineSeconds: 1.5"),
        ({"enabledSharedMemory": {"size": "big"}}, "here.enabledSharedMemory.size: 'big'"),
        ({"podMetadata": {"labels": {"a": 1}}}, "here.podMetadata.labels.a: text"),
    ],
)
def test_a_malformed_field_is_named(config: Any, path: str) -> None:
    with pytest.raises(SpecError) as caught:
        read(config, "here")
    assert str(caught.value).startswith(path)
