"""Notebook components in the DSL. tests/slow runs them with real kernels."""

from __future__ import annotations

import ast
import base64
import io
import json
import re
import tarfile
from pathlib import Path
from typing import Any

import pytest

from standpipe import dsl, ir
from standpipe.dsl.components import PythonComponent
from standpipe.dsl.notebooks import notebook_component, run_notebook
from standpipe.errors import AuthoringError, UnsupportedError
from standpipe.model.plan import Container, PythonFunction
from tests.plans import container


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return a folder with one notebook, a checkpoint copy of it, and a module."""
    notebook = json.dumps({"cells": [], "metadata": {}, "nbformat": 4, "nbformat_minor": 5})
    for name in ("deep/train.ipynb", ".ipynb_checkpoints/train-checkpoint.ipynb", "helper.py"):
        file = tmp_path / "project" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(notebook)
    return tmp_path / "project"


def train(rate: float, model: dsl.Output[dsl.Model]) -> str:
    dsl.run_notebook(rate=rate)
    return "done"


def made_of(path: Path, **options: Any) -> PythonComponent:
    made: PythonComponent = notebook_component(notebook_path=str(path), **options)(train)
    return made


def program(component: PythonComponent) -> PythonFunction:
    container = component.executor
    assert isinstance(container, Container)
    assert isinstance(container.program, PythonFunction)
    return container.program


def test_the_interface_is_that_of_the_function(folder: Path) -> None:
    component = made_of(folder)
    assert (list(component.inputs), list(component.outputs)) == (["rate"], ["model", "Output"])
    assert component.python_func is train
    assert notebook_component(train, notebook_path=folder).plan == component.plan


def test_a_notebook_installs_its_packages_unless_packages_are_named(folder: Path) -> None:
    defaults = ("nbclient>=0.10,<1", "ipykernel>=6,<7", "jupyter_client>=7,<9")
    assert program(made_of(folder)).packages == defaults
    assert program(made_of(folder, packages_to_install=[])).packages == ()
    assert program(made_of(folder, packages_to_install=["nbclient", "pandas"])).packages == ("nbclient", "pandas")


def test_the_options_are_those_of_components(folder: Path) -> None:
    component = made_of(
        folder,
        base_image="jupyter/base",
        pip_index_urls=["https://a.example/simple"],
        pip_trusted_hosts=["a.example"],
        use_venv=True,
        kfp_package_path="kfp==2.16.0",
        task_config_passthroughs=[dsl.TaskConfigField.ENV],
    )
    function = program(component)
    assert container(component.plan.executors["exec-train"]).image == "jupyter/base"
    assert (function.index_urls, function.trusted_hosts) == (("https://a.example/simple",), ("a.example",))
    assert (function.use_venv, function.kfp_requirements) == (True, ("kfp==2.16.0",))
    assert [passthrough.field for passthrough in component.task_config_passthroughs] == ["ENV"]
    assert program(made_of(folder, install_kfp_package=False)).kfp_requirements == ()


def test_the_whole_folder_of_a_notebook_is_embedded(folder: Path) -> None:
    source = program(made_of(folder)).source
    archive = re.search("__KFP_EMBEDDED_ARCHIVE_B64 = '(.*)'", source)
    assert archive
    with tarfile.open(fileobj=io.BytesIO(base64.b64decode(archive[1]))) as tar:
        assert {"./deep/train.ipynb", "./helper.py"} <= set(tar.getnames())
    assert "__KFP_EMBEDDED_ASSET_FILE = _os.path.join(__KFP_EMBEDDED_ASSET_DIR, 'deep/train.ipynb')" in source
    single = program(made_of(folder / "deep" / "train.ipynb")).source
    assert "_run_notebook(__KFP_EMBEDDED_ASSET_DIR, 'train.ipynb', parameters)" in single


def test_the_program_is_for_every_python_that_an_image_may_have(folder: Path) -> None:
    defined = ast.parse(program(made_of(folder)).source, feature_version=(3, 9)).body
    names = [node.name for node in defined if isinstance(node, ast.FunctionDef)]
    assert names == ["_run_notebook", "_inject_parameters", "_show_output", "train"]


def test_a_compiled_notebook_can_be_loaded(folder: Path) -> None:
    plan = made_of(folder).plan
    assert ir.load(ir.emit(plan)) == plan


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("none.ipynb", "none.ipynb' does not exist"),
        ("helper.py", "helper.py' is not an .ipynb file"),
        ("empty", "expected a folder with exactly one notebook, got 0. Pass"),
        (".", "expected a folder with exactly one notebook, got 2: deep/train.ipynb, other.ipynb. Pass"),
    ],
)
def test_there_must_be_one_notebook(folder: Path, path: str, message: str) -> None:
    (folder / "empty").mkdir()
    (folder / "other.ipynb").write_text("{}")
    with pytest.raises(AuthoringError, match=message):
        made_of(folder / path)


def test_notebooks_are_executed_by_tasks_only() -> None:
    with pytest.raises(UnsupportedError, match=r"in the function of a @dsl\.notebook_component") as caught:
        run_notebook(rate=1)
    assert isinstance(caught.value, NotImplementedError)  # as with the KFP SDK
