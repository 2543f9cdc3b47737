"""`standpipe rerun --arg`: other inputs than those that the task had."""

from __future__ import annotations

from pathlib import Path

import pytest

from standpipe import dsl, local
from standpipe.cli.main import main


@dsl.component
def add_one(a: int, b: int = 1) -> int:
    return a + b


@pytest.fixture(autouse=True)
def _run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    local.run(add_one, {"a": 1}, runner=local.InProcessRunner(), quiet=True)


def rerun(*arguments: str) -> int:
    return main(["rerun", "latest", "add-one", "--runner", "in-process", "--quiet", *arguments])


def test_an_input_is_replaced_and_the_others_stay(capsys: pytest.CaptureFixture[str]) -> None:
    assert rerun("-a", "b=5") == 0
    assert '"Output": 6' in capsys.readouterr().out


def test_a_file_has_inputs(capsys: pytest.CaptureFixture[str]) -> None:
    Path("inputs.json").write_text('{"a": 10}', encoding="utf-8")
    assert rerun("--args-file", "inputs.json", "-a", "b=5") == 0
    assert '"Output": 15' in capsys.readouterr().out


def test_an_input_that_the_task_does_not_have_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    assert rerun("-a", "c=5") == 2
    assert "has no input 'c'" in capsys.readouterr().err


def test_the_function_takes_values() -> None:
    task = local.rerun_task("latest", "add-one", arguments={"b": 7}, runner=local.InProcessRunner(), quiet=True)
    assert task.output == 8
