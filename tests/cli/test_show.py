"""`standpipe show`."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest

from standpipe import dsl, local
from standpipe.cli.main import main
from standpipe.history import Run
from standpipe.local import FakeRunner


@dsl.component
def add(a: int, b: int = 1) -> int: ...


@dsl.component
def fail(a: int) -> int: ...


@dsl.pipeline
def outer(a: int) -> None:
    fail(a=add(a=a).output)


def boom(a: int) -> Any:
    raise ValueError("boom")


@pytest.fixture
def run(tmp_path: Path) -> Run:
    runner = FakeRunner(add=lambda a, b: {"Output": a + b}, fail=boom)
    local.run(outer, {"a": 2}, runner=runner, pipeline_root=tmp_path, quiet=True, raise_on_error=False)
    found = local.get_run("latest", tmp_path)
    found.task("add").attempts[0].log.write_text("said\n")
    return found


def show(run: Run, *arguments: str) -> int:
    return main(["show", "latest", *arguments, "--root", str(run.folder.parent)])


def test_a_run_is_shown_as_a_tree(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    assert show(run) == 0
    assert capsys.readouterr().out == f"{run}\n"


def test_statuses_have_colours_on_a_terminal(
    run: Run, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.delenv("NO_COLOR", raising=False)
    show(run)
    first, *tasks = capsys.readouterr().out.splitlines()
    assert first.startswith(f"{run.id}: \x1b[31mfailed\x1b[0m in ")
    assert tasks[0].startswith("  add: \x1b[32msucceeded\x1b[0m in ")


def test_a_task_is_shown_with_all_that_is_known_of_it(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    assert show(run, "add") == 0
    shown = capsys.readouterr().out
    assert "inputs:\n  a = 2\n  b = 1\noutputs:\n  Output = 3\nattempt 1: succeeded in " in shown


def test_a_log_is_shown_as_it_is(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    assert show(run, "add", "--log") == 0
    assert capsys.readouterr().out == "said\n"


def test_json_holds_a_run_or_a_task(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    show(run, "--json")
    told = json.loads(capsys.readouterr().out)
    assert (told["id"], [task["path"] for task in told["tasks"]]) == (run.id, ["add", "fail"])
    assert told["failures"] == ["Task 'fail' failed: ValueError: boom"]
    show(run, "fail", "--json")
    told = json.loads(capsys.readouterr().out)
    assert (told["path"], told["inputs"], told["attempts"][0]["failure"]["exit_code"]) == ("fail", {"a": 3}, 1)


def test_what_is_not_there_is_named(run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert show(run, "ad") == 2
    assert "has not reached a task 'ad'. The closest are add" in capsys.readouterr().err
    assert main(["show", "outre", "--root", str(tmp_path)]) == 2
    assert "There is no run 'outre' in" in capsys.readouterr().err
    assert show(run, "--log") == 2
    assert f"standpipe show {run.id} TASK --log" in capsys.readouterr().err
    assert show(run, "add", "--log", "--json") == 2
    assert "Invalid options --log and --json" in capsys.readouterr().err
