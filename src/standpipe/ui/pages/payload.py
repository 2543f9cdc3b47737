"""The content of artifacts: images and pages of HTML for frames that can do nothing, anything else as a download."""

from __future__ import annotations

import os
import re
from collections.abc import AsyncIterator
from pathlib import PurePath
from urllib.parse import quote

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.types import Receive, Scope, Send

from standpipe.ui.pages.artifact import find_artifact
from standpipe.ui.pages.page import source_of
from standpipe.ui.payloads import OpenFile, PayloadError, find_payload, is_folder, open_descriptor
from standpipe.ui.views.html_pages import MAX_PAGE, make_static
from standpipe.ui.views.payload_types import HTML_MEDIA, type_of

#: The bytes of one piece of a download, and those that show what a file contains.
_PIECE = 256 * 1024
_HEAD = 64 * 1024

#: What a page of HTML may do: show what it contains, and nothing else. `sandbox` gives it an origin of its own, so that
#: it reaches neither the pages, nor their cookie; without sources, no request leaves it. The pages have
#: `frame-src 'self'`, so that it cannot navigate away either.
#: Its scripts run only if the user asks for that, and frames in it are then frames: Chromium 150 resolves the host of a
#: frame or a navigation, and opens a connection, before the policy forbids it; and it lets WebRTC send packets, as it
#: does not know `webrtc 'block'`.
_HTML_POLICY = (
    "sandbox{}; default-src 'none'; script-src {}; style-src 'unsafe-inline'; img-src data: blob:; font-src data:; "
    "media-src data: blob:; connect-src 'none'; form-action 'none'; base-uri 'none'; frame-ancestors 'self'"
)
_STATIC_POLICY = _HTML_POLICY.format("", "'none'")
_SCRIPTS_POLICY = _HTML_POLICY.format(" allow-scripts", "'unsafe-inline' 'unsafe-eval'")
_OTHER_POLICY = "sandbox; default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'"

_RANGE = re.compile(r"bytes=(\d{0,18})-(\d{0,18})")
_UTF_16 = (b"\xff\xfe", b"\xfe\xff")


def show(request: Request) -> Response:
    """Answer with the payload of an artifact, or with a file in it (`path`)."""
    source, query = source_of(request), request.query_params
    artifact = find_artifact(source.run(request.path_params["run"]), query)
    inner = query.get("path", "")
    payload = find_payload(artifact, source.root, inner)
    if is_folder(payload):
        raise PayloadError("This artifact is a folder: download the files in it.")
    file = open_descriptor(payload)
    try:
        type = type_of(file.read(_HEAD), artifact, inner)
    except OSError as error:
        os.close(file.descriptor)
        raise PayloadError(f"The payload cannot be read: {error.strerror}.") from None
    name = PurePath(inner or payload.path).name
    return _respond(request, file, type.media, name if inner else name + type.ending)


def _respond(request: Request, file: OpenFile, media: str, name: str) -> Response:
    use = request.headers.get("sec-fetch-dest", "")
    is_page, is_image = use == "iframe" and media == HTML_MEDIA, use == "image" and media.startswith("image/")
    headers = {
        "Content-Security-Policy": _OTHER_POLICY,
        "Content-Type": media if is_page or is_image else "application/octet-stream",
        "X-Content-Type-Options": "nosniff",
        "X-DNS-Prefetch-Control": "off",
    }
    if is_page:
        return _respond_page(file, headers, may_run=request.query_params.get("scripts") == "1")
    headers["Accept-Ranges"] = "bytes"
    if not is_image:
        headers["Content-Disposition"] = content_disposition(name)
    return _FileResponse(file, request.headers.get("range"), headers)


def _respond_page(file: OpenFile, headers: dict[str, str], *, may_run: bool) -> Response:
    try:
        content = file.read(MAX_PAGE)
    finally:
        os.close(file.descriptor)
    text = content.decode("utf-16" if content.startswith(_UTF_16) else "utf-8-sig", errors="replace")
    content = (text if may_run else make_static(text)).encode()
    headers["Content-Security-Policy"] = _SCRIPTS_POLICY if may_run else _STATIC_POLICY
    return Response(content, headers=headers)


def content_disposition(name: str) -> str:
    r"""Return the header of a download (RFC 6266) with a file name, which may have any characters.

    >>> content_disposition('résumé "1".csv')
    'attachment; filename="r_sum_ _1_.csv"; filename*=UTF-8\\'\\'r%C3%A9sum%C3%A9%20%221%22.csv'
    """
    plain = re.sub(r"[^\w .()+-]", "_", name, flags=re.ASCII)
    return f"attachment; filename=\"{plain}\"; filename*=UTF-8''{quote(name, safe='', errors='surrogateescape')}"


class _FileResponse(StreamingResponse):
    """A response with a file, or with the range of it that was requested, which closes the file at its end."""

    def __init__(self, file: OpenFile, range_: str | None, headers: dict[str, str]) -> None:
        start, end, status = _select(range_, file.size)
        headers["Content-Length"] = str(end - start)
        if status != 200:
            headers["Content-Range"] = f"bytes {f'{start}-{end - 1}' if status == 206 else '*'}/{file.size}"
        super().__init__(_read_pieces(file, start, end), status, headers)
        self._file = file

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await super().__call__(scope, receive, send)
        finally:
            os.close(self._file.descriptor)


async def _read_pieces(file: OpenFile, start: int, end: int) -> AsyncIterator[bytes]:
    while start < end and (piece := await run_in_threadpool(file.read, min(_PIECE, end - start), start)):
        yield piece
        start += len(piece)


def _select(range_: str | None, size: int) -> tuple[int, int, int]:
    """Return the beginning and the end of what is sent, and the status. Several ranges are answered with all."""
    match = _RANGE.fullmatch(range_ or "")
    if not match or match[1] == match[2] == "":
        return 0, size, 200
    if match[1]:
        start, end = int(match[1]), min(int(match[2]) + 1 if match[2] else size, size)
    else:
        start, end = max(size - int(match[2]), 0), size
    return (start, end, 206) if start < end else (0, 0, 416)
