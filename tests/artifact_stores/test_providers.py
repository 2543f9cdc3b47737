"""The provider configuration of KFP: the rules of its launcher, with the cases of its own tests.

The cases are those of `backend/src/v2/config/env_test.go` and `testdata/provider_cases.yaml` of KFP (August 2026).
"""

from __future__ import annotations

from base64 import b64encode
from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from standpipe.artifact_stores import obstore_buckets
from standpipe.artifact_stores.providers import ENVIRONMENT, Access, Providers
from standpipe.errors import ArgumentError, StorageError
from standpipe.runs.credentials import find_providers


class Secrets(defaultdict[str, Mapping[str, bytes]]):
    """Secrets of all names, whose values name the secret and the key."""

    def __missing__(self, secret: str) -> Mapping[str, bytes]:
        return _Values(secret)

    def __contains__(self, secret: object) -> bool:
        return True


class _Values(dict[str, bytes]):
    def __init__(self, secret: str) -> None:
        super().__init__()
        self._secret = secret

    def get(self, key: str, default: Any = None) -> bytes:
        return f"{self._secret}/{key}".encode()


def find(providers: Any, uri: str, secrets: Mapping[str, Mapping[str, bytes]] | None = None) -> Access:
    """Return how a bucket is reached with a provider configuration: a value, or YAML as text."""
    value = yaml.safe_load(providers) if isinstance(providers, str) else providers
    return Providers(value, Secrets() if secrets is None else secrets).find(uri)


def reference(name: str) -> dict[str, Any]:
    """Return credentials that are in a secret."""
    return {"fromEnv": False, "secretRef": {"secretName": name, "accessKeyKey": "access", "secretKeyKey": "secret"}}


def keys(name: str) -> tuple[str, str]:
    return f"{name}/access", f"{name}/secret"


def token(name: str) -> dict[str, Any]:
    return {"secretRef": {"secretName": name, "tokenKey": "token"}}


FROM_ENVIRONMENT = {"fromEnv": True}
PROVIDERS = {
    "gs": {
        "default": {"credentials": token("gs")},
        "overrides": [
            {"bucketName": "gs-a", "keyPrefix": "some/path/1/2", "credentials": token("gs-12")},
            {"bucketName": "gs-a", "keyPrefix": "some/path/1", "credentials": token("gs-1")},
            {"bucketName": "gs-a", "keyPrefix": "some/path/e", "credentials": FROM_ENVIRONMENT},
        ],
    },
    "minio": {
        "default": {
            "endpoint": "minio.example",
            "region": "minio",
            "disableSSL": True,
            "credentials": reference("minio"),
        },
        "overrides": [
            {"bucketName": "minio-a", "keyPrefix": "some/a", "region": "minio-a", "credentials": reference("minio-a")},
            {"bucketName": "minio-a", "keyPrefix": "some/e", "credentials": FROM_ENVIRONMENT},
        ],
    },
    "s3": {
        "default": {
            "endpoint": "s3.amazonaws.com",
            "region": "us-east-1",
            "forcePathStyle": False,
            "credentials": reference("s3"),
        },
        "overrides": [
            {"bucketName": "s3-a", "keyPrefix": "some/a", "credentials": reference("s3-a")},
            {"bucketName": "s3-a", "keyPrefix": "some/a/b", "credentials": reference("s3-a-b")},
            {
                "endpoint": "https://s3.example",
                "region": "us-east-2",
                "bucketName": "s3-a",
                "keyPrefix": "some/b",
                "credentials": reference("s3-b"),
            },
        ],
    },
}

AMAZON = {"region": "us-east-1", "virtual_hosted_style_request": "true"}


@pytest.mark.parametrize(
    ("uri", "expected"),
    [
        ("s3://other/key", Access(AMAZON, "", keys("s3"))),
        (
            "s3://s3-a/some/a/b",
            Access({"region": "us-east-1", "virtual_hosted_style_request": "true"}, "", keys("s3-a")),
        ),
        (
            "s3://s3-a/some/b/key",
            Access({**AMAZON, "region": "us-east-2"}, "https://s3-a.s3.example", keys("s3-b")),
        ),
        ("minio://other/some/a", Access({"region": "minio"}, "http://minio.example", keys("minio"))),
        ("minio://minio-a/some/a", Access({"region": "minio-a"}, "http://minio.example", keys("minio-a"))),
        ("minio://minio-a/some/abc", Access({"region": "minio-a"}, "http://minio.example", keys("minio-a"))),
        ("minio://minio-a/some/e/key", Access({"region": "minio"}, "http://minio.example")),
        ("gs://other/some", Access(service_account="gs/token")),
        ("gs://gs-a/some/path/1/2/3", Access(service_account="gs-12/token")),
        ("gs://gs-a/some/path/1", Access(service_account="gs-1/token")),
        ("gs://gs-a/some/path/e", ENVIRONMENT),
        ("az://data/key", ENVIRONMENT),
    ],
)
def test_the_first_override_that_fits_replaces_the_default(uri: str, expected: Access) -> None:
    assert find(PROVIDERS, uri) == expected


@pytest.mark.parametrize(
    ("providers", "uri"),
    [("", "s3://data"), ("nomatch: {}", "s3://data"), ("minio: {}", "gs://data"), ({"s3": None}, "s3://data")],
)
def test_a_provider_that_is_not_configured_uses_the_environment(providers: Any, uri: str) -> None:
    assert find(providers, uri) == ENVIRONMENT


@pytest.mark.parametrize("providers", ["", "nomatch: {}", "minio: {}"])
def test_the_store_of_kfp_has_a_secret_of_its_own(providers: str) -> None:
    secret = {"accesskey": b"minio", "secretkey": b"minio123"}
    found = find(providers, "minio://mlpipeline/v2", {"mlpipeline-minio-artifact": secret})
    assert found == Access({"region": "minio"}, "http://seaweedfs.kubeflow:9000", ("minio", "minio123"))
    assert find(providers, "minio://mlpipeline/v2", {}) == ENVIRONMENT
    assert Providers().find("minio://mlpipeline/v2") == ENVIRONMENT


CREDENTIALS = {"credentials": reference("a")}


@pytest.mark.parametrize(
    ("providers", "problem"),
    [
        ({"s3": {"overrides": []}}, "s3.default has no credentials"),
        ({"s3": {"default": {"endpoint": "host"}}}, "s3.default has no credentials"),
        ({"s3": {"default": {"credentials": {"fromEnv": False}}}}, "s3.default.credentials has no secretRef"),
        (
            {"s3": {"default": CREDENTIALS, "Overrides": [{"bucketName": "data", "keyPrefix": ""}]}},
            r"s3.overrides\[0\] has no credentials",
        ),
        (
            {"s3": {"default": {**CREDENTIALS, "disableSSL": "yes"}}},
            "s3.default: expected true or false for disableSSL",
        ),
        ({"s3": {"default": {**CREDENTIALS, "endpoint": 1}}}, "s3.default: expected text for endpoint"),
        ({"s3": {"default": CREDENTIALS, "overrides": "a"}}, "s3.overrides: expected a list"),
        ({"s3": ["a"]}, "s3: expected a mapping with text as keys"),
    ],
)
def test_a_configuration_that_is_wrong_is_an_error(providers: Any, problem: str) -> None:
    with pytest.raises(
        StorageError, match=f"Cannot use s3://data/key: invalid 'providers' in the config map kfp-launcher: {problem}"
    ):
        find(providers, "s3://data/key")


def test_a_configuration_that_is_no_yaml_is_an_error() -> None:
    objects = {"configmaps": {"kfp-launcher": {"providers": "s3: {default: secret-of-test"}}}
    with pytest.raises(
        ArgumentError, match=r"the key 'providers' of the config map 'kfp-launcher' cannot be read as YAML: .*line 1"
    ) as failed:
        find_providers(objects)
    assert "secret-of-test" not in str(failed.value)


def test_what_kubectl_prints_is_read(tmp_path: Path) -> None:
    providers = {"minio": {"default": {"endpoint": "minio:9000", "disableSSL": True, "credentials": reference("a")}}}
    data = {key: b64encode(value).decode() for key, value in (("access", b"AKIA"), ("secret", b"s3cr3t"))}
    items = [
        {
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": {"name": "kfp-launcher", "namespace": "kubeflow"},
            "data": {"defaultPipelineRoot": "minio://mlpipeline", "providers": yaml.safe_dump(providers)},
        },
        {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "a"}, "type": "Opaque", "data": data},
    ]
    file = tmp_path / "k8s.yaml"
    file.write_text(yaml.safe_dump({"apiVersion": "v1", "kind": "List", "items": items}))
    assert find_providers(file).find("minio://mlpipeline/a") == Access({}, "http://minio:9000", ("AKIA", "s3cr3t"))


def test_a_secret_that_is_missing_is_named_without_values() -> None:
    providers = {"s3": {"default": CREDENTIALS}}
    with pytest.raises(StorageError, match="secret 'a' with its credentials is not known.*kubectl get secret a -o"):
        find(providers, "s3://data/key", {"b": {}})
    with pytest.raises(StorageError, match="'a' has no value for the key 'secret', which s3.default") as failed:
        find(providers, "s3://data/key", {"a": {"access": b"AKIA-OF-TEST", "secret": b""}})
    assert "AKIA-OF-TEST" not in str(failed.value)


def test_no_text_of_an_access_has_secrets() -> None:
    found = find(PROVIDERS, "minio://data"), find(PROVIDERS, "gs://data")
    assert repr(found) == "(Access({'region': 'minio'}, 'http://minio.example', …), Access({}, '', …))"


def test_keys_of_a_secret_are_used_without_a_token_of_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_SESSION_TOKEN", "token-of-another-account")
    monkeypatch.setenv("AWS_SKIP_SIGNATURE", "true")
    monkeypatch.delenv("AWS_ENDPOINT_URL", raising=False)
    config, provide = obstore_buckets._s3_config("minio://data", find(PROVIDERS, "minio://data"))
    assert config == {"endpoint": "http://minio.example", "region": "minio", "skip_signature": "false"}
    assert provide
    assert provide() == {
        "access_key_id": "minio/access",
        "secret_access_key": "minio/secret",
        "token": None,
        "expires_at": None,
    }


def test_one_service_account_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GOOGLE_SERVICE_ACCOUNT", "/account.json")
    with pytest.raises(StorageError, match="Cannot use gs://data .*: GOOGLE_SERVICE_ACCOUNT names another one.* Unset"):
        obstore_buckets.connect("gs://data", find(PROVIDERS, "gs://data"))


def test_an_address_in_the_environment_is_used_in_place_of_one_in_the_cluster(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://localhost:9000")
    config, _ = obstore_buckets._s3_config("s3://s3-a", find(PROVIDERS, "s3://s3-a/some/b"))
    assert config["endpoint"] == "http://localhost:9000"
    assert config["virtual_hosted_style_request"] == "false"
