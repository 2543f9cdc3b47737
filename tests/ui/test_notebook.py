"""What notebooks show of runs, tasks and artifacts, and of a run in progress."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Mapping
from html.parser import HTMLParser
from itertools import pairwise
from pathlib import Path

import pytest

from standpipe import dsl, history, local
from standpipe.dsl import ClassificationMetrics, Dataset, Metrics, Output
from standpipe.history import Run
from standpipe.local import FakeRunner, SubprocessRunner
from standpipe.model import events as e
from standpipe.model.attempts import Outcome
from standpipe.model.refs import RunInfo, TaskRef
from standpipe.model.states import TaskState
from standpipe.support import notebooks
from standpipe.ui import notebook
from standpipe.ui.notebook_progress import NotebookProgress


@dsl.component
def notebook_train(rate: float, metrics: Output[Metrics], curves: Output[ClassificationMetrics]) -> float:
    metrics.log_metric("accuracy", rate)
    curves.log_confusion_matrix(["cat", "<dog>"], [[5, 1], [2, 3]])
    return rate


@dsl.component
def notebook_leaf(x: int, data: Output[Dataset]) -> int:
    return x


@dsl.pipeline
def notebook_training(rate: float = 0.5, name: str = "<script>alert(1)</script>") -> float:
    return notebook_train(rate=rate).outputs["Output"]


@dsl.pipeline
def notebook_loop(items: list[int]) -> None:
    with dsl.ParallelFor(items) as item:
        notebook_leaf(x=item)


def loop(root: Path, items: list[int]) -> Run:
    def leaf(x: int) -> object:
        return {"Output": x} if x < 900 else Outcome(exit_code=1, detail="Traceback\n<b>bad</b>", cause="bad <b>")

    local.run(
        notebook_loop,
        {"items": items},
        runner=FakeRunner(notebook_leaf=leaf),
        pipeline_root=root,
        quiet=True,
        raise_on_error=False,
    )
    return history.get_run(root, "latest")


class _Page(HTMLParser):
    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.names: set[str] = set()
        self.text = ""
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.names |= {name for name, _ in attrs}

    def handle_data(self, data: str) -> None:
        self.text += data


def html_of(record: object) -> str:
    html = record._repr_html_()  # type: ignore[attr-defined]
    assert isinstance(html, str)
    return html


# --- records ----------------------------------------------------------------------------------------------------------


def test_a_run_shows_its_state_tasks_outputs_and_metrics(tmp_path: Path) -> None:
    local.run(notebook_training, runner=SubprocessRunner(use_venv=False), pipeline_root=tmp_path, quiet=True)
    run = history.get_run(tmp_path, "latest")
    page = _Page(html_of(run))
    for text in (
        run.id,
        "Succeeded",
        "1 succeeded",
        "notebook-train",
        "accuracy",
        "0.5",
        f"standpipe ui --root {tmp_path}",
    ):
        assert text in page.text, text
    assert "<script>alert(1)</script>" in page.text
    assert not {"script", "link", "img", "iframe"} & set(page.tags)
    assert not {"src", "href", "style"} & page.names
    assert "<svg" in html_of(run)


def test_tasks_and_artifacts_have_their_own_output(tmp_path: Path) -> None:
    local.run(notebook_training, runner=SubprocessRunner(use_venv=False), pipeline_root=tmp_path, quiet=True)
    run = history.get_run(tmp_path, "latest")
    (task,) = run.tasks
    assert "Inputs" in _Page(html_of(task)).text
    assert "Confusion matrix" in html_of(task)
    curves = next(each for each in run.artifacts if each.name == "curves")
    page = _Page(html_of(curves))
    assert "ClassificationMetrics" in page.text
    assert "of task notebook-train" in page.text
    assert "<dog>" in page.text


def test_a_failed_task_shows_the_traceback_of_the_user(tmp_path: Path) -> None:
    run = loop(tmp_path, [1, 900])
    for record in (run, run.task("for-loop-1/1/notebook-leaf")):
        assert "Traceback\n<b>bad</b>" in _Page(html_of(record)).text


def test_a_long_loop_is_folded(tmp_path: Path) -> None:
    html = html_of(loop(tmp_path, list(range(500))))
    assert "500 more succeeded" in html
    assert len(html) < 60_000


def test_the_task_of_a_call_shows_outputs_or_the_error(tmp_path: Path) -> None:
    runner = FakeRunner(notebook_leaf=lambda x: {"Output": 7} if x else Outcome(exit_code=1, cause="bad <b>"))
    for x, text in ((1, "7"), (0, "bad <b>")):
        task = local.run(
            notebook_leaf, {"x": x}, runner=runner, pipeline_root=tmp_path, quiet=True, raise_on_error=False
        )
        assert text in _Page(html_of(task)).text


def test_a_task_that_is_traced_is_shown_as_text() -> None:
    seen: list[object] = []

    @dsl.pipeline
    def notebook_traced() -> None:
        seen.append(notebook_leaf(x=1)._repr_html_())

    assert seen == [None]


def test_what_cannot_be_shown_is_its_repr_with_the_reason(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = loop(tmp_path, [1])

    def fail(template: str, context: object) -> str:
        raise RuntimeError("no <templates>")

    monkeypatch.setattr(notebook, "render", fail)
    html = html_of(run)
    assert "&lt;Run notebook-loop-" in html
    assert "RuntimeError: no &lt;templates&gt;" in html


def test_a_run_that_was_deleted_is_its_repr_with_the_reason(tmp_path: Path) -> None:
    run = loop(tmp_path, [1])
    (tmp_path / "runs.sqlite").write_bytes(b"not a database at all" * 100)
    assert "StorageError" in html_of(run)


# --- styles -----------------------------------------------------------------------------------------------------------


def test_styles_apply_to_the_output_alone_and_have_both_themes() -> None:
    text = str(notebook.styles())
    selectors = re.findall(r"^(?! )([^@{}]+?) \{", text, re.MULTILINE)
    blocks = text.split("\n.standpipe {")
    assert ":root" not in text
    assert "--bg:" in blocks[0]
    assert "--heat-10:" in blocks[0]
    assert text.count("--surface: #171c24") == 2
    assert text.count("--surface: #ffffff") == 2
    assert text.count("{") == text.count("}")
    assert selectors[0].startswith(".standpipe")
    assert "url(" not in text


# --- progress ---------------------------------------------------------------------------------------------------------

LEAF = TaskRef((("leaf", None),))


class Shown:
    """What a cell was told to show, and when."""

    def __init__(self) -> None:
        self.pages: list[tuple[float, str]] = []

    def __call__(self, data: Mapping[str, str]) -> None:
        assert set(data) == {"text/html", "text/plain"}
        self.pages.append((time.monotonic(), data["text/html"]))

    @property
    def last(self) -> str:
        return _Page(self.pages[-1][1]).text


def start(root: Path, show: Shown, earlier: float = 0.0) -> NotebookProgress:
    info = RunInfo("run-1", "6f9619ff-8b86-4d01-b42d-00cf4fc964ff", "job", "2026-01-01T00:00:00Z", str(root))
    return NotebookProgress(info, str(root / "run-1"), earlier, show)


def test_progress_shows_tasks_and_what_they_print_and_the_end(tmp_path: Path) -> None:
    shown = Shown()
    progress = start(tmp_path, shown)
    assert "Running" in shown.last
    progress([e.RunStarted({}), e.TaskReady(LEAF, {}), e.AttemptStarted(LEAF, 0)])
    progress.line(LEAF, "hello <b>\x1b[31m")
    time.sleep(0.6)
    assert "[leaf] hello <b>" in shown.last
    assert "1 running" in shown.last
    progress([e.TaskSucceeded(LEAF, {}), e.RunEnded(TaskState.SUCCEEDED, {})])
    progress.close()
    assert "Succeeded" in shown.last
    assert "1 succeeded" in shown.last
    assert "Running" not in shown.last


def test_a_burst_of_facts_is_at_most_four_updates_a_second(tmp_path: Path) -> None:
    shown = Shown()
    progress = start(tmp_path, shown)
    until = time.monotonic() + 1.5
    while time.monotonic() < until:
        progress.line(LEAF, "x")
        time.sleep(0.005)
    updates = [at for at, _ in shown.pages[1:]]
    progress.close()
    assert 2 <= len(updates) <= 7
    assert all(later - earlier >= 0.24 for earlier, later in pairwise(updates))


def test_many_lines_are_bounded(tmp_path: Path) -> None:
    shown = Shown()
    progress = start(tmp_path, shown)
    for number in range(1000):
        progress.line(LEAF, f"{number} " + "x" * 1000)
    progress.close()
    assert "the last 100 lines of 1000" in shown.last
    assert len(shown.pages[-1][1]) < 80_000


def test_a_run_that_did_not_end_is_interrupted(tmp_path: Path) -> None:
    shown = Shown()
    start(tmp_path, shown).close()
    assert "Interrupted" in shown.last


def test_a_cancelled_run_says_what_it_waits_for(tmp_path: Path) -> None:
    shown = Shown()
    progress = start(tmp_path, shown)
    progress([e.RunStarted({}), e.TaskReady(LEAF, {}), e.AttemptStarted(LEAF, 0), e.RunCancelled()])
    time.sleep(0.6)
    assert "Cancelling: waiting for 1 task (leaf)." in shown.last
    progress([e.TaskCancelled(LEAF), e.RunEnded(TaskState.CANCELLED, {})])
    progress.close()
    assert "Cancelling" not in shown.last
    assert "Cancelled" in shown.last


def test_a_run_that_is_stopped_says_why(tmp_path: Path) -> None:
    shown = Shown()
    progress = start(tmp_path, shown)
    reason = "it had not ended after 5 s"
    progress([e.RunStarted({}), e.TaskReady(LEAF, {}), e.AttemptStarted(LEAF, 0), e.RunCancelled(reason)])
    time.sleep(0.6)
    assert f"Stopping the run: {reason}. Waiting for 1 task (leaf)." in shown.last
    progress.close()


def test_a_failed_group_names_the_failure_once(tmp_path: Path) -> None:
    loop_ref, iteration = TaskRef((("loop", None),)), TaskRef((("loop", 0),))
    shown = Shown()
    progress = start(tmp_path, shown)
    failure = e.Failure("bad thing")
    caused = e.Failure("its task 'loop/0' failed: bad thing", cause_task=iteration)
    progress([e.RunStarted({}), e.LoopStarted(loop_ref, {}, (1,)), e.TaskReady(iteration, {})])
    progress([e.AttemptStarted(iteration, 0), e.TaskFailed(iteration, failure), e.TaskFailed(loop_ref, caused)])
    progress([e.RunEnded(TaskState.FAILED, {}, (e.TaskFailed(iteration, failure),))])
    progress.close()
    assert "its task" not in shown.last
    assert "Task 'loop/0' failed: bad thing" in shown.last


def test_a_notebook_that_is_closed_stops_no_run(tmp_path: Path) -> None:
    def show(data: Mapping[str, str]) -> None:
        raise OSError("the notebook was closed")

    info = RunInfo("run-1", "6f9619ff-8b86-4d01-b42d-00cf4fc964ff", "job", "2026-01-01T00:00:00Z", str(tmp_path))
    progress = NotebookProgress(info, "folder", 0.0, show)
    progress([e.RunStarted({})])
    progress.close()


def test_progress_that_cannot_be_shown_is_text_and_a_notice(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(*_: object) -> None:
        raise RuntimeError("no display")

    monkeypatch.setattr("standpipe.ui.notebook_progress.NotebookProgress", fail)

    assert notebooks.new_display() is None
    [record] = caplog.records
    assert record.getMessage() == (
        "The progress of the run is shown as text, not in the cell: RuntimeError: no display."
    )


def test_outside_of_a_notebook_there_is_no_kernel() -> None:
    assert not notebooks.has_kernel()


def test_many_tasks_that_wait_are_counted(tmp_path: Path) -> None:
    loop_ref = TaskRef((("loop", None),))
    shown = Shown()
    progress = start(tmp_path, shown)
    progress([e.RunStarted({}), e.LoopStarted(loop_ref, {}, tuple(range(50)))])
    progress([e.TaskReady(TaskRef((("loop", number),)), {}) for number in range(50)])
    time.sleep(0.6)
    assert "47 more waiting" in shown.last
    assert "iteration 2" in shown.last
    assert "iteration 3" not in shown.last
    progress.close()


def test_a_forked_child_shows_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shown = Shown()
    progress = start(tmp_path, shown)
    with monkeypatch.context() as patch:
        patch.setattr(os, "getpid", lambda: -1)
        count = len(shown.pages)
        progress([e.RunStarted({})])
        progress.line(LEAF, "text")
        progress.close()
        assert len(shown.pages) == count
    progress.close()
