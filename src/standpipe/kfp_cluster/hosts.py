"""Hosts: their URLs, and what sends requests to one, with the certificates to trust and no redirect to another host."""

from __future__ import annotations

import re
import ssl
from typing import IO, Any
from urllib.parse import SplitResult, urlsplit
from urllib.request import HTTPRedirectHandler, HTTPSHandler, OpenerDirector, Request, build_opener

from standpipe.errors import ArgumentError, ClusterError
from standpipe.model.locations import is_remote

_LOCAL_HOSTS = {"localhost", "127.0.0.1", "::1"}
_PORTS = {"http": 80, "https": 443}

#: The beginning of a URL, or of one without a scheme, that has a user or a password before its host.
_USER = re.compile("(?:[^/?#]*//)?[^/?#]*@")


def parse_host(host: str) -> str:
    """Return the URL of a host without a slash at its end, and without the part of the page that is shown.

    Raises:
        ArgumentError: if it is not a URL of HTTP, or contains a password.
    """
    if _USER.match(host):  # first, as the other error shows the host
        raise ArgumentError(
            "Invalid host: its URL contains a user or a password. Pass credentials by a file or a variable: see "
            "`standpipe submit --help`."
        )
    try:
        parts = urlsplit(host if is_remote(host) else f"https://{host}")
        is_valid = bool(parts.hostname) and parts.scheme in _PORTS and parts.port != 0  # an invalid port raises
    except ValueError:
        is_valid = False
    if not is_valid:
        raise ArgumentError(f"Invalid host {host!r}: expected a URL such as https://kfp.example.com/pipeline.")
    return f"{parts.scheme}://{parts.netloc}{parts.path}".rstrip("/")


def is_local(base: str) -> bool:
    """Return whether a host is this machine."""
    return urlsplit(base).hostname in _LOCAL_HOSTS


class _SameHost(HTTPRedirectHandler):
    """Follows redirects of the same host only: another one would receive the credentials.

    Args:
        base: the URL of the host.
    """

    def __init__(self, base: str) -> None:
        self._base = base

    def redirect_request(
        self, req: Request, fp: IO[bytes], code: int, msg: str, headers: Any, newurl: str
    ) -> Request | None:
        """Return the request that follows a redirect.

        Raises:
            ClusterError: if it leads to another host, or from HTTPS to HTTP, or for another request than a GET.
        """
        old, new = urlsplit(self._base), urlsplit(newurl)
        if not _is_same_host(old, new):
            raise ClusterError(
                f"{self._base} redirects to another host, {new.hostname}, which is not followed: it would receive the "
                "credentials. If that is a login, pass a token or cookies: see `standpipe submit --help`."
            )
        if req.get_method() != "GET":
            raise ClusterError(
                f"{self._base} redirects a request to {new.path}. Pass the URL that it leads to as --host."
            )
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def _is_same_host(old: SplitResult, new: SplitResult) -> bool:
    if (old.scheme, new.scheme) == ("http", "https") and old.hostname == new.hostname:
        return True
    ports = [parts.port or _PORTS.get(parts.scheme) for parts in (old, new)]
    return (old.scheme, old.hostname, ports[0]) == (new.scheme, new.hostname, ports[1])


def make_opener(base: str, ca_file: str) -> OpenerDirector:
    """Return what sends requests to a host.

    Args:
        base: the URL of the host.
        ca_file: a file with the certificates of authorities to trust in addition; empty for those of the system.

    Raises:
        ArgumentError: if the file is invalid.
    """
    handlers: list[Any] = [_SameHost(base)]
    if base.startswith("https:"):
        context = ssl.create_default_context()
        try:
            if ca_file:
                context.load_verify_locations(ca_file)
        except OSError as error:  # an `SSLError` is one
            raise ArgumentError(
                f"Invalid --ca {ca_file}: {error.strerror or error}. Expected certificates as PEM."
            ) from None
        handlers.append(HTTPSHandler(context=context))
    return build_opener(*handlers)
