"""The tabs of a run, and the panel of a task."""

from __future__ import annotations

import pytest
from playwright.sync_api import Locator, Page, expect

from .conftest import Samples
from .samples.roots import ITERATIONS


def panel(page: Page) -> Locator:
    return page.get_by_role("complementary")


def tab(page: Page, name: str) -> None:
    page.get_by_role("navigation", name="Tabs").get_by_role("link", name=name, exact=True).click()


def test_a_selection_stays_in_all_tabs_and_can_be_closed(page: Page, samples: Samples) -> None:
    page.goto(samples.link("failed", tab="tasks"))
    page.get_by_role("region", name="Tasks").get_by_role("link", name="divide", exact=True).click()
    expect(panel(page)).to_contain_text("divide")
    for name in ("Logs", "Details", "Pipeline Spec", "Tasks"):
        tab(page, name)
        expect(page.locator("section.tab")).to_have_attribute("aria-label", name)
        expect(panel(page)).to_contain_text("divide")
    page.get_by_role("link", name="Close the panel").click()
    expect(panel(page)).to_have_count(0)
    page.go_back()
    expect(panel(page)).to_contain_text("divide")


def test_escape_closes_the_panel_and_goes_back_to_the_task(page: Page, samples: Samples) -> None:
    page.goto(samples.link("failed", tab="tasks"))
    task = page.get_by_role("region", name="Tasks").get_by_role("link", name="divide", exact=True)
    task.press("Enter")
    expect(panel(page)).to_contain_text("divide")
    expect(task).to_have_attribute("aria-current", "true")

    page.keyboard.press("Escape")
    expect(panel(page)).to_have_count(0)
    expect(task).to_be_focused()


def test_the_details_of_a_failed_task_have_the_traceback_of_the_user_and_its_attempts(
    page: Page, samples: Samples
) -> None:
    page.goto(samples.link("failed", tab="tasks", task="divide", panel="details"))

    expect(panel(page)).to_contain_text("ZeroDivisionError: division by zero")
    expect(panel(page)).to_contain_text("return part / whole")
    expect(panel(page)).not_to_contain_text("standpipe/worker")
    expect(panel(page).get_by_role("row")).to_have_count(1 + 3 + 3)  # a heading, and a message for each attempt


def test_inputs_outputs_and_the_cache_are_shown(page: Page, samples: Samples) -> None:
    task = "exit-handler-1/evaluate"
    page.goto(samples.link("cached", tab="tasks", task=task))
    expect(panel(page)).to_contain_text("best_rate")
    expect(panel(page)).to_contain_text(f"Cached from {samples.ids['succeeded']}")
    panel(page).get_by_role("link", name="Cache", exact=True).click()
    expect(panel(page)).to_contain_text("What the cache key is made of")

    page.goto(samples.link("other rates", task="exit-handler-1/prepare", panel="cache"))
    expect(panel(page).get_by_text("changed").first).to_be_visible()


def test_the_commands_of_a_task_can_be_copied(page: Page, samples: Samples) -> None:
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    page.goto(samples.link("failed", task="divide", panel="details"))
    command = panel(page).locator(".value-box", has_text="standpipe rerun").first
    command.get_by_role("button", name="Copy the command").click()

    assert page.evaluate("() => navigator.clipboard.readText()") == command.locator("pre").inner_text()


def test_a_count_of_a_state_filters_the_tasks(page: Page, samples: Samples) -> None:
    page.goto(samples.link("failed"))
    page.get_by_role("region", name="Run", exact=True).get_by_role("link", name="1 failed").click()

    expect(page.get_by_role("region", name="Tasks").locator("tbody").get_by_role("row")).to_have_count(1)


def test_a_long_loop_opens_in_pages(page: Page, samples: Samples) -> None:
    page.goto(samples.link("loop", tab="tasks"))
    page.get_by_role("link", name="Open for-loop-2").click()

    expect(page.get_by_role("region", name="Tasks")).to_contain_text(f"of {ITERATIONS}")
    assert page.get_by_role("row").count() < 500
    page.get_by_role("link", name="Later").click()
    expect(page.get_by_role("link", name="Earlier")).to_be_visible()


def test_nested_pipelines_close_and_open(page: Page, samples: Samples) -> None:
    page.goto(samples.link("nested", tab="tasks"))
    expect(page.get_by_role("link", name="level-5", exact=True)).to_be_visible()
    page.get_by_role("link", name="Close level-3", exact=True).click()
    expect(page.get_by_role("link", name="level-5", exact=True)).to_have_count(0)
    page.get_by_role("link", name="Open level-3", exact=True).click()
    expect(page.get_by_role("link", name="level-5", exact=True)).to_be_visible()


def test_the_specification_is_yaml(page: Page, samples: Samples) -> None:
    page.goto(samples.link("succeeded", tab="spec"))

    expect(page.locator("#tab-spec")).to_contain_text("deploymentSpec")


# --- logs -------------------------------------------------------------------------------------------------------------


def test_the_logs_of_all_tasks_are_one(page: Page, samples: Samples) -> None:
    page.goto(samples.link("succeeded", tab="logs"))

    log = page.get_by_role("log")
    for text in ("read 480 customers", "epoch 5", "the best of 3 models", "the pipeline has ended: SUCCEEDED"):
        expect(log).to_contain_text(text)
    expect(log).not_to_contain_text("[32m")


def test_ansi_colours_are_colours(page: Page, samples: Samples) -> None:
    page.goto(samples.link("failed", tab="logs", task="divide"))
    word, other = page.get_by_text("dividing", exact=True).last, page.get_by_text("100 by 0").last

    colour = "(element) => getComputedStyle(element).color"
    assert word.evaluate(colour) != other.evaluate(colour)


@pytest.mark.parametrize("width", [1280, 700])
def test_a_log_of_50_mb_is_shown_by_its_end_and_searched_as_a_whole(page: Page, samples: Samples, width: int) -> None:
    page.set_viewport_size({"width": width, "height": 800})
    page.goto(samples.link("long log", tab="logs", task="print-lines"))
    log = page.get_by_role("log", name="Log of print-lines").first
    expect(log).to_contain_text("0000499999")
    assert len(page.content()) < 5_000_000

    search = page.get_by_role("searchbox")
    search.fill("0000000042 ")
    search.press("Enter")
    expect(page.get_by_text("1 line contains")).to_be_visible()
    expect(page.get_by_role("log").first).to_contain_text("0000000042")


def test_a_log_is_filtered_while_a_text_is_typed(page: Page, samples: Samples) -> None:
    page.goto(samples.link("succeeded", tab="logs"))
    page.get_by_role("searchbox").fill("epoch 5")

    expect(page.get_by_role("log").locator(".log-line:visible")).to_have_count(3)


def test_a_log_is_downloaded_as_it_is(page: Page, samples: Samples) -> None:
    page.goto(samples.link("failed", tab="logs", task="load-data"))
    with page.expect_download() as download:
        page.get_by_role("link", name="Download").click()

    assert download.value.path().read_text() == "loaded 100 rows\n"
