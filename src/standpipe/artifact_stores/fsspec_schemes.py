"""Which schemes `fsspec` is used for, and what keeps others from that."""

from __future__ import annotations

from functools import cache
from importlib import import_module

from standpipe.model.locations import split_scheme

#: What `fsspec` has beside servers: files of this machine, which a task could name to see them, and views of others.
_NO_SERVERS = frozenset(
    {"", "file", "local", "data", "dask", "dir", "asynclocal", "git", "zip", "tar", "libarchive", "reference", "root"}
    | {"async_wrapper", "asyncwrapper", "dvc", "generic", "cached", "blockcache", "filecache", "simplecache"}
    | {"http", "https"}
)

#: What implementations need that they import when they connect.
_LATE_IMPORTS = {"hdfs": "pyarrow.fs", "arrow_hdfs": "pyarrow.fs"}


def knows(scheme: str) -> bool:
    """Return whether an implementation for a scheme is installed."""
    return not _problem_of(scheme)


def find_problem(uri: str) -> str:
    """Return why there is no client for a URI: a phrase; empty if there is one."""
    scheme, rest = split_scheme(uri)
    if ":" in rest.partition("/")[0].rpartition("@")[0]:
        return "passwords in URIs would be stored. Configure fsspec, as with FSSPEC_SFTP_PASSWORD"
    if "::" in uri:
        return "chains of URIs cannot be used"
    return _problem_of(scheme)


@cache
def _problem_of(scheme: str) -> str:
    if scheme in _NO_SERVERS:
        return f"Standpipe has no client for {scheme}://"
    try:
        import_module("fsspec").get_filesystem_class(scheme)
        import_module(_LATE_IMPORTS.get(scheme, "fsspec"))
    except ModuleNotFoundError as error:
        if error.name != "fsspec":
            return _missing(scheme, error)
        return f"Standpipe has no client for {scheme}://. If `fsspec` has one, install: pip install fsspec"
    except ImportError as error:
        return _missing(scheme, error)
    except ValueError:
        return f"neither Standpipe nor fsspec has a client for {scheme}://"
    return ""


def _missing(scheme: str, error: ImportError) -> str:
    return f"fsspec needs another package for {scheme}://: {str(error).rstrip('.')}"
