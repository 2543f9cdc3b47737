"""Credentials in the files of AWS."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from standpipe.artifact_stores.aws_profiles import read_profile
from standpipe.artifact_stores.routing import find_credentials
from standpipe.errors import StorageError

CREDENTIALS = """\
[default]
aws_access_key_id = AKIADEFAULT
aws_secret_access_key = secret-of-default

[team]
aws_access_key_id = AKIATEAM
aws_secret_access_key = secret%of-team
aws_session_token = token-of-team
"""
CONFIG = """\
[default]
region = eu-west-1

[profile signed-in]
sso_session = work
region = us-west-2
"""


@pytest.fixture(autouse=True)
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "credentials").write_text(CREDENTIALS)
    (tmp_path / "config").write_text(CONFIG)
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "credentials"))
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    for name in ("AWS_PROFILE", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_REGION", "AWS_DEFAULT_REGION"):
        monkeypatch.delenv(name, raising=False)


def test_the_default_profile_is_read_where_the_environment_has_no_credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    assert read_profile().settings == {
        "access_key_id": "AKIADEFAULT",
        "secret_access_key": "secret-of-default",
        "region": "eu-west-1",
    }
    monkeypatch.setenv("AWS_REGION", "us-east-1")
    assert "region" not in read_profile().settings
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIAOTHER")
    assert read_profile() == ({}, None)


def test_a_named_profile_takes_precedence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIAOTHER")
    monkeypatch.setenv("AWS_PROFILE", "team")
    assert read_profile().settings["session_token"] == "token-of-team"
    assert {*find_credentials().values()} == {b"secret%of-team", b"token-of-team"}


def test_a_profile_that_is_missing_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_PROFILE", "none")
    with pytest.raises(StorageError, match=r"AWS profile 'none' not found\. Correct AWS_PROFILE"):
        read_profile()


def test_a_profile_that_signs_in_needs_a_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_PROFILE", "signed-in")
    monkeypatch.setitem(sys.modules, "botocore.session", None)
    with pytest.raises(StorageError, match="needs the package botocore, as it has no keys"):
        read_profile()


def test_a_damaged_file_is_an_error_without_its_content(tmp_path: Path) -> None:
    (tmp_path / "credentials").write_text("secret-of-default\n")
    with pytest.raises(StorageError, match="Cannot read .*credentials: MissingSectionHeaderError") as failed:
        read_profile()
    assert "secret-of-default" not in str(failed.value)
