"""Compiling components and pipelines for a cluster: the names and meanings of `kfp.compiler`."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from standpipe.dsl.components import BaseComponent
from standpipe.errors import AuthoringError, UnsupportedError
from standpipe.model.types import Json
from standpipe.model.values import preview


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
        kubernetes_manifest_options: Any = None,
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
            kubernetes_manifest_options: not supported yet.
            kubernetes_manifest_format: not supported yet.

        Raises:
            AuthoringError: if `pipeline_func` is neither a component nor a pipeline, or has no such parameter.
            ArgumentError: if a parameter's value does not fit its type.
            SpecError: if the file's ending is none of the three, or the format cannot hold a value.
            StorageError: if the file cannot be written.
            UnsupportedError: if a Kubernetes manifest is asked for.
        """
        from standpipe import ir  # brings protobuf and YAML, which runs of Python components do without

        if not isinstance(pipeline_func, BaseComponent):
            raise AuthoringError(
                f"{preview(pipeline_func)} cannot be compiled: it is neither a component nor a pipeline. "
                "Decorate the function with @dsl.component or @dsl.pipeline."
            )
        if kubernetes_manifest_format or kubernetes_manifest_options is not None:
            raise UnsupportedError("Compiling to a Kubernetes manifest is not supported yet: compile to plain YAML.")
        plan = ir.override(
            pipeline_func.plan, name=pipeline_name, display_name=pipeline_display_name, parameters=pipeline_parameters
        )
        ir.write(plan, package_path, description=pipeline_func.description)


def to_protobuf_value(value: Json) -> Any:
    """The protobuf `Value` of a JSON value, for extensions of KFP such as kfp-kubernetes.

    Raises:
        SpecError: if it is no JSON, or protobuf cannot hold it.
    """
    from standpipe import ir  # brings protobuf, which runs of Python components do without

    return ir.to_protobuf_value(value)


__all__ = ["Compiler"]
