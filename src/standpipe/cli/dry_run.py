"""`standpipe run --dry-run`: what a run would do, as a tree or as JSON."""

from __future__ import annotations

import json
import shutil
import sys
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from standpipe.cli import terminal
from standpipe.cli.tree import Branch, render_tree
from standpipe.support.terminal_text import escape_controls
from standpipe.ui.earlier_tasks import find_earlier
from standpipe.ui.source import RunSource
from standpipe.ui.views.cache import RecordedTask
from standpipe.ui.views.planned_run import (
    CACHED,
    FAIL,
    GROUP,
    IMPORT,
    LATER,
    RUN,
    SKIP,
    PlannedStep,
    view_dry_run,
)

if TYPE_CHECKING:
    from standpipe.dsl.base_component import BaseComponent
    from standpipe.model.types import Json
    from standpipe.runs.dry_run import DryRun

#: The width where the output is not a terminal.
_WIDTH = 100

#: The most iterations of a loop that have a branch.
_MAX_ITERATIONS = 5

#: The actions, with what a branch and the summary say of them.
_WORDS = {
    RUN: ("runs", "would run"),
    CACHED: ("cached", "cached"),
    IMPORT: ("imports", "would be imported"),
    SKIP: ("skipped", "skipped"),
    FAIL: ("fails", "would fail"),
    LATER: ("", "not known yet"),
}


def show_dry_run(component: BaseComponent, arguments: Mapping[str, Any], target: str, *, as_json: bool) -> int:
    """Print what a run would do, and return the exit code: that of the check before a run if it finds errors.

    Args:
        component: the pipeline or component.
        arguments: its inputs by name.
        target: the target, as it was typed.
        as_json: whether JSON is printed.

    Raises:
        StandpipeError: as `local.run` before the first task starts.
    """
    from standpipe import local  # the caller has it already

    dry = local.dry_run(component, arguments)
    source = RunSource(dry.root)

    def find(now: RecordedTask) -> RecordedTask | None:
        return find_earlier(source, dry.run, now.task)

    steps = view_dry_run(dry, find)
    if as_json:
        document = dry.redactor.redact(_document(dry, steps, target))
        terminal.print_text(escape_controls(json.dumps(document, indent=2, ensure_ascii=False)))
    else:
        terminal.print_text(dry.redactor.redact_text("\n".join(_render(dry, steps, target))))
    if dry.problem is None:
        return 0
    sys.stderr.write(f"{dry.problem}\n")
    return dry.problem.exit_code


# --- text -------------------------------------------------------------------------------------------------------------


def _render(dry: DryRun, steps: Sequence[PlannedStep], target: str) -> Iterator[str]:
    width = shutil.get_terminal_size((_WIDTH, 24)).columns if sys.stdout.isatty() else _WIDTH
    cache = "on" if dry.options.enable_caching else "off (--cache turns it on)"
    yield f"Dry run of {dry.run.pipeline} from {target}: nothing is started or written."
    yield f"runner: {dry.options.runner!r}; pipeline root: {dry.root}; cache: {cache}"
    yield from (f"{name} = {value}" for name, value in _format_inputs(dry).items())
    yield ""
    yield from render_tree([_branch(step, dry) for step in steps], width)
    yield ""
    yield f"{_count(steps)}."


def _format_inputs(dry: DryRun) -> dict[str, str]:
    from standpipe.history.render import format_value  # `ui` has brought it

    return {name: format_value(value) for name, value in dry.run.inputs.items()}


def _branch(step: PlannedStep, dry: DryRun) -> Branch:
    children = [_branch(child, dry) for child in step.children[: _MAX_ITERATIONS if _is_loop(step) else None]]
    if len(children) < len(step.children):
        rest = step.children[len(children) :]
        children.append(Branch(f"and {len(rest)} more", [_count(rest)]))
    return Branch(step.name, list(_notes(step, dry)), children)


def _is_loop(step: PlannedStep) -> bool:
    return step.kind == "loop" and all(child.kind == "iteration" for child in step.children)


def _notes(step: PlannedStep, dry: DryRun) -> Iterator[str]:
    """Yield what a tree says of a task: what happens and why, when, where and with what."""
    verb = _WORDS[step.action][0] if step.action != GROUP else ""
    first = ": ".join(filter(None, (verb, step.reason)))
    kind = {"importer": "importer", "pipeline": "pipeline", "exit-handler": "exit handler"}.get(step.kind, "")
    starts = [each for each in step.starts if not (step.action == LATER and each.startswith("after ") and step.reason)]
    yield from filter(None, [kind if step.action in (GROUP, LATER) else "", first, *starts])
    if step.action in (RUN, LATER) and (step.function or step.image):
        yield _describe_place(step, dry)
    if (step.inputs and step.action != SKIP and not step.children) or step.kind == "iteration":
        yield ", ".join(f"{name} = {value}" for name, value in step.inputs.items())


def _describe_place(step: PlannedStep, dry: DryRun) -> str:
    """Return where a task runs: its image if containers run it, its packages, and what is built first."""
    in_container = dry.options.runner.mount_points is not None or not step.function
    parts = [f"image {step.image}"] if in_container else []
    if step.packages:
        parts.append(f"packages {', '.join(step.packages)}")
    if step.is_prepared is False:
        parts.append("image to be pulled or built" if in_container else "environment to be built")
    return ", ".join(parts)


def _count(steps: Sequence[PlannedStep]) -> str:
    leaves = [each for step in steps for each in step.walk() if not each.children and each.action != GROUP]
    counts = Counter(each.action for each in leaves)
    return (
        ", ".join(f"{counts[action]} {words}" for action, (_, words) in _WORDS.items() if counts[action]) or "no tasks"
    )


# --- JSON -------------------------------------------------------------------------------------------------------------


def _document(dry: DryRun, steps: Sequence[PlannedStep], target: str) -> dict[str, Json]:
    from standpipe.history.documents import value_document  # the tree does without it

    def rows(step: PlannedStep, parent: str) -> Iterator[dict[str, Json]]:
        """Yield a task and those in it, each before its children, as `standpipe show --json` does."""
        fields = {name: value for name, value in vars(step).items() if name not in ("children", "values")}
        yield {
            **fields,
            "parent": parent or None,
            "starts": list(step.starts),
            "packages": list(step.packages),
            "inputs": {name: value_document(value) for name, value in step.values.items()},
            "sources": {name: text for name, text in step.inputs.items() if name not in step.values},
        }
        for child in step.children:
            yield from rows(child, step.path)

    return {
        "pipeline": dry.run.pipeline,
        "target": target,
        "runner": repr(dry.options.runner),
        "pipeline_root": str(dry.root),
        "cache": dry.options.enable_caching,
        "inputs": {name: value_document(value) for name, value in dry.run.inputs.items()},
        "problem": str(dry.problem) if dry.problem else None,
        "tasks": [row for step in steps for row in rows(step, "")],
    }
