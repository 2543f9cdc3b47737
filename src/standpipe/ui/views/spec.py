"""The tab Pipeline Spec: the Plan of a run as a compiled file, and the source of its Python components."""

from __future__ import annotations

from collections.abc import Iterator

from markupsafe import Markup

from standpipe.errors import StandpipeError
from standpipe.model.frozen import frozen
from standpipe.model.plan import Component, Container, Dag, ExecutorRef, Plan, PythonFunction, SourceLocation
from standpipe.ui.views.code import Source, highlight

#: The sections of a compiled file that are folded at first.
_FOLDED = {"components", "deploymentSpec", "platforms"}

#: The longest compiled file that a page shows, and the most tasks of its pipeline; others are downloaded. The tasks are
#: counted first, as writing a file of 10,000 tasks takes 0.3 s and 30 MB.
_MAX_SHOWN = 2_000_000
_MAX_TASKS = 5_000
_TOO_LONG = "The file is too long for this page: download it."


@frozen
class SpecSection:
    """A top-level field of a compiled file with its lines."""

    title: str
    lines: int
    is_open: bool
    html: Markup


@frozen
class SpecView:
    """The tab. `problem` says why there is no file; `text` is the file, `location` where the pipeline is defined."""

    problem: str = ""
    text: str = ""
    sections: tuple[SpecSection, ...] = ()
    sources: tuple[Source, ...] = ()
    location: str = ""


def view_spec(plan: Plan | None) -> SpecView:
    """Return the tab for the Plan of a run; None for a run that was recorded without one."""
    if plan is None:
        return SpecView("This run was recorded by an older Standpipe, which did not store pipelines.")
    sources = tuple(_sources(plan))
    location = describe_location(plan.root.source_location)
    if _count_tasks(plan) > _MAX_TASKS:
        return SpecView(_TOO_LONG, sources=sources, location=location)
    try:
        text = emit_yaml(plan)
    except StandpipeError as error:
        return SpecView(f"The pipeline cannot be written as a file: {error}", sources=sources, location=location)
    if len(text) > _MAX_SHOWN:
        return SpecView(_TOO_LONG, sources=sources, location=location)
    return SpecView(text=text, sections=tuple(_sections(text)), sources=sources, location=location)


def emit_yaml(plan: Plan) -> str:
    """Return a Plan as the text of a compiled file.

    Raises:
        SpecError: if it cannot be written as one.
    """
    from standpipe import ir  # brings protobuf, which only this tab needs

    return ir.dumps(plan)


def describe_location(location: SourceLocation | None) -> str:
    """Return a location as `file:line`; empty if it is unknown."""
    return f"{location.file}:{location.line}" if location else ""


def _count_tasks(plan: Plan) -> int:
    bodies = (component.body for _, component in plan.components_by_path())
    return sum(len(body.nodes) for body in bodies if isinstance(body, Dag))


def _sections(text: str) -> Iterator[SpecSection]:
    """Yield the parts of a YAML file that begin with a line at the margin."""
    title, lines = "", list[str]()
    for line in text.splitlines(keepends=True):
        is_title = not line.startswith((" ", "-", "#", "\n"))
        if is_title and lines and title:
            yield _section(title, lines)
            title, lines = "", []
        if is_title or line.startswith("---"):
            title = title or line.partition(":")[0].strip()
        lines.append(line)
    if lines:
        yield _section(title, lines)


def _section(title: str, lines: list[str]) -> SpecSection:
    return SpecSection(title, len(lines), title not in _FOLDED, highlight("".join(lines), "yaml"))


def _sources(plan: Plan) -> Iterator[Source]:
    """Yield the source of each Python function, once."""
    seen: set[str] = set()
    for name, component in plan.components.items():
        function = function_of(plan, component)
        if function is not None and function.source not in seen:
            seen.add(function.source)
            yield view_source(function, component.source_location, name.removeprefix("comp-"))


def function_of(plan: Plan, component: Component) -> PythonFunction | None:
    """Return the Python function that a component executes; None for other components."""
    executor = plan.executors[component.body.label] if isinstance(component.body, ExecutorRef) else None
    program = executor.program if isinstance(executor, Container) else None
    return program if isinstance(program, PythonFunction) else None


def view_source(function: PythonFunction, location: SourceLocation | None, name: str) -> Source:
    """Return the source of a function: the lines that its author wrote, as far as they are known."""
    lines = function.source.splitlines()
    parts = [lines[each.start - 1 : each.start - 1 + each.count] for each in function.sections]
    text = "\n\n".join("\n".join(part).strip("\n") for part in parts if part) or function.source.strip("\n")
    where = location or (function.sections[-1].location if function.sections else None)
    return Source(name, text, highlight(text, "python"), where.file if where else "", where.line if where else 0)
