"""Findings as a JSON document. Its names are documented in `docs/reference/cli.md`."""

from __future__ import annotations

import json
from collections.abc import Sequence

from standpipe.check.checker import LocatedFinding, count_errors
from standpipe.check.formats.excerpts import read_excerpt
from standpipe.model.types import Json


def render(findings: Sequence[LocatedFinding]) -> str:
    """Return findings as JSON."""
    errors = count_errors(findings)
    document = {
        "findings": [_document(each) for each in findings],
        "errors": errors,
        "warnings": len(findings) - errors,
    }
    return f"{json.dumps(document, indent=2)}\n"


def _document(located: LocatedFinding) -> Json:
    excerpt, location = read_excerpt(located), located.location
    return {
        "rule": located.rule.id,
        "name": located.rule.name,
        "severity": located.rule.severity.value,
        "message": located.finding.message,
        "fix": located.finding.fix,
        "path": located.finding.path or None,
        "file": location.file if location else None,
        "line": location.line if location and location.line > 0 else None,
        "column": excerpt.start if excerpt else None,
        "end_column": excerpt.end if excerpt else None,
    }
