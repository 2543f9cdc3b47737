"""Where KFP keeps the credentials of object stores: the provider configuration of its launcher, and secrets.

The config map `kfp-launcher` has, under the key `providers`, for each of `s3`, `minio` and `gs` a `default`, and
`overrides` for some buckets and prefixes. Each names a secret, or says that the environment has the credentials. The
rules are those of KFP's launcher (`backend/src/v2/config/{env,s3,minio,gcs}.go`, `objectstore/object_store.go`).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any, NamedTuple, Protocol, runtime_checkable

from standpipe.errors import StorageError
from standpipe.model.locations import split_scheme
from standpipe.model.refs import RunId

#: The config map of KFP's launcher, and its key with the providers, as YAML.
CONFIG_MAP, KEY = "kfp-launcher", "providers"

#: The secret with the credentials of the object store that KFP installs, its keys, and the address of that store.
_MINIO_SECRET = {"secretname": "mlpipeline-minio-artifact", "accesskeykey": "accesskey", "secretkeykey": "secretkey"}
_MINIO_ENDPOINT = "seaweedfs.kubeflow:9000"

_AMAZON = re.compile(r"(https://)?s3.amazonaws.com", re.IGNORECASE)


class Access(NamedTuple):
    """How a bucket is reached, as far as the environment does not say.

    Attributes:
        settings: settings of the client for S3: the region, and where the name of the bucket goes.
        endpoint: the URL of the server of S3; empty for Amazon's.
        keys: the access key and the secret key of S3.
        service_account: the key of a service account of Google, as JSON.
    """

    settings: Mapping[str, Any] = {}
    endpoint: str = ""
    keys: tuple[str, str] | None = None
    service_account: str = ""

    def __repr__(self) -> str:
        """Return a text without secrets."""
        return f"Access({self.settings!r}, {self.endpoint!r}, …)"


#: The environment says all.
ENVIRONMENT = Access()


class Providers:
    """The provider configuration of a cluster, and its secrets, as far as the user has provided them.

    Args:
        providers: the provider configuration, None if there is none.
        secrets: the data of the secrets, by name and key.
    """

    def __init__(self, providers: object = None, secrets: Mapping[str, Mapping[str, bytes]] | None = None) -> None:
        self._providers = providers
        self._secrets = {} if secrets is None else secrets

    def find(self, uri: str) -> Access:
        """Return how the bucket of a URI is reached.

        Raises:
            StorageError: if the configuration is invalid, or names a secret that the user has not provided.
        """
        scheme, rest = split_scheme(uri)
        if scheme not in ("s3", "minio", "gs"):
            return ENVIRONMENT
        try:
            provider = _fields(_fields(self._providers, KEY).get(scheme), scheme)
            if not {"default", "overrides"} & {*provider}:
                return self._find_default(scheme)
            chosen, at = _choose(provider, scheme, *rest.partition("/")[::2])
            return self._find_gcs(chosen, at) if scheme == "gs" else self._find_s3(chosen, at, rest.partition("/")[0])
        except _Invalid as error:
            raise StorageError(f"Cannot use {uri}: {error}") from None

    def _find_default(self, scheme: str) -> Access:
        """Return how a store is reached that the configuration does not have: KFP's own has a secret of its own."""
        if scheme != "minio" or _MINIO_SECRET["secretname"] not in self._secrets:
            return ENVIRONMENT
        keys = {"credentials": {"secretref": _MINIO_SECRET}}
        return self._find_s3({**keys, "endpoint": _MINIO_ENDPOINT, "region": "minio", "disablessl": True}, scheme, "")

    def _find_s3(self, chosen: Mapping[str, Any], at: str, bucket: str) -> Access:
        settings = {"region": _text(chosen, "region", at)} if chosen.get("region") else {}
        scheme, host = split_scheme(_text(chosen, "endpoint", at))
        is_plain = _flag(chosen, "disableSSL", at)
        if not _flag(chosen, "forcePathStyle", at, default=True):
            settings["virtual_hosted_style_request"] = "true"
            host = f"{bucket}.{host}"  # the client expects the host of the bucket
        endpoint = f"{scheme or ('http' if is_plain else 'https')}://{host}"
        if not chosen.get("endpoint") or _AMAZON.match(str(chosen["endpoint"])):
            endpoint = ""  # the client finds the one of the region
        reference = _reference(chosen, at)
        if reference is None:
            return Access(settings, endpoint)
        keys = [self._secret_text(reference, field, at) for field in ("accessKeyKey", "secretKeyKey")]
        return Access(settings, endpoint, (keys[0], keys[1]))

    def _find_gcs(self, chosen: Mapping[str, Any], at: str) -> Access:
        reference = _reference(chosen, at)
        return Access(service_account=self._secret_text(reference, "tokenKey", at)) if reference else ENVIRONMENT

    def _secret_text(self, reference: Mapping[str, Any], field: str, at: str) -> str:
        """Return the value that a reference names by a field; no message contains one."""
        secret, key = _text(reference, "secretName", at), _text(reference, field, at)
        if secret not in self._secrets:
            raise _Invalid(
                f"the secret {secret!r} with its credentials is not known. Add it to what the option `kubernetes` "
                f"names, for instance from: kubectl get secret {secret} -o yaml"
            )
        value = self._secrets[secret].get(key, b"").decode(errors="replace")
        if not value:
            raise _Invalid(f"the secret {secret!r} has no value for the key {key!r}, which {at} names. Add it.")
        return value


class _Invalid(Exception):
    """Why the access to a bucket is not known: a phrase, and what to do."""


def _invalid(problem: str) -> _Invalid:
    return _Invalid(f"invalid {KEY!r} in the config map {CONFIG_MAP}: {problem}. Correct it as in KFP's documentation.")


def _choose(provider: Mapping[str, Any], at: str, bucket: str, key: str) -> tuple[Mapping[str, Any], str]:
    """Return the settings for a bucket and a key, and where they are: the first override that fits, or the default."""
    default = _fields(provider.get("default"), f"{at}.default")
    if not default.get("credentials"):
        raise _invalid(f"{at}.default has no credentials")
    overrides = provider.get("overrides") or []
    if not isinstance(overrides, Sequence) or isinstance(overrides, str):
        raise _invalid(f"{at}.overrides: expected a list")
    for number, each in enumerate(overrides):
        where = f"{at}.overrides[{number}]"
        override = _fields(each, where)
        if override.get("bucketname") == bucket and f"{key}/".startswith(_text(override, "keyPrefix", where)):
            if not override.get("credentials"):
                raise _invalid(f"{where} has no credentials")
            # An empty endpoint or region does not count.
            return {**default, **{name: value for name, value in override.items() if value not in ("", None)}}, where
    return default, f"{at}.default"


def _reference(chosen: Mapping[str, Any], at: str) -> Mapping[str, Any] | None:
    """Return the reference to a secret; None if the credentials are in the environment."""
    credentials = _fields(chosen["credentials"], f"{at}.credentials")
    if _flag(credentials, "fromEnv", f"{at}.credentials"):
        return None
    if not credentials.get("secretref"):
        raise _invalid(f"{at}.credentials has no secretRef, and fromEnv is not true")
    return _fields(credentials["secretref"], f"{at}.credentials.secretRef")


def _fields(value: object, at: str) -> Mapping[str, Any]:
    """Return a mapping with its keys in small letters, as KFP's parser makes no difference."""
    if value is None:
        return {}
    if not isinstance(value, Mapping) or not all(isinstance(key, str) for key in value):
        raise _invalid(f"{at}: expected a mapping with text as keys")
    return {key.lower(): content for key, content in value.items()}


def _text(fields: Mapping[str, Any], name: str, at: str) -> str:
    value = fields.get(name.lower()) or ""
    if not isinstance(value, str):
        raise _invalid(f"{at}: expected text for {name}")
    return value


def _flag(fields: Mapping[str, Any], name: str, at: str, *, default: bool = False) -> bool:
    value = fields.get(name.lower())
    if value is None:
        return default
    if not isinstance(value, bool):
        raise _invalid(f"{at}: expected true or false for {name}")
    return value


#: Returns the providers, when a client is first needed.
FindProviders = Callable[[], Providers]


@runtime_checkable
class StoreUser(Protocol):
    """A `model.ports.Runner` that uses object stores on the program's machine, apart from the artifact store of a run.

    What it opens there has the credentials of the run. Other machines have credentials of their own.
    """

    def use_stores(self, run: RunId, find_providers: FindProviders) -> AbstractContextManager[None]:
        """Use the credentials of a run for its attempts, during a block.

        Args:
            run: the run, whose artifacts are in an object store.
            find_providers: returns where credentials are that the environment does not have.
        """
