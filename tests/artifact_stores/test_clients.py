"""The clients of object stores: what they sign requests with."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
from obstore.store import S3Store

from standpipe.artifact_stores import clients, obstore_buckets
from standpipe.errors import StorageError


@pytest.fixture(autouse=True)
def no_credentials(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith(("AWS_", "GOOGLE_", "AZURE_"))]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setattr(obstore_buckets, "_has_metadata_server", lambda: False)


def config_of(bucket: str) -> dict[str, Any]:
    """Return the settings of the client for a bucket."""
    config: dict[str, Any] = getattr(obstore_buckets.connect(bucket), "config")  # noqa: B009  not all kinds of clients have it
    return config


@pytest.mark.parametrize("bucket", ["s3://data", "gs://data"])
def test_requests_are_anonymous_where_nothing_has_credentials(bucket: str) -> None:
    assert config_of(bucket)["skip_signature"]


def test_requests_are_signed_with_what_there_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIAEXAMPLE")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    assert "skip_signature" not in config_of("s3://data")
    monkeypatch.setattr(obstore_buckets, "_has_metadata_server", lambda: True)
    assert "skip_signature" not in config_of("gs://data")


def test_minio_needs_an_address(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(StorageError, match="Set AWS_ENDPOINT_URL, such as http://localhost:9000"):
        clients.connect("minio://data")
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://localhost:9000")
    assert config_of("minio://data")["endpoint"] == "http://localhost:9000"


@pytest.mark.parametrize("name", ["my bucket", "a%20b", "b\u00fccket", "host:80", "a?b", "@b"])
def test_a_name_that_no_bucket_has_is_an_error(name: str) -> None:
    with pytest.raises(StorageError, match="Cannot use s3://.*/key: invalid name of a bucket '.*': expected letters"):
        clients.parse(f"s3://{name}/key")


def test_a_container_of_azure_may_name_its_account() -> None:
    uri = "abfss://data@account.dfs.core.windows.net/runs"
    assert clients.parse(uri) == ("abfss://data@account.dfs.core.windows.net", "runs")


@pytest.mark.parametrize(
    "address", ["localhost:9000", "http://bad host", "ftp://host", "http://host:port", "http://me:s3cr3t@host"]
)
def test_an_address_that_is_no_url_is_an_error(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", address)
    with pytest.raises(StorageError, match="Cannot use s3://data: invalid address of the server") as failed:
        clients.connect("s3://data")
    assert "s3cr3t" not in str(failed.value)


@pytest.mark.parametrize("address", ["http://localhost:9000", "https://[::1]:9000", "https://s3.example/path/"])
def test_addresses_are_urls(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", address)
    assert config_of("s3://data")["endpoint"] == address


def test_a_panic_of_the_client_is_an_error(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> None:
    bucket = obstore_buckets.ObstoreBucket("s3://data", S3Store("my bucket", region="a", skip_signature=True))
    with pytest.raises(StorageError, match=r"Cannot use s3://data/key: obstore has failed: .*\. Check the name of"):
        bucket.head("key")
    assert "panicked" in capfd.readouterr().err
