"""A client of the pages, as the browser that opened the address with the token."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from starlette.testclient import TestClient

from standpipe.ui.app import make_app
from standpipe.ui.security import Access
from standpipe.ui.source import RunSource

ACCESS = Access(port=7717, token="a-token")


@pytest.fixture
def client(tmp_path: Path) -> Callable[[], TestClient]:
    """Return a function that returns a client of the pipeline root `tmp_path`, already logged in."""

    def make() -> TestClient:
        made = TestClient(make_app(RunSource(tmp_path), ACCESS), base_url="http://127.0.0.1:7717")
        made.cookies.set(ACCESS.cookie, ACCESS.token)
        return made

    return make
