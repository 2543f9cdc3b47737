"""What KFP tells a task about other tasks and about its own pod."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Dict, List, Mapping, Optional


@dataclass
class PipelineTaskFinalStatus:
    """How another task ended; a parameter annotated with this class receives it.

    `state` is `SUCCEEDED`, `FAILED` or `CANCELLED`; the error's code and message are None where it succeeded.
    """

    state: str
    pipeline_job_resource_name: str
    pipeline_task_name: str
    error_code: Optional[int]
    error_message: Optional[str]


@dataclass
class TaskConfig:
    """Fragments of the task's own Kubernetes pod, as JSON; a parameter annotated with this class receives them.

    All are None unless the component names them in its `task_config_passthroughs`.
    """

    affinity: Optional[Dict[str, Any]] = None
    tolerations: Optional[List[Dict[str, Any]]] = None
    node_selector: Optional[Dict[str, str]] = None
    env: Optional[List[Dict[str, Any]]] = None
    volumes: Optional[List[Dict[str, Any]]] = None
    volume_mounts: Optional[List[Dict[str, Any]]] = None
    resources: Optional[Dict[str, Any]] = None


def final_status(given: Optional[Mapping[str, Any]]) -> PipelineTaskFinalStatus:
    """From the JSON form of the message, whose names are in camel case or, by older backends, in snake case."""
    told = given or {}
    error = told.get("error") or {}
    return PipelineTaskFinalStatus(
        state=told.get("state", ""),
        pipeline_job_resource_name=_either(told, "pipelineJobResourceName", "pipeline_job_resource_name"),
        pipeline_task_name=_either(told, "pipelineTaskName", "pipeline_task_name"),
        error_code=error.get("code"),
        error_message=error.get("message"),
    )


def task_config(given: Optional[Mapping[str, Any]]) -> TaskConfig:
    """From the JSON that the backend injects."""
    told = given or {}
    return TaskConfig(
        affinity=told.get("affinity"),
        tolerations=told.get("tolerations"),
        node_selector=told.get("nodeSelector"),
        env=told.get("env"),
        volumes=told.get("volumes"),
        volume_mounts=told.get("volumeMounts"),
        resources=told.get("resources"),
    )


def _either(told: Mapping[str, Any], camel: str, snake: str) -> Any:
    return told.get(camel) if told.get(camel) is not None else told.get(snake)
