"""Live pages and attacks of other pages, in Chromium."""

from __future__ import annotations

import shutil
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Browser, Page

from standpipe.model.events import AttemptStarted, RunEnded, RunStarted, TaskReady, TaskSucceeded
from standpipe.model.layout import RUN_STORE_FILE
from standpipe.model.states import TaskState
from standpipe.runs.deletion import delete_runs
from standpipe.store.runs import RunRecorder
from tests.chromium import browser
from tests.ui.test_live import PLAN, RUN, TASK, recorder
from tests.ui.test_server import Server, free_port, serve

pytestmark = pytest.mark.slow
__all__ = ["browser", "recorder", "serve"]  # fixtures

#: Milliseconds after which a page is late on a machine that does much else.
LATE = 20_000


@pytest.fixture(autouse=True)
def _own_cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STANDPIPE_CACHE", str(tmp_path_factory.mktemp("cache")))


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    """Return a page that fails the test with an error of its scripts."""
    errors: list[str] = []
    context = browser.new_context()
    made = context.new_page()
    made.set_default_timeout(LATE)
    made.on("pageerror", lambda error: errors.append(str(error)))
    yield made
    context.close()
    assert errors == []


def of_run(server: Server) -> str:
    parts = urlsplit(server.address)
    return parts._replace(path=f"/runs/{RUN.id}").geturl()


def test_a_fact_is_on_the_page_at_once(
    tmp_path: Path, page: Page, recorder: RunRecorder, serve: Callable[..., Server]
) -> None:
    page.goto(of_run(serve(tmp_path)))
    for fact, shown in (
        (TaskReady(TASK, {}), "text=1 waiting"),
        (AttemptStarted(TASK, 0), "text=1 running"),
        (TaskSucceeded(TASK, {}), "text=1 succeeded"),
        (RunEnded(TaskState.SUCCEEDED, {}), ".state-succeeded"),
    ):
        recorder((fact,))
        page.wait_for_selector(f".facts >> {shown}")


def test_the_page_is_not_loaded_again_while_nothing_changes(
    tmp_path: Path, page: Page, recorder: RunRecorder, serve: Callable[..., Server]
) -> None:
    loads: list[str] = []
    page.on("request", lambda request: loads.append(urlsplit(request.url).path))
    page.goto(of_run(serve(tmp_path)))
    page.wait_for_timeout(3000)
    assert loads.count(f"/runs/{RUN.id}") == 2, "with the token, and without it"
    assert loads.count("/events") == 1


def test_the_page_catches_up_after_a_restart_and_tells_of_problems_and_of_the_end(
    tmp_path: Path, page: Page, recorder: RunRecorder, serve: Callable[..., Server]
) -> None:
    port = str(free_port())
    server = serve(tmp_path, "--port", port)
    page.goto(of_run(server))
    server.process.send_signal(signal.SIGINT)
    server.process.wait()
    page.wait_for_selector(".connection >> text=does not answer")
    recorder((TaskReady(TASK, {}), AttemptStarted(TASK, 0), TaskSucceeded(TASK, {}), RunEnded(TaskState.SUCCEEDED, {})))
    serve(tmp_path, "--port", port)
    page.wait_for_selector(".facts >> .state-succeeded")
    page.wait_for_selector(".connection", state="hidden")

    recorder.close()
    store, copy = tmp_path / RUN_STORE_FILE, tmp_path / "copy"
    shutil.copy(store, copy)
    store.write_bytes(b"no database" * 1000)
    page.wait_for_selector(".connection >> text=is damaged")
    copy.replace(store)
    page.wait_for_selector(".connection", state="hidden")
    assert "Succeeded" in page.inner_text(".facts")


def test_the_page_of_a_deleted_run_says_so(tmp_path: Path, page: Page, serve: Callable[..., Server]) -> None:
    (tmp_path / RUN.id).mkdir()
    with closing(RunRecorder(tmp_path, RUN, PLAN)) as recorder:
        recorder((RunStarted({}), RunEnded(TaskState.SUCCEEDED, {})))
    page.goto(of_run(serve(tmp_path)))
    page.wait_for_selector(".facts >> .state-succeeded")
    list(delete_runs(tmp_path, [RUN.id]))
    page.wait_for_selector("h1 >> text=There is no such run")


def test_a_run_is_deleted_in_the_browser(tmp_path: Path, page: Page, serve: Callable[..., Server]) -> None:
    (tmp_path / RUN.id).mkdir()
    with closing(RunRecorder(tmp_path, RUN, PLAN)) as recorder:
        recorder((RunStarted({}), RunEnded(TaskState.SUCCEEDED, {})))
    page.goto(of_run(serve(tmp_path)))
    page.click("text=Delete…")
    page.click("button:has-text('Delete')")
    page.wait_for_url("**/")
    page.wait_for_selector("text=No runs yet")
    assert not (tmp_path / RUN.id).exists()


def test_another_server_of_this_machine_cannot_use_the_cookie_of_the_browser(
    tmp_path: Path, page: Page, recorder: RunRecorder, serve: Callable[..., Server]
) -> None:
    server = serve(tmp_path)
    page.goto(of_run(server))
    page.wait_for_selector(".facts >> text=Running")
    own, action = f"http://127.0.0.1:{server.port}", f"/runs/{RUN.id}/stop"
    evil = f"""<!doctype html><title>evil</title><iframe id="frame" src="{own}/"></iframe><img src="{own}/">
<script src="{own}/static/page.js"></script>
<form method="post" action="{own}{action}" target="sent"><input name="csrf" value="guessed"></form>
<iframe name="sent"></iframe>"""

    class Evil(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Type", "text/html")
            self.end_headers()
            self.wfile.write(evil.encode())

        def log_message(self, *_: object) -> None:
            pass

    answers: list[tuple[str, int]] = []
    page.on("response", lambda answer: answers.append((urlsplit(answer.url).netloc, answer.status)))
    with ThreadingHTTPServer(("127.0.0.1", 0), Evil) as attacker:
        threading.Thread(target=attacker.serve_forever, daemon=True).start()
        page.goto(f"http://127.0.0.1:{attacker.server_port}/")
        answers.clear()
        attempts = page.evaluate(
            """async ([own, action]) => {
              const read = async (address, options) => {
                const settings = {credentials: "include", ...options};
                try { return await (await fetch(address, settings)).text(); } catch { return "refused"; }
              };
              document.forms[0].submit();
              const body = new URLSearchParams({csrf: "x"});
              return [
                await read(own + "/", {}),
                await read(own + "/", {mode: "no-cors"}),
                await read(own + action, {method: "POST", mode: "no-cors", body}),
                await read(own + action, {method: "POST", body: "x"}),
              ];
            }""",
            [own, action],
        )
        page.wait_for_timeout(500)
        attacker.shutdown()
    assert set(attempts) <= {"refused", ""}, "nothing can be read"
    of_server = [status for netloc, status in answers if netloc == urlsplit(own).netloc]
    assert of_server
    assert set(of_server) == {403}
    assert not (tmp_path / RUN.id / ".stop").exists()
