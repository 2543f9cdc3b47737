"""Who may use the server: the browser of the user who started it, and no other page or program.

`Guard` is in front of all pages, so that none of them can forget a check. In this order:

1. `Host` is an address of this server. A page of another site whose name leads to this machine has another one (DNS
   rebinding).
2. The method is `GET`, `HEAD` or `POST`. The first two change nothing.
3. `Origin` is the server itself. A request of another page is only answered if it is a link that the user has followed.
4. The cookie has the token. The address that the user opens has it, too; it is exchanged for the cookie.
5. A `POST` is a form of at most `MAX_BODY` bytes with the csrf value, which only pages of this server know.
"""

from __future__ import annotations

import hmac
import time
from collections.abc import Iterable, Mapping
from functools import cached_property
from hashlib import sha256
from html import escape
from urllib.parse import parse_qs

from starlette.datastructures import Headers
from starlette.requests import ClientDisconnect, Request
from starlette.responses import HTMLResponse, PlainTextResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from standpipe.model.frozen import field, frozen

#: The most bytes of the body of a request. Arguments of a new run are the largest.
MAX_BODY = 4 * 1024 * 1024

_METHODS = ("GET", "HEAD", "POST")
_FORM = "application/x-www-form-urlencoded"
#: Where the scope of a request has the time at which it began, in seconds since the epoch.
BEGAN = "standpipe.began"
#: Where it has the fields of the form.
_FIELDS = "standpipe.form"

#: What pages may load: files of this server only, no code or style in the page itself.
_POLICY = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self' data:",
        "connect-src 'self'",
        "frame-src 'self'",
        "form-action 'self'",
        "base-uri 'none'",
        "frame-ancestors 'none'",
    )
)
#: Responses may have others of their own, as those with payloads of artifacts do. With `no-referrer`, browsers would
#: send `Origin: null` with the forms of our pages; with `same-origin`, other servers get no referrer either.
_HEADERS = {
    "Content-Security-Policy": _POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-store",
}

_PRINTED = "Open the address that `standpipe ui` printed when it started; it has the token that lets you in."


@frozen
class Access:
    """Who may use a server.

    `token` is a secret that the address has which the user opens, and then the cookie. `tickets` can be in its place,
    each in one request, until a time of `time.monotonic`.
    """

    port: int
    token: str = field(repr=False)
    tickets: dict[str, float] = field(default_factory=dict, repr=False, compare=False)

    def __post_init__(self) -> None:
        if not self.token:
            raise ValueError("the token is empty: requests without a cookie would have it")

    @property
    def cookie(self) -> str:
        """The name of the cookie. Browsers share cookies between the ports of a host, so it has the port."""
        return f"standpipe-{self.port}"

    @cached_property
    def csrf(self) -> str:
        """What forms send back, which other pages cannot know."""
        return hmac.new(self.token.encode(), b"csrf", sha256).hexdigest()

    @property
    def hosts(self) -> tuple[str, ...]:
        """The values of the header `Host` by which the server answers."""
        return (f"127.0.0.1:{self.port}", f"localhost:{self.port}")


def form_of(request: Request) -> Mapping[str, list[str]]:
    """Return the fields of the form that a request sent, which the guard has checked."""
    fields: Mapping[str, list[str]] = request.scope.get(_FIELDS, {})
    return fields


class Guard:
    """ASGI middleware that refuses all requests but those of the user's browser, and adds the security headers."""

    def __init__(self, app: ASGIApp, access: Access) -> None:
        self._app = app
        self._access = access

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
        if scope["type"] != "http":
            return  # the server closes a WebSocket, which no page uses

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                added = _missing_headers(message["headers"], scope["path"])
                message = {**message, "headers": [*message["headers"], *added]}
            await send(message)

        scope[BEGAN] = time.time()
        request = Request(scope, receive)
        answer = _refuse(request, self._access) or _let_in(request, self._access)
        if answer is None and request.method == "POST":
            try:
                body = await _read_body(request)
            except ClientDisconnect:
                return
            answer, receive = _check_form(request, body, self._access), _replay(body, receive)
        await (answer or self._app)(scope, receive, send_with_headers)


def _refuse(request: Request, access: Access) -> Response | None:
    """Return the answer to a request that no page of this server makes; None for others."""
    host = request.headers.get("host")
    if host not in access.hosts:
        return _problem(421, f"This is not the address of the server. {_PRINTED}")
    if request.method not in _METHODS:
        return _problem(405, "This method is not supported.", Allow=", ".join(_METHODS))
    if request.headers.get("origin", f"http://{host}") != f"http://{host}" or not _is_own_or_link(request):
        return _problem(403, "Requests of other pages are refused.")
    if _length(request.headers) > MAX_BODY:
        return _too_large()
    return None


def _is_own_or_link(request: Request) -> bool:
    """Return whether a request comes from a page of this server or from the user, or is a link that the user follows.

    Browsers say so in headers that pages cannot set. Other ports of this machine are the `same-site`.
    """
    headers = request.headers
    if headers.get("sec-fetch-site", "none") in ("same-origin", "none"):
        return True
    is_link = headers.get("sec-fetch-mode") == "navigate" and headers.get("sec-fetch-dest") == "document"
    return is_link and request.method == "GET"


def _let_in(request: Request, access: Access) -> Response | None:
    """Return the answer to a request that has the token in its address, or no cookie; None for others."""
    token = request.query_params.get("token")
    if token is not None and request.method != "POST":
        if not _equal(token, access.token) and access.tickets.pop(token, 0.0) < time.monotonic():
            return _problem(403, f"The token in this address is not that of the server. {_PRINTED}")
        response = _to_clean_address(request)
        response.set_cookie(access.cookie, access.token, httponly=True, samesite="strict", path="/")
        return response
    if not _equal(request.cookies.get(access.cookie, ""), access.token):
        return _problem(403, _PRINTED)
    return None


def _to_clean_address(request: Request) -> Response:
    """Return a response that leads to the same address without the token.

    After a link on another page, browsers would not send the cookie, which is for requests of this site, with a
    redirection. A page that refreshes itself counts as a page of this site.
    """
    address = str(request.url.remove_query_params("token"))
    if request.headers.get("sec-fetch-site", "none") in ("same-origin", "none"):
        return RedirectResponse(address, 303)
    quoted = escape(address)
    return HTMLResponse(
        f'<!doctype html><html lang="en"><meta charset="utf-8"><meta http-equiv="refresh" content="0;url={quoted}">'
        f'<title>Standpipe</title><p><a href="{quoted}">Continue</a></p></html>'
    )


async def _read_body(request: Request) -> bytes | None:
    """Return the body of a request; None if it is too large."""
    body = bytearray()
    async for part in request.stream():
        body += part
        if len(body) > MAX_BODY:
            return None
    return bytes(body)


def _check_form(request: Request, body: bytes | None, access: Access) -> Response | None:
    """Return the answer to a form that does not have the csrf value; None for others, whose fields `form_of` has."""
    if body is None:
        return _too_large()
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() != _FORM:
        return _problem(415, f"Expected a form ({_FORM}).")
    try:
        fields = parse_qs(body.decode(), keep_blank_values=True, strict_parsing=bool(body), max_num_fields=100_000)
    except ValueError:  # not UTF-8, or not a form
        return _problem(400, "The form cannot be read.")
    if not _equal(fields.get("csrf", [""])[0], access.csrf):
        return _problem(403, "The form does not come from a page of this server. Load the page again.")
    request.scope[_FIELDS] = fields
    return None


def _replay(body: bytes | None, receive: Receive) -> Receive:
    """Return a function that gives a body that was read to the next reader."""
    messages: list[Message] = [{"type": "http.request", "body": body or b"", "more_body": False}]

    async def replayed() -> Message:
        return messages.pop() if messages else await receive()

    return replayed


def _missing_headers(present: Iterable[tuple[bytes, bytes]], path: str) -> list[tuple[bytes, bytes]]:
    names = {name.lower() for name, _ in present}
    headers = {**_HEADERS, **({"Cache-Control": "no-cache"} if path.startswith("/static/") else {})}
    added = [(name.lower().encode(), value.encode()) for name, value in headers.items()]
    return [(name, value) for name, value in added if name not in names]


def _length(headers: Headers) -> int:
    length = headers.get("content-length", "0")
    return int(length) if length.isascii() and length.isdigit() else 0


def _too_large() -> Response:
    return _problem(413, f"The request is too large: expected at most {MAX_BODY} bytes.", Connection="close")


def _equal(value: str, secret: str) -> bool:
    """Compare a value with a secret, in a time that does not tell how much of it is right."""
    return hmac.compare_digest(value.encode("utf-8", "surrogatepass"), secret.encode())


def _problem(status: int, text: str, **headers: str) -> Response:
    return PlainTextResponse(f"{text}\n", status, headers)
