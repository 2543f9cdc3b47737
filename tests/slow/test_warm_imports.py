"""Loops of tasks with real libraries: what their log and their results are, and which of them are warm."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from standpipe import dsl, history, local

pytestmark = pytest.mark.slow

PACKAGES = ["pandas==2.3.3", "scikit-learn==1.7.2", "numpy==2.2.6"]


@dsl.component(packages_to_install=PACKAGES)
def fit(seed: int) -> float:
    import pandas
    from sklearn.datasets import load_iris
    from sklearn.linear_model import LogisticRegression

    features, classes = load_iris(return_X_y=True)
    frame = pandas.DataFrame(features).sample(100, random_state=seed)
    model = LogisticRegression(max_iter=500).fit(frame, classes[frame.index])
    return float(model.score(features, classes))


@dsl.pipeline
def fits() -> None:
    with dsl.ParallelFor(list(range(4)), parallelism=1) as seed:
        fit(seed=seed).set_caching_options(False)


@pytest.fixture
def root(tmp_path: Path) -> Iterator[Path]:
    yield tmp_path
    local.init(runner=local.SubprocessRunner(warm_imports=False))


@pytest.mark.parametrize("warm", [True, False])
def test_a_loop_is_warm_from_its_second_task_on(root: Path, monkeypatch: pytest.MonkeyPatch, warm: bool) -> None:
    monkeypatch.setenv("STANDPIPE_CACHE", str(root / "cache"))
    local.init(runner=local.SubprocessRunner(warm_imports=warm), pipeline_root=str(root / "runs"))
    fits()

    (run,) = history.runs(root / "runs")
    attempts = [attempt for task in run.all_tasks() for attempt in task.attempts]
    assert len(attempts) == 4
    assert [attempt.warm_imports for attempt in attempts] == [False, warm, warm, warm]
    assert {attempt.log.read_text() for attempt in attempts} == {""}
