"""Runs in MLflow: what a server gets, what tasks get, and what a server that fails costs a run."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from standpipe import dsl, local
from standpipe.errors import ArgumentError, TaskFailed
from standpipe.local import FakeRunner
from standpipe.model.cancellation import Cancellation
from standpipe.model.events import AttemptStarted, RunStarted
from standpipe.model.ports import TrackedRun
from standpipe.model.refs import RunInfo, TaskRef
from standpipe.runs import ui_server
from standpipe.trackers.mlflow import tracker
from tests.imports import modules_of
from tests.trackers.mlflow_server import FakeMlflow, hang, serve

PROCESSES = local.SubprocessRunner(use_venv=False)
VARIABLES = ("MLFLOW_TRACKING_URI", "MLFLOW_EXPERIMENT_ID", "MLFLOW_RUN_ID", "MLFLOW_TRACKING_TOKEN")


@pytest.fixture(autouse=True)
def _no_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith(("MLFLOW_", "KFP_MLFLOW_"))]:
        monkeypatch.delenv(name)


@pytest.fixture
def server() -> Iterator[FakeMlflow]:
    with serve() as state:
        yield state


@dsl.component
def train(rate: float, note: str = "a", size: int = 3) -> float:
    return rate


@dsl.component
def choose(rates: list) -> float:
    return max(rates)


@dsl.pipeline
def search(rate: float = 0.5, long: str = "") -> float:
    with dsl.ParallelFor([0.1, 0.2]) as each:
        trained = train(rate=each)
    return choose(rates=dsl.Collected(trained.output)).output


@dsl.pipeline
def nested(rate: float = 0.5) -> float:
    return search(rate=rate).output


def use_fakes(root: Path, server: FakeMlflow | str, **functions: Any) -> None:
    fakes = {"train": lambda rate, note, size: rate, "choose": max, **functions}
    fakes["choose"] = functions.get("choose", lambda rates: max(rates))
    url = server if isinstance(server, str) else server.url
    local.init(FakeRunner(fakes), root, mlflow=url, quiet=True)


def parent_of(server: FakeMlflow, run: dict[str, Any]) -> str:
    return str(server.runs[run["tags"]["mlflow.parentRunId"]]["name"])


# --- what the server gets ---------------------------------------------------------------------------------------------


def test_a_pipeline_is_a_run_and_its_tasks_are_nested_runs(server: FakeMlflow, tmp_path: Path) -> None:
    use_fakes(tmp_path, server)
    nested(rate=0.7)

    (run,) = local.runs()
    runs = server.by_name
    assert runs.keys() == {run.id, "search", "for-loop-2", "0/train", "1/train", "choose"}
    assert {each["status"] for each in runs.values()} == {"FINISHED"}
    assert all(each["end"] >= each["start"] > 1e12 for each in runs.values())
    assert parent_of(server, runs["search"]) == run.id
    assert parent_of(server, runs["for-loop-2"]) == parent_of(server, runs["choose"]) == "search"
    assert parent_of(server, runs["0/train"]) == parent_of(server, runs["1/train"]) == "for-loop-2"
    assert runs["0/train"]["tags"]["standpipe.task"] == "search/for-loop-2/0/train"
    assert {each["tags"]["standpipe.run"] for each in runs.values()} == {run.id}
    assert len({each["tags"]["kfp.pipeline_run_id"] for each in runs.values()}) == 1


def test_parameters_are_logged(server: FakeMlflow, tmp_path: Path) -> None:
    use_fakes(tmp_path, server)
    search(rate=0.7)

    (run,) = local.runs()
    runs = server.by_name
    assert runs[run.id]["params"] == {"rate": "0.7", "long": "", "output.Output": "0.2"}
    assert runs["1/train"]["params"] == {"rate": "0.2", "note": "a", "size": "3", "output.Output": "0.2"}
    assert runs["choose"]["params"]["rates"] == "[0.1,0.2]"


def test_scalar_metrics_are_logged(server: FakeMlflow, tmp_path: Path) -> None:
    @dsl.component
    def evaluate(first: dsl.Output[dsl.Metrics], second: dsl.Output[dsl.Metrics]) -> None:
        first.log_metric("accuracy", 0.9)
        first.log_metric("top-5 (%)", 3)
        first.metadata["text"] = "no metric"
        first.metadata["flag"] = True
        second.log_metric("accuracy", 0.8)

    local.init(local.InProcessRunner(), tmp_path, mlflow=server.url, quiet=True)
    evaluate()

    metrics = server.by_name["evaluate"]["metrics"]
    assert metrics == {"accuracy": 0.9, "top-5 ___": 3, "second.accuracy": 0.8}


def test_values_and_batches_have_a_size_that_the_server_takes(server: FakeMlflow, tmp_path: Path) -> None:
    @dsl.component
    def many(metrics: dsl.Output[dsl.Metrics], text: str) -> None:
        metrics.metadata.update({f"/loss/{number}//": number for number in range(2500)})

    local.init(local.InProcessRunner(), tmp_path, mlflow=server.url, quiet=True)
    many(text="\N{SNOWMAN}" * 1_000_000)

    run = server.by_name["many"]
    assert len(run["metrics"]) == 2500
    assert run["metrics"]["loss/7"] == 7
    assert 5990 < len(run["params"]["text"]) <= 6000


def test_a_failure_is_recorded_with_its_error(server: FakeMlflow, tmp_path: Path) -> None:
    def fail(rates: list[float]) -> float:
        raise ValueError("boom")

    use_fakes(tmp_path, server, choose=fail)
    with pytest.raises(TaskFailed):
        search()

    (run,) = local.runs()
    runs = server.by_name
    assert {name for name, each in runs.items() if each["status"] == "FAILED"} == {run.id, "choose"}
    assert "boom" in runs["choose"]["tags"]["standpipe.error"]
    assert runs[run.id]["tags"]["standpipe.error"].startswith("choose failed")
    assert runs["choose"]["params"] == {"rates": "[0.1,0.2]"}


def test_all_attempts_at_a_task_are_one_run(server: FakeMlflow, tmp_path: Path) -> None:
    @dsl.pipeline
    def flaky_pipeline() -> float:
        return train(rate=0.5).set_retry(2, backoff_duration="0s").output

    failures = [True, False]

    def fail_once(rate: float, note: str, size: int) -> float:
        if failures.pop(0):
            raise ValueError("boom")
        return rate

    use_fakes(tmp_path, server, train=fail_once)
    flaky_pipeline()

    (run,) = (each for each in server.runs.values() if each["name"] == "train")
    assert run["statuses"] == ["RUNNING", "RUNNING", "FINISHED"]
    assert run["tags"]["standpipe.attempts"] == "2"


def test_a_cached_task_is_recorded_as_such(server: FakeMlflow, tmp_path: Path) -> None:
    local.init(PROCESSES, tmp_path, mlflow=server.url, quiet=True, enable_caching=True)
    for _ in range(2):
        train(rate=0.5)

    first, second = (each for each in server.runs.values() if each["name"] == "train")
    assert "standpipe.cached_from" not in first["tags"]
    assert second["tags"]["standpipe.cached_from"] == f"{first['tags']['standpipe.run']}/train"
    assert second["params"] == first["params"]
    assert second["status"] == "FINISHED"


def test_secrets_are_redacted(server: FakeMlflow, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PASSWORD", "c4n4ry-of-mine")
    local.init(local.InProcessRunner(), tmp_path, mlflow=server.url, quiet=True, secret_env=["PASSWORD"])
    train(rate=0.5, note="my c4n4ry-of-mine")

    assert "c4n4ry" not in str(server.runs)
    assert server.by_name["train"]["params"]["note"] == "my ***"


def test_the_page_of_the_run_is_named_without_the_token(
    server: FakeMlflow, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ui_server, "find_or_start", lambda root: ui_server.UiServer(7717, "t0ken"))
    local.init(FakeRunner(train=lambda rate, note, size: rate), tmp_path, mlflow=server.url, quiet=True, ui=True)
    train(rate=0.5)

    (run,) = local.runs()
    assert server.by_name[run.id]["tags"]["kfp.pipeline_run_url"] == f"http://127.0.0.1:7717/runs/{run.id}"


def test_the_experiment_is_created(server: FakeMlflow, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_EXPERIMENT_NAME", "mine")
    use_fakes(tmp_path, server)
    search()

    assert {run["experiment"] for run in server.runs.values()} == {server.experiments["mine"]} == {"1"}


# --- what tasks get ---------------------------------------------------------------------------------------------------


@dsl.component
def look(names: list) -> list:
    import os

    return [os.environ.get(name) for name in names]


@pytest.mark.parametrize("runner", [local.InProcessRunner(), PROCESSES], ids=str)
def test_a_task_has_the_variables_of_its_own_run(
    server: FakeMlflow, tmp_path: Path, runner: local.LocalRunner, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.token = "t0ken-of-mine"
    monkeypatch.setenv("MLFLOW_TRACKING_TOKEN", server.token)
    monkeypatch.setenv("MLFLOW_RUN_ID", "that-of-another")
    local.init(runner, tmp_path, mlflow=server.url, quiet=True)
    values = look(names=list(VARIABLES)).output

    assert values == [server.url, "0", server.by_name["look"]["id"], server.token]
    assert str(local.get_run("latest").task("look").outputs["Output"]).endswith("'***']")
    assert server.token not in str(server.runs)
    files = [file for file in tmp_path.rglob("*") if file.is_file()]
    assert len(files) > 3
    assert [file for file in files if server.token.encode() in file.read_bytes()] == [
        file
        for file in files
        if file.name in ("executor_output.json", "Output")  # which the task has written itself
    ]


def test_a_rerun_of_a_task_is_a_run_of_its_own(server: FakeMlflow, tmp_path: Path) -> None:
    use_fakes(tmp_path, server)
    search()
    local.rerun_task("latest", "choose", pipeline=search)

    rerun, original = (run.id for run in local.runs())
    assert server.by_name[rerun]["tags"]["standpipe.rerun_of"] == f"{original}/choose"


def test_the_variables_do_not_count_for_the_cache(server: FakeMlflow, tmp_path: Path) -> None:
    local.init(PROCESSES, tmp_path, quiet=True, enable_caching=True)
    look(names=["MLFLOW_RUN_ID"])
    local.init(PROCESSES, tmp_path, quiet=True, enable_caching=True, mlflow=server.url)
    look(names=["MLFLOW_RUN_ID"])

    assert local.get_run("latest").task("look").cached_from


def test_variables_of_a_component_win(server: FakeMlflow, tmp_path: Path) -> None:
    @dsl.pipeline
    def elsewhere() -> list:
        return look(names=list(VARIABLES[:1])).set_env_variable("MLFLOW_TRACKING_URI", "http://other").output

    local.init(local.InProcessRunner(), tmp_path, mlflow=server.url, quiet=True)

    assert elsewhere().output == ["http://other"]


# --- resume -----------------------------------------------------------------------------------------------------------


def test_resume_reopens_the_runs(server: FakeMlflow, tmp_path: Path) -> None:
    def fail(rates: list[float]) -> float:
        raise ValueError("boom")

    use_fakes(tmp_path, server, choose=fail)
    with pytest.raises(TaskFailed):
        nested()
    before = set(server.runs)
    use_fakes(tmp_path, server)
    local.resume("latest", pipeline=nested)

    assert set(server.runs) == before
    assert {run["status"] for run in server.runs.values()} == {"FINISHED"}
    for name in (local.runs()[0].id, "search", "choose"):
        assert server.by_name[name]["statuses"] == ["RUNNING", "FAILED", "RUNNING", "FINISHED"]
    assert server.by_name["0/train"]["statuses"] == ["RUNNING", "FINISHED"]


def test_a_task_that_had_succeeded_has_a_new_run_as_parameters_cannot_change(
    server: FakeMlflow, tmp_path: Path
) -> None:
    use_fakes(tmp_path, server)
    search()
    use_fakes(tmp_path, server, choose=lambda rates: 7.0)
    local.resume("latest", from_task="choose", pipeline=search)

    first, second = (run for run in server.runs.values() if run["name"] == "choose")
    assert (first["params"]["output.Output"], second["params"]["output.Output"]) == ("0.2", "7")
    assert first["tags"]["mlflow.parentRunId"] == second["tags"]["mlflow.parentRunId"]


def test_a_run_that_was_not_tracked_is_tracked_once_it_is_resumed(server: FakeMlflow, tmp_path: Path) -> None:
    local.init(
        FakeRunner({"choose": lambda rates: 1 / 0, "train": lambda rate, note, size: rate}), tmp_path, quiet=True
    )
    with pytest.raises(TaskFailed):
        search()
    use_fakes(tmp_path, server)
    local.resume("latest", pipeline=search)

    assert server.by_name.keys() == {local.runs()[0].id, "choose"}


SCRIPT = """
    import os, signal, time
    from standpipe import dsl, local
    @dsl.component
    def wait() -> None:
        import os, time
        print("waiting", flush=True)
        time.sleep(0 if "AT_ONCE" in os.environ else 60)
    local.init(local.SubprocessRunner(use_venv=False), {root!r}, mlflow={url!r})
    if __name__ == "__main__":
        wait()
"""


def stop_while_it_waits(server: FakeMlflow, folder: Path, number: int) -> Path:
    """Run a script, send it a signal once its task waits, and return it."""
    script = folder / "script.py"
    script.write_text(textwrap.dedent(SCRIPT.format(root=str(folder / "runs"), url=server.url)))
    with subprocess.Popen([sys.executable, script], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        while "[wait] waiting" not in process.stdout.readline():
            assert process.poll() is None
        process.send_signal(number)
        process.stdout.read()
    return script


def test_ctrl_c_ends_the_runs_there(server: FakeMlflow, tmp_path: Path) -> None:
    stop_while_it_waits(server, tmp_path, signal.SIGINT)

    assert {run["status"] for run in server.runs.values()} == {"KILLED"}


def test_a_run_whose_process_was_killed_is_taken_up_by_the_next(server: FakeMlflow, tmp_path: Path) -> None:
    script = stop_while_it_waits(server, tmp_path, signal.SIGKILL)
    before = {each: run["status"] for each, run in server.runs.items()}
    command = ["resume", "latest", "--root", tmp_path / "runs", "--script", script, "--mlflow", server.url]
    subprocess.run(
        [sys.executable, "-m", "standpipe", *map(str, command)],
        env={**os.environ, "AT_ONCE": "1"},
        check=True,
        capture_output=True,
    )

    assert [*before.values()] == ["RUNNING", "RUNNING"]
    assert {each: run["status"] for each, run in server.runs.items()} == dict.fromkeys(before, "FINISHED")


# --- a server that fails ----------------------------------------------------------------------------------------------


def notices(text: str) -> list[str]:
    return [line for line in text.splitlines() if "MLflow" in line]


def test_a_server_that_is_down_costs_one_notice(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with serve() as stopped:
        url = stopped.url
    use_fakes(tmp_path, url)
    began = time.monotonic()
    search()

    assert time.monotonic() - began < 4  # the patience of its end is 1 s
    (notice,) = notices(capsys.readouterr().err)
    assert url in notice
    assert "does not answer" in notice


def test_a_task_without_a_run_gets_a_folder_to_log_to(tmp_path: Path) -> None:
    with serve() as stopped:
        url = stopped.url
    local.init(local.InProcessRunner(), tmp_path, mlflow=url, quiet=True)

    assert look(names=list(VARIABLES)).output == ["file:mlruns", "0", "", None]


def test_a_server_that_hangs_delays_a_run_once(
    server: FakeMlflow, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(tracker, "_ANSWER_PATIENCE", 0.5)
    server.fault = hang(6)
    use_fakes(tmp_path, server)
    began = time.monotonic()
    search()

    assert time.monotonic() - began < 4
    assert len(notices(capsys.readouterr().err)) == 1


def test_a_cancelled_task_does_not_wait_for_the_server(server: FakeMlflow) -> None:
    server.fault = hang(1)
    info = RunInfo("run", "3b0e8f3c-6a3f-4f7d-9b58-0d8b7f6f5c11", "p", "2026-11-30T20:00:00Z", "/root")
    opened = tracker.open_tracker(server.url, TrackedRun(info, quiet=True))
    task, cancel = TaskRef((("train", None),)), Cancellation()
    opened([RunStarted({}), AttemptStarted(task, 0)])
    cancel.set()
    began = time.monotonic()

    assert opened.variables(task, 0, cancel)["MLFLOW_TRACKING_URI"] == "file:mlruns"
    assert time.monotonic() - began < 0.5
    opened.close()


def test_a_slow_server_gets_everything(server: FakeMlflow, tmp_path: Path) -> None:
    server.fault = hang(0.05)
    use_fakes(tmp_path, server)
    search()

    assert {run["status"] for run in server.runs.values()} == {"FINISHED"}


def test_the_end_of_a_run_does_not_wait_for_a_slow_server_in_silence(
    server: FakeMlflow, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(tracker, "_SILENCE", 0.1)
    server.fault = hang(0.1)
    fakes = FakeRunner({"train": lambda rate, note, size: rate, "choose": lambda rates: max(rates)})
    local.init(fakes, tmp_path, mlflow=server.url)
    search()

    assert {run["status"] for run in server.runs.values()} == {"FINISHED"}
    text = f"Waiting for the MLflow server {server.url} to record the end of the run."
    assert capsys.readouterr().err.count(text) == 1


def test_requests_are_repeated_until_the_server_answers_again(
    server: FakeMlflow, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    failures = iter([500, None, 503, None, 429])
    server.fault = lambda path: next(failures, None)
    use_fakes(tmp_path, server)
    search()

    (run,) = local.runs()
    assert len(server.runs) == 5
    assert {each["status"] for each in server.runs.values()} == {"FINISHED"}
    assert server.by_name[run.id]["params"]["output.Output"] == "0.2"
    assert len(notices(capsys.readouterr().err)) == 1


def test_an_answer_that_breaks_off_is_asked_for_again(
    server: FakeMlflow, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    server.broken = ["runs/create", "runs/log-batch", "runs/update"]
    use_fakes(tmp_path, server)
    search()

    (run,) = local.runs()
    assert not server.broken
    assert len(server.runs) == 5
    assert {each["status"] for each in server.runs.values()} == {"FINISHED"}
    assert server.by_name[run.id]["params"]["output.Output"] == "0.2"
    assert "the connection ended before its answer did" in capsys.readouterr().err


def test_a_run_that_was_created_without_an_answer_is_not_created_twice(server: FakeMlflow, tmp_path: Path) -> None:
    lost = iter([True])
    handle = server.handle

    def lose(path: str, body: dict[str, Any]) -> dict[str, Any]:
        answer = handle(path, body)
        if path == "runs/create" and body["run_name"] == "0/train" and next(lost, False):
            server.fault = lambda path: None
            raise BrokenPipeError
        return answer

    server.handle = lose  # type: ignore[method-assign]
    use_fakes(tmp_path, server)
    search()

    assert len(server.runs) == 5
    assert {each["status"] for each in server.runs.values()} == {"FINISHED"}


def test_a_server_that_dies_midway_does_not_fail_the_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with serve() as server:

        def dying(rates: list[float]) -> float:
            server.fault = lambda path: 503
            return max(rates)

        use_fakes(tmp_path, server, choose=dying)
        assert search().output == 0.2
        assert len(notices(capsys.readouterr().err)) == 1
        assert server.by_name["1/train"]["status"] == "FINISHED"


def test_a_wrong_token_is_said_once_with_what_to_do(
    server: FakeMlflow, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    server.token = "right-token"
    monkeypatch.setenv("MLFLOW_TRACKING_TOKEN", "wr0ng-token")
    use_fakes(tmp_path, server)
    search()

    (notice,) = notices(capsys.readouterr().err)
    assert "wrong token" in notice
    assert "Set MLFLOW_TRACKING_TOKEN" in notice
    assert "wr0ng" not in notice
    assert len(server.calls) == 1


@pytest.mark.parametrize(
    ("variable", "value", "problem"),
    [
        ("MLFLOW_TRACKING_SERVER_CERT_PATH", "/no/such/file", "No such file"),
        ("MLFLOW_TRACKING_TOKEN", "s3cret\n-token", "characters that HTTP does not take"),
        ("MLFLOW_EXPERIMENT_ID", "999", "no such experiment"),
    ],
)
def test_a_wrong_setting_is_said_once(
    server: FakeMlflow,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    variable: str,
    value: str,
    problem: str,
) -> None:
    monkeypatch.setenv(variable, value)
    use_fakes(tmp_path, server)
    search()

    (notice,) = notices(capsys.readouterr().err)
    assert problem in notice
    assert "s3cret" not in notice


def test_a_system_without_threads_costs_a_notice(
    server: FakeMlflow, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def refuse(self: tracker.MlflowTracker) -> None:
        raise RuntimeError("can't start new thread")

    made = tracker.MlflowTracker.__init__

    def make(self: tracker.MlflowTracker, *arguments: Any, **more: Any) -> None:
        made(self, *arguments, **more)
        monkeypatch.setattr(self._thread, "start", lambda: refuse(self))

    monkeypatch.setattr(tracker.MlflowTracker, "__init__", make)
    use_fakes(tmp_path, server)
    search()

    assert "can't start new thread" in notices(capsys.readouterr().err)[0]


def test_another_server_is_said_once(tmp_path: Path, server: FakeMlflow, capsys: pytest.CaptureFixture[str]) -> None:
    use_fakes(tmp_path, f"{server.url}/elsewhere")
    search()

    (notice,) = notices(capsys.readouterr().err)
    assert "Correct the URL" in notice


def test_what_the_server_rejects_of_a_task_does_not_concern_the_rest(
    server: FakeMlflow, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    handle = server.handle

    def refuse(path: str, body: dict[str, Any]) -> dict[str, Any]:
        return handle(path, {**body, "no_such_field": 1} if path == "runs/log-batch" else body)

    server.handle = refuse  # type: ignore[method-assign]
    use_fakes(tmp_path, server)
    search()

    (notice,) = notices(capsys.readouterr().err)
    assert "rejects" in notice


def test_a_parameter_that_the_task_has_logged_itself_costs_the_parameters_alone(
    server: FakeMlflow, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    @dsl.component
    def both(rate: float, metrics: dsl.Output[dsl.Metrics]) -> None:
        import json
        import os
        import urllib.request

        uri, run = os.environ["MLFLOW_TRACKING_URI"], os.environ["MLFLOW_RUN_ID"]
        entries = {"run_id": run, "params": [{"key": "rate", "value": "other"}]}
        urllib.request.urlopen(f"{uri}/api/2.0/mlflow/runs/log-batch", json.dumps(entries).encode()).close()
        metrics.log_metric("accuracy", 0.9)

    local.init(local.InProcessRunner(), tmp_path, mlflow=server.url, quiet=True)
    both(rate=0.5)

    run = server.by_name["both"]
    assert (run["params"], run["metrics"], run["status"]) == ({"rate": "other"}, {"accuracy": 0.9}, "FINISHED")
    assert "a parameter cannot change" in notices(capsys.readouterr().err)[0]


# --- the option -------------------------------------------------------------------------------------------------------


def test_variables_turn_it_on(server: FakeMlflow, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KFP_MLFLOW_ENABLED", "true")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", server.url)
    local.init(FakeRunner(train=lambda rate, note, size: rate), tmp_path, quiet=True)
    train(rate=0.5)

    assert "train" in server.by_name


@pytest.mark.parametrize("value", ["localhost:5000", "sqlite:///mlflow.db", 5000, ""])
def test_anything_but_a_url_is_an_error(value: Any) -> None:
    with pytest.raises(ArgumentError, match="Invalid mlflow="):
        local.init(FakeRunner(), mlflow=value)


def test_a_password_in_the_url_is_refused_and_not_shown() -> None:
    with pytest.raises(ArgumentError, match="user or a password") as raised:
        local.init(FakeRunner(), mlflow="http://me:p4ssword@localhost:5000")
    assert "p4ssword" not in str(raised.value)


def test_a_run_without_the_option_imports_nothing_for_it() -> None:
    program = (
        "import tempfile\n"
        "from standpipe import dsl, local\n"
        "@dsl.container_component\ndef noop():\n    return dsl.ContainerSpec(image='image')\n"
        "local.init(local.FakeRunner(noop=lambda: None), tempfile.mkdtemp(), quiet=True)\n"
        "noop()"
    )
    imported = modules_of(program)

    assert "standpipe.trackers.api" in imported
    assert not {name for name in imported if name.startswith("standpipe.trackers.mlflow")}
