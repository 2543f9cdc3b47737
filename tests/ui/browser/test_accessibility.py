"""No serious violation of the rules of axe-core, in both themes."""

from __future__ import annotations

from importlib.resources import files

import pytest
from playwright.sync_api import Page

from .conftest import Samples
from .routes import PAGES

AXE = (files("axe_playwright_python") / "axe.min.js").read_text(encoding="utf-8")
#: Runs axe-core, and returns the serious violations: rule, the elements, and what is wrong with the first one.
RUN = """() => axe.run().then(({violations}) => violations
    .filter(({impact}) => impact === "serious" || impact === "critical")
    .map(({id, nodes}) => [id, nodes.map((node) => node.target.join(" ")).slice(0, 5), nodes[0].failureSummary]))"""


@pytest.mark.parametrize("name", PAGES)
def test_a_page_has_no_serious_violation(page: Page, samples: Samples, name: str) -> None:
    page.goto(PAGES[name](samples))
    page.evaluate(AXE)

    assert page.evaluate(RUN) == []
    page.emulate_media(color_scheme="dark")
    assert page.evaluate(RUN) == [], "in the dark theme"
