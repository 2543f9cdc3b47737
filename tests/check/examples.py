"""The examples in the explanations of rules: programs that break a rule, and programs that do not."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import NamedTuple

import pytest

import standpipe
from standpipe import components
from standpipe.check.checker import Checker, LocatedFinding
from standpipe.check.compiled_lines import CompiledLines
from standpipe.check.rule import Rule
from standpipe.check.selection import Selection
from standpipe.dsl import BaseComponent, GraphComponent

_BLOCK = re.compile(r"(?:Beside it, `(?P<name>[^`]+)`:\n\n)?```(?P<language>python|yaml)\n(?P<text>.*?)```", re.DOTALL)


class Example(NamedTuple):
    """A program, and the files beside it; or a compiled file."""

    program: str
    files: dict[str, str]
    is_compiled: bool = False


def examples_of(rule: Rule) -> tuple[Example, Example]:
    """Return the example that breaks a rule, and the one that does not."""
    _, fails, passes = re.split(r"^(?:Fails|Passes):$", rule.explanation, flags=re.MULTILINE)
    return _example(fails), _example(passes)


def _example(text: str) -> Example:
    matches = list(_BLOCK.finditer(text))
    blocks = {match["name"] or "": match["text"] for match in matches}
    return Example(blocks.pop(""), blocks, is_compiled=matches[0]["language"] == "yaml")


def check(
    program: str, folder: Path, selection: Selection | None = None, files: dict[str, str] | None = None
) -> list[LocatedFinding]:
    """Return the findings of all pipelines of a program."""
    checker = Checker(selection or Selection())
    findings = [each for pipeline in pipelines_of(program, folder, files) for each in checker.check(pipeline.plan)]
    return [*findings, *checker.check_comments()]


def check_example(example: Example, folder: Path, selection: Selection) -> list[LocatedFinding]:
    """Return the findings of an example."""
    if not example.is_compiled:
        return check(example.program, folder, selection, example.files)
    file = folder / "pipeline.yaml"
    file.write_text(example.program, encoding="utf-8")
    plan = components.load_component_from_file(file).plan
    return Checker(selection).check(plan, str(file), CompiledLines(str(file)).find)


def pipelines_of(program: str, folder: Path, files: dict[str, str] | None = None) -> list[BaseComponent]:
    """Return the pipelines of a program."""
    for name, text in (files or {}).items():
        (folder / name).write_text(text, encoding="utf-8")
    file = folder / "program.py"
    file.write_text(program, encoding="utf-8")
    names: dict[str, object] = {"__name__": "program"}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "path", [str(folder), *sys.path])
        patch.setattr(sys, "meta_path", [*sys.meta_path])
        before = set(sys.modules)
        standpipe.install_as_kfp()
        try:
            exec(compile(program, str(file), "exec", dont_inherit=True), names)
        finally:
            for name in set(sys.modules) - before:
                if name.partition(".")[0] == "kfp" or f"{name}.py" in (files or {}):
                    del sys.modules[name]
    found = [each for each in names.values() if isinstance(each, BaseComponent)]
    return [each for each in found if isinstance(each, GraphComponent)] or found
