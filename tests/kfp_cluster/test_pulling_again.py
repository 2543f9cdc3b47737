"""`standpipe pull` of runs that are in progress, and of runs that were pulled before."""

from __future__ import annotations

import sqlite3
import threading
from contextlib import closing
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from standpipe import local
from standpipe.cli.main import main
from standpipe.history.records import Status
from standpipe.history.totals_reader import TotalsReader
from standpipe.kfp_cluster import pulled_runs
from standpipe.kfp_cluster.cluster import Cluster
from standpipe.kfp_cluster.credentials import find_credentials
from standpipe.kfp_cluster.facts import ClusterRun
from standpipe.kfp_cluster.http import HttpClient
from standpipe.kfp_cluster.pulled_runs import pull_run
from standpipe.model.layout import RUN_STORE_FILE
from standpipe.model.plan import Plan
from standpipe.model.refs import RunId
from standpipe.store.runs import RunRecorder
from standpipe.ui.views.details import view_details
from standpipe.ui.views.run_rows import make_row
from tests.kfp_cluster.conftest import RUN, pull
from tests.kfp_cluster.metadata_messages import make
from tests.kfp_cluster.mock_kfp import STATES, MockKfp


@pytest.fixture
def running(failed: MockKfp) -> MockKfp:
    """The run whose task `train` has failed, a minute before: the task is still in progress."""
    failed.runs[RUN].update(state="RUNNING", finished_at="1970-01-01T00:00:00Z")
    failed.executions[2].last_known_state = STATES["RUNNING"]
    return failed


def end(cluster: MockKfp, state: str, task: str) -> None:
    cluster.runs[RUN].update(state=state, finished_at="2026-09-21T14:15:00Z")
    cluster.executions[2].last_known_state = STATES[task]


def test_a_run_in_progress_has_the_states_of_the_cluster(running: MockKfp, capsys: pytest.CaptureFixture[str]) -> None:
    assert pull(running) == 0
    captured = capsys.readouterr()
    assert "The run is in progress on the cluster. Pull it again" in captured.err
    run = local.get_run(captured.out.strip())
    assert run.status is Status.RUNNING
    assert [(task.name, task.status.value) for task in run.tasks] == [("load", "SUCCEEDED"), ("train", "RUNNING")]
    assert main(["runs"]) == 0
    assert "  running  " in capsys.readouterr().out


def test_a_run_in_progress_is_cancelled_on_the_cluster(running: MockKfp, capsys: pytest.CaptureFixture[str]) -> None:
    assert pull(running) == 0
    run = capsys.readouterr().out.strip()
    assert main(["cancel", run]) == 1
    assert f"On the cluster: standpipe cancel {RUN} --host {running.host}" in capsys.readouterr().out
    assert main(["resume", run]) == 2


def test_the_next_pull_adds_what_has_happened(running: MockKfp, capsys: pytest.CaptureFixture[str]) -> None:
    assert pull(running) == 0
    name = capsys.readouterr().out
    before = local.get_run(name.strip())
    end(running, "FAILED", "FAILED")
    assert pull(running) == 0
    captured = capsys.readouterr()
    assert captured.out == name
    assert f"{name.strip()} train --debug" in captured.err
    after = before.refresh()
    assert after.status is Status.FAILED
    assert [task.status.value for task in after.tasks] == ["SUCCEEDED", "FAILED", "SKIPPED"]
    assert [run.id for run in local.runs()] == [name.strip()]


def test_a_run_that_was_retried_on_the_cluster_is_replaced(failed: MockKfp, capsys: pytest.CaptureFixture[str]) -> None:
    assert pull(failed) == 0
    name = capsys.readouterr().out
    assert local.get_run(name.strip()).status is Status.FAILED
    end(failed, "SUCCEEDED", "COMPLETE")
    assert pull(failed) == 0
    assert capsys.readouterr().out == name
    run = local.get_run(name.strip())
    assert (run.status, run.task("train").status) == (Status.SUCCEEDED, Status.SUCCEEDED)


def test_artifacts_are_fetched_by_a_later_pull_and_stay(failed: MockKfp, capsys: pytest.CaptureFixture[str]) -> None:
    assert pull(failed) == 0
    failed.payloads["minio/mlpipeline/v2/artifacts/training/data"] = b"x\nx\n"
    assert pull(failed, "--artifacts") == 0
    failed.payloads.clear()
    assert pull(failed, "--artifacts") == 0
    assert pull(failed) == 0
    captured = capsys.readouterr()
    assert "not fetched" not in captured.err
    run = captured.out.split()[-1]
    assert main(["rerun", run, "train", "--runner", "in-process", "-a", "label=fixed"]) == 0
    assert '"Output": 0.5' in capsys.readouterr().out


def test_a_viewer_of_a_run_sees_what_another_pull_has_replaced(
    failed: MockKfp, capsys: pytest.CaptureFixture[str]
) -> None:
    assert pull(failed) == 0
    viewed = local.get_run(capsys.readouterr().out.strip())
    assert [artifact.path for artifact in viewed.artifacts] == [None]
    failed.payloads["minio/mlpipeline/v2/artifacts/training/data"] = b"x\nx\n"
    assert pull(failed, "--artifacts") == 0
    assert [artifact.path is not None for artifact in viewed.refresh().artifacts] == [True]


def test_a_viewer_that_looks_while_facts_are_replaced_sees_the_new_ones(
    failed: MockKfp, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert pull(failed) == 0
    viewed = local.get_run(capsys.readouterr().out.strip())
    assert viewed.task("train").status is Status.FAILED
    seen: list[tuple[Status, Status]] = []

    class Watched(RunRecorder):
        def close(self) -> None:
            now = viewed.refresh()
            seen.append((now.status, now.task("train").status))
            super().close()

    monkeypatch.setattr(pulled_runs, "RunRecorder", Watched)
    end(failed, "SUCCEEDED", "COMPLETE")
    assert pull(failed) == 0
    assert seen == [(Status.SUCCEEDED, Status.SUCCEEDED)]


def test_a_pull_that_ends_in_the_middle_loses_nothing_that_was_pulled_before(
    failed: MockKfp, capsys: pytest.CaptureFixture[str]
) -> None:
    assert pull(failed) == 0
    (before,) = local.runs()
    expected = before.to_text()
    end(failed, "SUCCEEDED", "COMPLETE")
    with closing(sqlite3.connect(before.folder.parent / RUN_STORE_FILE)) as db:
        db.execute("CREATE TRIGGER fails BEFORE INSERT ON facts WHEN NEW.seq = 5 BEGIN SELECT RAISE(ABORT, 'no'); END")
        assert pull(failed) == 6
        assert [run.to_text() for run in local.runs()] == [expected]
        db.execute("DROP TRIGGER fails")
    assert pull(failed) == 0
    assert [(run.id, run.status) for run in local.runs()] == [(before.id, Status.SUCCEEDED)]


def test_first_pulls_at_the_same_time_make_one_run(failed: MockKfp, tmp_path: Path) -> None:
    meeting, pulled = threading.Event(), list[RunId]()
    http = HttpClient(failed.host, find_credentials({}, "", ""))

    class First(Cluster):
        """A cluster that another pull asks while it answers the first one."""

        def read_run(self, run_id: str, plan: Plan | None = None, *, with_artifacts: bool = False) -> ClusterRun:
            second.start()
            meeting.wait()
            return super().read_run(run_id, plan, with_artifacts=with_artifacts)

    class Second(Cluster):
        def read_run(self, run_id: str, plan: Plan | None = None, *, with_artifacts: bool = False) -> ClusterRun:
            meeting.set()
            return super().read_run(run_id, plan, with_artifacts=with_artifacts)

    def pull_second() -> None:
        pulled.append(pull_run(tmp_path, Second(http), RUN, on_wait=meeting.set).id)

    second = threading.Thread(target=pull_second)
    first = pull_run(tmp_path, First(http), RUN)
    second.join()
    assert pulled == [first.id] == [run.id for run in local.runs(tmp_path)]
    assert [path.name for path in tmp_path.iterdir() if path.is_dir()] == [first.id]
    assert not [*tmp_path.glob(".pull-*")]


def test_the_totals_of_a_list_are_those_of_the_new_facts(failed: MockKfp) -> None:
    end(failed, "FAILED", "FAILED")
    assert pull(failed) == 0
    (run,) = local.runs()
    totals = TotalsReader(run.folder.parent)
    assert totals.stored([run])[run.id].counts["FAILED"] == 1

    end(failed, "SUCCEEDED", "COMPLETE")  # at the same time
    assert pull(failed) == 0
    (run,) = local.runs()
    assert "FAILED" not in totals.stored([run])[run.id].counts


def test_the_totals_of_a_run_in_progress_are_those_of_the_new_facts(running: MockKfp) -> None:
    assert pull(running) == 0
    (run,) = local.runs()
    totals = TotalsReader(run.folder.parent)
    assert totals.folded([run], 60)[run.id].counts == {"SUCCEEDED": 1, "RUNNING": 1}

    running.executions[1].last_known_state = STATES["FAILED"]
    assert pull(running) == 0
    (run,) = local.runs()
    assert totals.folded([run], 60)[run.id].counts == {"FAILED": 1, "RUNNING": 1}


def test_a_log_stays_when_its_pod_was_deleted(failed: MockKfp, capsys: pytest.CaptureFixture[str]) -> None:
    failed.logs["training-def"] = "starting\nValueError: cannot train on 5 rows\n"
    assert pull(failed) == 0
    failed.logs.clear()
    assert pull(failed) == 0
    run = local.get_run(capsys.readouterr().out.split()[-1])
    assert "ValueError: cannot train on 5 rows" in run.failures[0]


def test_a_mark_that_is_damaged_can_be_replaced(failed: MockKfp, capsys: pytest.CaptureFixture[str]) -> None:
    assert pull(failed) == 0
    run = capsys.readouterr().out.strip()
    (local.get_run(run).folder / ".pulled" / "run.json").write_text("{", encoding="utf-8")
    assert pull(failed) == 6
    assert f"Delete the run (`standpipe delete {run}`), and pull it again." in capsys.readouterr().err
    assert main(["delete", run]) == 0
    assert pull(failed) == 0


def test_values_stay_when_ml_metadata_is_away(failed: MockKfp, capsys: pytest.CaptureFixture[str]) -> None:
    assert pull(failed) == 0
    failed.has_metadata = False
    assert pull(failed) == 0
    captured = capsys.readouterr()
    assert "The run stays as it was pulled before." in captured.err
    assert local.get_run(captured.out.split()[-1]).task("load").outputs["Output"] == "loaded"


def test_a_task_that_the_clock_puts_before_what_is_stored_is_added(
    running: MockKfp, capsys: pytest.CaptureFixture[str]
) -> None:
    """The clocks of a cluster differ: a task may seem to have ended before one that was stored already."""
    assert pull(running) == 0
    early: dict[str, Any] = {"create_time_since_epoch": 1_789_999_000_000, "last_update_time_since_epoch": 0}
    running.executions[2] = make(
        "Execution", id=3, last_known_state=4, custom_properties=running.executions[2].custom_properties, **early
    )
    end(running, "FAILED", "FAILED")
    assert pull(running) == 0
    run = local.get_run(capsys.readouterr().out.split()[-1])
    assert {task.name: task.status.value for task in run.tasks} == {
        "load": "SUCCEEDED",
        "train": "FAILED",
        "report": "SKIPPED",
    }


def test_a_run_is_the_same_at_another_address_of_its_cluster(
    failed: MockKfp, capsys: pytest.CaptureFixture[str]
) -> None:
    """`kubectl port-forward` may take another port each time; the ids of runs are unique everywhere."""
    assert pull(failed) == 0
    name = capsys.readouterr().out
    failed.host = failed.host.replace("127.0.0.1", "localhost")
    assert pull(failed) == 0
    assert capsys.readouterr().out == name
    assert main(["show", name.strip()]) == 0
    assert f"pulled from {failed.host}" in capsys.readouterr().out


def test_the_web_ui_offers_what_can_be_done_with_a_run_of_a_cluster(
    running: MockKfp, capsys: pytest.CaptureFixture[str]
) -> None:
    assert pull(running) == 0
    run = local.get_run(capsys.readouterr().out.strip())
    row = make_row(run, None, (), datetime.now().astimezone())
    assert (row.can_stop, row.can_resume) == (False, False)
    details = view_details(run, None)
    assert ("Pulled from", f"{running.host}: run {RUN}") in [(fact.label, fact.text) for fact in details.facts]
    commands = {each.purpose: each.text for each in details.commands}
    assert commands["Cancel it there"] == f"standpipe cancel {RUN} --host {running.host}"
    assert commands["Bring it up to date"].startswith(f"standpipe pull --host {running.host} --root ")
    end(running, "FAILED", "FAILED")
    assert pull(running) == 0
    labels = [each.purpose for each in view_details(run.refresh(), None).commands]
    assert labels == ["Bring it up to date", "Show it on a terminal"]
