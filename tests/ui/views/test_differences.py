"""What changed between two runs, found in their records and Plans."""

from __future__ import annotations

from pathlib import Path

import pytest

from standpipe import dsl, history, local
from standpipe.dsl import Dataset, Input, Metrics, Output
from standpipe.dsl.base_component import BaseComponent
from standpipe.local import FakeRunner, SubprocessRunner
from standpipe.model.attempts import Outcome
from standpipe.store.reading import read_plan, run_row
from standpipe.ui.views.changes import (
    MAX_CHANGES,
    Change,
    Section,
    compare_texts,
    compare_values,
    make_section,
    merge_equal,
)
from standpipe.ui.views.differences import Differences, RecordedRun, compare_runs


@dsl.component
def differ_make(rows: int, data: Output[Dataset]) -> None:
    with open(data.path, "w") as file:
        file.write("x" * rows)


def define(code: int, *, image: str = "python:3.11", packages: tuple[str, ...] = (), retries: int = 0) -> BaseComponent:
    """Return one version of the pipeline."""
    if code == 1:

        @dsl.component(base_image=image, packages_to_install=list(packages))
        def differ_train(data: Input[Dataset], rate: float, metrics: Output[Metrics]) -> float:
            metrics.log_metric("accuracy", rate)
            return rate

    else:

        @dsl.component(base_image=image, packages_to_install=list(packages))
        def differ_train(data: Input[Dataset], rate: float, metrics: Output[Metrics]) -> float:
            metrics.log_metric("accuracy", 2 * rate)
            return rate

    @dsl.pipeline
    def differ_search(rows: int = 3, rate: float = 0.1) -> None:
        data = differ_make(rows=rows)
        differ_train(data=data.outputs["data"], rate=rate).set_retry(retries)

    return differ_search


def record(root: Path, pipeline: BaseComponent, **arguments: object) -> RecordedRun:
    local.run(
        pipeline,
        arguments,
        runner=SubprocessRunner(use_venv=False),
        pipeline_root=root,
        quiet=True,
    )
    return recorded(root)


def recorded(root: Path, run: str = "latest") -> RecordedRun:
    found = history.get_run(root, run)
    return RecordedRun(found, read_plan(root, run_row(root, found.id).plan))


def section(differences: Differences, name: str) -> Section:
    return next(each for each in differences.sections if each.name == name)


def names(differences: Differences) -> list[str]:
    return [each.name for each in differences.sections]


def test_the_same_run_has_no_differences(tmp_path: Path) -> None:
    pipeline = define(1)
    one = record(tmp_path, pipeline)
    same = compare_runs(one, record(tmp_path, pipeline))
    assert not same.sections
    assert same.divergence is None
    assert same.summary == "The two runs do not differ in anything that is recorded."


def test_a_parameter_is_the_cause_and_outputs_follow(tmp_path: Path) -> None:
    pipeline = define(1)
    differences = compare_runs(record(tmp_path, pipeline), record(tmp_path, pipeline, rate=0.3))
    assert names(differences) == ["parameters", "outputs", "metrics"]
    (rate,) = section(differences, "parameters").changes
    assert (rate.subject, rate.before, rate.after) == ("rate", "0.1", "0.3")
    assert rate.delta == pytest.approx(0.2)
    (metric,) = section(differences, "metrics").changes
    assert (metric.subject, metric.before, metric.after) == ("differ-train: metrics.accuracy", "0.1", "0.3")
    assert metric.delta == pytest.approx(0.2)
    assert differences.divergence is not None
    assert (differences.divergence.task, differences.divergence.reason) == ("differ-train", "its input differs: rate")
    assert [each.name for each in differences.causes] == ["parameters"]


def test_an_artifact_differs_by_its_checksum_and_names_the_first_task(tmp_path: Path) -> None:
    pipeline = define(1)
    differences = compare_runs(record(tmp_path, pipeline), record(tmp_path, pipeline, rows=4))
    (artifact,) = section(differences, "artifacts").changes
    assert artifact.subject == "differ-make: data"
    assert artifact.before is not None
    assert artifact.before.startswith("Dataset, data, 3 bytes, sha256:")
    assert differences.divergence is not None
    assert differences.divergence.task == "differ-make"


def test_code_packages_images_and_settings_of_a_component(tmp_path: Path) -> None:
    pipeline = define(1)
    before = record(tmp_path, pipeline)
    local.run(
        define(2, image="python:3.12", packages=("six",), retries=2),
        runner=FakeRunner(differ_train=lambda: {"Output": 1.0}),
        pipeline_root=tmp_path,
        quiet=True,
    )
    differences = compare_runs(before, recorded(tmp_path))
    (code,) = section(differences, "code").changes
    assert code.subject == "differ-train"
    marked = [line.marked for line in code.lines if line.kind in ("added", "removed")]
    assert marked == [
        '-    metrics.log_metric("accuracy", rate)',
        '+    metrics.log_metric("accuracy", 2 * rate)',
    ]
    (packages,) = section(differences, "packages").changes
    assert [line.marked for line in packages.lines if line.kind == "added"] == ["+six"]
    assert section(differences, "images").changes == (Change("differ-train", "python:3.11", "python:3.12"),)
    definition = {
        change.subject: (change.before, change.after) for change in section(differences, "definition").changes
    }
    assert definition == {"differ-train: retries": (None, "2, after 0 s")}


@dsl.component
def differ_leaf(x: int) -> int:
    return x


@dsl.pipeline
def differ_loop(items: list[int], branch: bool = False) -> None:
    with dsl.ParallelFor(items) as item:
        differ_leaf(x=item)
    with dsl.If(branch == True):  # noqa: E712 - a condition of KFP
        differ_leaf(x=100)


def test_tasks_of_one_run_alone_iterations_and_states(tmp_path: Path) -> None:
    def leaf(x: int) -> object:
        return {"Output": x} if x < 5 else Outcome(exit_code=1)

    for items in ([1, 2], [1, 2, 7]):
        local.run(
            differ_loop,
            {"items": items},
            runner=FakeRunner(differ_leaf=leaf),
            pipeline_root=tmp_path,
            quiet=True,
            raise_on_error=False,
        )
    after, before = (RecordedRun(run, None) for run in history.runs(tmp_path))
    differences = compare_runs(before, after)
    tasks = {change.subject: (change.before, change.after) for change in section(differences, "tasks").changes}
    assert tasks == {"for-loop-1": ("2 iterations", "3 iterations")}
    states = section(differences, "states").changes
    assert states[0] == Change("run", "succeeded", "failed")
    assert len(differences.notes) == 2
    assert "was recorded without its pipeline" in differences.notes[0]


@dsl.pipeline
def differ_other(x: int = 1) -> None:
    differ_leaf(x=x)


def test_runs_of_different_pipelines_are_compared_by_names(tmp_path: Path) -> None:
    runner = FakeRunner(differ_leaf=lambda x: {"Output": x})
    local.run(differ_other, runner=runner, pipeline_root=tmp_path, quiet=True)
    before = recorded(tmp_path)
    local.run(differ_loop, {"items": [1]}, runner=runner, pipeline_root=tmp_path, quiet=True)
    differences = compare_runs(before, recorded(tmp_path))
    assert "different pipelines, differ-other and differ-loop" in differences.notes[0]
    tasks = {change.subject: (change.before, change.after) for change in section(differences, "tasks").changes}
    assert tasks["differ-leaf"] == ("succeeded", None)
    assert tasks["for-loop-1"] == (None, "succeeded")


def test_components_with_the_same_change_are_one_entry() -> None:
    changes = [Change("a", "1", "2"), Change("b", "1", "3"), Change("c", "1", "2")]
    assert merge_equal(changes) == [Change("a, c", "1", "2"), Change("b", "1", "3")]


def test_values_of_one_side_are_marked_as_missing() -> None:
    changes = list(compare_values({"a": 1, "b": True}, {"b": 1, "c": [1, "ü"]}))
    assert changes == [Change("a", "1", None), Change("b", "true", "1"), Change("c", None, '[1, "ü"]')]


def test_values_that_differ_in_what_is_not_shown_say_so() -> None:
    (change,) = compare_values({"a": "x" * 1000 + "1"}, {"a": "x" * 1000 + "2"})
    assert change.note


def test_text_of_several_lines_is_compared_by_line() -> None:
    (change,) = compare_values({"a": "one\ntwo"}, {"a": "one\nthree"})
    assert [line.kind for line in change.lines] == ["hunk", "context", "removed", "added"]


def test_huge_texts_and_many_changes_are_bounded() -> None:
    long = "\n".join(map(str, range(20_000)))
    assert [line.kind for line in compare_texts(long, long + "\nx")] == ["hunk"]
    section = make_section("x", "X", (Change(str(n)) for n in range(MAX_CHANGES + 5)))
    assert (len(section.changes), section.hidden, section.count) == (MAX_CHANGES, 5, MAX_CHANGES + 5)
