from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"


def run_python(folder: Path, *arguments: str, python: str = sys.executable) -> str:
    done = subprocess.run(
        [python, *arguments], cwd=folder, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_the_demo_trains_evaluates_and_prints_its_paths(tmp_path: Path) -> None:
    output = run_python(tmp_path, str(EXAMPLES / "iris.py"))

    (model,) = (line.split()[-1] for line in output.splitlines() if line.lstrip().startswith("model:"))
    (folder,) = (line.split()[-1] for line in output.splitlines() if line.lstrip().startswith("all outputs:"))
    assert "The better model has 50 tree(s)" in output
    assert "| **virginica** |" in output
    assert Path(model).stat().st_size > 10_000
    assert Path(folder).parent == tmp_path / "local_outputs"
    assert "on 105 flowers" in (Path(folder) / "train" / "log.txt").read_text()


def test_the_example_with_artifacts_runs(tmp_path: Path) -> None:
    run_python(tmp_path, str(EXAMPLES / "artifacts.py"))


def test_the_search_runs_as_a_script_for_kfp_and_is_one(tmp_path: Path, kfp_python: Path) -> None:
    output = run_python(tmp_path, "-m", "standpipe", "run", str(EXAMPLES / "search.py"))
    assert "good: an error of 0.006" in output
    assert "[report] The search has succeeded." in output

    compile_it = """
import runpy, sys
from kfp import compiler
compiler.Compiler().compile(runpy.run_path(sys.argv[1])["search"], sys.argv[2])
"""
    run_python(
        tmp_path, "-W", "ignore", "-c", compile_it, str(EXAMPLES / "search.py"), "theirs.yaml", python=str(kfp_python)
    )
    ours = "import standpipe; standpipe.install_as_kfp()" + compile_it
    run_python(tmp_path, "-W", "ignore", "-c", ours, str(EXAMPLES / "search.py"), "ours.yaml")
    assert (tmp_path / "ours.yaml").read_text() == (tmp_path / "theirs.yaml").read_text()


@pytest.mark.usefixtures("docker_client")
def test_the_example_in_containers_runs(tmp_path: Path) -> None:
    run_python(tmp_path, str(EXAMPLES / "add.py"))


def test_the_example_in_containers_gives_the_same_in_processes(tmp_path: Path) -> None:
    text = (EXAMPLES / "add.py").read_text()
    (tmp_path / "add.py").write_text(text.replace("DockerRunner", "SubprocessRunner"))

    run_python(tmp_path, "add.py")


@pytest.mark.parametrize("example", ["add.py", "artifacts.py"])
def test_the_documentation_s_examples_run_word_for_word_as_kfp(tmp_path: Path, example: str) -> None:
    text = (EXAMPLES / example).read_text().replace("standpipe", "kfp").replace("DockerRunner", "SubprocessRunner")
    (tmp_path / "example.py").write_text(text)

    run_python(
        tmp_path, "-c", "import standpipe; standpipe.install_as_kfp(); import runpy; runpy.run_path('example.py')"
    )


def test_the_demo_s_pipeline_compiles_with_the_kfp_sdk(tmp_path: Path, kfp_python: Path) -> None:
    text = (EXAMPLES / "iris.py").read_text().replace("from standpipe", "from kfp")
    (tmp_path / "iris.py").write_text(text)
    compiles = "import iris; from kfp import compiler; compiler.Compiler().compile(iris.iris_pipeline, 'iris.yaml')"

    run_python(tmp_path, "-W", "ignore", "-c", compiles, python=str(kfp_python))

    assert "exec-evaluate:" in (tmp_path / "iris.yaml").read_text()
