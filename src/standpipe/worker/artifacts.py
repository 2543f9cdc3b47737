"""KFP's artifact classes, for authors and for tasks.

An artifact has a URI, which locates its payload, and metadata. A component reads or writes the payload at `path`, which
is where the URI is mounted (rules: `kfp/dsl/types/artifact_types.py`).
"""

from __future__ import annotations

import json
import math
import os
from typing import Any, Dict, List, Mapping, Optional, Sequence, Type

from .constants import WORKSPACE_MOUNT_PATH
from .json_values import check_json

#: The mount points of remote storage, by scheme.
_MOUNTS = {"gs://": "/gcs/", "minio://": "/minio/", "s3://": "/s3/", "oci://": "/oci/"}

#: The folder of a model's files in an OCI image, as in KServe's modelcars.
_OCI_MODELS = "/models"

#: The metadata in which a task requests that a model is registered (KEP-12020).
REGISTRATION_KEY = "_kfp_model_registry_request"

#: The task's folder of outputs; set only in a running task.
CONTAINER_TASK_ROOT: Optional[str] = None


class Artifact:
    """A machine learning artifact of any kind.

    Args:
        name: the artifact's name.
        uri: the location of its payload: a path or the URI of an object.
        metadata: properties by key; the values are JSON.
    """

    schema_title = "system.Artifact"
    schema_version = "0.0.1"

    def __init__(
        self, name: Optional[str] = None, uri: Optional[str] = None, metadata: Optional[Dict[str, Any]] = None
    ) -> None:
        self.name = name or ""
        self.uri = uri or ""
        self.metadata: Dict[str, Any] = metadata or {}
        self.custom_path = ""

    @property
    def path(self) -> str:
        """The path of the payload in the file system; setting it sets the URI."""
        local = self.custom_path or local_path(self.uri)
        if self.metadata.get("_kfp_workspace") is True:  # set by the backend if the payload is in the workspace
            return os.path.join(WORKSPACE_MOUNT_PATH, ".artifacts", local.lstrip("/"))
        return local

    @path.setter
    def path(self, path: str) -> None:
        self.uri = convert_local_path_to_remote_path(path)

    def set_path(self, path: str) -> None:
        """Set the path of the payload, independently of the URI."""
        self.custom_path = path

    def __repr__(self) -> str:
        return f"{type(self).__name__}(name={self.name!r}, uri={self.uri!r}, metadata={self.metadata!r})"


class Model(Artifact):
    """A trained model."""

    schema_title = "system.Model"

    @property
    def framework(self) -> str:
        """The framework of the model; empty if it is unknown."""
        return str(self.metadata.get("framework", ""))

    @framework.setter
    def framework(self, framework: str) -> None:
        self.metadata["framework"] = framework

    def register(
        self,
        model_name: str,
        description: str = "",
        model_format_name: Optional[str] = None,
        model_format_version: Optional[str] = None,
        owner: str = "Kubeflow Pipelines",
        author: str = "Kubeflow Pipelines",
        continue_on_error: bool = True,
    ) -> None:
        """Request that the model is registered in a model registry when the task has succeeded.

        The version is the artifact's `name`. This is the interface that KFP has proposed (KEP-12020); the KFP SDK 2.17
        does not have it.

        Args:
            model_name: the name of the model in the registry.
            description: a description for people.
            model_format_name: the format, such as `ONNX`.
            model_format_version: the version of the format.
            owner: the owner of the model.
            author: the author of the model.
            continue_on_error: whether the task succeeds if the registration fails.

        Raises:
            ValueError: if the name of the model is missing.
        """
        if not isinstance(model_name, str) or not model_name:
            raise ValueError(f"Invalid model_name {model_name!r} of Model.register: expected a name of the model.")
        request = {
            "model_name": model_name,
            "description": description,
            "model_format_name": model_format_name,
            "model_format_version": model_format_version,
            "owner": owner,
            "author": author,
            "continue_on_error": continue_on_error,
        }
        self.metadata[REGISTRATION_KEY] = json.dumps(request)

    @property
    def path(self) -> str:
        """The path of the model's files; in an OCI image, of its folder for models."""
        return super().path + (_OCI_MODELS if self.uri.startswith("oci://") else "")

    @path.setter
    def path(self, path: str) -> None:
        self.uri = convert_local_path_to_remote_path(path)


class Dataset(Artifact):
    """Data for training or evaluation."""

    schema_title = "system.Dataset"


class Metrics(Artifact):
    """Numbers, by name, in the metadata."""

    schema_title = "system.Metrics"

    def log_metric(self, metric: str, value: float) -> None:
        """Set one metric.

        Raises:
            TypeError: if the value is not JSON; the KFP SDK (2.17.3) fails after the function has returned.
            ValueError: if it is NaN or infinite.
        """
        check_json(value, f"the metric {metric!r}")
        self.metadata[metric] = value


class ClassificationMetrics(Artifact):
    """A classifier's ROC curve and confusion matrix, in the metadata."""

    schema_title = "system.ClassificationMetrics"

    def log_roc_data_point(self, fpr: float, tpr: float, threshold: float) -> None:
        """Add a point to the ROC curve: false and true positive rate at a threshold.

        Raises:
            TypeError: if one of them is not JSON.
            ValueError: if one of them is NaN or infinite.
        """
        for name, value in (("fpr", fpr), ("tpr", tpr), ("threshold", threshold)):
            check_json(value, f"{name} of a point of the ROC curve")
        point = {"confidenceThreshold": threshold, "recall": tpr, "falsePositiveRate": fpr}
        self.metadata.setdefault("confidenceMetrics", []).append(point)

    def log_roc_curve(self, fpr: Sequence[float], tpr: Sequence[float], threshold: Sequence[float]) -> None:
        """Add points to the ROC curve, from three sequences of the same length.

        Raises:
            TypeError: if a number is of a type that JSON cannot hold.
            ValueError: if their lengths differ, or a number is NaN or infinite.
        """
        if not len(fpr) == len(tpr) == len(threshold):
            raise ValueError(
                "Length of fpr, tpr and threshold must be the same. "
                f"Got lengths {len(fpr)}, {len(tpr)} and {len(threshold)} respectively."
            )
        if len(threshold) and threshold[0] == math.inf:
            raise ValueError(
                "threshold[0] is inf, and JSON has no such number. The first threshold of roc_curve is infinite since "
                "scikit-learn 1.3: pass fpr[1:], tpr[1:], threshold[1:], or set threshold[0] = threshold[1] + 1 before."
            )
        for name, values in (("fpr", fpr), ("tpr", tpr), ("threshold", threshold)):
            check_json(list(values), f"{name} of the ROC curve")
        for index in range(len(fpr)):
            self.log_roc_data_point(fpr=fpr[index], tpr=tpr[index], threshold=threshold[index])

    def set_confusion_matrix_categories(self, categories: List[str]) -> None:
        """Start a confusion matrix of zeros with these categories, for rows and columns."""
        self.metadata["confusionMatrix"] = {
            "annotationSpecs": [{"displayName": category} for category in categories],
            "rows": [{"row": [0] * len(categories)} for _ in categories],
        }

    def log_confusion_matrix_row(self, row_category: str, row: Sequence[float]) -> None:
        """Set the row of one true category.

        Raises:
            TypeError: if a number is of a type that JSON cannot hold.
            ValueError: if the category is not one of the matrix, the row is not as long as the categories, or a number
                is NaN or infinite.
        """
        index = self._category(row_category)
        size = len(self._categories)
        if len(row) != size:
            raise ValueError(f"Invalid row. Expected size: {size} got: {len(row)}")
        check_json(row, f"the row {row_category!r} of the confusion matrix")
        self.metadata["confusionMatrix"]["rows"][index] = {"row": row}

    def log_confusion_matrix_cell(self, row_category: str, col_category: str, value: int) -> None:
        """Set one cell: how often the true category `row_category` was predicted as `col_category`.

        Raises:
            TypeError: if the number is of a type that JSON cannot hold.
            ValueError: if a category is not one of the matrix, or the number is NaN or infinite.
        """
        row, column = self._category(row_category), self._category(col_category)
        check_json(value, f"the cell ({row_category!r}, {col_category!r}) of the confusion matrix")
        self.metadata["confusionMatrix"]["rows"][row]["row"][column] = value

    def log_confusion_matrix(self, categories: List[str], matrix: List[List[int]]) -> None:
        """Set the whole confusion matrix, row by row.

        Raises:
            ValueError: if the matrix does not have one row and one column per category.
        """
        if len(matrix) != len(categories) or any(len(row) != len(categories) for row in matrix):
            raise ValueError(f"Invalid matrix: {matrix} passed for categories: {categories}")
        self.set_confusion_matrix_categories(categories)
        for category, row in zip(categories, matrix):
            self.log_confusion_matrix_row(category, row)

    @property
    def _categories(self) -> List[str]:
        specs = self.metadata.get("confusionMatrix", {}).get("annotationSpecs", [])
        return [spec["displayName"] for spec in specs]

    def _category(self, name: str) -> int:
        categories = self._categories
        if name not in categories:
            raise ValueError(f"Invalid category: {name} passed. Expected one of: {categories}")
        return categories.index(name)


class SlicedClassificationMetrics(Artifact):
    """Classification metrics for slices of the data: every method takes the slice's label first.

    The KFP SDK's own class fails on every call; this one follows its documentation.
    """

    schema_title = "system.SlicedClassificationMetrics"

    def log_roc_reading(
        self,
        slice: str,  # noqa: A002  the SDK's name
        threshold: float,
        tpr: float,
        fpr: float,
    ) -> None:
        """Add a point to the ROC curve of a slice."""
        self._of(slice).log_roc_data_point(fpr=fpr, tpr=tpr, threshold=threshold)

    def load_roc_readings(self, slice: str, readings: List[List[float]]) -> None:  # noqa: A002  the SDK's name
        """Add points to the ROC curve of a slice, each as threshold, true positive rate, false positive rate."""
        for threshold, tpr, fpr in readings:
            self.log_roc_reading(slice, threshold, tpr, fpr)

    def set_confusion_matrix_categories(self, slice: str, categories: List[str]) -> None:  # noqa: A002  the SDK's name
        """Start a confusion matrix of zeros for a slice."""
        self._of(slice).set_confusion_matrix_categories(categories)

    def log_confusion_matrix_row(
        self,
        slice: str,  # noqa: A002  the SDK's name
        row_category: str,
        row: List[float],
    ) -> None:
        """Set one row of a slice's confusion matrix; raises ValueError as `ClassificationMetrics` does."""
        self._of(slice).log_confusion_matrix_row(row_category, row)

    def log_confusion_matrix_cell(
        self,
        slice: str,  # noqa: A002  the SDK's name
        row_category: str,
        col_category: str,
        value: int,
    ) -> None:
        """Set one cell of a slice's confusion matrix; raises ValueError as `ClassificationMetrics` does."""
        self._of(slice).log_confusion_matrix_cell(row_category, col_category, value)

    def load_confusion_matrix(
        self,
        slice: str,  # noqa: A002  the SDK's name
        categories: List[str],
        matrix: List[List[int]],
    ) -> None:
        """Set the whole confusion matrix of a slice; raises ValueError as `ClassificationMetrics` does."""
        self._of(slice).log_confusion_matrix(categories, matrix)

    def _of(self, label: str) -> ClassificationMetrics:
        """Return the metrics of one slice: a view of its part of the metadata, which is added if it is missing."""
        slices = self.metadata.setdefault("evaluationSlices", [])
        for known in slices:
            if known["slice"] == label:
                return _view(known["sliceClassificationMetrics"])
        slices.append({"slice": label, "sliceClassificationMetrics": {}})
        return _view(slices[-1]["sliceClassificationMetrics"])


class HTML(Artifact):
    """A page of HTML."""

    schema_title = "system.HTML"


class Markdown(Artifact):
    """A Markdown document."""

    schema_title = "system.Markdown"


_CLASSES = (Artifact, Model, Dataset, Metrics, ClassificationMetrics, SlicedClassificationMetrics, HTML, Markdown)

#: KFP's own artifact classes by schema title.
BY_TITLE: Dict[str, Type[Artifact]] = {known.schema_title: known for known in _CLASSES}


def create(annotated: Optional[Type[Artifact]], runtime: Mapping[str, Any]) -> Artifact:
    """Create an artifact from its JSON form in an executor input.

    Its class is KFP's class of the schema title; the annotated one if KFP has none, or if that is a subclass.
    """
    known = BY_TITLE.get(runtime.get("type", {}).get("schemaTitle", ""))
    chosen = known or annotated or Artifact
    if annotated is not None and known is not None and issubclass(annotated, known):
        chosen = annotated if annotated.schema_title == known.schema_title else known
    # Google's classes customize their creation with this method.
    make = getattr(chosen, "_from_executor_fields", chosen)
    artifact: Artifact = make(
        name=runtime.get("name", ""), uri=runtime.get("uri", ""), metadata=dict(runtime.get("metadata") or {})
    )
    custom_path = runtime.get("customPath") or runtime.get("custom_path")
    if custom_path:
        artifact.custom_path = custom_path
    return artifact


def get_uri(suffix: str = "Output") -> str:
    """Return a URI in the task's folder, for an artifact that a function returns.

    Args:
        suffix: the last part of the URI; functions with several outputs need one for each.

    Raises:
        RuntimeError: outside of a task.
    """
    if CONTAINER_TASK_ROOT is None:
        raise RuntimeError(
            "'dsl.get_uri' can only be called at task runtime. The task root is unknown in the current environment."
        )
    return os.path.join(convert_local_path_to_remote_path(CONTAINER_TASK_ROOT), suffix)


def convert_local_path_to_remote_path(path: str) -> str:
    """Return the URI that is mounted at a path; any other path is its own URI."""
    for scheme, mount in _MOUNTS.items():
        if not path.startswith(mount):
            continue
        rest = path[len(mount) :]
        if scheme == "oci://":
            rest = rest.replace("_", "/")
            rest = rest[: -len(_OCI_MODELS)] if rest.endswith(_OCI_MODELS) else rest
        return scheme + rest
    return path


def is_remote(location: str) -> bool:
    """Return whether a location is a URI such as `s3://bucket/key`, and not a path."""
    return "://" in location


def local_path(uri: str) -> str:
    """Return the path at which a URI is mounted; a path is returned unchanged."""
    for scheme, mount in _MOUNTS.items():
        if uri.startswith(scheme):
            rest = uri[len(scheme) :]
            # An image is mounted as a single folder, so slashes in its name become underscores.
            return mount + (rest.replace("/", "_") if scheme == "oci://" else rest)
    return uri


def _view(metadata: Dict[str, Any]) -> ClassificationMetrics:
    metrics = ClassificationMetrics()
    metrics.metadata = metadata
    return metrics
