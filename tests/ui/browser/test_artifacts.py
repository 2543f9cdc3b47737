"""The page of an artifact: preview, visualization, lineage; and a hostile HTML page in it."""

from __future__ import annotations

from collections.abc import Callable

from playwright.sync_api import Page, expect

from .conftest import Samples, Visit
from .routes import artifact
from .server import Server


def test_a_table_has_its_rows_and_columns(page: Page, samples: Samples) -> None:
    page.goto(artifact(samples, "train_set"))

    main = page.get_by_role("main")
    expect(main.get_by_role("columnheader", name="monthly")).to_be_visible()
    expect(main).to_contain_text("360")


def test_metrics_are_bars_matrices_and_curves(page: Page, samples: Samples) -> None:
    page.goto(artifact(samples, "metrics"))
    expect(page.get_by_role("region", name="Visualization")).to_contain_text("accuracy")
    page.goto(artifact(samples, "curves"))
    visualization = page.get_by_role("region", name="Visualization")
    expect(visualization.get_by_role("img").first).to_be_visible()
    assert visualization.get_by_role("img").count() >= 2
    expect(visualization).to_contain_text("412")
    page.goto(artifact(samples, "by_country"))
    expect(page.get_by_role("region", name="Visualization")).to_contain_text("日本")


def test_markdown_json_text_and_folders_are_shown(page: Page, samples: Samples) -> None:
    page.goto(artifact(samples, "report"))
    expect(page.get_by_role("heading", name="Churn model")).to_be_visible()
    expect(page.get_by_role("cell", name="Österreich")).to_be_visible()
    page.goto(artifact(samples, "summary"))
    expect(page.get_by_role("region", name="Preview")).to_contain_text("countries")
    page.goto(artifact(samples, "notes"))
    expect(page.get_by_role("region", name="Preview")).to_contain_text("customers of 2019")
    page.goto(artifact(samples, "files"))
    page.get_by_role("link", name="settings.json").click()
    expect(page.get_by_role("main")).to_contain_text("layers")


def test_an_image_is_shown(page: Page, samples: Samples) -> None:
    page.goto(artifact(samples, "plot"))
    image = page.get_by_role("region", name="Preview").get_by_role("img")

    expect(image).to_be_visible()
    page.wait_for_function("() => [...document.images].every((image) => image.complete)")
    assert image.evaluate("(element) => element.naturalWidth") == 120


def test_html_is_shown_in_a_frame(page: Page, samples: Samples) -> None:
    page.goto(artifact(samples, "page"))

    expect(page.frame_locator("iframe").get_by_role("heading", name="Model card")).to_be_visible()


def test_the_lineage_leads_to_tasks_also_of_other_runs(page: Page, samples: Samples) -> None:
    page.goto(artifact(samples, "train_set"))
    lineage = page.get_by_role("region", name="Lineage").first

    expect(lineage).to_contain_text("prepare")
    expect(lineage).to_contain_text("train")
    expect(page.get_by_role("complementary", name="Info")).to_contain_text("exit-handler-1/prepare")


def test_an_artifact_whose_payload_is_gone_says_so(page: Page, samples: Samples) -> None:
    notes = next(each for each in samples.run("other rates").artifacts if each.name == "notes")
    assert notes.path is not None
    notes.path.rename(notes.path.with_name("moved"))
    try:
        page.goto(artifact(samples, "notes", "other rates"))
        expect(page.get_by_text("its payload is no longer there")).to_be_visible()
    finally:
        notes.path.with_name("moved").rename(notes.path)


def test_a_hostile_page_reaches_neither_the_page_nor_the_network_nor_the_token(
    server: Server, samples: Samples, visit: Callable[..., Visit]
) -> None:
    page, watch = visit(server)
    reached: list[str] = []
    page.context.on("requestfinished", lambda request: reached.append(request.url))
    watch.expect("^console: |attacker.invalid|ERR_BLOCKED|csp")  # what the browser says about what it refuses
    page.goto(artifact(samples, "page", "hostile"))
    address = page.url
    expect(page.frame_locator("iframe").locator("#here")).to_be_visible()
    page.wait_for_timeout(1000)

    assert page.url == address
    assert page.title() != "taken over"
    assert page.evaluate("() => document.body.dataset.cookie") is None
    assert len(page.context.pages) == 1
    assert not [url for url in reached if "attacker" in url]
    frame = page.frames[-1]
    assert frame.evaluate("() => self.origin") == "null"
