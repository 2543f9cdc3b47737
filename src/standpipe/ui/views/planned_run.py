"""What a run would do with each task: the dry run of `standpipe run --dry-run` as values that commands print."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress

from standpipe.errors import StandpipeError
from standpipe.history import Artifact, Status
from standpipe.history.records import Value
from standpipe.history.render import format_value
from standpipe.model.evaluation import select
from standpipe.model.expressions import ExpressionError
from standpipe.model.frozen import field, frozen
from standpipe.model.plan import Constant, Container, FinalStatus, FromInput, PythonFunction
from standpipe.model.templates import print_value
from standpipe.runs.dry_run import DryRun
from standpipe.ui.views.cache import RecordedTask, view_cache
from standpipe.ui.views.conditions import describe_source, readable_name
from standpipe.ui.views.layers import Layer, Member, find_layer
from standpipe.ui.views.plan_layers import describe_start, in_order, inner_layer
from standpipe.ui.views.values import format_json

#: What happens with a task: it runs, its outputs come from the cache, an importer names its artifact, it is skipped, it
#: fails before it starts, it depends on what is known later, or it has tasks of its own.
RUN, CACHED, IMPORT, SKIP, FAIL, LATER, GROUP = "run", "cached", "import", "skip", "fail", "later", "group"

#: The most characters of a value.
_MAX_VALUE = 60

#: Returns the same task in an earlier run, to say why it is not cached.
FindEarlier = Callable[[RecordedTask], RecordedTask | None]


@frozen
class PlannedStep:
    """A task of a dry run.

    Attributes:
        path: its path; that of an iteration ends with its number.
        name: its name for people.
        kind: as `Member.kind`.
        action: one of the actions above.
        reason: why it is cached, skipped or not cached, or what it depends on.
        starts: its condition, its loop and the tasks that it waits for, in words.
        image: the image of its container; empty without one.
        function: the name of its Python function; empty if it has none.
        packages: the packages that it installs.
        is_prepared: whether its environment or image exists; None if that is not known or it has none.
        inputs: its inputs as text: values as far as they are known, otherwise where they come from.
        values: the inputs whose values are known.
        children: the tasks in it.
    """

    path: str
    name: str
    kind: str
    action: str
    reason: str = ""
    starts: tuple[str, ...] = ()
    image: str = ""
    function: str = ""
    packages: tuple[str, ...] = ()
    is_prepared: bool | None = None
    inputs: Mapping[str, str] = field(default_factory=dict)
    values: Mapping[str, Value] = field(default_factory=dict)
    children: tuple[PlannedStep, ...] = ()

    def walk(self) -> Iterator[PlannedStep]:
        """Yield it and the tasks in it, each before its children."""
        yield self
        for child in self.children:
            yield from child.walk()


def view_dry_run(dry: DryRun, find_earlier: FindEarlier) -> tuple[PlannedStep, ...]:
    """Return the tasks of a dry run, in the order in which they can start.

    Args:
        dry: the dry run.
        find_earlier: finds a task in an earlier run.
    """
    layer = find_layer(dry.run, dry.plan)
    return _View(dry, find_earlier).steps(layer) if layer else ()


class _View:
    def __init__(self, dry: DryRun, find_earlier: FindEarlier) -> None:
        self._dry = dry
        self._find_earlier = find_earlier

    def steps(self, layer: Layer, *, is_reached: bool = True) -> tuple[PlannedStep, ...]:
        """Return the tasks of a layer; for a loop that the run reaches, its iterations."""
        if layer.is_loop:
            return tuple(self._iteration(layer, number) for number in layer.iterations)
        return tuple(self._step(layer, member, is_reached=is_reached) for member in in_order(layer))

    def _iteration(self, layer: Layer, number: int) -> PlannedStep:
        member = layer.iteration(number)
        inner = layer.open(member)
        item = member.task.item if member.task else None
        if member.is_group:
            steps = self.steps(inner)
            return PlannedStep(
                member.path,
                str(number),
                "iteration",
                GROUP,
                inputs={"item": _shorten(format_value(item))},
                values={"item": item},
                children=steps,
            )
        return self._step(layer, member, is_reached=True)

    def _step(self, layer: Layer, member: Member, *, is_reached: bool) -> PlannedStep:
        action, reason = self._decide(layer, member, is_reached=is_reached)
        executor = member.executor if isinstance(member.executor, Container) else None
        function = executor.program if executor and isinstance(executor.program, PythonFunction) else None
        return PlannedStep(
            path=member.path,
            name=member.title,
            kind=member.kind,
            action=action,
            reason=self._dry.redactor.redact_text(reason),
            starts=tuple(describe_start(layer, member)),
            image=str(executor.image) if executor else "",
            function=function.name if function else "",
            packages=function.packages if function else (),
            is_prepared=self._is_prepared(executor) if executor and action in (RUN, LATER) else None,
            inputs=dict(_inputs(layer, member)),
            values=dict(_known_values(layer, member)),
            children=self._children(layer, member, action),
        )

    def _children(self, layer: Layer, member: Member, action: str) -> tuple[PlannedStep, ...]:
        if action == GROUP and member.children:
            return self.steps(layer.open(member))
        inside = inner_layer(layer, member) if action == LATER else None
        return self.steps(inside, is_reached=False) if inside else ()

    def _decide(self, layer: Layer, member: Member, *, is_reached: bool) -> tuple[str, str]:
        """Return the action of a task, and its reason."""
        task = member.task
        if task is None:
            return LATER, _describe_wait(layer, member) if is_reached else ""
        if task.status is Status.SKIPPED:
            return SKIP, task.skip_reason
        if task.status is Status.FAILED and task.failure:
            return FAIL, task.failure.message
        if task.children or member.is_group:
            return GROUP, ""
        if task.cached_from:
            return CACHED, f"from {task.cached_from}"
        if task.status is Status.SUCCEEDED:
            return IMPORT, ", ".join(artifact.uri for artifact in task.artifacts)
        return RUN, self._explain_miss(member)

    def _explain_miss(self, member: Member) -> str:
        """Return why a task is not cached; empty if the run does not use the cache at all."""
        task = member.task
        assert task is not None, "it would run"
        if not self._dry.options.enable_caching:
            return ""
        if task.path in self._dry.uncached and (reason := self._dry.uncached[task.path]):
            return reason
        now = RecordedTask(self._dry.run.id, self._dry.plan, task)
        headline = view_cache(now, self._find_earlier(now)).headline
        text = headline.removeprefix("No cache hit: ").removeprefix("No cache hit, ").rstrip(".")
        return text[:1].lower() + text[1:]

    def _is_prepared(self, executor: Container) -> bool | None:
        try:
            return self._dry.is_prepared(executor)
        except StandpipeError:
            return None  # what the runner needs, such as the Docker engine, does not answer


def _describe_wait(layer: Layer, member: Member) -> str:
    """Return the unfinished tasks that a task waits for."""
    upstream = member.node.upstream if member.node else ()
    waits = [
        layer.members[name].title
        for name in upstream
        if name in layer.members and layer.members[name].state != Status.SUCCEEDED.value
    ]
    waits = [name for name in waits if name]
    return f"depends on {', '.join(waits)}" if waits else ""


def _inputs(layer: Layer, member: Member) -> Iterator[tuple[str, str]]:
    """Yield the inputs of a task: their values, or where they come from."""
    known = member.task.inputs if member.task else {}
    bindings = member.node.inputs if member.node else {}
    for name in dict.fromkeys((*bindings, *known)):
        if name in known:
            text = format_value(known[name])
        elif isinstance(binding := bindings[name], Constant):
            text = format_json(binding.value) if not isinstance(binding.value, str) else repr(binding.value)
        elif isinstance(binding, FinalStatus):
            text = f"the final status of {binding.task}"
        elif isinstance(binding, FromInput) and binding.input in layer.inputs:
            text = _describe_known(binding, layer.inputs[binding.input])
        else:
            text = describe_source(binding)
        yield readable_name(name), _shorten(text)


def _known_values(layer: Layer, member: Member) -> Iterator[tuple[str, Value]]:
    """Yield the inputs of a task whose values are known."""
    known = member.task.inputs if member.task else {}
    bindings = member.node.inputs if member.node else {}
    for name in dict.fromkeys((*bindings, *known)):
        if name in known:
            yield readable_name(name), known[name]
        elif isinstance(binding := bindings[name], Constant):
            if print_value(binding.value) == binding.value:  # otherwise it has placeholders
                yield readable_name(name), binding.value
        elif isinstance(binding, FromInput) and binding.input in layer.inputs:
            with suppress(ExpressionError):
                yield readable_name(name), _select(binding, layer.inputs[binding.input])


def _describe_known(binding: FromInput, value: Value) -> str:
    """Return the value of an input whose source is known; its source if the value does not have the part of it."""
    try:
        return format_value(_select(binding, value))
    except ExpressionError:
        return describe_source(binding)


def _select(binding: FromInput, value: Value) -> Value:
    """Return the part of a value that an input gets; raise an ExpressionError if the value does not have it."""
    if binding.selector is None or isinstance(value, Artifact):
        return value
    return select(binding.selector, value)


def _shorten(text: str) -> str:
    one_line = " ".join(text.split())
    return one_line if len(one_line) <= _MAX_VALUE else f"{one_line[:_MAX_VALUE]}…"
