"""`standpipe run` with compiled files and pipelines of scripts; scripts themselves are in test_script."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from standpipe import compiler, dsl, local
from standpipe.cli.main import main
from standpipe.cli.options import make_overrides
from standpipe.cli.run import make_parser
from standpipe.history.records import Artifact
from standpipe.local import FakeRunner
from standpipe.runs.options import RunOptions


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


def test_artifacts_are_given_by_where_they_are(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    given: dict[str, Any] = {}
    monkeypatch.setattr(
        local,
        "run",
        lambda _, arguments, **options: given.update(arguments, **options) or SimpleNamespace(shown_outputs={}),
    )
    Path("data.csv").touch()
    Path("args.json").write_text('{"data": "data.csv"}')
    assert main(["run", "--args-file", "args.json", "--arg", 'many=["gs://b/a", "gs://b/b"]', "read.yaml"]) == 0
    assert capsys.readouterr().err == ""
    assert isinstance(given["data"], dsl.Dataset)
    assert given["data"].uri == "data.csv"
    assert [(type(model), model.uri) for model in given["many"]] == [(dsl.Model, "gs://b/a"), (dsl.Model, "gs://b/b")]
    assert given["raise_on_error"] is True


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["-a", "data=none.csv"], "Invalid --arg data: nothing is at {}/none.csv. Pass the path of a file or folder"),
        (["-a", "data=file://{}/none.csv"], "Invalid --arg data: nothing is at {}/none.csv."),
        (["-a", "data="], "Invalid --arg data: expected a path or URI, got ''."),
        (["-a", "data=data.csv", "-a", 'many=["gs://b/a", "none"]'], "Invalid --arg many: nothing is at {}/none."),
        (["-a", "data=data.csv", "-a", 'many=[""]'], "Invalid --arg many: expected a path or URI, got ''."),
        (["--args-file", "none.json"], "Invalid --args-file none.json, input 'data': nothing is at {}/none.csv."),
        (["--args-file", "empty.json"], "Invalid --args-file empty.json, input 'data': expected a path or URI, got ''"),
    ],
)
@pytest.mark.parametrize("flags", [[], ["--dry-run"]])
def test_the_path_of_an_artifact_is_checked_before_anything_starts(
    arguments: list[str], message: str, flags: list[str], capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    Path("data.csv").touch()
    Path("none.json").write_text('{"data": "none.csv", "many": []}')
    Path("empty.json").write_text('{"data": "", "many": []}')
    given = [each.replace("{}", str(tmp_path)) for each in arguments]
    many = [] if "many" in arguments[-1] or arguments[0] == "--args-file" else ["-a", "many=[]"]
    assert main(["run", "read.yaml", *given, *many, *flags]) == 2
    captured = capsys.readouterr()
    assert captured.err.startswith(message.format(tmp_path))
    assert captured.out == ""
    assert not Path("local_outputs").exists()


def test_a_uri_that_nothing_reads_is_noticed_before_the_run(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["run", "read.yaml", "-a", "data=nosuch://me:secret@b/x", "-a", "many=[]", "--quiet"]) == 0
    captured = capsys.readouterr()
    assert captured.err.startswith("standpipe: --arg data is nosuch://***@b/x: ")
    assert captured.err.endswith(" Tasks that only use its URI run; others will fail.\n")


def test_a_file_uri_is_the_path_of_the_file(tmp_path: Path) -> None:
    (tmp_path / "my data.csv").touch()
    arguments = ["-a", f"data=file://{tmp_path}/my%20data.csv", "-a", "many=[]"]
    assert main(["run", "read.yaml", *arguments, "--quiet"]) == 0
    data = local.get_run("latest").inputs["data"]
    assert isinstance(data, Artifact)
    assert data.uri == str(tmp_path / "my data.csv")


def test_artifacts_are_printed_with_where_they_are(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    model = said(capsys, "run", "make.yaml", "--pipeline-root", "root")["model"]
    assert model["path"].startswith(str(tmp_path / "root"))
    assert model["metadata"] == {}


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (("take.yaml",), 2, "missing 4 required inputs:"),
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
        (
            ("read.yaml", "--args-file", "none.json"),
            2,
            "--args-file none.json cannot be read: No such file or directory. Expected",
        ),
        (("read.yaml", "--args-file", "list.json"), 2, "expected a JSON object"),
        (("read.yaml", "--runner", "docker", "--no-venv"), 2, "--no-venv is for --runner subprocess"),
        (("read.yaml", "--runner-option", "address=auto"), 2, "'address' of --runner subprocess: it has none"),
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


def test_inputs_before_a_script_are_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["run", "--arg", "a=1", "script.py"]) == 2
    assert "as in script.py:NAME" in capsys.readouterr().err


# --- pipelines of scripts ---------------------------------------------------------------------------------------------

SCRIPT = """\
import sys

from kfp import dsl, local

import helper

{init}

@dsl.component
def add(a: int, b: int = 2) -> int:
    return a + b

@dsl.pipeline
def total(a: int, label: str = "x") -> int:
    return add(a=a).output

if __name__ == "__main__":
    raise SystemExit("the main block ran")
{end}
"""


@pytest.fixture
def write_script(tmp_path: Path) -> Callable[..., str]:
    (tmp_path / "helper.py").write_text("import sys\n")

    def write(init: str = "", end: str = "") -> str:
        (tmp_path / "sums.py").write_text(SCRIPT.format(init=init, end=end))
        return "sums.py"

    return write


@pytest.fixture(autouse=True)
def _restore_imports(monkeypatch: pytest.MonkeyPatch) -> None:
    """A script leaves its arguments and its path, as it does in a process of its own."""
    monkeypatch.setattr(sys, "argv", [*sys.argv])
    monkeypatch.setattr(sys, "path", [*sys.path])
    for name in ("kfp", "kfp.dsl", "kfp.local", "helper", "__standpipe__", "__main__"):
        monkeypatch.setitem(sys.modules, name, sys.modules.get(name, SimpleNamespace()))
        if name not in ("__main__",):
            monkeypatch.delitem(sys.modules, name)


@pytest.fixture
def run_adds(monkeypatch: pytest.MonkeyPatch) -> FakeRunner:
    runner = FakeRunner(add=lambda a, b: a + b)
    monkeypatch.setattr(local.SubprocessRunner, "open", lambda self: runner.open())
    return runner


@pytest.mark.usefixtures("run_adds")
def test_a_pipeline_of_a_script_runs_without_its_main_block_and_its_own_run(
    write_script: Callable[..., str], capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    write_script(end="local.init(local.SubprocessRunner())\ntotal(a=99)\n")
    assert said(capsys, "run", "sums.py:total", "--arg", "a=3") == {"Output": 5}
    assert said(capsys, "run", "sums.py:add", "--arg", "a=3", "--arg", "b=4") == {"Output": 7}
    assert sorted(each.pipeline for each in local.runs(tmp_path / "local_outputs")) == ["add", "total"]


@pytest.mark.usefixtures("run_adds")
def test_a_script_gets_the_arguments_after_two_hyphens(
    write_script: Callable[..., str], capsys: pytest.CaptureFixture[str]
) -> None:
    write_script(init="assert sys.argv == ['sums.py', '--epochs', '3'], sys.argv")
    assert main(["run", "sums.py:total", "--quiet", "-a", "a=1", "--", "--epochs", "3"]) == 0
    assert json.loads(capsys.readouterr().out) == {"Output": 3}


INIT = (
    "local.init(local.SubprocessRunner(use_venv=False, warm_imports=False), pipeline_root='own', max_parallel=3, "
    "quiet=True, enable_caching=True, secret_env=['A'], raise_on_error=False)"
)


@pytest.mark.usefixtures("run_adds")
def test_what_a_script_sets_are_the_defaults_of_the_options(
    write_script: Callable[..., str], capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    write_script(init=INIT)
    assert main(["run", "sums.py:total", "-a", "a=1"]) == 0
    assert json.loads(capsys.readouterr().out) == {"Output": 3}
    assert local._defaults is not None
    assert local._defaults.max_parallel == 3
    assert local._defaults.enable_caching
    assert repr(local._defaults.runner) == "SubprocessRunner(use_venv=False, warm_imports=False)"
    assert len(local.runs(tmp_path / "own")) == 1


@pytest.mark.usefixtures("run_adds")
def test_flags_that_were_passed_replace_what_a_script_sets(
    write_script: Callable[..., str], capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    write_script(init=INIT)
    flags = ("--root", "other", "--no-cache", "--secret-env", "B", "--no-init-containers")
    assert main(["run", "sums.py:total", "-a", "a=1", *flags]) == 0
    assert json.loads(capsys.readouterr().out) == {"Output": 3}
    options = local._defaults
    assert options is not None
    assert (options.pipeline_root, options.enable_caching, options.max_parallel) == ("other", False, 3)
    assert options.secret_env == ["A", "B"], "what is secret stays secret"
    assert repr(options.runner) == "SubprocessRunner(use_venv=False, ignore_init_containers=True, warm_imports=False)"
    assert not (tmp_path / "own").exists()


@pytest.mark.usefixtures("run_adds")
def test_options_before_a_script_replace_what_it_sets_and_what_follows_is_its_own(
    write_script: Callable[..., str], capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    source = SCRIPT.replace('raise SystemExit("the main block ran")', "print(sys.argv[1:], total(a=1).output)")
    (tmp_path / "sums.py").write_text(source.format(init=INIT, end=""))
    assert main(["run", "--root", "other", "sums.py", "--root", "third"]) == 0
    assert capsys.readouterr().out == "['--root', 'third'] 3\n"
    assert {path.name for path in tmp_path.iterdir() if path.is_dir()} - {"__pycache__"} == {"other"}


@pytest.mark.parametrize(
    ("source", "arguments", "flags"),
    [
        ("", ("--cache", "--runner=docker", "--epochs"), "--cache, --runner"),
        ("parser.add_argument('--dry-run')", ("--dry-run",), ""),
        ("def main(dry_run: bool): ...", ("--dry-run",), ""),
        ("", ("--epochs", "3"), ""),
    ],
)
def test_an_option_of_the_command_after_a_script_that_does_not_have_it_is_noticed(
    source: str, arguments: tuple[str, ...], flags: str, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    (tmp_path / "own.py").write_text(f"if False:\n    {source or 'pass'}\n")
    assert main(["run", "own.py", *arguments]) == 0
    notice = f"standpipe: {flags} after own.py: the script gets what follows its name" if flags else ""
    error = capsys.readouterr().err
    assert error.startswith(notice) if flags else not error, error


def test_an_option_of_the_command_after_a_script_is_noticed_after_options_before_it_as_well(
    capsys: pytest.CaptureFixture[str],
) -> None:
    Path("own.py").write_text("import sys\nassert len(sys.argv) == 2\n")
    assert main(["run", "--quiet", "own.py", "--cache"]) == 0
    assert "standpipe: --cache after own.py: the script gets" in capsys.readouterr().err
    assert main(["run", "--quiet", "--", "own.py", "--cache"]) == 0
    assert capsys.readouterr().err == ""


STARTS = """\
from pathlib import Path

from kfp import dsl


@dsl.component
def first(): ...


@dsl.pipeline
def one():
    first()


@dsl.pipeline(name="second")
def two():
    first()


Path("started").touch()
"""


@pytest.mark.parametrize("command", [["run"], ["run", "--quiet"], ["watch"], []])
def test_a_dry_run_of_a_script_that_does_not_have_it_starts_nothing(
    command: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    Path("own.py").write_text(STARTS)
    assert main([*command, "own.py", "--epochs", "3", "--dry-run"]) == 2
    assert not Path("started").exists()
    error = capsys.readouterr().err
    name = f"standpipe {(command or ['run'])[0]}"
    assert "Nothing was started." in error
    assert f"Use `{name} own.py:one --dry-run` or `{name} own.py:two --dry-run`, with" in error
    assert f"use `{name} -- own.py --dry-run`." in error


def test_a_dry_run_of_a_script_that_may_have_it_is_the_scripts_own() -> None:
    Path("own.py").write_text(STARTS)
    assert main(["run", "--", "own.py", "--dry-run"]) == 0
    assert Path("started").exists()
    assert sys.argv == ["own.py", "--dry-run"]


@pytest.mark.parametrize("first", [[], ["--quiet"]])
def test_a_script_that_starts_no_run_is_noticed_with_what_runs_its_pipelines(first: list[str]) -> None:
    Path("own.py").write_text(STARTS)
    command = [sys.executable, "-m", "standpipe", "run", *first, "own.py", "--epochs", "3"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)  # threads of tests are not in it
    assert done.stdout == ""
    assert done.stderr == (
        "standpipe: own.py has started no run: it only defines what can be run. Use "
        "`standpipe run own.py:one -- --epochs 3` or `standpipe run own.py:two -- --epochs 3`.\n"
    )


@pytest.mark.parametrize(
    "end",
    [
        "from kfp import compiler\ncompiler.Compiler().compile(one, 'one.yaml')",
        "one.pipeline_spec",
        "from kfp import local\nlocal.init(local.SubprocessRunner())\nfirst()",
        "import threading\nthreading.Timer(0.3, print).start()",
        "raise SystemExit(0)",
        "del one, two, first",
    ],
)
def test_a_script_that_does_something_with_what_it_defines_is_not_noticed(
    end: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    Path("own.py").write_text(f"{STARTS}\n{end}\n")
    runner = FakeRunner(first=lambda **_: {})
    monkeypatch.setattr(local.SubprocessRunner, "open", lambda self: runner.open())
    with suppress(SystemExit):
        assert main(["run", "own.py"]) == 0
    assert "has started no run" not in capsys.readouterr().err
    assert Path("started").exists()


def test_a_runner_of_the_same_kind_keeps_its_settings_and_another_replaces_it() -> None:
    own = local.SubprocessRunner(use_venv=False)
    parser = make_parser()

    def chosen(*flags: str) -> object:
        overrides = make_overrides(parser.parse_args([*flags, "x.py:y"]), default_runner=True)
        return overrides(RunOptions(own)).get("runner", own)

    assert chosen() is own
    assert chosen("--runner", "subprocess") is own
    assert repr(chosen("--no-warm-imports")) == "SubprocessRunner(use_venv=False, warm_imports=False)"
    assert isinstance(chosen("--runner", "in-process"), local.InProcessRunner)


@pytest.mark.parametrize(
    ("target", "code", "says"),
    [
        ("sums.py:totla", 2, "Did you mean sums.py:total? Expected one of sums.py:add, sums.py:total."),
        ("nowhere.py:total", 2, "nowhere.py cannot be run: No such file or directory."),
        ("folder.py:total", 2, "folder.py cannot be run: Is a directory."),
        ("unreadable.py:total", 2, "unreadable.py cannot be run: Permission denied."),
        ("empty.py:total", 2, "empty.py has no pipeline or component 'total'. Define one at the top level"),
        ("syntax.py:total", 1, "SyntaxError"),
        ("raises.py:total", 1, "ZeroDivisionError: division by zero"),
        ("program", 2, "program cannot be run: it is a binary file. Expected a KFP script"),
        ("take.yaml:total", 2, "a compiled file has one pipeline. Leave out 'total'."),
        ("folder.yaml", 6, "folder.yaml cannot be read"),
    ],
)
def test_a_target_that_cannot_be_run_is_explained(
    target: str, code: int, says: str, write_script: Callable[..., str], capsys: pytest.CaptureFixture[str]
) -> None:
    write_script()
    Path("folder.py").mkdir()
    Path("folder.yaml").mkdir()
    Path("unreadable.py").touch(mode=0)
    if os.access("unreadable.py", os.R_OK) and target.startswith("unreadable"):
        pytest.skip("root can read every file")
    Path("empty.py").touch()
    Path("syntax.py").write_text("def (:\n")
    Path("raises.py").write_text("1 / 0\n")
    Path("program").write_bytes(b"\x7fELF\0")
    assert main(["run", target]) == code
    error = capsys.readouterr().err
    assert says in error
    assert "standpipe/cli" not in error


# --- inputs -----------------------------------------------------------------------------------------------------------


def test_an_unknown_input_is_answered_with_all_inputs_and_what_may_be_meant(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(["run", "take.yaml", "--arg", "nubmer=1"]) == 2
    assert capsys.readouterr().err.startswith(
        "Invalid --arg nubmer: Component 'take' has no input 'nubmer'. Did you mean number? Its inputs are:\n"
        "    flag: bool\n"
        '    more: dict = {"a": 1}\n'
        "    number: int\n"
        "    rate: float = 0.5\n"
        "    some: list\n"
        "    text: str\n"
    )


def test_missing_inputs_are_listed_at_once_with_a_command_that_passes_them(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(["run", "take.yaml", "--arg", "flag=true"]) == 2
    error = capsys.readouterr().err
    assert error.startswith(
        "Component 'take' is missing 3 required inputs:\n"
        "    number: int\n"
        "    some: list\n"
        "    text: str\n"
        "Pass them with --arg or --args-file, for example:\n"
        "    standpipe run take.yaml --arg number=1 --arg 'some=[1, 2]' --arg text=TEXT\n"
    )
    assert main(["run", "read.yaml"]) == 2
    assert "--arg data=PATH --arg 'many=[\"PATH\"]'" in capsys.readouterr().err


def test_the_command_that_an_error_suggests_is_understood(capsys: pytest.CaptureFixture[str]) -> None:
    main(["run", "take.yaml"])
    suggested = shlex.split(capsys.readouterr().err.splitlines()[-1])
    assert json.loads(said(capsys, *suggested[1:])["Output"])["text"] == "TEXT"


def test_inputs_of_a_file_are_checked_as_well(capsys: pytest.CaptureFixture[str]) -> None:
    Path("args.json").write_text('{"nubmer": 1}')
    assert main(["run", "take.yaml", "--args-file", "args.json"]) == 2
    assert "Invalid --args-file args.json: Component 'take' has no input 'nubmer'. Did you mean number?" in (
        capsys.readouterr().err
    )


def test_a_component_in_the_notation_of_kfp_1_runs(capsys: pytest.CaptureFixture[str]) -> None:
    Path("old.yaml").write_text(
        "name: make\n"
        "inputs: [{name: number, type: Integer}]\n"
        "implementation: {container: {image: 'python:3.12', command: [x]}}\n"
    )
    assert main(["run", "old.yaml"]) == 2
    assert "standpipe run old.yaml --arg number=1" in capsys.readouterr().err
    assert main(["run", "old.yaml", "--arg", "number=1", "--quiet"]) == 0


def test_secrets_are_redacted_in_errors_about_inputs(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("API_TOKEN", "correct-horse-battery")
    arguments = ("take.yaml", "--arg", "number=correct-horse-battery", "--secret-env", "API_TOKEN")
    assert main(["run", *arguments]) == 2
    error = capsys.readouterr().err
    assert "expected an integer (int), got" in error
    assert "correct-horse" not in error


def test_secrets_are_redacted_in_outputs_which_logs_of_ci_keep(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("API_TOKEN", 'correct"horse')
    given = ("-a", "number=1", "-a", 'text=correct"horse', "-a", "flag=true", "-a", "some=[]")
    assert main(["run", "take.yaml", *given, "--secret-env", "API_TOKEN", "--quiet"]) == 0
    captured = capsys.readouterr()
    assert json.loads(json.loads(captured.out)["Output"])["text"] == "***"
    assert "horse" not in captured.out + captured.err
