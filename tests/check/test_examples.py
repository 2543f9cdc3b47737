"""The examples of each rule, which its explanation shows: one breaks this rule and no other, one breaks none."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from standpipe.check.registry import BY_ID, RULES
from standpipe.check.rule import Rule
from standpipe.check.selection import ALL, Selection

from .examples import check_example, examples_of


def name_of(rule: Rule) -> str:
    return rule.id


def selection_for(rule: Rule) -> Selection:
    """Return the default selection, and a rule that it may not have."""
    return Selection((ALL, rule.id))


@pytest.mark.parametrize("rule", RULES, ids=name_of)
def test_an_example_breaks_its_rule_and_no_other(rule: Rule, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    example, _ = examples_of(rule)

    findings = check_example(example, tmp_path, selection_for(rule))

    assert {each.rule.id for each in findings} == {rule.id}, findings
    assert all(each.location and each.location.line > 0 for each in findings)


@pytest.mark.parametrize("rule", RULES, ids=name_of)
def test_an_example_without_findings(rule: Rule, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    _, example = examples_of(rule)

    assert check_example(example, tmp_path, selection_for(rule)) == []


def test_rules_have_different_ids_and_names_in_order() -> None:
    assert [rule.id for rule in RULES] == sorted(BY_ID)
    assert len({rule.name for rule in RULES}) == len(RULES)


def test_the_page_is_up_to_date() -> None:
    script = Path(__file__).parents[2] / "scripts" / "document-rules"

    assert subprocess.run([sys.executable, script, "--check"], check=False).returncode == 0


def test_each_explanation_belongs_to_a_rule() -> None:
    folder = Path(__file__).parents[2] / "src" / "standpipe" / "check" / "explanations"

    assert {path.stem for path in folder.iterdir()} == set(BY_ID)
