"""What the result of a task depends on, put into words, and then into a key of the cache.

Two attempts with the same key would leave the same. So everything belongs in a key that can change a result, and
nothing else does: no path or name of a run, no comment in the code.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Iterable, Iterator, Mapping

from standpipe.errors import StandpipeError
from standpipe.execution.cache.checksums import Sealer, is_unchanged, payload_of, seal_of
from standpipe.model.component_changes import code_digest
from standpipe.model.events import StartAttempt
from standpipe.model.frozen import frozen
from standpipe.model.plan import Command, Component, Importer, PythonFunction
from standpipe.model.ports import Cancel, Mount, Pod, TaskRequest
from standpipe.model.templates import Argument, Concat, IfPresent, JobField, JsonEscape, Placeholder, Template
from standpipe.model.types import ArtifactInput, ArtifactOutput, Input, Json, Output
from standpipe.model.values import ArtifactValue, Value, artifacts_in

#: Goes up with every change of what is said here, so that no key means two things.
_FORMAT = 1

#: What stands for the runner where it has no part in the result.
_NO_RUNNER = "-"


@frozen
class Work:
    """What an attempt would do, as far as its result goes.

    `words` say all of it but the runner's part, which `fingerprint` gives as long as it is known.
    """

    words: str
    fingerprint: Callable[[], str] = lambda: _NO_RUNNER

    def key(self) -> str:
        """The key of the result: 64 hexadecimal digits; empty while the runner cannot tell its part."""
        part = self.fingerprint()
        return hashlib.sha256(f"{self.words}\n{part}".encode()).hexdigest() if part else ""


class _NoKey(StandpipeError):
    """There is something in the work that cannot be put into words."""


def task_work(
    command: StartAttempt,
    component: Component,
    program: Command | PythonFunction,
    request: TaskRequest,
    *,
    places: Iterable[str],
    field: Callable[[str], str],
    fingerprint: Callable[[TaskRequest], str],
    seal: Sealer,
) -> Work | None:
    """The work of an attempt; None if its result is not to be remembered.

    Args:
        command: what to do; it has the task's inputs.
        component: what runs.
        program: its program, with its placeholders in it: what they stand for may be paths of this run.
        request: what the runner is asked for.
        places: where the run's workspace is. What is in it may be another thing in the next run.
        field: gives the values of the placeholders about the run and the task.
        fingerprint: gives the runner's part.
        seal: seals the payloads that have no seal that holds.
    """
    if command.caching is None or not command.caching.enabled or request.debug or _has_effects(request.pod):
        return None
    parameters = request.executor_input["inputs"]["parameterValues"]
    code, fields = _program(program, field)
    if _mentions(places, [parameters, fields, [artifact.place for artifact in artifacts_in(command.inputs.values())]]):
        return None
    if command.caching.key:
        return _authors_own(command, component)
    try:
        words = {
            "program": code,
            "fields": fields,
            "interface": _interface(component),
            "env": _sorted({**request.env, **request.pod.env}),
            "mounts": [_mount(mount) for mount in request.pod.mounts],
            "parameters": _sorted(parameters),
            "artifacts": _sorted({name: _contents(value, seal) for name, value in command.inputs.items()}),
        }
    except _NoKey:
        return None
    return Work(_in_words("task", words), lambda: fingerprint(request))


def import_work(
    command: StartAttempt, component: Component, importer: Importer, artifact: ArtifactValue, seal: Sealer
) -> Work | None:
    """The work of importing an artifact, by its content where that is on this machine; None as in `task_work`."""
    if command.caching is None or not command.caching.enabled or importer.reimport or importer.download_to_workspace:
        return None
    if command.caching.key:
        return _authors_own(command, component)
    try:
        return Work(_in_words("import", [_interface(component), _content(artifact, seal)]))
    except _NoKey:
        return None


def _authors_own(command: StartAttempt, component: Component) -> Work:
    """As on a cluster, the key that the author gives stands for everything that goes in."""
    assert command.caching is not None, "it has a key"
    return Work(_in_words("author", [command.caching.key, command.component, _interface(component)["outputs"]]))


def _in_words(kind: str, said: Json) -> str:
    return json.dumps([_FORMAT, kind, said], separators=(",", ":"))


def _sorted(items: Mapping[str, Json]) -> dict[str, Json]:
    """Names in order. Values stay as they are: code may tell one order of a dict from another."""
    return dict(sorted(items.items()))


def _has_effects(pod: Pod) -> bool:
    """Whether an attempt does more than leave its outputs, or may run in another image than the one that is here."""
    return pod.pull_policy == "Always" or any(not (mount.read_only or mount.temporary) for mount in pod.mounts)


def _mentions(places: Iterable[str], said: Json) -> bool:
    text = json.dumps(said)
    return any(json.dumps(place)[1:-1] in text for place in places)


def _interface(component: Component) -> dict[str, Json]:
    return {
        "inputs": _sorted({name: _declared(given) for name, given in component.inputs.items()}),
        "outputs": _sorted({name: _declared(given) for name, given in component.outputs.items()}),
    }


def _declared(given: Input | Output) -> Json:
    is_list = isinstance(given, (ArtifactInput, ArtifactOutput)) and given.is_list
    return [str(given.type), is_list]


def _mount(mount: Mount) -> Json:
    """What a task finds at a mount: secrets, for one. Nobody gets to see more of them than a digest of all the work."""
    if not mount.read_only:
        return [mount.path, ""]
    seal = seal_of(str(mount.source), Cancel())
    if seal is None:
        raise _NoKey
    return [mount.path, seal.digest]


def _contents(value: Value, seal: Sealer) -> Json:
    return [_content(artifact, seal) for artifact in artifacts_in([value])]


def _content(artifact: ArtifactValue, seal: Sealer) -> Json:
    """An artifact, wherever it is and whatever its name: its type, its metadata, and the digest of its payload."""
    return [str(artifact.type), dict(artifact.metadata), _payload(artifact, seal)]


def _payload(artifact: ArtifactValue, seal: Sealer) -> str:
    path = payload_of(artifact)
    if not path or not os.path.exists(path):
        return artifact.uri if "://" in artifact.uri else ""  # metrics have no payload
    if artifact.seal and is_unchanged(path, artifact.seal):
        return artifact.seal.digest
    found = seal(path)
    if found is None:
        raise _NoKey
    return found.digest


# --- programs ---------------------------------------------------------------------------------------------------------


def _program(program: Command | PythonFunction, field: Callable[[str], str]) -> tuple[Json, dict[str, str]]:
    """A program in words, and what it says of the run and the task, by name."""
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
        "classes": _sorted({name: code_digest(source) for name, source in program.artifact_classes.items()}),
    }, {}


def _job_fields(argument: Argument) -> Iterator[str]:
    """The names of the placeholders about the run and the task in an argument."""
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
