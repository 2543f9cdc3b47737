"""Secret values in the logs, messages, run store and files of a run."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from standpipe import dsl, local
from standpipe.errors import ArgumentError, AuthoringTypeError, TaskFailed
from standpipe.local import FakeRunner
from standpipe.runners.api import LocalRunner

TOKEN = "t0k3n-0f-m1ne-which-n0b0dy-kn0ws"
PROCESSES = local.SubprocessRunner(use_venv=False)


@dsl.component
def tell(model: dsl.Output[dsl.Model]) -> str:
    import os
    import sys
    import time

    token = os.environ["API_TOKEN"]
    print("the token is", token)
    sys.stderr.write(f"and again: {token[:9]}")
    sys.stderr.flush()
    time.sleep(0.05)
    sys.stderr.write(token[9:] + "\n")
    sys.stderr.write("Continue? " + token[:5])
    model.metadata["token"] = {"is": [token]}
    model.uri = f"https://me:{token}@host/model"
    return f"<{token}>"


@dsl.component
def crash() -> None:
    import os

    def connect(token: str) -> None:
        raise ValueError(f"no access with {token}")

    connect(os.environ["API_TOKEN"])


@dsl.component
def echo(text: str) -> str:
    return text


@dsl.component
def number(n: int) -> int:
    return n


@dsl.component
def report(status: dsl.PipelineTaskFinalStatus) -> None:
    print(status.error_message)


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setenv("API_TOKEN", TOKEN)

    def run(target: Any, runner: LocalRunner = PROCESSES, **options: Any) -> Any:
        arguments = options.pop("arguments", {})
        return local.run(target, arguments, runner=runner, pipeline_root=tmp_path, secret_env=["API_TOKEN"], **options)

    return run


def files_with(root: Path, secret: str = TOKEN) -> set[str]:
    """Return the names of the files that contain the secret."""
    files = [path for path in root.rglob("*") if path.is_file()]
    assert any(path.name == "runs.sqlite" for path in files)
    return {path.name for path in files if secret.encode() in path.read_bytes()}


def log_of(root: Path, task: str) -> str:
    (path,) = root.glob(f"*/{task}/log.txt")
    return path.read_text()


def test_logs_and_outputs_are_redacted_and_the_caller_gets_the_value(
    run: Any, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    task = run(tell)
    assert task.outputs["Output"] == f"<{TOKEN}>"
    assert task.outputs["model"].metadata == {"token": {"is": [TOKEN]}}
    assert task.shown_outputs["Output"] == "<***>"
    assert task.shown_outputs["model"].metadata == {"token": {"is": ["***"]}}
    assert task.shown_outputs["model"].uri == task.outputs["model"].uri.replace(TOKEN, "***")
    assert "'<***>'" in repr(task)
    assert "&lt;***&gt;" in task._repr_html_()
    assert TOKEN not in repr(task) + task._repr_html_()
    assert files_with(tmp_path) == {"executor_output.json"}, "the contract between the task and Standpipe"
    log = log_of(tmp_path, "tell")
    assert sorted(log.splitlines()) == [f"Continue? {TOKEN[:5]}", "and again: ***", "the token is ***"]
    shown = "".join(capfd.readouterr())
    assert TOKEN not in shown
    assert "[tell] and again: ***" in shown


def test_failures_are_redacted_for_the_user_and_for_exit_tasks(
    run: Any, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    @dsl.pipeline
    def handled() -> None:
        with dsl.ExitHandler(report()):
            crash()

    with pytest.raises(TaskFailed, match=r"ValueError: no access with \*\*\*") as caught:
        run(handled)
    assert TOKEN not in str(caught.value)
    (failed,) = caught.value.failures
    assert failed.message == "ValueError: no access with ***"
    traceback = local.get_run("latest", tmp_path).task("crash").failure
    assert traceback
    assert "connect(os.environ" in traceback.detail, "the rest of the traceback is there"
    assert "no access with ***" in log_of(tmp_path, "report")
    assert files_with(tmp_path) == {"error.json"}
    assert TOKEN not in "".join(capfd.readouterr())


def test_a_returned_error_is_redacted(run: Any) -> None:
    assert TOKEN not in str(run(crash, raise_on_error=False).error)


def test_an_argument_is_redacted_in_the_store_and_passed_to_the_task(run: Any, tmp_path: Path) -> None:
    @dsl.pipeline
    def passing(token: str) -> str:
        with dsl.ParallelFor([1]):
            echo(text=f"in a loop: {token}")
        return echo(text=token).output

    arguments = {"token": TOKEN}
    runner = FakeRunner(echo=lambda text, **_: {"Output": text}, echo_2=lambda text: {"Output": text})
    assert run(passing, runner, arguments=arguments).output == TOKEN
    assert files_with(tmp_path) == {"executor_output.json"}
    assert run(passing, arguments=arguments, quiet=True).output == TOKEN
    assert files_with(tmp_path) == {"executor_output.json", "request.json"}


def test_errors_about_arguments_and_values_are_redacted(run: Any, tmp_path: Path) -> None:
    def fails(text: str) -> Any:
        raise RuntimeError(f"not {text}")

    with pytest.raises(TaskFailed, match=r"RuntimeError: not \*\*\*"):
        run(echo, FakeRunner(echo=fails), arguments={"text": TOKEN})
    with pytest.raises(TaskFailed, match=r"does not fit: expected int, got '\*\*\*'"):
        run(number, FakeRunner(number=lambda n: {"Output": TOKEN}), arguments={"n": 1})
    with pytest.raises(AuthoringTypeError, match=r"'\*\*\*'"):
        run(number, arguments={"n": TOKEN})
    assert files_with(tmp_path) == {"executor_output.json"}
    local.init(runner=FakeRunner(), pipeline_root=tmp_path, secret_env=["API_TOKEN"])
    with pytest.raises(AuthoringTypeError, match=r"'\*\*\*'"):
        number(n=TOKEN)


def test_variables_of_tasks_and_runners_are_secret(tmp_path: Path) -> None:
    @dsl.pipeline
    def configured() -> None:
        tell().set_env_variable("API_TOKEN", "of-the-task")

    class Configured(FakeRunner):
        @property
        def variables(self) -> Mapping[str, str]:
            return {"API_TOKEN": "of-the-runner"}

    def fails() -> Any:
        raise ValueError("of-the-task, of-the-runner, of-nobody")

    with pytest.raises(TaskFailed, match=r"ValueError: \*\*\*, \*\*\*, of-nobody"):
        local.run(configured, runner=Configured(tell=fails), pipeline_root=tmp_path, secret_env=["API_TOKEN"])


def test_a_display_name_is_redacted(run: Any, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    @dsl.pipeline(display_name=f"with {TOKEN}")
    def named() -> None:
        tell().set_display_name(TOKEN)

    run(named, FakeRunner(tell=lambda: {"Output": "x"}))
    assert files_with(tmp_path) == set()
    assert TOKEN not in "".join(capfd.readouterr())
    assert local.get_run("latest", tmp_path).pipeline == "with ***"


def test_a_variable_that_the_stored_pipeline_has_lost_is_not_too_short(
    run: Any, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    @dsl.pipeline
    def configured() -> None:
        tell().set_env_variable("API_TOKEN", "of-the-task")

    runner = FakeRunner(tell=lambda: {"Output": "x"})
    options: dict[str, Any] = {"runner": runner, "pipeline_root": tmp_path, "secret_env": ["API_TOKEN"]}
    local.run(configured, **options)
    local.rerun_task("latest", "tell", **options)
    assert "shorter" not in capfd.readouterr().err


def test_a_docker_runner_names_its_variables() -> None:
    assert local.DockerRunner(environment=["A=b", "C"]).variables == {"A": "b"}
    assert local.DockerRunner().variables == {}


def test_unknown_and_short_secrets_are_warned_about_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PIN", "123")
    options: dict[str, Any] = {"pipeline_root": tmp_path, "quiet": True, "secret_env": ["PIN", "NO_SUCH_TOKEN"]}
    runner = FakeRunner(echo=lambda text: {"Output": text})
    assert local.run(echo, {"text": "a 123"}, runner=runner, **options).output == "a 123"
    assert capsys.readouterr().err.splitlines() == [
        "standpipe: Secret variable 'NO_SUCH_TOKEN' not found: neither this process nor a task has it. Correct the "
        "name in secret_env.",
        "standpipe: Secrets are not redacted if they are shorter than 4 characters, because many other texts contain "
        "these: variable 'PIN'. Use longer values.",
    ]


@pytest.mark.parametrize("secrets", ["API_TOKEN", [1]])
def test_the_option_takes_a_list_of_names(secrets: Any) -> None:
    with pytest.raises(ArgumentError, match=r"Invalid secret_env=.*such as \['API_TOKEN'\]"):
        local.run(echo, {"text": ""}, runner=FakeRunner(), secret_env=secrets)


def configured_for_kubernetes(task: dsl.PipelineTask) -> dsl.PipelineTask:
    task.platform_config["kubernetes"] = {
        "secretAsEnv": [{"secretName": "db", "keyToEnv": [{"secretKey": "pw", "envVar": "API_TOKEN"}]}]
    }
    return task


def test_secrets_for_kubernetes_are_redacted_without_being_listed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("API_TOKEN", raising=False)

    @dsl.pipeline
    def with_secret() -> str:
        return configured_for_kubernetes(tell()).outputs["Output"]

    objects = {"secrets": {"db": {"pw": TOKEN + "\n"}}}
    ended = local.run(with_secret, runner=PROCESSES, pipeline_root=tmp_path, kubernetes=objects)
    assert ended.output == f"<{TOKEN}\n>"
    assert files_with(tmp_path) == {"executor_output.json"}
    assert "the token is ***" in log_of(tmp_path, "tell")
    assert TOKEN not in "".join(capsys.readouterr())


def test_secrets_for_kubernetes_are_not_read_for_pipelines_without_kubernetes_settings(tmp_path: Path) -> None:
    unread = tmp_path / "k8s.yaml"
    unread.write_text("{ no yaml")
    runner = FakeRunner(echo=lambda text: {"Output": text})
    assert local.run(echo, {"text": "a"}, runner=runner, pipeline_root=tmp_path, kubernetes=unread).output == "a"
