"""Requests of attempts whose artifacts are in an object store."""

from __future__ import annotations

from pathlib import Path

from standpipe.artifact_stores.remote import RemoteArtifactStore
from standpipe.model.attempts import TaskRequest, Transfers
from standpipe.model.plan import PythonFunction
from standpipe.model.refs import TaskRef
from standpipe.model.types import ArtifactType
from standpipe.model.values import ArtifactValue

DATASET = ArtifactType("system.Dataset")
ROOT = "s3://data/runs"


def build(root: Path, *inputs: ArtifactValue) -> TaskRequest:
    """Return a request as the program makes it, in its new folder: with an output parameter and an output artifact."""
    store = RemoteArtifactStore(root, ROOT, 10**9)
    folder = root / "run-1" / "loop" / "0" / "task"
    folder.mkdir(parents=True)
    uri = store.locate(folder, "model")
    listed = {
        each.name: {"artifacts": [{"uri": each.uri, "customPath": store.task_path(each) or each.custom_path}]}
        for each in inputs
    }
    outputs = {
        "parameters": {"Output": {"outputFile": str(folder / "Output")}},
        "artifacts": {"model": {"artifacts": [{"uri": uri, "customPath": store.local_path(uri)}]}},
        "outputFile": str(folder / "executor_output.json"),
    }
    return TaskRequest(
        run="run-1",
        task=TaskRef((("loop", 0), ("task", None))),
        attempt=0,
        image="",
        program=PythonFunction("f", "def f(): ..."),
        executor_input={"inputs": {"parameterValues": {}, "artifacts": listed}, "outputs": outputs},
        folder=folder,
        pipeline_root=root,
        transfers=Transfers(ROOT, inputs, 10**9),
    )
