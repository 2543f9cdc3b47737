"""The pages for what cannot be shown: what happened, and what to do."""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from standpipe.errors import ArgumentError, NoSuchRun, NoSuchTask, StandpipeError, StorageError
from standpipe.ui.pages.page import respond
from standpipe.ui.payloads import NoSuchArtifact, PayloadError

#: The status and the title for each error, with those of its subclasses; the first that fits.
_ANSWERS: tuple[tuple[type[Exception], int, str], ...] = (
    (NoSuchRun, 404, "There is no such run"),
    (NoSuchTask, 404, "There is no such task"),
    (NoSuchArtifact, 404, "There is no such artifact"),
    (PayloadError, 404, "The payload cannot be shown"),
    (ArgumentError, 400, "The address or the form is invalid"),
    (StorageError, 503, "The runs cannot be read"),
    (StandpipeError, 500, "This cannot be shown"),
)
_NOT_FOUND = "There is no page at this address. It may have been removed, or the address is incomplete."


class Refused(StandpipeError):
    """An action was not done; the message says why. `details` is the end of what the command printed."""

    def __init__(self, message: str, details: str = "") -> None:
        super().__init__(message)
        self.details = details


def show_error(request: Request, error: Exception) -> Response:
    """Answer with what an error of Standpipe says."""
    if isinstance(error, Refused):
        return _page(request, 409, "This was not done", str(error), error.details)
    status, title = next((status, title) for kind, status, title in _ANSWERS if isinstance(error, kind))
    return _page(request, status, title, str(error))


def show_http_error(request: Request, error: Exception) -> Response:
    """Answer with the page for an HTTP status, such as that of a page that does not exist."""
    assert isinstance(error, HTTPException), "it is the handler of those"
    status = error.status_code
    text = _NOT_FOUND if status == 404 else error.detail
    return _page(request, status, HTTPStatus(status).phrase, text, headers=error.headers)


def show_defect(request: Request, error: Exception) -> Response:
    """Answer that there is a defect. The server writes its traceback to its terminal."""
    return _page(
        request,
        500,
        "This is a defect of Standpipe",
        "The terminal of `standpipe ui` has the details; please report it with them. Other pages still work.",
        type(error).__name__,
    )


#: For `Starlette`.
HANDLERS: dict[Any, Any] = {StandpipeError: show_error, HTTPException: show_http_error, Exception: show_defect}


def _page(
    request: Request, status: int, title: str, text: str, details: str = "", headers: Mapping[str, str] | None = None
) -> Response:
    response = respond(request, "error.html", status, heading=title, text=text, details=details)
    response.headers.update(headers or {})
    return response
