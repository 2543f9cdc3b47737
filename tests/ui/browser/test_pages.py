"""Every page and every tab, of every kind of run."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from playwright.sync_api import Page, expect

from .conftest import Samples, Visit
from .routes import PAGES, TABS
from .samples.roots import KINDS
from .server import Server


@pytest.mark.parametrize("kind", KINDS)
def test_each_tab_of_each_kind_of_run_is_shown(page: Page, samples: Samples, kind: str) -> None:
    for tab, label in TABS.items():
        answer = page.goto(samples.link(kind, tab=tab))
        assert answer is not None
        assert answer.status == 200
        expect(page.locator("section.tab")).to_have_attribute("aria-label", label)
        expect(page.locator("section.tab")).not_to_be_empty()
        expect(page.get_by_role("link", name=label, exact=True)).to_have_attribute("aria-current", "page")


@pytest.mark.parametrize("name", PAGES)
def test_each_page_has_landmarks_and_fits_into_a_small_window(page: Page, samples: Samples, name: str) -> None:
    answer = page.goto(PAGES[name](samples))

    assert answer is not None
    assert answer.status == 200
    assert page.title().endswith(" · Standpipe")
    expect(page.get_by_role("main")).to_have_count(1)
    expect(page.get_by_role("heading", level=1)).to_have_count(1)
    expect(page.get_by_role("banner")).to_have_count(1)
    expect(page.get_by_role("navigation", name="Breadcrumb")).to_have_count(1)
    for width in (1280, 700):
        page.set_viewport_size({"width": width, "height": 900})
        assert page.evaluate("() => document.documentElement.scrollWidth") <= width


@pytest.mark.parametrize("name", PAGES)
def test_each_page_has_its_content_without_javascript(
    server: Server, samples: Samples, visit: Callable[..., Visit], name: str
) -> None:
    page = visit(server, PAGES[name](samples), java_script_enabled=False).page

    expect(page.get_by_role("heading", level=1)).to_be_visible()
    assert len(page.get_by_role("main").inner_text()) > 80
