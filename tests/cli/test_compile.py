"""`standpipe compile`. Each runs in an interpreter of its own, because it installs Standpipe as `kfp`."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from standpipe import components

SCRIPT = """
from kfp import dsl

@dsl.component
def add(a: int) -> int:
    return a + 1

@dsl.pipeline(name="the-math")
def math(x: int) -> int:
    return add(a=x).output

if __name__ == "__main__":
    raise SystemExit("it was run")
"""


def compile_(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return run(folder, "compile", *arguments)


def run(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    program = [sys.executable, "-m", "standpipe", *arguments]
    return subprocess.run(program, cwd=folder, capture_output=True, text=True, check=False)


def test_the_only_pipeline_of_a_script_is_compiled(tmp_path: Path) -> None:
    (tmp_path / "script.py").write_text(SCRIPT)
    done = compile_(tmp_path, "script.py")
    assert (done.returncode, done.stdout) == (0, "the-math.yaml\n"), done.stderr
    assert components.load_component_from_file(tmp_path / "the-math.yaml").name == "the-math"


def test_what_is_named_is_compiled_to_the_file_that_is_named(tmp_path: Path) -> None:
    (tmp_path / "script.py").write_text(SCRIPT)
    done = compile_(tmp_path, "script.py:add", "out.yaml")
    assert (done.returncode, done.stdout) == (0, "out.yaml\n"), done.stderr
    assert components.load_component_from_file(tmp_path / "out.yaml").name == "add"


def test_where_it_is_not_clear_what_is_meant_the_names_are_listed(tmp_path: Path) -> None:
    (tmp_path / "script.py").write_text(f"{SCRIPT.partition('if __name__')[0]}\nother = math")
    done = compile_(tmp_path, "script.py")
    assert done.returncode == 2
    assert (
        "script.py has several pipelines or components. Expected one of script.py:math, script.py:other." in done.stderr
    )

    (tmp_path / "script.py").write_text("")
    done = compile_(tmp_path, "script.py:math")
    assert done.returncode == 2
    assert "script.py has no pipeline or component 'math'. Define one at the top level of the script" in done.stderr


def test_a_missing_script_is_an_error_that_says_what_is_expected(tmp_path: Path) -> None:
    done = compile_(tmp_path, "pipeline.yaml")
    assert done.returncode == 2
    assert "No such file or directory. Expected a Python script with a pipeline or component.\n" in done.stderr


def test_the_flags_of_kfp_dsl_compile_are_those_of_compile(tmp_path: Path) -> None:
    (tmp_path / "script.py").write_text(SCRIPT)
    flags = ["--py", "script.py", "--output", "out.yaml", "--function", "add", "--disable-type-check"]
    done = run(tmp_path, "dsl", "compile", *flags)
    assert (done.returncode, done.stdout) == (0, "out.yaml\n"), done.stderr
    assert components.load_component_from_file(tmp_path / "out.yaml").name == "add"


def test_parameters_replace_defaults(tmp_path: Path) -> None:
    (tmp_path / "script.py").write_text(SCRIPT)
    done = compile_(tmp_path, "--py=script.py", "--output=out.yaml", "--pipeline-parameters", '{"x": 7}')
    assert done.returncode == 0, done.stderr
    assert components.load_component_from_file(tmp_path / "out.yaml").inputs["x"].default == 7  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("parameters", "problem"),
    [
        ("{", "Invalid --pipeline-parameters: expected a JSON object: Expecting property name"),
        ("[1]", "Invalid --pipeline-parameters: expected a JSON object, got '[1]'."),
        ('{"x": "seven"}', "x"),
    ],
)
def test_invalid_parameters_are_refused(parameters: str, problem: str, tmp_path: Path) -> None:
    (tmp_path / "script.py").write_text(SCRIPT)
    done = compile_(tmp_path, "script.py", "--pipeline-parameters", parameters)
    assert done.returncode == 2
    assert problem in done.stderr


def test_caching_can_be_disabled_for_all_tasks(tmp_path: Path) -> None:
    (tmp_path / "script.py").write_text(SCRIPT)
    assert compile_(tmp_path, "script.py", "cached.yaml").returncode == 0
    assert compile_(tmp_path, "script.py", "not.yaml", "--disable-execution-caching-by-default").returncode == 0
    assert "enableCache: true" in (tmp_path / "cached.yaml").read_text()
    assert "enableCache: true" not in (tmp_path / "not.yaml").read_text()


def test_a_kubernetes_manifest_is_written_with_its_options(tmp_path: Path) -> None:
    (tmp_path / "script.py").write_text(SCRIPT)
    names = ["--namespace", "team", "--pipeline-name", "sums", "--pipeline-version-name", "sums-2"]
    flags = ["--kubernetes-manifest-format", "--include-pipeline-manifest", *names]
    done = compile_(tmp_path, "script.py", "out.yaml", *flags)
    assert done.returncode == 0, done.stderr
    pipeline, version = yaml.safe_load_all((tmp_path / "out.yaml").read_text())
    assert (pipeline["kind"], pipeline["metadata"]) == ("Pipeline", {"name": "sums", "namespace": "team"})
    assert (version["kind"], version["metadata"]["name"]) == ("PipelineVersion", "sums-2")


def test_options_of_a_manifest_that_is_not_written_have_a_notice(tmp_path: Path) -> None:
    (tmp_path / "script.py").write_text(SCRIPT)
    done = compile_(tmp_path, "script.py", "--namespace", "team")
    assert done.returncode == 0
    assert "--namespace has no effect without --kubernetes-manifest-format" in done.stderr


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        ([], "expected a script: SCRIPT[:NAME], or --py SCRIPT"),
        (["a.yaml", "b.yaml", "--py", "x.py"], "expected the script and the output once each, got 'b.yaml' as well"),
        (["x.py", "a.yaml", "--output", "b.yaml"], "got 'a.yaml' as well"),
    ],
)
def test_a_script_and_an_output_are_expected_once(arguments: list[str], problem: str, tmp_path: Path) -> None:
    done = compile_(tmp_path, *arguments)
    assert done.returncode == 2
    assert problem in done.stderr


def test_a_compiled_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "x.yaml").write_text("root: {}\n")
    done = compile_(tmp_path, "x.yaml")
    assert done.returncode == 2
    assert done.stderr.startswith("x.yaml is a compiled file already. Expected the Python script")
