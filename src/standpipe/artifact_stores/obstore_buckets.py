"""Buckets of `s3://`, `gs://`, `az://` and `minio://`, by `obstore` (the extra `stores`).

It retries requests, uploads in parts, and reads the credentials of each service from the environment. This module
chooses its client for a bucket, and makes its errors ours.
"""

from __future__ import annotations

import os
import re
import socket
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from datetime import timedelta
from functools import cache
from typing import TYPE_CHECKING, Any

from standpipe.artifact_stores.aws_profiles import read_profile
from standpipe.artifact_stores.buckets import PIECE, UPLOAD_PART, RemoteObject, overwritten
from standpipe.artifact_stores.parallel import PARTS
from standpipe.artifact_stores.providers import ENVIRONMENT, Access
from standpipe.errors import StorageError
from standpipe.model.locations import redact_uri, split_scheme

if TYPE_CHECKING:
    from obstore.store import ObjectStore

#: Seconds for which a request is repeated while a server does not answer, or answers with an error of its own.
RETRY_TIME = 60.0

#: The most seconds that a request may take. A part of 8 MiB takes less if a link has 1 Mbit/s.
_REQUEST_TIME = 120.0

#: The variables with the address of an S3 server that is not Amazon's; `minio://` needs one.
_ENDPOINTS = ("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL", "AWS_ENDPOINT")

#: The address of a server.
_ADDRESS = re.compile(r"https?://[A-Za-z0-9.-]+(:\d{1,5})?(/[\w./-]*)?|https?://\[[0-9A-Fa-f:.]+\](:\d{1,5})?/?")

#: Where the machines of all clouds get their credentials.
_METADATA_SERVER = "169.254.169.254"


def find_s3_endpoint() -> str:
    """Return the address of the S3 server that the environment names; empty for Amazon's."""
    return next(filter(None, map(os.environ.get, _ENDPOINTS)), "")


def connect(bucket: str, access: Access = ENVIRONMENT) -> ObjectStore:
    """Return the client for a bucket.

    Args:
        bucket: its URI.
        access: the address of its server and the credentials, as far as they are not in the environment.

    Raises:
        ImportError: if the extra is not installed.
        StorageError: if the settings are not sufficient.
    """
    from obstore.store import GCSStore, S3Store, from_url  # the extra `stores`

    scheme, host = split_scheme(bucket)
    options: dict[str, Any] = {
        "retry_config": {"max_retries": 10, "retry_timeout": timedelta(seconds=RETRY_TIME)},
        "client_options": {
            "timeout": timedelta(seconds=_REQUEST_TIME),
            "connect_timeout": timedelta(seconds=10),
            "allow_http": True,  # only where the address of the server says so
        },
    }
    if scheme in ("s3", "minio"):
        config, provider = _s3_config(bucket, access)
        return S3Store(host, config=config, credential_provider=provider, **options)
    if access.service_account:
        return GCSStore(host, config=_gcs_config(bucket, access), **options)
    if not _has_any("GOOGLE_" if scheme == "gs" else "AZURE_") and not _has_gcloud() and not _has_metadata_server():
        options["config"] = {"skip_signature": True}
    return from_url(bucket, **options)


def _gcs_config(bucket: str, access: Access) -> Any:
    """Return the settings for a bucket whose service account is in a secret."""
    if variable := next(filter(os.environ.get, ("GOOGLE_SERVICE_ACCOUNT", "GOOGLE_SERVICE_ACCOUNT_PATH")), ""):
        raise StorageError(
            f"Cannot use {bucket} by the service account of a secret: {variable} names another one, and obstore takes "
            "one only. Unset it, or configure fromEnv: true for the provider."
        )
    return {"service_account_key": access.service_account, "skip_signature": False}


def _s3_config(bucket: str, access: Access) -> tuple[Any, Callable[[], Any] | None]:
    """Return the settings for a bucket, and what returns its credentials, if they are not settings."""
    config: dict[str, Any] = {**access.settings, **({"endpoint": access.endpoint} if access.endpoint else {})}
    if endpoint := find_s3_endpoint():
        # Before the address inside of a cluster: this machine may reach that by another one.
        config = {**config, "endpoint": endpoint, "virtual_hosted_style_request": "false"}
    if bucket.startswith("minio://") and "endpoint" not in config:
        raise StorageError(
            f"Cannot use {bucket}: the address of the server is not known. Set AWS_ENDPOINT_URL, such as "
            "http://localhost:9000."
        )
    if "endpoint" in config and not _ADDRESS.fullmatch(config["endpoint"]):  # the client would panic
        address = redact_uri(config["endpoint"])
        raise StorageError(
            f"Cannot use {bucket}: invalid address of the server {address!r}: expected a URL such as "
            "http://localhost:9000. Correct AWS_ENDPOINT_URL, or the endpoint of the provider."
        )
    if access.keys:
        key, secret = access.keys
        keys = {"access_key_id": key, "secret_access_key": secret, "token": None, "expires_at": None}
        # No settings: the client would take a session token of the environment with them.
        return {**config, "skip_signature": "false"}, lambda: keys
    profile = read_profile()
    is_known = profile.provider or "secret_access_key" in profile.settings or _has_any("AWS_")
    if not is_known and not _has_metadata_server():
        config["skip_signature"] = True
    return {**profile.settings, **config}, profile.provider


def _has_any(prefix: str) -> bool:
    """Return whether the environment has a variable of a service, which may be or name credentials."""
    return any(name.startswith(prefix) and "ENDPOINT" not in name and "REGION" not in name for name in os.environ)


def _has_gcloud() -> bool:
    return os.path.exists(os.path.expanduser("~/.config/gcloud/application_default_credentials.json"))


@cache
def _has_metadata_server() -> bool:
    """Return whether this machine is one of a cloud, which has credentials of its own.

    Clients ask for these if they have no others, and wait for a minute where nobody answers. Without any, requests are
    anonymous, which is enough for public data.
    """
    try:
        socket.create_connection((_METADATA_SERVER, 80), timeout=1.0).close()
    except OSError:
        return False
    return True


class ObstoreBucket:
    """Implements `buckets.Bucket`.

    Args:
        uri: the URI of the bucket.
        store: the client for it.
    """

    def __init__(self, uri: str, store: ObjectStore) -> None:
        self._uri = uri
        self._store = store

    def check(self, folder: str) -> None:
        """List nothing below the folder; see `buckets.Bucket`, also for the other methods."""
        import obstore  # the extra `stores`

        with suppress(FileNotFoundError), self._mapped_errors(folder):
            for _ in obstore.list(self._store, prefix=f"{folder}/.none" if folder else ".none"):
                return

    def head(self, key: str) -> RemoteObject:
        import obstore  # the extra `stores`

        with self._mapped_errors(key):
            found = obstore.head(self._store, key)
        return _describe(found)

    def find(self, folder: str) -> list[RemoteObject]:
        import obstore  # the extra `stores`

        try:
            with self._mapped_errors(folder):
                return [_describe(each) for part in obstore.list(self._store, prefix=folder) for each in part]
        except FileNotFoundError:
            return []

    def read(self, key: str, tag: str = "", start: int = 0, end: int | None = None) -> Iterator[bytes]:
        import obstore  # the extra `stores`

        options: dict[str, Any] = {"range": (start, end)} if end is not None else {}
        if tag:
            options["if_match"] = f'"{tag}"'
        with self._mapped_errors(key):
            answer = obstore.get(self._store, key, options=options)  # type: ignore[arg-type]
        if tag and _clean(answer.meta["e_tag"]) != tag:
            raise overwritten(f"{self._uri}/{key}")  # not all servers know `if_match`
        pending = iter(answer.stream(min_chunk_size=PIECE))
        while True:
            with self._mapped_errors(key):
                piece = next(pending, None)
            if piece is None:
                return
            yield piece

    def write(self, key: str, content: bytes) -> None:
        import obstore  # the extra `stores`

        with self._mapped_errors(key):
            obstore.put(self._store, key, content, use_multipart=False)

    def write_pieces(self, key: str, make_pieces: Callable[[], Iterator[bytes]]) -> None:
        import obstore  # the extra `stores`

        with self._mapped_errors(key):
            obstore.put(
                self._store, key, make_pieces(), use_multipart=True, chunk_size=UPLOAD_PART, max_concurrency=PARTS
            )

    def delete(self, keys: Sequence[str]) -> None:
        import obstore  # the extra `stores`

        with suppress(FileNotFoundError), self._mapped_errors(keys[0]):
            obstore.delete(self._store, keys)

    @contextmanager
    def _mapped_errors(self, key: str) -> Iterator[None]:
        with mapped_errors(f"{self._uri}/{key}" if key else self._uri):
            yield


@contextmanager
def mapped_errors(uri: str) -> Iterator[None]:
    """Raise the errors of `obstore` in the block as ours, with the URI and what to do.

    Raises:
        FileNotFoundError: if nothing is at the URI.
        StorageError: if the store cannot be used.
    """
    try:
        yield
    except BaseException as error:  # a panic of Rust, too; what is not of obstore is raised as it is
        if type(error).__name__ == "PanicException":
            raise StorageError(f"Cannot use {uri}: obstore has failed: {error}. {_advise('')}") from None
        is_missing = isinstance(error, FileNotFoundError) or type(error).__name__ == "NotFoundError"
        if not is_missing and not type(error).__module__.startswith("obstore"):
            raise
        text = str(error)
        if "NoSuchBucket" in text or "ContainerNotFound" in text:
            raise StorageError(f"Cannot use {uri}: there is no such bucket. Make it, or correct its name.") from None
        if is_missing:
            raise FileNotFoundError(f"nothing is at {uri}") from None
        if type(error).__name__ == "PreconditionError":
            raise overwritten(uri) from None
        raise StorageError(f"Cannot use {uri}: {_explain(text)}. {_advise(text)}") from None


def _describe(meta: Mapping[str, Any]) -> RemoteObject:
    return RemoteObject(meta["path"], meta["size"], _clean(meta["e_tag"]))


def _clean(tag: str | None) -> str:
    """Return an ETag without its quotes, which Azure leaves out in lists only; empty for None."""
    return (tag or "").strip('"')


def _explain(text: str) -> str:
    """Return the error of the server, otherwise that of the client."""
    parts = [found[1] for tag in ("Code", "Message") if (found := re.search(f"<{tag}>(.*?)</{tag}>", text))]
    return (": ".join(parts) or text.strip().partition("\n")[0]).rstrip(". ")


def _advise(text: str) -> str:
    if _METADATA_SERVER in text:
        return "The environment has no credentials, and neither has this machine."
    if re.search(r"\b(401|403)\b", text):
        return "Check the credentials in the environment, and what they allow."
    if "redirect" in text.lower():
        return "Set AWS_REGION to the region of the bucket."
    return "Check the name of the bucket, the address of the server and the credentials in the environment."
