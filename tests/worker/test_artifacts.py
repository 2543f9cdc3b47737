"""The artifact classes, by the rules of `kfp/dsl/types/artifact_types.py`."""

from __future__ import annotations

import math
from typing import Any, cast

import pytest

from standpipe.worker import artifacts
from standpipe.worker.artifacts import (
    BY_TITLE,
    HTML,
    Artifact,
    ClassificationMetrics,
    Dataset,
    Markdown,
    Metrics,
    Model,
    SlicedClassificationMetrics,
    create,
    get_uri,
)


@pytest.mark.parametrize(
    ("uri", "path"),
    [
        ("gs://bucket/a/b", "/gcs/bucket/a/b"),
        ("s3://bucket/a", "/s3/bucket/a"),
        ("minio://bucket/a", "/minio/bucket/a"),
        ("oci://registry/image:tag", "/oci/registry_image:tag"),
        ("/local/a", "/local/a"),
        ("https://example.org/a", "https://example.org/a"),
    ],
)
def test_the_path_is_where_the_uri_is_mounted(uri: str, path: str) -> None:
    assert Artifact(uri=uri).path == path


@pytest.mark.parametrize(
    ("path", "uri"),
    [
        ("/gcs/bucket/a", "gs://bucket/a"),
        ("/s3/bucket/a", "s3://bucket/a"),
        ("/minio/bucket/a", "minio://bucket/a"),
        ("/oci/registry_image/models", "oci://registry/image"),
        ("/local/a", "/local/a"),
    ],
)
@pytest.mark.parametrize("artifact", [Artifact(), Model()])
def test_setting_the_path_sets_the_uri(artifact: Artifact, path: str, uri: str) -> None:
    artifact.path = path

    assert artifact.uri == uri


def test_a_model_in_an_image_is_below_its_models_folder() -> None:
    assert Model(uri="oci://registry/image").path == "/oci/registry_image/models"
    assert Model(uri="gs://bucket/model").path == "/gcs/bucket/model"


def test_a_payload_in_the_workspace_is_read_there() -> None:
    artifact = Dataset(uri="s3://bucket/data", metadata={"_kfp_workspace": True})

    assert artifact.path == "/kfp-workspace/.artifacts/s3/bucket/data"


def test_a_custom_path_wins_over_the_uri() -> None:
    artifact = Artifact(uri="gs://bucket/a")
    artifact.set_path("/elsewhere")

    assert (artifact.path, artifact.custom_path, artifact.uri) == ("/elsewhere", "/elsewhere", "gs://bucket/a")


def test_arguments_may_be_left_out() -> None:
    artifact = Artifact()

    assert (artifact.name, artifact.uri, artifact.metadata, artifact.custom_path) == ("", "", {}, "")


def test_titles_are_kfps() -> None:
    assert {known.schema_title: known.schema_version for known in (Artifact, HTML, Markdown)} == {
        "system.Artifact": "0.0.1",
        "system.HTML": "0.0.1",
        "system.Markdown": "0.0.1",
    }
    assert BY_TITLE["system.ClassificationMetrics"] is ClassificationMetrics
    assert len(BY_TITLE) == 8


def test_a_models_framework_is_in_its_metadata() -> None:
    model = Model()
    assert model.framework == ""

    model.framework = "sklearn"

    assert model.metadata == {"framework": "sklearn"}


def test_metrics_are_metadata() -> None:
    metrics = Metrics()
    metrics.log_metric("accuracy", 0.9)

    assert metrics.metadata == {"accuracy": 0.9}


def test_a_roc_curve() -> None:
    metrics = ClassificationMetrics()
    metrics.log_roc_data_point(fpr=0.0, tpr=0.1, threshold=1.0)
    metrics.log_roc_curve([0.5], [0.6], [0.7])

    assert metrics.metadata == {
        "confidenceMetrics": [
            {"confidenceThreshold": 1.0, "recall": 0.1, "falsePositiveRate": 0.0},
            {"confidenceThreshold": 0.7, "recall": 0.6, "falsePositiveRate": 0.5},
        ]
    }


def test_a_roc_curve_with_unequal_lengths_is_refused() -> None:
    with pytest.raises(ValueError, match="Got lengths 2, 1 and 1 respectively"):
        ClassificationMetrics().log_roc_curve([0.1, 0.2], [0.1], [0.1])


def test_a_confusion_matrix() -> None:
    metrics = ClassificationMetrics()
    metrics.set_confusion_matrix_categories(["cat", "dog"])
    metrics.log_confusion_matrix_row("cat", [5, 1])
    metrics.log_confusion_matrix_cell("dog", "cat", 2)

    assert metrics.metadata == {
        "confusionMatrix": {
            "annotationSpecs": [{"displayName": "cat"}, {"displayName": "dog"}],
            "rows": [{"row": [5, 1]}, {"row": [2, 0]}],
        }
    }


def test_a_whole_confusion_matrix() -> None:
    metrics = ClassificationMetrics()
    metrics.log_confusion_matrix(["a", "b"], [[1, 2], [3, 4]])

    assert metrics.metadata["confusionMatrix"]["rows"] == [{"row": [1, 2]}, {"row": [3, 4]}]


def test_a_confusion_matrix_is_read_from_the_metadata_of_an_earlier_task() -> None:
    earlier = ClassificationMetrics()
    earlier.set_confusion_matrix_categories(["a"])

    later = ClassificationMetrics(metadata=earlier.metadata)
    later.log_confusion_matrix_row("a", [7])

    assert later.metadata["confusionMatrix"]["rows"] == [{"row": [7]}]


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda m: m.log_confusion_matrix_row("x", [1, 2]), "Invalid category: x"),
        (lambda m: m.log_confusion_matrix_row("a", [1]), "Expected size: 2 got: 1"),
        (lambda m: m.log_confusion_matrix_cell("x", "a", 1), "Invalid category: x"),
        (lambda m: m.log_confusion_matrix_cell("a", "y", 1), "Invalid category: y"),
        (lambda m: m.log_confusion_matrix(["a", "b"], [[1, 2]]), "Invalid matrix"),
        (lambda m: m.log_confusion_matrix(["a", "b"], [[1, 2], [3]]), "Invalid matrix"),
        (lambda m: ClassificationMetrics().log_confusion_matrix_row("a", [1]), "Expected one of: \\[\\]"),
    ],
)
def test_what_is_no_part_of_a_confusion_matrix_is_refused(call: object, message: str) -> None:
    metrics = ClassificationMetrics()
    metrics.set_confusion_matrix_categories(["a", "b"])

    with pytest.raises(ValueError, match=message):
        call(metrics)  # type: ignore[operator]


def test_sliced_metrics_keep_a_curve_and_a_matrix_for_each_slice() -> None:
    metrics = SlicedClassificationMetrics(metadata={"model": "m1"})
    metrics.log_roc_reading("young", threshold=0.5, tpr=0.9, fpr=0.1)
    metrics.load_roc_readings("old", [[0.4, 0.8, 0.2], [0.6, 0.7, 0.1]])
    metrics.load_confusion_matrix("young", ["a", "b"], [[1, 2], [3, 4]])
    metrics.set_confusion_matrix_categories("old", ["a"])
    metrics.log_confusion_matrix_row("old", "a", [3])
    metrics.log_confusion_matrix_cell("old", "a", "a", 4)

    def point(threshold: float, tpr: float, fpr: float) -> dict[str, float]:
        return {"confidenceThreshold": threshold, "recall": tpr, "falsePositiveRate": fpr}

    specs = [{"displayName": "a"}, {"displayName": "b"}]
    assert metrics.metadata == {
        "model": "m1",
        "evaluationSlices": [
            {
                "slice": "young",
                "sliceClassificationMetrics": {
                    "confidenceMetrics": [point(0.5, 0.9, 0.1)],
                    "confusionMatrix": {"annotationSpecs": specs, "rows": [{"row": [1, 2]}, {"row": [3, 4]}]},
                },
            },
            {
                "slice": "old",
                "sliceClassificationMetrics": {
                    "confidenceMetrics": [point(0.4, 0.8, 0.2), point(0.6, 0.7, 0.1)],
                    "confusionMatrix": {"annotationSpecs": specs[:1], "rows": [{"row": [4]}]},
                },
            },
        ],
    }


def test_sliced_metrics_refuse_what_the_metrics_of_a_slice_refuse() -> None:
    with pytest.raises(ValueError, match="Invalid category"):
        SlicedClassificationMetrics().log_confusion_matrix_row("young", "a", [1])


class Rated(Dataset):
    schema_title = "system.Dataset"


class Table(Artifact):
    schema_title = "system.Table"


class Googles(Artifact):
    schema_title = "google.Thing"

    @classmethod
    def _from_executor_fields(cls, name: str, uri: str, metadata: dict[str, object]) -> Googles:
        return cls(name=f"made {name}", uri=uri, metadata=metadata)


@pytest.mark.parametrize(
    ("annotated", "title", "expected"),
    [
        (Artifact, "system.Model", Model),  # the more precise of the two, as the SDK does
        (Dataset, "system.Dataset", Dataset),
        (Rated, "system.Dataset", Rated),  # the user's class refines KFP's
        (Table, "system.Table", Table),
        (None, "system.Dataset", Dataset),
        (None, "system.Unheard", Artifact),
        (Googles, "google.Thing", Googles),
    ],
)
def test_the_class_of_an_artifact(annotated: type[Artifact] | None, title: str, expected: type[Artifact]) -> None:
    assert type(create(annotated, {"type": {"schemaTitle": title}})) is expected


def test_an_artifact_from_an_executor_input() -> None:
    metadata = {"rows": 3}
    artifact = create(None, {"name": "n", "uri": "gs://b/a", "metadata": metadata, "customPath": "/data"})
    artifact.metadata["columns"] = 2

    assert (artifact.name, artifact.uri, artifact.path) == ("n", "gs://b/a", "/data")
    assert metadata == {"rows": 3}


def test_a_class_may_take_part_in_its_creation() -> None:
    assert create(Googles, {"name": "n", "type": {"schemaTitle": "google.Thing"}}).name == "made n"


def test_a_uri_needs_a_task() -> None:
    with pytest.raises(RuntimeError, match="only be called at task runtime"):
        get_uri()


def test_a_uri_is_in_the_tasks_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(artifacts, "CONTAINER_TASK_ROOT", "/gcs/bucket/task")

    assert get_uri() == "gs://bucket/task/Output"
    assert get_uri("model") == "gs://bucket/task/model"


class Scalar:
    """A number as NumPy has it."""

    shape = ()

    def item(self) -> float:
        return 0.5


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda m: m.log_roc_data_point(math.nan, 0.5, 0.5), ValueError, "fpr of a point of the ROC curve is nan"),
        (
            lambda m: m.log_roc_data_point(0.5, 0.5, math.inf),
            ValueError,
            "threshold of a point of the ROC curve is inf",
        ),
        (lambda m: m.log_roc_curve([0.0, 1.0], [0.0, 1.0], [math.inf, 0.5]), ValueError, "fpr\\[1:], tpr\\[1:]"),
        (
            lambda m: m.log_roc_curve([0.0, 1.0], [0.0, math.nan], [1, 0.5]),
            ValueError,
            "tpr of the ROC curve, at \\[1], is nan",
        ),
        (
            lambda m: m.log_confusion_matrix(["a"], [[math.nan]]),
            ValueError,
            "row 'a' of the confusion matrix, at \\[0]",
        ),
        (lambda m: m.log_confusion_matrix_cell("a", "b", Scalar()), TypeError, "convert it with .item()"),
        (lambda m: m.log_confusion_matrix_row("a", [Scalar(), 1]), TypeError, "matrix, at \\[0], is a value of type"),
        (lambda m: Metrics().log_metric("loss", math.inf), ValueError, "the metric 'loss' is inf"),
        (lambda m: Metrics().log_metric("loss", cast("Any", Scalar())), TypeError, "convert it with .item()"),
        (
            lambda m: SlicedClassificationMetrics().log_roc_reading("s", math.inf, 0, 0),
            ValueError,
            "threshold .* is inf",
        ),
    ],
)
def test_what_json_cannot_hold_is_refused_by_the_call(call: object, error: type[Exception], message: str) -> None:
    metrics = ClassificationMetrics()
    metrics.set_confusion_matrix_categories(["a", "b"])

    with pytest.raises(error, match=message):
        call(metrics)  # type: ignore[operator]
    assert metrics.metadata.keys() == {"confusionMatrix"}
