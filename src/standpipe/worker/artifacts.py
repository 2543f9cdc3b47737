"""KFP's artifact classes, for authors and for tasks.

An artifact is a URI, where its payload is, and metadata. A component that gets one reads or writes the payload at
`path`, which is where the URI is mounted (`kfp/dsl/types/artifact_types.py` has the rules).
"""

from __future__ import annotations

import os
from typing import Any, Dict, List, Mapping, Optional, Sequence, Type

from .constants import WORKSPACE_MOUNT_PATH

#: Where each kind of remote storage is mounted.
_MOUNTS = {"gs://": "/gcs/", "minio://": "/minio/", "s3://": "/s3/", "oci://": "/oci/"}

#: Below an OCI image's mount is where KServe's modelcars keep the files of a model.
_OCI_MODELS = "/models"

#: The task's own folder of outputs. Set where a task runs, and only there.
CONTAINER_TASK_ROOT: Optional[str] = None


class Artifact:
    """Any machine learning artifact.

    Args:
        name: the artifact's name.
        uri: where its payload is: a path or the address of an object.
        metadata: what to say about it, by key; the values are JSON.
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
        """Where the payload is in the file system; setting it sets the URI."""
        local = self.custom_path or local_path(self.uri)
        if self.metadata.get("_kfp_workspace") is True:  # set by the backend: the payload is in the workspace already
            return os.path.join(WORKSPACE_MOUNT_PATH, ".artifacts", local.lstrip("/"))
        return local

    @path.setter
    def path(self, path: str) -> None:
        self.uri = convert_local_path_to_remote_path(path)

    def set_path(self, path: str) -> None:
        """Says that the payload is at `path`, wherever the URI points."""
        self.custom_path = path

    def __repr__(self) -> str:
        return f"{type(self).__name__}(name={self.name!r}, uri={self.uri!r}, metadata={self.metadata!r})"


class Model(Artifact):
    """A trained model."""

    schema_title = "system.Model"

    @property
    def framework(self) -> str:
        """The framework that made the model; empty if nobody said."""
        return str(self.metadata.get("framework", ""))

    @framework.setter
    def framework(self, framework: str) -> None:
        self.metadata["framework"] = framework

    @property
    def path(self) -> str:
        """Where the model's files are; in an OCI image, below its folder for models."""
        return super().path + (_OCI_MODELS if self.uri.startswith("oci://") else "")

    @path.setter
    def path(self, path: str) -> None:
        self.uri = convert_local_path_to_remote_path(path)


class Dataset(Artifact):
    """Data to learn from or to evaluate with."""

    schema_title = "system.Dataset"


class Metrics(Artifact):
    """Numbers, by name, in the metadata."""

    schema_title = "system.Metrics"

    def log_metric(self, metric: str, value: float) -> None:
        """Sets one metric."""
        self.metadata[metric] = value


class ClassificationMetrics(Artifact):
    """A classifier's ROC curve and confusion matrix, in the metadata."""

    schema_title = "system.ClassificationMetrics"

    def log_roc_data_point(self, fpr: float, tpr: float, threshold: float) -> None:
        """Adds a point to the ROC curve: false and true positive rate at a threshold."""
        point = {"confidenceThreshold": threshold, "recall": tpr, "falsePositiveRate": fpr}
        self.metadata.setdefault("confidenceMetrics", []).append(point)

    def log_roc_curve(self, fpr: Sequence[float], tpr: Sequence[float], threshold: Sequence[float]) -> None:
        """Adds a point to the ROC curve for each place in the three sequences.

        Raises:
            ValueError: if their lengths differ.
        """
        if not len(fpr) == len(tpr) == len(threshold):
            raise ValueError(
                "Length of fpr, tpr and threshold must be the same. "
                f"Got lengths {len(fpr)}, {len(tpr)} and {len(threshold)} respectively."
            )
        for index in range(len(fpr)):
            self.log_roc_data_point(fpr=fpr[index], tpr=tpr[index], threshold=threshold[index])

    def set_confusion_matrix_categories(self, categories: List[str]) -> None:
        """Starts a confusion matrix of zeros with these categories, for its rows and its columns."""
        self.metadata["confusionMatrix"] = {
            "annotationSpecs": [{"displayName": category} for category in categories],
            "rows": [{"row": [0] * len(categories)} for _ in categories],
        }

    def log_confusion_matrix_row(self, row_category: str, row: Sequence[float]) -> None:
        """Sets the row of one true category.

        Raises:
            ValueError: if the category is not one of the matrix, or the row is not as long as the categories.
        """
        index = self._category(row_category)
        size = len(self._categories)
        if len(row) != size:
            raise ValueError(f"Invalid row. Expected size: {size} got: {len(row)}")
        self.metadata["confusionMatrix"]["rows"][index] = {"row": row}

    def log_confusion_matrix_cell(self, row_category: str, col_category: str, value: int) -> None:
        """Sets one cell: how often the true category `row_category` was taken for `col_category`.

        Raises:
            ValueError: if a category is not one of the matrix.
        """
        row, column = self._category(row_category), self._category(col_category)
        self.metadata["confusionMatrix"]["rows"][row]["row"][column] = value

    def log_confusion_matrix(self, categories: List[str], matrix: List[List[int]]) -> None:
        """Sets the whole confusion matrix, row by row.

        Raises:
            ValueError: if the matrix is not as wide and as high as there are categories.
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

    The KFP SDK's own class fails on every call; this one does what its documentation says.
    """

    schema_title = "system.SlicedClassificationMetrics"

    def log_roc_reading(
        self,
        slice: str,  # noqa: A002  the SDK's name
        threshold: float,
        tpr: float,
        fpr: float,
    ) -> None:
        """Adds a point to the ROC curve of a slice."""
        self._of(slice).log_roc_data_point(fpr=fpr, tpr=tpr, threshold=threshold)

    def load_roc_readings(self, slice: str, readings: List[List[float]]) -> None:  # noqa: A002  the SDK's name
        """Adds points to the ROC curve of a slice, each as threshold, true positive rate, false positive rate."""
        for threshold, tpr, fpr in readings:
            self.log_roc_reading(slice, threshold, tpr, fpr)

    def set_confusion_matrix_categories(self, slice: str, categories: List[str]) -> None:  # noqa: A002  the SDK's name
        """Starts a confusion matrix of zeros for a slice."""
        self._of(slice).set_confusion_matrix_categories(categories)

    def log_confusion_matrix_row(
        self,
        slice: str,  # noqa: A002  the SDK's name
        row_category: str,
        row: List[float],
    ) -> None:
        """Sets one row of a slice's confusion matrix; raises ValueError as `ClassificationMetrics` does."""
        self._of(slice).log_confusion_matrix_row(row_category, row)

    def log_confusion_matrix_cell(
        self,
        slice: str,  # noqa: A002  the SDK's name
        row_category: str,
        col_category: str,
        value: int,
    ) -> None:
        """Sets one cell of a slice's confusion matrix; raises ValueError as `ClassificationMetrics` does."""
        self._of(slice).log_confusion_matrix_cell(row_category, col_category, value)

    def load_confusion_matrix(
        self,
        slice: str,  # noqa: A002  the SDK's name
        categories: List[str],
        matrix: List[List[int]],
    ) -> None:
        """Sets the whole confusion matrix of a slice; raises ValueError as `ClassificationMetrics` does."""
        self._of(slice).log_confusion_matrix(categories, matrix)

    def _of(self, label: str) -> ClassificationMetrics:
        """The metrics of one slice: a view of its part of the metadata, which is made where it is missing."""
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
    """An artifact from its JSON form in an executor input.

    The class is the one that KFP knows by the schema title; where it knows none, or where the function asks for a
    class that refines it, the one in the function's annotation.
    """
    known = BY_TITLE.get(runtime.get("type", {}).get("schemaTitle", ""))
    chosen = known or annotated or Artifact
    if annotated is not None and known is not None and issubclass(annotated, known):
        chosen = annotated if annotated.schema_title == known.schema_title else known
    # Google's classes, for one, take part in their own creation through this method.
    make = getattr(chosen, "_from_executor_fields", chosen)
    artifact: Artifact = make(
        name=runtime.get("name", ""), uri=runtime.get("uri", ""), metadata=dict(runtime.get("metadata") or {})
    )
    custom_path = runtime.get("customPath") or runtime.get("custom_path")
    if custom_path:
        artifact.custom_path = custom_path
    return artifact


def get_uri(suffix: str = "Output") -> str:
    """A place for an output in the task's own folder, as a URI; for artifacts that a function returns.

    Args:
        suffix: the last part of it; functions with several outputs give each its own.

    Raises:
        RuntimeError: outside of a task.
    """
    if CONTAINER_TASK_ROOT is None:
        raise RuntimeError(
            "'dsl.get_uri' can only be called at task runtime. The task root is unknown in the current environment."
        )
    return os.path.join(convert_local_path_to_remote_path(CONTAINER_TASK_ROOT), suffix)


def convert_local_path_to_remote_path(path: str) -> str:
    """The URI of what is mounted at a path; any other path is its own URI."""
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
    for scheme, mount in _MOUNTS.items():
        if uri.startswith(scheme):
            rest = uri[len(scheme) :]
            # An image is mounted under one name, so the slashes of its own are written as underscores.
            return mount + (rest.replace("/", "_") if scheme == "oci://" else rest)
    return uri


def _view(metadata: Dict[str, Any]) -> ClassificationMetrics:
    metrics = ClassificationMetrics()
    metrics.metadata = metadata
    return metrics
