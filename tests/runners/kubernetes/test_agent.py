"""What moves between the program and a pod: the same paths, one machine after the other."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from standpipe.artifact_stores.clients import Clients
from standpipe.errors import StorageError
from standpipe.model.attempts import TaskRequest, Transfers
from standpipe.model.cancellation import Cancellation
from standpipe.model.plan import PythonFunction
from standpipe.model.types import ArtifactType
from standpipe.model.values import ArtifactValue
from standpipe.runners.kubernetes import agent
from standpipe.runners.kubernetes.mailbox import REPLY, REQUEST, Mailbox
from standpipe.runners.kubernetes.messages import pack_message, read_reply
from tests.artifact_stores.servers import Memory, memory  # noqa: F401  a fixture
from tests.runners.kubernetes.attempts import request

URI = "s3://data/runs/run-1/train/.standpipe"
FUNCTION = PythonFunction("train", "def train(): ...")


class Machines:
    """The pipeline root of the program, and that of the node, which are at the same path in turns."""

    def __init__(self, folder: Path) -> None:
        self.root = folder / "root"
        self._folder = folder
        self.root.mkdir()
        self._here = "program"
        (folder / "node").mkdir()

    def switch(self) -> None:
        other = "node" if self._here == "program" else "program"
        self.root.rename(self._folder / self._here)
        (self._folder / other).rename(self.root)
        self._here = other


@pytest.fixture
def machines(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Machines:
    (tmp_path / "message").touch()
    monkeypatch.setattr(agent, "_REQUEST_COPY", str(tmp_path / "request"))
    monkeypatch.setattr(agent, "_MESSAGE_FILE", str(tmp_path / "message"))
    monkeypatch.setattr("signal.signal", lambda *_: None)
    return Machines(tmp_path)


def attempt(machines: Machines, program: Any = FUNCTION) -> TaskRequest:
    """Return an attempt that reads the artifact `words` and leaves `model` and the parameter `score`."""
    folder = machines.root / "run-1" / "train"
    folder.mkdir(parents=True)
    words = ArtifactValue("words", ArtifactType("system.Dataset", "0.0.1"), "s3://data/words")
    made = request(program, folder=folder, pipeline_root=machines.root)
    path = machines.root / ".payloads" / "words" / "payload"
    executor_input = {
        "inputs": {
            "parameterValues": {},
            "artifacts": {"words": {"artifacts": [{"uri": words.uri, "customPath": str(path)}]}},
        },
        "outputs": {
            "parameters": {"score": {"outputFile": str(folder / "score")}},
            "artifacts": {"model": {"artifacts": [{"uri": "s3://data/runs/run-1/train/model"}]}},
            "outputFile": str(folder / "executor_output.json"),
        },
    }
    return replace(made, executor_input=executor_input, transfers=Transfers("s3://data/runs", (words,)))


def send(sent: TaskRequest) -> str:
    content, checksum = pack_message(sent)
    Mailbox(URI, Clients()).put(REQUEST, content, Cancellation())
    return checksum


def test_an_attempt_finds_its_inputs_and_leaves_its_outputs(machines: Machines, memory: Memory) -> None:  # noqa: F811
    memory.write("s3://data/words", b"one two")
    sent = attempt(machines)
    checksum = send(sent)
    machines.switch()

    agent.fetch(URI, checksum)

    worker = json.loads((sent.folder / "request.json").read_text())
    assert (worker["function"], worker["error_file"]) == ("train", str(sent.folder / "error.json"))
    (read,) = sent.executor_input["inputs"]["artifacts"]["words"]["artifacts"]
    assert Path(read["customPath"]).read_bytes() == b"one two"
    assert sent.folder.stat().st_mode & 0o777 == 0o777

    (sent.folder / "model").write_text("weights")
    (sent.folder / "score").write_text("3")
    (sent.folder / "other").write_text("nobody asked for it")
    message = agent.store(URI, checksum)
    machines.switch()

    stored = read_reply(sent, Mailbox(URI, Clients()).get(REPLY, Cancellation()), message["checksum"])
    assert [(uri, checksum.size) for uri, checksum in stored.items()] == [("s3://data/runs/run-1/train/model", 7)]
    assert (sent.folder / "score").read_text() == "3"
    assert not (sent.folder / "other").exists()
    assert not (sent.folder / "model").exists()

    Mailbox(URI, Clients()).delete(Cancellation())
    assert memory.keys("s3://data") == ["runs/run-1/train/model", "words"]


def test_a_container_component_has_no_request_for_the_worker(machines: Machines, memory: Memory) -> None:  # noqa: F811
    memory.write("s3://data/words", b"one two")
    sent = attempt(machines, request().program)
    checksum = send(sent)
    machines.switch()

    agent.fetch(URI, checksum)

    assert not (sent.folder / "request.json").exists()


@pytest.mark.parametrize("step", ["fetch", "store"])
def test_a_request_that_was_changed_on_its_way_is_not_read(
    machines: Machines,
    memory: Memory,  # noqa: F811
    tmp_path: Path,
    step: str,
) -> None:
    checksum = send(attempt(machines))
    Mailbox(URI, Clients()).put(REQUEST, b"other", Cancellation())
    (tmp_path / "request").write_bytes(b"other")

    with pytest.raises(StorageError, match="was changed on its way"):
        getattr(agent, step)(URI, checksum)


def test_a_reply_that_was_changed_on_its_way_is_not_read(machines: Machines) -> None:
    with pytest.raises(StorageError, match="What the pod of the task 'train' has sent was changed on its way"):
        read_reply(attempt(machines), b"other", "0" * 64)


@pytest.mark.parametrize("size", [10, 5000])
def test_an_error_is_the_termination_message(
    machines: Machines,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    size: int,
) -> None:
    def fail(uri: str, checksum: str) -> dict[str, str]:
        raise StorageError("ü" * size)

    monkeypatch.setattr(agent, "fetch", fail)
    with pytest.raises(SystemExit) as caught:
        agent.main("fetch", URI, "")

    assert caught.value.code == 1
    content = (tmp_path / "message").read_bytes()
    assert len(content) <= 4096
    message = json.loads(content)
    assert message["error"] == "StorageError"
    assert message["message"].startswith("ü" * 10)


def test_the_checksum_of_the_reply_is_the_termination_message(
    machines: Machines, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(agent, "store", lambda uri, checksum: {"checksum": "abc"})
    with pytest.raises(SystemExit) as caught:
        agent.main("store", URI, "")

    assert caught.value.code == 0
    assert json.loads((tmp_path / "message").read_text()) == {"checksum": "abc"}
