"""Names, values and artifacts that look like parts of a page, or attack it."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from playwright.sync_api import Browser, Page, expect

from .conftest import Samples, Visit
from .routes import TABS
from .samples.shapes import MARKUP, QUOTES
from .server import Server


@pytest.mark.parametrize("tab", TABS)
def test_markup_in_names_and_values_is_text(page: Page, samples: Samples, tab: str) -> None:
    page.goto(samples.link("markup", tab=tab))

    assert page.locator("img[src=x]").count() == 0


def test_markup_is_shown_as_it_is(page: Page, samples: Samples) -> None:
    page.goto(samples.link("markup", tab="logs"))
    expect(page.get_by_role("log")).to_contain_text(MARKUP)
    page.goto(samples.link("markup", tab="details"))
    expect(page.get_by_role("region", name="Details")).to_contain_text(QUOTES)


def test_every_panel_of_a_task_with_markup_is_text(page: Page, samples: Samples) -> None:
    for task in samples.run("markup").all_tasks():
        for panel in ("io", "details", "logs", "cache"):
            page.goto(samples.link("markup", task=task.path, panel=panel))
            expect(page.get_by_role("complementary")).to_be_visible()
            assert page.locator("img[src=x]").count() == 0


def test_an_address_without_the_token_is_refused(server: Server, browser: Browser) -> None:
    context = browser.new_context()
    answer = context.new_page().goto(server.base)
    assert answer is not None
    assert answer.status == 403
    context.close()


def test_the_token_does_not_stay_in_the_address(server: Server, visit: Callable[..., Visit]) -> None:
    page = visit(server).page
    page.goto(server.address)

    assert "token" not in page.url
    assert page.evaluate("() => document.cookie") == ""
