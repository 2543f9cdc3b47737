"""Kubernetes manifests of pipelines, which contain the PipelineSpec and the PlatformSpec."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from standpipe.errors import SpecError, UnsupportedError
from standpipe.ir.emitter import emit, emit_platforms
from standpipe.model.plan import Plan
from standpipe.model.types import Json
from standpipe.model.values import preview

_API_VERSION = "pipelines.kubeflow.org/v2beta1"
_PIPELINE, _VERSION = "Pipeline", "PipelineVersion"


@dataclass(frozen=True)
class ManifestNames:
    """The names of the resources, and their namespace; empty for none."""

    pipeline: str
    pipeline_display_name: str
    version: str
    version_display_name: str
    namespace: str = ""


def emit_manifests(
    plan: Plan, names: ManifestNames, description: str = "", with_pipeline: bool = False
) -> list[dict[str, Json]]:
    """Return the manifests of a Plan.

    Args:
        plan: the Plan.
        names: the names of the resources.
        description: the description of the pipeline and its version.
        with_pipeline: whether to add a manifest of the pipeline before that of the version.

    Raises:
        SpecError: as `emit`.
    """
    platforms = emit_platforms(plan)
    specs = {"pipelineSpec": emit(plan), **({"platformSpec": platforms} if platforms else {})}
    described = {"description": description} if description else {}
    version = {"displayName": names.version_display_name, "pipelineName": names.pipeline, **specs, **described}
    manifests = [_manifest(_VERSION, names.version, names.namespace, version)]
    if with_pipeline:
        pipeline = {"displayName": names.pipeline_display_name, **described}
        manifests.insert(0, _manifest(_PIPELINE, names.pipeline, names.namespace, pipeline))
    return manifests


def _manifest(kind: str, name: str, namespace: str, spec: Json) -> dict[str, Json]:
    metadata = {"name": name, **({"namespace": namespace} if namespace else {})}
    return {"apiVersion": _API_VERSION, "kind": kind, "metadata": metadata, "spec": spec}


def is_manifest(document: Mapping[str, Json]) -> bool:
    """Return whether a document is a Kubernetes manifest of any kind."""
    return "apiVersion" in document


def read_specs(documents: Sequence[Mapping[str, Json]]) -> tuple[Json, Json, str]:
    """Read the manifests of a file.

    Returns:
        The PipelineSpec, the PlatformSpec (None if there is none), and the description.

    Raises:
        SpecError: if the version of the pipeline is missing or malformed; the error names the field.
        UnsupportedError: if there are manifests of other kinds.
    """
    versions = []
    for document in documents:
        kind = document.get("kind")
        if document.get("apiVersion") != _API_VERSION or kind not in (_PIPELINE, _VERSION):
            raise UnsupportedError(
                f"kind: unsupported kind of Kubernetes manifest {preview(kind)}, expected {_VERSION}. "
                "Compile the pipeline with a KFP SDK of version 2, and pass the result."
            )
        if kind == _VERSION:
            versions.append(document)
    if len(versions) != 1:
        raise SpecError(f"kind: expected one manifest of kind {_VERSION}, got {len(versions)}")
    spec = versions[0].get("spec")
    if not isinstance(spec, Mapping):
        raise SpecError(f"spec: expected a mapping, got {preview(spec)}")
    if "pipelineSpec" not in spec:
        raise SpecError("spec.pipelineSpec: missing required field")
    description = spec.get("description") or ""
    if not isinstance(description, str):
        raise SpecError(f"spec.description: expected text, got {preview(description)}")
    return spec["pipelineSpec"], spec.get("platformSpec"), description
