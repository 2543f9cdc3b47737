"""Cache keys: a digest of everything that the result of a task depends on.

Two attempts with the same key would leave the same outputs. So a key covers everything that can change a result, and
nothing else: no path or name of a run, no comment in the code.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Iterator, Mapping

from standpipe.errors import StandpipeError
from standpipe.model.attempts import Mount, PodManifest, PodSettings, TaskRequest
from standpipe.model.cancellation import Cancellation
from standpipe.model.cluster_differences import SP116, decides
from standpipe.model.component_changes import code_digest, describe_modules
from standpipe.model.events import StartAttempt
from standpipe.model.frozen import frozen
from standpipe.model.own_modules import files_readers
from standpipe.model.plan import Command, Component, Importer, PythonFunction
from standpipe.model.templates import Argument, Concat, IfPresent, JobField, JsonEscape, Placeholder, Template
from standpipe.model.types import ArtifactInput, ArtifactOutput, Input, Json, Output
from standpipe.model.values import ArtifactValue, Value, find_artifacts
from standpipe.support.checksums import compute_checksum
from standpipe.support.file_digests import SHA256

#: Increased with every change of what keys are made of, so that no key means two things.
_FORMAT = 1

#: The fingerprint of the runner for a result in which no runner takes part.
_NO_RUNNER = "-"

#: Returns what identifies the content of an artifact; None if that cannot be read (`execution.checksums`).
DigestFunction = Callable[[ArtifactValue], str | None]


@frozen
class KeyInputs:
    """Everything that goes into a cache key.

    `text` describes all but the runner, whose `fingerprint` is asked for whenever the key is computed. `former` returns
    the key by which an older Standpipe stored the same result; empty if that is no other one.
    """

    text: str
    fingerprint: Callable[[], str] = lambda: _NO_RUNNER
    former: Callable[[], str] = lambda: ""

    def compute_key(self) -> str:
        """Return the key: 64 hexadecimal digits; empty as long as the runner does not know its fingerprint."""
        fingerprint = self.fingerprint()
        return hashlib.sha256(f"{self.text}\n{fingerprint}".encode()).hexdigest() if fingerprint else ""


class _NoKey(StandpipeError):
    """The result depends on something whose content cannot be read."""


@decides(SP116)
def collect_task_inputs(
    command: StartAttempt,
    component: Component,
    program: Command | PythonFunction,
    request: TaskRequest,
    *,
    workspace_paths: Iterable[str],
    field: Callable[[str], str],
    fingerprint: Callable[[TaskRequest], str],
    digest: DigestFunction,
) -> KeyInputs | None:
    """Return what the result of an attempt depends on; None if it is not to be cached.

    Args:
        command: the attempt, with the inputs of its task.
        component: the component that runs.
        program: its program, with its placeholders, as their values may be paths of this run.
        request: the request to the runner.
        workspace_paths: where the run's workspace is. Its content may be another in the next run.
        field: returns the values of the placeholders about the run and the task.
        fingerprint: returns the fingerprint of the runner.
        digest: returns what identifies the content of an artifact.
    """
    if command.caching is None or not command.caching.enabled or request.debug or request.pause:
        return None
    if _has_side_effects(request.pod) or (isinstance(program, PythonFunction) and files_readers(program)):
        return None
    parameters = request.executor_input["inputs"]["parameterValues"]
    code, fields = _describe_program(program, field)
    locations = [artifact.location for artifact in find_artifacts(command.inputs.values())]
    if _mentions(workspace_paths, [parameters, fields, locations]):
        return None
    if command.caching.key:
        return _use_custom_key(command, component)
    try:
        content = {
            "program": code,
            "fields": fields,
            "interface": _describe_interface(component),
            "env": _sort({**request.env, **request.pod.env}),
            "mounts": [_describe_mount(mount) for mount in request.pod.mounts],
            **_describe_init_containers(request.pod),
            **_describe_manifest(request.pod.manifest),
            "parameters": _sort(parameters),
            "artifacts": _sort({name: _describe_artifacts(value, digest) for name, value in command.inputs.items()}),
        }
    except _NoKey:
        return None
    return KeyInputs(_to_text("task", content), lambda: fingerprint(request))


def collect_import_inputs(
    command: StartAttempt, component: Component, importer: Importer, artifact: ArtifactValue, digest: DigestFunction
) -> KeyInputs | None:
    """Return what the result of an import depends on: its content, where it can be read. None as for tasks."""
    if command.caching is None or not command.caching.enabled or importer.reimport or importer.download_to_workspace:
        return None
    if command.caching.key:
        return _use_custom_key(command, component)
    try:
        return KeyInputs(_to_text("import", [_describe_interface(component), _describe_artifact(artifact, digest)]))
    except _NoKey:
        return None


def _use_custom_key(command: StartAttempt, component: Component) -> KeyInputs:
    """Return the author's own key. As on a cluster, it replaces everything that goes in."""
    assert command.caching is not None, "it has a key"
    outputs = _describe_interface(component)["outputs"]
    return KeyInputs(_to_text("author", [command.caching.key, command.component, outputs]))


def _to_text(kind: str, content: Json) -> str:
    return json.dumps([_FORMAT, kind, content], separators=(",", ":"))


def _sort(items: Mapping[str, Json]) -> dict[str, Json]:
    """Return the items by name. Values stay as they are: code may tell one order of a dict from another."""
    return dict(sorted(items.items()))


def _has_side_effects(pod: PodSettings) -> bool:
    """Return whether an attempt does more than leave its outputs, or may run in a newer image than the local one."""
    leaves_files = any(not (mount.read_only or mount.temporary) for mount in pod.mounts)
    return pod.pull_policy == "Always" or leaves_files or pod.manifest.mounts_claims


def _mentions(paths: Iterable[str], content: Json) -> bool:
    text = json.dumps(content)
    return any(json.dumps(path)[1:-1] in text for path in paths)


def _describe_interface(component: Component) -> dict[str, Json]:
    return {
        "inputs": _sort({name: _describe_port(port) for name, port in component.inputs.items()}),
        "outputs": _sort({name: _describe_port(port) for name, port in component.outputs.items()}),
    }


def _describe_port(port: Input | Output) -> Json:
    is_list = isinstance(port, (ArtifactInput, ArtifactOutput)) and port.is_list
    return [str(port.type), is_list]


def _describe_mount(mount: Mount) -> Json:
    """Describe a mount and its content, such as a secret. Only a digest of the whole description is ever stored.

    It is always the SHA-256, so that the key stays what it was: such content is small.
    """
    if not mount.read_only:
        return [mount.path, ""]
    checksum = compute_checksum(str(mount.source), Cancellation(), algorithm=SHA256)
    if not checksum:
        raise _NoKey
    return [mount.path, checksum.digest]


def _describe_init_containers(pod: PodSettings) -> dict[str, Json]:
    """Describe init containers and sidecars; nothing without any, so that keys of other tasks stay as they were."""
    described: list[Json] = [
        [
            container.image,
            list(container.command),
            list(container.args),
            _sort(container.env),
            [_describe_mount(mount) for mount in container.mounts],
            container.is_sidecar,
        ]
        for container in pod.init_containers
    ]
    return {"init_containers": described} if described else {}


def _describe_manifest(manifest: PodManifest) -> dict[str, Json]:
    """Describe what a pod of a cluster has; nothing without settings.

    The values of secrets and config maps are not known here. On a cluster of KFP they are not part of a key either.
    """
    parts: dict[str, Json] = {
        "env": manifest.env,
        "initContainers": manifest.init_containers,
        "securityContext": manifest.security_context,
        "volumeMounts": manifest.volume_mounts,
        "volumes": manifest.volumes,
    }
    described = {name: part for name, part in parts.items() if part}
    return {"manifest": described} if described else {}


def _describe_artifacts(value: Value, digest: DigestFunction) -> Json:
    return [_describe_artifact(artifact, digest) for artifact in find_artifacts([value])]


def _describe_artifact(artifact: ArtifactValue, digest: DigestFunction) -> Json:
    """Describe an artifact by type, metadata and content, wherever it is and whatever its name."""
    content = digest(artifact)
    if content is None:
        raise _NoKey
    return [str(artifact.type), dict(artifact.metadata), content]


# --- programs ---------------------------------------------------------------------------------------------------------


def _describe_program(program: Command | PythonFunction, field: Callable[[str], str]) -> tuple[Json, dict[str, str]]:
    """Describe a program, and the values of its placeholders about the run and the task, by name."""
    if isinstance(program, Command):
        arguments = (*program.command, *program.args)
        names = sorted({name for argument in arguments for name in _job_fields(argument)})
        return [list(map(str, program.command)), list(map(str, program.args))], {name: field(name) for name in names}
    return {
        "function": program.name,
        "code": code_digest(program.source),
        "packages": sorted(program.packages),
        "indexes": program.index_urls,
        "venv": program.use_venv,
        "classes": _sort({name: code_digest(source) for name, source in program.artifact_classes.items()}),
        # Nothing without any, so that keys of other components stay as they were.
        **({"modules": [list(each) for each in describe_modules(program)]} if program.modules else {}),
    }, {}


def _job_fields(argument: Argument) -> Iterator[str]:
    """Yield the names of the placeholders about the run and the task in an argument."""
    if isinstance(argument, Template):
        for part in argument.parts:
            yield from () if isinstance(part, str) else _job_field(part)
    elif isinstance(argument, (Concat, IfPresent)):
        for inner in argument.items if isinstance(argument, Concat) else _branches(argument):
            yield from _job_fields(inner)


def _branches(argument: IfPresent) -> Iterator[Argument]:
    for branch in (argument.then, argument.otherwise):
        if branch is not None:
            yield from branch if isinstance(branch, tuple) else (branch,)


def _job_field(placeholder: Placeholder) -> Iterator[str]:
    if isinstance(placeholder, JsonEscape):
        yield from _job_field(placeholder.inner)
    elif isinstance(placeholder, JobField):
        yield placeholder.name
