"""Reports of runs as files: HTML that needs nothing else, JUnit XML, and Markdown."""

from __future__ import annotations

import os
import re
import shutil
import sqlite3
import stat
from collections.abc import Callable
from contextlib import closing
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import pytest

from standpipe import dsl, history, local
from standpipe.dsl import HTML, ClassificationMetrics, Dataset, Input, Markdown, Metrics, Output
from standpipe.errors import ArgumentError, StandpipeError, StorageError
from standpipe.history import Run
from standpipe.local import FakeRunner, SubprocessRunner
from standpipe.model.attempts import Outcome
from standpipe.ui.report import HTML_REPORT, JUNIT, MARKDOWN, make_html, write_report
from standpipe.ui.views.junit import make_junit
from standpipe.ui.views.summary import escape, make_summary

HOSTILE = "</script></style><img src=x onerror=alert(1)> \x00\x1b[31m\ud800 `|` ]]> \u202e & \"quotes\" 'single'"


@dsl.component
def report_evaluate(
    rate: float,
    metrics: Output[Metrics],
    curves: Output[ClassificationMetrics],
    text: Output[Markdown],
    page: Output[HTML],
    data: Output[Dataset],
) -> float:
    metrics.log_metric("accuracy", rate)
    curves.log_confusion_matrix(["cat", "<dog>"], [[5, 1], [2, 3]])
    curves.log_roc_curve([0.0, 0.5, 1.0], [0.0, rate, 1.0], [1.0, 0.5, 0.0])
    with open(text.path, "w") as file:
        file.write(
            "# Title\n\n<script>alert(1)</script>\n\n![pixel](http://example.com/p.png) [link](http://example.com)"
        )
    with open(page.path, "w") as file:
        file.write('<h1>page</h1><script src="http://example.com/a.js"></script><img src="http://example.com/b.png">')
    with open(data.path, "w") as file:
        file.write("x,y\n1,2\n")
    data.metadata["rows"] = 1
    print("evaluated <b>now</b>")
    return rate


@dsl.component
def report_fail(data: Input[Dataset]) -> None:
    print("about to fail")
    raise ValueError('</script></style><img src=x onerror=alert(1)> \x00\x1b[31m `|` ]]> & "quotes"')


@dsl.component
def report_never(x: int) -> None: ...


@dsl.component
def report_leaf(x: int) -> int:
    return x


@dsl.pipeline
def report_training(rate: float = 0.5, name: str = "base") -> float:
    evaluated = report_evaluate(rate=rate)
    report_fail(data=evaluated.outputs["data"]).set_display_name("fails <b>")
    with dsl.If(rate == 7.0):
        report_never(x=1)
    return evaluated.outputs["Output"]


@dsl.pipeline
def report_loop(items: list[int]) -> None:
    with dsl.ParallelFor(items) as item:
        report_leaf(x=item)


@pytest.fixture
def failed(tmp_path: Path) -> Run:
    """Return a run with metrics, documents, a failed task and a skipped one; its name is hostile."""
    local.run(
        report_training,
        {"name": HOSTILE.replace("\ud800", "")},
        runner=SubprocessRunner(use_venv=False),
        pipeline_root=tmp_path,
        quiet=True,
        raise_on_error=False,
    )
    return history.get_run(tmp_path, "latest")


def loop(root: Path, items: list[int], leaf: Callable[..., Any]) -> Run:
    local.run(
        report_loop,
        {"items": items},
        runner=FakeRunner(report_leaf=leaf),
        pipeline_root=root,
        quiet=True,
        raise_on_error=False,
    )
    return history.get_run(root, "latest")


class _Page(HTMLParser):
    """Collects elements, and the text of those that are shown."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.text += data

    def of(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.elements if name == tag]


# --- HTML -------------------------------------------------------------------------------------------------------------


def test_nothing_in_a_report_leads_out_of_it(failed: Run) -> None:
    html = make_html(failed)
    page = _Page(html)
    assert not page.of("script")
    assert not page.of("img")
    assert [each for each in page.of("link") if each["href"] != "data:,"] == []
    for tag, attributes in page.elements:
        for name, value in attributes.items():
            assert not name.startswith("on"), (tag, name)
            if name in ("src", "href", "action", "data", "poster") and tag != "a":
                assert value in ("data:,",), (tag, name, value)
    assert "@import" not in html
    assert "url(" not in html
    (policy,) = (each["content"] for each in page.of("meta") if each.get("http-equiv"))
    assert policy == "default-src 'none'; style-src 'unsafe-inline'; img-src data:"


def test_a_report_shows_what_the_run_is_made_of(failed: Run) -> None:
    html = make_html(failed)
    page = _Page(html)
    for text in ("report-evaluate", "report-fail", "accuracy", "0.5", "evaluated <b>now</b>", "rows", "fails <b>"):
        assert text in page.text, text
    assert "raise ValueError" in page.text
    assert "standpipe/worker" not in html
    assert "<h3>Title</h3>" in html
    ids = [attributes["id"] for tag, attributes in page.elements if tag == "section"]
    assert ids[:3] == ["failures", "graph", "timeline"]
    assert {"tasks", "parameters", "metrics", "documents", "artifacts", "logs", "details"} <= set(ids)
    assert html.count("<svg") > 3
    (frame,) = page.of("iframe")
    assert "sandbox" in frame
    assert not frame["sandbox"]
    assert frame["srcdoc"] == "<h1>page</h1><img>"


def test_failed_tasks_come_first_among_the_logs(failed: Run) -> None:
    logs = _Page(make_html(failed).partition('<section id="logs"')[2])
    assert logs.text.index("report-fail") < logs.text.index("report-evaluate")


def test_markup_of_tasks_is_text(failed: Run) -> None:
    html = make_html(failed)
    assert "<img src=x" not in html.replace("&#", "")
    assert "\x1b" not in html


def test_a_long_loop_is_folded(tmp_path: Path) -> None:
    run = loop(tmp_path, list(range(300)), lambda x: {"Output": x})
    html = make_html(run)
    assert "300 more succeeded" in html
    assert len(html) < 200_000


def test_a_run_without_its_pipeline_or_its_files_has_a_report(failed: Run, tmp_path: Path) -> None:
    for artifact in failed.artifacts:
        if artifact.path and artifact.path.exists():
            artifact.path.unlink()
    for task in failed.all_tasks():
        for attempt in task.attempts:
            attempt.log.unlink()
    html = make_html(failed)
    assert "it was removed after the task ended" in html
    assert "The log was removed" in html


def test_links_in_place_of_logs_and_documents_are_not_followed(failed: Run, tmp_path: Path) -> None:
    secret = tmp_path.parent / f"{tmp_path.name}-secret.txt"
    secret.write_text("the secret")
    for artifact in failed.artifacts:
        if artifact.path and artifact.name in ("text", "page"):
            artifact.path.unlink()
            artifact.path.symlink_to(secret)
    for task in failed.all_tasks():
        for attempt in task.attempts:
            attempt.log.unlink()
            attempt.log.symlink_to(secret)
    for text in (make_html(failed), make_junit(failed), make_summary(failed)):
        assert "the secret" not in text


#: The elements of `junit-10.xsd` that a file uses, with their children and attributes; those of CI systems are alike.
JUNIT_SCHEMA = {
    "testsuites": ({"testsuite"}, {"name", "time", "tests", "failures", "errors"}),
    "testsuite": (
        {"properties", "testcase"},
        {"name", "tests", "failures", "errors", "skipped", "time", "timestamp"},
    ),
    "properties": ({"property"}, set()),
    "property": (set(), {"name", "value"}),
    "testcase": ({"skipped", "error", "failure", "system-out"}, {"name", "classname", "time"}),
    "skipped": (set(), {"message"}),
    "error": (set(), {"message", "type"}),
    "failure": (set(), {"message", "type"}),
    "system-out": (set(), set()),
}


def check_junit(text: str) -> ET.Element:
    """Return the root of a file that follows the schema."""
    root = ET.fromstring(text)  # control characters would not parse
    for element in root.iter():
        children, attributes = JUNIT_SCHEMA[element.tag]
        assert {child.tag for child in element} <= children
        assert set(element.attrib) <= attributes
        if element.tag in ("testsuite", "testcase"):
            assert re.fullmatch(r"\d+\.\d{3}", element.get("time", ""))
    return root


# --- JUnit ------------------------------------------------------------------------------------------------------------


def test_a_junit_file_has_a_test_for_each_task(failed: Run) -> None:
    (suite,) = check_junit(make_junit(failed))
    assert (suite.get("tests"), suite.get("failures"), suite.get("errors"), suite.get("skipped")) == (
        "3",
        "1",
        "0",
        "1",
    )
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d", suite.get("timestamp") or "")
    assert next(child.tag for child in suite) == "properties"
    cases = {case.get("name"): case for case in suite.iter("testcase")}
    assert cases["report-evaluate"].get("classname") == "report-training"
    assert "evaluated <b>now</b>" in (cases["report-evaluate"].findtext("system-out") or "")
    failure = cases["report-fail"].find("failure")
    assert failure is not None
    assert failure.get("type") == "ValueError"
    assert (failure.get("message") or "").startswith("ValueError: </script>")
    assert "raise ValueError" in (failure.text or "")
    skipped = cases["report-never"].find("skipped") if "report-never" in cases else cases["condition-1"].find("skipped")
    assert skipped is not None
    assert "condition" in (skipped.get("message") or "")


def test_iterations_are_tests_with_their_numbers(tmp_path: Path) -> None:
    run = loop(tmp_path, [1, 7], lambda x: {"Output": x} if x < 5 else Outcome(exit_code=3))
    (suite,) = check_junit(make_junit(run))
    names = {
        (case.get("classname"), case.get("name")): [child.tag for child in case] for case in suite.iter("testcase")
    }
    assert names == {
        ("report-loop.for-loop-1.0", "report-leaf"): [],
        ("report-loop.for-loop-1.1", "report-leaf"): ["failure"],
    }


# --- Markdown ---------------------------------------------------------------------------------------------------------


def test_a_summary_has_state_tasks_metrics_and_failures(failed: Run) -> None:
    text = make_summary(failed)
    assert "## ❌ report-training failed in " in text
    assert "| report-evaluate | accuracy | 0.5 |" in text
    assert "| report-evaluate | ✅ Succeeded | " in text
    assert "<details><summary>❌ report-fail: ValueError: &lt;/script&gt;" in text
    assert "raise ValueError" in text
    assert "<img" not in re.sub(r"```text\n.*?```", "", text, flags=re.DOTALL)
    assert "\x1b" not in text


def test_a_fence_is_longer_than_any_in_the_text(tmp_path: Path) -> None:
    run = loop(tmp_path, [1], lambda x: Outcome(exit_code=1, detail="````\n<b>out</b>\n````", cause="x"))
    assert "`````text\n````\n<b>out</b>\n````\n" in make_summary(run)


def test_what_does_not_fit_into_a_summary_is_left_out(tmp_path: Path) -> None:
    run = loop(tmp_path, list(range(150)), lambda x: Outcome(exit_code=1, detail="é" * 3000, cause="x"))
    for size in (2_000, 100_000):
        text = make_summary(run, max_size=size)
        assert len(text.encode()) <= size
        assert text.endswith("shows all of it._\n")
        assert text.count("<details>") == text.count("</details>")
    assert "and 50 more failures" in make_summary(run)


@pytest.mark.parametrize("text", ["a|b", "<b>", "`x`", "[l](http://x)", "*a*", "_a_", "#1", "@me", "a\nb", "\\|"])
def test_text_in_a_summary_is_no_markup(text: str) -> None:
    from markdown_it import MarkdownIt

    row = f"| head |\n| --- |\n| {escape(text)} |\n"
    html = MarkdownIt("commonmark", {"html": True}).enable("table").render(row)
    page = _Page(html)
    assert [tag for tag, _ in page.elements] == ["table", "thead", "tr", "th", "tbody", "tr", "td"]
    assert " ".join(text.split()) in page.text


# --- files ------------------------------------------------------------------------------------------------------------


def test_an_earlier_report_is_replaced_and_nothing_else(tmp_path: Path) -> None:
    run = loop(tmp_path, [1], lambda x: {"Output": x})
    for kind in (HTML_REPORT, JUNIT, MARKDOWN):
        target = tmp_path / f"file-{kind.name.replace(' ', '-')}"
        size = write_report(kind, run, target)
        assert target.stat().st_size == size == write_report(kind, run, target)
        target.write_text("my notes")
        with pytest.raises(StorageError, match="exists, and is not an earlier"):
            write_report(kind, run, target)
        assert target.read_text() == "my notes"
        assert write_report(kind, run, target, force=True) == target.stat().st_size


def test_a_report_has_the_permissions_of_other_files_and_of_the_one_before(tmp_path: Path) -> None:
    run = loop(tmp_path, [1], lambda x: {"Output": x})
    plain, target = tmp_path / "plain", tmp_path / "run.html"
    plain.touch()
    write_report(HTML_REPORT, run, target)
    assert stat.S_IMODE(target.stat().st_mode) == stat.S_IMODE(plain.stat().st_mode)
    target.chmod(0o600)
    write_report(HTML_REPORT, run, target)
    assert stat.S_IMODE(target.stat().st_mode) == 0o600


def test_a_link_stays_a_link_and_a_device_stays_a_device(tmp_path: Path) -> None:
    run = loop(tmp_path, [1], lambda x: {"Output": x})
    target, other = tmp_path / "link.html", tmp_path / "other.html"
    target.symlink_to(other)
    write_report(HTML_REPORT, run, target)
    assert target.is_symlink()
    assert other.is_file()
    write_report(HTML_REPORT, run, os.devnull)
    assert not Path(os.devnull).is_file()


def test_a_folder_and_a_missing_folder_are_said(tmp_path: Path) -> None:
    run = loop(tmp_path, [1], lambda x: {"Output": x})
    with pytest.raises(StorageError, match="it is a folder"):
        write_report(HTML_REPORT, run, tmp_path)
    with pytest.raises(StorageError, match="there is no folder"):
        write_report(HTML_REPORT, run, tmp_path / "no" / "run.html")


def test_nothing_half_written_stays_if_the_disk_is_full(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = loop(tmp_path, [1], lambda x: {"Output": x})
    folder = tmp_path / "reports"
    folder.mkdir()
    write_report(HTML_REPORT, run, folder / "run.html")
    before = (folder / "run.html").read_bytes()

    def full(self: Path, target: Path) -> Path:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "replace", full)
    with pytest.raises(StorageError, match="No space left on device"):
        write_report(HTML_REPORT, run, folder / "run.html")
    assert [path.name for path in folder.iterdir()] == ["run.html"]
    assert (folder / "run.html").read_bytes() == before


# --- the graph --------------------------------------------------------------------------------------------------------


@dsl.pipeline
def report_inner(x: int) -> int:
    return report_leaf(x=x).output


@dsl.pipeline
def report_nested(x: int = 1) -> None:
    first = report_inner(x=x)
    with dsl.If(first.output == 1):
        report_leaf(x=2)
    with dsl.If(first.output == 2):
        report_leaf(x=3)
    with dsl.ParallelFor([1, 7, 3]) as item:
        report_leaf(x=item)


def test_layers_are_drawn_that_the_run_has_reached_of_a_loop_the_iteration_that_failed(tmp_path: Path) -> None:
    local.run(
        report_nested,
        runner=FakeRunner(report_leaf=lambda x: {"Output": x} if x < 5 else Outcome(exit_code=1)),
        pipeline_root=tmp_path,
        quiet=True,
        raise_on_error=False,
    )
    html = make_html(history.get_run(tmp_path, "latest"))
    titles = re.findall(r'aria-label="Graph of (.*?)"', html)
    names = [title for title in titles if ":" not in title]
    assert names[0] == "report-nested"
    assert {name.removeprefix("report-nested / ") for name in names[1:]} == {
        "report-inner",
        "condition-1",
        "for-loop-4 / 1",
    }


# --- from Python ------------------------------------------------------------------------------------------------------


def test_python_writes_the_same_files(tmp_path: Path) -> None:
    run = loop(tmp_path, [1], lambda x: {"Output": x})
    html, junit, markdown = (tmp_path / name for name in ("run.html", "run.xml", "run.md"))
    local.write_report(run, html, junit=junit, markdown=markdown)
    assert all(file.stat().st_size for file in (html, junit, markdown))
    local.write_report(run.id, html, pipeline_root=tmp_path)
    markdown.write_text("my notes")
    html.unlink()
    with pytest.raises(StorageError, match="force=True"):
        local.write_report(run, html, markdown=markdown)
    assert not html.exists()
    local.write_report(run, markdown=markdown, force=True)
    with pytest.raises(ArgumentError, match="Nothing to write"):
        local.write_report(run)


# --- runs in any state ------------------------------------------------------------------------------------------------


def test_a_run_that_was_recorded_without_its_pipeline_has_a_report(tmp_path: Path) -> None:
    run = loop(tmp_path, [1, 2], lambda x: {"Output": x})
    with closing(sqlite3.connect(tmp_path / "runs.sqlite")) as db, db:
        db.execute("UPDATE runs SET plan = ''")
    assert "Graph of report-loop" in make_html(history.get_run(tmp_path, run.id))


def test_a_run_in_progress_has_a_report_that_says_so(tmp_path: Path) -> None:
    reports: list[tuple[str, str, str]] = []

    def leaf(x: int) -> object:
        run = history.get_run(tmp_path, "latest")
        reports.append((make_html(run), make_junit(run), make_summary(run)))
        return {"Output": x}

    loop(tmp_path, [1], leaf)
    ((html, junit, markdown),) = reports
    assert "the run was in progress" in html
    (suite,) = check_junit(junit)
    assert suite.get("skipped") == "1"
    assert "## 🔄 report-loop running" in markdown


def test_a_run_that_was_deleted_meanwhile_is_said(tmp_path: Path) -> None:
    run = loop(tmp_path, [1], lambda x: {"Output": x})
    (tmp_path / "runs.sqlite").unlink()
    target = tmp_path / "run.html"
    with pytest.raises(StandpipeError):
        write_report(HTML_REPORT, run, target)
    assert not target.exists()


@pytest.mark.parametrize("number", range(8))
def test_runs_of_an_early_version_have_reports(tmp_path: Path, number: int) -> None:
    root = tmp_path / "root"
    shutil.copytree(Path(__file__).parents[1] / "store" / "data" / "schema_2" / "root", root)
    run = history.runs(root)[number]
    assert run.id in make_html(run)
    check_junit(make_junit(run))
    assert run.pipeline in make_summary(run).replace("\\", "")
