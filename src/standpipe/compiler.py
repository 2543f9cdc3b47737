"""Compilation of components and pipelines for a cluster, as in `kfp.compiler`."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from standpipe.dsl.base_component import BaseComponent
from standpipe.dsl.registry import note_use
from standpipe.dsl.tracing.source_locations import warn_at, warn_caller
from standpipe.errors import AuthoringError, shorten_errors
from standpipe.model.plan import Dag, Plan
from standpipe.model.types import Json
from standpipe.model.values import preview


@dataclass
class KubernetesManifestOptions:
    """The names of the resources in a Kubernetes manifest.

    Args:
        pipeline_name: the name of the Pipeline; by default the name of the compiled pipeline.
        pipeline_display_name: the display name of the Pipeline; by default its name.
        pipeline_version_name: the name of the PipelineVersion; by default that of the Pipeline.
        pipeline_version_display_name: the display name of the PipelineVersion; by default its name.
        namespace: the namespace of the resources.
        include_pipeline_manifest: whether to write the manifest of the Pipeline, too.
    """

    pipeline_name: str | None = None
    pipeline_display_name: str | None = None
    pipeline_version_name: str | None = None
    pipeline_version_display_name: str | None = None
    namespace: str | None = None
    include_pipeline_manifest: bool = False

    def names(self, name: str) -> tuple[str, str, str, str]:
        """Return the names and display names of the Pipeline and the PipelineVersion.

        Args:
            name: the name of the compiled pipeline.

        Returns:
            The name and the display name of the Pipeline, then those of the PipelineVersion.
        """
        pipeline = name if self.pipeline_name is None else self.pipeline_name
        version = self.pipeline_version_name or pipeline
        display_name = self.pipeline_display_name or pipeline
        return pipeline, display_name, version, self.pipeline_version_display_name or version or display_name


class Compiler:
    """Compiles components and pipelines to the files that KFP clusters run."""

    @shorten_errors
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
        """Compile a component or pipeline to a YAML file, or JSON, which KFP has deprecated. The write is atomic.

        Args:
            pipeline_func: a component or pipeline.
            package_path: the file, ending in `.yaml`, `.yml` or `.json`.
            pipeline_name: a name that replaces that of the pipeline.
            pipeline_display_name: a display name that replaces that of the pipeline.
            pipeline_parameters: values that replace the defaults of inputs.
            type_check: accepted for compatibility with KFP; types were checked when the pipeline was traced.
            kubernetes_manifest_options: the names in the Kubernetes manifest.
            kubernetes_manifest_format: whether to write a Kubernetes manifest, to a YAML file of any name.

        Raises:
            AuthoringError: if `pipeline_func` is neither a component nor a pipeline, or has no such parameter.
            ArgumentError: if a parameter's value does not fit its type.
            SpecError: if the file name ends differently, or the format cannot represent a value.
            StorageError: if the file cannot be written.
            UnsupportedError: if `pipeline_parameters` sets an artifact.
        """
        from standpipe import ir  # brings protobuf and YAML, which runs of Python components do without

        note_use()
        if not isinstance(pipeline_func, BaseComponent):
            raise AuthoringError(
                f"Cannot compile {preview(pipeline_func)}: expected a component or a pipeline. "
                "Decorate the function with @dsl.component or @dsl.pipeline."
            )
        if os.fspath(package_path).endswith(".json") and not kubernetes_manifest_format:
            warn_caller(
                "Compiling to JSON is deprecated, and KFP will remove it. Use a file name that ends with .yaml.",
                DeprecationWarning,
            )
        _warn_of_conditions(pipeline_func.plan)
        plan = ir.override(
            pipeline_func.compiled_plan,
            name=pipeline_name,
            display_name=pipeline_display_name,
            parameters=pipeline_parameters,
        )
        if not kubernetes_manifest_format:
            ir.write(plan, package_path, description=pipeline_func.description)
            return
        options = kubernetes_manifest_options or KubernetesManifestOptions()
        names = ir.ManifestNames(*options.names(plan.name), namespace=options.namespace or "")
        ir.write_manifests(
            plan, package_path, names, pipeline_func.description, with_pipeline=options.include_pipeline_manifest
        )


def _warn_of_conditions(plan: Plan) -> None:
    """Warn of conditions that a cluster reads otherwise than a local run, each at its line in the author's code.

    The KFP compiler does not escape text in conditions (kfp 2.17.3, `compiler/pipeline_spec_builder.py`), and a cluster
    reads them as CEL, which has escapes. It also inverts whole numbers that are compared with a bool.
    """
    from standpipe.model.expressions import describe_cluster_reading  # here, as few pipelines have conditions

    bodies = [component.body for component in (plan.root, *plan.components.values())]
    for node in (node for body in bodies if isinstance(body, Dag) for node in body.nodes.values()):
        condition = node.trigger.condition
        reading = describe_cluster_reading(condition) if condition else ""
        if not reading:
            continue
        message = (
            f"A cluster {reading}, in the condition of {node.name!r}: {condition}. KFP writes text into conditions and "
            "does not escape its backslashes, quotes and newlines, and it inverts numbers that are compared with a "
            "bool. Compare values of one type, or in a component that returns a bool."
        )
        warn_at(node.source_location, message)


def to_protobuf_value(value: Json) -> Any:
    """Return the protobuf `Value` of a JSON value, for extensions of KFP such as kfp-kubernetes.

    Raises:
        SpecError: if it is not a JSON value, or protobuf cannot represent it.
    """
    from standpipe import ir  # brings protobuf, which runs of Python components do without

    return ir.to_protobuf_value(value)


__all__ = ["Compiler", "KubernetesManifestOptions"]
