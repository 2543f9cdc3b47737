"""What the user or the system prefers: theme, motion, and a browser without JavaScript."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from .conftest import Samples, Visit
from .live_run import LiveRun
from .server import Server


def background(page: Page) -> str:
    return page.evaluate("() => getComputedStyle(document.documentElement).backgroundColor")


def brightness(page: Page) -> float:
    numbers = background(page).removeprefix("rgb(").removesuffix(")").split(",")
    return sum(map(float, numbers)) / 3


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_the_theme_is_that_of_the_system_until_the_user_switches_it(
    server: Server, visit: Callable[..., Visit], theme: str
) -> None:
    page = visit(server, color_scheme=theme).page
    assert (brightness(page) > 128) is (theme == "light")
    page.get_by_role("button", name="Switch between light and dark").click()
    assert (brightness(page) > 128) is (theme == "dark")

    page.reload()
    assert (brightness(page) > 128) is (theme == "dark")


@pytest.mark.parametrize("motion", ["reduce", "no-preference"])
def test_nothing_moves_where_the_system_asks_for_less_motion(
    tmp_path: Path,
    start_live: Callable[[Path], LiveRun],
    serve: Callable[..., Server],
    visit: Callable[..., Visit],
    motion: str,
) -> None:
    live = start_live(tmp_path / "root")
    page = visit(serve(tmp_path / "root"), f"/runs/{live.id}?tab=tasks", reduced_motion=motion).page
    expect(page.get_by_text("Running").first).to_be_visible()

    icon, duration = page.locator("main .icon-arc").first, page.locator("main [data-elapsed]").first
    before = icon.get_attribute("transform"), duration.text_content()
    expect(duration).not_to_have_text(before[1] or "")
    assert (icon.get_attribute("transform") == before[0]) is (motion == "reduce")
    assert page.evaluate("() => document.getAnimations().length") == 0, "browsers compute them 60 times a second"


def test_links_and_forms_work_without_javascript(server: Server, samples: Samples, visit: Callable[..., Visit]) -> None:
    page = visit(server, java_script_enabled=False).page
    page.get_by_role("searchbox").fill("churn")
    page.get_by_role("button", name="Filter", exact=True).click()
    expect(page.locator("tbody").get_by_role("row")).to_have_count(3)
    page.get_by_role("link", name=samples.ids["succeeded"], exact=True).click()
    page.get_by_role("link", name="Tasks", exact=True).click()
    page.get_by_role("link", name="exit-handler-1", exact=True).click()
    expect(page.get_by_role("complementary")).to_contain_text("exit-handler-1")
