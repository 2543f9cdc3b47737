"""The registry of runners, and what `local` and the command line make of it."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from standpipe import local
from standpipe.cli.main import main
from standpipe.errors import ArgumentError
from standpipe.model.ports import Runner
from standpipe.runners import api
from standpipe.runners.fake import FakeRunner, FakeTaskRunner
from standpipe.runners.partly_fake import PartlyFakeRunner
from tests.imports import modules_of


class RemoteRunner(local.LocalRunner):
    """A runner that nobody has registered."""

    def open(self) -> Runner:
        return FakeTaskRunner()

    def workspace_path(self, workspace: Path) -> str:
        return "/remote"


@pytest.fixture
def _registered(monkeypatch: pytest.MonkeyPatch) -> None:
    """One line in the registry, for the class in this file."""
    monkeypatch.setattr(api, "RUNNERS", {**api.RUNNERS, "RemoteRunner": api.Registration(__name__, flag="remote")})
    monkeypatch.setattr(local, "RUNNERS", api.RUNNERS)
    monkeypatch.setitem(sys.modules, __name__, sys.modules[RemoteRunner.__module__])


@pytest.mark.parametrize("name", api.RUNNERS)
def test_each_runner_is_a_class_of_local(name: str) -> None:
    runner = getattr(local, name)

    assert issubclass(runner, local.LocalRunner)
    assert runner.__doc__
    assert name in local.__all__
    assert name in dir(local)


def test_names_that_do_not_exist_are_errors() -> None:
    with pytest.raises(AttributeError, match="module 'standpipe.local' has no attribute 'SlurmRunner'"):
        local.SlurmRunner  # type: ignore[attr-defined] # noqa: B018


@pytest.mark.parametrize(
    "runner",
    [
        local.SubprocessRunner(),
        local.SubprocessRunner(use_venv=False),
        local.SubprocessRunner(ignore_init_containers=True),
        local.SubprocessRunner(warm_imports=False),
        local.DockerRunner(),
        local.InProcessRunner(),
        local.RayRunner(),
        local.RayRunner(use_venv=False),
        local.RayRunner("ray://cluster:10001", use_venv=False),
        local.KubernetesRunner(),
        local.KubernetesRunner("pipelines", "work", service_account="a", store_secret="s3", agent_image="python:3.12"),
        local.KubernetesRunner(run_as_user=1000),
    ],
    ids=repr,
)
def test_the_flags_of_a_runner_make_it_again(runner: local.LocalRunner) -> None:
    options = runner.command_options
    flag = options[options.index("--runner") + 1] if "--runner" in options else api.default_flag()

    again = api.from_command_line(
        flag,
        no_venv="--no-venv" in options,
        no_init_containers="--no-init-containers" in options,
        no_warm_imports="--no-warm-imports" in options,
        options=dict(text.split("=", 1) for text in options if "=" in text),
    )
    assert (type(again), repr(again)) == (type(runner), repr(runner))


@pytest.mark.parametrize("user", [0, "0", -1, "", "me", "1000 ", "\u0661", True, 1.5, 2**31])
def test_a_user_of_pods_is_the_id_of_one_that_is_not_root(user: int) -> None:
    with pytest.raises(ArgumentError, match="Invalid run_as_user .*: expected the id of a user that is not root"):
        local.KubernetesRunner(run_as_user=user)


def test_a_flag_of_another_runner_is_refused() -> None:
    with pytest.raises(ArgumentError, match="--no-venv is for --runner subprocess"):
        api.from_command_line("docker", no_venv=True)
    with pytest.raises(ArgumentError, match="--no-init-containers is for --runner subprocess"):
        api.from_command_line("docker", no_venv=False, no_init_containers=True)
    with pytest.raises(ArgumentError, match="--no-warm-imports is for --runner subprocess"):
        api.from_command_line("docker", no_venv=False, no_warm_imports=True)


def test_an_option_of_another_runner_is_refused() -> None:
    with pytest.raises(ArgumentError, match="Invalid --runner-option 'address' of --runner docker: it has none"):
        api.from_command_line("docker", no_venv=False, options={"address": "auto"})
    with pytest.raises(ArgumentError, match="'adress' of --runner ray: expected one of address"):
        api.from_command_line("ray", no_venv=False, options={"adress": "auto"})


@pytest.mark.usefixtures("_registered")
def test_a_new_runner_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert local.RemoteRunner is RemoteRunner  # type: ignore[attr-defined]
    assert RemoteRunner().command_options == ("--runner", "remote")
    assert isinstance(api.from_command_line("remote", no_venv=False), RemoteRunner)
    assert api.suggestions() == [
        "local.SubprocessRunner()",
        "local.DockerRunner()",
        "local.InProcessRunner()",
        "local.RayRunner()",
        "local.KubernetesRunner()",
        "local.RemoteRunner()",
    ]
    with pytest.raises(SystemExit):
        main(["run", "--help"])
    assert "{subprocess,docker,in-process,ray,kubernetes,remote}" in capsys.readouterr().out


def test_runners_without_a_flag_are_not_on_the_command_line() -> None:
    assert api.flags() == ("subprocess", "docker", "in-process", "ray", "kubernetes")
    assert FakeRunner().command_options == ()


def test_a_runner_is_opened_once() -> None:
    opened: list[Mapping[str, object]] = []

    class Counting(FakeRunner):
        def open(self) -> Runner:
            opened.append(self.functions)
            return super().open()

    runner = Counting()
    assert runner.task_runner is runner.task_runner
    assert len(opened) == 1


def test_authoring_imports_no_runner() -> None:
    runners = {"standpipe.runners.process", "standpipe.runners.docker", "standpipe.runners.fake"}
    runners |= {"standpipe.runners.in_process", "standpipe.runners.ray", "ray"}
    costly = runners | {"pathlib", "subprocess", "logging"}
    assert not costly & modules_of("from standpipe import dsl, local")


def test_a_runner_with_fakes_is_as_the_other_runner_in_all_respects() -> None:
    """What a runner says of itself is said by the one around it: a default would be wrong for some runner."""
    wrapper = PartlyFakeRunner(local.FakeRunner(), local.SubprocessRunner())
    of_the_registry = {"text_options", "command_options", "from_command_line"}
    of_any_runner = {"task_runner", "retire"}
    described = {name for name in vars(local.LocalRunner) if not name.startswith("_")} - of_the_registry - of_any_runner

    assert described <= {*vars(PartlyFakeRunner), *vars(wrapper)}
