"""Compiling components and pipelines for a cluster: the names and meanings of `kfp.compiler`."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from standpipe.dsl.base_component import BaseComponent
from standpipe.errors import AuthoringError
from standpipe.model.types import Json
from standpipe.model.values import preview


@dataclass
class KubernetesManifestOptions:
    """How the resources of a Kubernetes manifest are called.

    Args:
        pipeline_name: the name of the Pipeline; without one, that of the pipeline itself.
        pipeline_display_name: what is shown for it; without one, its name.
        pipeline_version_name: the name of the PipelineVersion; without one, that of the Pipeline.
        pipeline_version_display_name: what is shown for it; without one, its name.
        namespace: where the resources are.
        include_pipeline_manifest: whether the manifest of the Pipeline is written, too.
    """

    pipeline_name: str | None = None
    pipeline_display_name: str | None = None
    pipeline_version_name: str | None = None
    pipeline_version_display_name: str | None = None
    namespace: str | None = None
    include_pipeline_manifest: bool = False

    def names(self, name: str) -> tuple[str, str, str, str]:
        """What the Pipeline and the PipelineVersion are called and shown as; `name` is that of what is compiled."""
        pipeline = name if self.pipeline_name is None else self.pipeline_name
        version = self.pipeline_version_name or pipeline
        shown = self.pipeline_display_name or pipeline
        return pipeline, shown, version, self.pipeline_version_display_name or version or shown


class Compiler:
    """Writes components and pipelines in the format that KFP clusters run."""

    def compile(
        self,
        pipeline_func: BaseComponent,
        package_path: str | os.PathLike[str],
        pipeline_name: str | None = None,
        pipeline_display_name: str | None = None,
        pipeline_parameters: Mapping[str, Any] | None = None,
        type_check: bool = True,
        kubernetes_manifest_options: KubernetesManifestOptions | None = None,
        kubernetes_manifest_format: bool = False,
    ) -> None:
        """Writes a component or pipeline to a YAML file (or JSON, which KFP has deprecated), in one step or not at all.

        Args:
            pipeline_func: a component or pipeline.
            package_path: the file, ending in `.yaml`, `.yml` or `.json`.
            pipeline_name: a name in place of its own.
            pipeline_display_name: a display name in place of its own.
            pipeline_parameters: defaults in place of its inputs' own.
            type_check: taken for the sake of scripts written for KFP; types were checked when the pipeline was traced.
            kubernetes_manifest_options: names in the Kubernetes manifest, if one is asked for.
            kubernetes_manifest_format: whether to write a Kubernetes manifest, into a YAML file of any name.

        Raises:
            AuthoringError: if `pipeline_func` is neither a component nor a pipeline, or has no such parameter.
            ArgumentError: if a parameter's value does not fit its type.
            SpecError: if the file's ending is none of the three, or the format cannot hold a value.
            StorageError: if the file cannot be written.
            UnsupportedError: if an artifact is to have a default.
        """
        from standpipe import ir  # brings protobuf and YAML, which runs of Python components do without

        if not isinstance(pipeline_func, BaseComponent):
            raise AuthoringError(
                f"{preview(pipeline_func)} cannot be compiled: it is neither a component nor a pipeline. "
                "Decorate the function with @dsl.component or @dsl.pipeline."
            )
        plan = ir.override(
            pipeline_func.plan, name=pipeline_name, display_name=pipeline_display_name, parameters=pipeline_parameters
        )
        if not kubernetes_manifest_format:
            ir.write(plan, package_path, description=pipeline_func.description)
            return
        options = kubernetes_manifest_options or KubernetesManifestOptions()
        names = ir.ManifestNames(*options.names(plan.name), namespace=options.namespace or "")
        ir.write_manifests(
            plan, package_path, names, pipeline_func.description, with_pipeline=options.include_pipeline_manifest
        )


def to_protobuf_value(value: Json) -> Any:
    """The protobuf `Value` of a JSON value, for extensions of KFP such as kfp-kubernetes.

    Raises:
        SpecError: if it is no JSON, or protobuf cannot hold it.
    """
    from standpipe import ir  # brings protobuf, which runs of Python components do without

    return ir.to_protobuf_value(value)


__all__ = ["Compiler", "KubernetesManifestOptions"]
