"""Requests of attempts for tests of what becomes of them on a cluster."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from standpipe.model.attempts import CommandLine, TaskRequest, Transfers
from standpipe.model.plan import PythonFunction
from standpipe.model.refs import RunId, TaskRef

ROOT = Path("/runs")
FOLDER = ROOT / "run-1" / "train"

#: A container component.
ECHO = CommandLine(("echo",), ("hello",))


def request(program: PythonFunction | CommandLine = ECHO, **fields: Any) -> TaskRequest:
    """Return an attempt at the task `train`."""
    fields = {"run": RunId("run-1"), "folder": FOLDER, "pipeline_root": ROOT, **fields}
    fields.setdefault("transfers", Transfers("s3://data/runs"))
    return TaskRequest(
        task=TaskRef((("train", None),)),
        attempt=0,
        image="python:3.11",
        program=program,
        executor_input={
            "inputs": {"parameterValues": {}, "artifacts": {}},
            "outputs": {
                "parameters": {},
                "artifacts": {},
                "outputFile": str(fields["folder"] / "executor_output.json"),
            },
        },
        **fields,
    )
