"""Reports in a real browser, opened from disk."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from standpipe import dsl, history, local
from standpipe.dsl import HTML, ClassificationMetrics, Markdown, Metrics, Output
from standpipe.history import Run
from standpipe.local import SubprocessRunner
from standpipe.ui.report import make_html
from tests.chromium import browser

pytestmark = pytest.mark.slow
__all__ = ["browser"]  # a fixture

HOSTILE = """
<script>document.title = "changed"; fetch("http://127.0.0.1:9/script")</script>
<img src="http://127.0.0.1:9/image.png" onerror="parent.document.title = 'changed'">
<iframe src="http://127.0.0.1:9/frame"></iframe><link rel="stylesheet" href="http://127.0.0.1:9/style.css">
<meta http-equiv="refresh" content="0; url=http://127.0.0.1:9/refresh">
<style>@import "http://127.0.0.1:9/import.css"; body { background: url(http://127.0.0.1:9/background.png) }</style>
<form action="http://127.0.0.1:9/form"><input autofocus onfocus="this.form.submit()"></form>
<h1>the page</h1>
"""


@dsl.component
def browser_evaluate(
    page_text: str,
    metrics: Output[Metrics],
    curves: Output[ClassificationMetrics],
    text: Output[Markdown],
    page: Output[HTML],
) -> None:
    metrics.log_metric("accuracy", 0.9)
    curves.log_confusion_matrix(["cat", "dog"], [[5, 1], [2, 3]])
    curves.log_roc_curve([0.0, 0.5, 1.0], [0.0, 0.9, 1.0], [1.0, 0.5, 0.0])
    for artifact in (text, page):
        with open(artifact.path, "w") as file:
            file.write(page_text)
    print("printed", page_text)


@dsl.component
def browser_fail(page_text: str) -> None:
    raise ValueError(page_text)


@dsl.component
def browser_leaf(x: int) -> int:
    return x


@dsl.pipeline
def browser_pipeline(page_text: str) -> None:
    with dsl.ParallelFor([1, 2, 3]) as item:
        browser_leaf(x=item)
    browser_evaluate(page_text=page_text).set_display_name("<b>evaluate</b>")
    browser_fail(page_text=page_text)


@pytest.fixture
def run(tmp_path: Path) -> Run:
    local.run(
        browser_pipeline,
        {"page_text": HOSTILE},
        runner=SubprocessRunner(use_venv=False),
        pipeline_root=tmp_path / "root",
        quiet=True,
        raise_on_error=False,
    )
    return history.get_run(tmp_path / "root", "latest")


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 700])
def test_a_report_opens_from_disk_without_an_error_and_asks_for_nothing(
    browser: Any, run: Run, tmp_path: Path, theme: str, width: int
) -> None:
    file = tmp_path / "run.html"
    local.write_report(run, file)
    page = browser.new_page(viewport={"width": width, "height": 900}, color_scheme=theme)
    messages, requests = [], []
    page.on("console", lambda message: messages.append(message.text))
    page.on("pageerror", lambda error: messages.append(str(error)))
    page.on("request", lambda request: requests.append(request.url))
    page.goto(file.as_uri())
    for details in page.locator("details").all():
        details.evaluate("element => element.open = true")
    page.set_default_timeout(5000)
    page.locator("#documents").scroll_into_view_if_needed()
    page.wait_for_timeout(500)

    assert messages == []
    assert [url for url in requests if url != file.as_uri()] == []
    assert page.title() == f"{run.id} · Standpipe"
    assert page.frame_locator("iframe").locator("h1").inner_text() == "the page"
    assert "the page" in page.locator("#documents .markdown").inner_text()
    assert page.locator("#graph svg text", has_text="<b>evaluate</b>").count() == 1
    assert page.locator("#metrics svg").count() == 2
    assert "raise ValueError(page_text)" in page.locator("#failures").inner_text()
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    page.close()


def test_a_report_is_small(run: Run) -> None:
    assert len(make_html(run).encode()) < 200_000
