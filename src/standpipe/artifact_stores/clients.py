"""Clients of object stores: which one is for a URI, and what is its bucket.

`obstore` (the extra `stores`) has those of `s3://`, `gs://`, `az://` and `minio://`; for others, an implementation of
`fsspec` is used that the user has installed.
"""

from __future__ import annotations

import re
import threading
from typing import NamedTuple

from standpipe.artifact_stores import fsspec_schemes, obstore_buckets
from standpipe.artifact_stores.buckets import Bucket
from standpipe.artifact_stores.fsspec_buckets import FsspecBucket
from standpipe.artifact_stores.providers import ENVIRONMENT, Access, FindProviders, Providers
from standpipe.errors import StorageError
from standpipe.model.locations import split_scheme

#: The schemes of the object stores that the extra `stores` is for.
SCHEMES = ("s3", "gs", "az", "abfs", "abfss", "minio")

#: What is to be installed for them.
MISSING_CLIENT = "the package obstore is not installed. Install it with: pip install 'standpipe[stores]'"

#: The variables with credentials, which nobody may see.
CREDENTIALS = (
    "AWS_SECRET_ACCESS_KEY",
    "AWS_SESSION_TOKEN",
    "AZURE_CLIENT_SECRET",
    "AZURE_STORAGE_ACCESS_KEY",
    "AZURE_STORAGE_ACCOUNT_KEY",
    "AZURE_STORAGE_CLIENT_SECRET",
    "AZURE_STORAGE_MASTER_KEY",
    "AZURE_STORAGE_SAS_KEY",
    "AZURE_STORAGE_SAS_TOKEN",
    "AZURE_STORAGE_TOKEN",
    "GOOGLE_SERVICE_ACCOUNT_KEY",
)

#: The name of a bucket; that of a container of Azure may have `@` and its account.
_BUCKET = re.compile(r"[A-Za-z0-9._-]+(@[A-Za-z0-9.-]+)?")

#: Control characters, and those that stand for bytes that are not UTF-8 in names of files.
_CONTROLS = re.compile("[\x00-\x1f\x7f\ud800-\udfff]")

_GLOB = frozenset("*?[]")
_AZURE = ("az", "abfs", "abfss")


class MissingClient(StorageError):
    """A package is not installed."""


class Location(NamedTuple):
    """A remote location: the URI of its bucket, and the key of the object or of the folder in it."""

    bucket: str
    key: str


class Clients:
    """The clients of a run, one for each bucket and access to it; any thread may use them.

    Args:
        find_providers: returns where credentials are that the environment does not have.
    """

    def __init__(self, find_providers: FindProviders = Providers) -> None:
        self._lock = threading.Lock()
        self._find_providers = find_providers
        self._providers: Providers | None = None
        self._buckets: dict[str, list[tuple[Access, Bucket]]] = {}

    def open(self, uri: str) -> tuple[Bucket, str]:
        """Return the client for a URI, and the key in it.

        Raises:
            StorageError: if the URI is invalid, no client knows its scheme, or a package is not installed.
        """
        location = parse(uri)
        with self._lock:
            if self._providers is None:
                self._providers = self._find_providers()
            access = self._providers.find(f"{location.bucket}/{location.key}")
            opened = self._buckets.setdefault(location.bucket, [])
            bucket = next((bucket for known, bucket in opened if known == access), None)
            if bucket is None:
                bucket = connect(location.bucket, access)
                opened.append((access, bucket))
            return bucket, location.key


def knows(uri: str) -> bool:
    """Return whether there is a client for the scheme of a URI, or would be with the extra."""
    scheme, _ = split_scheme(uri)
    return scheme in SCHEMES or fsspec_schemes.knows(scheme)


def find_problem(uri: str) -> str:
    """Return why no client can be had for a URI, whatever is there: a phrase; empty if one can."""
    scheme, _ = split_scheme(uri)
    if scheme not in SCHEMES:
        return fsspec_schemes.find_problem(uri)
    try:
        import obstore  # noqa: F401  the extra `stores`
    except ImportError:
        return MISSING_CLIENT
    return ""


def parse(uri: str) -> Location:
    """Return the bucket of a URI and the key in it.

    Raises:
        StorageError: if no client knows its scheme, or it has no bucket, or a key with an empty step, `.` or `..`.
    """
    scheme, rest = split_scheme(uri)
    if not knows(uri):
        raise StorageError(f"Cannot use {uri}: {fsspec_schemes.find_problem(uri)}.")
    host, _, key = rest.partition("/")
    key = key.rstrip("/")
    if not host:
        raise StorageError(f"Cannot use {uri}: expected the name of a bucket after {scheme}://.")
    if scheme in SCHEMES and not _BUCKET.fullmatch(host):  # the client would panic
        raise StorageError(
            f"Cannot use {uri}: invalid name of a bucket {host!r}: expected letters, digits, '.', '-' and '_'."
        )
    if problem := _find_key_problem(scheme, key):
        raise StorageError(f"Cannot use {_printable(uri)}: its key has {problem}.")
    return Location(f"{scheme}://{host}", key)


def _find_key_problem(scheme: str, key: str) -> str:
    """Return what a key has that would be another one to a client or to a server: a phrase; empty if it has nothing."""
    if key and any(step in ("", ".", "..") for step in key.split("/")):
        return "an empty step, `.` or `..`, which stores read differently"
    if _printable(key) != key:
        return "a control character, or is not UTF-8. Use another name for the file"
    if scheme not in SCHEMES and not _GLOB.isdisjoint(key):
        return "one of the characters * ? [ ], which `fsspec` takes for a pattern. Use another name for the file"
    if scheme in _AZURE and "\\" in key:
        return "a backslash, which Azure takes for a slash. Use another name for the file"
    return ""


def _printable(text: str) -> str:
    """Return a text with escapes for the characters that no key can have."""
    return _CONTROLS.sub(lambda match: repr(match[0])[1:-1], text)


def connect(bucket: str, access: Access = ENVIRONMENT) -> Bucket:
    """Return a client for a bucket; see `Clients.open`."""
    if problem := find_problem(bucket):
        raise MissingClient(f"Cannot use {bucket}: {problem}.")
    if split_scheme(bucket)[0] not in SCHEMES:
        return FsspecBucket(bucket)
    with obstore_buckets.mapped_errors(bucket):
        return obstore_buckets.ObstoreBucket(bucket, obstore_buckets.connect(bucket, access))
