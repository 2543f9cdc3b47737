"""Kubernetes manifests of pipelines, which hold the PipelineSpec and the PlatformSpec instead of being these."""

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
    """What the resources are called, and in which namespace they are; empty where they are to have none."""

    pipeline: str
    pipeline_shown: str
    version: str
    version_shown: str
    namespace: str = ""


def emit_manifests(
    plan: Plan, names: ManifestNames, description: str = "", with_pipeline: bool = False
) -> list[dict[str, Json]]:
    """The manifest of the Plan as a version of a pipeline, and that of the pipeline before it `with_pipeline`.

    Raises:
        SpecError: as `emit`.
    """
    platforms = emit_platforms(plan)
    specs = {"pipelineSpec": emit(plan), **({"platformSpec": platforms} if platforms else {})}
    described = {"description": description} if description else {}
    version = {"displayName": names.version_shown, "pipelineName": names.pipeline, **specs, **described}
    manifests = [_manifest(_VERSION, names.version, names.namespace, version)]
    if with_pipeline:
        pipeline = {"displayName": names.pipeline_shown, **described}
        manifests.insert(0, _manifest(_PIPELINE, names.pipeline, names.namespace, pipeline))
    return manifests


def _manifest(kind: str, name: str, namespace: str, spec: Json) -> dict[str, Json]:
    metadata = {"name": name, **({"namespace": namespace} if namespace else {})}
    return {"apiVersion": _API_VERSION, "kind": kind, "metadata": metadata, "spec": spec}


def is_manifest(document: Mapping[str, Json]) -> bool:
    """Whether a document is a manifest of any kind."""
    return "apiVersion" in document


def specs_of(documents: Sequence[Mapping[str, Json]]) -> tuple[Json, Json, str]:
    """The PipelineSpec and the PlatformSpec (or None) in the manifests of a file, and the description.

    Raises:
        SpecError: if the version of the pipeline is missing or malformed; the error names the field.
        UnsupportedError: for manifests of other kinds.
    """
    versions = []
    for document in documents:
        kind = document.get("kind")
        if document.get("apiVersion") != _API_VERSION or kind not in (_PIPELINE, _VERSION):
            raise UnsupportedError(
                f"kind: it is a Kubernetes manifest of the kind {preview(kind)}. "
                "Compile the pipeline with a KFP SDK of version 2, and give the result."
            )
        if kind == _VERSION:
            versions.append(document)
    if len(versions) != 1:
        raise SpecError(f"kind: there are {len(versions)} manifests of a {_VERSION}, and one is wanted")
    spec = versions[0].get("spec")
    if not isinstance(spec, Mapping):
        raise SpecError(f"spec: it is {preview(spec)}, and a mapping is wanted")
    if "pipelineSpec" not in spec:
        raise SpecError("spec.pipelineSpec: it is missing")
    description = spec.get("description") or ""
    if not isinstance(description, str):
        raise SpecError(f"spec.description: it is {preview(description)}, and text is wanted")
    return spec["pipelineSpec"], spec.get("platformSpec"), description
