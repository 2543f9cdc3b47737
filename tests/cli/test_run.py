"""`standpipe run` with compiled files; scripts are in test_script."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from standpipe import compiler, dsl, local
from standpipe.cli.main import main
from standpipe.local import FakeRunner


@dsl.component
def take(number: int, text: str, flag: bool, some: list, rate: float = 0.5, more: dict = {"a": 1}) -> str:  # noqa: B006
    return ""


@dsl.component
def read(data: dsl.Input[dsl.Dataset], many: dsl.Input[list[dsl.Model]]) -> str:
    return ""


@dsl.component
def make(model: dsl.Output[dsl.Model]) -> None:
    pass


@dsl.component
def fail() -> None:
    raise ValueError("boom")


def boom() -> Any:
    raise ValueError("boom")


@pytest.fixture(autouse=True)
def _in_a_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    runner = FakeRunner(
        take=lambda **given: {"Output": json.dumps(given)},
        read=lambda **given: {"Output": str(sorted(given))},
        make=lambda **_: {},
        fail=boom,
    )
    monkeypatch.setattr(local.SubprocessRunner, "open", lambda self: runner.open())
    monkeypatch.chdir(tmp_path)
    for component in (take, read, make, fail):
        compiler.Compiler().compile(component, f"{component.name}.yaml")


def said(capsys: pytest.CaptureFixture[str], *arguments: str) -> Any:
    code = main([*arguments, "--quiet"])
    captured = capsys.readouterr()
    assert code == 0, captured.err
    return json.loads(captured.out)


def test_arguments_have_the_types_of_the_inputs(capsys: pytest.CaptureFixture[str]) -> None:
    given = ("--arg", "number=3", "-a", "text=4=5", "-a", "flag=True", "-a", 'some=[1, "a"]', "-a", "rate=2")
    output = said(capsys, "run", "take.yaml", *given)["Output"]
    assert json.loads(output) == {
        "number": 3,
        "text": "4=5",
        "flag": True,
        "some": [1, "a"],
        "rate": 2.0,
        "more": {"a": 1},
    }


def test_arguments_come_from_a_file_and_the_command_line_goes_before_it(capsys: pytest.CaptureFixture[str]) -> None:
    Path("args.json").write_text('{"number": 1, "text": "t", "flag": false, "some": []}')
    output = said(capsys, "take.yaml", "--args-file", "args.json", "--arg", "number=2")["Output"]
    assert json.loads(output)["number"] == 2
    assert json.loads(output)["text"] == "t"


def test_artifacts_are_given_by_where_they_are(monkeypatch: pytest.MonkeyPatch) -> None:
    given: dict[str, Any] = {}
    monkeypatch.setattr(
        local, "run", lambda _, arguments, **options: given.update(arguments, **options) or SimpleNamespace(outputs={})
    )
    Path("args.json").write_text('{"data": "data.csv"}')
    assert main(["run", "--args-file", "args.json", "--arg", 'many=["gs://b/a", "gs://b/b"]', "read.yaml"]) == 0
    assert isinstance(given["data"], dsl.Dataset)
    assert given["data"].uri == "data.csv"
    assert [(type(model), model.uri) for model in given["many"]] == [(dsl.Model, "gs://b/a"), (dsl.Model, "gs://b/b")]
    assert (given["pipeline_root"], given["quiet"], given["max_parallel"]) == ("./local_outputs", False, 16)


def test_artifacts_are_printed_with_where_they_are(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    model = said(capsys, "run", "make.yaml", "--pipeline-root", "root")["model"]
    assert model["path"].startswith(str(tmp_path / "root"))
    assert model["metadata"] == {}


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (("take.yaml",), 2, "missing 4 required inputs: flag, number, some, text"),
        (("take.yaml", "--arg", "number"), 2, "Invalid --arg 'number': expected NAME=VALUE"),
        (("take.yaml", "--arg", "number=x"), 2, "--arg number: expected an integer (int), got 'x'.\n"),
        (("take.yaml", "--arg", "number=1.5"), 2, "--arg number: expected an integer (int), got '1.5'."),
        (("take.yaml", "--arg", "flag=maybe"), 2, "--arg flag: expected true or false (bool), got 'maybe'."),
        (("take.yaml", "--arg", "some=a,b"), 2, "--arg some: expected a JSON list such as [1, 2] (list), got 'a,b'."),
        (
            ("take.yaml", "--arg", "more=[]"),
            2,
            "--arg more: expected a JSON object such as {\"a\": 1} (dict), got '[]'.",
        ),
        (("take.yaml", "--arg", "nubmer=1"), 2, "has no input 'nubmer'"),
        (("read.yaml", "--arg", "many=a"), 2, "--arg many: expected a JSON list of paths or URIs"),
        (("read.yaml", "--args-file", "none.json"), 2, "--args-file none.json cannot be read"),
        (("read.yaml", "--args-file", "list.json"), 2, "expected a JSON object"),
        (("read.yaml", "--runner", "docker", "--no-venv"), 2, "--no-venv is for --runner subprocess"),
        (("nowhere.yaml",), 6, "nowhere.yaml cannot be read"),
        (("broken.yaml",), 3, "broken.yaml"),
        (("fail.yaml", "--quiet"), 10, "Task 'fail' failed: ValueError: boom"),
    ],
)
def test_a_failure_ends_with_its_message_and_exit_code(
    arguments: tuple[str, ...], code: int, says: str, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("list.json").write_text("[]")
    Path("broken.yaml").write_text("root: {}\n")
    assert main(["run", *arguments]) == code
    assert says in capsys.readouterr().err


def test_options_before_a_script_are_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["run", "--quiet", "script.py"]) == 2
    assert "Configure a script in its code, with local.init(...)" in capsys.readouterr().err
