"""The list of runs: filters, order, columns of metrics, selection and keys."""

from __future__ import annotations

from playwright.sync_api import Locator, Page, expect

from .conftest import Samples
from .samples.roots import KINDS


def rows(page: Page) -> Locator:
    return page.locator("tbody").get_by_role("row")


def row(page: Page, samples: Samples, kind: str) -> Locator:
    return rows(page).filter(has=page.get_by_role("link", name=samples.ids[kind], exact=True))


def test_all_runs_are_listed_with_their_states_the_newest_first(page: Page, samples: Samples) -> None:
    expect(rows(page)).to_have_count(len(KINDS))
    expect(rows(page).first).to_contain_text(samples.ids["cached"])
    for kind in ("failed", "cancelled", "interrupted", "succeeded"):
        expect(row(page, samples, kind)).to_contain_text(kind.capitalize())
    expect(row(page, samples, "loop")).to_contain_text("5,001")


def test_a_text_filters_while_it_is_typed(page: Page, samples: Samples) -> None:
    page.get_by_role("searchbox").press_sequentially("talkative")

    expect(rows(page)).to_have_count(1)
    expect(page).to_have_url("/?q=talkative")
    page.go_back()
    expect(rows(page)).to_have_count(len(KINDS))


def test_a_state_and_a_pipeline_filter(page: Page, samples: Samples) -> None:
    page.get_by_role("navigation", name="States").get_by_role("link", name="Failed").click()
    expect(rows(page)).to_have_count(1)
    expect(row(page, samples, "failed")).to_be_visible()

    page.goto("/")
    page.get_by_role("combobox", name="Pipeline").select_option("churn-training")
    expect(rows(page)).to_have_count(3)


def test_a_filter_without_a_match_says_so(page: Page) -> None:
    page.goto("/?q=no-such-run")

    expect(page.get_by_text("No run matches")).to_be_visible()
    page.get_by_role("link", name="Show all runs").click()
    expect(rows(page)).to_have_count(len(KINDS))


def test_a_column_sorts(page: Page, samples: Samples) -> None:
    page.get_by_role("columnheader", name="Duration").get_by_role("link").click()
    expect(page.get_by_role("columnheader", name="Duration")).not_to_have_attribute("aria-sort", "none")
    seconds = [samples.run(kind).duration or 0 for kind in KINDS]
    longest = samples.ids[list(KINDS)[seconds.index(max(seconds))]]

    expect(rows(page).first.or_(rows(page).last).filter(has_text=longest)).to_have_count(1)


def test_a_metric_can_have_a_column(page: Page, samples: Samples) -> None:
    page.locator("summary", has_text="Metrics").click()
    page.get_by_role("checkbox", name="accuracy").check()

    expect(page.get_by_role("columnheader", name="accuracy")).to_be_visible()
    accuracy = next(each for each in samples.run("succeeded").artifacts if each.name == "metrics").metadata["accuracy"]
    expect(row(page, samples, "succeeded")).to_contain_text(f"{accuracy:.4g}")


def test_keys_move_select_open_and_filter(page: Page, samples: Samples) -> None:
    page.keyboard.press("j")
    expect(rows(page).nth(0).get_by_role("link").first).to_be_focused()
    page.keyboard.press("j")
    page.keyboard.press("x")
    expect(rows(page).nth(1).get_by_role("checkbox")).to_be_checked()
    page.keyboard.press("k")
    page.keyboard.press("x")
    expect(page.get_by_text("2 selected")).to_be_visible()

    page.keyboard.press("/")
    expect(page.get_by_role("searchbox")).to_be_focused()
    page.keyboard.press("Escape")
    page.keyboard.press("j")
    page.keyboard.press("Enter")
    expect(page).to_have_url(samples.link("other rates"))


def test_a_question_mark_shows_the_keys(page: Page) -> None:
    page.keyboard.press("?")
    expect(page.get_by_role("dialog", name="Keys")).to_be_visible()
    page.keyboard.press("Escape")
    expect(page.get_by_role("dialog")).to_be_hidden()


def test_only_as_many_runs_as_fit_can_be_compared(page: Page) -> None:
    compare = page.get_by_role("button", name="Compare")
    expect(compare).to_be_disabled()
    page.get_by_role("checkbox", name="Select all runs of this page").check()
    expect(compare).to_be_disabled()
    for box in page.locator("tbody").get_by_role("checkbox").all()[: len(KINDS) - 10]:
        box.uncheck()
    expect(compare).to_be_enabled()


def test_rows_can_be_reached_with_the_tab_key_and_show_their_focus(page: Page, samples: Samples) -> None:
    page.get_by_role("checkbox", name=f"Select {samples.ids['cached']}", exact=True).focus()
    page.keyboard.press("Tab")

    link = page.get_by_role("link", name=samples.ids["cached"], exact=True)
    expect(link).to_be_focused()
    assert link.evaluate("(element) => getComputedStyle(element).outlineStyle") != "none"


def test_a_run_is_prepared_when_the_pointer_or_the_focus_rests_on_its_link(page: Page, samples: Samples) -> None:
    def prepares(kind: str) -> str:
        return f"**/runs/{samples.ids[kind]}/prepare"

    with page.expect_response(prepares("failed")) as answer:
        row(page, samples, "failed").get_by_role("link", name=samples.ids["failed"], exact=True).hover()
    assert answer.value.status == 204
    with page.expect_response(prepares("loop")):
        row(page, samples, "loop").get_by_role("link", name=samples.ids["loop"], exact=True).focus()


def test_the_first_run_of_the_list_is_prepared(page: Page, samples: Samples) -> None:
    with page.expect_response("**/prepare") as answer:
        page.reload()
    assert answer.value.status == 204
    assert answer.value.url.endswith(f"/runs/{page.locator('.run-link').first.inner_text()}/prepare")
