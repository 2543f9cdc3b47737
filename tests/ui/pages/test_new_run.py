"""The page on which a new run is started."""

from __future__ import annotations

import html
import re
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient

from standpipe import compiler, dsl, local
from standpipe.history import Run
from standpipe.local import FakeRunner
from standpipe.model.layout import RUN_STORE_FILE
from tests.ui.conftest import ACCESS

Client = Callable[[], TestClient]


@dsl.component
def ui_new_add(a: int, b: int = 2) -> int:
    return a + b


@dsl.component
def ui_new_fail(text: str) -> str:
    raise ValueError(text)


@dsl.pipeline(name="ui-new-sum", description="Adds <b>two</b> numbers.")
def ui_new_sum(a: int, b: int = 2, settings: dict = {"scale": 1}) -> int:  # noqa: B006 - a default of the pipeline
    """Add.

    Args:
        a: the first of "them" & more
    """
    return ui_new_add(a=a, b=b).output


@dsl.pipeline(name="ui-new-token")
def ui_new_token(token: str, note: str = "none") -> None:
    ui_new_fail(text=token)


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder in which the server was started; the pipeline root is `tmp_path`."""
    folder = tmp_path / "work"
    folder.mkdir()
    monkeypatch.chdir(folder)
    compiler.Compiler().compile(ui_new_sum, "sum.yaml")
    return folder


def form(**fields: str) -> dict[str, str]:
    return {"csrf": ACCESS.csrf, "runner": "subprocess", "no_venv": "1", **fields}


def wait_for_end(run: str, root: Path) -> Run:
    for _ in range(300):
        record = local.get_run(run, root)
        if record.ended:
            return record
        time.sleep(0.1)
    raise AssertionError("the run has not ended")


def test_the_page_offers_files_and_pipelines_of_runs(client: Client, tmp_path: Path) -> None:
    local.run(ui_new_add, {"a": 1}, runner=FakeRunner(ui_new_add=lambda a, b: a), pipeline_root=tmp_path, quiet=True)
    text = client().get("/new").text
    assert 'href="/new?file=sum.yaml"' in text
    assert 'href="/new?run=ui-new-add-' in text


def test_the_form_has_a_field_for_each_input(client: Client) -> None:
    page = client().get("/new", params={"file": "sum.yaml"})
    assert page.status_code == 200
    assert "Adds &lt;b&gt;two&lt;/b&gt; numbers." in page.text
    assert "the first of &#34;them&#34; &amp; more" in page.text
    names = re.findall(r'name="(input:[^"]*)"', page.text)
    assert names == ["input:a", "input:b", "input:settings"]
    assert "Packages that are missing are installed into it." in page.text
    assert 'value="2"' in page.text
    assert html.escape('"scale": 1') in page.text.replace("&#34;", "&quot;")


def test_errors_are_beside_the_fields_and_the_values_are_kept(client: Client, tmp_path: Path) -> None:
    fields = {"input:a": '"><script>', "input:b": "2", "input:settings": "{", "file": "sum.yaml", "cache": "1"}
    page = client().post("/new", data=form(**fields))
    assert page.status_code == 422
    text = html.unescape(page.text)
    assert """Expected an integer (int), got '"><script>'.""" in text
    assert "Expected a JSON object" in text
    assert "<script>" not in page.text.replace('<script type="module"', "")
    assert page.text.count("checked") == 3
    assert local.runs(tmp_path) == []


@pytest.mark.parametrize(
    ("query", "problem"),
    [
        ({"file": "../x.yaml"}, "is not below"),
        ({"file": "none.yaml"}, "cannot be read"),
        ({"run": "none"}, "There is no run"),
    ],
)
def test_what_is_not_there_is_said_on_the_page(client: Client, query: dict[str, str], problem: str) -> None:
    page = client().get("/new", params=query)
    assert page.status_code == 422
    assert problem in page.text
    posted = client().post("/new", data=form(**query))
    assert posted.status_code == 422
    assert problem in posted.text


def test_a_form_that_names_no_pipeline(client: Client) -> None:
    assert "Choose a compiled file" in client().post("/new", data=form()).text


def test_a_run_of_a_file_is_started(client: Client, tmp_path: Path) -> None:
    fields = {"file": "sum.yaml", "input:a": "40", "input:b": "2", "input:settings": '{\r\n  "scale": 1\r\n}'}
    answer = client().post("/new", data=form(**fields), follow_redirects=False)

    assert answer.status_code == 303
    address = answer.headers["location"]
    assert address.startswith("/runs/ui-new-sum-")
    run = wait_for_end(address.removeprefix("/runs/"), tmp_path)
    assert dict(run.inputs) == {"a": 40, "b": 2, "settings": {"scale": 1}}
    assert dict(run.outputs) == {"Output": 42}


def test_a_run_is_cloned_with_other_arguments(client: Client, tmp_path: Path) -> None:
    options: dict[str, Any] = {"pipeline_root": tmp_path, "quiet": True}
    local.run(ui_new_sum, {"a": 5, "b": 6}, runner=FakeRunner(ui_new_add=lambda a, b: a + b), **options)
    (first,) = local.runs(tmp_path)
    browser = client()

    text = browser.get("/new", params={"run": first.id}).text
    assert re.findall(r'type="number"[^>]*value="(\d+)"', text) == ["5", "6"]
    fields = {"run": first.id, "input:a": "5", "input:b": "7", "input:settings": '{"scale": 2}'}
    answer = browser.post("/new", data=form(**fields), follow_redirects=False)
    run = wait_for_end(answer.headers["location"].removeprefix("/runs/"), tmp_path)
    assert run.id != first.id
    assert run.pipeline == first.pipeline
    assert dict(run.outputs) == {"Output": 12}
    assert run.inputs["settings"] == {"scale": 2}


def test_a_run_that_cannot_start_says_why_and_keeps_the_values(client: Client, tmp_path: Path) -> None:
    (tmp_path / RUN_STORE_FILE).write_text("damaged " * 1000)
    page = client().post("/new", data=form(**{"file": "sum.yaml", "input:a": "77"}), follow_redirects=False)
    assert page.status_code == 422
    assert "The run could not be started." in page.text
    assert "is damaged" in page.text
    assert 'value="77"' in page.text


def test_secrets_are_asked_for_again(client: Client, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("UI_NEW_TOKEN", "hunter2-hunter2")
    local.run(
        ui_new_token,
        {"token": "hunter2-hunter2"},
        runner=FakeRunner(ui_new_fail=lambda text: text),
        pipeline_root=tmp_path,
        quiet=True,
        secret_env=["UI_NEW_TOKEN"],
    )
    (run,) = local.runs(tmp_path)
    browser = client()

    text = browser.get("/new", params={"run": run.id}).text
    assert "held a secret" in text
    assert "***" not in text
    answer = browser.post("/new", data=form(**{"run": run.id, "input:token": "", "input:note": "none"}))
    assert answer.status_code == 422
    assert len(local.runs(tmp_path)) == 1
