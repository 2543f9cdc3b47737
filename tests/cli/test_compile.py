"""`standpipe compile`. Each runs in an interpreter of its own, because it installs Standpipe as `kfp`."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

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
    program = [sys.executable, "-m", "standpipe", "compile", *arguments]
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
        "script.py has several pipelines or components to compile. Expected one of script.py:math, script.py:other."
        in done.stderr
    )

    (tmp_path / "script.py").write_text("")
    done = compile_(tmp_path, "script.py:math")
    assert done.returncode == 2
    assert "script.py has no pipeline or component 'math'. Define one at the top level of the script" in done.stderr


def test_a_missing_script_is_an_error_that_says_what_is_expected(tmp_path: Path) -> None:
    done = compile_(tmp_path, "pipeline.yaml")
    assert done.returncode == 2
    assert "No such file or directory. Expected a Python script with a pipeline or component.\n" in done.stderr
