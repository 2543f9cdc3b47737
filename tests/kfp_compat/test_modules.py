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
    ("from kfp import kubernetes", "kubernetes.mount_pvc is standpipe.kubernetes.mount_pvc"),
    ("from kfp.kubernetes import *", "CreatePVC is standpipe.kubernetes.CreatePVC and add_init_container"),
    ("import kfp.kubernetes as k8s", "set(k8s.__all__) == set(standpipe.kubernetes.__all__)"),
    ("from kfp.pipeline_spec import pipeline_spec_pb2", "pipeline_spec_pb2.PipelineSpec()"),
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


def test_what_talks_to_a_cluster_can_be_imported_annotated_subclassed_and_mocked() -> None:
    program = """
    import kfp, kfp.client, kfp.registry
    from unittest import mock
    from kfp import Client, client
    from kfp.cli.cli import cli
    from kfp.client import Client as SameClient
    from kfp.client.auth import get_gcp_access_token
    from kfp.client.set_volume_credentials import ServiceAccountTokenVolumeCredentials
    from kfp.registry import ApiAuth, RegistryClient

    def submit(client: kfp.Client, registry: "RegistryClient | None" = None) -> None: ...

    class Own(kfp.Client):
        def __init__(self) -> None: ...

    assert Client is SameClient is kfp.Client is client.Client is kfp.client.client.Client
    assert not isinstance(submit, kfp.Client) and isinstance(Own(), Client) and not isinstance(None, ApiAuth)
    with mock.patch("kfp.Client") as patched, mock.patch.object(RegistryClient, "list_tags") as list_tags:
        assert kfp.Client(host="x").run_pipeline() is patched().run_pipeline()
    assert mock.create_autospec(kfp.Client)().get_run("1") and mock.MagicMock(spec=Client).create_experiment("x")
    """
    succeeds(INSTALL + textwrap.dedent(program))


@pytest.mark.parametrize(
    ("use", "name"),
    [
        ("import kfp; kfp.Client(host='http://localhost')", "kfp.Client"),
        ("from kfp import Client; type('Own', (Client,), {})()", "kfp.Client"),
        ("from kfp import Client; type('Own', (Client,), {'__init__': lambda self: None})().list_runs()", "kfp.Client"),
        ("from kfp.registry import RegistryClient as C; C(host='x')", "kfp.registry.RegistryClient"),
        ("from kfp.client import auth; auth.get_auth_token('x')", "kfp.client.auth.get_auth_token"),
        ("from kubeflow.pipelines import PipelinesClient as C; C()", "kfp.kubeflow_client.PipelinesClient"),
    ],
)
def test_using_what_talks_to_a_cluster_says_what_to_install(use: str, name: str) -> None:
    done = run(INSTALL + use)

    assert f"SdkNotInstalled: {name} is not part of Standpipe" in done.stderr
    assert "Install it with `pip install kfp`" in done.stderr


@pytest.mark.parametrize(
    ("use", "message"),
    [
        ("import kfp.onprem", "kfp.onprem belongs to KFP 1"),
        ("from kfp import auth", "Instead, use `kfp.client`"),
        ("from kfp.deprecated import dsl", "kfp.deprecated belongs to KFP 1"),
        ("from kfp.components import func_to_container_op", "Instead, decorate the function with `@dsl.component`"),
        ("from kfp import components as c; c.create_component_from_func(1)", "decorate the function with"),
        ("from kfp.components import InputPath", "Instead, import it from `kfp.dsl`"),
        ("from kfp import dsl; dsl.ContainerOp(name='x')", "with `@dsl.container_component`"),
        ("from kfp.dsl import PipelineConf", "Standpipe nor the KFP SDK since 2.0 has it. KFP's documentation has"),
        ("from kfp.v2.google.client import AIPlatformClient", "kfp.v2.google belongs to KFP 1"),
    ],
)
def test_names_of_version_1_are_errors_that_say_so(use: str, message: str) -> None:
    assert message in run(INSTALL + use).stderr


def test_missing_names_and_modules_raise_the_errors_of_python() -> None:
    program = """
    import kfp
    assert not hasattr(kfp, "nothing")
    for name in ("kfp.kubernetes.secret", "kfp.dsl.executor", "kfp.dsl.component", "kfp.client.nothing"):
        try:
            __import__(name)
        except ImportError as error:
            print(error)
    import kfp.dsl.nothing
    """

    done = run(INSTALL + textwrap.dedent(program))

    secret, executor, component, client = done.stdout.splitlines()
    assert secret.startswith("module 'kfp.kubernetes' has no attribute 'secret' in Standpipe")
    assert executor.startswith("module 'kfp.dsl' has no attribute 'executor' in Standpipe")
    assert component == "kfp.dsl.component is not a module: import it with `from kfp.dsl import component`."
    assert client.startswith("module 'kfp.client' has no attribute 'nothing' in Standpipe")
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
    import kfp
    from kfp import dsl
    kubernetes = kfp.kubernetes
    kfp.pipeline_spec.pipeline_spec_pb2.PipelineSpec()

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


KUBEFLOW = """
from kubeflow.pipelines import compiler, components, constants, dsl, kubernetes, PipelinesClient
import kubeflow.pipelines
assert (dsl, compiler, components) == (kfp.dsl, kfp.compiler, kfp.components), dsl
assert dsl.component is standpipe.dsl.component and kubeflow.pipelines.dsl is dsl
assert kubernetes is kfp.kubernetes and kubernetes.mount_pvc is standpipe.kubernetes.mount_pvc
"""


def test_the_modules_of_kubeflow_pipelines_are_those_of_kfp() -> None:
    succeeds(f"{INSTALL}import kfp\n{KUBEFLOW}assert constants.RUN_SUCCEEDED == 'succeeded'")


@pytest.mark.parametrize(
    ("use", "message"),
    [
        ("from kubeflow.pipelines import local", "Import it from KFP: `from kfp import local`"),
        ("import kubeflow.pipelines.dsl", "import it with `from kubeflow.pipelines import dsl`"),
        ("from kubeflow.pipelines import nothing", "module 'kubeflow.pipelines' has no attribute 'nothing'"),
        ("from kubeflow.trainer import TrainerClient", "Install it with `pip install kubeflow`"),
    ],
)
def test_what_kubeflow_pipelines_lacks_is_an_error_that_says_what_to_do(use: str, message: str) -> None:
    assert message in run(INSTALL + use).stderr


@pytest.mark.parametrize("has_pipelines", [True, False])
def test_an_installed_kubeflow_package_stays_importable(has_pipelines: bool, tmp_path: Path) -> None:
    package = tmp_path / "kubeflow"
    (package / "trainer").mkdir(parents=True)
    (package / "__init__.py").touch()
    (package / "trainer" / "__init__.py").write_text("TrainerClient = 'theirs'")
    if has_pipelines:  # as in kubeflow 0.5.0
        (package / "pipelines").mkdir()
        (package / "pipelines" / "__init__.py").write_text(
            "import importlib\nconstants = PipelinesClient = 'theirs'\n"
            "def __getattr__(name): return importlib.import_module(f'kfp.{name}')\n"
        )
    program = f"{INSTALL}import kfp\nfrom kubeflow.trainer import TrainerClient\n{KUBEFLOW}"
    succeeds(f"{program}assert (PipelinesClient == 'theirs') is {has_pipelines}", tmp_path)


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


def test_kubernetes_and_pipeline_spec_may_be_parts_of_the_sdk(sdk: Path) -> None:
    """As KEP-12548 will have them."""
    for name, text in {
        "kubernetes": "from kfp.dsl import PipelineTask\nfrom ..pipeline_spec import pipeline_spec_pb2\n",
        "pipeline_spec": "",
    }.items():
        (sdk / "kfp" / name).mkdir()
        (sdk / "kfp" / name / "__init__.py").write_text(text)
    (sdk / "kfp" / "pipeline_spec" / "pipeline_spec_pb2.py").write_text("IS_SDK = True\n")
    program = """
    import kfp
    from kfp import kubernetes
    assert kfp.kubernetes is kubernetes and kubernetes.PipelineTask is standpipe.dsl.PipelineTask
    assert kubernetes.pipeline_spec_pb2 is kfp.pipeline_spec.pipeline_spec_pb2
    assert kfp.pipeline_spec.pipeline_spec_pb2.IS_SDK
    from kubeflow.pipelines import kubernetes as same
    assert same is kubernetes
    """
    succeeds(INSTALL + textwrap.dedent(program), sdk)


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


def install_extension(folder: Path, content: str) -> None:
    extension = folder / "kfp" / "kubernetes"
    extension.mkdir(parents=True)
    (extension / "__init__.py").write_text(content)


def test_an_older_extension_gets_the_names_of_the_next(tmp_path: Path) -> None:
    install_extension(tmp_path, "__all__ = ['set_timeout']\nset_timeout = 1\n")
    program = """
    from kfp import kubernetes
    from kfp.kubernetes import add_init_container
    assert add_init_container is kubernetes.add_init_container is standpipe.kubernetes.add_init_container
    assert kubernetes.__all__ == ["set_timeout", "add_init_container"]
    assert kubernetes.set_timeout == 1
    """
    succeeds(INSTALL + textwrap.dedent(program), tmp_path)


def test_a_newer_extension_keeps_its_own(tmp_path: Path) -> None:
    install_extension(tmp_path, "add_init_container = 'theirs'\n")
    succeeds(f"{INSTALL}from kfp import kubernetes\nassert kubernetes.add_init_container == 'theirs'", tmp_path)
