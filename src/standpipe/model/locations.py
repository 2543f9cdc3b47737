"""Locations of payloads: a path of this machine, or a URI that names a remote object.

`worker.artifacts` has an `is_remote` of its own, as it imports nothing of Standpipe; a test holds the two together.
"""

from __future__ import annotations

_SEPARATOR = "://"


def is_remote(location: str) -> bool:
    """Return whether a location is a URI such as `s3://bucket/key`, and not a path.

    >>> [is_remote(location) for location in ("gs://bucket/key", "file:///data", "/data", "data", "")]
    [True, True, False, False, False]
    """
    return _SEPARATOR in location


def split_scheme(location: str) -> tuple[str, str]:
    """Return the scheme of a URI and what follows it; the scheme of a path is empty.

    >>> split_scheme("s3://bucket/key"), split_scheme("/data")
    (('s3', 'bucket/key'), ('', '/data'))
    """
    scheme, separator, rest = location.partition(_SEPARATOR)
    return (scheme, rest) if separator else ("", location)


def to_path(location: str) -> str:
    """Return the path of this machine that a location names; empty for other URIs, and if it is empty.

    >>> [to_path(location) for location in ("data", "file:///my%20data", "gs://bucket/key", "")]
    ['data', '/my data', '', '']
    """
    scheme, path = split_scheme(location)
    if scheme.lower() != "file":
        return "" if scheme else location
    from urllib.parse import unquote  # few locations need it

    return unquote("/" + path.partition("/")[2])


def redact_uri(location: str) -> str:
    """Return a location without the user, the password and the query of its URI, which may be secrets.

    >>> redact_uri("https://me:token@host/data?signature=x"), redact_uri("/data?")
    ('https://***@host/data?***', '/data?')
    """
    from standpipe.model.redacted import REDACTED  # takes long to import, and few programs have remote URIs

    scheme, rest = split_scheme(location)
    if not scheme:
        return location
    host, slash, path = rest.partition("/")
    login, at, name = host.rpartition("@")
    path, mark, _ = path.partition("?")
    return f"{scheme}://{REDACTED if login else ''}{at}{name}{slash}{path}{mark}{REDACTED if mark else ''}"
