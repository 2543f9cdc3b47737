"""Requests to one host over HTTP: credentials stay with that host, answers have a limit, errors say what to do.

The standard library is enough: a handful of small requests, one after the other. A dependency would cost every user.
"""

from __future__ import annotations

import http.client
import ssl
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from email.message import Message
from types import MappingProxyType
from typing import IO
from urllib.error import HTTPError, URLError
from urllib.parse import urljoin
from urllib.request import Request

from standpipe.errors import ClusterError, StandpipeError
from standpipe.kfp_cluster.credentials import Credentials
from standpipe.kfp_cluster.hosts import is_local, make_opener, parse_host
from standpipe.support.notices import warn
from standpipe.support.terminal_text import strip_controls

#: The seconds that a connection may be silent.
_TIMEOUT = 30.0

#: The seconds before each further attempt at a GET, and the statuses after which there is one.
_DELAYS = (1.0, 2.0, 4.0)
TEMPORARY = {429, 502, 503, 504}

#: The most bytes of an answer. That of a run with 1,000 tasks has about 1 MB.
_MAX_BYTES = 200_000_000

#: The most bytes of an error's answer that are read.
_MAX_ERROR_BYTES = 100_000

_NO_HEADERS: Mapping[str, str] = MappingProxyType({})


@dataclass(frozen=True)
class Answer:
    """The answer to a request: its status, the type of its content in lower case, and its body.

    `file_name` is the name under which a browser would save it; empty if the host names none.
    """

    status: int
    content_type: str
    body: bytes
    file_name: str = ""

    @property
    def is_html(self) -> bool:
        """Whether it is a page for people, such as that of a login."""
        return self.content_type.startswith("text/html") or self.body[:100].lstrip().lower().startswith(
            (b"<!doctype html", b"<html")
        )


class Body:
    """The body of an answer while it arrives. What happens to the connection is an error of the host."""

    def __init__(self, stream: IO[bytes], fail: Callable[[object], ClusterError]) -> None:
        self._stream = stream
        self._fail = fail

    def read(self, size: int) -> bytes:
        """Return the next bytes; none at the end.

        Raises:
            ClusterError: if the connection ends before the body does.
        """
        try:
            data = self._stream.read(size)
        except (OSError, http.client.HTTPException) as error:
            raise self._fail(error) from None
        if len(data) < size and getattr(self._stream, "length", None):  # `http.client` says nothing of it
            raise self._fail("the connection ended before the answer did")
        return data


#: Takes the body of an answer that is a success.
Receive = Callable[[Answer, Body], None]


class HttpClient:
    """Sends requests to one host.

    Args:
        host: its URL, as `https://kfp.example.com/pipeline`; without a scheme it is one of HTTPS.
        credentials: what requests show to it.
        ca_file: a file with the certificates of authorities to trust in addition; empty for those of the system.
        sleep: waits before a further attempt, in seconds.

    Raises:
        ArgumentError: if the URL or the file of certificates is invalid.
    """

    def __init__(
        self,
        host: str,
        credentials: Credentials,
        ca_file: str = "",
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self.base = parse_host(host)
        self.credentials = credentials
        self._sleep = sleep
        self._opener = make_opener(self.base, ca_file)
        if credentials and self.base.startswith("http:") and not is_local(self.base):
            warn(
                f"The credentials for {self.base} are sent without encryption: anybody on the way can read them. Use a "
                "host with https://, or `kubectl port-forward` to this machine."
            )

    def get(self, path: str) -> Answer:
        """Return the answer to a GET; it is repeated while the host is unavailable.

        Raises:
            ClusterError: if the host cannot be reached, or redirects to another one.
        """
        return self._repeat(self._request(path))

    def look(self, path: str, limit: int) -> Answer:
        """Return the answer to a GET with the first bytes of its body. It is not repeated: the next look may come soon.

        Raises:
            ClusterError: if the host cannot be reached, or redirects to another one.
        """
        parts: list[bytes] = []

        def receive(_: Answer, body: Body) -> None:
            while (left := limit - sum(map(len, parts))) and (part := body.read(min(left, 65536))):
                parts.append(part)

        answer = self._send(self._request(path), receive)
        return replace(answer, body=b"".join(parts)) if answer.status == 200 else answer

    def save(self, path: str, receive: Receive) -> Answer:
        """Send a GET, and pass on what arrives: it may be larger than the memory. Errors are returned as by `get`.

        Args:
            path: the path, as for all requests.
            receive: takes the body, again from its beginning after each further attempt; the answer that it gets has
                no body.

        Raises:
            ClusterError: if the host cannot be reached, or redirects to another one.
        """
        return self._repeat(self._request(path), receive)

    def post(self, path: str, body: bytes, content_type: str, *, is_read: bool = False) -> Answer:
        """Return the answer to a POST. One that creates something is sent once: a second one could create a second run.

        Args:
            path: the path, as for all requests.
            body: the body.
            content_type: its type.
            is_read: whether it changes nothing, so that it is repeated while the host is unavailable.

        Raises:
            ClusterError: if the host cannot be reached, or redirects.
        """
        request = self._request(path, body, {"Content-Type": content_type})
        return self._repeat(request) if is_read else self._send(request)

    def _repeat(self, request: Request, receive: Receive | None = None) -> Answer:
        for delay in _DELAYS:
            try:
                answer = self._send(request, receive)
                if answer.status not in TEMPORARY:
                    return answer
            except Unavailable:
                pass  # the last attempt raises it
            self._sleep(delay)
        return self._send(request, receive)

    def _request(self, path: str, body: bytes | None = None, headers: Mapping[str, str] = _NO_HEADERS) -> Request:
        return Request(self._url(path), body, {**self._headers(), **headers})  # noqa: S310 - the scheme was checked

    def _url(self, path: str) -> str:
        """Return the URL of a path: below the URL of the host, or of the whole host if it begins with `//`."""
        if path.startswith("//"):
            return urljoin(self.base, path[1:])
        return f"{self.base}/{path.lstrip('/')}"

    def _headers(self) -> dict[str, str]:
        return {"User-Agent": "standpipe", **self.credentials.make_headers()}

    def _send(self, request: Request, receive: Receive | None = None) -> Answer:
        try:
            with self._opener.open(request, timeout=_TIMEOUT) as response:
                if receive:
                    return self._pass_on(response.status, response.headers, response, receive)
                return self._read(response.status, response.headers, response)
        except StandpipeError:
            raise  # it is an `OSError` as well
        except HTTPError as error:
            with error:
                return self._read(error.code, error.headers, error, is_error=True)
        except ssl.SSLCertVerificationError as error:
            raise self._untrusted(error) from None
        except URLError as error:
            if isinstance(error.reason, ssl.SSLCertVerificationError):
                raise self._untrusted(error.reason) from None
            raise self._unreachable(error.reason) from None
        except (OSError, http.client.HTTPException) as error:
            raise self._unreachable(error) from None

    def _read(self, status: int, headers: Message[str, str], body: IO[bytes], *, is_error: bool = False) -> Answer:
        limit = _MAX_ERROR_BYTES if is_error else _MAX_BYTES
        data = Body(body, self._unreachable).read(limit if is_error else limit + 1)
        if len(data) > limit:
            raise ClusterError(f"The answer of {self.base} has more than {limit // 1_000_000} MB: it was not read.")
        return Answer(status, _content_type(headers), data)

    def _pass_on(self, status: int, headers: Message[str, str], body: IO[bytes], receive: Receive) -> Answer:
        answer = Answer(status, _content_type(headers), b"", headers.get_filename() or "")
        receive(answer, Body(body, self._unreachable))
        return answer

    def _unreachable(self, reason: object) -> ClusterError:
        detail = strip_controls(getattr(reason, "strerror", None) or str(reason) or type(reason).__name__)
        return Unavailable(
            f"The host {self.base} cannot be reached: {detail}. Check the URL and the network. For a cluster without a "
            "public address: `kubectl port-forward -n kubeflow svc/ml-pipeline-ui 8080:80`, and --host "
            "http://localhost:8080."
        )

    def _untrusted(self, error: ssl.SSLCertVerificationError) -> ClusterError:
        return ClusterError(
            f"The certificate of {self.base} is not trusted: {error.verify_message}. Pass the file of its authority "
            "with --ca."
        )


def _content_type(headers: Message[str, str]) -> str:
    return (headers.get("Content-Type") or "").lower()


class Unavailable(ClusterError):
    """The host could not be reached."""
