"""`from kfp import …` without the KFP SDK and without `install_as_kfp`. Each runs in an interpreter of its own."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

SOURCES = Path(__file__).parents[2] / "src"
MODULES = sorted(path.stem for path in (SOURCES / "kfp").glob("*.py"))


def python(*arguments: str | Path, search_path: str | Path = "") -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": str(search_path)}
    return subprocess.run(
        [sys.executable, *arguments], capture_output=True, text=True, check=False, env=environment, timeout=60
    )


@pytest.mark.parametrize(
    "imports",
    [
        "from kfp import dsl, local",
        "from kfp import Client, compiler",
        "import kfp.dsl as dsl",
        "from kfp.v2.dsl import component",
        "from kfp.client import Client",
        "from kfp.registry import RegistryClient",
    ],
)
def test_a_script_says_what_to_type(imports: str, tmp_path: Path) -> None:
    script = tmp_path / "my script.py"
    script.write_text(f"import kfp\n{imports}\n")

    done = python(script, "--epochs", "3")

    assert done.returncode == 1
    assert "which is not installed in this environment. Standpipe is installed" in done.stderr
    assert f"\n    standpipe run '{script}' --epochs 3\n" in done.stderr
    assert "    standpipe.install_as_kfp()\n" in done.stderr
    assert "`pip install kfp`" in done.stderr


def test_outside_of_a_script_the_command_has_a_placeholder() -> None:
    done = python("-c", "from kfp import dsl")
    assert "\n    standpipe run SCRIPT.py\n" in done.stderr


def test_it_is_an_import_error_that_names_kfp() -> None:
    program = "try: from kfp import dsl\nexcept ModuleNotFoundError as error: print(error.name)"
    assert python("-c", program).stdout == "kfp\n"


def test_other_modules_of_the_namespace_package_can_be_imported() -> None:
    assert python("-c", "from kfp.pipeline_spec import pipeline_spec_pb2").stderr == ""


def make_sdk(folder: Path, *, without: str = "") -> None:
    package = folder / "kfp"
    package.mkdir(parents=True, exist_ok=True)
    (package / "__init__.py").write_text("__path__ = __import__('pkgutil').extend_path(__path__, __name__)\n")
    for name in MODULES:
        if name != without:
            (package / name).mkdir()
            (package / name / "__init__.py").write_text("IS_SDK = True\n")


IMPORT_ALL = f"""
import sys, kfp.pipeline_spec.pipeline_spec_pb2
sys.path.extend(sys.argv[1:])
for name in {MODULES}:
    assert __import__(f"kfp.{{name}}", fromlist=["IS_SDK"]).IS_SDK, name
print("all of the SDK")
"""


def test_the_sdk_in_the_same_folder_comes_first(tmp_path: Path) -> None:
    shutil.copytree(SOURCES / "kfp", tmp_path / "kfp")
    make_sdk(tmp_path)
    assert python("-c", IMPORT_ALL, search_path=tmp_path).stdout == "all of the SDK\n"


def test_the_sdk_in_an_earlier_folder_comes_first(tmp_path: Path) -> None:
    make_sdk(tmp_path)
    assert python("-c", IMPORT_ALL, search_path=tmp_path).stdout == "all of the SDK\n"


def test_the_sdk_in_a_later_folder_comes_first(tmp_path: Path) -> None:
    make_sdk(tmp_path)
    program = f"import sys\nsys.path.append({str(tmp_path)!r})\n{IMPORT_ALL}"
    assert python("-c", program).stdout == "all of the SDK\n"


def test_an_sdk_without_a_module_keeps_the_error_of_python(tmp_path: Path) -> None:
    """`kfp.local` is part of the SDK since 2.5."""
    make_sdk(tmp_path, without="local")
    assert (
        "ImportError: cannot import name 'local'" in python("-c", "from kfp import local", search_path=tmp_path).stderr
    )
    assert "No module named 'kfp.local'" in python("-c", "import kfp.local", search_path=tmp_path).stderr
