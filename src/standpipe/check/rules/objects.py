"""Rules for the settings of pods: names of objects, volumes and labels, and the workspace."""

from __future__ import annotations

import re
from collections.abc import Iterator

from standpipe.check.fields import dig, entries, producer_of, text_of
from standpipe.check.rule import Problem
from standpipe.check.view import PipelineView, TaskView, walk_constants
from standpipe.model.types import Json

#: The names of objects and of volumes in Kubernetes (RFC 1123): subdomains and labels.
_SUBDOMAIN = re.compile(r"(?=.{1,253}$)[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*")
_LABEL = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")

#: The values of labels, and the names in their keys, with an optional domain.
_LABEL_VALUE = re.compile(r"([A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?)?")
_LABEL_KEY = re.compile(
    rf"(?:(?:{_SUBDOMAIN.pattern[len('(?=.{1,253}$)') :]})/)?[A-Za-z0-9]([-A-Za-z0-9_.]{{0,61}}[A-Za-z0-9])?"
)

#: The fields of a task's settings that name objects: the kind, and the field with the name.
_OBJECTS = {
    "secretAsEnv": ("secret", "secretName"),
    "secretAsVolume": ("secret", "secretName"),
    "configMapAsEnv": ("config map", "configMapName"),
    "configMapAsVolume": ("config map", "configMapName"),
    "imagePullSecret": ("secret", "secretName"),
    "pvcMount": ("PVC", "pvcName"),
}

#: What the launcher mounts the workspace at, and the name of its volume (`v2/component/constants.go`).
_WORKSPACE_PATH = "/kfp-workspace"

ACCESS_MODES = ("ReadWriteOnce", "ReadOnlyMany", "ReadWriteMany", "ReadWriteOncePod")


def find_invalid_names(pipeline: PipelineView) -> Iterator[Problem]:
    for task in pipeline.tasks:
        for field, (kind, key) in _OBJECTS.items():
            for entry in entries(task.settings, field):
                name = constant_name(entry, key)
                if name and not _SUBDOMAIN.fullmatch(name):
                    yield Problem(task, f"task {task.name!r} uses the {kind} {name!r}, an invalid name", mark=name)
        pvc_name = dict(task.constants()).get("pvc_name") if task.creates_pvc or task.deletes_pvc else None
        if isinstance(pvc_name, str) and pvc_name and not _SUBDOMAIN.fullmatch(pvc_name):
            yield Problem(task, f"task {task.name!r} names the PVC {pvc_name!r}, an invalid name", mark=pvc_name)


def constant_name(entry: Json, key: str) -> str:
    """Return the name of an object in an entry of a task's settings; empty if it is a value of the run."""
    name = text_of(entry, f"{key}Parameter", "runtimeValue", "constant")
    return name or text_of(entry, key) or text_of(entry, "constant")


def find_invalid_volumes(pipeline: PipelineView) -> Iterator[Problem]:
    """Yield mounts whose volume has an invalid name: it is that of the object (`v2/driver/k8s.go`)."""
    for task in pipeline.tasks:
        for kind, name in _volumes(task):
            if name and not _LABEL.fullmatch(name) and (kind == "volume" or _SUBDOMAIN.fullmatch(name)):
                problem = f"task {task.name!r} mounts the {kind} {name!r}, whose name is invalid for a volume"
                yield Problem(task, problem, mark=name)


def _volumes(task: TaskView) -> Iterator[tuple[str, str]]:
    for field in ("secretAsVolume", "configMapAsVolume", "pvcMount"):
        kind, key = _OBJECTS[field]
        for entry in entries(task.settings, field):
            yield kind, constant_name(entry, key)
    for field in ("emptyDirMounts", "genericEphemeralVolume"):
        for entry in entries(task.settings, field):
            yield "volume", text_of(entry, "volumeName")


def find_unresolved_settings(pipeline: PipelineView) -> Iterator[Problem]:
    """Yield settings with a value that the DAG of the task does not have: an input, or an output of another task."""
    for task in pipeline.tasks:
        inputs = task.dag.component.inputs
        for value in walk_constants(dict(task.settings)):
            name, producer = text_of(value, "componentInputParameter"), producer_of(value)[0]
            if name and name not in inputs:
                yield Problem(task, f"a setting of task {task.name!r} takes the input {name!r}, which its DAG has not")
            elif producer and producer not in task.dag.tasks:
                yield Problem(task, f"a setting of task {task.name!r} takes an output of {producer!r} in another DAG")


def find_incomplete_workspaces(pipeline: PipelineView) -> Iterator[Problem]:
    workspace = pipeline.plan.pipeline_config.get("workspace")
    if not isinstance(dig(workspace, "kubernetes"), dict):
        return
    patch = dig(workspace, "kubernetes", "pvcSpecPatch")
    if not dig(patch, "accessModes"):
        yield Problem(pipeline, "the workspace has no access modes", mark="WorkspaceConfig")
    if dig(patch, "storageClassName") == "":
        yield Problem(pipeline, "the workspace has an empty storage class", mark="WorkspaceConfig")


def find_workspace_conflicts(pipeline: PipelineView) -> Iterator[Problem]:
    if not pipeline.plan.pipeline_config.get("workspace"):
        return
    for task in filter(_uses_workspace, pipeline.tasks):
        for field in ("secretAsVolume", "configMapAsVolume", "pvcMount", "emptyDirMounts", "genericEphemeralVolume"):
            for entry in entries(task.settings, field):
                path = text_of(entry, "mountPath")
                if path.startswith(_WORKSPACE_PATH):
                    problem = f"task {task.name!r} mounts a volume at {path!r}, the place of the workspace"
                    yield Problem(task, problem, mark=path)


def _uses_workspace(task: TaskView) -> bool:
    """Return whether a constant of a task has the path of the workspace: then its driver mounts that."""
    texts = [str(text) for _, value in task.constants() for text in walk_constants(value)]
    return any("{{$.workspace_path}}" in text or _WORKSPACE_PATH in text for text in texts)


def find_invalid_access_modes(pipeline: PipelineView) -> Iterator[Problem]:
    for task in pipeline.tasks:
        lists = [dict(task.constants()).get("access_modes")] if task.creates_pvc else []
        lists += [dig(volume, "accessModes") for volume in entries(task.settings, "genericEphemeralVolume")]
        for mode in (mode for modes in lists if isinstance(modes, list) for mode in modes):
            if isinstance(mode, str) and mode not in ACCESS_MODES:
                yield Problem(task, f"task {task.name!r} asks for the access mode {mode!r}", mark=mode)


def find_invalid_labels(pipeline: PipelineView) -> Iterator[Problem]:
    for task in pipeline.tasks:
        labels = dig(task.settings, "podMetadata", "labels")
        for key, value in labels.items() if isinstance(labels, dict) else ():
            if not _LABEL_KEY.fullmatch(key):
                yield Problem(task, f"task {task.name!r} has a label with the invalid key {key!r}", mark=key)
            elif not _LABEL_VALUE.fullmatch(str(value)):
                yield Problem(task, f"task {task.name!r} has the label {key!r} with an invalid value", mark=str(value))
