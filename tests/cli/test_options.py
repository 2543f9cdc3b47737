"""The flags that choose a runner, beside what a script sets."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from typing import Any

import pytest

from standpipe import local
from standpipe.cli.main import main
from standpipe.cli.options import add_run_options, make_overrides
from standpipe.runs.options import RunOptions

HERE = "address=auto"


@pytest.mark.parametrize(
    ("flags", "expected"),
    [
        ([], "RayRunner('ray://host:1', use_venv=False)"),
        (["--runner", "ray"], "RayRunner('ray://host:1', use_venv=False)"),
        (["--runner-option", HERE], "RayRunner('auto', use_venv=False)"),
        (["--runner", "ray", "--runner-option", HERE], "RayRunner('auto', use_venv=False)"),
        (["--runner", "subprocess"], repr(local.SubprocessRunner())),
    ],
)
def test_an_option_of_a_runner_replaces_that_of_the_script(flags: list[str], expected: str) -> None:
    parser = argparse.ArgumentParser()
    add_run_options(parser, given_only=True)
    overrides = make_overrides(parser.parse_args(flags), default_runner=False)
    set_by_script = RunOptions(local.RayRunner("ray://host:1", use_venv=False))
    changed: Mapping[str, Any] = overrides(set_by_script)
    assert repr(changed.get("runner", set_by_script.runner)) == expected


def test_commands_that_messages_suggest_name_the_address() -> None:
    assert RunOptions(local.RayRunner("ray://host:1")).command_options == (
        "--runner",
        "ray",
        "--runner-option",
        "address=ray://host:1",
    )


def test_an_option_without_a_value_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["run", "read.yaml", "--runner", "ray", "--runner-option", "auto"])
    assert "--runner-option: expected NAME=VALUE, got 'auto'" in capsys.readouterr().err


@pytest.mark.parametrize("command", ["run", "watch", "resume", "rerun"])
def test_the_help_says_that_no_venv_installs_packages(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main([command, "--help"])
    assert "install missing packages into it" in " ".join(capsys.readouterr().out.split())
