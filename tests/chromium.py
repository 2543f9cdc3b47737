"""Chromium: the browser of slow tests, and what notices everything that goes wrong in its pages."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Iterator
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import (
    Browser,
    BrowserContext,
    ConsoleMessage,
    Dialog,
    Page,
    Playwright,
    Request,
    Response,
    sync_playwright,
)

#: The names of Chromium and of Chrome, which Playwright drives in the same way.
_NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
_HOW_TO_INSTALL = (
    "no Chromium on the PATH. Install Chromium or Chrome; `sudo scripts/chromium` does so on Debian, and on macOS "
    "STANDPIPE_CHROMIUM can be '/Applications/Google Chrome.app/Contents/MacOS/Google Chrome'"
)


def find_chromium() -> str:
    """Return the path of Chromium; skip the test if there is none, and fail it in CI."""
    path = os.environ.get("STANDPIPE_CHROMIUM") or next(filter(None, map(shutil.which, _NAMES)), None)
    if path:
        return path
    if os.environ.get("CI") == "true":
        pytest.fail(_HOW_TO_INSTALL)
    pytest.skip(_HOW_TO_INSTALL)


def launch(playwright: Playwright) -> Browser:
    """Start Chromium, without its sandbox where it refuses to have one."""
    arguments = ["--no-sandbox"] if os.getuid() == 0 else []
    return playwright.chromium.launch(executable_path=find_chromium(), args=arguments)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Return Chromium, without a window. No other test may use asyncio in its thread meanwhile."""
    with sync_playwright() as playwright:
        started = launch(playwright)
        yield started
        started.close()


class Watch:
    """What goes wrong in the pages of a browser context, as text: empty if all is well.

    These are errors in the console, uncaught errors, dialogs, failed requests and requests to other hosts.
    """

    def __init__(self, context: BrowserContext, base: str) -> None:
        self._base = urlsplit(base).netloc
        self._problems: list[str] = []
        self._expected: list[str] = []
        context.on("page", self._watch)
        context.on("request", self._check_host)
        context.on("requestfailed", self._note_failure)
        context.on("response", self._check_status)
        context.on("console", self._check_message)
        context.on("weberror", lambda it: self._note(f"uncaught: {it.error}"))

    def expect(self, pattern: str) -> None:
        """Let problems be whose text matches a regular expression."""
        self._expected.append(pattern)

    @property
    def problems(self) -> list[str]:
        """The problems that no test expects."""
        return [each for each in self._problems if not any(re.search(one, each) for one in self._expected)]

    def _watch(self, page: Page) -> None:
        page.set_default_timeout(15_000)
        page.on("dialog", self._dismiss)
        page.on("crash", lambda _: self._note("the page crashed"))

    def _note(self, problem: str) -> None:
        self._problems.append(problem)

    def _dismiss(self, dialog: Dialog) -> None:
        self._note(f"dialog: {dialog.message}")
        dialog.dismiss()

    def _check_status(self, response: Response) -> None:
        if response.status >= 400:
            self._note(f"{response.status} of {response.url}")

    def _check_message(self, message: ConsoleMessage) -> None:
        if message.type == "error":
            self._note(f"console: {message.text} {message.location['url']}")

    def _check_host(self, request: Request) -> None:
        address = urlsplit(request.url)
        if address.scheme not in ("data", "blob", "about") and address.netloc != self._base:
            self._note(f"another host: {request.url}")

    def _note_failure(self, request: Request) -> None:
        if request.failure != "net::ERR_ABORTED":  # that of a page which is left, and of a refresh that another follows
            self._note(f"{request.failure} of {request.url}")
