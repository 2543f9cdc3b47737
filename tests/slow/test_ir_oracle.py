"""Files that the KFP SDK compiled: loading and emitting loses and adds nothing."""

from __future__ import annotations

from pathlib import Path

import pytest

from standpipe import ir
from standpipe.errors import SpecError
from standpipe.model.plan import Container, PythonFunction
from standpipe.model.types import Json

from .oracle import documents

pytestmark = pytest.mark.slow

#: Here the SDK refers to an output that the exit handler does not declare, so the file is refused.
INVALID = "a-loop-in-an-exit-handler-is-returned.quirk.yaml"


def specs(compiled: Path) -> list[Path]:
    """Return the valid PipelineSpec files of the corpus, without Kubernetes manifests."""
    files = sorted(file for file in compiled.iterdir() if file.suffix in (".yaml", ".json"))
    return [file for file in files if not file.name.endswith(".manifest.yaml") and file.name != INVALID]


def both(file: Path) -> list[Json]:
    """Return the PipelineSpec and the PlatformSpec, which is empty if there is none."""
    return [*documents(file.read_text(encoding="utf-8")), {}][:2]


def test_the_whole_corpus_is_compared(compiled: Path) -> None:
    assert len(specs(compiled)) > 390


def test_an_output_that_is_not_declared_is_named(compiled: Path) -> None:
    with pytest.raises(SpecError, match="root.dag.outputs.parameters.Output: unknown output of task 'exit-handler-1'"):
        ir.read(compiled / INVALID)


def test_documents_are_written_as_they_were_read(compiled: Path, subtests: pytest.Subtests) -> None:
    for file in specs(compiled):
        with subtests.test(file.name):
            spec, platforms = both(file)
            plan = ir.load({**spec, "sdkVersion": "kfp-2.17.3"}, platforms)

            assert ir.emit(plan) == {**spec, "sdkVersion": "kfp-2.17.3"}
            assert ir.emit_platforms(plan) == platforms


def test_files_are_written_as_they_were_read(compiled: Path, subtests: pytest.Subtests) -> None:
    """They are the same to the byte, except for the comment at the top with the descriptions of components."""
    for file in specs(compiled):
        if file.suffix == ".yaml":
            with subtests.test(file.name):
                text = file.read_text(encoding="utf-8")

                assert _without_comment(ir.dumps(ir.read_text(text))) == _without_comment(text)


def _without_comment(text: str) -> list[str]:
    return [line for line in text.splitlines() if not line.startswith("#")]


def test_every_lightweight_component_is_recognized(compiled: Path, subtests: pytest.Subtests) -> None:
    for file in specs(compiled):
        with subtests.test(file.name):
            containers = {
                label: executor["container"].get("command", [])
                for label, executor in both(file)[0]["deploymentSpec"]["executors"].items()
                if "container" in executor
            }
            functions = {
                label
                for label, command in containers.items()
                if any("ephemeral_component.py" in part for part in command)
            }

            executors = ir.read(file).executors

            assert {
                label for label, item in executors.items() if isinstance(getattr(item, "program", None), PythonFunction)
            } == functions


def test_the_packages_of_a_function_are_recognized(compiled: Path) -> None:
    def program(name: str) -> PythonFunction:
        (executor,) = ir.read(compiled / f"{name}.yaml").executors.values()
        assert isinstance(executor, Container)
        assert isinstance(executor.program, PythonFunction)
        return executor.program

    a, b = "http://a.example/simple", "http://b.example/simple"
    assert program("add").kfp_requirements[0] == "kfp==2.17.3"
    assert program("add").source.endswith("\n\ndef add(a: int, b: int) -> int:\n    return a + b\n\n")
    assert program("train").packages == ("pandas==2.2.0", "scikit-learn>=1.4,<2", 'x[extra]; python_version<"4"')
    assert (program("two-indexes").index_urls, program("two-indexes").trusted_hosts) == ((a, b), None)
    assert program("no-trusted-hosts").trusted_hosts is None  # the default for an https index
    assert program("https-index").trusted_hosts == ("https://a.example/simple",)
    assert program("trusted-host").trusted_hosts == ("a.example",)
    assert (program("packages-without-kfp").packages, program("packages-without-kfp").kfp_requirements) == (
        ("numpy",),
        (),
    )
    assert program("kfp-by-hand").packages == ("kfp==2.17.3", "numpy")
    assert program("packages-in-venv").use_venv
    assert program("kfp-of-folder").kfp_requirements == (".", "--no-deps")
    assert "kubeflow/pipelines.git@master" in program("kfp-of-branch").kfp_requirements[0]
