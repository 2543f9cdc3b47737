"""Answers that are not what the API promises end in an error that a user can read, never in a traceback."""

from __future__ import annotations

import copy
import json
import socket
import threading
from contextlib import suppress
from pathlib import Path
from random import Random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from standpipe.errors import ClusterError, InternalError, StandpipeError
from standpipe.kfp_cluster.cluster import Cluster
from standpipe.kfp_cluster.credentials import Credentials
from standpipe.kfp_cluster.facts import ClusterRun, tell_facts
from standpipe.kfp_cluster.http import HttpClient
from standpipe.kfp_cluster.wire import MalformedMessage, read_fields, read_struct, write_field
from tests.kfp_cluster.conftest import RUN, compile_spec, pull
from tests.kfp_cluster.mock_kfp import MockKfp, run_of, serve, task_detail

OTHERS: tuple[Any, ...] = (None, "", "text", 7, [], ["x"], {}, {"a": "b"}, True)


@given(st.binary(max_size=60))
def test_any_bytes_are_a_message_or_an_error(data: bytes) -> None:
    for read in (read_fields, read_struct):
        with suppress(MalformedMessage):
            read(data)


def test_a_changed_answer_is_read_or_refused(kfp: MockKfp, script: Path) -> None:
    details = {"task_details": [task_detail("load", "SUCCEEDED"), task_detail("train", "FAILED")]}
    run = run_of(RUN, state="FAILED", pipeline_spec=compile_spec(script), run_details=details)
    kfp.has_metadata = False
    refused = 0
    for seed in range(300):
        kfp.runs[RUN] = change(run, Random(seed))
        try:
            tell_facts(Cluster(HttpClient(kfp.host, Credentials(), sleep=lambda _: None)).read_run(RUN))
        except InternalError:
            raise
        except StandpipeError:
            refused += 1
    assert 0 < refused < 300


def change(document: Any, random: Random) -> Any:
    """Return a document with a part of it, at a random depth, replaced or removed."""
    document = copy.deepcopy(document)
    at = document
    while True:
        keys = list(at) if isinstance(at, dict) else list(range(len(at)))
        key = random.choice(keys)
        if isinstance(at[key], (dict, list)) and at[key] and random.random() < 0.7:
            at = at[key]
            continue
        if random.random() < 0.3:
            del at[key]
        else:
            at[key] = random.choice(OTHERS)
        return document


def test_messages_that_are_nested_deeply_are_refused() -> None:
    data = b""
    for _ in range(2000):
        data = write_field(1, write_field(2, write_field(5, data)))  # a struct with a value that is a struct
    with pytest.raises(MalformedMessage, match="nested too deeply"):
        read_struct(data)


@pytest.mark.parametrize(("begin", "end"), [("[", "]"), ('{"a": ', "}")])
def test_only_answers_as_deep_as_a_pipeline_may_have_them_are_read(
    kfp: MockKfp, script: Path, begin: str, end: str
) -> None:
    def nested(depth: int) -> Any:
        return json.loads(begin * depth + "1" + end * depth)

    def read(**parameters: Any) -> ClusterRun:
        config = {"parameters": parameters}
        kfp.runs[RUN] = run_of(RUN, state="SUCCEEDED", pipeline_spec=compile_spec(script), runtime_config=config)
        return Cluster(HttpClient(kfp.host, Credentials())).read_run(RUN)

    kfp.add_execution(inputs={"rows": nested(30)})  # three messages for each level; protobuf allows 100
    run = read(x=nested(100))
    assert (run.parameters, run.root.parameters) == ({"x": nested(100)}, {"rows": nested(30)})
    with pytest.raises(ClusterError, match="does not answer as the API of KFP"):
        read(x=nested(200))


def test_a_run_with_only_an_error_says_it(kfp: MockKfp) -> None:
    kfp.runs[RUN] = {"run_id": RUN, "error": {"code": 13, "message": "Failed to parse the pipeline source\x1b[2J"}}
    with pytest.raises(ClusterError, match="Failed to parse the pipeline source") as caught:
        Cluster(HttpClient(kfp.host, Credentials())).read_run(RUN)
    assert "\x1b" not in str(caught.value)


def test_a_refusal_of_ml_metadata_is_readable(kfp: MockKfp, script: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """gRPC percent-encodes messages, and a terminal must not execute them."""
    kfp.runs[RUN] = run_of(RUN, state="SUCCEEDED", pipeline_spec=compile_spec(script))
    kfp.metadata_refusal = "The%20Store is full%1B]0;evil%07."
    assert pull(kfp) == 0
    assert "ML Metadata refused GetContextByTypeAndName: The Store is full. The run is" in capsys.readouterr().err


def test_a_status_line_is_not_executed_by_the_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        thread = threading.Thread(target=_answer_with, args=(server, b"\x1b]0;evil\x07no HTTP\r\n\r\n"))
        thread.start()
        host = f"http://127.0.0.1:{server.getsockname()[1]}"
        with pytest.raises(ClusterError, match="cannot be reached: no HTTP") as caught:
            HttpClient(host, Credentials()).post("runs", b"{}", "application/json")
        thread.join()
    assert "\x1b" not in str(caught.value)


def _answer_with(server: socket.socket, answer: bytes) -> None:
    connection, _ = server.accept()
    with connection:
        connection.recv(65536)
        connection.sendall(answer)


def test_paths_of_pods_are_no_files_of_this_machine(kfp: MockKfp, script: Path) -> None:
    root = kfp.add_execution()
    load = kfp.add_execution("load", root, outputs={})
    kfp.add_artifact("/etc/passwd", "system.Dataset", {}, load, "data")
    kfp.runs[RUN] = run_of(RUN, state="SUCCEEDED", pipeline_spec=compile_spec(script))
    run = Cluster(HttpClient(kfp.host, Credentials())).read_run(RUN, with_artifacts=True)
    (artifact,) = (run.root.parts["load"].output_artifacts or {})["data"]
    assert artifact.uri == "pod://etc/passwd"


def test_many_executions_are_read_page_by_page(script: Path) -> None:
    with serve(MockKfp(page_size=3)) as kfp:
        root = kfp.add_execution()
        for _ in range(10):
            kfp.add_execution("load", root)
        kfp.runs[RUN] = run_of(RUN, state="SUCCEEDED", pipeline_spec=compile_spec(script))
        run = Cluster(HttpClient(kfp.host, Credentials())).read_run(RUN)
        assert set(run.root.parts) == {"load"}
        assert len([each for each in kfp.requests if "GetExecutionsByContext" in each.path]) == 4
