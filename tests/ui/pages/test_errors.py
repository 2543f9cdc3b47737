"""Pages for what cannot be shown."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
from starlette.testclient import TestClient

from standpipe import dsl, local
from standpipe.local import FakeRunner
from standpipe.model.layout import RUN_STORE_FILE
from standpipe.runs.deletion import delete_runs

TABS = ("graph", "timeline", "tasks", "logs", "details", "spec", "nothing", "", "<b>")


@dsl.component
def add_for_errors(a: int) -> int: ...


@pytest.fixture
def run(tmp_path: Path) -> str:
    """Return the id of a run."""
    runner = FakeRunner(add_for_errors=lambda **_: {"Output": 1})
    local.run(add_for_errors, {"a": 1}, runner=runner, pipeline_root=tmp_path, quiet=True)
    return local.get_run("latest", tmp_path).id


def check(client: TestClient, address: str, status: int, *texts: str) -> None:
    response = client.get(address)
    assert response.status_code == status
    assert response.headers["content-type"] == "text/html; charset=utf-8"
    assert "Traceback" not in response.text
    for text in texts:
        assert text in response.text
    assert 'href="/"' in response.text


def test_an_unknown_run_or_page_is_not_found(client: Callable[[], TestClient], run: str) -> None:
    user = client()
    check(user, "/runs/nothing", 404, "There is no such run", run)
    check(user, "/runs/%3Cb%3E", 404, "&lt;b&gt;")
    check(user, "/nothing", 404, "no page at this address")
    check(user, "/runs/a/b/c", 404)
    check(user, "/static/nothing.js", 404)


def test_a_run_that_is_deleted_while_its_page_is_open(
    tmp_path: Path, client: Callable[[], TestClient], run: str
) -> None:
    user = client()
    check(user, f"/runs/{run}", 200)
    list(delete_runs(tmp_path, [run]))
    check(user, f"/runs/{run}", 404, "There is no such run", run)


def test_a_store_that_cannot_be_read(tmp_path: Path, client: Callable[[], TestClient], run: str) -> None:
    (tmp_path / RUN_STORE_FILE).write_bytes(b"no database" * 1000)
    user = client()
    for address in ("/", f"/runs/{run}"):
        check(user, address, 503, "is damaged", "Restore a backup")


def test_a_store_of_a_newer_standpipe(tmp_path: Path, client: Callable[[], TestClient], run: str) -> None:
    with closing(sqlite3.connect(tmp_path / RUN_STORE_FILE)) as db:
        db.execute("PRAGMA user_version = 999")
    user = client()
    for address in ("/", f"/runs/{run}"):
        check(user, address, 503, "newer Standpipe", "Upgrade Standpipe")


@pytest.mark.parametrize("tab", TABS)
@pytest.mark.parametrize(
    "query",
    [
        "",
        "&task=nothing",
        "&task=%00",
        "&task=%FF%FE",
        "&layer=nothing",
        "&panel=nothing",
        "&attempt=x&offset=-1&page=x",
    ],
)
def test_queries_that_nobody_follows_a_link_to(
    client: Callable[[], TestClient], run: str, tab: str, query: str
) -> None:
    response = client().get(f"/runs/{run}?tab={tab}{query}")
    assert response.status_code in (200, 404)
    assert "Traceback" not in response.text


@pytest.mark.parametrize(
    "query",
    ["page=x", "page=-1", "page=99999999999", "sort=x", "status=x", "metric=x", "q=%00", "q=%FF", "pipeline=%F0"],
)
def test_queries_of_the_list(client: Callable[[], TestClient], run: str, query: str) -> None:
    assert client().get(f"/?{query}").status_code in (200, 400)
