"""The formats of findings."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from standpipe.check.checker import LocatedFinding
from standpipe.check.formats import render
from standpipe.check.registry import BY_ID, RULES
from standpipe.model.findings import Finding
from standpipe.model.plan import SourceLocation

from .examples import check

PROGRAM = """from kfp import dsl


@dsl.component(packages_to_install=["pandas"])
def load() -> str:
    return TABLE


@dsl.pipeline
def pipeline():
    load().set_caching_options(False).set_env_variable("API_TOKEN", "c0rrect-h0rse")
"""


@pytest.fixture
def findings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[LocatedFinding]:
    monkeypatch.chdir(tmp_path)
    return check(PROGRAM, tmp_path)


def written(findings: list[LocatedFinding], output_format: str, **options: Any) -> str:
    return render(findings, output_format, pipelines=1, version="1.2.3", **options)


def in_compiled_file(line: int, message: str = "it is") -> LocatedFinding:
    finding = Finding("SP030", "root.dag.tasks.a", message, "Fix it.")
    return LocatedFinding(BY_ID["SP030"], finding, SourceLocation("/nowhere/a,b.json", line))


def test_text_shows_the_line_with_a_mark_and_the_fix(findings: list[LocatedFinding]) -> None:
    assert written(findings, "text") == (
        """\
program.py:4:38: warning SP010 component 'load' installs 'pandas' in any version
   |
 4 | @dsl.component(packages_to_install=["pandas"])
   |                                      ^^^^^^
  fix: Pin a version: `packages_to_install=['pandas==2.2.3']`.

program.py:6:12: error SP001 component 'load' uses 'TABLE', which nothing in it defines
   |
 6 |     return TABLE
   |            ^^^^^
  fix: Import the name in the function, pass it as an input, or list what it stands for in `additional_funcs`.

program.py:11:1: warning SP024 the variable 'API_TOKEN' of task 'load' is a secret
  fix: Store it in a secret, and use `kubernetes.use_secret_as_env`.

Found 1 error and 2 warnings in 1 pipeline.
"""
    )


@pytest.mark.parametrize("output_format", ["text", "json", "github", "sarif"])
def test_no_format_shows_a_secret(findings: list[LocatedFinding], output_format: str) -> None:
    assert "API_TOKEN" in written(findings, output_format)
    assert "c0rrect" not in written(findings, output_format)


def test_text_without_findings_and_without_lines() -> None:
    assert written([], "text") == "No findings in 1 pipeline.\n"
    assert written([in_compiled_file(0)], "text").startswith("/nowhere/a,b.json: root.dag.tasks.a: error SP030 it is\n")


def test_colours_are_only_on_terminals_that_have_them(findings: list[LocatedFinding]) -> None:
    assert "\x1b[1;33mwarning SP010\x1b[0m" in written(findings, "text", colored=True)
    assert "\x1b" not in written(findings, "text")


def test_json_is_one_document(findings: list[LocatedFinding], tmp_path: Path) -> None:
    document = json.loads(written(findings, "json"))

    assert (document["errors"], document["warnings"]) == (1, 2)
    assert document["findings"][1] == {
        "rule": "SP001",
        "name": "undefined-name",
        "severity": "error",
        "message": "component 'load' uses 'TABLE', which nothing in it defines",
        "fix": BY_ID["SP001"].fix,
        "path": "deploymentSpec.executors.exec-load.container",
        "file": str(tmp_path / "program.py"),
        "line": 6,
        "column": 12,
        "end_column": 17,
    }
    assert json.loads(written([in_compiled_file(0)], "json"))["findings"][0]["line"] is None


def test_github_shows_findings_at_their_lines(findings: list[LocatedFinding]) -> None:
    lines = written(findings, "github").splitlines()

    assert lines[1].startswith(
        "::error title=SP001 undefined-name,file=program.py,line=6,col=12,endColumn=17::component 'load' uses 'TABLE'"
    )
    (line,) = written([in_compiled_file(0, "100 %\nof it")], "github").splitlines()
    assert line == (
        "::error title=SP030 request-over-limit,file=/nowhere/a%2Cb.json::root.dag.tasks.a: 100 %25%0Aof it. Fix it."
    )


#: The levels of SARIF.
LEVELS = {"error", "warning", "note", "none"}


def test_sarif_has_what_the_standard_requires(findings: list[LocatedFinding]) -> None:
    """SARIF 2.1.0, sections 3.13 to 3.30. Its schema was applied by hand: no package that has it is known."""
    log = json.loads(written([*findings, in_compiled_file(0), in_compiled_file(3)], "sarif"))

    assert log["version"] == "2.1.0"
    assert log["$schema"].endswith("/sarif-schema-2.1.0.json")
    driver = log["runs"][0]["tool"]["driver"]
    assert driver["name"] == "standpipe"
    assert {rule["defaultConfiguration"]["level"] for rule in driver["rules"]} <= LEVELS
    for result in log["runs"][0]["results"]:
        assert driver["rules"][result["ruleIndex"]]["id"] == result["ruleId"]
        assert result["level"] in LEVELS
        assert result["message"]["text"]
        for location in result["locations"]:
            assert all(number >= 1 for number in location.get("physicalLocation", {}).get("region", {}).values())
    run = log["runs"][0]
    assert [rule["id"] for rule in run["tool"]["driver"]["rules"]] == [rule.id for rule in RULES]
    assert run["results"][1]["locations"] == [
        {
            "logicalLocations": [{"fullyQualifiedName": "deploymentSpec.executors.exec-load.container"}],
            "physicalLocation": {
                "artifactLocation": {"uri": "program.py"},
                "region": {"startLine": 6, "startColumn": 12, "endColumn": 17},
            },
        }
    ]
    assert run["results"][3]["locations"][0]["physicalLocation"] == {
        "artifactLocation": {"uri": "file:///nowhere/a%2Cb.json"}
    }
