"""Scripts that import `kfp`, after `install_as_kfp()`. Each runs in an interpreter of its own: modules are global."""

from __future__ import annotations

import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

INSTALL = "import standpipe\nstandpipe.install_as_kfp()\n"


def run(program: str, *search_path: Path) -> subprocess.CompletedProcess[str]:
    extend = f"import sys\nsys.path.extend({[str(folder) for folder in search_path]})\n"
    return subprocess.run(
        [sys.executable, "-W", "error", "-c", extend + textwrap.dedent(program)],
        capture_output=True,
        text=True,
        check=False,
    )


def succeeds(program: str, *search_path: Path) -> str:
    done = run(program, *search_path)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize(
    ("imports", "same"),
    [
        ("import kfp", "kfp.dsl.component is standpipe.dsl.component"),
        ("import kfp", "(kfp.__version__, kfp.TYPE_CHECK) == ('2.17.0', True)"),
        ("from kfp import dsl, local, compiler, components", "local is standpipe.local"),
        ("from kfp import dsl, local, compiler, components", "components is standpipe.components"),
        ("import kfp.dsl as dsl", "dsl.PipelineTask is standpipe.dsl.PipelineTask"),
        ("from kfp.dsl import *", "(pipeline, Input) == (standpipe.dsl.pipeline, standpipe.dsl.Input)"),
        ("from kfp.dsl import component, Input", "component is standpipe.dsl.component"),
        ("import kfp.compiler", "kfp.compiler is standpipe.compiler"),
        ("from kfp.compiler import Compiler", "Compiler is standpipe.compiler.Compiler"),
        ("from kfp.local import SubprocessRunner", "SubprocessRunner is standpipe.local.SubprocessRunner"),
        (
            "from kfp.components import load_component_from_text as load",
            "load is standpipe.components.load_component_from_text",
        ),
        ("from kfp.dsl.types.artifact_types import Dataset", "Dataset is standpipe.dsl.Dataset"),
        ("import kfp.dsl.types.artifact_types as types", "types.Model is standpipe.dsl.Model"),
        ("import kfp.dsl.types.type_annotations", "kfp.dsl.types.type_annotations.Input is standpipe.dsl.Input"),
        ("from kfp.dsl.types import type_annotations as a", "a.OutputPath is standpipe.dsl.OutputPath"),
        ("from kfp.dsl import pipeline_channel as c", "c.PipelineChannel is standpipe.dsl.PipelineChannel"),
        ("from kfp.dsl.pipeline_channel import PipelineChannel as C", "C is standpipe.dsl.PipelineChannel"),
        (
            "from kfp.compiler.pipeline_spec_builder import to_protobuf_value as f",
            "f is standpipe.compiler.to_protobuf_value",
        ),
    ],
)
def test_the_names_of_kfp_are_ours(imports: str, same: str) -> None:
    succeeds(f"{INSTALL}{imports}\nassert {same}")


def test_a_script_compiles_unchanged(tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(
        textwrap.dedent("""
        import kfp
        from kfp import compiler, dsl
        from kfp.dsl import Dataset, Output

        @dsl.component(base_image="python:3.11")
        def make(rows: int, data: Output[Dataset]):
            pass

        @dsl.pipeline
        def script(rows: int = 3):
            make(rows=rows)

        compiler.Compiler().compile(script, "script.yaml")
        print(kfp.components.load_component_from_file("script.yaml").name)
        """)
    )
    program = f"{INSTALL}import os, runpy\nos.chdir({str(tmp_path)!r})\nrunpy.run_path('script.py')"

    assert succeeds(program) == "script\n"


def test_what_talks_to_a_cluster_says_where_it_is() -> None:
    program = """
    import kfp
    assert not hasattr(kfp, "Client")
    kfp.Client(host="http://localhost")
    """

    done = run(INSTALL + textwrap.dedent(program))

    assert "AttributeError: module 'kfp' has no attribute 'Client'" in done.stderr
    assert "install it with `pip install kfp`" in done.stderr


def test_what_is_not_there_yet_says_so() -> None:
    done = run(INSTALL + "from kfp import dsl\ndsl.ParallelFor([1])")

    assert "AttributeError: dsl.ParallelFor is not supported yet" in done.stderr
    assert "ImportError" in run(INSTALL + "from kfp.dsl import If").stderr
    assert (
        "AttributeError: module 'standpipe.dsl' has no attribute 'nothing'"
        in run("from standpipe import dsl\ndsl.nothing").stderr
    )


def test_calling_it_twice_changes_nothing() -> None:
    succeeds(f"{INSTALL}import kfp\nstandpipe.install_as_kfp()\nimport sys\nassert sys.modules['kfp'] is kfp")


def test_other_distributions_below_kfp_are_found(tmp_path: Path) -> None:
    extension = tmp_path / "kfp" / "kubernetes"
    extension.mkdir(parents=True)
    (extension / "__init__.py").write_text(
        "from kfp.dsl import PipelineTask, pipeline_channel\n"
        "from kfp.compiler.pipeline_spec_builder import to_protobuf_value\n"
        "def label(task: PipelineTask, name):\n"
        "    if isinstance(name, pipeline_channel.PipelineParameterChannel):\n"
        "        task.register_pipeline_channels([name])\n"
        "        name = name.full_name\n"
        "    task.platform_config['kubernetes'] = {'podMetadata': {'labels': {'name': name}}}\n"
    )
    program = """
    from kfp import dsl, kubernetes
    import kfp.pipeline_spec.pipeline_spec_pb2

    @dsl.container_component
    def tool():
        return dsl.ContainerSpec(image="alpine")

    @dsl.pipeline
    def labelled(name: str):
        kubernetes.label(tool(), name)

    executors = labelled.plan.platforms["kubernetes"]["deploymentSpec"]["executors"]
    print(executors["exec-tool"]["podMetadata"])
    """

    assert succeeds(INSTALL + textwrap.dedent(program), tmp_path) == "{'labels': {'name': 'name'}}\n"


SDK = """
import kfp
from kfp import dsl as theirs
import kfp.pipeline_spec.pipeline_spec_pb2 as messages
import standpipe
"""


@pytest.fixture
def sdk(tmp_path: Path) -> Path:
    """A folder with something that looks like the KFP SDK."""
    package = tmp_path / "kfp"
    (package / "dsl").mkdir(parents=True)
    (package / "__init__.py").write_text("__path__ = __import__('pkgutil').extend_path(__path__, __name__)\n")
    (package / "dsl" / "__init__.py").write_text("If = 'theirs'\n")
    (package / "dsl" / "tasks_group.py").write_text("")
    return tmp_path


def test_the_sdk_itself_is_hidden_where_it_is_installed(sdk: Path) -> None:
    succeeds(f"{INSTALL}from kfp import dsl\nassert dsl.component is standpipe.dsl.component", sdk)
    done = run(f"{INSTALL}import kfp.dsl.tasks_group", sdk)
    assert "ModuleNotFoundError: No module named 'kfp.dsl.tasks_group'" in done.stderr


def test_after_the_sdk_was_imported_it_warns_and_replaces_it(sdk: Path) -> None:
    program = """
    import kfp.dsl.tasks_group
    import warnings
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        standpipe.install_as_kfp()
    print(caught[0].message, caught[0].filename)
    from kfp import dsl
    import sys
    assert (theirs.If, dsl.component) == ("theirs", standpipe.dsl.component)
    assert "kfp.dsl.tasks_group" not in sys.modules
    import kfp.pipeline_spec.pipeline_spec_pb2 as again
    assert again is messages
    """

    said = succeeds(SDK + textwrap.dedent(program), sdk)

    assert "The KFP SDK was imported before standpipe.install_as_kfp()" in said
    assert "Call install_as_kfp() first, or import them again. <string>" in said
