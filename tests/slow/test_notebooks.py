"""Notebooks with real kernels: ours, and those that the KFP SDK compiled."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

from standpipe import dsl, local
from standpipe.dsl.notebooks import notebook_component
from standpipe.errors import TaskFailed

pytestmark = pytest.mark.slow

#: The compiled form of the SDK is run here.
THEIRS = """
from kfp import compiler, dsl

@dsl.notebook_component(notebook_path="good.ipynb", base_image="python:3.11")
def good(text: str, n: int, model: dsl.Output[dsl.Model]) -> str:
    dsl.run_notebook(text=text, n=n, out=model.path)
    with open(model.path) as file:
        return file.read()

compiler.Compiler().compile(good, "good.yaml")
"""


def write(path: Path, *cells: tuple[str, list[str]]) -> Path:
    content: list[dict[str, object]] = [
        {"cell_type": "code", "id": f"c{n}", "source": text, "metadata": {"tags": tags}, "outputs": [],
         "execution_count": None}
        for n, (text, tags) in enumerate(cells)
    ]  # fmt: skip
    # the name of a kernel that other machines do not have
    metadata = {"kernelspec": {"name": "conda-env-mine", "display_name": "Mine"}}
    path.write_text(json.dumps({"cells": content, "metadata": metadata, "nbformat": 4, "nbformat_minor": 5}))
    return path


@pytest.fixture
def good(tmp_path: Path) -> Path:
    return write(
        tmp_path / "good.ipynb",
        ("text, n, out = 'default', 0, None", ["parameters"]),
        ("import sys; print('hello', text); print('careful', file=sys.stderr)", []),
        ("n + 1", []),
        ("with open(out, 'w') as file:\n    _ = file.write(text * n)", []),
    )


def run(tmp_path: Path, component: dsl.BaseComponent | str, **arguments: object) -> tuple[object, str]:
    """Run a component and return its output and its log."""
    root = tmp_path / "root"
    ended = local.run(component, arguments, runner=local.SubprocessRunner(), pipeline_root=root, quiet=True)
    (log,) = root.glob("*/*/log.txt")
    return ended.outputs["Output"], log.read_text(encoding="utf-8")


def test_a_notebook_runs_with_its_parameters_and_its_output_is_in_the_log(tmp_path: Path, good: Path) -> None:
    @notebook_component(notebook_path=good)
    def task(text: str, n: int, model: dsl.Output[dsl.Model]) -> str:
        dsl.run_notebook(text=text, n=n, out=model.path)
        with open(model.path) as file:
            return file.read()

    output, log = run(tmp_path, task, text="ab", n=2)
    assert output == "abab"
    assert log.splitlines() == ["hello ab", "careful", "3"]


def test_parameters_come_first_where_no_cell_has_them(tmp_path: Path) -> None:
    write(tmp_path / "plain.ipynb", ("print(values['é'], flag, none)", []))

    @notebook_component(notebook_path=tmp_path / "plain.ipynb")
    def task() -> str:
        dsl.run_notebook(values={"é": [1, 2.5]}, flag=True, none=None)
        try:
            dsl.run_notebook(bad=object())
        except TypeError as error:
            return str(error)
        return ""

    output, log = run(tmp_path, task)
    assert log.splitlines() == ["[1, 2.5] True None"]
    assert str(output).startswith("dsl.run_notebook cannot pass on 'bad': Object of type object is not JSON")


def test_a_cell_that_fails_fails_the_task_with_its_traceback(tmp_path: Path) -> None:
    write(tmp_path / "bad.ipynb", ("def divide(a):\n    return a / 0", []), ("divide(1)", []), ("print('after')", []))

    @notebook_component(notebook_path=tmp_path / "bad.ipynb")
    def task() -> str:
        dsl.run_notebook()
        return "never"

    with pytest.raises(TaskFailed) as caught:
        run(tmp_path, task)
    story = str(caught.value)
    assert "a cell of bad.ipynb failed: ZeroDivisionError: division by zero" in story
    assert "return a / 0" in story
    assert "\x1b" not in story


def test_a_notebook_that_the_kfp_sdk_compiled_runs(kfp_python: Path, tmp_path: Path, good: Path) -> None:
    (good.parent / "theirs.py").write_text(THEIRS)  # the SDK needs the source of the function in a file
    subprocess.run([kfp_python, "-W", "ignore", "theirs.py"], cwd=good.parent, check=True)
    output, log = run(tmp_path, str(good.parent / "good.yaml"), text="ab", n=2)
    assert output == "abab"
    assert "hello ab" in log
