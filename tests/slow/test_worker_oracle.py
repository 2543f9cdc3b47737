"""Artifact classes and executor, compared with those of the KFP SDK."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.worker.tasks import Tasks, runtime_artifact

pytestmark = pytest.mark.slow

#: Prints the result of each of many calls, or the name of the exception.
SURVEY = """
import sys
from typing import *
if sys.argv[1] == "ours":
    from standpipe.worker.annotations import InputPath, OutputPath
    from standpipe.worker.artifacts import *
else:
    from kfp.dsl import *
    from kfp.dsl.types.artifact_types import convert_local_path_to_remote_path

def show(call):
    try:
        print(repr(call()).replace("standpipe.worker.artifacts", "kfp.dsl.types.artifact_types"))
    except Exception as error:
        print(type(error).__name__)

def placed(cls, uri, metadata, custom):
    artifact = cls(uri=uri, metadata=dict(metadata))
    if custom:
        artifact.custom_path = custom
    return artifact.path, artifact.custom_path, artifact.uri, artifact.name, artifact.metadata

def moved(cls, path):
    artifact = cls()
    artifact.path = path
    return artifact.uri

def measured(*calls):
    metrics = ClassificationMetrics()
    for name, *arguments in calls:
        getattr(metrics, name)(*arguments)
    return metrics.metadata

URIS = ("gs://b/x", "s3://b", "minio://c/d", "oci://r/i:t", "/a/b", "", "oci://r/a_b", "gs://", "https://x")
PATHS = ("/gcs/a", "/s3/", "/minio/x/y", "/oci/a_b_models", "/oci/r_i/models", "/oci/models", "/x/gcs/")
for cls in (Artifact, Model, Dataset, HTML):
    for uri in URIS:
        for metadata in ({}, {"_kfp_workspace": True}, {"_kfp_workspace": "True"}):
            for custom in ("", "/c"):
                show(lambda: placed(cls, uri, metadata, custom))
    for path in PATHS + URIS:
        show(lambda: moved(cls, path))
for path in PATHS:
    show(lambda: convert_local_path_to_remote_path(path))

start = ("set_confusion_matrix_categories", ["x", "y"])
show(lambda: measured(("log_confusion_matrix", ["a", "b"], [[1, 2], [3, 4]])))
show(lambda: measured(("log_confusion_matrix", ["a"], [[1, 2]])))
show(lambda: measured(("log_confusion_matrix", [], [])))
show(lambda: measured(("log_roc_curve", [1], [2], [3])))
show(lambda: measured(("log_roc_curve", [1], [2, 3], [3])))
show(lambda: measured(start, ("log_confusion_matrix_cell", "x", "y", 3), ("log_confusion_matrix_row", "y", [1, 2])))
show(lambda: measured(start, ("log_confusion_matrix_row", "y", [1])))
show(lambda: measured(start, ("log_confusion_matrix_row", "z", [1, 2])))

TYPES = (None, str, int, bool, float, object, 5, List[int], Dict[str, int], Dataset, Model, "String", "string", "Text",
         "Dataset", "model", "HTML", "MyType", "system.Model", "list", "JsonObject", "typing.List[int]", "List[int]")
for kind in (InputPath, OutputPath):
    for type_ in TYPES:
        show(lambda: kind(type_).type)
"""


def test_artifact_classes_behave_as_the_sdks(kfp_python: Path, tmp_path: Path) -> None:
    script = tmp_path / "survey.py"
    script.write_text(SURVEY)
    ours, theirs = (
        subprocess.run([python, "-W", "ignore", script, name], capture_output=True, text=True, check=True, cwd=tmp_path)
        for python, name in ((sys.executable, "ours"), (kfp_python, "theirs"))
    )

    assert ours.stdout.splitlines() == theirs.stdout.splitlines()
    assert len(ours.stdout.splitlines()) > 300


FUNCTIONS = [
    "def f(i: int, s: str = 'x', l: List[int] = [1], o: Optional[str] = None) -> str: return repr([i, s, l, o])",
    "def f(i: int) -> NamedTuple('O', a=int, b=str): return (i, 'x')",
    "def f(i: int) -> float: return i / 1",
    "def f(i: int) -> dict: return {'a': [i, None, 1.5, 'é']}",
    "def f(i: int, a: Input[Artifact]) -> str: return repr([type(a).__name__, a.name, a.uri, a.path, a.metadata])",
    "def f(i: int, a: Dataset, m: Output[Metrics]): m.log_metric('x', 0.5)",
    "def f(i: int, z: Input[List[Dataset]]) -> str: return repr([type(z[1]).__name__, len(z)])",
    "def f(i: int, p: InputPath('Dataset'), q: OutputPath('Model'), r: OutputPath(int)): open(q, 'w').write(p)",
    "def f(i: int) -> Dataset: return Dataset(uri=dsl.get_uri('mine'), metadata={'a': 1})",
    "def f(i: int) -> Dataset: return 'payload'",
    "def f(i: int): return None",
    "def f(i: int): return 'nobody waits for it'",
    "def f(i: int) -> int: return 'x'",
    "def f(i: int) -> NamedTuple('O', a=int, b=str): return (i,)",
    "def f(i: int, c: dsl.TaskConfig) -> str: return repr(c)",
]


@pytest.mark.parametrize("source", FUNCTIONS)
def test_functions_write_the_same_files_as_with_the_sdk(kfp_python: Path, tmp_path: Path, source: str) -> None:
    data = [runtime_artifact("/1", "system.Dataset"), runtime_artifact("gs://b/2", "system.Dataset")]
    places = {"m": "system.Metrics", "q": "system.Model"}
    outputs = {name: title for name, title in places.items() if f" {name}: " in source}
    if "-> Dataset" in source:
        outputs["Output"] = "system.Dataset"
    left = []
    for python in (Path(sys.executable), kfp_python):
        result = Tasks(python, tmp_path / "task").run(
            source,
            parameters={"i": 3},
            artifacts={name: data for name in ("a", "z", "p") if f" {name}: " in source},
            output_artifacts=outputs,
            output_parameters=("r",) if " r: " in source else (),
        )
        payloads = {path.name: path.read_text() for path in result.folder.iterdir() if path.name in outputs}
        left.append((result.code, result.output if result.code == 0 else None, payloads))
        for path in result.folder.iterdir():
            if path.is_file():
                path.unlink()

    assert left[0] == left[1]
