"""The package itself: its modules are imported at their first use."""

from __future__ import annotations

import pytest

import standpipe
from tests.imports import modules_of


def test_an_import_of_the_package_imports_no_module_of_it() -> None:
    imported = modules_of("import standpipe")

    assert {name for name in imported if name.startswith("standpipe")} == {"standpipe"}


@pytest.mark.parametrize("name", ["compiler", "components", "dsl", "kubernetes", "local"])
def test_each_module_is_there_when_it_is_used(name: str) -> None:
    assert f"standpipe.{name}" in modules_of(f"import standpipe\nstandpipe.{name}")
    assert f"standpipe.{name}" in modules_of(f"from standpipe import {name}")


def test_its_names_are_listed() -> None:
    assert {*standpipe.__all__, "__version__"} <= set(dir(standpipe))


def test_there_is_no_other_name() -> None:
    with pytest.raises(AttributeError, match="no attribute 'lokal'"):
        standpipe.lokal  # noqa: B018


def test_a_component_finds_what_compiles_it_without_the_import_of_local() -> None:
    program = (
        "from standpipe import dsl\n"
        "@dsl.container_component\ndef noop():\n    return dsl.ContainerSpec(image='image')\n"
        "assert noop.compile_to_json()['root']['dag']['tasks'].keys() == {'noop'}"
    )
    assert "standpipe.local" in modules_of(program)


def test_authoring_and_local_runs_import_no_module_that_only_some_programs_need() -> None:
    costly = {"ast", "copy", "dataclasses", "dis", "inspect", "logging", "pathlib", "subprocess", "tokenize"}

    assert not costly & (modules_of("from standpipe import dsl, local") - modules_of("pass"))


def test_what_is_beyond_this_machine_is_imported_when_it_is_used() -> None:
    beyond = ("obstore", *(f"standpipe.{name}" for name in ("artifact_stores", "exports", "kfp_cluster", "trackers")))
    assert not [name for name in modules_of("from standpipe import dsl, local") if name.startswith(beyond)]
    program = (
        "import tempfile\n"
        "from standpipe import dsl, local\n"
        "@dsl.container_component\ndef noop():\n    return dsl.ContainerSpec(image='image')\n"
        "local.init(local.FakeRunner(noop=lambda: None), tempfile.mkdtemp(), quiet=True)\n"
        "noop()"
    )
    kept = ("standpipe.trackers", "standpipe.trackers.api")
    stores = ("standpipe.artifact_stores.local", "standpipe.artifact_stores.routing", "standpipe.artifact_stores")
    imported = modules_of(program)
    assert "standpipe.runs.driver" in imported
    assert {name for name in imported if name.startswith(beyond)} <= {*kept, *stores}


@pytest.mark.parametrize("name", ["PipelineTaskFinalStatus", "TaskConfig"])
def test_classes_that_few_programs_need_are_there_when_they_are_used(name: str) -> None:
    dsl = standpipe.dsl
    assert dsl.__dict__.keys().isdisjoint({name})
    assert name in dir(dsl)
    assert getattr(dsl, name).__module__ == "standpipe.worker.status"
    with pytest.raises(AttributeError, match="no attribute 'TaskConfigs'"):
        getattr(dsl, "TaskConfigs")  # noqa: B009 - type checkers know that there is none


def test_a_local_run_imports_nothing_of_the_web_ui() -> None:
    program = (
        "import tempfile\n"
        "from standpipe import dsl, local\n"
        "@dsl.container_component\ndef noop():\n    return dsl.ContainerSpec(image='image')\n"
        "local.init(local.FakeRunner(noop=lambda: None), tempfile.mkdtemp(), quiet=True)\n"
        "noop()\nlocal.get_run('latest').tasks"
    )
    imported = modules_of(program)

    assert "standpipe.runners.fake" in imported
    assert not {"anyio", "click", "jinja2", "markdown_it", "starlette", "standpipe.ui", "uvicorn"} & imported
