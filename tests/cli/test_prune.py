"""`standpipe prune`; what is deleted and kept is in tests/runs/test_pruning.py."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from standpipe import dsl, local
from standpipe.cli.main import main
from standpipe.local import FakeRunner
from standpipe.model.layout import DELETED_FOLDER
from standpipe.store.locks import RunLock
from tests.processes import CHECKOUT
from tests.terminals import type_on_terminal


@dsl.component
def echo(text: str) -> str: ...


def start(root: Path, text: str = "a") -> str:
    """Run `echo`, and return the id of the run."""
    runner = FakeRunner(echo=lambda text: {"Output": text})
    local.run(echo, {"text": text}, runner=runner, pipeline_root=root, quiet=True)
    return local.get_run("latest", root).id


def prune(root: Path, *arguments: str) -> int:
    return main(["prune", *arguments, "--root", str(root)])


def remaining(root: Path) -> list[str]:
    return [run.id for run in local.runs(root)]


def test_a_dry_run_says_what_would_be_deleted(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    first, second = start(tmp_path), start(tmp_path)
    (tmp_path / first / "large").write_bytes(b"x" * 3 * 1024**2)
    assert prune(tmp_path, "--keep", "1", "--dry-run") == 0
    shown = capsys.readouterr().out.splitlines()
    assert shown[0].startswith(f"run {first}: succeeded, ")
    size = r"3(\.\d+)? MiB"  # more where folders and small files take blocks
    assert re.search(rf" s ago, {size}$", shown[0])
    assert re.fullmatch(rf"To delete: 1 run, {size} in all\.", shown[1])
    assert remaining(tmp_path) == [second, first]


def test_runs_are_deleted_and_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    first, second = start(tmp_path), start(tmp_path)
    assert prune(tmp_path, "--keep", "1", "--yes") == 0
    shown = capsys.readouterr().out
    assert f"\nDeleted run {first}: " in shown
    assert "\nDeleted 1 run: " in shown
    assert remaining(tmp_path) == [second]
    assert prune(tmp_path, "--keep", "1", "--yes") == 0
    assert capsys.readouterr().out == "Nothing to delete.\n"


def test_json_has_what_is_deleted_and_what_was(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    first, _ = start(tmp_path), start(tmp_path)
    assert prune(tmp_path, "--keep", "1", "--dry-run", "--json") == 0
    planned = json.loads(capsys.readouterr().out)
    assert [(run["id"], run["pipeline"], run["status"]) for run in planned["runs"]] == [(first, "echo", "SUCCEEDED")]
    assert planned["size"] == planned["runs"][0]["size"] > 0
    assert prune(tmp_path, "--keep", "1", "--yes", "--json") == 0
    assert json.loads(capsys.readouterr().out) == {**planned, "left": []}


def test_runs_that_are_needed_are_named_with_the_reason(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    runner = FakeRunner(echo=lambda text: {"Output": text})
    for _ in range(2):
        local.run(echo, {"text": "a"}, runner=runner, pipeline_root=tmp_path, quiet=True, enable_caching=True)
    second, first = remaining(tmp_path)
    assert prune(tmp_path, "--keep", "1", "--dry-run") == 0
    assert capsys.readouterr().out == (
        f"kept {first}: run {second} uses its artifacts or cached outputs\nNothing to delete.\n"
    )


def test_without_a_terminal_nobody_is_asked(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = start(tmp_path)
    assert prune(tmp_path, "--keep", "0") == 2
    assert (
        "Nothing was deleted: nobody can be asked here. Use --yes to delete, or --dry-run." in capsys.readouterr().err
    )
    assert remaining(tmp_path) == [run]


@pytest.mark.parametrize("answer", ["y", "n", ""])
def test_a_user_is_asked(tmp_path: Path, answer: str) -> None:
    run = start(tmp_path)
    command = [sys.executable, "-m", "standpipe", "prune", "--keep", "0", "--root", str(tmp_path)]
    shown = type_on_terminal(command, [("Delete 1 run? [y/N] ", f"{answer}\n")])
    assert remaining(tmp_path) == ([] if answer == "y" else [run])
    assert ("Nothing was deleted." in shown) == (answer != "y")


def test_ctrl_c_at_the_question_deletes_nothing(tmp_path: Path) -> None:
    run = start(tmp_path)
    command = [sys.executable, "-m", "standpipe", "prune", "--keep", "0", "--root", str(tmp_path)]
    shown = type_on_terminal(command, [("Delete 1 run? [y/N] ", "\x03")])
    assert "Traceback" not in shown
    assert remaining(tmp_path) == [run]


def test_nothing_selected_is_an_error(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    start(tmp_path)
    assert prune(tmp_path, "--yes") == 2
    assert "Nothing is selected: choose runs with --older-than" in capsys.readouterr().err
    assert prune(tmp_path, "--keep", "0", "--json") == 2
    assert "it needs --dry-run or --yes" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("option", "value", "problem"),
    [
        ("--older-than", "soon", "invalid age 'soon': expected a number with a unit such as 12h, 30d or 8w"),
        ("--larger-than", "1XB", "invalid memory quantity '1X'"),
        ("--keep", "-1", "expected a number of runs, got '-1'"),
        ("--state", "running", "invalid choice: 'running'"),
        ("--environments", "x", "invalid age 'x'"),
    ],
)
def test_invalid_values_are_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], option: str, value: str, problem: str
) -> None:
    with pytest.raises(SystemExit, match="2"):
        prune(tmp_path, f"{option}={value}")
    assert problem in capsys.readouterr().err


def test_sizes_have_units(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = start(tmp_path)
    (tmp_path / run / "large").write_bytes(b"x" * 3 * 1024**2)
    for size, is_selected in (("2MiB", True), ("2Mi", True), ("4MiB", False), ("1GiB", False)):
        assert prune(tmp_path, "--larger-than", size, "--dry-run") == 0
        assert (run in capsys.readouterr().out) == is_selected


def test_a_run_in_progress_is_left(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run, other = start(tmp_path), start(tmp_path)
    with RunLock(tmp_path / run):
        assert prune(tmp_path, "--keep", "0", "--yes") == 1
    assert f"Not deleted: run {run}, which is in use now." in capsys.readouterr().err
    assert remaining(tmp_path) == [run]
    assert other not in remaining(tmp_path)


def test_environments_are_removed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("STANDPIPE_CACHE", str(tmp_path / "cache"))
    folder = tmp_path / "cache" / "envs" / ("a" * 32)
    folder.mkdir(parents=True)
    (folder / "complete.json").write_text('{"created": 1, "requirements": ["numpy==2"]}')
    assert prune(tmp_path, "--environments", "--dry-run") == 0
    assert f"environment {'a' * 32} (numpy==2): unused since " in capsys.readouterr().out
    assert prune(tmp_path, "--environments", "1d", "--yes") == 0
    assert "Deleted 1 environment: " in capsys.readouterr().out
    assert not folder.exists()


def test_a_reader_that_exits_does_not_stop_it(tmp_path: Path) -> None:
    for _ in range(3):
        start(tmp_path)
    command = f"{sys.executable} -m standpipe prune --keep 0 --yes --root {tmp_path} | head -1"
    shown = subprocess.run(command, shell=True, cwd=CHECKOUT, capture_output=True, text=True, check=True)
    assert shown.stderr == ""
    assert remaining(tmp_path) == []


def test_an_interrupted_deletion_is_finished_though_nothing_is_selected(tmp_path: Path) -> None:
    run = start(tmp_path)
    (tmp_path / DELETED_FOLDER / f"gone{run[len('echo') :]}" / "run").mkdir(parents=True)
    assert prune(tmp_path, "--older-than", "30d", "--yes") == 0
    assert not (tmp_path / DELETED_FOLDER).exists()
    assert remaining(tmp_path) == [run]


def test_a_damaged_store_is_an_error(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "runs.sqlite").write_text("not a database")
    assert prune(tmp_path, "--keep", "0", "--yes") == 6
    assert "is damaged" in capsys.readouterr().err
