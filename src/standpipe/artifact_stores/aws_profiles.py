"""Credentials in the files of AWS (`~/.aws`), which `obstore` does not read.

Profiles with keys need nothing else. Those that ask a program or a service (SSO, roles) need `botocore`.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from configparser import ConfigParser, Error
from importlib import import_module
from typing import Any, NamedTuple

from standpipe.errors import StorageError

#: Variables that name credentials, so that files are not looked at.
_IN_ENVIRONMENT = (
    "AWS_ACCESS_KEY_ID",
    "AWS_WEB_IDENTITY_TOKEN_FILE",
    "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
    "AWS_CONTAINER_CREDENTIALS_FULL_URI",
    "AWS_SKIP_SIGNATURE",
)
_KEYS = {
    "aws_access_key_id": "access_key_id",
    "aws_secret_access_key": "secret_access_key",
    "aws_session_token": "session_token",
}


class Profile(NamedTuple):
    """A profile: settings of the client, and what returns credentials that expire, if they are not settings."""

    settings: Mapping[str, str] = {}
    provider: Callable[[], Any] | None = None


def read_profile() -> Profile:
    """Return the profile that `AWS_PROFILE` names, or `default`; an empty one if the environment has credentials.

    Raises:
        StorageError: if there is no such profile, a file cannot be read, or it needs a package.
    """
    named = os.environ.get("AWS_PROFILE", "")
    if not named and any(map(os.environ.get, _IN_ENVIRONMENT)):
        return Profile()
    name = named or "default"
    config = _read("AWS_CONFIG_FILE", "~/.aws/config", "default" if name == "default" else f"profile {name}")
    values = {**config, **_read("AWS_SHARED_CREDENTIALS_FILE", "~/.aws/credentials", name)}
    if named and not values:
        raise StorageError(f"AWS profile {named!r} not found. Correct AWS_PROFILE, or add it to ~/.aws/credentials.")
    settings = {setting: values[key] for key, setting in _KEYS.items() if key in values}
    if "region" in values and not os.environ.get("AWS_REGION") and not os.environ.get("AWS_DEFAULT_REGION"):
        settings["region"] = values["region"]
    needs_more = any(key in values for key in ("sso_session", "sso_start_url", "role_arn", "credential_process"))
    if "secret_access_key" in settings or not needs_more:
        return Profile(settings)
    return Profile(settings, _make_provider(name))


def _read(variable: str, default: str, section: str) -> Mapping[str, str]:
    """Return a section of a file; empty if either is missing."""
    path = os.path.expanduser(os.environ.get(variable) or default)
    parser = ConfigParser(interpolation=None)
    try:
        parser.read(path, encoding="utf-8")
        return dict(parser[section]) if parser.has_section(section) else {}
    except (OSError, Error, UnicodeDecodeError) as error:
        raise StorageError(
            f"Cannot read {path}: {type(error).__name__}. Correct the file, or set {variable}."
        ) from None


def _make_provider(name: str) -> Callable[[], Any]:
    try:
        session = import_module("botocore.session").Session(profile=name)  # the user's own: it is in no extra
    except ImportError:
        raise StorageError(
            f"AWS profile {name!r} needs the package botocore, as it has no keys. Install it with: pip install botocore"
        ) from None

    def provide() -> Any:
        credentials = session.get_credentials()
        if credentials is None:
            raise StorageError(f"AWS profile {name!r} has no credentials now: sign in with `aws sso login`.")
        frozen = credentials.get_frozen_credentials()
        expires = getattr(credentials, "_expiry_time", None)
        return {
            "access_key_id": frozen.access_key,
            "secret_access_key": frozen.secret_key,
            "token": frozen.token,
            "expires_at": expires,
        }

    return provide
