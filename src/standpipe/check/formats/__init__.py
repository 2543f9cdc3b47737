"""The formats of findings: text for people, JSON for programs, annotations of GitHub Actions, SARIF."""

from __future__ import annotations

from collections.abc import Sequence

from standpipe.check.checker import LocatedFinding
from standpipe.check.formats import documents, github, sarif, text


def render(
    findings: Sequence[LocatedFinding],
    output_format: str,
    *,
    pipelines: int,
    version: str,
    colored: bool = False,
) -> str:
    """Return findings in a format, with a line break at the end if there is anything.

    Args:
        findings: the findings.
        output_format: `text`, `json`, `github` or `sarif`.
        pipelines: how many pipelines were checked.
        version: the version of Standpipe.
        colored: whether the text has colours.
    """
    if output_format == "json":
        return documents.render(findings)
    if output_format == "github":
        return github.render(findings)
    if output_format == "sarif":
        return sarif.render(findings, version)
    return text.render(findings, pipelines=pipelines, colored=colored)
