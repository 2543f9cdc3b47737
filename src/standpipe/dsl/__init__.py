"""What users write components and pipelines with: the names and meanings of `kfp.dsl`."""

from typing import Any

from standpipe.dsl.channels import PipelineArtifactChannel, PipelineChannel, PipelineParameterChannel
from standpipe.dsl.components import BaseComponent, ContainerComponent, GraphComponent, PythonComponent
from standpipe.dsl.config import (
    KubernetesWorkspaceConfig,
    PipelineConfig,
    TaskConfigField,
    TaskConfigPassthrough,
    WorkspaceConfig,
)
from standpipe.dsl.decorators import ContainerSpec, component, container_component, pipeline
from standpipe.dsl.placeholders import ConcatPlaceholder, IfPresentPlaceholder
from standpipe.dsl.tasks import PipelineTask
from standpipe.inside.annotations import EmbeddedInput, Input, InputPath, Output, OutputPath
from standpipe.inside.artifacts import (
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
from standpipe.inside.constants import (
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
from standpipe.inside.status import PipelineTaskFinalStatus, TaskConfig

#: What KFP has besides, and Standpipe not yet.
_LATER = (
    *("If", "Elif", "Else", "Condition", "OneOf", "ParallelFor", "Collected", "ExitHandler"),
    *("importer", "notebook_component", "run_notebook"),
)


def __getattr__(name: str) -> Any:
    if name in _LATER:
        raise AttributeError(
            f"dsl.{name} is not supported yet: this version of Standpipe runs components and pipelines of components. "
            "Compile and run what needs it with the KFP SDK."
        )
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


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
    "ConcatPlaceholder",
    "ContainerComponent",
    "ContainerSpec",
    "Dataset",
    "EmbeddedInput",
    "GraphComponent",
    "IfPresentPlaceholder",
    "Input",
    "InputPath",
    "KubernetesWorkspaceConfig",
    "Markdown",
    "Metrics",
    "Model",
    "Output",
    "OutputPath",
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
    "pipeline",
]
