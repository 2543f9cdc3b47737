"""`standpipe resume`, `rerun` and `cancel`."""

from __future__ import annotations

import json
import threading
from pathlib import Path
from typing import Any

import pytest

from standpipe import dsl, local
from standpipe.cli.main import main
from standpipe.local import FakeRunner


@dsl.component
def first(x: int) -> int:
    return x


@dsl.component
def second(x: int) -> int:
    return x


@dsl.pipeline
def both(x: int = 1) -> int:
    return second(x=first(x=x).output).output


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The pipeline root of a run of `both`, in which the second task has failed."""

    def boom(x: int) -> Any:
        raise ValueError("boom")

    runner = FakeRunner(first=lambda x: {"Output": x + 1}, second=boom)
    local.run(both, runner=runner, pipeline_root=tmp_path, raise_on_error=False, quiet=True)
    mended = FakeRunner(first=lambda x: {"Output": x + 100}, second=lambda x: {"Output": x + 10})
    monkeypatch.setattr(local.SubprocessRunner, "open", lambda self: mended.open())
    return tmp_path


def test_a_run_is_resumed_and_its_outputs_are_printed(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["resume", "latest", "--root", str(root)]) == 0
    captured = capsys.readouterr()
    assert captured.out.endswith(json.dumps({"Output": 12}, indent=2) + "\n")
    assert "second: it failed" in captured.err


def test_a_quiet_resume_prints_its_outputs_only(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["resume", "latest", "--root", str(root), "--quiet"]) == 0
    captured = capsys.readouterr()
    assert json.loads(captured.out) == {"Output": 12}
    assert captured.err == ""


def test_a_task_can_be_named_to_be_rerun(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["resume", "both", "--root", str(root), "--quiet", "--from-task", "first"]) == 0
    assert json.loads(capsys.readouterr().out) == {"Output": 111}


SCRIPT = """
from kfp import dsl

@dsl.component
def first(x: int) -> int:
    return x

@dsl.component
def second(x: int) -> int:
    return x + 5

@dsl.pipeline
def both(x: int = 1) -> int:
    one = first(x=x)
    more = second(x=one.output)
    return second(x=more.output).output

if __name__ == "__main__":
    both(x=7)
"""


def test_a_script_has_the_pipeline_as_it_is_now(
    root: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    (root / "script.py").write_text(SCRIPT)
    runner = FakeRunner(second=lambda x: {"Output": x + 10}, second_2=lambda x: {"Output": x + 10})
    monkeypatch.setattr(local.SubprocessRunner, "open", lambda self: runner.open())
    assert main(["resume", "latest", "--root", str(root), "--quiet", "--script", str(root / "script.py")]) == 0
    assert json.loads(capsys.readouterr().out) == {"Output": 22}


def test_one_task_is_run_again(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["rerun", "latest", "second", "--root", str(root), "--quiet"]) == 0
    assert json.loads(capsys.readouterr().out) == {"Output": 12}


@pytest.mark.parametrize(
    ("arguments", "message", "code"),
    [
        (["resume", "nobody"], "There is no run 'nobody'", 2),
        (["rerun", "latest", "third"], "The run has no task 'third'. It has: first, second.", 2),
        (["resume", "latest", "--from-task", "third"], "The run has no task 'third'", 2),
        (["resume", "latest", "--runner", "docker", "--no-venv"], "--no-venv is for --runner subprocess", 2),
        (["cancel", "nobody"], "There is no run 'nobody'", 2),
        (
            ["resume", "latest", "--script", "none.py"],
            "none.py cannot be run: No such file or directory. Expected the Python script with the pipeline of the run",
            2,
        ),
    ],
)
def test_what_cannot_be_done_says_so(
    root: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], message: str, code: int
) -> None:
    assert main([*arguments, "--root", str(root)]) == code
    assert message in capsys.readouterr().err


def test_a_run_is_stopped_from_elsewhere(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    began, release = threading.Event(), threading.Event()

    def wait(x: int) -> dict[str, int]:
        began.set()
        release.wait(20)
        return {"Output": x}

    def run() -> None:
        done.append(
            local.run(both, runner=FakeRunner(first=wait), pipeline_root=root, raise_on_error=False, quiet=True)
        )

    done: list[Any] = []
    thread = threading.Thread(target=run)
    thread.start()
    began.wait(20)
    try:
        assert main(["cancel", "latest", "--root", str(root)]) == 0
        assert "Requested the cancellation of run both-" in capsys.readouterr().out
        threading.Event().wait(0.5)  # until the driver has looked
    finally:
        release.set()
        thread.join()
    assert "was cancelled: cancellation was requested" in str(done[0].error)
    assert main(["cancel", "latest", "--root", str(root)]) == 1
    assert "is not in progress" in capsys.readouterr().out


def test_each_command_explains_itself(capsys: pytest.CaptureFixture[str]) -> None:
    for command in ("resume", "rerun", "cancel"):
        with pytest.raises(SystemExit) as end:
            main([command, "--help"])
        assert end.value.code == 0
        assert f"standpipe {command}" in capsys.readouterr().out


def test_what_resume_and_rerun_print_has_no_secrets(
    root: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("API_TOKEN", "1234567")
    runner = FakeRunner(second=lambda x: {"Output": 1234567}).open()
    monkeypatch.setattr(local.SubprocessRunner, "open", lambda self: runner)
    for command in (["resume", "latest"], ["rerun", "latest", "second"]):
        assert main([*command, "--root", str(root), "--quiet", "--secret-env", "API_TOKEN"]) == 0
        assert json.loads(capsys.readouterr().out) == {"Output": "***"}


def test_the_path_of_an_artifact_that_a_rerun_gets_is_checked(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    @dsl.component
    def read(data: dsl.Input[dsl.Dataset]) -> None: ...

    monkeypatch.chdir(tmp_path)
    runner = FakeRunner(read=lambda data: {})
    Path("data.csv").touch()
    local.run(read, {"data": dsl.Dataset(uri="data.csv")}, runner=runner, pipeline_root="root", quiet=True)
    assert main(["rerun", "latest", "read", "-a", "data=none.csv", "--root", "root"]) == 2
    assert capsys.readouterr().err.startswith(f"Invalid --arg data: nothing is at {tmp_path}/none.csv.")
    assert len(list(Path("root").glob("read-*"))) == 1
