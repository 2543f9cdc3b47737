"""Requests that no page makes, and what tasks leave to break a page."""

from __future__ import annotations

import errno
import json
import math
import os
import sqlite3
import struct
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient

from standpipe import dsl, local
from standpipe.local import FakeRunner
from standpipe.model.layout import RUN_STORE_FILE
from standpipe.ui.rendering import link
from tests.test_secrets_at_rest import CANARY, find_in, leaking
from tests.ui.artifacts import run_with_artifacts, text_writer
from tests.ui.conftest import ACCESS

Client = Callable[[], TestClient]

TASK = "make-shown-artifacts"

#: More digits than `int` reads.
DIGITS = "9" * 5000


@dsl.component
def count_in_hostile_loop(number: int) -> int: ...


@dsl.pipeline(name="hostile-loop")
def hostile_loop() -> None:
    with dsl.ParallelFor([1, 2, 3]) as number:
        count_in_hostile_loop(number=number)


@pytest.fixture
def run(tmp_path: Path) -> str:
    return run_with_artifacts(tmp_path, text_writer("a,b\n1,2\n"))


@pytest.mark.parametrize("name", ["attempt", "offset", "download"])
def test_a_number_of_a_log_that_has_too_many_digits(client: Client, run: str, name: str) -> None:
    response = client().get(link("runs", run, "log", task=TASK, **{name: DIGITS}))
    assert (response.status_code, response.text) == (200, "")  # as if there were no number


def test_a_number_of_a_loop_that_has_too_many_digits(tmp_path: Path, client: Client) -> None:
    runner = FakeRunner(count_in_hostile_loop=lambda number: {"Output": number})
    local.run(hostile_loop, runner=runner, pipeline_root=tmp_path, quiet=True)
    run = local.get_run("latest", tmp_path)
    [loop] = run.tasks
    for query in ({"page": DIGITS}, {"layer": f"{loop.path}/{DIGITS}"}, {"task": f"{loop.path}/{DIGITS}"}):
        response = client().get(link("runs", run.id, **{"layer": loop.path, **query}))
        assert response.status_code == 200


@pytest.mark.parametrize(
    "replace",
    [
        lambda log: None,
        os.mkfifo,
        os.mkdir,
        lambda log: os.symlink("/etc/passwd", log),
        lambda log: os.symlink(log, log),
    ],
    ids=["gone", "fifo", "folder", "link", "loop"],
)
def test_a_log_that_is_something_else(
    tmp_path: Path, client: Client, run: str, replace: Callable[[Path], None]
) -> None:
    [attempt] = local.get_run(run, tmp_path).task(TASK).attempts
    attempt.log.unlink()
    replace(attempt.log)
    user = client()
    for part in ("", "&download=1", "&offset=1"):
        response = user.get(link("runs", run, "log", task=TASK) + part)
        assert (response.status_code, response.headers["content-type"]) == (404, "text/plain; charset=utf-8")
        assert response.text.startswith(("The log cannot be read: ", "The log was removed: "))
    for query in ({"tab": "logs"}, {"tab": "logs", "task": TASK}, {"tab": "logs", "task": TASK, "search": "x"}):
        response = user.get(link("runs", run, **query))
        assert response.status_code == 200
        assert "root:" not in response.text


@pytest.mark.parametrize(
    "cursor",
    ["[" * 20_000, f'["",0,[["a",{DIGITS}]]]', '["",0,[["a",true]]]', '["",0,[[1,2]]]', "[1,2,3]", "NaN", "{}", "\0"],
)
def test_a_cursor_that_no_page_made(client: Client, run: str, cursor: str) -> None:
    assert client().get(link("runs", run, "log", "follow", cursor=cursor)).status_code == 400


def test_a_style_in_a_cursor_that_no_page_made(client: Client, run: str) -> None:
    cursor = f'["",-1,[["{TASK}",1,0,0,"²;³8;5",1]]]'
    assert client().get(link("runs", run, "log", "follow", cursor=cursor)).status_code == 200


def test_a_referrer_that_is_no_address(tmp_path: Path, client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    run_with_artifacts(tmp_path)
    runs = [run_with_artifacts(tmp_path, seed=seed) for seed in (1, 2)]
    monkeypatch.setattr("standpipe.history.Run.cancel", lambda run: True)
    user = client()
    for referrer, expected in (("http://[", "/"), ("http://127.0.0.1:7717/?q=a", "/?q=a")):
        data = {"csrf": ACCESS.csrf, "run": runs}
        headers = {"referer": referrer}
        response = user.post("/stop", data=data, headers=headers, follow_redirects=False)
        assert (response.status_code, response.headers["location"]) == (303, expected)


def test_a_form_that_names_a_run_often(client: Client, run: str, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []
    monkeypatch.setattr("standpipe.history.Run.cancel", lambda run: asked.append(run.id) or True)
    data = {"csrf": ACCESS.csrf, "run": [run, "latest"] * 1000}
    response = client().post("/stop", data=data, follow_redirects=False)
    assert (response.status_code, response.headers["location"]) == (303, link("runs", run))
    assert asked == [run]


def test_a_folder_with_names_that_are_no_text(tmp_path: Path, client: Client) -> None:
    def write(data: Any) -> None:
        folder = Path(os.fsdecode(os.fsencode(data.path) + b"/sub\xff"))
        folder.mkdir(parents=True)
        (folder / "<b>.csv").write_text("a,b\n1,2\n")

    run = run_with_artifacts(tmp_path, write)
    page = client().get(link("runs", run, "artifact", task=TASK, output="data"))
    assert page.status_code == 200
    assert "sub\N{REPLACEMENT CHARACTER}" in page.text
    assert "&lt;b&gt;.csv" in page.text
    assert "<b>.csv" not in page.text


def test_an_address_with_a_name_that_is_no_text(client: Client, run: str) -> None:
    for name in (os.fsdecode(b"\xff"), "\ud800"):
        assert client().get(link("runs", run, name, task=name)).status_code == 404
        assert client().get(link("runs", run, task=name)).status_code == 200


@pytest.mark.parametrize(
    "footer",
    [
        b"\x29\x25\x02\x02\x16\x02",  # the schema is a list of numbers
        b"\x29\x2c\x55\x02\x00\x45\x02\x00\x16\x02",  # a name is a number
        b"\x29\x2c\x55\x02\x00\x48\x01a\x00\x17" + struct.pack("<d", math.inf),  # the number of rows is infinite
    ],
)
def test_a_footer_of_parquet_with_other_types(tmp_path: Path, client: Client, footer: bytes) -> None:
    content = b"PAR1" + footer + b"\0" * 8 + (len(footer) + 8).to_bytes(4, "little") + b"PAR1"
    run = run_with_artifacts(tmp_path, lambda data: Path(data.path).write_bytes(content))
    page = client().get(link("runs", run, "artifact", task=TASK, output="data"))
    assert page.status_code == 200
    assert "Parquet" in page.text


@pytest.mark.parametrize("name", [TASK, "</title><b>x", "..", "", "new\nline", "x" * 10_000])
def test_names_that_only_a_damaged_store_has(tmp_path: Path, client: Client, run: str, name: str) -> None:
    escaped = json.dumps(name)[1:-1]
    with closing(sqlite3.connect(tmp_path / RUN_STORE_FILE)) as db, db:
        for task in ("use-shown-artifact", TASK):  # then the Plan has a task that is upstream of itself
            db.execute("UPDATE facts SET body = replace(body, ?, ?)", (task, escaped))
            db.execute("UPDATE plans SET body = replace(body, ?, ?)", (task, escaped))
    user = client()
    for tab in ("graph", "timeline", "tasks", "logs", "details", "spec"):
        for task in ("", name):
            response = user.get(link("runs", run, tab=tab, task=task))
            assert response.status_code == 200
            assert "<b>x" not in response.text
    assert user.get(link("runs", run, "spec")).status_code in (200, 404)


@pytest.mark.parametrize("replace", [os.mkfifo, os.mkdir], ids=["fifo", "folder"])
def test_a_store_that_is_not_a_file(tmp_path: Path, client: Client, run: str, replace: Callable[[Path], None]) -> None:
    for file in tmp_path.glob(f"{RUN_STORE_FILE}*"):
        file.unlink()
    replace(tmp_path / RUN_STORE_FILE)
    for address in ("/", link("runs", run)):
        response = client().get(address)
        assert response.status_code == 503
        assert "it is not a regular file" in response.text


def test_a_new_run_on_a_full_disk(client: Client, run: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> int:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr("standpipe.ui.actions.create_file", fail)
    response = client().post("/new", data={"csrf": ACCESS.csrf, "run": run, "input:seed": "3"})
    assert response.status_code == 422
    assert "No space left on device" in response.text


def test_secrets_are_on_no_page(tmp_path: Path, client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CANARY", CANARY)
    runner = local.SubprocessRunner(use_venv=False)
    local.run(
        leaking, {"given": CANARY}, runner=runner, pipeline_root=tmp_path, secret_env=["CANARY"], raise_on_error=False
    )
    run, user, pages = local.get_run("latest", tmp_path), client(), tmp_path / "pages"
    addresses = [
        "/",
        "/new",
        link("new", run=run.id),
        link("compare", run=[run.id, run.id]),
        link("runs", run.id, "spec"),
    ]
    for tab in ("graph", "timeline", "tasks", "logs", "details", "spec"):
        addresses.append(link("runs", run.id, tab=tab))
    for task in run.all_tasks():
        addresses += [link("runs", run.id, task=task.path, panel=panel) for panel in ("io", "details", "logs", "cache")]
        addresses.append(link("runs", run.id, "log", task=task.path))
    addresses += [link("runs", run.id, "artifact", uri=artifact.uri) for artifact in run.artifacts]
    texts = [user.get(address).text for address in addresses]
    shown: list[Any] = [run, *run.all_tasks(), *run.artifacts]
    texts += [each._repr_html_() for each in shown]
    pages.mkdir()
    (pages / "all").write_text("\n".join(texts))
    assert any("***" in text for text in texts)
    assert find_in(pages, CANARY) == {}
