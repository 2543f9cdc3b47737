"""`standpipe submit --wait`: runs that are followed to their end, with what their tasks print, and all other ends."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from standpipe.cli.main import main
from standpipe.kfp_cluster import following, live_logs
from tests.kfp_cluster.mock_kfp import STATES, MockKfp
from tests.kfp_cluster.test_submitting import FIRST, submit

pytestmark = pytest.mark.usefixtures("no_pauses")


@pytest.fixture
def no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(following, "_FIRST_INTERVAL", 0.0)
    monkeypatch.setattr(following, "_INTERVAL", 0.0)
    monkeypatch.setattr("standpipe.kfp_cluster.http._DELAYS", (0.0, 0.0))
    monkeypatch.setattr(live_logs, "_PAUSE", 0.0)


def frames(*steps: Callable[[dict[str, Any]], None]) -> Callable[[dict[str, Any]], None]:
    """Return a progress in which the steps follow each other, one before each answer about the run."""
    left = list(steps)

    def progress(run: dict[str, Any]) -> None:
        if left:
            left.pop(0)(run)

    return progress


def script_of_a_run(kfp: MockKfp, state: str) -> Callable[[dict[str, Any]], None]:
    def begin(run: dict[str, Any]) -> None:
        run["state"] = "RUNNING"
        kfp.add_execution(inputs={"rows": 3.0})
        kfp.add_execution("load", 1, "RUNNING", inputs={"rows": 3.0}, pod_name="load-pod", namespace="team")

    def go_on(run: dict[str, Any]) -> None:
        kfp.executions[1].last_known_state = 3
        kfp.add_execution("train", 1, "RUNNING", pod_name="train-pod")

    def end(run: dict[str, Any]) -> None:
        kfp.executions[2].last_known_state = 3 if state == "SUCCEEDED" else 4
        run.update(state=state, finished_at="2026-09-21T14:15:00Z")

    return frames(lambda run: None, begin, go_on, end)


def test_a_run_is_followed_to_its_end(kfp: MockKfp, script: Path, capsys: pytest.CaptureFixture[str]) -> None:
    kfp.progress = script_of_a_run(kfp, "SUCCEEDED")
    assert submit(kfp, "--wait") == 0
    lines = capsys.readouterr().out.splitlines()
    shown = [line.split(" in ")[0] for line in lines if ": " in line or line.startswith("Succeeded")]
    assert shown[-6:] == [
        "load: started",
        "load: succeeded",
        "train: started",
        "train: succeeded",
        "report: skipped: the cluster did not start it, or does not tell it",
        "Succeeded",
    ]


def test_a_failed_run_ends_with_the_code_of_a_failed_task(
    kfp: MockKfp, script: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    kfp.progress = script_of_a_run(kfp, "FAILED")
    assert submit(kfp, "--wait") == 10
    captured = capsys.readouterr()
    assert "train: failed" in captured.out
    assert "load: succeeded in 0.5 s\n" in captured.out, "by the clock of the cluster"
    assert f"standpipe pull {FIRST} --artifacts --host {kfp.host}" in captured.err


def test_ctrl_c_leaves_the_run(kfp: MockKfp, script: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def press(run: dict[str, Any]) -> None:
        import _thread  # what Ctrl-C does

        _thread.interrupt_main()

    kfp.progress = frames(lambda run: None, press)
    assert submit(kfp, "--wait") == 130
    assert f"To cancel it: standpipe cancel {FIRST} --host {kfp.host}" in capsys.readouterr().err
    assert not [each for each in kfp.requests if "terminate" in each.path]


def test_a_cluster_that_is_away_for_a_moment_is_asked_again(kfp: MockKfp, script: Path) -> None:
    progress = script_of_a_run(kfp, "SUCCEEDED")

    def stumble(run: dict[str, Any]) -> None:
        kfp.statuses += [503, 503]
        kfp.progress = progress

    kfp.progress = stumble
    assert submit(kfp, "--wait") == 0


def test_an_object_for_programs_is_all_of_the_output(
    kfp: MockKfp, script: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    kfp.progress = script_of_a_run(kfp, "SUCCEEDED")
    kfp.logs["load-pod"] = "loading\n"
    assert submit(kfp, "--json", "--wait") == 0
    assert json.loads(capsys.readouterr().out)["run_id"] == FIRST


def printing(kfp: MockKfp, progress: Callable[[dict[str, Any]], None], **logs: list[str]) -> None:
    """Let tasks print: before each answer about the run, the pod of each log prints its next text."""

    def print_and_progress(run: dict[str, Any]) -> None:
        for task, texts in logs.items():
            if texts:
                kfp.logs[f"{task}-pod"] = kfp.logs.get(f"{task}-pod", "") + texts.pop(0)
        progress(run)

    kfp.progress = print_and_progress


def lines_of(task: str, output: str) -> list[str]:
    return [line.removeprefix(f"[{task}] ") for line in output.splitlines() if line.startswith(f"[{task}] ")]


def test_what_tasks_print_is_shown_while_they_run(
    kfp: MockKfp, script: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    load = ["", "reading\nrow", " 1\nrow 2"]
    printing(kfp, script_of_a_run(kfp, "SUCCEEDED"), load=load, train=["", "", "", "epoch \x1b]0;evil\x07 1\n"])
    assert submit(kfp, "--wait") == 0
    output = capsys.readouterr().out
    assert lines_of("load", output) == ["reading", "row 1", "row 2"]
    assert lines_of("train", output) == ["epoch  1"]
    shown = output.splitlines()
    assert shown.index("load: started") < shown.index("[load] reading")
    assert shown.index("[load] row 2") < next(at for at, line in enumerate(shown) if line.startswith("load: succeeded"))
    assert "podname=load-pod&runid=" + FIRST + "&podnamespace=team" in next(
        each.path for each in kfp.requests if each.path.startswith("/k8s/pod/logs")
    )


def test_the_log_of_a_task_that_fails_is_shown_before_its_failure(
    kfp: MockKfp, script: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    kfp.logs["train-pod"] = "ValueError: too few rows"
    kfp.progress = script_of_a_run(kfp, "FAILED")
    assert submit(kfp, "--wait") == 10
    shown = capsys.readouterr().out.splitlines()
    at = shown.index("[train] ValueError: too few rows")
    assert shown[at + 1].startswith("train: failed")
    assert shown[at + 1].endswith("it failed on the cluster: ValueError: too few rows")


def failed_attempt(kfp: MockKfp, script: Path) -> tuple[Callable[[dict[str, Any]], None], ...]:
    """Give a task retries; return the beginning of a run in which its first attempt fails."""
    code = script.read_text(encoding="utf-8")
    script.write_text(code.replace("loaded = load(rows=rows)", "loaded = load(rows=rows).set_retry(2)"), "utf-8")

    def begin(run: dict[str, Any]) -> None:
        run["state"] = "RUNNING"
        kfp.add_execution(inputs={"rows": 3.0})
        kfp.add_execution("load", 1, "RUNNING", pod_name="load-pod")

    def fail(run: dict[str, Any]) -> None:
        kfp.executions[1].last_known_state = STATES["FAILED"]

    return begin, fail


def test_the_failure_of_a_last_attempt_has_its_log(
    kfp: MockKfp, script: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The log is read when the attempt fails, and the task has failed only when the run ends."""
    kfp.logs["load-pod"] = "ValueError: too few rows"

    def end(run: dict[str, Any]) -> None:
        run.update(state="FAILED", finished_at="2026-09-21T14:15:00Z")

    kfp.progress = frames(*failed_attempt(kfp, script), end)
    assert submit(kfp, "--wait") == 10
    output = capsys.readouterr().out
    assert lines_of("load", output) == ["ValueError: too few rows"]
    assert "load: failed" in output
    assert "it failed on the cluster: ValueError: too few rows" in output


def two_tasks_that_end_at_once(kfp: MockKfp) -> Callable[[dict[str, Any]], None]:
    """Return the progress of a run that is looked at twice after its tasks have ended."""
    kfp.logs.update({"load-pod": "loaded\n", "train-pod": "trained\n"})

    def run_both(run: dict[str, Any]) -> None:
        run["state"] = "RUNNING"
        kfp.add_execution(inputs={"rows": 3.0})
        kfp.add_execution("load", 1, pod_name="load-pod")
        kfp.add_execution("train", 1, pod_name="train-pod")

    def end(run: dict[str, Any]) -> None:
        run.update(state="SUCCEEDED", finished_at="2026-09-21T14:15:00Z")

    return frames(run_both, end)


def test_the_log_of_a_task_that_has_to_wait_is_read_at_the_next_look(
    kfp: MockKfp, script: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(live_logs, "_MAX_READ", 1)
    kfp.progress = two_tasks_that_end_at_once(kfp)
    assert submit(kfp, "--wait") == 0
    output = capsys.readouterr().out
    assert (lines_of("load", output), lines_of("train", output)) == (["loaded"], ["trained"])


def test_the_log_of_a_task_is_read_again_if_the_page_was_away(
    kfp: MockKfp, script: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    kfp.log_statuses = [503, 503]
    kfp.progress = two_tasks_that_end_at_once(kfp)
    assert submit(kfp, "--wait") == 0
    output = capsys.readouterr().out
    assert (lines_of("load", output), lines_of("train", output)) == (["loaded"], ["trained"])


def test_long_logs_end_with_a_hint(
    kfp: MockKfp, script: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(live_logs, "_MAX_BYTES", 20)
    kfp.logs["load-pod"] = "0123456789\n0123456789\n0123456789\n"
    kfp.progress = script_of_a_run(kfp, "SUCCEEDED")
    assert submit(kfp, "--wait") == 0
    assert lines_of("load", capsys.readouterr().out)[-1] == "[the rest of the log is on KFP's web page]"


def test_a_page_without_logs_is_not_asked_forever(
    kfp: MockKfp, script: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(live_logs, "_MAX_FAILURES", 1)
    kfp.progress = script_of_a_run(kfp, "SUCCEEDED")
    assert submit(kfp, "--wait") == 0
    text = "Logs of tasks are not shown any more: KFP's web page does not serve them (status 500)"
    assert text in capsys.readouterr().err
    assert len([each for each in kfp.requests if each.path.startswith("/k8s/pod/logs")]) == 1


def test_a_cancelled_run_says_so(kfp: MockKfp, script: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def cancel(run: dict[str, Any]) -> None:
        run.update(state="CANCELED", finished_at="2026-09-21T14:15:00Z")

    kfp.progress = frames(lambda run: None, cancel)
    assert submit(kfp, "--wait") == 10
    assert f"Run {FIRST} was cancelled on the cluster" in capsys.readouterr().err


def test_a_run_that_was_skipped_has_succeeded(kfp: MockKfp, script: Path) -> None:
    kfp.progress = lambda run: run.update(state="SKIPPED", finished_at="2026-09-21T14:15:00Z")
    assert submit(kfp, "--wait") == 0


def test_a_run_that_is_deleted_meanwhile(kfp: MockKfp, script: Path, capsys: pytest.CaptureFixture[str]) -> None:
    kfp.progress = frames(lambda run: None, lambda run: kfp.runs.clear())
    assert submit(kfp, "--wait") == 7
    assert f"Run {FIRST} was deleted on {kfp.host}" in capsys.readouterr().err


def test_a_login_that_expires_leaves_the_run(
    kfp: MockKfp, script: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("STANDPIPE_KFP_TOKEN", "valid")
    kfp.token = "valid"

    def expire(run: dict[str, Any]) -> None:
        kfp.token = "another"

    kfp.progress = frames(lambda run: None, expire)
    assert submit(kfp, "--wait") == 7
    error = capsys.readouterr().err
    assert "demands a login for ML Metadata (401). Pass a token" in error
    assert "continues on the cluster" in error
    assert f"standpipe pull {FIRST} --host {kfp.host}" in error


def test_a_login_that_expires_can_be_renewed_in_its_file(
    kfp: MockKfp, script: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "token"
    file.write_text("first", encoding="ascii")
    kfp.token = "first"
    progress = script_of_a_run(kfp, "SUCCEEDED")

    def expire(run: dict[str, Any]) -> None:
        kfp.token = "second"
        kfp.progress = progress

    kfp.progress = frames(lambda run: None, expire)
    waits: list[float] = []

    def renew(seconds: float) -> None:
        waits.append(seconds)
        if len(waits) == 4:
            file.write_text("second", encoding="ascii")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(following.follow_run, "__defaults__", (renew,))
        assert submit(kfp, "--wait", "--token-file", str(file)) == 0
    error = capsys.readouterr().err
    assert error.count("demands a login for ML Metadata (401)") == 1
    assert "answers again" in error


def test_a_login_page_in_the_middle_is_no_reason_to_wait(
    kfp: MockKfp, script: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def log_out(run: dict[str, Any]) -> None:
        kfp.login_page = True

    kfp.progress = frames(lambda run: None, log_out)
    assert submit(kfp, "--wait") == 7
    assert "a page for people" in capsys.readouterr().err


def test_a_cluster_that_stays_away_is_left(
    kfp: MockKfp, script: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(following, "_PATIENCE", 0.2)

    def go_away(run: dict[str, Any]) -> None:
        kfp.statuses += [503] * 10_000

    kfp.progress = frames(lambda run: None, go_away)
    assert submit(kfp, "--wait") == 7
    error = capsys.readouterr().err
    assert error.count("Waiting") + error.count("is followed as soon as the cluster answers") == 1
    assert "The run is not followed any more, and continues on the cluster" in error


def test_values_that_were_there_are_waited_for(kfp: MockKfp, script: Path, capsys: pytest.CaptureFixture[str]) -> None:
    progress = script_of_a_run(kfp, "SUCCEEDED")
    looks: list[int] = []

    def stumble(run: dict[str, Any]) -> None:
        looks.append(len(looks))
        kfp.has_metadata = len(looks) not in (3, 4)
        progress(run)

    kfp.progress = stumble
    assert submit(kfp, "--wait") == 0
    captured = capsys.readouterr()
    assert "load: succeeded" in captured.out
    assert captured.err.count("ML Metadata is not served") == 1


def test_a_run_is_cancelled_on_the_cluster(kfp: MockKfp, script: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert submit(kfp) == 0
    assert main(["cancel", FIRST, "--host", kfp.host]) == 0
    assert f"Requested the cancellation of run {FIRST} on {kfp.host}" in capsys.readouterr().out
    assert kfp.runs[FIRST]["state"] == "CANCELING"
    assert main(["cancel", "another", "--host", kfp.host]) == 2
    assert "has no run 'another'" in capsys.readouterr().err


def test_an_attempt_that_the_cluster_retries_is_not_the_failure_of_its_task(
    kfp: MockKfp, script: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    kfp.logs.update({"load-pod": "first attempt\n", "load-pod-2": "second attempt\n"})

    def try_again(run: dict[str, Any]) -> None:
        del kfp.executions[1]
        kfp.add_execution("load", 1, "RUNNING", pod_name="load-pod-2")

    def end(run: dict[str, Any]) -> None:
        kfp.executions[1].last_known_state = STATES["COMPLETE"]
        run.update(state="SUCCEEDED", finished_at="2026-09-21T14:15:00Z")

    kfp.progress = frames(*failed_attempt(kfp, script), try_again, end)
    assert submit(kfp, "--wait") == 0
    output = capsys.readouterr().out
    assert lines_of("load", output) == ["first attempt", "second attempt"]
    assert "load: failed" not in output
    assert "load: succeeded" in output


def test_commands_that_are_suggested_have_the_flags_of_the_connection(
    kfp: MockKfp, script: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "my token").write_text("secret", encoding="ascii")
    kfp.token = "secret"
    kfp.progress = script_of_a_run(kfp, "FAILED")
    assert submit(kfp, "--wait", "--token-file", "my token") == 10
    assert f"pull {FIRST} --artifacts --host {kfp.host} --token-file 'my token'" in capsys.readouterr().err


def test_an_error_of_the_api_server_is_not_a_log(
    kfp: MockKfp, script: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """It answers with status 200 before it knows whether there is a log."""
    kfp.logs["train-pod"] = '{"error_message":"Failed to read logs for run r","error_details":"..."}'
    kfp.progress = script_of_a_run(kfp, "FAILED")
    assert submit(kfp, "--wait") == 10
    assert "error_message" not in capsys.readouterr().out
    assert main(["pull", FIRST, "--host", kfp.host]) == 0
    assert main(["show", "latest", "train"]) == 0
    shown = capsys.readouterr().out
    assert "error_message" not in shown
    assert "kubectl logs train-pod -c main" in shown
