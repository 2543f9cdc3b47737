"""`standpipe diff`: show what differs between two runs."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING

from standpipe.cli import options, parsers, terminal

if TYPE_CHECKING:
    from standpipe.history import Run
    from standpipe.model.types import Json
    from standpipe.ui.source import RunSource
    from standpipe.ui.views.changes import Change, Section
    from standpipe.ui.views.differences import Differences

#: The exit codes of `diff`.
_SAME, _DIFFERENT = 0, 1


def main(arguments: Sequence[str]) -> int:
    """Print what differs: first what the user has changed, then what followed from it.

    Raises:
        NoSuchRun: if there is no such run, or no run of the pipeline before it.
        StorageError: if the run store cannot be read.
    """
    args = make_parser().parse_intermixed_args(arguments)  # the second run may follow the options
    import json  # here and below: not needed for `--help`

    from standpipe.support.paths import absolute_path
    from standpipe.ui.source import RunSource
    from standpipe.ui.views.differences import RecordedRun, compare_runs

    source = RunSource(absolute_path("pipeline_root", args.pipeline_root))
    after = source.run(args.other or args.run)
    before = source.run(args.run) if args.other else source.run(_find_former(source, after))
    differences = compare_runs(*(RecordedRun(run, source.plan(run)) for run in (before, after)))
    shown = json.dumps(_document(differences), indent=2) if args.json else "\n".join(_render(differences))
    terminal.print_text(shown)
    return _DIFFERENT if differences.sections else _SAME


def make_parser() -> argparse.ArgumentParser:
    """Return the parser of the command."""
    parser = parsers.new_parser(
        "diff",
        "Show what differs between two runs: parameters, code, packages, images and settings, which may be the cause, "
        "then the first task with other outputs, and all inputs, outputs, metrics and states that differ. The exit "
        "code is 0 if nothing differs, 1 if something does.",
        examples=(
            "standpipe diff latest  # the newest run, and the one of its pipeline before it",
            "standpipe diff search-2026-11 latest  # two runs, the older one first",
            "standpipe diff latest --json",
        ),
    )
    parsers.add_run(parser)
    parser.add_argument(
        "other", metavar="RUN", nargs="?", help="the later run; without it, RUN is compared with the one before it"
    )
    parsers.add_json(parser, "an object")
    options.add_root(parser)
    return parser


def _find_former(source: RunSource, run: Run) -> str:
    """Return the id of the run that a rerun was made of, or else of the run of the same pipeline before a run.

    Raises:
        NoSuchRun: if there is none.
    """
    if run.rerun_of:
        return run.rerun_of.partition("/")[0]
    runs = source.runs()
    position = next((number for number, each in enumerate(runs) if each.id == run.id), len(runs))
    for each in runs[position + 1 :]:
        if each.pipeline == run.pipeline and not each.rerun_of:
            return each.id
    from standpipe.errors import NoSuchRun  # only a mistake needs it

    raise NoSuchRun(
        f"There is no run of pipeline {run.pipeline} before {run.id}. Name two runs: `standpipe diff RUN {run.id}`."
    )


def _render(differences: Differences) -> Iterator[str]:
    paint = terminal.make_painter()
    yield paint(f"--- {differences.before}", terminal.RED)
    yield paint(f"+++ {differences.after}", terminal.GREEN)
    yield from differences.notes
    yield differences.summary
    causes = differences.causes
    for section in causes:
        yield from _render_section(section, paint)
    if differences.divergence:
        yield f"\nFirst task with other outputs: {differences.divergence.task} ({differences.divergence.reason})"
    for section in differences.sections:
        if section not in causes:
            yield from _render_section(section, paint)


def _render_section(section: Section, paint: Callable[[str, int], str]) -> Iterator[str]:
    yield paint(f"\n{section.title}", terminal.BOLD)
    for change in section.changes:
        yield from _render_change(change, paint)
    if section.hidden:
        yield f"  … and {section.hidden} more"


def _render_change(change: Change, paint: Callable[[str, int], str]) -> Iterator[str]:
    note = f"  ({change.note})" if change.note else ""
    colors = {"added": terminal.GREEN, "removed": terminal.RED, "hunk": terminal.CYAN}
    if change.lines:
        yield f"  {change.subject}{note}"
        for line in change.lines:
            text = f"    {line.marked}"
            yield paint(text, colors[line.kind]) if line.kind in colors else text
    elif change.before is None and change.after is not None:
        yield paint(f"  + {change.subject}: {change.after}", terminal.GREEN) + note
    elif change.after is None and change.before is not None:
        yield paint(f"  - {change.subject}: {change.before}", terminal.RED) + note
    elif change.before is not None:
        delta = f"  {change.delta_text}" if change.delta_text else ""
        yield f"  {change.subject}: {change.before} → {change.after}{delta}{note}"
    else:
        yield f"  {change.subject}{note}"


def _document(differences: Differences) -> dict[str, Json]:
    divergence = differences.divergence
    return {
        "before": differences.before,
        "after": differences.after,
        "differs": bool(differences.sections),
        "summary": differences.summary,
        "notes": list(differences.notes),
        "divergence": {"task": divergence.task, "reason": divergence.reason} if divergence else None,
        "sections": [_section_document(each, is_cause=each in differences.causes) for each in differences.sections],
    }


def _section_document(section: Section, *, is_cause: bool) -> dict[str, Json]:
    changes: list[Json] = [
        {
            "subject": change.subject,
            "before": change.before,
            "after": change.after,
            "note": change.note,
            "delta": change.delta,
            "lines": [line.marked for line in change.lines],
        }
        for change in section.changes
    ]
    return {
        "name": section.name,
        "title": section.title,
        "is_cause": is_cause,
        "count": section.count,
        "changes": changes,
    }
