"""The tabs Graph and Timeline."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

from playwright.sync_api import Locator, Page, expect

from .conftest import Samples, Visit
from .live_run import LiveRun
from .samples.roots import DEPTH, ITERATIONS
from .server import Server


def canvas(page: Page) -> Locator:
    return page.locator("#graph-canvas")


def test_a_graph_has_tasks_artifacts_and_layers_that_open(page: Page, samples: Samples) -> None:
    page.goto(samples.link("succeeded"))
    expect(canvas(page)).to_be_visible()
    canvas(page).get_by_text("exit-handler-1").first.dblclick()
    expect(page).to_have_url(samples.link("succeeded", tab="graph", layer="exit-handler-1"))
    for name in ("prepare", "train_set", "evaluate", "for-loop"):
        expect(canvas(page).get_by_text(name).first).to_be_attached()

    page.get_by_role("navigation", name="Layers").get_by_role("link").first.click()
    expect(canvas(page).get_by_text("notify").first).to_be_attached()


def test_a_node_opens_the_panel_of_its_task(page: Page, samples: Samples) -> None:
    page.goto(samples.link("failed"))
    canvas(page).get_by_text("divide", exact=True).first.click()

    expect(page.get_by_role("complementary")).to_contain_text("divide")


def test_a_graph_zooms(page: Page, samples: Samples) -> None:
    page.goto(samples.link("failed"))
    box = canvas(page).get_by_text("divide", exact=True).first
    before = box.bounding_box()
    page.get_by_role("button", name="Zoom in").click()
    page.wait_for_timeout(400)
    after = box.bounding_box()

    assert before is not None
    assert after is not None
    assert after["height"] > before["height"]


def test_a_loop_is_one_node_and_opens_as_a_table(page: Page, samples: Samples) -> None:
    page.goto(samples.link("loop"))
    expect(canvas(page).get_by_text("for-loop-2").first).to_be_attached()
    expect(canvas(page)).to_contain_text(re.compile("5,?000"))
    page.goto(samples.link("loop", tab="graph", layer="for-loop-2"))

    expect(page.get_by_role("region", name="Graph")).to_contain_text(f"of {ITERATIONS}")
    page.get_by_role("link", name="Next").click()
    expect(page.get_by_role("link", name="Previous")).to_be_visible()


def test_nested_pipelines_open_layer_by_layer(page: Page, samples: Samples) -> None:
    for depth in range(1, DEPTH):
        layer = "/".join(f"level-{level}" for level in range(2, depth + 2))
        page.goto(samples.link("nested", tab="graph", layer=layer))
        expect(page.get_by_role("navigation", name="Layers").locator("> *")).to_have_count(depth + 1)
        expect(canvas(page).get_by_text("leaf").first).to_be_attached()


def test_a_graph_keeps_its_place_while_a_run_continues(
    tmp_path: Path, start_live: Callable[[Path], LiveRun], serve: Callable[..., Server], visit: Callable[..., Visit]
) -> None:
    live = start_live(tmp_path / "root")
    page = visit(serve(tmp_path / "root"), f"/runs/{live.id}").page
    page.get_by_role("button", name="Zoom in").click()
    page.wait_for_timeout(400)
    box = canvas(page).get_by_text("first", exact=True).first
    before = box.bounding_box()
    live.close()
    expect(page.get_by_role("region", name="Run", exact=True)).to_contain_text("Succeeded")

    assert box.bounding_box() == before


def test_a_timeline_has_rows_of_tasks_with_their_attempts(page: Page, samples: Samples) -> None:
    page.goto(samples.link("failed", tab="timeline"))
    timeline = page.get_by_role("region", name="Timeline")
    expect(timeline.get_by_role("link", name="divide")).to_be_visible()
    expect(timeline).to_contain_text("Critical path")
    timeline.get_by_role("link", name="divide").click()

    expect(page.get_by_role("complementary")).to_contain_text("divide")


def test_a_timeline_marks_what_was_cached(page: Page, samples: Samples) -> None:
    page.goto(samples.link("cached", tab="timeline"))

    expect(page.locator(".timeline-rows .bar-cached").first).to_be_attached()
