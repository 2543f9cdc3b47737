"""What `standpipe check` finds in the pipelines of the corpus, and in those of a library: each kind of finding argued.

A pipeline of the corpus need not run on a cluster: it is there to be compiled. So the question for each finding is
whether a cluster does what the rule says. The reasons are beside the counts, which change with the corpus: a count that
grows by itself is a false alarm until its findings have been read.

The pipelines that the tests of kubeflow/pipelines run on a cluster (66 files in `valid/critical`, `essential`,
`parallel_and_nested`, `integration` and `gpu-scheduling` of `test_data/sdk_compiled_pipelines`, at the commit of
`model.cluster_differences`) were read in the same way: no errors, and 35 warnings of SP010, SP011, SP037, SP039, SP042
and SP116, all of them as meant.
"""

from __future__ import annotations

import os
import subprocess
import time
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

import pytest

from standpipe import components
from standpipe.check.checker import Checker, LocatedFinding
from standpipe.check.compiled_lines import CompiledLines
from standpipe.check.selection import Selection

from .oracle import OURS, compile_corpus

pytestmark = pytest.mark.slow

EXPECTED = {
    # A class of artifacts that is imported under a name of the file's module, and a NamedTuple class that annotates
    # what is returned: both annotations are evaluated where the component runs, and neither name is shipped.
    "SP001": 2,
    "SP010": 22,  # packages without any version
    "SP011": 41,  # `alpine` without a tag
    # The corpus leaves KFP out of its components (`entries.SMALL`), which makes documents short, and python:3.11 has
    # none: none of them can start.
    "SP016": 700,
    "SP032": 3,  # NVIDIA_TESLA_K80 and TPU_V3, names of Vertex AI
    "SP035": 6,  # workspaces with a size only
    "SP042": 69,  # pipelines and components with inputs of all types, most of which their bodies ignore
    "SP043": 105,  # components whose body is `pass`
    "SP045": 5,  # importers of an output, and of a field of an item
    "SP050": 4,  # `.ignore_upstream_failure()` without an upstream task
    "SP051": 1,  # the same after a loop
    "SP052": 5,  # loops with the whole list inside, two of them nested over the same list
    "SP053": 4,  # loops over a field of an item
    "SP054": 2,  # retries of an importer and of a pipeline
    "SP102": 1,
    "SP105": 1,
    "SP106": 10,
    "SP109": 2,  # texts around a dict
    "SP110": 1,
    "SP111": 4,
    "SP113": 11,
    "SP114": 9,
    "SP115": 2,  # `dsl.Collected` of tasks in a condition
    "SP116": 21,
    "SP118": 5,
    "SP121": 4,
    "SP122": 6,
    "SP124": 4,
    "SP126": 6,
}

EXPECTED_IN_LIBRARY = {
    # `_set_optional_inputs` of the forecasting pipelines reads `_DEFAULT_MODEL_DISPLAY_NAME`, which the program in the
    # compiled file does not define: a NameError if that line is reached.
    "SP001": 4,
    "SP042": 1,  # `generate_explanation`, which no task takes
    # These pipelines are for Vertex AI, which replaces placeholders within texts. The backend does not.
    "SP105": 19,
    "SP106": 72,
    "SP118": 15,
    "SP122": 8,
    "SP124": 4,
}


def check(files: Iterable[Path]) -> tuple[Counter[str], dict[str, float]]:
    """Return how many findings each rule has, and the seconds that each file takes."""
    counts: Counter[str] = Counter()
    seconds = {}
    for file in files:
        plan = components.load_component_from_file(file).compiled_plan
        start = time.perf_counter()
        findings: list[LocatedFinding] = Checker(Selection()).check(plan, str(file), CompiledLines(str(file)).find)
        seconds[file.name] = time.perf_counter() - start
        counts.update(each.rule.id for each in findings)
    return counts, seconds


def report(seconds: dict[str, float]) -> None:
    slowest = max(seconds, key=lambda name: seconds[name])
    mean = sum(seconds.values()) / len(seconds)
    print(f"{len(seconds)} pipelines, {mean * 1000:.1f} ms each, at most {seconds[slowest] * 1000:.0f} ms: {slowest}")


def test_the_findings_of_the_corpus_are_known(tmp_path: Path) -> None:
    folder = compile_corpus(OURS, tmp_path)
    files = sorted(file for file in folder.iterdir() if file.suffix in (".yaml", ".json"))

    counts, seconds = check(files)

    report(seconds)
    assert len(files) > 400
    assert dict(sorted(counts.items())) == EXPECTED


def test_the_findings_of_a_library_are_known() -> None:
    python = os.environ.get("STANDPIPE_LIBRARIES_PYTHON")
    if not python:
        pytest.skip("STANDPIPE_LIBRARIES_PYTHON is not set: `make test-slow` installs the libraries")
    program = "import google_cloud_pipeline_components as library; print(*library.__path__)"
    folder = subprocess.run([python, "-c", program], check=True, capture_output=True, text=True).stdout.strip()

    counts, seconds = check(sorted(Path(folder).rglob("*.yaml")))

    report(seconds)
    assert dict(sorted(counts.items())) == EXPECTED_IN_LIBRARY
