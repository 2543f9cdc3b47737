"""The side panel of a task: its inputs and outputs, what is known of its attempts and its environment."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

from standpipe.history import Attempt, Run, Task
from standpipe.history.records import first_line, format_time
from standpipe.model.frozen import frozen
from standpipe.model.plan import Command, Container, Importer, Node, Plan, PythonFunction
from standpipe.model.resources import QuantityError, parse_cpu, parse_memory
from standpipe.support.durations import format_duration
from standpipe.support.shell_commands import standpipe_command
from standpipe.support.terminal_text import strip_controls
from standpipe.ui.rendering import format_bytes, link
from standpipe.ui.views.code import Source
from standpipe.ui.views.details import CommandLine, Fact
from standpipe.ui.views.failures import FailureView, describe_ending, view_failure
from standpipe.ui.views.planned import PlannedTask, find_planned
from standpipe.ui.views.spec import describe_location, function_of, view_source
from standpipe.ui.views.states import state_of
from standpipe.ui.views.tasks import kind_of, title_of
from standpipe.ui.views.values import ValueView, format_json, read_previews, view_value, view_values

#: The sections of the panel, by their names in addresses.
PANELS = {"io": "Input/Output", "details": "Task Details", "logs": "Logs", "cache": "Cache"}

#: The least seconds of CPU of which an average says anything.
_LEAST_CPU = 0.1

#: The most attempts that are listed.
_MAX_ATTEMPTS = 100


@frozen
class AttemptRow:
    """An attempt of the task."""

    number: int
    state: str
    started: datetime
    seconds: float | None
    ending: str
    cpu_seconds: float | None
    peak_memory: int | None
    log_lines: int | None
    warm_imports: bool
    message: str
    log_href: str


@frozen
class Usage:
    """What a task used of something that it has a limit for. `share` is from 0 to 100; None without a limit."""

    label: str
    used: str
    limit: str
    share: float | None


@frozen
class TaskHeader:
    """What the panel shows above its sections: `steps` lead to the tasks around it."""

    path: str
    name: str
    kind: str
    state: str
    steps: tuple[tuple[str, str], ...]
    seconds: float | None
    started: datetime | None
    open_ended: bool
    cached_from: str
    cached_href: str
    note: str
    can_rerun: bool


@frozen
class InputOutput:
    """The section Input/Output."""

    item: ValueView | None
    inputs: tuple[ValueView, ...]
    outputs: tuple[ValueView, ...]
    has_ended: bool


@frozen
class TaskDetails:
    """The section Task Details."""

    failure: FailureView | None
    attempts: tuple[AttemptRow, ...]
    more_attempts: int
    facts: tuple[Fact, ...]
    usage: tuple[Usage, ...]
    environment: tuple[Fact, ...]
    variables: tuple[tuple[str, str], ...]
    command: str
    kubernetes: str
    source: Source | None
    commands: tuple[CommandLine, ...]


def view_header(run: Run, task: Task, plan: Plan | None, now: datetime, *, tab: str) -> TaskHeader:
    """Return what the panel shows above its sections.

    Args:
        run: the run.
        task: the task.
        plan: its Plan, which has the display name; None if that is not known.
        now: the time by which a task in progress is measured.
        tab: the tab in which links open.
    """
    is_open = task.started is not None and task.ended is None and task.status.value in ("RUNNING", "READY")
    run_of_origin, _, path = task.cached_from.partition("/")
    return TaskHeader(
        path=task.path,
        name=title_of(plan, task),
        kind=kind_of(task),
        state=state_of(task),
        steps=tuple(_steps(run, task, tab)),
        seconds=max(0.0, (now - task.started).total_seconds()) if is_open and task.started else task.duration,
        started=task.started,
        open_ended=is_open,
        cached_from=task.cached_from,
        cached_href=link("runs", run_of_origin, tab="tasks", task=path) if task.cached_from else "",
        note=strip_controls(task.skip_reason),
        can_rerun=bool(task.rerun_command),
    )


def _steps(run: Run, task: Task, tab: str) -> Iterator[tuple[str, str]]:
    """Yield the names of the tasks around a task, the outermost first, each with its address."""
    ref, steps = task._ref.whole, []
    while ref.path:
        name = ref.name if ref.iteration is None else str(ref.iteration)
        steps.append((name, link("runs", run.id, tab=tab, task=str(ref))))
        ref = ref.whole
    yield from reversed(steps)


def read_input_output(run: Run, task: Task) -> InputOutput:
    """Return the section Input/Output, with previews of artifacts."""
    root = run.folder.parent
    return InputOutput(
        item=None if task.iteration is None else view_value(run.id, "item", task.item),
        inputs=read_previews(view_values(run.id, task.inputs), root),
        outputs=read_previews(view_values(run.id, task.outputs), root),
        has_ended=task.ended is not None,
    )


def view_task_details(run: Run, plan: Plan | None, task: Task, *, tab: str) -> TaskDetails:
    """Return the section Task Details.

    Args:
        run: the run.
        plan: its Plan; None if it was recorded without one.
        task: the task.
        tab: the tab in which links open.
    """
    planned = find_planned(plan, task)
    container = planned.container if planned else None
    function = function_of(plan, planned.component) if plan and planned else None
    location = planned.component.source_location if planned else None
    return TaskDetails(
        failure=view_failure(run.id, task.failure, tab) if task.failure else None,
        attempts=tuple(_attempt(run, task, each) for each in task.attempts[-_MAX_ATTEMPTS:]),
        more_attempts=max(0, len(task.attempts) - _MAX_ATTEMPTS),
        facts=tuple(_facts(task, planned)),
        usage=tuple(_usage(task, container)) if task.attempts else (),
        environment=tuple(_environment(planned)) if planned else (),
        variables=tuple((container.env or {}).items()) if container else (),
        command=_command(container) if container else "",
        kubernetes=format_json(dict(planned.kubernetes)) if planned and planned.kubernetes else "",
        source=view_source(function, location, function.name) if function else None,
        commands=tuple(_commands(run, task)),
    )


def _attempt(run: Run, task: Task, attempt: Attempt) -> AttemptRow:
    return AttemptRow(
        number=attempt.number,
        state=attempt.status.value,
        started=attempt.started,
        seconds=attempt.duration,
        ending=describe_ending(attempt.failure),
        cpu_seconds=attempt.cpu_seconds,
        peak_memory=attempt.peak_memory,
        log_lines=attempt.log_lines,
        warm_imports=attempt.warm_imports,
        message=strip_controls(first_line(attempt.failure.message)) if attempt.failure else "",
        log_href=link("runs", run.id, tab="logs", task=task.path, attempt=attempt.number),
    )


def _facts(task: Task, planned: PlannedTask | None) -> Iterator[Fact]:
    yield Fact("Task", task.path, copy=True)
    if planned:
        yield Fact("Component", planned.node.component.removeprefix("comp-"))
    if task.started and task.ready and task.attempts:
        yield Fact("Waited", format_duration(max(0.0, (task.started - task.ready).total_seconds())))
    if task.started:
        yield Fact("Started", format_time(task.started))
    if task.ended:
        yield Fact("Ended", format_time(task.ended))
    if planned and planned.node.source_location:
        yield Fact("Called at", describe_location(planned.node.source_location), copy=True)
    if planned and planned.component.source_location:
        yield Fact("Defined at", describe_location(planned.component.source_location), copy=True)
    if task.attempts:
        yield Fact("Folder", str(task.attempts[-1].folder), copy=True)


# --- resources --------------------------------------------------------------------------------------------------------


def _usage(task: Task, container: Container | None) -> Iterator[Usage]:
    """Yield what the last attempt used, against the limits of the Plan."""
    last = task.attempts[-1]
    resources = container.resources if container else None
    cpu_limit = str(resources.cpu_limit) if resources else ""
    memory_limit = str(resources.memory_limit) if resources else ""
    if last.cpu_seconds is not None:
        cores = last.cpu_seconds / last.duration if last.duration and last.cpu_seconds >= _LEAST_CPU else None
        used = format_duration(last.cpu_seconds)
        if cores is not None:
            used += f", {cores:.2g} cores on average"
        limit = f"limit {cpu_limit} {'core' if cpu_limit == '1' else 'cores'}" if cpu_limit else ""
        yield Usage("CPU", used, limit, _share(cores, _cores(cpu_limit)))
    if last.peak_memory is not None:
        share = _share(last.peak_memory, _bytes(memory_limit))
        limit = f"limit {memory_limit}" if memory_limit else ""
        yield Usage("Memory", f"{format_bytes(last.peak_memory)} at most", limit, share)
    if resources and resources.accelerator_count:
        accelerators = f"{resources.accelerator_count} of {resources.accelerator_type or 'accelerator'}"
        yield Usage("Accelerators", accelerators, "", None)


def _share(used: float | None, limit: float | None) -> float | None:
    return round(min(100.0, 100 * used / limit), 1) if used is not None and limit else None


def _cores(quantity: str) -> float | None:
    try:
        return parse_cpu(quantity)
    except QuantityError:  # unset, or a placeholder
        return None


def _bytes(quantity: str) -> int | None:
    try:
        return parse_memory(quantity)
    except QuantityError:
        return None


# --- what the Plan says -----------------------------------------------------------------------------------------------


def _environment(planned: PlannedTask) -> Iterator[Fact]:
    container = planned.container
    if container:
        yield Fact("Image", str(container.image), copy=True)
        program = container.program
        if isinstance(program, PythonFunction):
            yield from _python(program)
        yield from _requests(container)
    elif isinstance(planned.executor, Importer):
        yield Fact("Imports", planned.executor.type.label)
        if isinstance(planned.executor.uri, str):
            yield Fact("URI", planned.executor.uri, copy=True)
    yield from _policies(planned.node)


def _python(function: PythonFunction) -> Iterator[Fact]:
    yield Fact("Function", function.name)
    yield Fact("Packages", ", ".join(function.packages) or "none besides those of the image")
    if function.index_urls:
        yield Fact("Package indexes", ", ".join(function.index_urls))
    if function.use_venv:
        yield Fact("Virtual environment", "yes")


def _requests(container: Container) -> Iterator[Fact]:
    resources = container.resources
    requests = [("CPU", resources.cpu_request), ("memory", resources.memory_request)]
    limits = [("CPU", resources.cpu_limit), ("memory", resources.memory_limit)]
    for label, quantities in (("Requests", requests), ("Limits", limits)):
        text = ", ".join(f"{name} {quantity}" for name, quantity in quantities if quantity)
        if text:
            yield Fact(label, text)


def _policies(node: Node) -> Iterator[Fact]:
    if node.retry and node.retry.max_retries:
        retry = node.retry
        delay = f", after {retry.backoff_duration:g} s, then {retry.backoff_factor:g} times as long each time"
        yield Fact("Retries", f"at most {retry.max_retries}{delay if retry.backoff_duration else ''}")
    if node.trigger.condition is not None:
        yield Fact("Condition", str(node.trigger.condition))
    if node.loop and node.loop.parallelism:
        yield Fact("Parallelism", f"at most {node.loop.parallelism} iterations")
    if node.caching is not None and node.caching.key:
        yield Fact("Cache key", node.caching.key)
    elif node.caching is not None and not node.caching.enabled:
        yield Fact("Caching", "disabled")


def _command(container: Container) -> str:
    """Return the command of a container component, an argument a line."""
    if not isinstance(container.program, Command):
        return ""
    return strip_controls("\n".join(map(str, (*container.program.command, *container.program.args))))


def _commands(run: Run, task: Task) -> Iterator[CommandLine]:
    if not task.rerun_command:
        return
    root = run.folder.parent
    yield CommandLine("Rerun this task with its recorded code", task.rerun_command)
    debug = standpipe_command("rerun", root, run.id, task.path, flags=("--debug",))
    yield CommandLine("Rerun it under Python's debugger", debug)
    yield CommandLine("Print its log", standpipe_command("show", root, run.id, task.path, "--log"))
