"""What a rule is, and what it yields."""

from __future__ import annotations

import enum
from collections.abc import Callable, Iterator
from pathlib import Path

from standpipe.check.view import PipelineView, Place
from standpipe.model.cluster_differences import ClusterDifference
from standpipe.model.findings import Finding
from standpipe.model.frozen import field, frozen, replace

_EXPLANATIONS = Path(__file__).parent / "explanations"


class Severity(enum.Enum):
    """How bad a finding is: whether a cluster fails, or does something else."""

    ERROR = "error"
    WARNING = "warning"


@frozen
class Problem:
    """What a rule yields: a place in a pipeline, and what is wrong there.

    Attributes:
        place: the place.
        message: the problem, as a phrase without a capital letter or a full stop.
        field: the path of the field, relative to the place.
        line: the line of the component's program; 0 if it is not about a line.
        mark: the text on that line that is marked; empty for the whole line.
    """

    place: Place
    message: str
    field: str = ""
    line: int = 0
    mark: str = ""

    @property
    def path(self) -> str:
        return f"{self.place.path}.{self.field}" if self.field else self.place.path


#: A function that yields the problems of a pipeline.
Find = Callable[[PipelineView], Iterator[Problem]]


@frozen
class Rule:
    """One rule.

    Attributes:
        id: its stable id. Ids are an interface: they are listed in configurations and comments.
        name: its name, in words joined by dashes.
        severity: what a cluster does.
        fix: what to do, as one sentence.
        find: yields its problems.
        has_secrets: whether the lines of its findings may not be shown.
        is_optional: whether it is checked only if its id is selected.
        difference: the row of the differences from a cluster that it is about, if any.
    """

    id: str
    name: str
    severity: Severity
    fix: str
    find: Find = field(compare=False)
    has_secrets: bool = False
    is_optional: bool = False
    difference: ClusterDifference | None = None

    @property
    def explanation(self) -> str:
        """Why the rule exists, an example that breaks it and one that does not, as Markdown."""
        text = (_EXPLANATIONS / f"{self.id}.md").read_text(encoding="utf-8").strip()
        row = self.difference
        if row is None:
            return text
        shown_by = f"Shown by `backend/src/v2` of kubeflow/pipelines, since {row.since}: {row.source}."
        about = f"The case: {row.title}.\n\n* On a cluster: {row.on_cluster}\n* Here: {row.here}\n\n{shown_by}"
        return f"{about}\n\n{text}"

    def finding(self, problem: Problem) -> Finding:
        return Finding(self.id, problem.path, problem.message, self.fix)


def error(rule: str, name: str, fix: str, find: Find) -> Rule:
    """Return a rule for what a cluster fails at."""
    return Rule(rule, name, Severity.ERROR, fix, find)


def warning(
    rule: str, name: str, fix: str, find: Find, *, has_secrets: bool = False, is_optional: bool = False
) -> Rule:
    """Return a rule for what a cluster does differently, or may do."""
    return Rule(rule, name, Severity.WARNING, fix, find, has_secrets, is_optional)


def cluster_rule(difference: ClusterDifference, name: str, severity: Severity, find: Find) -> Rule:
    """Return the rule for a row of the differences from a cluster.

    Args:
        difference: the row.
        name: the name of the rule.
        severity: what a cluster does.
        find: yields its problems, without a message: the row has one.
    """

    def find_problems(pipeline: PipelineView) -> Iterator[Problem]:
        for problem in find(pipeline):
            yield replace(problem, message=difference.finding(problem.path).message)

    return Rule(difference.id, name, severity, difference.fix, find_problems, difference=difference)
