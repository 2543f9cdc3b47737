from __future__ import annotations

import json
import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from standpipe.errors import StorageError
from standpipe.model.attempts import TaskRequest
from standpipe.model.events import CodeLocation
from standpipe.model.plan import PythonFunction, SourceLocation, SourceSection
from standpipe.model.refs import TaskRef
from standpipe.runners.request_files import ErrorDetails, read_error, request_file, write_request

FUNCTION = PythonFunction(
    "work",
    "def work(): 'ü'\n",
    artifact_classes={"a.B": "class B: ..."},
    sections=(SourceSection(1, 1, SourceLocation("/file.py", 12)),),
)
LOCATION = {"file": "/t.py", "line": 3, "function": "t", "code": "1 / 0"}


def request(folder: Path) -> TaskRequest:
    return TaskRequest("run", TaskRef((("t", None),)), 0, "image", FUNCTION, {"inputs": {"ü": "🚀"}}, folder, folder)


@pytest.mark.parametrize("usage", [True, False])
def test_the_request_holds_what_inside_needs(tmp_path: Path, usage: bool) -> None:
    write_request(request(tmp_path), FUNCTION, owner=(1, 2), usage=usage)
    assert json.loads(request_file(tmp_path).read_text(encoding="utf-8")) == {
        "source": FUNCTION.source,
        "function": "work",
        "sections": [[1, 1, "/file.py", 12]],
        "executor_input": {"inputs": {"ü": "🚀"}},
        "artifact_classes": {"a.B": "class B: ..."},
        "modules": [],
        "error_file": str(tmp_path / "error.json"),
        "owner": [1, 2],
        "usage_file": str(tmp_path / "usage.json") if usage else None,
    }


def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    missing = replace(request(tmp_path), folder=tmp_path / "missing")
    with pytest.raises(StorageError, match=f"The task 't' cannot be started: {request_file(missing.folder)}: No such"):
        write_request(missing, FUNCTION)


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ({"kind": "ValueError", "traceback": "Traceback\nValueError: no\n"}, ErrorDetails("Traceback\nValueError: no")),
        ({"kind": "MemoryError", "traceback": "MemoryError"}, ErrorDetails("MemoryError", out_of_memory=True)),
        ({"location": LOCATION}, ErrorDetails(location=CodeLocation("/t.py", 3, "t", "1 / 0"))),
        ({"location": {**LOCATION, "line": "3"}}, ErrorDetails()),
        ({"location": {**LOCATION, "file": None}}, ErrorDetails()),
        ({"location": 3}, ErrorDetails()),
        ({}, ErrorDetails()),
        ([1], ErrorDetails()),
    ],
)
def test_an_error_is_the_user_s_traceback(tmp_path: Path, content: Any, expected: ErrorDetails) -> None:
    (tmp_path / "error.json").write_text(json.dumps(content))
    assert read_error(request(tmp_path)) == expected


def test_a_missing_name_gets_a_hint_on_its_line(tmp_path: Path) -> None:
    error = {"kind": "NameError", "traceback": "NameError: name 'np' is not defined\n", "name": "np"}
    (tmp_path / "error.json").write_text(json.dumps(error))
    assert read_error(request(tmp_path)).detail.startswith(
        "NameError: name 'np' is not defined (a component runs without"
    )


@pytest.mark.parametrize("content", [None, b"", b'{"half', b"\xff"])
def test_a_task_that_was_killed_said_nothing(tmp_path: Path, content: bytes | None) -> None:
    if content is not None:
        (tmp_path / "error.json").write_bytes(content)
    assert read_error(request(tmp_path)) == ErrorDetails()


def test_a_task_may_have_left_anything_in_that_place(tmp_path: Path) -> None:
    os.mkdir(tmp_path / "error.json")
    cause = f"its error report cannot be read: {tmp_path}/error.json is a folder: expected a regular file."
    assert read_error(request(tmp_path)) == ErrorDetails(cause=cause)
