"""`standpipe rerun --arg`: other inputs than those that the task had."""

from __future__ import annotations

import shlex
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


_SCRIPT = """
from standpipe import dsl

@dsl.component
def total(xs: list) -> int:
    return sum(xs)

@dsl.pipeline
def job(xs: list = [1, 2]):
    total(xs=xs)
"""


def _suggestions(error: str) -> list[list[str]]:
    """Return the commands of a failure report that rerun or resume, in words."""
    commands = [shlex.split(line) for line in error.splitlines() if line.startswith("    standpipe re")]
    return [command[1:] for command in commands]


def test_what_a_failed_rerun_suggests_has_its_inputs(capsys: pytest.CaptureFixture[str]) -> None:
    Path("job.py").write_text(_SCRIPT, encoding="utf-8")
    assert main(["run", "job.py:job", "--runner", "in-process", "--quiet"]) == 0
    command = ["rerun", "job", "total", "--script", "job.py", "-a", 'xs=[1, "a"]', "--runner", "in-process", "--quiet"]
    for _ in range(3):
        assert main(command) == 10
        rerun = local.runs()[0]
        assert (rerun.task("total").inputs, rerun.status.value) == ({"xs": [1, "a"]}, "FAILED")
        [command] = _suggestions(capsys.readouterr().err)  # not to resume the run, which has succeeded
        assert command[0] == "rerun"
        assert local.get_run(command[-2]).task("total").inputs == {"xs": [1, "a"]}
        command.append("--quiet")


def test_a_failed_rerun_of_a_failed_run_suggests_to_resume_that(capsys: pytest.CaptureFixture[str]) -> None:
    Path("job.py").write_text(_SCRIPT, encoding="utf-8")
    assert main(["run", "job.py:job", "-a", 'xs=["a"]', "--runner", "in-process", "--quiet"]) == 10
    failed = local.get_run("latest").id
    for more, is_same in (([], True), (["-a", 'xs=["a"]'], True), (["-a", 'xs=["b"]'], False)):
        capsys.readouterr()
        main(["rerun", failed, "total", "--script", "job.py", "--runner", "in-process", "--quiet", *more])
        rerun, resume = _suggestions(capsys.readouterr().err)
        assert rerun[-2:] == [failed if is_same else local.runs()[0].id, "total"]
        assert (resume[0], resume[-1]) == ("resume", failed)


def test_the_function_takes_values() -> None:
    task = local.rerun_task("latest", "add-one", arguments={"b": 7}, runner=local.InProcessRunner(), quiet=True)
    assert task.output == 8
