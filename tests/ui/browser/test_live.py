"""A run in progress: pages follow it by themselves, and survive what happens meanwhile."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from playwright.sync_api import Locator, Page, expect

from standpipe.history import Status

from .conftest import Visit
from .live_run import LiveRun
from .server import Server

#: A fact is on the screen at most 0.5 s after it is stored; on a machine that does other things as well, now and then.
SECONDS = 0.5
SECONDS_ON_A_LOADED_MACHINE = 3.0

#: Notes the time at which an element that a selector and a text describe is in the page.
NOTE_WHEN = """([selector, text]) => {
    window.noted = 0;
    const look = () => {
        const matches = [...document.querySelectorAll(selector)].some((each) => each.textContent.includes(text));
        if (!window.noted && matches) window.noted = Date.now();
    };
    new MutationObserver(look).observe(document.documentElement, {subtree: true, childList: true, characterData: true});
    look();
}"""


@pytest.fixture
def live(tmp_path: Path, start_live: Callable[[Path], LiveRun]) -> LiveRun:
    return start_live(tmp_path / "root")


def task_row(page: Page, name: str) -> Locator:
    return page.get_by_role("row").filter(has=page.get_by_role("link", name=name, exact=True))


def test_a_page_shows_facts_when_they_are_stored(
    tmp_path: Path, live: LiveRun, serve: Callable[..., Server], visit: Callable[..., Visit]
) -> None:
    page = visit(serve(tmp_path / "root"), f"/runs/{live.id}?tab=tasks").page
    expect(task_row(page, "wait-for")).to_contain_text("Running")
    delays = []
    for step, name in enumerate(("wait-for", "wait-for-2", "wait-for-3"), 1):
        # the last task ends with its run: the header shows it
        page.evaluate(NOTE_WHEN, [".run-header .facts", f"{step} succeeded"])
        live.release(step)
        expect(task_row(page, name)).to_contain_text("Succeeded")
        page.wait_for_function("() => window.noted")
        ended = live.read().task(name).ended
        assert ended is not None
        delays.append(page.evaluate("() => window.noted") / 1000 - ended.timestamp())

    expect(page.get_by_role("region", name="Run", exact=True)).to_contain_text("Succeeded")
    assert min(delays) < SECONDS, delays
    assert max(delays) < SECONDS_ON_A_LOADED_MACHINE, delays


def test_the_list_shows_a_run_that_starts_and_ends(
    tmp_path: Path,
    start_live: Callable[[Path], LiveRun],
    serve: Callable[..., Server],
    visit: Callable[..., Visit],
) -> None:
    page = visit(serve(tmp_path / "root")).page
    expect(page.get_by_text("No runs yet")).to_be_visible()

    run = start_live(tmp_path / "root")
    row = page.get_by_role("row").filter(has=page.get_by_role("link", name=run.id, exact=True))
    expect(row).to_contain_text("Running")
    run.close()
    expect(row).to_contain_text("Succeeded")


def test_what_the_user_does_survives_a_refresh(
    tmp_path: Path, live: LiveRun, serve: Callable[..., Server], visit: Callable[..., Visit]
) -> None:
    page = visit(serve(tmp_path / "root")).page
    page.get_by_role("checkbox", name=f"Select {live.id}").check()
    page.get_by_role("searchbox").focus()
    page.keyboard.type("liv")
    live.close()

    expect(page.locator("tbody").get_by_role("row")).to_contain_text("Succeeded")
    expect(page.get_by_role("checkbox", name=f"Select {live.id}")).to_be_checked()
    expect(page.get_by_role("searchbox")).to_be_focused()
    expect(page.get_by_role("searchbox")).to_have_value("liv")


def test_a_log_grows_while_a_task_prints(
    tmp_path: Path, live: LiveRun, serve: Callable[..., Server], visit: Callable[..., Visit]
) -> None:
    page = visit(serve(tmp_path / "root"), f"/runs/{live.id}?tab=logs").page
    log = page.get_by_role("log")
    expect(log).to_contain_text("step 1 waits")
    live.release(1)
    expect(log).to_contain_text("step 2 waits")
    live.close()
    expect(log).to_contain_text("step 3 ends")


def test_a_page_catches_up_when_the_server_has_been_restarted(
    tmp_path: Path, live: LiveRun, serve: Callable[..., Server], visit: Callable[..., Visit]
) -> None:
    server = serve(tmp_path / "root")
    page, watch = visit(server, f"/runs/{live.id}?tab=tasks")
    watch.expect(r"ERR_(CONNECTION_REFUSED|INCOMPLETE_CHUNKED_ENCODING|CONNECTION_RESET|EMPTY_RESPONSE)")
    expect(task_row(page, "wait-for")).to_contain_text("Running")
    assert server.stop() == 0
    live.release(1)
    expect(page.get_by_text("The server does not answer")).to_be_visible()

    serve(tmp_path / "root", "--port", server.port)
    expect(task_row(page, "wait-for")).to_contain_text("Succeeded", timeout=20_000)
    expect(page.get_by_text("The server does not answer")).to_be_hidden()
    live.release(2)
    expect(task_row(page, "wait-for-2")).to_contain_text("Succeeded")


def test_closing_the_server_does_not_harm_a_run(tmp_path: Path, live: LiveRun, serve: Callable[..., Server]) -> None:
    serve(tmp_path / "root").stop()
    live.close()

    assert live.wait(Status.SUCCEEDED)


def test_two_servers_show_two_roots(
    tmp_path: Path, live: LiveRun, serve: Callable[..., Server], visit: Callable[..., Visit]
) -> None:
    first, second = visit(serve(tmp_path / "root")).page, visit(serve(tmp_path / "other")).page

    expect(first.get_by_role("link", name=live.id, exact=True)).to_be_visible()
    expect(second.get_by_text("No runs yet")).to_be_visible()


def test_a_run_that_is_deleted_while_its_page_is_open_is_named(
    tmp_path: Path, live: LiveRun, serve: Callable[..., Server], visit: Callable[..., Visit]
) -> None:
    page, watch = visit(serve(tmp_path / "root"), f"/runs/{live.id}?tab=tasks")
    watch.expect(rf"404.*{live.id}|console: Failed to load resource.*404")
    live.close()
    expect(page.get_by_role("region", name="Run", exact=True)).to_contain_text("Succeeded")
    shutil.rmtree(tmp_path / "root")

    page.reload()
    expect(page.get_by_role("heading", level=1)).to_have_text("There is no such run")
