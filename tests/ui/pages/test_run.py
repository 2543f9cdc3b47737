"""The page of a run: its tabs, the panel of a task, logs as text, and what untrusted text can do in them."""

from __future__ import annotations

import re
import shutil
import threading
import time
from collections.abc import Callable
from html import unescape
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient

from standpipe import dsl, local
from standpipe.history import Run, get_run
from standpipe.local import FakeRunner, SubprocessRunner
from standpipe.store.reading import StoredFacts

Client = Callable[[], TestClient]
EVIL = "<script>alert('1')</script>\"&"


@dsl.component
def page_say(text: str, note: dsl.Output[dsl.Artifact]) -> str:
    print(text)
    print("\x1b[31mred\x1b[0m and \x1b]0;title\x07 plain")
    note.metadata["text"] = text
    with open(note.path, "w") as file:
        file.write(text)
    return text


@dsl.component
def page_fail(text: str) -> None:
    raise RuntimeError(text)


@dsl.pipeline(description=EVIL)
def page_all(text: str = EVIL, words: list = [EVIL]) -> str:  # noqa: B006 - KFP copies it
    said = page_say(text=text)
    with dsl.ParallelFor(words) as word:
        page_fail(text=word)
    return said.outputs["Output"]


@dsl.component
def page_secret(x: int) -> str:
    import os

    print("the token is", os.environ["PAGE_TOKEN"])
    return os.environ["PAGE_TOKEN"]


@dsl.pipeline
def page_secrets() -> None:
    page_secret(x=1).set_env_variable("PAGE_TOKEN", "hunter2-hunter2")


def run_of(root: Path, pipeline: Any = page_all, **options: Any) -> Run:
    runner = options.pop("runner", None) or SubprocessRunner(use_venv=False)
    local.run(pipeline, runner=runner, quiet=True, raise_on_error=False, pipeline_root=root, **options)
    return get_run(root, "latest")


@pytest.fixture
def run(tmp_path: Path) -> Run:
    return run_of(tmp_path)


def text_of(page: str) -> str:
    """Return the text of the main part of a page."""
    main = page.partition("<main")[2].partition("</main>")[0]
    return " ".join(unescape(re.sub(r"<[^>]*>", " ", main)).split())


def get(client: Client, run: Run, **query: Any) -> str:
    page = client().get(f"/runs/{run.id}", params=query)
    assert page.status_code == 200, page.text
    return page.text


TABS = [{"tab": tab} for tab in ("graph", "timeline", "tasks", "logs", "details", "spec")]
PANELS = [
    {"tab": "tasks", "task": task, "panel": panel}
    for task in ("page-say", "for-loop-1", "for-loop-1/0", "for-loop-1/0/page-fail")
    for panel in ("io", "details", "logs", "cache")
]


def test_no_tab_and_no_panel_lets_markup_through(run: Run, client: Client) -> None:
    for query in (*TABS, *PANELS, {"tab": "tasks", "q": EVIL}, {"tab": "logs", "search": EVIL}, {"tab": EVIL}):
        page = get(client, run, **query)

        assert "<script>alert" not in page, query
        assert " style=" not in page, query
        assert not re.search(r"\son\w+=", page), query


def test_tasks_are_listed_with_why_they_failed(run: Run, client: Client) -> None:
    text = text_of(get(client, run, tab="tasks"))

    assert f"RuntimeError: {EVIL}" in text
    assert "for-loop-1 loop Failed" in text
    assert text_of(get(client, run, tab="tasks", state="FAILED")).count("page-fail") >= 1
    assert "page-say" not in text_of(get(client, run, tab="tasks", state="FAILED"))


def test_logs_are_shown_with_colors(run: Run, client: Client) -> None:
    page = get(client, run, tab="logs", task="page-say")

    assert EVIL in text_of(page)
    assert '<span class="ansi-fg-1">red</span> and  plain' in page
    assert "page-say" in text_of(get(client, run, tab="logs"))
    assert "1 line contains" in text_of(get(client, run, tab="logs", search="red"))


def test_the_log_is_text_from_a_byte_on(run: Run, client: Client) -> None:
    address = f"/runs/{run.id}/log"
    first = client().get(address, params={"task": "page-say"})
    rest = client().get(address, params={"task": "page-say", "offset": len(EVIL) + 1})

    assert first.text.startswith(f"{EVIL}\n")
    assert first.headers["content-type"].startswith("text/plain")
    assert rest.text == first.text[len(EVIL) + 1 :]
    assert first.headers["x-next-offset"] == first.headers["x-size"]
    assert client().get(address, params={"task": "nothing"}).status_code == 404
    assert client().get(address, params={"task": "page-say", "attempt": 9}).status_code == 404


def test_the_log_is_downloaded_as_it_is(run: Run, client: Client) -> None:
    response = client().get(f"/runs/{run.id}/log", params={"task": "page-say", "download": 1})

    assert response.content == run.task("page-say").attempts[0].log.read_bytes()
    assert response.headers["content-disposition"] == f'attachment; filename="{run.id}-page-say-1.txt"'
    assert response.headers["x-content-type-options"] == "nosniff"


def test_the_logs_of_all_tasks_or_of_a_group_are_one_file(run: Run, client: Client) -> None:
    said, failed = run.task("page-say").attempts[0].log, run.task("for-loop-1/0/page-fail").attempts[0].log
    all_tasks = client().get(f"/runs/{run.id}/log", params={"download": 1})
    loop = client().get(f"/runs/{run.id}/log", params={"download": 1, "task": "for-loop-1"})

    of_loop = b"==> for-loop-1/0/page-fail, attempt 1 <==\n" + failed.read_bytes() + b"\n"
    assert loop.content == of_loop
    assert sorted(all_tasks.content.split(b"==> ")) == sorted(
        (b"==> page-say, attempt 1 <==\n" + said.read_bytes() + b"\n" + of_loop).split(b"==> ")
    )
    assert all_tasks.headers["content-disposition"] == f'attachment; filename="{run.id}.txt"'
    assert "Download" in text_of(get(client, run, tab="logs"))


def test_a_log_that_is_gone_is_said_in_the_file_of_all(run: Run, client: Client) -> None:
    run.task("page-say").attempts[0].log.unlink()
    text = client().get(f"/runs/{run.id}/log", params={"download": 1}).text

    assert "==> page-say, attempt 1 <==\nThe log was removed" in text
    assert "==> for-loop-1/0/page-fail, attempt 1 <==\n" in text


def test_a_cursor_of_a_log_that_has_ended_gives_its_lines_and_no_cursor(run: Run, client: Client) -> None:
    cursor = '["",-1,[["page-say",1,0,0,"",1]]]'
    new = client().get(f"/runs/{run.id}/log/follow", params={"cursor": cursor}).json()

    assert new["cursor"] == ""
    assert "ansi-fg-1" in new["html"]
    assert "<script>" not in new["html"]
    assert client().get(f"/runs/{run.id}/log/follow", params={"cursor": "[]"}).status_code == 400


def test_details_have_parameters_failures_and_commands(run: Run, client: Client) -> None:
    text = text_of(get(client, run, tab="details"))

    assert EVIL in text
    assert f"RuntimeError: {EVIL}" in text
    assert f"standpipe resume --root {run.folder.parent} {run.id}" in text


def test_the_pipeline_is_shown_and_downloaded_as_yaml(run: Run, client: Client) -> None:
    text = text_of(get(client, run, tab="spec"))
    response = client().get(f"/runs/{run.id}/spec")

    assert "deploymentSpec" in text
    assert "def page_say(text: str" in text
    assert "name: page-all" in response.text
    assert response.headers["content-disposition"] == 'attachment; filename="pipeline.yaml"'


def test_the_panel_has_the_sections_of_a_task(run: Run, client: Client) -> None:
    io = get(client, run, tab="tasks", task="page-say", panel="io")
    details = text_of(get(client, run, tab="tasks", task="for-loop-1/0/page-fail", panel="details"))

    assert f"/runs/{run.id}/artifact?uri=" in io
    assert EVIL in text_of(io)
    assert "exit code 1" in details
    assert "raise RuntimeError(text)" in details
    assert f"standpipe rerun --root {run.folder.parent} {run.id} for-loop-1/0/page-fail" in details
    assert "1 attempt" in details or "Attempts" in details
    assert "Open the log" in text_of(get(client, run, tab="graph", task="page-say", panel="logs"))


def test_the_panel_reruns_by_post_with_the_value_of_the_server(run: Run, client: Client) -> None:
    page = get(client, run, tab="tasks", task="page-say")
    form = page.partition(f'action="/runs/{run.id}/rerun"')[2].partition("</form>")[0]

    assert 'name="csrf" value="' in form
    assert 'name="task" value="page-say"' in form


def test_the_cache_section_compares_with_the_run_before(tmp_path: Path, client: Client) -> None:
    runner = FakeRunner(page_say=lambda text: {"Output": text}, page_fail=lambda text: None)
    first = run_of(tmp_path, runner=runner)
    local.run(page_all, {"text": "other"}, runner=runner, quiet=True, pipeline_root=tmp_path)
    text = text_of(get(client, get_run(tmp_path, "latest"), tab="tasks", task="page-say", panel="cache"))

    assert first.id in text
    assert "parameter text" in text
    assert "→ other" in text


def test_a_task_that_is_gone_is_a_notice(run: Run, client: Client) -> None:
    page = get(client, run, tab="logs", task="for-loop-9/<b>")

    assert "has not reached a task 'for-loop-9/<b>'" in text_of(page)
    assert "<b>" not in page.replace("&lt;b&gt;", "")


@pytest.mark.parametrize(
    "query",
    [
        {"fold": ["x", "1:", ":", "99999999999999999999:a", "-5:page-say"], "page": "99999", "state": "NOTHING"},
        {"tab": "logs", "attempt": "x", "end": "-1", "before": "99999999999999999999999"},
        {"tab": "logs", "before": "0"},
        {"tab": "logs", "task": "page-say", "end": "0"},
        {"tab": "logs", "scope": "of:"},
        {"tab": "nothing", "panel": "nothing", "task": "page-say"},
    ],
)
def test_any_address_is_a_page(run: Run, client: Client, query: dict[str, Any]) -> None:
    get(client, run, **{"tab": "tasks", **query})


def test_a_removed_run_folder_is_said(run: Run, client: Client) -> None:
    shutil.rmtree(run.folder)

    assert "The log was removed" in text_of(get(client, run, tab="logs", task="page-say"))
    assert "removed" in text_of(get(client, run, tab="tasks", task="page-say", panel="io"))
    assert client().get(f"/runs/{run.id}/log", params={"task": "page-say"}).status_code == 404


def test_a_run_is_prepared_for_its_page(run: Run, client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    made = client()
    assert made.get(f"/runs/{run.id}/prepare").status_code == 204
    assert made.get("/runs/nothing/prepare").status_code == 204
    monkeypatch.setattr(StoredFacts, "facts_since", None)

    assert made.get(f"/runs/{run.id}").status_code == 200


def test_masked_secrets_stay_masked(tmp_path: Path, client: Client) -> None:
    run = run_of(tmp_path, page_secrets, secret_env=["PAGE_TOKEN"])
    for query in (
        *TABS,
        *({"tab": "tasks", "task": "page-secret", "panel": each} for each in ("io", "details", "logs")),
    ):
        assert "hunter2" not in get(client, run, **query), query
    assert "the token is ***" in text_of(get(client, run, tab="logs"))
    assert "hunter2" not in client().get(f"/runs/{run.id}/log", params={"task": "page-secret", "download": 1}).text
    assert "hunter2" not in client().get(f"/runs/{run.id}/spec").text


def test_a_log_is_followed_while_its_task_prints(tmp_path: Path, client: Client) -> None:
    go_on = tmp_path / "go-on"

    @dsl.component
    def page_wait(path: str) -> None:
        import os
        import time

        print("first", flush=True)
        while not os.path.exists(path):
            time.sleep(0.01)
        print("second")

    @dsl.pipeline
    def page_waits() -> None:
        page_wait(path=str(go_on))

    thread = threading.Thread(target=run_of, args=(tmp_path, page_waits))
    thread.start()
    try:
        while not [*tmp_path.glob("page-waits-*/page-wait/log.txt")]:
            time.sleep(0.01)
        run = get_run(tmp_path, "latest")
        page = get(client, run, tab="logs")
        cursor = unescape(page.partition('data-cursor="')[2].partition('"')[0])
        first, cursor = follow_until(client(), run, cursor, "first") if "first" not in page else (page, cursor)
        go_on.touch()
        second, cursor = follow_until(client(), run, cursor, "second")
    finally:
        go_on.touch()
        thread.join()

    assert "first" in first
    assert "second" in second
    assert follow_until(client(), run, cursor, "nothing")[1] == ""


def follow_until(client: TestClient, run: Run, cursor: str, text: str) -> tuple[str, str]:
    """Return the lines of a log up to one with a text, or to its end, and the cursor after them."""
    lines = ""
    while cursor and text not in lines:
        new = client.get(f"/runs/{run.id}/log/follow", params={"cursor": cursor}).json()
        lines, cursor = lines + new["html"], new["cursor"]
    return lines, cursor
