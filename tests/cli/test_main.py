"""The command line in this process: which command is meant, help, errors."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

import standpipe
from standpipe.cli.main import COMMANDS, main
from tests.imports import modules_of


def test_it_says_its_version(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="0"):
        main(["--version"])
    assert capsys.readouterr().out == f"standpipe {standpipe.__version__} (KFP 2.17.3)\n"


def test_help_lists_the_commands_and_each_has_its_own(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == 2
    said = capsys.readouterr().out
    for command in COMMANDS:
        assert f"  {command} " in said
        with pytest.raises(SystemExit, match="0"):
            main([command, "--help"])
        assert f"usage: standpipe {command}" in capsys.readouterr().out


@pytest.mark.parametrize("option", ["-h", "--help"])
def test_help_is_an_option_as_well(option: str, capsys: pytest.CaptureFixture[str]) -> None:
    main([])
    expected = capsys.readouterr().out
    with pytest.raises(SystemExit, match="0"):
        main([option])
    assert capsys.readouterr().out == expected


def test_help_imports_nearly_nothing() -> None:
    program = "from standpipe.cli.main import main\nmain([])"
    imported = modules_of(program) - modules_of("")
    assert {name for name in imported if name.startswith("standpipe")} == {
        "standpipe",
        "standpipe.cli",
        "standpipe.cli.main",
    }
    assert not imported & {"argparse", "collections", "functools", "re", "typing"}


def test_what_is_neither_a_command_nor_a_file_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["train", "pipeline.yaml"]) == 2
    assert capsys.readouterr().err.startswith("train cannot be run: No such file or directory. Expected a KFP script")


@pytest.mark.parametrize(
    ("typed", "meant"), [("shwo", "show"), ("rnu", "run"), ("complie", "compile"), ("re-run", "rerun")]
)
def test_a_command_that_is_misspelled_is_suggested(typed: str, meant: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([typed, "latest"]) == 2
    assert capsys.readouterr().err.startswith(f"Unknown command {typed!r}: did you mean `standpipe {meant}`?")


def test_a_file_whose_name_is_similar_to_a_command_is_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "shwo").mkdir()
    assert main(["shwo"]) == 2
    assert capsys.readouterr().err.startswith("shwo cannot be run: Is a directory.")


def test_an_option_that_is_misspelled_is_suggested(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        main(["--versoin"])
    assert capsys.readouterr().err == (
        "standpipe: error: unrecognized arguments: --versoin; did you mean --version? See `standpipe --help`.\n"
    )


@pytest.mark.skipif(sys.platform != "linux", reason="needs /dev/full")
@pytest.mark.parametrize("unbuffered", ["", "1"])
@pytest.mark.parametrize("command", ["--help", "completion bash", "runs"])
@pytest.mark.parametrize(
    ("shell", "code", "errors"),
    [
        ("> /dev/full", 6, "The output cannot be written: No space left on device.\n"),
        (">&-", 0, ""),
        ("| true; exit ${PIPESTATUS[0]}", 0, ""),
    ],
)
def test_an_output_that_cannot_be_written_is_no_traceback(
    command: str, shell: str, code: int, errors: str, unbuffered: str, tmp_path: Path
) -> None:
    line = f"{shlex.quote(sys.executable)} -m standpipe {command} {shell}"
    env = {**os.environ, "PYTHONUNBUFFERED": unbuffered}
    done = subprocess.run(["bash", "-c", line], cwd=tmp_path, env=env, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (code, errors)


def test_wrong_options_are_named(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        main(["run", "pipeline.yaml", "--rnuner", "docker"])
    assert "unrecognized arguments: --rnuner docker" in capsys.readouterr().err


@pytest.mark.parametrize("command", [[], *([name] for name in COMMANDS)], ids=" ".join)
def test_a_flag_cannot_be_abbreviated(command: list[str]) -> None:
    with pytest.raises(SystemExit, match="2"):  # an abbreviation of --help would end with 0
        main([*command, "--hel"])


@pytest.mark.parametrize("flag", ["--secret", "--max", "--resource"])
def test_a_former_name_of_a_flag_is_refused(flag: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        main(["run", "pipeline.yaml", flag, "3"])
    assert f"unrecognized arguments: {flag} 3" in capsys.readouterr().err


def test_help_imports_nothing_costly() -> None:
    program = "from standpipe.cli.main import main\ntry: main(['run', '--help'])\nexcept SystemExit: pass"
    assert not {"google.protobuf", "yaml", "docker", "rich", "sqlite3"} & modules_of(program)
