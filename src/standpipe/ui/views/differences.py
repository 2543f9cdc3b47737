"""What changed from one run to another: first what a user changes, then what followed from it.

Pure functions of the runs' records and Plans: the page Compare shows them, and so can commands.
"""

from __future__ import annotations

from collections.abc import Iterator

from standpipe.history import Run, Status
from standpipe.model.frozen import frozen
from standpipe.model.plan import Plan
from standpipe.ui.views.changes import Section, compare_values, join_words, make_section
from standpipe.ui.views.plan_differences import compare_plans
from standpipe.ui.views.task_differences import Divergence, compare_tasks, find_divergence, parameters_in

#: The sections with what users change; the others have what follows from it.
CAUSES = frozenset({"parameters", "code", "packages", "images", "settings", "definition", "inputs"})


@frozen
class RecordedRun:
    """A run, and the Plan that it was started or last resumed with; None if an old version recorded it."""

    run: Run
    plan: Plan | None


@frozen
class Differences:
    """What changed from the run `before` to the run `after`.

    `sections` are the kinds of changes that there are, in the order from causes to effects. `notes` say what could not
    be compared. `divergence` is the first task with other outputs, None if there is none.
    """

    before: str
    after: str
    sections: tuple[Section, ...]
    notes: tuple[str, ...]
    divergence: Divergence | None

    @property
    def causes(self) -> tuple[Section, ...]:
        """The sections with what a user has changed."""
        return tuple(section for section in self.sections if section.name in CAUSES)

    @property
    def summary(self) -> str:
        """What differs, in one sentence: `2 parameters and the code of 1 component changed; …`."""
        if not self.sections:
            return "The two runs do not differ in anything that is recorded."
        parts = [f"{section.title.partition(',')[0].lower()} ({section.count})" for section in self.sections]
        return f"Differences in {join_words(parts)}."


def compare_runs(before: RecordedRun, after: RecordedRun) -> Differences:
    """Return what changed from one run to another.

    Args:
        before: the run to compare with.
        after: the other run.
    """
    sections = [section for section in _sections(before, after) if section.changes]
    divergence = find_divergence(before.run, after.run, (before.plan, after.plan))
    return Differences(before.run.id, after.run.id, tuple(sections), tuple(_notes(before, after)), divergence)


def _sections(before: RecordedRun, after: RecordedRun) -> Iterator[Section]:
    parameters = compare_values(parameters_in(before.run.inputs), parameters_in(after.run.inputs))
    yield make_section("parameters", "Parameters", parameters)
    if before.plan is not None and after.plan is not None:
        same = before.run.pipeline == after.run.pipeline
        yield from (each for each in compare_plans(before.plan, after.plan) if same or each.name != "definition")
    yield from compare_tasks(before.run, after.run)


def _notes(before: RecordedRun, after: RecordedRun) -> Iterator[str]:
    """Yield what a reader has to know about the comparison."""
    if before.run.pipeline != after.run.pipeline:
        yield (
            f"The runs are of different pipelines, {before.run.pipeline} and {after.run.pipeline}: tasks and "
            "components are compared by their names."
        )
    for each in (before, after):
        if each.plan is None:
            yield (
                f"{each.run.id} was recorded without its pipeline: code, packages, images and settings cannot be "
                "compared."
            )
        if each.run.status is Status.RUNNING:
            yield f"{each.run.id} is in progress: it may still change."
