"""Files that the KFP SDK compiled, read and written again: nothing is lost, and nothing is added."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from standpipe import ir
from standpipe.errors import UnsupportedError
from standpipe.model.plan import PythonFunction
from standpipe.model.types import Json

pytestmark = pytest.mark.slow

#: What holds containers that are no lightweight Python components, and which executors these are.
COMMANDS = {
    "bare": {"exec-bare"},
    "containerized": {"exec-containerized"},
    "mixed": {"exec-containerized", "exec-placeholders", "exec-say-hello"},
    "placeholders": {"exec-placeholders"},
    "say-hello": {"exec-say-hello"},
}
LIGHTWEIGHT = [
    *("add", "artifacts", "configured", "constants", "defaults", "described", "every-type", "final-status", "in-venv"),
    *("kfp-by-hand", "kfp-of-branch", "kfp-of-folder", "kfp-of-pull-request", "make", "math-pipeline", "nested"),
    *("no-kfp", "no-trusted-hosts", "packages-in-venv", "packages-without-kfp", "report", "settings", "split", "take"),
    *("take-many", "task-config", "train", "trusted-host", "two-indexes", "visualize"),
]
SUPPORTED = sorted([*COMMANDS, *LIGHTWEIGHT])
UNSUPPORTED = {
    "condition": "root.dag.tasks.condition-1.triggerPolicy.condition",
    "import-data": "deploymentSpec.executors.exec-importer.importer",
    "loop": "root.dag.tasks.for-loop-2.parameterIterator",
}
EXIT_HANDLER = "exit-handler"


def documents(file: Path) -> list[Json]:
    """The PipelineSpec and the PlatformSpec, empty if there is none."""
    found = list(yaml.safe_load_all(file.read_text(encoding="utf-8")))
    return [*found, {}][:2]


def test_all_of_the_corpus_is_looked_at(compiled: Path) -> None:
    assert {file.stem for file in compiled.glob("*.yaml")} == {*SUPPORTED, *UNSUPPORTED, EXIT_HANDLER}


@pytest.mark.parametrize("name", SUPPORTED)
def test_documents_are_written_as_they_were_read(compiled: Path, name: str) -> None:
    spec, platforms = documents(compiled / f"{name}.yaml")

    plan = ir.load(spec, platforms)

    assert ir.emit(plan) == spec
    assert ir.emit_platforms(plan) == platforms


@pytest.mark.parametrize("name", SUPPORTED)
def test_files_are_written_as_they_were_read(compiled: Path, name: str) -> None:
    """To the byte, but for the comment at the top, which alone holds the descriptions of components."""
    text = (compiled / f"{name}.yaml").read_text(encoding="utf-8")

    assert _without_comment(ir.dumps(ir.read_text(text))) == _without_comment(text)


def _without_comment(text: str) -> list[str]:
    return [line for line in text.splitlines() if not line.startswith("#")]


@pytest.mark.parametrize("name", SUPPORTED)
def test_every_lightweight_component_is_recognised(compiled: Path, name: str) -> None:
    executors = ir.read(compiled / f"{name}.yaml").executors

    commands = {label for label, item in executors.items() if not isinstance(item.program, PythonFunction)}

    assert commands == COMMANDS.get(name, set())


def test_what_a_function_needs_is_known(compiled: Path) -> None:
    def program(name: str) -> PythonFunction:
        (executor,) = ir.read(compiled / f"{name}.yaml").executors.values()
        assert isinstance(executor.program, PythonFunction)
        return executor.program

    a, b = "https://a.example/simple", "https://b.example/simple"
    assert program("add").kfp_requirements[0] == "kfp==2.17.0"
    assert program("add").source.endswith("\n\ndef add(a: int, b: int) -> int:\n    return a + b\n\n")
    assert program("train").packages == ("pandas==2.2.0", "scikit-learn>=1.4,<2", 'x[extra]; python_version<"4"')
    assert (program("two-indexes").index_urls, program("two-indexes").trusted_hosts) == ((a, b), None)
    assert program("no-trusted-hosts").trusted_hosts == ()
    assert program("trusted-host").trusted_hosts == ("a.example",)
    assert (program("packages-without-kfp").packages, program("packages-without-kfp").kfp_requirements) == (
        ("numpy",),
        (),
    )
    assert program("kfp-by-hand").packages == ("kfp==2.17.0", "numpy")
    assert program("packages-in-venv").use_venv
    assert program("kfp-of-folder").kfp_requirements == (".", "--no-deps")
    assert "kubeflow/pipelines.git@master" in program("kfp-of-branch").kfp_requirements[0]


def test_an_exit_handler_gains_an_empty_message_and_nothing_else(compiled: Path) -> None:
    """The SDK gives no caching options to the group's task, and a Plan cannot tell none from those that are off."""
    spec, _ = documents(compiled / f"{EXIT_HANDLER}.yaml")

    emitted = ir.emit(ir.load(spec))

    assert emitted["root"]["dag"]["tasks"]["exit-handler-1"].pop("cachingOptions") == {}
    assert emitted == spec


@pytest.mark.parametrize(("name", "path"), UNSUPPORTED.items())
def test_what_is_not_supported_yet_is_named(compiled: Path, name: str, path: str) -> None:
    with pytest.raises(UnsupportedError) as caught:
        ir.read(compiled / f"{name}.yaml")

    assert str(caught.value).startswith(f"{compiled / name}.yaml: {path}: ")
