"""The page Compare, of runs with real tasks and of recorded ones."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Callable
from contextlib import closing
from html.parser import HTMLParser
from pathlib import Path

import pytest
from starlette.testclient import TestClient

from standpipe import dsl, history, local
from standpipe.dsl import HTML, ClassificationMetrics, Markdown, Metrics, Output
from standpipe.local import FakeRunner, SubprocessRunner
from standpipe.ui.rendering import link

Client = Callable[[], TestClient]


@dsl.component
def compare_evaluate(
    rate: float, metrics: Output[Metrics], curves: Output[ClassificationMetrics], report: Output[Markdown]
) -> float:
    metrics.log_metric("accuracy", rate)
    metrics.log_metric("log_loss", rate)
    curves.log_confusion_matrix(["cat", "<dog>"], [[int(10 * rate), 1], [2, 3]])
    curves.log_roc_curve([0.0, 0.5, 1.0], [0.0, rate, 1.0], [1.0, 0.5, 0.0])
    with open(report.path, "w") as file:
        file.write(f"# Rate {rate}\n\n<script>alert(1)</script>\n\n![pixel](http://example.com/pixel.png)\n")
    return rate


@dsl.component
def compare_draw(page: Output[HTML]) -> None:
    with open(page.path, "w") as file:
        file.write("<h1>hello</h1>")


@dsl.pipeline
def compare_training(rate: float = 0.5, name: str = "<b>base</b>", seed: int = 1) -> float:
    compare_draw()
    return compare_evaluate(rate=rate).outputs["Output"]


@dsl.component
def compare_leaf(x: int) -> int:
    return x


@dsl.pipeline
def compare_small(x: int = 1) -> None:
    compare_leaf(x=x)


@pytest.fixture
def runs(tmp_path: Path) -> list[str]:
    """Return the ids of two runs with metrics, matrices, curves and documents."""
    for rate in (0.5, 0.75):
        local.run(
            compare_training,
            {"rate": rate},
            runner=SubprocessRunner(use_venv=False),
            pipeline_root=tmp_path,
            quiet=True,
        )
    return [run.id for run in reversed(history.runs(tmp_path))]


def small(root: Path, x: int = 1) -> str:
    runner = FakeRunner(compare_leaf=lambda x: {"Output": x})
    local.run(compare_small, {"x": x}, runner=runner, pipeline_root=root, quiet=True)
    return history.runs(root)[0].id


def get(client: Client, *runs: str, **query: object) -> str:
    response = client().get(link("compare", run=runs, **query))
    assert response.status_code == 200
    return response.text


def section(page: str, name: str) -> str:
    """Return the section of the page with that id."""
    return page.partition(f'<section id="{name}"')[2].partition('<section id="')[0]


def test_parameters_metrics_and_outputs_are_side_by_side(client: Client, runs: list[str]) -> None:
    page = get(client, *runs)
    parameters = section(page, "parameters")
    assert "&lt;b&gt;base&lt;/b&gt;" in parameters
    assert "<b>base</b>" not in page
    assert parameters.count('class="differs"') == 1
    metrics = section(page, "metrics")
    assert metrics.count(">best<") == 2
    rows = re.findall(r'row-name">(\w+)<.*?<td(.*?)>.*?<td(.*?)>', metrics, re.DOTALL)
    assert rows == [("accuracy", "", ' class="best"'), ("log_loss", ' class="best"', "")]
    assert "+0.25" in metrics
    assert "0.75" in section(page, "outputs")


def test_only_differences_leaves_out_equal_rows(client: Client, runs: list[str]) -> None:
    page = get(client, *runs, only="differences")
    assert "seed" not in section(page, "parameters")
    assert "2 equal rows are not shown" in page


def test_matrices_curves_and_documents_are_side_by_side(client: Client, runs: list[str]) -> None:
    page = get(client, *runs)
    assert section(page, "matrices").count("<svg") == 2
    assert "&lt;dog&gt;" in section(page, "matrices")
    assert section(page, "curves").count("<svg") == 1
    markdown = section(page, "markdown")
    assert ">Rate 0.5</h" in markdown
    assert ">Rate 0.75</h" in markdown
    assert "<script>alert" not in page
    assert "<img" not in page
    html = section(page, "html")
    assert html.count("<iframe") == html.count(' sandbox="" referrerpolicy=') == 2
    assert html.count(' src="/runs/') == 2


def test_what_changed_is_told_from_the_first_run_to_the_others(client: Client, runs: list[str]) -> None:
    page = get(client, *runs)
    changes = section(page, "changes")
    assert "Differences in parameters (1)" in changes
    assert "compare-evaluate</a>: its input differs: rate" in changes


def test_the_runs_of_the_list_are_compared_with_the_oldest_one(client: Client, tmp_path: Path) -> None:
    first, second, third = (small(tmp_path, x) for x in range(3))
    response = client().get(link("compare", run=[third, first, second], order="start"), follow_redirects=False)

    assert response.status_code == 303
    assert response.headers["location"] == link("compare", run=[first, second, third])


def test_fewer_than_two_runs_lead_to_a_choice(client: Client, tmp_path: Path) -> None:
    first = small(tmp_path)
    assert "Choose two runs or more" in get(client)
    assert f'<option value="{first}">' in get(client)
    assert f'<input type="hidden" name="run" value="{first}">' in get(client, first)


def test_a_run_that_is_not_there_is_said_and_the_others_are_compared(client: Client, tmp_path: Path) -> None:
    page = get(client, small(tmp_path), "no-such-run", small(tmp_path, 2), small(tmp_path, 3))
    assert "There is no run &#39;no-such-run&#39;" in page
    assert "Compare 3 runs" in page


def test_a_run_is_not_compared_with_itself(client: Client, tmp_path: Path) -> None:
    run = small(tmp_path)
    assert "Choose two runs or more" in get(client, run, run, "latest")


def test_at_most_ten_runs_are_compared(client: Client, tmp_path: Path) -> None:
    runs = [small(tmp_path, x) for x in range(12)]
    page = get(client, *runs)
    assert "Compare 10 runs" in page
    assert "At most 10 runs are compared: 2 are left out." in page


def test_runs_of_different_pipelines_are_compared_and_said(client: Client, runs: list[str], tmp_path: Path) -> None:
    page = get(client, runs[0], small(tmp_path))
    assert "different pipelines, compare-training and compare-small" in page
    assert "not in this run" in page


class _Attributes(HTMLParser):
    """Collects the names of attributes."""

    def __init__(self) -> None:
        super().__init__()
        self.names: set[str] = set()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.names |= {name for name, _ in attrs}


def test_there_is_no_inline_style_or_script(client: Client, runs: list[str]) -> None:
    parser = _Attributes()
    parser.feed(get(client, *runs))
    assert not {name for name in parser.names if name == "style" or name.startswith("on")}


def test_a_run_in_progress_is_compared_and_said(client: Client, tmp_path: Path) -> None:
    first = small(tmp_path)
    pages: list[str] = []

    def leaf(x: int) -> object:
        pages.append(get(client, first, "latest"))
        return {"Output": x}

    local.run(compare_small, {"x": 5}, runner=FakeRunner(compare_leaf=leaf), pipeline_root=tmp_path, quiet=True)
    assert "is in progress: it may still change." in pages[0]


def test_a_run_without_its_pipeline_is_compared_and_said(client: Client, tmp_path: Path) -> None:
    runs = [small(tmp_path, 1), small(tmp_path, 2)]
    with closing(sqlite3.connect(tmp_path / "runs.sqlite")) as db, db:
        db.execute("UPDATE runs SET plan = ''")
    assert "was recorded without its pipeline" in get(client, *runs)
