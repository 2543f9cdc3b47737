"""The options of a run, and what is derived from their declarations."""

from __future__ import annotations

import argparse
import inspect
import shlex
import subprocess
import sys
import typing
from pathlib import Path
from typing import Any

import pytest

from standpipe import local
from standpipe.cli.options import add_run_options, run_options
from standpipe.errors import ArgumentError
from standpipe.local import FakeRunner
from standpipe.runs.options import RunOptions, all_options, is_required


def parsed(*flags: str) -> dict[str, Any]:
    parser = argparse.ArgumentParser()
    add_run_options(parser)
    return run_options(parser.parse_args(flags))


def test_init_has_the_signature_and_the_help_of_the_options() -> None:
    parameters = inspect.signature(local.init).parameters

    assert [*parameters] == [option.name for option in all_options()]
    assert [name for name, each in parameters.items() if each.kind is each.POSITIONAL_OR_KEYWORD] == [
        *("runner", "pipeline_root", "workspace_root", "raise_on_error", "enable_caching", "cache_root")
    ], "the parameters of kfp.local.init come first, in its order"
    for option in all_options():
        parameter = parameters[option.name]
        assert parameter.default == (parameter.empty if is_required(option) else option.default)
        assert f"    {option.name}: {option.help}" in (local.init.__doc__ or "")


def test_init_takes_arguments_as_its_signature_says(tmp_path: Path) -> None:
    local.init(FakeRunner(), str(tmp_path), max_parallel=3)

    assert local._defaults is not None
    assert (local._defaults.pipeline_root, local._defaults.max_parallel) == (str(tmp_path), 3)
    with pytest.raises(ArgumentError, match="Unknown option 'quieter' of a run: did you mean 'quiet'"):
        local.init(FakeRunner(), quieter=True)  # type: ignore[call-arg]


@pytest.mark.parametrize(
    ("args", "options", "message"),
    [
        ((), {}, "missing a required argument: 'runner'"),
        ((FakeRunner(), "a", "b", True, True, "c", 5), {}, "too many positional arguments"),
        ((FakeRunner(),), {"runner": FakeRunner()}, "multiple values for argument 'runner'"),
        (
            (FakeRunner(),),
            {"resources": "strict"},
            "Unknown option 'resources' of a run: did you mean 'resource_policy'",
        ),
        ((FakeRunner(),), {"secrets": ["A"]}, "Unknown option 'secrets' of a run: did you mean 'secret_env'"),
        ((FakeRunner(),), {"zzz": 1}, "Unknown option 'zzz' of a run: expected one of runner, pipeline_root"),
    ],
)
def test_wrong_arguments_of_init_are_named(args: tuple[Any, ...], options: dict[str, Any], message: str) -> None:
    with pytest.raises(ArgumentError, match=message):
        local.init(*args, **options)


@pytest.mark.parametrize("name", ["pipeline_root", "state_root", "workspace_root", "cache_root", "source_root"])
def test_an_empty_folder_is_refused_and_not_the_current_one(name: str) -> None:
    options: dict[str, Any] = {name: ""}
    with pytest.raises(ArgumentError, match=f"^Invalid {name}='': expected the path of a folder. Write '.' for"):
        local.init(FakeRunner(), **options)


def test_an_empty_pipeline_root_of_the_history_is_refused() -> None:
    with pytest.raises(ArgumentError, match=r"^Invalid pipeline_root='': expected the path of a folder\."):
        local.runs(pipeline_root="")


def test_the_hints_and_the_documentation_of_init_are_those_of_a_function() -> None:
    hints = typing.get_type_hints(local.init)

    assert hints.keys() == {option.name for option in all_options()} | {"return"}
    assert (hints["max_parallel"], hints["runner"], hints["return"]) == (int, local.LocalRunner, type(None))
    assert "\nArgs:\n    runner: " in (local.init.__doc__ or "")
    assert "\nRaises:\n    ArgumentError" in (local.init.__doc__ or "")


def test_the_command_line_has_the_same_defaults() -> None:
    options = parsed()

    for option in all_options():
        if option.flag:
            assert options[option.name] in (option.default, [*option.default] if option.flag.repeated else None)


def test_the_help_of_a_flag_describes_what_the_command_line_takes() -> None:
    parser = argparse.ArgumentParser()
    add_run_options(parser)
    helps = {action.dest: action.help or "" for action in parser._actions}

    for option in all_options():
        if option.flag:
            assert not helps[option.name].startswith("whether"), "a flag without a value is an instruction"
            assert "mapping" not in helps[option.name], "it takes text only"
    assert helps["quiet"].startswith("show neither progress nor what tasks print")
    assert helps["secret_env"].startswith("the name of an environment variable")
    assert helps["secret_env"].endswith("; may be repeated")
    assert helps["max_parallel"].endswith("(default: 16)")


def test_flags_set_the_options(tmp_path: Path) -> None:
    flags = "--root r --workspace-root w --cache --cache-root c --max-parallel 2 --quiet --resource-policy strict"
    options = parsed(*flags.split(), "--secret-env", "A", "--secret-env", "B", "--kubernetes", str(tmp_path))

    assert {name: value for name, value in options.items() if name != "runner"} == {
        "pipeline_root": "r",
        "state_root": "./local_outputs",
        "workspace_root": "w",
        "raise_on_error": True,
        "enable_caching": True,
        "cache_root": "c",
        "max_parallel": 2,
        "quiet": True,
        "kubernetes": str(tmp_path),
        "resource_policy": "strict",
        "secret_env": ["A", "B"],
        "group_access": False,
        "source_root": None,
        "ui": False,
        "mlflow": None,
        "payload_cache_size": "20Gi",
    }


def test_the_flags_that_messages_suggest_set_the_same_options(tmp_path: Path) -> None:
    cluster = tmp_path / "my cluster.yaml"
    cluster.touch()
    options = RunOptions(
        local.SubprocessRunner(use_venv=False),
        workspace_root=tmp_path / "w",
        enable_caching=True,
        cache_root=str(tmp_path / "c"),
        kubernetes=cluster,
        resource_policy="ignore",
        secret_env=["A", "B"],
    )

    flags = shlex.split(shlex.join(options.command_options))
    suggested = RunOptions(**parsed(*flags))

    assert suggested.command_options == options.command_options
    assert str(suggested.kubernetes) == str(cluster)
    assert "--no-venv" in flags
    assert RunOptions(local.SubprocessRunner()).command_options == ()


def test_values_without_flags_are_not_suggested() -> None:
    assert RunOptions(local.SubprocessRunner(), kubernetes={"secrets": {}}).command_options == ()


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("runner", "docker"),
        ("pipeline_root", 5),
        ("pipeline_root", "nothing://bucket"),
        ("pipeline_root", "s3://bucket/a//b"),
        ("pipeline_root", "s3://"),
        ("pipeline_root", "s3://bucket/runs?region=eu-west-1"),
        ("state_root", "s3://bucket"),
        ("workspace_root", b"w"),
        ("workspace_root", "gs://bucket"),
        ("cache_root", "a\0b"),
        ("max_parallel", 0),
        ("max_parallel", True),
        ("kubernetes", 5),
        ("resource_policy", "none"),
        ("secret_env", "TOKEN"),
        ("secret_env", iter(["TOKEN"])),
        ("faults", ["train"]),
    ],
)
def test_invalid_values_are_refused_with_the_name_of_the_option(option: str, value: object) -> None:
    options: dict[str, Any] = {"runner": FakeRunner(), option: value}
    with pytest.raises(ArgumentError, match=option):
        RunOptions(**options)


def test_the_table_in_the_documentation_is_up_to_date() -> None:
    script = Path(__file__).resolve().parents[2] / "scripts" / "document-options"

    assert subprocess.run([sys.executable, str(script), "--check"], check=False).returncode == 0, f"run {script.name}"
