"""Define components and pipelines: the names and meanings of `kfp.dsl`."""

from importlib import import_module
from typing import TYPE_CHECKING

from standpipe.dsl.base_component import BaseComponent
from standpipe.dsl.components import ContainerComponent, GraphComponent, PythonComponent
from standpipe.dsl.config import (
    KubernetesWorkspaceConfig,
    PipelineConfig,
    TaskConfigField,
    TaskConfigPassthrough,
    WorkspaceConfig,
)
from standpipe.dsl.decorators import ContainerSpec, component, container_component, pipeline
from standpipe.dsl.importing import importer
from standpipe.dsl.notebooks import notebook_component, run_notebook
from standpipe.dsl.placeholders import ConcatPlaceholder, IfPresentPlaceholder
from standpipe.dsl.tracing.channels import Collected, PipelineArtifactChannel, PipelineChannel, PipelineParameterChannel
from standpipe.dsl.tracing.conditions import Condition, Elif, Else, If, OneOf
from standpipe.dsl.tracing.groups import ExitHandler
from standpipe.dsl.tracing.loops import ParallelFor
from standpipe.dsl.tracing.tasks import PipelineTask
from standpipe.worker.annotations import EmbeddedInput, Input, InputPath, Output, OutputPath
from standpipe.worker.artifacts import (
    HTML,
    Artifact,
    ClassificationMetrics,
    Dataset,
    Markdown,
    Metrics,
    Model,
    SlicedClassificationMetrics,
    get_uri,
)
from standpipe.worker.constants import (
    PIPELINE_JOB_CREATE_TIME_UTC_PLACEHOLDER,
    PIPELINE_JOB_ID_PLACEHOLDER,
    PIPELINE_JOB_NAME_PLACEHOLDER,
    PIPELINE_JOB_RESOURCE_NAME_PLACEHOLDER,
    PIPELINE_JOB_SCHEDULE_TIME_UTC_PLACEHOLDER,
    PIPELINE_ROOT_PLACEHOLDER,
    PIPELINE_TASK_EXECUTOR_INPUT_PLACEHOLDER,
    PIPELINE_TASK_EXECUTOR_OUTPUT_PATH_PLACEHOLDER,
    PIPELINE_TASK_ID_PLACEHOLDER,
    PIPELINE_TASK_NAME_PLACEHOLDER,
    WORKSPACE_PATH_PLACEHOLDER,
)

if TYPE_CHECKING:
    from standpipe.worker.status import PipelineTaskFinalStatus, TaskConfig

__all__ = [
    "HTML",
    "PIPELINE_JOB_CREATE_TIME_UTC_PLACEHOLDER",
    "PIPELINE_JOB_ID_PLACEHOLDER",
    "PIPELINE_JOB_NAME_PLACEHOLDER",
    "PIPELINE_JOB_RESOURCE_NAME_PLACEHOLDER",
    "PIPELINE_JOB_SCHEDULE_TIME_UTC_PLACEHOLDER",
    "PIPELINE_ROOT_PLACEHOLDER",
    "PIPELINE_TASK_EXECUTOR_INPUT_PLACEHOLDER",
    "PIPELINE_TASK_EXECUTOR_OUTPUT_PATH_PLACEHOLDER",
    "PIPELINE_TASK_ID_PLACEHOLDER",
    "PIPELINE_TASK_NAME_PLACEHOLDER",
    "WORKSPACE_PATH_PLACEHOLDER",
    "Artifact",
    "BaseComponent",
    "ClassificationMetrics",
    "Collected",
    "ConcatPlaceholder",
    "Condition",
    "ContainerComponent",
    "ContainerSpec",
    "Dataset",
    "Elif",
    "Else",
    "EmbeddedInput",
    "ExitHandler",
    "GraphComponent",
    "If",
    "IfPresentPlaceholder",
    "Input",
    "InputPath",
    "KubernetesWorkspaceConfig",
    "Markdown",
    "Metrics",
    "Model",
    "OneOf",
    "Output",
    "OutputPath",
    "ParallelFor",
    "PipelineArtifactChannel",
    "PipelineChannel",
    "PipelineConfig",
    "PipelineParameterChannel",
    "PipelineTask",
    "PipelineTaskFinalStatus",
    "PythonComponent",
    "SlicedClassificationMetrics",
    "TaskConfig",
    "TaskConfigField",
    "TaskConfigPassthrough",
    "WorkspaceConfig",
    "component",
    "container_component",
    "get_uri",
    "importer",
    "notebook_component",
    "pipeline",
    "run_notebook",
]


if not TYPE_CHECKING:  # otherwise type checkers would take every name for one of this module

    def __getattr__(name: str) -> type:
        """Return a class of `worker.status`, which few programs need: it brings `dataclasses`."""
        if name in ("PipelineTaskFinalStatus", "TaskConfig"):
            return getattr(import_module("standpipe.worker.status"), name)
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")

    def __dir__() -> list[str]:
        return sorted({*globals(), *__all__})
