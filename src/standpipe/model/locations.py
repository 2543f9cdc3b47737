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
