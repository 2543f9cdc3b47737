"""Findings: their places, what comments suppress, and which rules are checked."""

from __future__ import annotations

from pathlib import Path

import pytest

from standpipe import compiler, components
from standpipe.check.checker import Checker, LocatedFinding
from standpipe.check.compiled_lines import CompiledLines
from standpipe.check.differences import HIDDEN
from standpipe.check.registry import BY_ID
from standpipe.check.selection import Selection, check_codes
from standpipe.errors import ArgumentError
from standpipe.model.cluster_differences import RULES as DIFFERENCES

from .examples import check, pipelines_of

HEAD = "from kfp import dsl\n\n"
PROGRAM = f"""{HEAD}
@dsl.component(
    packages_to_install=["pandas"],
    base_image="train",
)
def train(rows: int) -> int:
    import pandas

    return RATE * rows


@dsl.pipeline
def pipeline():
    train(
        rows=1,
    ).set_accelerator_limit(
        1
    )
"""


def lines_of(findings: list[LocatedFinding]) -> list[tuple[str, int]]:
    return [(each.rule.id, each.location.line) for each in findings if each.location]


def test_a_finding_is_at_the_line_that_says_it(tmp_path: Path) -> None:
    findings = check(PROGRAM, tmp_path)

    assert lines_of(findings) == [("SP010", 5), ("SP011", 6), ("SP001", 11), ("SP031", 16)]
    assert {each.location.file for each in findings if each.location} == {str(tmp_path / "program.py")}


def test_findings_have_paths_as_in_the_compiled_file(tmp_path: Path) -> None:
    found = {each.rule.id: each.finding.path for each in check(PROGRAM, tmp_path)}

    assert found["SP031"] == "root.dag.tasks.train"
    assert found["SP011"] == "deploymentSpec.executors.exec-train.container.image"


@pytest.mark.parametrize(
    ("line", "rule"),
    [
        ("@dsl.component(", "SP010"),
        ('    packages_to_install=["pandas"],', "SP010"),
        ("def train(rows: int) -> int:", "SP010"),
        ('    base_image="train",', "SP011"),
        ("    return RATE * rows", "SP001"),
        ("def train(rows: int) -> int:", "SP001"),
        ("    train(", "SP031"),
        ("        rows=1,", "SP031"),
        ("        1", "SP031"),
    ],
)
@pytest.mark.parametrize("comment", ["# standpipe: noqa {}", "# standpipe:noqa: {}", "# x  # Standpipe: NoQA {},SP010"])
def test_a_comment_in_a_statement_suppresses_its_findings(line: str, rule: str, comment: str, tmp_path: Path) -> None:
    program = PROGRAM.replace(f"{line}\n", f"{line}  {comment.format(rule)}\n", 1)
    before = {each.rule.id for each in check(PROGRAM, tmp_path)}
    after = {each.rule.id for each in check(program, tmp_path)}

    assert rule in before - after
    assert before - after <= {rule, "SP010"}


def test_a_comment_without_rules_suppresses_all(tmp_path: Path) -> None:
    program = PROGRAM.replace("int) -> int:", "int) -> int:  # standpipe: noqa")

    assert lines_of(check(program, tmp_path)) == [("SP031", 16)]


def test_comments_that_suppress_nothing_are_found_where_pipelines_are(tmp_path: Path) -> None:
    program = PROGRAM.replace("rows=1,", "rows=1,  # standpipe: noqa SP031 SP030 SP999")
    program += "\n\ndef helper():\n    return 1  # standpipe: noqa\n"
    findings = [each for each in check(program, tmp_path) if each.rule.id.startswith("SP09")]

    assert [(each.rule.id, each.finding.message) for each in findings] == [
        ("SP091", "no finding of SP030 to suppress here"),
        ("SP092", "unknown rule SP999"),
    ]


def test_a_comment_for_a_rule_that_is_not_checked_is_not_judged(tmp_path: Path) -> None:
    program = PROGRAM.replace("rows=1,", "rows=1,  # standpipe: noqa SP030")

    assert [each.rule.id for each in check(program, tmp_path, Selection(("SP09", "SP031")))] == ["SP031"]


def test_equal_tasks_of_one_line_have_one_finding(tmp_path: Path) -> None:
    program = PROGRAM.replace("    train(\n", "    for _ in range(3):\n      train(\n")

    assert [rule for rule, _ in lines_of(check(program, tmp_path))].count("SP010") == 1


def test_a_compiled_file_has_lines_of_its_own(tmp_path: Path) -> None:
    (pipeline,) = pipelines_of(PROGRAM, tmp_path)
    file = str(tmp_path / "pipeline.yaml")
    compiler.Compiler().compile(pipeline, file)
    loaded = components.load_component_from_file(file)

    findings = Checker(Selection()).check(loaded.plan, file, CompiledLines(file).find)
    lines = Path(file).read_text().splitlines()

    assert sorted(each.rule.id for each in findings) == ["SP001", "SP010", "SP011", "SP031"]
    for each in findings:
        assert each.location, each
        assert lines[each.location.line - 1].strip() == each.finding.path.rpartition(".")[2] + ":" or (
            each.rule.id == "SP011" and lines[each.location.line - 1].strip() == "image: train"
        )


def test_lines_of_other_files_are_unknown(tmp_path: Path) -> None:
    file = tmp_path / "pipeline.json"
    file.write_text('{"root": {}}')

    assert CompiledLines(str(file)).find("root.dag") == 0
    assert CompiledLines(str(tmp_path / "none.yaml")).find("root") == 0


def test_texts_of_several_lines_have_no_fields(tmp_path: Path) -> None:
    file = tmp_path / "pipeline.yaml"
    file.write_text("a:\n  b: |-\n    c: 1\n\n    d: 2\n  e:\n  - f: 1\n---\nplatforms:\n  a: 3\n")
    lines = CompiledLines(str(file))

    assert [lines.find(path) for path in ("a", "a.b", "a.b.c", "a.e", "platforms.a", "x")] == [1, 2, 2, 6, 10, 0]


@pytest.mark.parametrize(
    ("select", "ignore", "rules"),
    [
        (("ALL",), (), {"SP001", "SP010", "SP011", "SP031"}),
        (("SP01",), (), {"SP010", "SP011"}),
        (("SP",), ("SP01",), {"SP001", "SP031"}),
        (("SP011",), ("SP01",), {"SP011"}),
        (("SP01",), ("SP01",), set()),
        ((), (), set()),
    ],
)
def test_rules_are_selected_by_the_longest_beginning(
    select: tuple[str, ...], ignore: tuple[str, ...], rules: set[str], tmp_path: Path
) -> None:
    assert {each.rule.id for each in check(PROGRAM, tmp_path, Selection(select, ignore))} == rules


def test_an_optional_rule_is_checked_if_its_id_is_selected(tmp_path: Path) -> None:
    assert check(PROGRAM, tmp_path, Selection(("SP04",))) == []
    assert [each.rule.id for each in check(PROGRAM, tmp_path, Selection(("SP041",)))] == ["SP041"]


def test_files_may_ignore_rules(tmp_path: Path) -> None:
    selection = Selection(per_file={"program.py": ("SP01",), "other.py": ("SP0",)})

    assert [rule for rule, _ in lines_of(check(PROGRAM, tmp_path, selection))] == ["SP001", "SP031"]


def test_an_unknown_rule_cannot_be_selected() -> None:
    assert check_codes([" sp01 ", "", "all"], list(BY_ID), "--select") == ("SP01", "ALL")
    with pytest.raises(ArgumentError, match=r"Unknown rule 'SP8' in --ignore.*--list-rules"):
        check_codes(["SP8"], list(BY_ID), "--ignore")


def test_each_difference_from_a_cluster_is_a_rule_or_has_a_reason() -> None:
    assert {rule for rule in BY_ID if rule.startswith("SP1")} | HIDDEN.keys() == DIFFERENCES.keys()
    assert not BY_ID.keys() & HIDDEN.keys()
