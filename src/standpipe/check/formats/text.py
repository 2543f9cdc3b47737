"""Findings as text: the place, the line of the file with a mark, and the fix."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from standpipe.check.checker import LocatedFinding, count_errors
from standpipe.check.formats.excerpts import Excerpt, display_path, read_excerpt
from standpipe.check.rule import Severity

#: The colours as ANSI codes.
_BOLD, _BLUE = "1", "1;34"
_SEVERITIES = {Severity.ERROR: "1;31", Severity.WARNING: "1;33"}


def render(findings: Sequence[LocatedFinding], *, pipelines: int, colored: bool) -> str:
    """Return findings as text, and a line that counts them."""
    blocks = ["\n".join(_render(each, colored=colored)) for each in findings]
    return "\n\n".join([*blocks, _summarize(findings, pipelines)]) + "\n"


def _render(located: LocatedFinding, *, colored: bool) -> Iterator[str]:
    def paint(text: str, code: str) -> str:
        return f"\x1b[{code}m{text}\x1b[0m" if colored else text

    excerpt, severity = read_excerpt(located), located.rule.severity
    label = paint(f"{severity.value} {located.rule.id}", _SEVERITIES[severity])
    yield f"{paint(_place(located, excerpt), _BOLD)}: {label} {located.finding.message}"
    if excerpt and located.location:
        number = str(located.location.line)
        bar = paint("|", _BLUE)
        marks = paint("^" * max(excerpt.end - excerpt.start, 1), _SEVERITIES[severity])
        yield f" {' ' * len(number)} {bar}"
        yield f" {paint(number, _BLUE)} {bar} {excerpt.line.expandtabs(1)}"
        yield f" {' ' * len(number)} {bar} {' ' * (excerpt.start - 1)}{marks}"
    yield f"  {paint('fix:', _BOLD)} {located.finding.fix}"


def _place(located: LocatedFinding, excerpt: Excerpt | None) -> str:
    if located.location is None:
        return located.finding.path
    name = display_path(located.location.file)
    if located.location.line < 1:
        return f"{name}: {located.finding.path}"
    return f"{name}:{located.location.line}:{excerpt.start if excerpt else 1}"


def _summarize(findings: Sequence[LocatedFinding], pipelines: int) -> str:
    errors = count_errors(findings)
    checked = _count(pipelines, "pipeline")
    if not findings:
        return f"No findings in {checked}."
    return f"Found {_count(errors, 'error')} and {_count(len(findings) - errors, 'warning')} in {checked}."


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"
