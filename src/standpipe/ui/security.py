"""Who may use the server: the browser of the user who started it, and no other page or program."""

from __future__ import annotations

import hmac
import secrets
from dataclasses import dataclass, field
from hashlib import sha256

from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.responses import PlainTextResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

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
_HEADERS = {
    "Content-Security-Policy": _POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-store",
}


@dataclass(frozen=True)
class Access:
    """Who may use a server.

    `token` is a secret that the address has which the user opens; the cookie that follows from it keeps the browser in.
    """

    port: int
    token: str = field(repr=False)

    @property
    def cookie(self) -> str:
        """The name of the cookie. Browsers share cookies between the ports of a host, so it has the port."""
        return f"standpipe-{self.port}"

    @property
    def csrf(self) -> str:
        """What forms send back, which other pages cannot know."""
        return hmac.new(self.token.encode(), b"csrf", sha256).hexdigest()

    @property
    def hosts(self) -> tuple[str, ...]:
        """The values of the header `Host` by which the server answers."""
        return (f"127.0.0.1:{self.port}", f"localhost:{self.port}")


def new_token() -> str:
    """Return a new token."""
    return secrets.token_urlsafe(24)


class Guard:
    """ASGI middleware that refuses all requests but those of the user's browser, and adds the security headers."""

    def __init__(self, app: ASGIApp, access: Access) -> None:
        self._app = app
        self._access = access

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                present = Headers(raw=message["headers"])
                message["headers"] += [
                    (name.lower().encode(), value.encode()) for name, value in _HEADERS.items() if name not in present
                ]
            await send(message)

        answer = self._answer(Request(scope))
        await (answer or self._app)(scope, receive, send_with_headers)

    def _answer(self, request: Request) -> Response | None:
        """Return the answer to a request that does not reach the pages; None for others."""
        access = self._access
        if request.headers.get("host") not in access.hosts:
            return PlainTextResponse("Unknown host: open the address that `standpipe ui` printed.\n", 421)
        if request.headers.get("origin", f"http://{request.headers['host']}") != f"http://{request.headers['host']}":
            return PlainTextResponse("Requests of other pages are refused.\n", 403)
        token = request.query_params.get("token")
        if token is not None and hmac.compare_digest(token.encode(), access.token.encode()):
            response = RedirectResponse(str(request.url.remove_query_params("token")), 303)
            response.set_cookie(access.cookie, access.token, httponly=True, samesite="strict", path="/")
            return response
        cookie = request.cookies.get(access.cookie, "")
        if not hmac.compare_digest(cookie.encode(), access.token.encode()):
            return PlainTextResponse("Open the address with the token that `standpipe ui` printed.\n", 403)
        return None
