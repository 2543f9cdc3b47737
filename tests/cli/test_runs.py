"""`standpipe runs`."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from standpipe import dsl, local
from standpipe.cli import terminal
from standpipe.cli.main import main
from standpipe.local import FakeRunner


@dsl.component
def add(a: int, b: int = 1) -> int: ...


@pytest.fixture
def two_runs(tmp_path: Path) -> list[str]:
    """The ids of a run that failed and of one that went well before."""
    for outputs in ({"Output": 3}, {}):
        runner = FakeRunner(add=lambda outputs=outputs, **_: outputs)
        local.run(add, {"a": 2}, runner=runner, pipeline_root=tmp_path, quiet=True, raise_on_error=False)
    return [run.id for run in local.runs(tmp_path)]


def test_runs_are_listed_newest_first(tmp_path: Path, two_runs: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["runs", "--root", str(tmp_path)]) == 0
    lines = capsys.readouterr().out.splitlines()
    for line, run, status in zip(lines, two_runs, ("failed   ", "succeeded"), strict=True):
        assert re.fullmatch(rf"{run}  {status}    \d+-\d\d-\d\d \d\d:\d\d [+-]\d\d:\d\d  [\d.e-]+ s", line)


def test_a_narrow_terminal_gets_two_lines_for_each_and_colours(
    tmp_path: Path, two_runs: list[str], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    monkeypatch.setattr(terminal, "width", lambda: 60)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.delenv("NO_COLOR", raising=False)
    main(["runs", "--root", str(tmp_path)])
    lines = capsys.readouterr().out.splitlines()
    assert lines[::2] == two_runs
    assert lines[1].startswith("  \x1b[31mfailed     \x1b[0m  ")
    monkeypatch.setenv("NO_COLOR", "1")
    main(["runs", "--root", str(tmp_path)])
    assert "\x1b" not in capsys.readouterr().out


def test_json_is_a_list(tmp_path: Path, two_runs: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    main(["runs", "--root", str(tmp_path), "--json"])
    told = json.loads(capsys.readouterr().out)
    assert [(run["id"], run["status"]) for run in told] == list(zip(two_runs, ("FAILED", "SUCCEEDED"), strict=True))
    assert told[0].keys() == {
        *("id", "pipeline", "status", "created", "started", "ended", "duration", "folder", "rerun_of"),
    }


def test_where_no_runs_are_it_says_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["runs", "--root", str(tmp_path)]) == 0
    assert capsys.readouterr().out == f"No runs in {tmp_path}. Use --root FOLDER for another pipeline root.\n"
    main(["runs", "--root", str(tmp_path), "--json"])
    assert capsys.readouterr().out == "[]\n"


def test_a_reader_that_goes_away_is_no_error(tmp_path: Path, two_runs: list[str]) -> None:
    read, write = os.pipe()
    os.close(read)
    command = [sys.executable, "-m", "standpipe", "runs", "--root", str(tmp_path)]
    ended = subprocess.run(command, stdout=write, stderr=subprocess.PIPE, check=False)
    os.close(write)
    assert (ended.returncode, ended.stderr) == (0, b"")
