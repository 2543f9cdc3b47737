"""Why a task was a cache hit or not: the parts of its cache key, compared with those in an earlier run.

The run store has no cache keys. What it has of their parts is compared by the rules of `execution.cache.keys`; the
runner's environment, and the content of mounts, it does not have.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping

from standpipe.history import Artifact, Task
from standpipe.history.records import Value
from standpipe.model.component_changes import code_digest, describe_modules
from standpipe.model.frozen import frozen
from standpipe.model.plan import Caching, Command, Container, Importer, Plan, PythonFunction
from standpipe.model.types import Json
from standpipe.ui.rendering import link
from standpipe.ui.views.planned import PlannedTask, find_planned
from standpipe.ui.views.values import format_json

#: The most characters of a value in a difference.
_MAX_VALUE = 120

#: What a placeholder in a command begins with that has another value in each run.
_RUN_PLACEHOLDERS = ("{{$.pipeline_job_", "{{$.pipeline_task_uuid")


@frozen
class KeyPart:
    """A part of a cache key.

    `state` is `same`, `changed`, `new` if there is no earlier run to compare with, or `each` if it differs in each run.
    """

    name: str
    state: str
    now: str
    before: str = ""


@frozen
class CacheView:
    """What the cache did for a task.

    Attributes:
        verdict: `hit`, `miss`, `disabled`, or `none` for what is never cached.
        headline: the verdict with its reason.
        origin_href: the address of the task that the outputs come from.
        compared_with: the id of the earlier run; empty if there is none.
        compared_href: the address of the task in it.
        parts: the parts of the key, changed ones first.
        unknown: what else the key is made of.
    """

    verdict: str
    headline: str
    origin_href: str = ""
    compared_with: str = ""
    compared_href: str = ""
    parts: tuple[KeyPart, ...] = ()
    unknown: str = ""


@frozen
class RecordedTask:
    """A task of a run, with the Plan of the run."""

    run: str
    plan: Plan | None
    task: Task


def view_cache(now: RecordedTask, before: RecordedTask | None) -> CacheView:
    """Return what the cache did for a task.

    Args:
        now: the task.
        before: the same task in the newest earlier run of the pipeline that has it; None if there is none.
    """
    planned = find_planned(now.plan, now.task)
    if now.task.children or (planned is not None and planned.executor is None):
        return CacheView("none", "Not cached: only tasks that execute something are. The tasks in it have cache keys.")
    parts = tuple(sorted(_compare(now, planned, before), key=lambda part: part.state == "same"))
    compared = before.run if before else ""
    href = link("runs", before.run, tab="tasks", task=before.task.path, panel="cache") if before else ""
    verdict, headline, origin = _decide(now.task, planned, before, parts)
    custom_key = planned is not None and planned.node.caching is not None and planned.node.caching.key
    unknown = "" if custom_key or verdict == "disabled" else _UNKNOWN
    return CacheView(verdict, headline, origin, compared, href, parts, unknown)


_UNKNOWN = (
    "The run store does not know the runner's environment (the version of Python, the digest of the image) and the "
    "content of mounted secrets and config maps, which are parts of the key as well."
)


def _decide(
    task: Task, planned: PlannedTask | None, before: RecordedTask | None, parts: tuple[KeyPart, ...]
) -> tuple[str, str, str]:
    """Return the verdict, the headline, and the address of the origin of the outputs."""
    if task.cached_from:
        run, _, path = task.cached_from.partition("/")
        return (
            "hit",
            f"Cache hit: the outputs are those of {task.cached_from}.",
            link("runs", run, tab="tasks", task=path),
        )
    disabled = _why_disabled(planned)
    if disabled:
        return "disabled", f"Caching is disabled: {disabled}", ""
    if not task.attempts:
        return "none", "It has not started, so nothing was looked up.", ""
    if before is None:
        return "miss", "No cache hit: no earlier run of this pipeline has this task.", ""
    differences = [_describe(part) for part in parts if part.state in ("changed", "each")]
    if differences:
        return "miss", f"No cache hit: {'; '.join(differences[:3])}{'; …' if len(differences) > 3 else ''}.", ""
    return "miss", f"No cache hit, though {_SAME}", ""


_SAME = (
    "nothing that the run store knows differs from the earlier run: either caching was off in one of the two runs "
    "(enable_caching=True or --cache turns it on), or the earlier task did not succeed, or the runner's environment, "
    "a mount or a payload has changed."
)


def _why_disabled(planned: PlannedTask | None) -> str:
    if planned is None or planned.node.caching is None:
        return ""
    if not planned.node.caching.enabled:
        return "the task has set_caching_options(False), or is a rerun."
    if planned.kubernetes.get("pvcMount"):
        return "the task mounts a PVC, which it may write to."
    if planned.kubernetes.get("imagePullPolicy") == "Always":
        return "the task pulls its image each time."
    executor = planned.executor
    if isinstance(executor, Importer) and executor.reimport:
        return "the importer has reimport=True."
    if isinstance(executor, Importer) and executor.download_to_workspace:
        return "the importer downloads to the workspace."
    return ""


def _describe(part: KeyPart) -> str:
    if part.state == "each":
        return f"{part.name} differs in each run"
    if (
        part.name != "code"  # whose digests say nothing to a person
        and part.before
        and part.now
        and len(part.before) + len(part.now) < _MAX_VALUE
        and "\n" not in part.before + part.now
    ):
        if part.before == part.now:  # the names are the same, and the content is not
            return f"{part.name} changed: {part.now}"
        return f"{part.name} {part.before} → {part.now}"
    return f"{part.name} changed"


# --- parts ------------------------------------------------------------------------------------------------------------


def _compare(now: RecordedTask, planned: PlannedTask | None, before: RecordedTask | None) -> Iterator[KeyPart]:
    """Yield the parts of the key of a task, compared with those of an earlier one."""
    earlier = find_planned(before.plan, before.task) if before else None
    new = dict(_parts(now.task, planned))
    old = dict(_parts(before.task, earlier)) if before else {}
    has_old_plan = earlier is not None
    for name in dict.fromkeys((*new, *old)):
        content, shown = new.get(name, (None, ""))
        old_content, old_shown = old.get(name, (None, ""))
        if content == _EACH_RUN:
            yield KeyPart(name, "each", shown)
        elif before is None or (not has_old_plan and not name.startswith(("parameter ", "artifact "))):
            yield KeyPart(name, "new", shown)
        elif content == old_content:
            yield KeyPart(name, "same", shown)
        else:
            yield KeyPart(name, "changed", shown or "none", old_shown or "none")


#: The content of a part that has another value in each run.
_EACH_RUN = object()

#: The content of a part, which is compared, and the text that is shown of it.
_Part = tuple[object, str]


def _parts(task: Task, planned: PlannedTask | None) -> Iterator[tuple[str, _Part]]:
    """Yield the parts of a cache key by name."""
    caching = planned.node.caching if planned else None
    if planned and caching and caching.key:
        yield from _custom_key(planned, caching)
        return
    if planned:
        yield from _program(planned)
        yield "interface", _interface(planned)
    for name, value in task.inputs.items():
        yield from _input(name, value)


def _custom_key(planned: PlannedTask, caching: Caching) -> Iterator[tuple[str, _Part]]:
    yield "cache_key", (caching.key, caching.key)
    yield "component", (planned.node.component, planned.node.component.removeprefix("comp-"))
    outputs = {name: str(port.type) for name, port in planned.component.outputs.items()}
    yield "outputs", (outputs, ", ".join(outputs))


def _program(planned: PlannedTask) -> Iterator[tuple[str, _Part]]:
    container = planned.container
    if container is None:
        if isinstance(planned.executor, Importer):
            yield "importer", (planned.executor, f"imports {planned.executor.type.label}")
        return
    program = container.program
    if isinstance(program, PythonFunction):
        yield from _function(program)
    else:
        yield "command", _command(program)
    yield "image", (container.image, str(container.image))
    yield from _variables(container)
    if planned.kubernetes:
        yield "Kubernetes settings", (_as_in_key(dict(planned.kubernetes)), ", ".join(planned.kubernetes))


def _function(function: PythonFunction) -> Iterator[tuple[str, _Part]]:
    digest = code_digest(function.source)
    classes = {name: code_digest(source) for name, source in function.artifact_classes.items()}
    yield "code", ((function.name, digest, classes), f"{function.name}, {digest[:12]}")
    if function.modules:
        yield "own modules", (describe_modules(function), ", ".join(each.name for each in function.modules))
    packages = sorted(function.packages)
    yield "packages", (packages, ", ".join(packages) or "none")
    if function.index_urls or function.use_venv:
        yield "package indexes", ((function.index_urls, function.use_venv), ", ".join(function.index_urls) or "default")


def _command(program: Command) -> _Part:
    text = " ".join(map(str, (*program.command, *program.args)))
    is_of_run = any(placeholder in text for placeholder in _RUN_PLACEHOLDERS)
    return (_EACH_RUN if is_of_run else text, _shorten(text))


def _variables(container: Container) -> Iterator[tuple[str, _Part]]:
    for name, value in sorted(container.env.items()):
        yield f"variable {name}", (value, _shorten(value))


def _interface(planned: PlannedTask) -> _Part:
    def describe(ports: Mapping[str, object]) -> dict[str, tuple[str, bool]]:
        return {name: (str(getattr(port, "type", "")), getattr(port, "is_list", False)) for name, port in ports.items()}

    inputs, outputs = describe(planned.component.inputs), describe(planned.component.outputs)
    return ((inputs, outputs), f"{', '.join(inputs) or 'no inputs'} → {', '.join(outputs) or 'no outputs'}")


def _input(name: str, value: Value) -> Iterator[tuple[str, _Part]]:
    listed = value if isinstance(value, list) else [value]
    artifacts = [each for each in listed if isinstance(each, Artifact)]
    if not artifacts:
        yield f"parameter {name}", (_as_in_key(value), _shorten(format_json(value)))
        return
    content = [(each.type, dict(each.metadata), each.digest or each.uri) for each in artifacts]
    digests = ", ".join(_short_digest(each) for each in artifacts[:3])
    yield f"artifact {name}", (content, digests + (f" and {len(artifacts) - 3} more" if len(artifacts) > 3 else ""))


def _as_in_key(value: Json) -> object:
    """Return what tells a value from others as a key does: by its JSON, in the order of its keys."""
    try:
        return json.dumps(value)
    except ValueError:  # an integer with too many digits for Python
        return value


def _short_digest(artifact: Artifact) -> str:
    algorithm, separator, digest = artifact.digest.partition(":")
    return f"{algorithm}:{digest[:12]}" if separator else artifact.uri


def _shorten(text: str) -> str:
    one_line = " ".join(text.split())
    return one_line if len(one_line) <= _MAX_VALUE else f"{one_line[:_MAX_VALUE]}…"
