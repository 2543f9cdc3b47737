"""Libraries that build on the KFP SDK work with our `kfp`, and what they define compiles to the documents of the SDK.

They are installed with the SDK in an environment of their own, in which ours runs, too.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import standpipe

from .oracle import AS_KFP, differences, documents

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1200)]

PROGRAM = Path(__file__).parent / "libraries" / "compile_modules.py"
LIBRARY = "google_cloud_pipeline_components"
LIST_MODULES = f"""
import pathlib, {LIBRARY}
root = pathlib.Path({LIBRARY}.__file__).parent
for file in sorted(root.rglob("*.py")):
    if "kfp" in file.read_text(encoding="utf-8"):
        print(".".join(("{LIBRARY}", *file.relative_to(root).with_suffix("").parts)).removesuffix(".__init__"))
"""

#: Modules that cannot be imported, with the SDK either: one calls a component without a required input.
BROKEN_MODULES = {f"{LIBRARY}._implementation.model_evaluation.model_inference.component"}

#: Differences that are right, by the end of the name of what is compiled.
ODD = {
    # The SDK numbers the copies of this nested component in another way in each process.
    "rlaif_pipeline": re.compile("preprocess-chat-dataset"),
    # The library renames an output of the component, and not that of the pipeline around it. Ours is renamed, too.
    "DatasetImportDataOp": re.compile(r"root\.dag\.outputs\.artifacts\.(output__)?dataset\n"),
    "dataset_import": re.compile(r"root\.dag\.outputs\.artifacts\.(output__)?dataset\n"),
}


@pytest.fixture(scope="module")
def python() -> str:
    path = os.environ.get("STANDPIPE_LIBRARIES_PYTHON")
    if not path:
        pytest.skip("STANDPIPE_LIBRARIES_PYTHON is not set: `make test-slow` installs the libraries")
    return os.path.abspath(path)


@pytest.fixture(scope="module")
def ours_environment() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(Path(standpipe.__file__).parent.parent)}


# google-cloud-pipeline-components


@pytest.fixture(scope="module")
def modules(python: str) -> list[str]:
    listed = subprocess.run([python, "-c", LIST_MODULES], check=True, capture_output=True, text=True)
    return listed.stdout.split()


@pytest.fixture(scope="module")
def theirs(python: str, modules: list[str], tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("theirs")
    subprocess.run([python, PROGRAM, folder, *modules], check=True, capture_output=True)
    return folder


@pytest.fixture(scope="module")
def ours(
    python: str, ours_environment: dict[str, str], modules: list[str], tmp_path_factory: pytest.TempPathFactory
) -> Path:
    folder = tmp_path_factory.mktemp("ours")
    command: list[str | Path] = [python, "-c", AS_KFP, PROGRAM, "--apart", folder, *modules]
    subprocess.run(command, check=True, capture_output=True, env=ours_environment)
    return folder


def test_every_module_of_gcpc_is_imported(modules: list[str], theirs: Path, ours: Path) -> None:
    assert len(modules) == 183
    for folder in (theirs, ours):
        errors = {module: folder / f"{module}.error" for module in modules}
        broken = {module: file.read_text("utf-8") for module, file in errors.items() if file.exists()}
        assert broken.keys() == BROKEN_MODULES, "\n".join(broken.values())
        assert all("TypeError" in text.splitlines()[0] for text in broken.values()), broken


def test_every_component_of_gcpc_compiles_to_the_same_document(theirs: Path, ours: Path) -> None:
    names = sorted(file.name for file in theirs.glob("*.yaml"))
    found = {name: list(compare(theirs / name, ours / name)) for name in names}
    different = {name: lines for name, lines in found.items() if lines}

    assert len(names) > 300
    assert names == sorted(file.name for file in ours.glob("*.yaml"))
    report = "\n".join(f"  {name}: {lines[0]}" for name, lines in different.items())
    assert not different, f"{len(different)} of {len(names)} differ:\n{report}"


def compare(theirs: Path, ours: Path, odd: re.Pattern[str] | None = None) -> Iterator[str]:
    if not ours.exists():
        error = ours.with_suffix(".error")
        yield error.read_text("utf-8") if error.exists() else "was not compiled"
        return
    name = theirs.stem.rpartition(".")[2]
    odd = odd or next((pattern for end, pattern in ODD.items() if name.endswith(end)), None)
    for line in differences(documents(theirs.read_text("utf-8")), documents(ours.read_text("utf-8"))):
        if odd is None or not odd.search(line):
            yield line


# files: what kubeflow-kale generates, and the samples of kfp-kubernetes


def test_pipelines_that_kale_generates_compile_to_the_same_documents(
    python: str, ours_environment: dict[str, str], tmp_path: Path
) -> None:
    """Its generator runs with both, as it imports `kfp` itself."""
    folders = [tmp_path / "theirs", tmp_path / "ours"]
    for folder, command, environment in zip(folders, ([], ["-c", AS_KFP]), (None, ours_environment), strict=True):
        folder.mkdir()
        program: list[str | Path] = [python, *command, PROGRAM.with_name("generate_with_kale.py"), folder]
        subprocess.run(program, check=True, capture_output=True, env=environment, cwd=folder)
    files, own = (sorted(folder.glob("*.py")) for folder in folders)

    assert len(files) == 3
    assert [file.read_text("utf-8") for file in files] == [file.read_text("utf-8") for file in own]
    assert compare_files(python, ours_environment, files, tmp_path) == 9


READ_DESCRIPTION = "import importlib.metadata as m; print(m.metadata('kfp-kubernetes').get_payload())"


@pytest.mark.parametrize("is_installed", [True, False])
def test_samples_of_kfp_kubernetes_compile_to_the_same_documents(
    python: str, ours_environment: dict[str, str], tmp_path: Path, is_installed: bool
) -> None:
    """Where it is not installed, our own functions take its place, whose components have other descriptions."""
    described = subprocess.run([python, "-c", READ_DESCRIPTION], check=True, capture_output=True, text=True).stdout
    samples = re.findall(r"^```python\n(.*?)^```", described, re.MULTILINE | re.DOTALL)
    files = [tmp_path / f"sample_{number}.py" for number in range(len(samples))]
    for file, sample in zip(files, samples, strict=True):
        file.write_text(sample, encoding="utf-8")

    assert len(files) >= 14
    ours = python if is_installed else sys.executable
    ignored = None if is_installed else re.compile(r"comp-(create|delete)pvc\.inputDefinitions\..*\.description\n")
    assert compare_files(python, ours_environment, files, tmp_path, ours, ignored) > 20


def compare_files(
    python: str,
    ours_environment: dict[str, str],
    files: list[Path],
    folder: Path,
    ours_python: str = "",
    ignored: re.Pattern[str] | None = None,
) -> int:
    """Check that all that the files define compiles to the same documents, and return how many these are.

    A file that the SDK cannot import must fail with an error of the same class. Differences that `ignored` finds are
    right.
    """
    theirs, ours = folder / "compiled_theirs", folder / "compiled_ours"
    commands: tuple[list[str], ...] = ([python], [ours_python or python, "-c", AS_KFP])
    for target, command, environment in zip((theirs, ours), commands, (None, ours_environment), strict=True):
        target.mkdir()
        program: list[str | Path] = [*command, PROGRAM, target, *files]
        subprocess.run(program, check=True, capture_output=True, env=environment, cwd=target)
    assert [file.name for file in sorted(theirs.iterdir())] == [file.name for file in sorted(ours.iterdir())]
    for file in theirs.glob("*.error"):
        name = file.read_text("utf-8").split()[0]
        assert name in (ours / file.name).read_text("utf-8").splitlines()[0].split()
    documents_of = list(theirs.glob("*.yaml"))
    different = {file.name: lines for file in documents_of if (lines := list(compare(file, ours / file.name, ignored)))}
    assert not different, different
    return len(documents_of)
