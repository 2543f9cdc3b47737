"""Fixtures of the tests in a browser: sample runs, the real server, and pages in which nothing may go wrong."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from playwright.sync_api import Browser, BrowserContext, Page

from standpipe import local
from standpipe.history import Run
from standpipe.ui.rendering import link
from tests.chromium import Watch, browser, find_chromium

from .live_run import LiveRun
from .samples import roots
from .server import Server

__all__ = ["browser"]  # a fixture


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.slow)


class Samples(NamedTuple):
    """A pipeline root, and the ids of its runs by their kinds; see `samples.roots`. Tests do not change it."""

    root: Path
    ids: dict[str, str]

    def run(self, kind: str) -> Run:
        """Return a run."""
        return local.get_run(self.ids[kind], pipeline_root=self.root)

    def link(self, kind: str, **query: object) -> str:
        """Return the path of the page of a run."""
        return link("runs", self.ids[kind], **query)


@pytest.fixture(scope="session")
def samples(tmp_path_factory: pytest.TempPathFactory) -> Samples:
    """Return runs of all kinds, made once."""
    find_chromium()
    root = tmp_path_factory.mktemp("samples")
    return Samples(root, roots.make_runs(root))


@pytest.fixture(scope="session")
def server(samples: Samples) -> Iterator[Server]:
    """Return the server of the sample runs."""
    started = Server(samples.root)
    yield started
    assert started.stop() == 0


@pytest.fixture
def serve() -> Iterator[Callable[..., Server]]:
    """Return a function that starts a server for a pipeline root."""
    started: list[Server] = []

    def start(root: Path, *arguments: str) -> Server:
        started.append(Server(root, *arguments))
        return started[-1]

    yield start
    for each in started:
        each.stop()


class Visit(NamedTuple):
    """A browser that is logged in at a server: its page, and what goes wrong in it."""

    page: Page
    watch: Watch


@pytest.fixture
def visit(browser: Browser) -> Iterator[Callable[..., Visit]]:
    """Return a function that opens a page of a server as a new user; nothing may go wrong in it until the test ends."""
    opened: list[tuple[BrowserContext, Watch]] = []

    def open_page(server: Server, path: str = "/", **options: Any) -> Visit:
        context = browser.new_context(base_url=server.base, **{"viewport": {"width": 1280, "height": 800}, **options})
        watch = Watch(context, server.base)
        opened.append((context, watch))
        page = context.new_page()
        page.goto(server.address)
        page.goto(path)
        return Visit(page, watch)

    yield open_page
    for context, _ in opened:
        context.close()
    assert [problem for _, watch in opened for problem in watch.problems] == []


@pytest.fixture
def page(server: Server, visit: Callable[..., Visit]) -> Page:
    """Return the page of all sample runs."""
    return visit(server).page


@pytest.fixture
def start_live(tmp_path: Path) -> Iterator[Callable[[Path], LiveRun]]:
    """Return a function that starts a run whose tasks the test lets end."""
    started: list[LiveRun] = []

    def start(root: Path) -> LiveRun:
        started.append(LiveRun(root, tmp_path / f"steps-{len(started)}"))
        return started[-1]

    yield start
    for each in started:
        each.close()
