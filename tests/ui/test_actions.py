"""Actions: commands in processes of their own, and their pages."""

from __future__ import annotations

import os
import re
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from starlette.testclient import TestClient

from standpipe import compiler, dsl, local
from standpipe.local import FakeRunner
from standpipe.model.layout import ACTIONS_FOLDER, RUN_STORE_FILE
from standpipe.runs.pulled import PulledRun, write_mark
from standpipe.store.locks import RunLock
from standpipe.ui import actions
from standpipe.ui.pages.actions import answer
from standpipe.ui.pages.errors import Refused
from standpipe.ui.source import RunSource
from tests.ui.conftest import ACCESS

#: Seconds that a command may take on a busy machine.
PATIENCE = 60.0


@dsl.component
def greet_from_page(name: str, times: int = 1) -> str:
    return " ".join([f"hello {name}"] * times)


@pytest.fixture(autouse=True)
def _ended_processes() -> Iterator[None]:
    """Wait for the processes that a test has started."""
    yield
    for process in actions._processes.values():
        process.wait(PATIENCE)
    actions._processes.clear()


@pytest.fixture
def user(client: Callable[[], TestClient]) -> TestClient:
    made = client()
    made.follow_redirects = False
    return made


def post(user: TestClient, path: str, **fields: object) -> Any:
    return user.post(path, data={"csrf": ACCESS.csrf, **fields})


def run(root: Path, *, fails: bool = False, **arguments: object) -> str:
    runner = FakeRunner(greet_from_page=lambda **_: {} if fails else {"Output": "hello"})
    local.run(greet_from_page, arguments, runner=runner, pipeline_root=root, quiet=True, raise_on_error=False)
    return local.get_run("latest", root).id


def forget_ends(root: Path) -> None:
    """Let all runs be in progress, as far as the run store knows."""
    with closing(sqlite3.connect(root / RUN_STORE_FILE)) as db, db:
        db.execute("DELETE FROM facts WHERE kind = 'RunEnded'")


def wait(started: actions.Started) -> None:
    end = time.monotonic() + PATIENCE
    while not started.is_over and time.monotonic() < end:
        time.sleep(0.02)


def test_a_new_run_has_its_arguments_and_a_log(tmp_path: Path) -> None:
    file = tmp_path / "greet.yaml"
    compiler.Compiler().compile(greet_from_page, str(file))
    started = actions.start_new_run(tmp_path, file, {"name": "ann = 'b'", "times": 2}, options=["--no-venv"])
    started.wait(PATIENCE)
    assert started.run_id()
    wait(started)
    assert started.exit_code() == 0
    made = local.get_run(started.run_id() or "", tmp_path)
    assert made.status.value == "SUCCEEDED"
    assert made.outputs["Output"] == "hello ann = 'b' hello ann = 'b'"
    assert "Succeeded" in started.tail()
    assert started.log.parent == tmp_path / ACTIONS_FOLDER
    for path in (started.log, started.log.with_suffix(".json"), started.log.with_suffix(".args.json")):
        assert path.stat().st_mode & 0o077 == 0


def test_a_new_run_of_a_pipeline_that_a_run_remembers(tmp_path: Path) -> None:
    source = RunSource(tmp_path)
    plan = source.plan(source.run(run(tmp_path, name="a")))
    assert plan is not None
    started = actions.start_new_run(tmp_path, plan, {"name": "b"}, options=["--no-venv"])
    wait(started)
    assert local.get_run(started.run_id() or "", tmp_path).outputs["Output"] == "hello b"


def test_a_run_that_cannot_start_says_why(tmp_path: Path) -> None:
    started = actions.start_new_run(tmp_path, tmp_path / "missing.yaml", {})
    wait(started)
    with pytest.raises(Refused) as refused:
        answer(started)
    assert "missing.yaml" in refused.value.details
    assert "Traceback" not in refused.value.details


def test_another_server_finds_a_command_and_its_run(tmp_path: Path) -> None:
    file = tmp_path / "greet.yaml"
    compiler.Compiler().compile(greet_from_page, str(file))
    started = actions.start_new_run(tmp_path, file, {"name": "a"}, options=["--no-venv"])
    wait(started)
    actions._processes.clear()
    found = actions.find(tmp_path, started.name)
    assert found == started
    assert (found.run_id(), found.is_over, found.exit_code()) == (started.run_id(), True, None)


@pytest.mark.parametrize(
    "name", ["", "..", "../x", "20261130-120000-000000-run", "20261130-120000-000000-run\n", "x/y"]
)
def test_what_is_no_action_is_not_found(tmp_path: Path, name: str, user: TestClient) -> None:
    assert actions.find(tmp_path, name) is None
    address = "/actions/" + (quote(name, safe="") if name.strip(".") else "x")
    assert user.get(address).status_code == 404


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"command": "x", "pid": -1}', '{"command": 1, "pid": 1e99}'])
def test_what_a_task_may_have_written_there_is_not_trusted(tmp_path: Path, content: str) -> None:
    name = "20261130-120000-000000-run"
    (tmp_path / ACTIONS_FOLDER).mkdir()
    (tmp_path / ACTIONS_FOLDER / f"{name}.json").write_text(content)
    assert actions.find(tmp_path, name) is None


def test_a_link_in_the_folder_of_actions_is_not_followed(tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (tmp_path / "root").mkdir()
    (tmp_path / "root" / ACTIONS_FOLDER).symlink_to(outside)
    with pytest.raises(OSError, match="symbolic link"):
        actions.start(tmp_path / "root", "runs")
    assert os.listdir(outside) == []


def test_commands_import_nothing_from_the_current_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "queue.py").write_text("raise SystemExit(99)")
    monkeypatch.chdir(tmp_path)
    file = tmp_path / "greet.yaml"
    compiler.Compiler().compile(greet_from_page, str(file))
    started = actions.start_new_run(tmp_path, file, {"name": "a"}, options=["--no-venv"])
    wait(started)
    assert started.exit_code() == 0


def test_old_actions_are_removed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(actions, "_MOST_KEPT", 2)
    folder = tmp_path / ACTIONS_FOLDER
    folder.mkdir()
    for day in (1, 2, 3):
        for ending in ("log", "json"):
            (folder / f"2026110{day}-120000-000000-run.{ending}").touch()
    (folder / "mine").touch()
    actions.new_name(tmp_path, "run")
    assert sorted({name.partition("-")[0] for name in os.listdir(folder)}) == ["20261102", "20261103", "mine"]


def test_stop_requests_the_cancellation(tmp_path: Path, user: TestClient) -> None:
    run_id = run(tmp_path, name="a")
    refused = post(user, f"/runs/{run_id}/stop")
    assert refused.status_code == 409
    assert "not in progress" in refused.text
    with RunLock(tmp_path / run_id):
        response = post(user, f"/runs/{run_id}/stop")
        assert (tmp_path / run_id / ".stop").exists()
    assert (response.status_code, response.headers["location"]) == (303, f"/runs/{run_id}")


def test_an_action_leads_back_to_the_tab_and_the_task_that_the_user_was_at(tmp_path: Path, user: TestClient) -> None:
    run_id, other = run(tmp_path, name="a"), run(tmp_path, name="b")
    for referrer, expected in (
        (f"http://testserver/runs/{run_id}?tab=tasks&task=x", f"/runs/{run_id}?tab=tasks&task=x"),
        (f"http://testserver/runs/{other}?tab=tasks", f"/runs/{run_id}"),
        ("http://[/", f"/runs/{run_id}"),
    ):
        with RunLock(tmp_path / run_id):
            response = user.post(f"/runs/{run_id}/stop", data={"csrf": ACCESS.csrf}, headers={"referer": referrer})
        assert response.headers["location"] == expected


def test_a_failed_run_is_resumed(tmp_path: Path, user: TestClient) -> None:
    run_id = run(tmp_path, fails=True, name="a")
    response = post(user, f"/runs/{run_id}/resume")
    assert response.headers["location"] in (f"/runs/{run_id}", f"/actions/{next(iter(actions._processes))}")
    for process in actions._processes.values():
        process.wait(PATIENCE)
    assert local.get_run(run_id, tmp_path).resume_count == 1


def test_a_task_is_rerun_as_a_new_run(tmp_path: Path, user: TestClient) -> None:
    run_id = run(tmp_path, name="a")
    assert post(user, f"/runs/{run_id}/rerun").status_code == 400
    assert post(user, f"/runs/{run_id}/rerun", task="nothing").status_code == 404
    assert post(user, f"/runs/{run_id}/rerun", task="greet-from-page", runner="nothing").status_code == 400
    response = post(user, f"/runs/{run_id}/rerun", task="greet-from-page", runner="subprocess")
    assert response.status_code == 303


def test_delete_shows_the_size_and_asks_first(tmp_path: Path, user: TestClient) -> None:
    run_id = run(tmp_path, name="a")
    (tmp_path / run_id / "large").write_bytes(b"x" * 1024**2)
    page = user.get(f"/runs/{run_id}/delete")
    assert page.status_code == 200
    assert re.search(r"1(\.\d+)? MiB", page.text)
    assert local.get_run(run_id, tmp_path)
    assert post(user, f"/runs/{run_id}/delete").status_code == 303
    for process in actions._processes.values():
        process.wait(PATIENCE)
    assert local.runs(tmp_path) == []


def test_several_are_deleted_at_once(tmp_path: Path, user: TestClient) -> None:
    first, second, third = (run(tmp_path, name=name) for name in "abc")
    page = user.get("/delete", params={"run": [first, third]})
    assert "Delete 2 runs?" in page.text
    post(user, "/delete", run=[first, third])
    for process in actions._processes.values():
        process.wait(PATIENCE)
    assert [each.id for each in local.runs(tmp_path)] == [second]


def test_deleting_a_run_in_progress_is_refused_with_the_reason(tmp_path: Path, user: TestClient) -> None:
    run_id = run(tmp_path, name="a")
    with RunLock(tmp_path / run_id):
        response = post(user, "/delete", run=run_id)
        for process in actions._processes.values():
            process.wait(PATIENCE)
    if response.status_code == 303:  # on a busy machine it took longer
        response = user.get(response.headers["location"])
    assert "still active" in response.text
    assert "Traceback" not in response.text
    assert local.get_run(run_id, tmp_path)


@pytest.mark.parametrize(("status", "shown"), [("running", "/stop"), ("failed", "/resume"), ("succeeded", "/delete")])
def test_the_page_of_a_run_has_the_actions_for_its_state(
    tmp_path: Path, user: TestClient, status: str, shown: str
) -> None:
    run_id = run(tmp_path, fails=status == "failed", name="a")
    if status == "running":
        forget_ends(tmp_path)
        with RunLock(tmp_path / run_id):
            page = user.get(f"/runs/{run_id}").text
    else:
        page = user.get(f"/runs/{run_id}").text
    offered = {action for action in ("/stop", "/resume", "/delete") if f"/runs/{run_id}{action}" in page}
    assert offered == {shown, *(["/delete"] if status == "failed" else [])}


def test_a_run_in_progress_on_a_cluster_is_deleted_and_cannot_be_stopped(tmp_path: Path, user: TestClient) -> None:
    run_id = run(tmp_path, name="a")
    forget_ends(tmp_path)
    write_mark(tmp_path / run_id, PulledRun("https://kfp.example.com", "7", {}))
    page = user.get(f"/runs/{run_id}").text
    assert [action for action in ("/stop", "/resume", "/delete") if f"/runs/{run_id}{action}" in page] == ["/delete"]
    assert f"{run_id} is not in progress here" in post(user, f"/runs/{run_id}/stop").text
    assert "still in progress" not in user.get(f"/runs/{run_id}/delete").text
    post(user, "/delete", run=run_id)
    for process in actions._processes.values():
        process.wait(PATIENCE)
    assert local.runs(tmp_path) == []


def test_a_form_without_runs_is_refused(user: TestClient) -> None:
    assert post(user, "/delete").status_code == 400
    assert user.get("/delete").status_code == 400


@pytest.mark.parametrize("action", ["stop", "resume", "rerun", "delete"])
def test_actions_on_an_unknown_run_say_so(user: TestClient, action: str) -> None:
    response = post(user, f"/runs/nothing/{action}")
    assert response.status_code == 404
    assert "There is no run" in response.text
