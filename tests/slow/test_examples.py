from __future__ import annotations

import gzip
import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from .docker_engine import IMAGE

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


def test_the_sweep_validates_each_setting_and_evaluates_the_best_one(tmp_path: Path) -> None:
    options = ["--runner", "subprocess", "--arg", "depths=[1, 4]", "--arg", "rates=[0.001, 0.3]"]
    output = run_python(tmp_path, "-m", "standpipe", "run", f"{EXAMPLES / 'sweep.py'}:sweep", *options)

    assert "for-loop-1: 4 iterations" in output
    (table,) = (tmp_path / "local_outputs").glob("*/choose/table")
    rows = [line.split("|")[1:4] for line in table.read_text().splitlines()[2:]]
    scores = [float(row[2]) for row in rows]
    assert scores == sorted(scores, reverse=True)
    assert rows[0][1].strip() == "0.3"  # with such a small rate, 40 trees learn little
    assert json.loads(output[output.rindex("{") :])["Output"] > 0.98


def test_the_digits_are_classified_and_the_mistakes_drawn(tmp_path: Path) -> None:
    output = run_python(tmp_path, "-m", "standpipe", "run", str(EXAMPLES / "digits.py"))

    assert "release: succeeded" in output
    assert "The accuracy on the test set is 9" in output
    (page,) = (tmp_path / "local_outputs").glob("*/evaluate/mistakes")
    text = page.read_text()
    wrong, total = text.partition(" are wrong")[0].removeprefix("<h1>").split(" of ")
    assert 0 < int(wrong) == text.count("<figure>") < 0.05 * int(total)


def test_the_notebook_is_executed_with_the_inputs_of_its_task(tmp_path: Path) -> None:
    arguments = ["--arg", f"orders={EXAMPLES / 'orders.csv'}", "--arg", "country=JP"]
    output = run_python(
        tmp_path, "-m", "standpipe", "run", f"{EXAMPLES / 'notebook_report.py'}:notebook_report", *arguments
    )

    orders = [line.split(",") for line in (EXAMPLES / "orders.csv").read_text().splitlines()]
    amounts = [float(amount) for _, _, country, amount in orders[1:] if country == "JP"]
    assert f"[announce] JP: {len(amounts)} orders, {sum(amounts):.2f} in all" in output
    (page,) = (tmp_path / "local_outputs").glob("*/report/page")
    assert page.read_text().startswith("<h1>JP</h1><table")
    assert "data:image/png;base64," in page.read_text()


@pytest.mark.usefixtures("docker_client")
def test_the_words_are_counted_in_containers(tmp_path: Path) -> None:
    # The example names three public images. Here one that is on the machine, and has their programs, stands for them.
    text, count = re.subn(
        r"alpine:3\.22|python:3\.12-slim|busybox:1\.37", IMAGE, (EXAMPLES / "containers.py").read_text()
    )
    assert count == 3
    (tmp_path / "containers.py").write_text(text)
    (tmp_path / "text.txt").write_text("Pipes stand. A standing pipe, PIPES; pipes!\n")
    arguments = ["--runner", "docker", "--arg", "document=text.txt"]
    output = run_python(tmp_path, "-m", "standpipe", "run", "containers.py:word_report", *arguments)

    assert "[count] 4 different words" in output
    assert "[pack] 6 words" in output
    (packed,) = (tmp_path / "local_outputs").glob("*/pack/packed")
    assert gzip.decompress(packed.read_bytes()).decode().startswith('<p>pipes <meter value="3" max="3"></meter> 3</p>')


@pytest.mark.parametrize("example", ["sweep", "quality_gate", "digits", "containers", "notebook_report"])
def test_the_examples_compile_with_the_kfp_sdk_to_the_same(tmp_path: Path, kfp_python: Path, example: str) -> None:
    text = (EXAMPLES / f"{example}.py").read_text().replace("from standpipe", "from kfp")
    (tmp_path / f"{example}.py").write_text(text)
    for notebook in EXAMPLES.glob("*.ipynb"):
        (tmp_path / notebook.name).write_bytes(notebook.read_bytes())
    name = {"containers": "word_report"}.get(example, example)
    compile_it = f"import {example} as e; from kfp import compiler; compiler.Compiler().compile(e.{name}, '{{}}.yaml')"

    run_python(tmp_path, "-W", "ignore", "-c", compile_it.format("theirs"), python=str(kfp_python))
    ours = "import standpipe; standpipe.install_as_kfp(); "
    run_python(tmp_path, "-W", "ignore", "-c", ours + compile_it.format("ours"))
    if example != "notebook_report":  # the code that executes notebooks is Standpipe's own
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
