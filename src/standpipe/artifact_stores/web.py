"""What `http://` and `https://` URIs serve: one file each, which can only be read. It needs no package."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from standpipe.artifact_stores.objects import RemoteState
from standpipe.artifact_stores.progress import Progress
from standpipe.errors import StorageError
from standpipe.model.cancellation import Cancellation
from standpipe.model.locations import redact_uri, split_scheme
from standpipe.support.untrusted_files import write_atomically
from standpipe.support.waiting import iterate_in_thread

if TYPE_CHECKING:
    from http.client import HTTPResponse

SCHEMES = ("http", "https")

#: Seconds without a byte after which a request fails.
_TIMEOUT = 60.0

#: The most bytes that are written at once.
_PIECE = 1024 * 1024

#: Seconds to wait before each repetition of a request that the server could not answer.
_PAUSES = (0.5, 2.0, 5.0)


def find_problem(uri: str) -> str:
    """Return why a URI cannot be read, whatever is there: a phrase; empty if it can."""
    if "@" in split_scheme(uri)[1].partition("/")[0]:
        # `urlopen` would take them for a part of the host's name, and ask the name servers for it.
        return "Standpipe sends no user and no password"
    return ""


def read_state(uri: str) -> RemoteState | None:
    """Return what a server says of a file; None if it has none.

    Raises:
        StorageError: if the server cannot be reached, or refuses the request.
    """
    with _mapped_errors(uri), _open_for_headers(uri) as response:
        tag = response.headers.get("ETag", "")
        size = int(response.headers.get("Content-Length") or 0)
        return RemoteState(f"object-{tag}-{size}" if tag and not tag.startswith("W/") else "", size)
    return None


@contextmanager
def _open_for_headers(uri: str) -> Iterator[HTTPResponse]:
    """Open a URI without asking for its content, unless the server answers nothing else: a signed URL is for `GET`."""
    from urllib.error import HTTPError  # see `_mapped_errors`

    try:
        with _open(uri, "HEAD") as response:
            yield response
            return
    except HTTPError as error:
        if error.code not in (403, 405, 501):
            raise
        error.close()
    with _open(uri, "GET") as response:
        yield response


def download(uri: str, target: Path, root: Path, cancel: Cancellation, progress: Progress) -> None:
    """Download a file to a path; it appears whole.

    Args:
        uri: where it is.
        target: a path below `root`; the folders above it are made.
        root: the folder that no link may lead out of.
        cancel: stops it.
        progress: counts the bytes.

    Raises:
        StorageError: if the server cannot be reached, refuses the request or ends it early, or `cancel` is set.
        FileNotFoundError: if the server has no such file.
        OSError: if the file cannot be written.
    """

    def receive() -> Iterator[bytes]:
        with _mapped_errors(uri), _open(uri, "GET") as response:
            while piece := response.read1(_PIECE):
                yield piece
            if response.length:
                raise StorageError(
                    f"Cannot download {redact_uri(uri)}: the connection was closed {response.length} bytes before "
                    "the end."
                )
            return
        raise FileNotFoundError(f"nothing is at {redact_uri(uri)}: HTTP status 404")

    def write(file: BinaryIO) -> None:
        # In another thread: neither the look-up of a name, nor a server that says nothing, could be interrupted.
        for piece in iterate_in_thread(receive, cancel):
            file.write(piece)
            progress.add(len(piece))
        if cancel:
            raise StorageError(f"The download of {redact_uri(uri)} was cancelled.")

    write_atomically(target, root, 0o666, write)


@contextmanager
def _mapped_errors(uri: str) -> Iterator[None]:
    """Leave the block if there is no such file, and raise other errors as ours; a query may be a secret."""
    from http.client import HTTPException  # costs 30 ms with the next one, and few runs download
    from urllib.error import HTTPError

    try:
        yield
    except HTTPError as error:
        error.close()  # it holds the connection; Python 3.14 warns where nobody closes it
        if error.code not in (404, 410):
            raise StorageError(f"Cannot download {redact_uri(uri)}: {error}.") from error
    except (OSError, ValueError, HTTPException) as error:
        raise StorageError(f"Cannot download {redact_uri(uri)}: {error}.") from error


@contextmanager
def _open(uri: str, method: str) -> Iterator[HTTPResponse]:
    """Open a URI, again after a while if the server is not ready."""
    if problem := find_problem(uri):
        raise StorageError(f"Cannot download {redact_uri(uri)}: {problem}.")
    from urllib.error import HTTPError  # see `_mapped_errors`
    from urllib.request import Request, urlopen

    def request() -> HTTPResponse:
        response: HTTPResponse = urlopen(Request(uri, method=method), timeout=_TIMEOUT)  # noqa: S310  http(s) only
        return response

    def is_worth_another(error: Exception) -> bool:
        return isinstance(error, HTTPError) and error.code in (429, 500, 502, 503, 504)

    with _repeat(request, is_worth_another) as response:
        yield response


def _repeat(function: Callable[[], HTTPResponse], is_worth_another: Callable[[Exception], bool]) -> HTTPResponse:
    for pause in _PAUSES:
        try:
            return function()
        except OSError as error:
            if not is_worth_another(error):
                raise
            time.sleep(pause)
    return function()
