"""Findings as commands of GitHub Actions, which shows them at the lines of a pull request."""

from __future__ import annotations

from collections.abc import Sequence

from standpipe.check.checker import LocatedFinding
from standpipe.check.formats.excerpts import display_path, read_excerpt


def render(findings: Sequence[LocatedFinding]) -> str:
    """Return a command for each finding."""
    return "".join(f"{_command(each)}\n" for each in findings)


def _command(located: LocatedFinding) -> str:
    properties = {"title": f"{located.rule.id} {located.rule.name}"}
    if located.location:
        properties["file"] = display_path(located.location.file)
        if located.location.line > 0:
            properties["line"] = str(located.location.line)
        excerpt = read_excerpt(located)
        if excerpt:
            properties.update(col=str(excerpt.start), endColumn=str(excerpt.end))
    pairs = ",".join(f"{name}={_escape_property(value)}" for name, value in properties.items())
    where = "" if located.location and located.location.line > 0 else f"{located.finding.path}: "
    message = _escape(f"{where}{located.finding.message}. {located.finding.fix}")
    return f"::{located.rule.severity.value} {pairs}::{message}"


def _escape(text: str) -> str:
    """Return a message as GitHub's toolkit writes it (`packages/core/src/command.ts`)."""
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _escape_property(text: str) -> str:
    return _escape(text).replace(":", "%3A").replace(",", "%2C")
