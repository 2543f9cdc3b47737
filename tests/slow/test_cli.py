"""With the real KFP SDK in the same environment: its objects, its client and its public names."""

from __future__ import annotations

import json
import os
import subprocess
import textwrap
from pathlib import Path

import pytest

import standpipe
from standpipe.kfp_compat.modules import MODULES

pytestmark = pytest.mark.slow

SOURCES = Path(standpipe.__file__).parents[1]


def run(python: Path, folder: Path, program: str, *arguments: str) -> str:
    """Run a program in the SDK's environment, which also has Standpipe, and return its output."""
    (folder / "program.py").write_text(textwrap.dedent(program))
    done = subprocess.run(
        [python, "-W", "ignore", *arguments, "program.py"],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(SOURCES)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_objects_of_the_sdk_run(kfp_python: Path, tmp_path: Path) -> None:
    program = """
    from typing import List

    import kfp
    from kfp import compiler, components, dsl
    from standpipe import local

    @dsl.component
    def add(a: int, b: float = 1.0) -> int:
        return int(a + b)

    @dsl.component
    def write(text: str, data: dsl.Output[dsl.Dataset]):
        data.metadata["written"] = True
        with open(data.path, "w") as file:
            file.write(text)

    @dsl.component
    def read(data: dsl.Input[dsl.Dataset], many: dsl.Input[List[dsl.Dataset]]) -> str:
        with open(data.path) as file:
            return f"{file.read()} {data.metadata} {len(many)}"

    @dsl.pipeline(description="adds twice")
    def math(x: int, y: float = 2.0) -> int:
        return add(a=add(a=x, b=y).output).output

    def run(target, **arguments):
        runner = local.SubprocessRunner(use_venv=False)
        return local.run(target, arguments, runner=runner, quiet=True).output

    print(run(add, a=2), run(math, x=2))
    compiler.Compiler().compile(math, "math.yaml")
    loaded = components.load_component_from_file("math.yaml")
    assert type(loaded).__module__ == "kfp.dsl.yaml_component"
    print(run(loaded, x=3, y=1.0))
    written = run(write, text="words")
    theirs = dsl.Dataset(name="d", uri=written.uri, metadata=written.metadata)
    print(run(read, data=theirs, many=[theirs, theirs]))
    """
    assert run(kfp_python, tmp_path, program).splitlines() == ["3 5", "5", "words {'written': True} 2"]


def test_the_client_of_the_sdk_uploads_our_documents(kfp_python: Path, tmp_path: Path) -> None:
    program = """
    from unittest import mock

    import kfp
    from kfp import dsl, registry
    from kfp.client import client

    assert "standpipe" in dsl.component.__module__

    @dsl.component
    def add(a: int) -> int:
        return a + 1

    @dsl.pipeline(name="the-math")
    def math(x: int = 3) -> int:
        return add(a=x).output

    def send(self, pipeline_file, **options):
        sent = client._extract_pipeline_yaml(pipeline_file).to_dict()
        print(sent["pipelineInfo"]["name"], options["arguments"], registry.RegistryClient.__module__)

    with mock.patch.object(kfp.Client, "__init__", lambda self: None):
        with mock.patch.object(kfp.Client, "create_run_from_pipeline_package", send):
            kfp.Client().create_run_from_pipeline_func(math, arguments={"x": 1})
    """
    said = run(kfp_python, tmp_path, program, "-m", "standpipe")
    assert said == "the-math {'x': 1} kfp.registry.registry_client\n"


def test_kfp_kubernetes_works_on_our_tasks(kfp_python: Path, tmp_path: Path) -> None:
    program = """
    from kfp import dsl, kubernetes

    @dsl.component
    def add(a: int) -> int:
        return a + 1

    @dsl.pipeline
    def math(name: str):
        task = add(a=1)
        kubernetes.use_secret_as_env(task, secret_name=name, secret_key_to_env={"key": "KEY"})
        kubernetes.set_timeout(task, seconds=3)

    (settings,) = math.plan.platforms["kubernetes"]["deploymentSpec"]["executors"].values()
    print(sorted(settings), sorted(settings["secretAsEnv"][0]["keyToEnv"][0].items()))
    """
    said = run(kfp_python, tmp_path, program, "-m", "standpipe")
    assert said == "['activeDeadlineSeconds', 'secretAsEnv'] [('envVar', 'KEY'), ('secretKey', 'key')]\n"


def test_all_public_names_of_the_sdk_exist(kfp_python: Path, tmp_path: Path) -> None:
    program = """
    import json
    from kfp import compiler, components, dsl, local
    print(json.dumps({module.__name__: module.__all__ for module in (compiler, components, dsl, local)}))
    """
    public = json.loads(run(kfp_python, tmp_path, program))
    imports = "\n".join(f"from {module} import {name}" for module, names in public.items() for name in names)
    assert imports.count("\n") > 50
    run(kfp_python, tmp_path, imports, "-m", "standpipe")


def test_our_modules_of_kfp_are_modules_of_the_sdk(kfp_python: Path, tmp_path: Path) -> None:
    run(kfp_python, tmp_path, f"import importlib\nfor name in {list(MODULES)}:\n    importlib.import_module(name)")
