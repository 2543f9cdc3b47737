"""A pipeline root with a run whose task leaves the artifacts that a test chooses."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from standpipe import dsl, local
from standpipe.dsl import Artifact, ClassificationMetrics, Dataset, Input, Metrics, Output
from standpipe.history import runs
from standpipe.local import FakeRunner

#: Writes an artifact's payload at its path, and may set its metadata.
Write = Callable[[Any], object]


@dsl.component
def make_shown_artifacts(
    data: Output[Dataset], scores: Output[ClassificationMetrics], numbers: Output[Metrics], seed: int = 0
) -> None:
    """Run as `write` says."""


@dsl.component
def use_shown_artifact(data: Input[Dataset], copy: Output[Artifact]) -> None:
    """Run as `write` says."""


@dsl.pipeline(name="shown")
def shown_pipeline(seed: int = 0) -> None:
    made = make_shown_artifacts(seed=seed)
    use_shown_artifact(data=made.outputs["data"])


def run_with_artifacts(root: Path, write: Write = lambda data: None, seed: int = 0, **options: Any) -> str:
    """Run a pipeline whose first task's output `data` is what `write` makes of it, and return the id of the run."""

    def make(data: Any, scores: Any, numbers: Any, seed: int) -> None:
        write(data)
        numbers.log_metric("accuracy", 0.975)
        scores.log_confusion_matrix(["cat", "dog"], [[3, 1], [0, 4]])
        scores.log_roc_curve([0.0, 0.5, 1.0], [0.0, 1.0, 1.0], [1.0, 0.5, 0.0])

    def use(data: Any, copy: Any) -> None:
        Path(copy.path).write_text("used")

    runner = FakeRunner(make_shown_artifacts=make, use_shown_artifact=use)
    local.run(shown_pipeline, {"seed": seed}, runner=runner, pipeline_root=root, quiet=True, **options)
    return runs(root)[0].id


def text_writer(text: str) -> Write:
    """Return what writes a text."""
    return lambda data: Path(data.path).write_text(text)


def location(root: Path, run: str, output: str = "data", task: str = "make-shown-artifacts") -> str:
    """Return where the payload of an output is."""
    return str(root / run / task / output)
