"""Metrics of artifacts, as KFP's classes write them: scalars, confusion matrices, ROC curves and slices."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from standpipe.history import Artifact
from standpipe.ui.views.metrics import read_curve, read_matrix, read_metrics
from standpipe.worker import artifacts


def artifact(metadata: dict[str, Any], type: str = "system.ClassificationMetrics") -> Artifact:
    return Artifact("scores", type, "/x", "", None, metadata, "train", (), "/x")


def test_numbers_of_metrics_are_scalars() -> None:
    logged = artifacts.Metrics()
    logged.log_metric("accuracy", 0.97)
    logged.log_metric("epochs", 20)
    logged.log_metric("loss", -1.5)
    metrics = read_metrics(artifact(logged.metadata, "system.Metrics"))

    assert [(each.name, each.value, each.is_fraction) for each in metrics.scalars] == [
        ("accuracy", 0.97, True),
        ("epochs", 20, False),
        ("loss", -1.5, False),
    ]


def test_texts_booleans_and_numbers_too_large_for_a_float_are_not_metrics() -> None:
    assert not read_metrics(artifact({"a": "1", "b": True, "c": 10**400, "d": None, "e": [1]}, "system.Metrics"))


def test_numbers_in_other_artifacts_are_not_metrics() -> None:
    assert not read_metrics(artifact({"rows": 150}, "system.Dataset"))


def test_a_confusion_matrix_has_its_rows_and_scores() -> None:
    logged = artifacts.ClassificationMetrics()
    logged.log_confusion_matrix(["cat", "dog", "owl"], [[8, 2, 0], [1, 9, 0], [0, 0, 0]])
    matrix = read_metrics(artifact(logged.metadata)).matrix

    assert matrix
    assert matrix.categories == ("cat", "dog", "owl")
    assert matrix.rows == ((8, 2, 0), (1, 9, 0), (0, 0, 0))
    assert (matrix.total, matrix.accuracy) == (20, 0.85)
    cat, _, owl = matrix.scores
    assert (cat.precision, cat.recall, cat.support) == (8 / 9, 0.8, 10)
    assert cat.f1 == pytest.approx(2 * (8 / 9) * 0.8 / (8 / 9 + 0.8))
    assert (owl.precision, owl.recall, owl.f1, owl.support) == (None, None, None, 0)


def test_a_confusion_matrix_can_be_written_by_rows_and_cells() -> None:
    logged = artifacts.ClassificationMetrics()
    logged.set_confusion_matrix_categories(["a", "b"])
    logged.log_confusion_matrix_row("a", [1, 2])
    logged.log_confusion_matrix_cell("b", "a", 3)
    matrix = read_metrics(artifact(logged.metadata)).matrix

    assert matrix
    assert matrix.rows == ((1, 2), (3, 0))


def test_a_roc_curve_has_its_points_and_its_area() -> None:
    logged = artifacts.ClassificationMetrics()
    logged.log_roc_curve([0.0, 0.1, 1.0], [0.0, 0.8, 1.0], [1.0, 0.5, 0.0])
    metrics = read_metrics(artifact(logged.metadata))

    assert metrics.curve
    assert metrics.curve.name == "scores"
    assert metrics.curve.points == ((0.0, 0.0, 1.0), (0.1, 0.8, 0.5), (1.0, 1.0, 0.0))
    assert metrics.auc == pytest.approx(0.04 + 0.81)


def test_the_points_of_a_roc_curve_may_come_in_any_order() -> None:
    logged = artifacts.ClassificationMetrics()
    for fpr, tpr, threshold in ((1.0, 1.0, 0.0), (0.0, 0.0, 1.0), (0.5, 0.9, 0.5)):
        logged.log_roc_data_point(fpr, tpr, threshold)
    curve = read_metrics(artifact(logged.metadata)).curve

    assert curve
    assert [point[0] for point in curve.points] == [0.0, 0.5, 1.0]
    assert curve.auc == pytest.approx(0.225 + 0.475)


def test_an_area_that_was_logged_precedes_that_of_the_points() -> None:
    points = [{"falsePositiveRate": 0.5, "recall": 0.5, "confidenceThreshold": 0.5}]

    assert read_metrics(artifact({"aucRoc": 0.91, "confidenceMetrics": points})).auc == 0.91


def test_slices_have_metrics_of_their_own() -> None:
    logged = artifacts.SlicedClassificationMetrics()
    logged.load_roc_readings("north", [[0.9, 0.0, 0.0], [0.1, 1.0, 1.0]])
    logged.load_confusion_matrix("north", ["a", "b"], [[1, 0], [0, 1]])
    logged.log_roc_reading("south", 0.5, 0.7, 0.2)
    metrics = read_metrics(artifact(logged.metadata, "system.SlicedClassificationMetrics"))

    assert [*metrics.slices] == ["north", "south"]
    north, south = metrics.slices.values()
    assert north.matrix
    assert north.matrix.accuracy == 1
    assert north.auc == 0.5
    assert south.curve
    assert south.curve.points == ((0.2, 0.7, 0.5),)
    assert [curve.name for curve in metrics.curves] == ["north", "south"]


def test_the_form_of_the_backend_of_kfp_means_the_same() -> None:
    specs = {"list": [{"struct": {"displayName": "a"}}, {"displayName": "b"}]}
    rows = {"list": [{"row": {"list": [1, 2]}}, {"struct": {"row": [3, 4]}}]}
    matrix = read_matrix({"struct": {"annotationSpecs": specs, "rows": rows}})
    curve = read_curve("x", {"list": [{"struct": {"falsePositiveRate": 0.1, "recall": 0.2}}]})

    assert matrix
    assert (matrix.categories, matrix.rows) == (("a", "b"), ((1, 2), (3, 4)))
    assert curve
    assert curve.points[0][:2] == (0.1, 0.2)


@pytest.mark.parametrize(
    "value",
    [
        *(None, 3, [], {}, {"annotationSpecs": [], "rows": []}, {"annotationSpecs": "ab", "rows": "ab"}),
        {"annotationSpecs": [{}], "rows": [{"row": [1, 2]}]},
        {"annotationSpecs": [{}, {}], "rows": [{"row": [1, 2]}]},
        {"annotationSpecs": [{}], "rows": [{"row": ["1"]}]},
        {"annotationSpecs": [{}], "rows": [None]},
    ],
)
def test_what_is_no_confusion_matrix_is_left_to_the_table_of_metadata(value: Any) -> None:
    assert read_matrix(value) is None


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=3),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                [
                    "list",
                    "struct",
                    "row",
                    "rows",
                    "annotationSpecs",
                    "displayName",
                    "recall",
                    "falsePositiveRate",
                    "slice",
                    "evaluationSlices",
                    "sliceClassificationMetrics",
                    "confusionMatrix",
                    "confidenceMetrics",
                ]
            ),
            inner,
            max_size=3,
        )
    ),
    max_leaves=12,
)


@given(st.dictionaries(st.sampled_from(["confusionMatrix", "confidenceMetrics", "evaluationSlices", "m"]), JSON))
def test_any_metadata_can_be_read(metadata: dict[str, Any]) -> None:
    metrics = read_metrics(artifact(metadata))

    if metrics.matrix:
        assert len(metrics.matrix.scores) == len(metrics.matrix.categories)
