"""What is said of a module that a task does not find."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from standpipe.model.attempts import Outcome, TaskRequest
from standpipe.model.plan import Component, ExecutorRef, PythonFunction, SourceLocation
from standpipe.model.refs import TaskRef
from standpipe.runners.missing_modules import explain_missing_module

REQUEST = TaskRequest(
    "run", TaskRef((("work", None),)), 0, "python:3.11", PythonFunction("work", ""), {}, Path("/nowhere"), Path("/")
)


def hint(module: str, *, request: TaskRequest = REQUEST, in_image: bool = False) -> str:
    outcome = Outcome(exit_code=1, cause=f"ModuleNotFoundError: No module named {module!r}")
    return explain_missing_module(outcome, request, in_image=in_image).hint


def test_a_package_that_this_program_has() -> None:
    text = hint("yaml.nodes")

    assert text.startswith("Add the package that has it to packages_to_install of the component: ['PyYAML==")
    assert "image" not in text


def test_a_package_that_nobody_has() -> None:
    assert hint("nowhere_to_be_found") == "Add the package that has it to packages_to_install of the component."


@pytest.mark.parametrize("name", ["mylib.py", "mylib/__init__.py", "mylib/part.py"])
def test_a_module_beside_the_script(tmp_path: Path, name: str) -> None:
    (tmp_path / name).parent.mkdir(exist_ok=True)
    (tmp_path / name).touch()
    component = Component(ExecutorRef("e"), source_location=SourceLocation(str(tmp_path / "pipeline.py"), 3))
    text = hint("mylib.part", request=replace(REQUEST, component=component))

    assert f"'mylib' is code of yours, in {tmp_path / name.partition('/')[0]}. " in text
    assert "Write `import mylib.part` into the function" in text
    assert "embedded_artifact_path" in text


def test_a_module_out_of_the_source_root(tmp_path: Path) -> None:
    (tmp_path / "mylib.py").touch()
    component = Component(ExecutorRef("e"), source_location=SourceLocation(str(tmp_path / "pipeline.py"), 3))
    program = PythonFunction("work", "def work(): import mylib")

    text = hint("mylib", request=replace(REQUEST, component=component, program=program))

    assert f"local.init(..., source_root={str(tmp_path)!r})" in text


@pytest.mark.parametrize("file", ["pipeline.py", "pipelines/pipeline.py"])
def test_a_module_in_a_folder_that_may_be_the_source_root(tmp_path: Path, file: str) -> None:
    (tmp_path / "src" / "mylib").mkdir(parents=True)
    component = Component(ExecutorRef("e"), source_location=SourceLocation(str(tmp_path / file), 3))

    text = hint("mylib.part", request=replace(REQUEST, component=component))

    root = str(tmp_path / "src")
    assert text == f"It is in {root}. Pass that folder: local.init(..., source_root={root!r}), or --source-root."


def test_the_file_of_the_pipeline(tmp_path: Path) -> None:
    (tmp_path / "training_run.py").touch()
    component = Component(ExecutorRef("e"), source_location=SourceLocation(str(tmp_path / "training_run.py"), 3))

    text = hint("training_run", request=replace(REQUEST, component=component))

    assert "Move what it needs into a module of its own." in text


def test_a_module_that_the_image_may_have() -> None:
    request = replace(REQUEST, image="ghcr.io/me/training:1")

    assert "If the image ghcr.io/me/training:1 has it: the SubprocessRunner does not use images." in hint(
        "x_y", request=request
    )
    assert hint("x_y", request=request, in_image=True).startswith("The image ghcr.io/me/training:1 does not have it.")


def test_a_relative_import() -> None:
    cause = "ImportError: attempted relative import with no known parent package"

    text = explain_missing_module(Outcome(exit_code=1, cause=cause), REQUEST, in_image=True).hint

    assert text.startswith("A component runs without the package that its file is in.")
    assert "packages_to_install" in text


@pytest.mark.parametrize(
    "cause", ["", "ImportError: cannot import name 'a' from 'b'", "ValueError: No module named 'x'"]
)
def test_other_failures_get_no_hint(cause: str) -> None:
    outcome = Outcome(exit_code=1, cause=cause)

    assert explain_missing_module(outcome, REQUEST, in_image=False) is outcome
