"""Runs as events of OpenLineage."""

from __future__ import annotations

import json
import sys
import threading
import uuid
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator, FormatChecker  # type: ignore[import-untyped]

from standpipe import dsl, local
from standpipe.cli.main import main
from standpipe.errors import TaskFailed
from standpipe.exports import openlineage
from standpipe.history.records import Artifact

#: What OpenLineage 2-0-2 requires of the events of runs. With a checkout of its specification, each event was also
#: checked by its own schemas, and each facet by that which it names.
TEXT: dict[str, Any] = {"type": "string", "minLength": 1}
URI = {"type": "string", "pattern": "^https://"}
FACETS = {
    "type": "object",
    "additionalProperties": {
        "type": "object",
        "required": ["_producer", "_schemaURL"],
        "properties": {
            "_producer": URI,
            "_schemaURL": {"pattern": r"^https://openlineage.io/spec/facets/\d+-\d+-\d+/"},
        },
    },
}
RUN = {"type": "object", "required": ["runId"], "properties": {"runId": {"format": "uuid"}, "facets": FACETS}}
JOB = {
    "type": "object",
    "required": ["namespace", "name"],
    "properties": {"namespace": TEXT, "name": TEXT, "facets": FACETS},
}
DATASETS = {"type": "array", "items": {**JOB, "properties": {**JOB["properties"], "outputFacets": FACETS}}}  # type: ignore[dict-item]
EVENT = {
    "type": "object",
    "required": ["eventTime", "producer", "schemaURL", "run", "job", "eventType", "inputs", "outputs"],
    "additionalProperties": False,
    "properties": {
        "eventType": {"enum": ["START", "RUNNING", "COMPLETE", "ABORT", "FAIL", "OTHER"]},
        "eventTime": {"type": "string", "pattern": r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}\+00:00$"},
        "producer": URI,
        "schemaURL": {"const": "https://openlineage.io/spec/2-0-2/OpenLineage.json#/$defs/RunEvent"},
        "run": RUN,
        "job": JOB,
        "inputs": DATASETS,
        "outputs": DATASETS,
    },
}
VALIDATOR = Draft202012Validator(EVENT, format_checker=FormatChecker(["uuid"]))


@dsl.component
def train(rate: float, model: dsl.Output[dsl.Model]) -> float:
    with open(model.path, "w") as file:
        file.write(str(rate))
    return rate


@dsl.component
def compare(models: dsl.Input[list[dsl.Model]], fail: bool) -> None:
    if fail:
        raise ValueError("boom")


@dsl.pipeline
def search(fail: bool = False) -> None:
    with dsl.ParallelFor([0.1, 0.2]) as rate:
        trained = train(rate=rate)
    compare(models=dsl.Collected(trained.outputs["model"]), fail=fail)


def export(root: Path, *arguments: str) -> list[dict[str, Any]]:
    file = root / "events.jsonl"
    command = ["export", "latest", "--root", str(root), "--openlineage", "--force", "-o", str(file), *arguments]
    assert main(command) == 0
    events = [json.loads(line) for line in file.read_text("utf-8").splitlines()]
    for event in events:
        VALIDATOR.validate(event)
    return events


def select(events: list[dict[str, Any]], kind: str, job: str) -> list[dict[str, Any]]:
    return [event for event in events if event["eventType"] == kind and event["job"]["name"] == job]


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("runs")
    runner = local.SubprocessRunner(use_venv=False)
    local.run(search, runner=runner, pipeline_root=folder, quiet=True, enable_caching=True)
    return folder


def test_a_run_and_its_tasks_start_and_complete(root: Path) -> None:
    events = export(root)

    jobs = ["search", "search.compare", "search.for-loop-2", "search.for-loop-2.train"]
    assert sorted({event["job"]["name"] for event in events}) == jobs
    for kind in ("START", "COMPLETE"):
        assert [len(select(events, kind, job)) for job in jobs] == [1, 1, 1, 2]
    assert [event["eventTime"] for event in events] == sorted(event["eventTime"] for event in events)
    assert events[0]["job"]["name"] == events[-1]["job"]["name"] == "search"


def test_runs_name_their_parents_and_the_root(root: Path) -> None:
    events = export(root)

    (run,) = select(events, "START", "search")
    (loop,) = select(events, "START", "search.for-loop-2")
    for task in select(events, "COMPLETE", "search.for-loop-2.train"):
        parent = task["run"]["facets"]["parent"]
        assert parent["run"]["runId"] == loop["run"]["runId"]
        assert parent["job"]["name"] == "search.for-loop-2"
        assert parent["root"]["run"]["runId"] == run["run"]["runId"]
    assert loop["run"]["facets"]["parent"]["run"]["runId"] == run["run"]["runId"]
    assert "parent" not in run["run"]["facets"]


def test_the_id_of_a_run_is_that_which_the_task_knows(tmp_path: Path) -> None:
    @dsl.container_component
    def say(text: str):  # type: ignore[no-untyped-def]
        return dsl.ContainerSpec(image="image", command=["echo", text])

    @dsl.pipeline
    def ids() -> None:
        say(text=dsl.PIPELINE_TASK_ID_PLACEHOLDER)
        say(text=dsl.PIPELINE_JOB_ID_PLACEHOLDER)

    seen: list[str] = []
    local.run(ids, runner=local.FakeRunner(say=lambda text: seen.append(text)), pipeline_root=tmp_path, quiet=True)
    events = export(tmp_path)

    known = {event["run"]["runId"] for event in events}
    assert len(seen) == 2
    assert set(seen) <= known


def test_artifacts_are_datasets_that_tasks_share(root: Path) -> None:
    events = export(root)

    outputs = [data for task in select(events, "COMPLETE", "search.for-loop-2.train") for data in task["outputs"]]
    (consumer,) = select(events, "START", "search.compare")
    assert {(each["namespace"], each["name"]) for each in outputs} == {
        ("file", str(artifact.path)) for artifact in local.get_run("latest", root).artifacts
    }
    assert sorted(each["name"] for each in consumer["inputs"]) == sorted(each["name"] for each in outputs)
    assert outputs[0]["facets"]["datasetType"]["subType"] == "system.Model"
    assert outputs[0]["facets"]["datasetType"]["datasetType"] == "MODEL"
    assert outputs[0]["facets"]["version"]["datasetVersion"].startswith("sha256:")
    assert outputs[0]["outputFacets"]["outputStatistics"]["size"] == 3


def test_parameters_and_tags_are_facets(root: Path) -> None:
    events = export(root)

    facets = [task["run"]["facets"] for task in select(events, "COMPLETE", "search.for-loop-2.train")]
    values = [each["executionParameters"]["parameters"] for each in facets]
    assert sorted(each["value"] for (each,) in values) == ["0.1", "0.2"]
    tags = [{tag["key"]: tag["value"] for tag in each["tags"]["tags"]} for each in facets]
    assert {each["task"] for each in tags} == {"for-loop-2/0/train", "for-loop-2/1/train"}


def test_cached_tasks_and_failures(root: Path) -> None:
    runner = local.SubprocessRunner(use_venv=False)
    with pytest.raises(TaskFailed):
        local.run(search, {"fail": True}, runner=runner, pipeline_root=root, quiet=True, enable_caching=True)
    events = export(root)

    (task,), (run,) = select(events, "FAIL", "search.compare"), select(events, "FAIL", "search")
    error = task["run"]["facets"]["errorMessage"]
    assert (error["message"], error["programmingLanguage"]) == ("ValueError: boom", "python")
    assert "Traceback" in error["stackTrace"]
    assert "boom" in run["run"]["facets"]["errorMessage"]["message"]
    for cached in select(events, "COMPLETE", "search.for-loop-2.train"):
        assert any(tag["key"] == "cached_from" for tag in cached["run"]["facets"]["tags"]["tags"])
        assert cached["outputs"]


@pytest.mark.parametrize(
    ("uri", "expected"),
    [
        ("/data/a.csv", ("file", "/data/a.csv")),
        ("s3://bucket/a/b.csv", ("s3://bucket", "a/b.csv")),
        ("gs://bucket", ("gs://bucket", "/")),
        ("https://host:8000/a", ("https://host:8000", "a")),
    ],
)
def test_datasets_are_named_by_the_rules_of_openlineage(uri: str, expected: tuple[str, str]) -> None:
    artifact = Artifact("a", "Dataset", uri, "", None, {}, None, (), uri)

    assert openlineage.name_dataset(artifact) == expected


# --- the command ------------------------------------------------------------------------------------------------------


@pytest.fixture
def receiver(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[dict[str, Any]]]:
    received: list[dict[str, Any]] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            received.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(201)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        monkeypatch.setenv("OPENLINEAGE_URL", f"http://127.0.0.1:{server.server_address[1]}")
        yield received
        server.shutdown()


def test_events_are_sent_where_the_client_of_openlineage_sends_them(
    root: Path, receiver: list[dict[str, Any]], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["export", "latest", "--root", str(root), "--openlineage", "--send"]) == 0

    def identify(event: dict[str, Any]) -> tuple[str, ...]:
        return event["eventTime"], event["eventType"], event["run"]["runId"]

    for event in receiver:
        VALIDATOR.validate(event)
    assert [*map(identify, receiver)] == [*map(identify, export(root))]  # the client adds tags of its own
    assert f"Sent {len(receiver)} events" in capsys.readouterr().err


@dsl.component
def wait() -> int:
    return 1


@dsl.pipeline
def waiting() -> int:
    return wait().output


def test_a_run_in_progress_is_followed_to_its_end(tmp_path: Path) -> None:
    started, release = threading.Event(), threading.Event()

    def block() -> int:
        started.set()
        assert release.wait(30)
        return 1

    options: dict[str, Any] = {"runner": local.FakeRunner({"wait": block}), "pipeline_root": tmp_path, "quiet": True}
    thread = threading.Thread(target=lambda: local.run(waiting, **options))
    thread.start()
    assert started.wait(30)
    seen, pauses = [], []

    def pause(seconds: float) -> None:
        pauses.append(seconds)
        if len(pauses) == 2:
            release.set()
        thread.join(0.05)

    for event in openlineage.follow_events(local.get_run("latest", tmp_path), pause):
        assert event.eventType
        seen.append((event.job.name, event.eventType.value, release.is_set()))
    thread.join()
    assert seen == [
        ("waiting", "START", False),
        ("waiting.wait", "START", False),
        ("waiting.wait", "COMPLETE", True),
        ("waiting", "COMPLETE", True),
    ]
    assert min(pauses) >= 1.0


def test_a_run_that_has_ended_is_not_waited_for(root: Path, tmp_path: Path) -> None:
    arguments = ["export", "latest", "--root", str(root), "--openlineage"]
    assert main([*arguments, "-o", str(tmp_path / "all.jsonl")]) == 0
    assert main([*arguments, "--follow", "-o", str(tmp_path / "followed.jsonl")]) == 0
    assert (tmp_path / "all.jsonl").read_text() == (tmp_path / "followed.jsonl").read_text()


def test_events_without_a_destination_are_an_error(
    root: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("OPENLINEAGE_URL", raising=False)
    monkeypatch.chdir(tmp_path)
    assert main(["export", "latest", "--root", str(root), "--openlineage", "--send"]) == 2

    assert "set OPENLINEAGE_URL" in capsys.readouterr().err


def test_a_format_must_be_chosen(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["export", "latest", "--root", str(root)]) == 2
    assert "pass --openlineage" in capsys.readouterr().err


def test_a_file_is_not_replaced(root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "mine"
    file.write_text("mine")

    assert main(["export", "latest", "--root", str(root), "--openlineage", "-o", str(file)]) == 2
    assert "--force" in capsys.readouterr().err
    assert file.read_text() == "mine"


def test_a_missing_package_is_named_with_its_extra(
    root: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delitem(sys.modules, "standpipe.exports.openlineage")
    monkeypatch.delattr("standpipe.exports.openlineage")
    monkeypatch.setitem(sys.modules, "openlineage.client", None)

    assert main(["export", "latest", "--root", str(root), "--openlineage"]) == 4
    assert "pip install 'standpipe[openlineage]'" in capsys.readouterr().err


def test_ids_are_uuids(root: Path) -> None:
    assert {uuid.UUID(event["run"]["runId"]).version for event in export(root)} == {4, 5}
