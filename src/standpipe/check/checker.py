"""Checks of pipelines: findings with their lines in the author's files, without those that comments suppress."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator

from standpipe.check.registry import BY_ID, RULES, UNKNOWN_CODE, UNUSED_COMMENT
from standpipe.check.rule import Problem, Rule
from standpipe.check.selection import Selection
from standpipe.check.sources import SourceFiles, Suppression
from standpipe.check.view import ContainerView, PipelineView
from standpipe.model.findings import Finding
from standpipe.model.frozen import frozen, replace
from standpipe.model.plan import Plan, SourceLocation


@frozen
class LocatedFinding:
    """A finding of a rule, and where it is: `location` is None if no file has the line.

    `mark` is the text that is marked on the line; empty for the whole line. A line that may have a secret is hidden.
    """

    rule: Rule
    finding: Finding
    location: SourceLocation | None
    mark: str = ""
    is_hidden: bool = False

    @property
    def sort_key(self) -> tuple[str, int, str, str]:
        location = self.location or SourceLocation("", 0)
        return (location.file, location.line, self.rule.id, self.finding.path)


#: Returns the line of a field of a compiled file, by its path; 0 if it is not known.
FindLine = Callable[[str], int]


class Checker:
    """Checks pipelines, and then tells which comments suppressed nothing.

    Args:
        selection: the rules that are checked.
        folder: the folder that the files in `selection` are relative to.
    """

    def __init__(self, selection: Selection, folder: str = "") -> None:
        self._selection = selection
        self._folder = folder
        self._sources = SourceFiles()
        self._locations: set[SourceLocation] = set()
        self._used: set[tuple[str, Suppression, str]] = set()

    def check(self, plan: Plan, file: str = "", find_line: FindLine = lambda _: 0) -> list[LocatedFinding]:
        """Return the findings of a pipeline, in the order of files and lines.

        Args:
            plan: the pipeline, which is valid.
            file: the compiled file that it was loaded from; empty for others.
            find_line: returns the line of a path in that file.
        """
        pipeline = PipelineView(plan)
        self._locations |= _all_locations(pipeline)
        findings: dict[tuple[object, ...], LocatedFinding] = {}
        for rule in RULES:
            if self._selection.has(rule.id, is_optional=rule.is_optional):
                for problem in rule.find(pipeline):
                    located = self._locate(rule, problem, file, find_line)
                    if not self._is_suppressed(located, problem):
                        findings.setdefault(_identity(located, problem), located)
        return sorted(self._hide_secrets(findings.values()), key=lambda each: each.sort_key)

    def check_comments(self) -> Iterator[LocatedFinding]:
        """Yield the findings about comments that suppress findings, of the parts of all pipelines that were checked."""
        for file, comment in sorted(self._comments(), key=lambda pair: (pair[0], pair[1].line)):
            location = SourceLocation(file, comment.line)
            for rule, message in self._judge(file, comment):
                if self._selection.has(rule.id) and self._selection.has_in(rule.id, self._relative(file)):
                    yield LocatedFinding(rule, Finding(rule.id, "", message, rule.fix), location, comment.text)

    def _hide_secrets(self, findings: Iterable[LocatedFinding]) -> Iterator[LocatedFinding]:
        """Yield findings without the lines of statements that have a secret."""
        places = [each.location for each in findings if each.rule.has_secrets and each.location]
        hidden = {(place.file, line) for place in places for line in self._sources[place.file].span(place.line)}
        for each in findings:
            is_hidden = each.location is not None and (each.location.file, each.location.line) in hidden
            yield replace(each, is_hidden=True) if is_hidden else each

    def _comments(self) -> set[tuple[str, Suppression]]:
        return {(place.file, comment) for place in self._locations for comment in self._sources.comments_at(place)}

    def _judge(self, file: str, comment: Suppression) -> Iterator[tuple[Rule, str]]:
        if not comment.codes and (file, comment, "") not in self._used:
            yield UNUSED_COMMENT, "nothing to suppress here"
        for code in comment.codes:
            if code not in BY_ID:
                yield UNKNOWN_CODE, f"unknown rule {code}"
            elif self._selection.has(code) and (file, comment, code) not in self._used:
                yield UNUSED_COMMENT, f"no finding of {code} to suppress here"

    def _locate(self, rule: Rule, problem: Problem, file: str, find_line: FindLine) -> LocatedFinding:
        location = problem.place.location
        if problem.line and isinstance(problem.place, ContainerView):
            location = problem.place.locate(problem.line) or location
        if location is None and file:
            location = SourceLocation(file, find_line(problem.path))
        elif location and problem.mark:
            location = self._sources.find_mark(location, problem.mark, is_exact=bool(problem.line))
        return LocatedFinding(rule, rule.finding(problem), location, problem.mark)

    def _is_suppressed(self, located: LocatedFinding, problem: Problem) -> bool:
        for place in dict.fromkeys((located.location, problem.place.location)):
            if place is None:
                continue
            if not self._selection.has_in(located.rule.id, self._relative(place.file)):
                return True
            self._locations.add(place)
            for comment in self._sources.comments_at(place):
                if not comment.codes or located.rule.id in comment.codes:
                    self._used.add((place.file, comment, located.rule.id if comment.codes else ""))
                    return True
        return False

    def _relative(self, file: str) -> str:
        return os.path.relpath(file, self._folder).replace(os.sep, "/") if self._folder else file


def _all_locations(pipeline: PipelineView) -> set[SourceLocation]:
    places = (pipeline, *pipeline.dags, *pipeline.tasks, *pipeline.containers)
    return {place.location for place in places if place.location}


def _identity(located: LocatedFinding, problem: Problem) -> tuple[object, ...]:
    """Return what equal findings have in common: one for a line of the author, one for all executors of a component."""
    finding = located.finding
    if problem.place.location is None and not problem.place.is_repeated:
        return (finding.rule, finding.message, finding.path)
    return (finding.rule, finding.message, located.location if problem.place.location else None)


def count_errors(findings: Iterable[LocatedFinding]) -> int:
    """Return how many findings are errors."""
    return sum(each.rule.severity.value == "error" for each in findings)
