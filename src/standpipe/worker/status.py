"""Information from KFP for a task: the end of another task, and its own pod."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Dict, List, Mapping, Optional


@dataclass
class PipelineTaskFinalStatus:
    """The final status of another task; a parameter with this annotation receives it.

    `state` is `SUCCEEDED`, `FAILED` or `CANCELLED`; the error's code and message are None if it succeeded.
    """

    state: str
    pipeline_job_resource_name: str
    pipeline_task_name: str
    error_code: Optional[int]
    error_message: Optional[str]


@dataclass
class TaskConfig:
    """Parts of the task's own Kubernetes pod, as JSON; a parameter with this annotation receives them.

    All are None except those that the component lists in `task_config_passthroughs`.
    """

    affinity: Optional[Dict[str, Any]] = None
    tolerations: Optional[List[Dict[str, Any]]] = None
    node_selector: Optional[Dict[str, str]] = None
    env: Optional[List[Dict[str, Any]]] = None
    volumes: Optional[List[Dict[str, Any]]] = None
    volume_mounts: Optional[List[Dict[str, Any]]] = None
    resources: Optional[Dict[str, Any]] = None


def final_status(value: Optional[Mapping[str, Any]]) -> PipelineTaskFinalStatus:
    """Convert the JSON form of the message. Its names are in camel case or, from older backends, in snake case."""
    fields = value or {}
    error = fields.get("error") or {}
    return PipelineTaskFinalStatus(
        state=fields.get("state", ""),
        pipeline_job_resource_name=_either(fields, "pipelineJobResourceName", "pipeline_job_resource_name"),
        pipeline_task_name=_either(fields, "pipelineTaskName", "pipeline_task_name"),
        error_code=error.get("code"),
        error_message=error.get("message"),
    )


def task_config(value: Optional[Mapping[str, Any]]) -> TaskConfig:
    """Convert the JSON that the backend injects."""
    fields = value or {}
    return TaskConfig(
        affinity=fields.get("affinity"),
        tolerations=fields.get("tolerations"),
        node_selector=fields.get("nodeSelector"),
        env=fields.get("env"),
        volumes=fields.get("volumes"),
        volume_mounts=fields.get("volumeMounts"),
        resources=fields.get("resources"),
    )


def _either(fields: Mapping[str, Any], camel: str, snake: str) -> Any:
    return fields.get(camel) if fields.get(camel) is not None else fields.get(snake)
