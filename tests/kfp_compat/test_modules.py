"""Scripts that import `kfp` after `install_as_kfp()`. Each runs in its own interpreter, because modules are global."""

from __future__ import annotations

import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from standpipe.kfp_compat.modules import MODULES

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


#: Imports in scripts of users, each with an expression that is true after it.
IMPORTS = [
    ("import kfp", "kfp.dsl.component is standpipe.dsl.component"),
    ("import kfp", "(kfp.__version__, kfp.TYPE_CHECK) == ('2.17.3', True)"),
    ("import kfp", "kfp.dsl.types.artifact_types.Model is standpipe.dsl.Model"),
    ("from kfp import *", "dsl.component is standpipe.dsl.component and compiler and components and local"),
    ("from kfp.version import __version__ as version", "version == '2.17.3'"),
    ("from kfp import dsl, local", "local.init is standpipe.local.init"),
    ("import kfp.dsl as dsl", "dsl.PipelineTask is standpipe.dsl.PipelineTask"),
    ("from kfp.dsl import *", "(pipeline, Input) == (standpipe.dsl.pipeline, standpipe.dsl.Input)"),
    ("from kfp.dsl import *; from kfp import dsl", "set(standpipe.dsl.__all__) <= set(globals()) & set(dir(dsl))"),
    ("import kfp.compiler", "kfp.compiler.Compiler is standpipe.compiler.Compiler"),
    ("from kfp.compiler import compiler", "compiler.Compiler is standpipe.compiler.Compiler"),
    ("from kfp.compiler.compiler import Compiler", "Compiler is standpipe.compiler.Compiler"),
    ("from kfp.local.config import DockerRunner", "DockerRunner is standpipe.local.DockerRunner"),
    ("from kfp.local import SubprocessRunner", "SubprocessRunner is standpipe.local.SubprocessRunner"),
    (
        "from kfp.components import load_component_from_text as load",
        "load is standpipe.components.load_component_from_text",
    ),
    ("from kfp.components import *", "issubclass(PythonComponent, BaseComponent)"),
    ("from kfp.components import YamlComponent as Y", "isinstance(Y, type)"),
    ("from kfp.components import placeholders as p", "p.ConcatPlaceholder is standpipe.dsl.ConcatPlaceholder"),
    ("from kfp.dsl.types.artifact_types import Dataset", "Dataset is standpipe.dsl.Dataset"),
    ("import kfp.dsl.types.artifact_types as types", "types.Model is standpipe.dsl.Model"),
    ("import kfp.dsl.types.type_annotations", "kfp.dsl.types.type_annotations.Input is standpipe.dsl.Input"),
    ("from kfp.dsl.types import type_annotations as a", "a.OutputPath is standpipe.dsl.OutputPath"),
    ("from kfp.dsl import pipeline_channel as c", "c.PipelineChannel is standpipe.dsl.PipelineChannel"),
    ("from kfp.dsl.pipeline_channel import PipelineChannel as C", "C is standpipe.dsl.PipelineChannel"),
    ("from kfp.dsl.base_component import BaseComponent as C", "C is standpipe.dsl.BaseComponent"),
    ("from kfp.dsl.component_decorator import component as c", "c is standpipe.dsl.component"),
    ("from kfp.dsl.graph_component import GraphComponent as C", "C is standpipe.dsl.GraphComponent"),
    ("from kfp.dsl import pipeline_context", "pipeline_context.pipeline is standpipe.dsl.pipeline"),
    ("from kfp.dsl import pipeline_task", "pipeline_task.PipelineTask is standpipe.dsl.PipelineTask"),
    ("from kfp.dsl.placeholders import IfPresentPlaceholder as P", "P is standpipe.dsl.IfPresentPlaceholder"),
    ("from kfp.dsl.structures import ContainerSpec as C", "C is standpipe.dsl.ContainerSpec"),
    ("from kfp.dsl.structures import ComponentSpec, InputSpec, ResourceSpec", "InputSpec('String').optional is False"),
    ("from kfp.dsl.component_factory import create_component_from_func as c", "c is standpipe.dsl.component"),
    ("from kfp.dsl.placeholders import InputValuePlaceholder as P", "str(P('x')) == \"{{$.inputs.parameters['x']}}\""),
    ("from kfp.dsl.pipeline_channel import ConditionOperation as C", "C('==', 1, 2).left_operand == 1"),
    ("from kfp.dsl.tasks_group import TasksGroup as G", "issubclass(standpipe.dsl.If, G)"),
    ("from kfp.dsl.utils import maybe_rename_for_k8s as f", "f('A b') == 'a-b'"),
    ("import kfp.dsl.tasks_group, kfp.dsl.for_loop, kfp.dsl.importer_node", "kfp.dsl.tasks_group"),
    ("from kfp.v2 import dsl, compiler", "dsl.pipeline is standpipe.dsl.pipeline"),
    ("from kfp.v2.dsl import component, Artifact", "Artifact is standpipe.dsl.Artifact"),
    ("import kfp.v2.compiler as c", "c.Compiler is standpipe.compiler.Compiler"),
    (
        "from kfp.compiler.pipeline_spec_builder import to_protobuf_value as f",
        "f is standpipe.compiler.to_protobuf_value",
    ),
]


def test_names_of_kfp_are_those_of_standpipe() -> None:
    program = f"""
import standpipe
standpipe.install_as_kfp()
for imports, same in {IMPORTS!r}:
    names = {{"standpipe": standpipe}}
    try:
        exec(imports, names)
        assert eval(same, names), same
    except Exception as error:
        print(imports, repr(error))
"""
    assert succeeds(program) == ""


def test_every_entry_of_modules_can_be_imported() -> None:
    """Names without a counterpart are not in `__all__`; a wrong name of a module is an error."""
    program = f"""
import standpipe
standpipe.install_as_kfp()
for module in {list(MODULES)}:
    names = {{}}
    exec(f"import {{module}}; from {{module}} import *", names)
    assert set(getattr(sys.modules[module], "__all__", ())) <= names.keys() & set(dir(sys.modules[module])), module
    print(module)
"""
    assert succeeds(program).split() == list(MODULES)


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


@pytest.mark.parametrize(
    ("use", "error"),
    [
        ("import kfp; kfp.Client(host='http://localhost')", "NoSuchName: kfp.Client"),
        ("from kfp import Client", "NoSuchModule: kfp.Client"),
        ("import kfp.client", "NoSuchModule: kfp.client"),
        ("from kfp.registry import RegistryClient", "NoSuchModule: kfp.registry"),
    ],
)
def test_names_for_clusters_are_errors_that_name_the_package(use: str, error: str) -> None:
    done = run(INSTALL + use)

    assert f"{error} is not part of Standpipe" in done.stderr
    assert "Install it with `pip install kfp`" in done.stderr


def test_missing_names_and_modules_raise_the_errors_of_python() -> None:
    program = """
    import kfp
    assert not hasattr(kfp, "Client")
    for name in ("kfp.Client", "kfp.kubernetes", "kfp.dsl.executor", "kfp.dsl.component"):
        try:
            __import__(name)
        except ImportError as error:
            print(error)
    import kfp.dsl.nothing
    """

    done = run(INSTALL + textwrap.dedent(program))

    client, kubernetes, executor, component = done.stdout.splitlines()
    assert "pip install kfp`" in client
    assert "pip install kfp-kubernetes`" in kubernetes
    assert executor.startswith("module 'kfp.dsl' has no attribute 'executor' in Standpipe")
    assert component == "kfp.dsl.component is not a module: import it with `from kfp.dsl import component`."
    assert "NoSuchModule: module 'kfp.dsl' has no attribute 'nothing'" in done.stderr


def test_a_new_name_of_standpipe_is_in_kfp_at_once() -> None:
    program = """
    import kfp
    import standpipe.errors
    standpipe.dsl.If = standpipe.errors.InvalidControlFlowException = object
    from kfp.dsl.tasks_group import If, InvalidControlFlowException
    assert If is kfp.dsl.If is InvalidControlFlowException is object
    """
    succeeds(INSTALL + textwrap.dedent(program))


def test_a_second_install_changes_nothing() -> None:
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


CLIENT = """
import os, tempfile
from kfp import compiler
from kfp.dsl import base_component

class Client:
    def compile(self, pipeline_func: base_component.BaseComponent):
        with tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder, "pipeline.yaml")
            compiler.Compiler().compile(pipeline_func=pipeline_func, package_path=path)
            return open(path).read()
"""

SDK = """
import kfp
from kfp import dsl as theirs
import kfp.pipeline_spec.pipeline_spec_pb2 as messages
import standpipe
"""


@pytest.fixture
def sdk(tmp_path: Path) -> Path:
    """Return a folder with a package like the KFP SDK."""
    package = tmp_path / "kfp"
    (package / "dsl").mkdir(parents=True)
    (package / "__init__.py").write_text("__path__ = __import__('pkgutil').extend_path(__path__, __name__)\n")
    (package / "dsl" / "__init__.py").write_text("If = 'theirs'\n")
    (package / "dsl" / "inside.py").write_text("")
    (package / "client.py").write_text(CLIENT)
    return tmp_path


def test_an_installed_sdk_is_hidden(sdk: Path) -> None:
    succeeds(f"{INSTALL}from kfp import dsl\nassert dsl.component is standpipe.dsl.component", sdk)
    assert (
        "NoSuchModule: module 'kfp.dsl' has no attribute 'inside'" in run(f"{INSTALL}import kfp.dsl.inside", sdk).stderr
    )


def test_the_client_of_the_sdk_accepts_pipelines_of_standpipe(sdk: Path) -> None:
    program = """
    import kfp
    from kfp import Client, dsl

    @dsl.container_component
    def tool():
        return dsl.ContainerSpec(image="alpine")

    assert kfp.Client is kfp.client.Client is Client
    print(Client().compile(tool))
    """

    assert "schemaVersion: 2.1.0" in succeeds(INSTALL + textwrap.dedent(program), sdk)


def test_an_imported_sdk_is_replaced_with_a_warning(sdk: Path) -> None:
    program = """
    import kfp.dsl.inside
    import warnings
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        standpipe.install_as_kfp()
    print(caught[0].message, caught[0].filename)
    from kfp import dsl
    import sys
    assert (theirs.If, dsl.component) == ("theirs", standpipe.dsl.component)
    assert "kfp.dsl.inside" not in sys.modules
    import kfp.pipeline_spec.pipeline_spec_pb2 as again
    assert again is messages
    """

    output = succeeds(SDK + textwrap.dedent(program), sdk)

    assert "The KFP SDK was imported before standpipe.install_as_kfp()" in output
    assert "Call install_as_kfp() first, or import them again. <string>" in output
