"""Findings as SARIF 2.1.0, which code scanning services read."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from urllib.parse import quote

from standpipe.check.checker import LocatedFinding
from standpipe.check.formats.excerpts import display_path, read_excerpt
from standpipe.check.registry import RULES
from standpipe.check.rule import Rule
from standpipe.model.types import Json

_SCHEMA = "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"
_PAGE = "https://standpipe.github.io/standpipe/reference/rules.html#all-rules"


def render(findings: Sequence[LocatedFinding], version: str) -> str:
    """Return findings as a SARIF log of a version of Standpipe."""
    driver = {
        "name": "standpipe",
        "version": version,
        "informationUri": "https://standpipe.github.io/standpipe/",
        "rules": [_describe(rule) for rule in RULES],
    }
    run = {"tool": {"driver": driver}, "results": [_result(each) for each in findings]}
    return f"{json.dumps({'$schema': _SCHEMA, 'version': '2.1.0', 'runs': [run]}, indent=2)}\n"


def _describe(rule: Rule) -> Json:
    return {
        "id": rule.id,
        "name": rule.name,
        "shortDescription": {"text": rule.name.replace("-", " ")},
        "help": {"text": rule.fix},
        "helpUri": _PAGE,
        "defaultConfiguration": {"level": rule.severity.value},
    }


def _result(located: LocatedFinding) -> Json:
    return {
        "ruleId": located.rule.id,
        "ruleIndex": RULES.index(located.rule),
        "level": located.rule.severity.value,
        "message": {"text": f"{located.finding.message}. {located.finding.fix}"},
        "locations": [_location(located)],
    }


def _location(located: LocatedFinding) -> Json:
    location: dict[str, Json] = {}
    if located.finding.path:
        location["logicalLocations"] = [{"fullyQualifiedName": located.finding.path}]
    if located.location:
        physical: dict[str, Json] = {"artifactLocation": {"uri": _uri(located.location.file)}}
        if located.location.line > 0:
            physical["region"] = _region(located)
        location["physicalLocation"] = physical
    return location


def _region(located: LocatedFinding) -> Json:
    assert located.location, "only findings with a location have a region"
    excerpt, line = read_excerpt(located), located.location.line
    return {"startLine": line} | ({"startColumn": excerpt.start, "endColumn": excerpt.end} if excerpt else {})


def _uri(file: str) -> str:
    """Return the URI of a file: relative to the current folder, as services expect it, if it is in it."""
    shown = display_path(file)
    return f"file://{quote(shown)}" if os.path.isabs(shown) else quote(shown.replace(os.sep, "/"))
