"""Comparing runs."""

from __future__ import annotations

from playwright.sync_api import Page, expect

from .conftest import Samples
from .routes import compare


def test_selected_runs_are_compared(page: Page, samples: Samples) -> None:
    for kind in ("succeeded", "other rates"):
        page.get_by_role("checkbox", name=f"Select {samples.ids[kind]}").check()
    page.keyboard.press("c")

    expect(page.get_by_role("heading", level=1)).to_have_text("Compare 2 runs")
    main = page.get_by_role("main")
    expect(main).to_contain_text("[0.05, 0.1, 0.3]")
    expect(main).to_contain_text("accuracy")
    expect(main.get_by_role("img").first).to_be_visible()


def test_only_differences_can_be_shown_and_runs_added(page: Page, samples: Samples) -> None:
    page.goto(compare(samples, "succeeded", "cached"))
    page.get_by_role("link", name="Only differences").click()
    expect(page.get_by_text("All runs have the same.").first).to_be_visible()
    page.get_by_label("Add a run").select_option(samples.ids["other rates"])
    page.get_by_role("button", name="Add").click()

    expect(page.get_by_role("heading", level=1)).to_have_text("Compare 3 runs")


def test_runs_of_different_pipelines_and_missing_runs_are_compared(page: Page, samples: Samples) -> None:
    page.goto(compare(samples, "succeeded", "failed") + "&run=no-such-run")

    expect(page.get_by_text("no-such-run").first).to_be_visible()
    expect(page.get_by_role("heading", level=1)).to_have_text("Compare 2 runs")
