"""The page of all runs."""

from __future__ import annotations

import re
import shutil
import time
from collections.abc import Callable
from html import unescape
from pathlib import Path
from typing import Any

from starlette.testclient import TestClient

from standpipe import dsl, local
from standpipe.local import FakeRunner
from standpipe.store.locks import RunLock
from tests.ui.conftest import ACCESS

Client = Callable[[], TestClient]
ORIGIN = "http://127.0.0.1:7717"


@dsl.component
def ui_list_train(rate: float, metrics: dsl.Output[dsl.Metrics]) -> float:
    metrics.log_metric("accuracy", rate)
    return rate


@dsl.component
def ui_list_check(x: float) -> None: ...


@dsl.pipeline
def ui_list_training(rate: float = 0.5) -> float:
    trained = ui_list_train(rate=rate)
    with dsl.If(trained.outputs["Output"] > 0.5):
        ui_list_check(x=trained.outputs["Output"])
    return trained.outputs["Output"]


@dsl.pipeline(name="ui-list-other")
def ui_list_other() -> None:
    ui_list_check(x=1.0)


def train(rate: float, metrics: Any) -> float:
    if rate < 0:
        raise ValueError("boom")
    metrics.log_metric("accuracy", rate)
    metrics.log_metric('<i>"loss"</i>', 1 - rate)
    return rate


def make_runs(root: Path) -> None:
    options: dict[str, Any] = {"pipeline_root": root, "quiet": True, "raise_on_error": False, "enable_caching": True}
    runner = FakeRunner(ui_list_train=train, ui_list_check=lambda x: None)
    for rate in (0.25, -1.0, 0.75, 0.75):
        local.run(ui_list_training, {"rate": rate}, runner=runner, **options)
    local.run(ui_list_other, runner=FakeRunner(ui_list_check=lambda x: None), **options)


def rows(text: str) -> list[str]:
    """Return the text of each row, without markup."""
    bodies = re.findall(r"<tr id=\"run-.*?</tr>", text, re.DOTALL)
    return [" ".join(unescape(re.sub(r"<[^>]*>", " ", body)).split()) for body in bodies]


def test_a_root_without_runs_says_what_to_do(client: Client) -> None:
    page = client().get("/")

    assert page.status_code == 200
    assert "No runs yet" in page.text
    assert "standpipe run pipeline.py" in page.text


def test_the_list_shows_counts_and_metrics(client: Client, tmp_path: Path) -> None:
    make_runs(tmp_path)
    found = rows(client().get("/", params={"metric": ["accuracy", '<i>"loss"</i>']}).text)

    assert len(found) == 5
    other, _, best, failed, first = found
    assert "ui-list-other" in other
    assert "1 succeeded" in other
    assert "2 succeeded" in best
    assert best.split()[-2:] == ["0.75", "0.25"]
    assert "Failed" in failed
    assert "1 failed" in failed
    assert "1 succeeded 1 skipped" in first


def test_names_are_data(client: Client, tmp_path: Path) -> None:
    make_runs(tmp_path)
    markup = '<i>"loss"</i>'
    text = client().get("/", params={"metric": markup, "q": markup, "pipeline": markup, "sort": markup}).text

    assert "<i>" not in text
    assert "No run matches" in text
    assert "&lt;i&gt;&#34;loss&#34;&lt;/i&gt;" in text


def test_filter_and_sort(client: Client, tmp_path: Path) -> None:
    make_runs(tmp_path)
    browser = client()

    assert len(rows(browser.get("/", params={"status": "FAILED"}).text)) == 1
    assert len(rows(browser.get("/", params={"q": "UI-list-train"}).text)) == 4
    assert len(rows(browser.get("/", params={"pipeline": "ui-list-other"}).text)) == 1
    by_metric = browser.get("/", params={"sort": "-metric:accuracy", "metric": "accuracy"}).text
    assert [row.split()[-1] for row in rows(by_metric)][:3] == ["0.75", "0.75", "0.25"]
    assert by_metric.count('aria-sort="descending"') == 1


def test_actions_fit_the_state_of_the_run(client: Client, tmp_path: Path) -> None:
    make_runs(tmp_path)
    text = client().get("/").text

    assert len(re.findall(r'action="/runs/[^"]*/resume"', text)) == 1
    assert not re.findall(r'action="/runs/[^"]*/stop"', text)
    assert len(re.findall(r'href="/runs/[^"]*/delete"', text)) == 5
    assert text.count('name="run" value=') == 5
    forms = re.findall(r"<form[^>]*method=\"post\".*?</form>", text, re.DOTALL)
    assert all('name="csrf"' in form for form in forms)


def test_pages_of_runs(client: Client, tmp_path: Path) -> None:
    options: dict[str, Any] = {"pipeline_root": tmp_path, "quiet": True}
    for _ in range(51):
        local.run(ui_list_other, runner=FakeRunner(ui_list_check=lambda x: None), **options)
    browser = client()

    first = browser.get("/").text
    assert len(rows(first)) == 50
    assert re.search("1.50 of 51", first)
    assert len(rows(browser.get("/", params={"page": 2}).text)) == 1


def test_selected_runs_are_resumed_and_those_that_cannot_be_are_named(client: Client, tmp_path: Path) -> None:
    make_runs(tmp_path)
    (failed,) = (run for run in local.runs(tmp_path) if run.status.value == "FAILED")
    (other, *_) = local.runs(tmp_path)
    shutil.rmtree(other.folder)
    form: dict[str, Any] = {"csrf": ACCESS.csrf, "run": [failed.id, other.id]}

    refused = client().post("/resume", data=form)
    assert refused.status_code == 409
    assert "1 of 2 runs could not be resumed" in refused.text
    assert "is missing" in refused.text
    assert wait_for_resume(failed.id, tmp_path) == 1


def test_the_list_keeps_its_filters_after_an_action(client: Client, tmp_path: Path) -> None:
    make_runs(tmp_path)
    form: dict[str, Any] = {"csrf": ACCESS.csrf, "run": [run.id for run in local.runs(tmp_path)[:2]]}
    for referrer, address in (("/?q=a%20b", "/?q=a%20b"), ("/new?q=a", "/"), ("/", "/")):
        with RunLock(local.runs(tmp_path)[0].folder):
            headers = {"Referer": f"{ORIGIN}{referrer}"}
            answer = client().post("/stop", data=form, headers=headers, follow_redirects=False)
        assert (answer.status_code, answer.headers["location"]) == (303, address)


def wait_for_resume(run: str, root: Path) -> int:
    for _ in range(300):
        record = local.get_run(run, root)
        if record.ended and record.resume_count:
            return record.resume_count
        time.sleep(0.1)
    return 0


def test_no_more_runs_are_resumed_at_once_than_a_machine_takes(client: Client, tmp_path: Path) -> None:
    make_runs(tmp_path)
    for _ in range(6):
        local.run(ui_list_other, runner=FakeRunner(ui_list_check=lambda x: None), pipeline_root=tmp_path, quiet=True)
    form: dict[str, Any] = {"csrf": ACCESS.csrf, "run": [run.id for run in local.runs(tmp_path)]}
    assert "expected at most 10" in client().post("/resume", data=form).text
