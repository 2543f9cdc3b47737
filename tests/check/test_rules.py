"""What rules do not report, and the cases that their examples do not show."""

from __future__ import annotations

import textwrap
from pathlib import Path

import pytest

from standpipe.check.selection import Selection

from .examples import check

HEAD = "from typing import *\n\nfrom kfp import dsl, kubernetes\nfrom kfp.dsl import *\n\n"


def rules_of(program: str, folder: Path, *, ignore: tuple[str, ...] = ()) -> list[str]:
    return [each.rule.id for each in check(HEAD + textwrap.dedent(program), folder, Selection(ignore=ignore))]


def rules_of_body(body: str, folder: Path, *, decorator: str = "@dsl.component", settings: str = "") -> list[str]:
    program = (
        f"{decorator}\ndef work(x: int) -> int:\n{textwrap.indent(textwrap.dedent(body), '    ')}\n    return x\n\n\n"
    )
    return rules_of(
        f"{program}@dsl.pipeline\ndef pipeline(x: int):\n    work(x=x).set_caching_options(False){settings}\n", folder
    )


@pytest.mark.parametrize(
    "body",
    [
        "import numpy",
        "import json, tomllib",
        "try:\n    import beside\nexcept ImportError:\n    beside = None",
        "path = '/home/jovyan/data'",
        "path = '/tmp/data'",
        "pattern = r'N:\\d+'",
        "print('see http://localhost in the text')",
        "import subprocess\nsubprocess.run(['server'])\nurl = 'http://localhost:8000'",
        "import os\nos.environ['A'] = 'b'\nprint(os.environ['A'])",
        "import os\nprint(os.environ.get('A'), os.getenv('B'), os.environ['HOME'], os.environ['KFP_POD_NAME'])",
        "import os\nif 'A' in os.environ:\n    print(os.environ['A'])",
        "import os\ntry:\n    print(os.environ['A'])\nexcept KeyError:\n    pass",
        "with open('/tmp/a', 'w') as file:\n    file.write('x')\nprint(open('/tmp/a').read())",
        "input = print\nvalue = 'input()'",
        "url = f'postgresql://ada:{x}@db.example.com/db'",
        "url = 'postgresql://ada@db.example.com/db'",
    ],
)
def test_programs_that_a_cluster_runs(body: str, tmp_path: Path) -> None:
    (tmp_path / "beside.py").write_text("")

    assert rules_of_body(body, tmp_path) == []


@pytest.mark.parametrize(
    ("body", "rules"),
    [
        ("from beside.deep import a", ["SP002"]),
        ("def inner():\n    import beside\n    return beside", ["SP002"]),
        ("path = 'C:\\\\Users\\\\ada'", ["SP003"]),
        ("path = '/Users/ada/data.csv'", ["SP003"]),
        ("path = 'file:///home/ada/data.csv'", ["SP003"]),
        ("url = 'postgresql://user@127.0.0.1/db'", ["SP004"]),
        ("url = 'host.docker.internal:5432'", ["SP004"]),
        ("from os import environ\nprint(environ['USER'])", ["SP005"]),
        ("import pdb\npdb.set_trace()", ["SP009"]),
        ("url = 'postgresql://ada:c0rrect-h0rse@db.example.com/db'", ["SP024"]),
        ("token = 'hf_" + "a" * 34 + "'", ["SP024"]),
        ("print(input('how many? '))", ["SP009"]),
    ],
)
def test_programs_that_a_cluster_does_not_run(body: str, rules: list[str], tmp_path: Path) -> None:
    (tmp_path / "beside").mkdir()
    (tmp_path / "beside" / "__init__.py").write_text("")

    assert rules_of_body(body, tmp_path) == rules


@pytest.mark.parametrize(
    ("decorator", "body", "rules"),
    [
        ("@dsl.component(base_image='python:3.9-slim')", "match x:\n    case 1: pass", ["SP007"]),
        ("@dsl.component(base_image='docker.io/library/python:3.10.4')", "match x:\n    case 1: pass", []),
        ("@dsl.component(base_image='other:3.8')", "match x:\n    case 1: pass", []),
        ("@dsl.component(base_image='python:3.13')", "import cgi", ["SP008"]),
        ("@dsl.component(base_image='python:3.12')", "import distutils", ["SP008"]),
        ("@dsl.component(base_image='python:3.12', packages_to_install=['setuptools==80'])", "import distutils", []),
        ("@dsl.component(base_image='own:1')", "import os\nprint(os.environ['A'])", []),
        ("@dsl.component(base_image='own:1')", "import beside", []),
        ("@dsl.component(base_image='own:1', install_kfp_package=False)", "pass", []),
        ("@dsl.component(install_kfp_package=False, packages_to_install=['kfp==2.17.3'])", "pass", []),
        ("@dsl.component(base_image='python@sha256:abc')", "pass", []),
        ("@dsl.component(base_image='python')", "pass", ["SP011"]),
        ("@dsl.component(base_image='registry:5000/python')", "pass", ["SP011"]),
        ("@dsl.component(base_image='docker.io/library/ubuntu:24.04')", "pass", ["SP012"]),
        ("@dsl.component(base_image='gcr.io/distroless/python3:1')", "pass", []),
        ("@dsl.component(packages_to_install=['a~=1.0', 'b<2', 'c @ https://x.org/c.whl', 'd[e]==1'])", "pass", []),
        ("@dsl.component(packages_to_install=['a>=1.0', 'b[c]'])", "pass", ["SP010"]),
        ("@dsl.component(packages_to_install=['git+https://x.org/a@v1'])", "pass", []),
        ("@dsl.component(packages_to_install=['-e .'])", "pass", ["SP013"]),
        ("@dsl.component(packages_to_install=['a @ file:///a.whl'])", "pass", ["SP013"]),
        ("@dsl.component(base_image='127.0.0.1/a:1')", "pass", ["SP015"]),
    ],
)
def test_images_and_packages(decorator: str, body: str, rules: list[str], tmp_path: Path) -> None:
    (tmp_path / "beside.py").write_text("")

    assert rules_of_body(body, tmp_path, decorator=decorator) == rules


@pytest.mark.parametrize(
    ("settings", "rules"),
    [
        (".set_cpu_request('500m').set_cpu_limit('0.5')", []),
        (".set_cpu_request('2').set_cpu_limit('1500m')", ["SP030"]),
        (".set_memory_request('1Gi').set_memory_limit('1G')", ["SP030"]),
        (".set_accelerator_type('google.com/tpu').set_accelerator_limit(1)", []),
        (".set_env_variable('API_KEY', '')", []),
        (".set_env_variable('API_TOKEN', '/run/secrets/token')", []),
        (".set_env_variable('TOKENS', 'c0rrect-h0rse')", []),
        (".set_env_variable('ANY', 'ghp_" + "a" * 36 + "')", ["SP024"]),
        (".set_retry(3)", []),
    ],
)
def test_settings_of_tasks(settings: str, rules: list[str], tmp_path: Path) -> None:
    assert rules_of_body("pass", tmp_path, settings=settings) == rules


WORK = """
@dsl.component
def work(x: int = 1) -> int:
    return x

@dsl.component
def read(data: Input[Dataset]):
    print(data.path)

"""


@pytest.mark.parametrize(
    ("body", "rules"),
    [
        # the PVC is mounted by tasks that wait for each other, or by branches of which one runs
        ("first = mount(work())\nmount(work().after(first))", []),
        ("with dsl.If(work().output == 1):\n    mount(work())\nwith dsl.Else():\n    mount(work())", []),
        ("with dsl.ParallelFor([1, 2], parallelism=1) as x:\n    mount(work(x=x))", []),
        ("with dsl.ParallelFor([1, 2]) as x:\n    mount(work(x=x))", ["SP037"]),
        ("with dsl.If(work().output == 1):\n    mount(work())\nmount(work())", ["SP037"]),
    ],
)
def test_exclusive_volumes(body: str, rules: list[str], tmp_path: Path) -> None:
    program = f"""{WORK}
@dsl.pipeline
def pipeline():
    claim = kubernetes.CreatePVC(pvc_name="data", access_modes=["ReadWriteOnce"], size="1Gi")

    def mount(task):
        return kubernetes.mount_pvc(task, pvc_name=claim.outputs["name"], mount_path="/data")

{textwrap.indent(body, "    ")}
"""
    assert rules_of(program, tmp_path) == rules


@pytest.mark.parametrize(
    ("body", "rules"),
    [
        ("with dsl.If(work().output == 1):\n    mount(work())\nkubernetes.DeletePVC(pvc_name=name)", ["SP038"]),
        ("kubernetes.DeletePVC(pvc_name=name).after(mount(work()), mount(work()))", []),
        ("inner(name=name)", []),
        ("mount(work())", ["SP039"]),
    ],
)
def test_deletions_of_volumes(body: str, rules: list[str], tmp_path: Path) -> None:
    program = f"""{WORK}
@dsl.pipeline
def inner(name: str):
    task = kubernetes.mount_pvc(work(), pvc_name=name, mount_path="/data")
    kubernetes.DeletePVC(pvc_name=name).after(task)

@dsl.pipeline
def pipeline():
    name = kubernetes.CreatePVC(pvc_name_suffix="-data", access_modes=["ReadWriteMany"], size="1Gi").outputs["name"]

    def mount(task):
        return kubernetes.mount_pvc(task, pvc_name=name, mount_path="/data")

{textwrap.indent(body, "    ")}
"""
    assert rules_of(program, tmp_path) == rules


@pytest.mark.parametrize(
    ("settings", "rules"),
    [
        ("kubernetes.use_secret_as_volume(task, 'a' * 64, mount_path='/a')", ["SP034"]),
        ("kubernetes.use_config_map_as_volume(task, 'a.b', mount_path='/a')", ["SP034"]),
        ("kubernetes.use_secret_as_env(task, 'a.b', {'key': 'NAME'})", []),
        ("kubernetes.use_config_map_as_env(task, '-a', {'key': 'NAME'})", ["SP033"]),
        ("kubernetes.set_image_pull_secrets(task, ['A'])", ["SP033"]),
        ("kubernetes.mount_pvc(task, 'A_b', '/a')", ["SP033"]),
        ("kubernetes.empty_dir_mount(task, volume_name='a.b', mount_path='/a')", ["SP034"]),
    ],
)
def test_names_of_objects(settings: str, rules: list[str], tmp_path: Path) -> None:
    program = f"""{WORK}
@dsl.pipeline
def pipeline():
    task = work().set_caching_options(False)
    {settings}
"""
    assert rules_of(program, tmp_path) == rules


@pytest.mark.parametrize(
    ("body", "rules"),
    [
        ("read(data=dsl.importer(artifact_uri=uri, artifact_class=Dataset).output)", []),
        ("read(data=dsl.importer(artifact_uri='gs://x/m', artifact_class=Dataset).output)", ["SP042"]),
        ("read(data=dsl.importer(artifact_uri='file:///a/b', artifact_class=Dataset).output)", ["SP042", "SP044"]),
        (
            "with dsl.ParallelFor(['s3://a/b']) as each:\n    dsl.importer(artifact_uri=each, artifact_class=Model)",
            ["SP042"],
        ),
    ],
)
def test_imports(body: str, rules: list[str], tmp_path: Path) -> None:
    program = f"{WORK}\n@dsl.pipeline\ndef pipeline(uri: str):\n{textwrap.indent(body, '    ')}\n"

    assert sorted(rules_of(program, tmp_path)) == rules


def test_the_same_component_in_a_loop_is_one_finding(tmp_path: Path) -> None:
    program = """
        @dsl.component(packages_to_install=["a"])
        def work(x: int) -> int:
            return x

        @dsl.pipeline
        def pipeline():
            work(x=1)
            with dsl.ParallelFor([1, 2]) as x:
                work(x=x)
        """
    assert rules_of(program, tmp_path) == ["SP010"]


def test_a_component_alone_is_checked(tmp_path: Path) -> None:
    program = """
        @dsl.component(base_image="alpine:3")
        def work(x: int) -> int:
            return x
        """
    assert rules_of(program, tmp_path) == ["SP012"]
