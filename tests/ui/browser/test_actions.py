"""Actions: each does what the command line does, in a process of its own."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from standpipe import local
from standpipe.history import Status
from tests.processes import wait_until

from .conftest import Visit
from .live_run import LiveRun
from .samples import roots
from .server import Server

#: A command starts an interpreter and a run, on a machine that does other things as well.
MILLISECONDS = 30_000


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "root"


@pytest.fixture
def open_root(root: Path, serve: Callable[..., Server], visit: Callable[..., Visit]) -> Callable[[str], Page]:
    """Return a function that opens a page of the pipeline root."""
    return lambda path: visit(serve(root), path).page


def test_a_run_is_stopped(root: Path, start_live: Callable[[Path], LiveRun], open_root: Callable[[str], Page]) -> None:
    live = start_live(root)
    page = open_root("/")
    page.get_by_role("button", name=f"Stop {live.id}").click()

    page.goto("/")
    row = page.get_by_role("row").filter(has=page.get_by_role("link", name=live.id, exact=True))
    expect(row).to_contain_text("Cancelled", timeout=MILLISECONDS)
    assert live.read().status is Status.CANCELLED


def test_a_failed_run_is_resumed(root: Path, open_root: Callable[[str], Page]) -> None:
    run = roots.make_run(root, "failed")
    page = open_root("/")
    page.get_by_role("button", name=f"Resume {run}").click()

    assert wait_until(lambda: local.get_run(run, pipeline_root=root).resume_count == 1)
    assert wait_until(lambda: local.get_run(run, pipeline_root=root).status is Status.FAILED), "its code is the same"
    page.goto(f"/runs/{run}?tab=tasks")
    expect(page.get_by_role("region", name="Run", exact=True)).to_contain_text("Failed")


def test_a_task_is_rerun_as_a_run_of_its_own(root: Path, open_root: Callable[[str], Page]) -> None:
    run = roots.make_run(root, "failed")
    page = open_root(f"/runs/{run}?tab=tasks&task=load-data")
    page.get_by_role("button", name="Rerun").click()

    expect(page).not_to_have_url(f"/runs/{run}?tab=tasks&task=load-data", timeout=MILLISECONDS)
    assert wait_until(lambda: len(local.runs(root)) == 2)
    page.goto("/")
    expect(page.get_by_text("rerun of")).to_be_visible()


def test_runs_are_deleted_after_a_question_that_tells_their_size(root: Path, open_root: Callable[[str], Page]) -> None:
    kept, first, second = (roots.make_run(root, "failed") for _ in range(3))
    page = open_root("/")
    for run in (first, second):
        page.get_by_role("checkbox", name=f"Select {run}").check()
    page.get_by_role("button", name="Delete…").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Delete 2 runs?")
    expect(page.get_by_text("KiB").first).to_be_visible()
    assert len(local.runs(root)) == 3

    page.get_by_role("button", name="Delete").click()
    assert wait_until(lambda: [each.id for each in local.runs(root)] == [kept])
    assert not (root / first).exists()
    page.goto("/")
    expect(page.locator("tbody").get_by_role("row")).to_have_count(1)


def test_a_run_is_not_deleted_if_the_user_cancels(root: Path, open_root: Callable[[str], Page]) -> None:
    run = roots.make_run(root, "failed")
    page = open_root("/")
    page.get_by_role("link", name=f"Delete {run}").click()
    page.get_by_role("link", name="Cancel").click()

    expect(page).to_have_url(f"/runs/{run}")
    assert len(local.runs(root)) == 1


def test_a_run_in_progress_cannot_be_deleted(
    root: Path, start_live: Callable[[Path], LiveRun], open_root: Callable[[str], Page]
) -> None:
    live = start_live(root)
    page = open_root(f"/runs/{live.id}/delete")

    expect(page.get_by_text("still in progress")).to_be_visible()
    expect(page.get_by_role("button", name="Delete")).to_be_disabled()


def test_a_run_is_cloned_with_other_arguments(root: Path, open_root: Callable[[str], Page]) -> None:
    run = roots.make_run(root, "failed")
    page = open_root("/")
    page.get_by_role("link", name=f"Start a new run like {run}").click()
    page.get_by_label("by", exact=True).fill("4")
    page.get_by_role("button", name="Start").click()

    assert wait_until(lambda: len(local.runs(root)) == 2)
    assert wait_until(lambda: local.get_run("latest", pipeline_root=root).status is Status.SUCCEEDED)
    assert local.get_run("latest", pipeline_root=root).inputs == {"rows": 100, "by": 4}


def test_a_value_of_the_wrong_type_is_named_and_the_others_are_kept(
    root: Path, serve: Callable[..., Server], visit: Callable[..., Visit]
) -> None:
    run = roots.make_run(root, "failed")
    page, watch = visit(serve(root), f"/new?run={run}")
    watch.expect("422")
    page.get_by_label("rows", exact=True).fill("55")
    field = page.get_by_label("by", exact=True)
    field.evaluate("(element) => { element.type = 'text'; element.removeAttribute('pattern'); }")
    field.fill("much")
    page.locator("form").last.evaluate("(form) => { form.noValidate = true; }")
    page.get_by_role("button", name="Start").click()

    expect(page.get_by_label("rows", exact=True)).to_have_value("55")
    assert len(local.runs(root)) == 1


def test_the_page_of_a_run_has_its_actions(
    root: Path, start_live: Callable[[Path], LiveRun], open_root: Callable[[str], Page]
) -> None:
    live = start_live(root)
    page = open_root(f"/runs/{live.id}")
    page.locator(".run-actions").get_by_role("button", name="Stop").click()

    assert live.wait(Status.CANCELLED)
    page.goto(f"/runs/{live.id}")
    actions = page.locator(".run-actions")
    expect(actions.get_by_role("button", name="Resume")).to_be_visible()
    expect(actions.get_by_role("link", name="Delete")).to_be_visible()
