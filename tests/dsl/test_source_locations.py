"""The files and lines of components and tasks in a Plan."""

from __future__ import annotations

import functools
import inspect
import linecache
import os
import re
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from textwrap import dedent
from typing import Any

import pytest

from standpipe import compiler, dsl, ir, local
from standpipe.dsl.components import component_from_plan
from standpipe.local import FakeRunner
from standpipe.model.component_changes import compare_components
from standpipe.model.plan import Dag, Node, Plan, SourceLocation
from standpipe.store.plans import dump, load


@dsl.component
def one() -> int:
    return 1


@dsl.component(
    base_image="python:3.11",
    packages_to_install=["one", "two"],
)
# a comment between the decorator and the function
def two(
    x: int = 0,
) -> int:
    return x


def marked_lines(function: Callable[..., Any]) -> dict[str, SourceLocation]:
    """Return the locations of the lines of a function that end with `# -> <name>`, by that name."""
    lines, first = inspect.getsourcelines(function)
    return {
        line.rpartition("# -> ")[2].strip(): SourceLocation(__file__, first + number)
        for number, line in enumerate(lines)
        if "# -> " in line
    }


def nodes(plan: Plan, component: str = "") -> dict[str, Node]:
    body = plan.components[component].body if component else plan.root.body
    assert isinstance(body, Dag)
    return dict(body.nodes)


def locations(plan: Plan, component: str = "") -> dict[str, SourceLocation | None]:
    return {name: node.source_location for name, node in nodes(plan, component).items()}


def line_of(text: str, source: str | None = None) -> int:
    """Return the number of the only line that begins with a text."""
    lines = (Path(__file__).read_text(encoding="utf-8") if source is None else source).splitlines()
    (number,) = [number for number, line in enumerate(lines, 1) if line.startswith(text)]
    return number


def test_a_node_has_the_line_of_the_call() -> None:
    def pipeline() -> None:
        first = one()  # -> one
        two(  # -> two
            x=first.output,
        )
        chained = (
            two(x=1)  # -> two-2
            .set_cpu_limit("1")
            .set_display_name("chained")
        )
        assert chained.name == "two-2"
        for _ in range(2):
            one().after(chained)  # -> loop

        def nested() -> None:
            one()  # -> nested

        nested()
        functools.partial(two, x=2)()  # -> partial

    lines = marked_lines(pipeline)
    assert locations(dsl.pipeline(pipeline).plan) == {
        "one": lines["one"],
        "two": lines["two"],
        "two-2": lines["two-2"],
        "one-2": lines["loop"],
        "one-3": lines["loop"],
        "one-4": lines["nested"],
        "two-3": lines["partial"],
    }


def test_a_group_has_the_line_of_its_block() -> None:
    def pipeline(x: int) -> None:
        cleanup = one()  # -> one
        with dsl.ExitHandler(cleanup):  # -> exit-handler-1
            with dsl.ParallelFor([1, 2]) as item:  # -> for-loop-3
                two(x=item)  # -> two
            with dsl.If(x == 1):  # -> if
                one()
            with dsl.Else():  # -> else
                one()  # -> one-3

    lines = marked_lines(pipeline)
    plan = dsl.pipeline(pipeline).plan
    assert locations(plan) == {"exit-handler-1": lines["exit-handler-1"], "one": lines["one"]}
    assert locations(plan, "comp-exit-handler-1") == {
        "for-loop-3": lines["for-loop-3"],
        "condition-branches-4": lines["if"],
    }
    assert locations(plan, "comp-for-loop-3") == {"two": lines["two"]}
    assert locations(plan, "comp-condition-branches-4") == {
        "condition-5": lines["if"],
        "condition-6": lines["else"],
    }
    assert locations(plan, "comp-condition-6") == {"one-3": lines["one-3"]}


def test_an_importer_has_the_line_of_its_call() -> None:
    def pipeline() -> None:
        dsl.importer(artifact_uri="data.csv", artifact_class=dsl.Dataset)  # -> importer

    assert locations(dsl.pipeline(pipeline).plan) == marked_lines(pipeline)


def test_a_warning_names_the_line_of_the_call_through_functions_of_ours() -> None:
    def pipeline() -> None:
        one().set_gpu_limit("1").add_node_selector_constraint("nvidia.com/gpu")

    with pytest.warns(DeprecationWarning, match="is deprecated: use") as warned:
        dsl.pipeline(pipeline)

    line = line_of('        one().set_gpu_limit("1")')
    assert [(warning.filename, warning.lineno) for warning in warned] == [(__file__, line)] * 2


def test_a_component_has_the_line_of_its_def_below_the_decorators() -> None:
    @dsl.container_component
    def shell() -> dsl.ContainerSpec:  # -> shell
        return dsl.ContainerSpec(image="alpine", command=["true"])

    @dsl.pipeline(
        name="inner",
    )
    def inner() -> None:  # -> inner
        one()

    @dsl.pipeline
    def outer() -> None:  # -> outer
        two()
        shell()
        inner()

    lines = marked_lines(test_a_component_has_the_line_of_its_def_below_the_decorators)
    two_location = SourceLocation(__file__, line_of("def two("))
    components = outer.plan.components
    assert components["comp-two"].source_location == two_location
    assert components["comp-shell"].source_location == lines["shell"]
    assert components["comp-inner"].source_location == lines["inner"]
    assert components["comp-one"].source_location == SourceLocation(__file__, line_of("def one("))
    assert outer.plan.root.source_location == lines["outer"]
    assert two.plan.root.source_location == two.plan.components["comp-two"].source_location == two_location


NOTEBOOK_CELL = """\
import functools
from standpipe import dsl

@dsl.component(
    base_image="python:3.11",
)
def cell_component() -> int:
    return 1

@dsl.pipeline
def cell_pipeline() -> None:
    cell_component()
"""


def test_a_cell_of_a_notebook_has_its_name_and_line() -> None:
    name = "<ipython-input-3-abc>"
    linecache.cache[name] = (len(NOTEBOOK_CELL), None, NOTEBOOK_CELL.splitlines(keepends=True), name)  # as IPython does
    cell: dict[str, Any] = {"__name__": "__main__"}
    exec(compile(NOTEBOOK_CELL, name, "exec"), cell)  # as IPython does
    plan = cell["cell_pipeline"].plan

    assert locations(plan) == {"cell-component": SourceLocation(name, line_of("    cell_component()", NOTEBOOK_CELL))}
    assert plan.root.source_location == SourceLocation(name, line_of("def cell_pipeline", NOTEBOOK_CELL))
    component = plan.components["comp-cell-component"]
    assert component.source_location == SourceLocation(name, line_of("def cell_component", NOTEBOOK_CELL))


def divide(a: int) -> float:
    return 1 / a


def test_a_traceback_of_a_task_names_the_file_and_the_lines_of_the_author(tmp_path: Path) -> None:
    class Report(dsl.Artifact):
        schema_title = "system.Report"
        schema_version = "0.0.1"

        def check(self, value: float) -> None:
            raise ValueError(value)  # -> check

    def fail(a: int, report: dsl.Output[Report]) -> None:
        if a:
            report.check(divide(a))  # -> fail with the class
        divide(a)  # -> fail with the helper

    fail.__annotations__["report"] = dsl.Output[Report]  # a class in a function has no name in the module
    component = dsl.component(additional_funcs=[divide])(fail)
    lines = marked_lines(test_a_traceback_of_a_task_names_the_file_and_the_lines_of_the_author)
    compiled = tmp_path / "component.yaml"
    compiler.Compiler().compile(component, str(compiled))

    def frames(target: Any, a: int) -> list[tuple[str, int]]:
        options = {"runner": local.SubprocessRunner(), "pipeline_root": tmp_path, "quiet": True}
        error = local.run(target, {"a": a}, raise_on_error=False, **options).error
        return [(file, int(line)) for file, line in re.findall(r'File "(.+)", line (\d+)', str(error))]

    def named(*names: str) -> list[tuple[str, int]]:
        return [(lines[name].file, lines[name].line) for name in names]

    assert frames(component, 1) == named("fail with the class", "check")
    assert frames(component, 0) == [*named("fail with the helper"), (__file__, line_of("def divide(") + 1)]
    assert {file for file, _ in frames(compiled, 0)} == {"<component fail>"}


def test_code_without_source_has_the_line_that_python_knows() -> None:
    source = "\n\n@dsl.pipeline\ndef pipeline():\n    one()\n"
    namespace = {"dsl": dsl, "one": one, "__name__": "__main__"}
    exec(compile(source, "<string>", "exec"), namespace)  # so that there is no file
    plan = namespace["pipeline"].plan  # type: ignore[attr-defined]

    assert plan.root.source_location == SourceLocation("<string>", 3)
    assert locations(plan) == {"one": SourceLocation("<string>", 5)}


def test_files_are_absolute_paths_also_when_python_was_started_with_a_relative_one(tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(
        dedent("""\
        import os
        from standpipe import dsl

        @dsl.component
        def one() -> int:
            return 1

        @dsl.pipeline
        def pipeline():
            one()

        for part in (pipeline.plan.root, pipeline.plan.root.body.nodes["one"]):
            print(part.source_location.file, part.source_location.line)
        """),
        encoding="utf-8",
    )
    output = subprocess.run(
        [sys.executable, "script.py"], cwd=tmp_path, check=True, capture_output=True, text=True
    ).stdout

    assert output.splitlines() == [f"{script} 9", f"{script} 10"]


@dsl.pipeline
def calls_both() -> int:
    return two(x=one().output).output


def test_the_debugger_shows_the_file_of_the_author(tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(
        dedent("""\
        from standpipe import dsl, local

        @dsl.component
        def double(n: int) -> int:
            doubled = n * 2
            return doubled

        local.init(runner=local.SubprocessRunner(), pipeline_root="root", quiet=True)
        double(n=4)
        """),
        encoding="utf-8",
    )
    subprocess.run([sys.executable, "script.py"], cwd=tmp_path, check=True)
    shown = subprocess.run(
        [sys.executable, "-m", "standpipe", "rerun", "latest", "double", "--debug", "--root", "root"],
        cwd=tmp_path,
        check=True,
        input="list\nc\n",
        capture_output=True,
        text=True,
        env={**os.environ, "NO_COLOR": "1", "PYTHON_COLORS": "0"},
    ).stdout

    assert f"> {script}(5)double()\n-> doubled = n * 2\n" in shown
    assert "  3  \t@dsl.component\n  4  \tdef double(n: int) -> int:\n  5  ->\t    doubled = n * 2\n" in shown


def moved(plan: Plan, lines: int) -> Plan:
    """Return a Plan whose parts are some lines further down, as if text had been inserted above them."""

    def move(part: Any) -> Any:
        location = part.source_location
        return replace(part, source_location=location and replace(location, line=location.line + lines))

    components = {key: move(component) for key, component in plan.components.items()}
    assert isinstance(plan.root.body, Dag)
    body = replace(plan.root.body, nodes={name: move(node) for name, node in plan.root.body.nodes.items()})
    return replace(plan, root=replace(move(plan.root), body=body), components=components)


def test_locations_are_not_part_of_the_identity_of_a_plan() -> None:
    plan = calls_both.plan
    other = moved(plan, 5)

    assert locations(other) != locations(plan)
    assert other == plan
    assert {key: compare_components(plan, other)(key, key) for key in plan.components} == {
        "comp-one": "",
        "comp-two": "",
    }


def test_compiled_files_have_no_locations(tmp_path: Path) -> None:
    compiler.Compiler().compile(calls_both, str(tmp_path / "pipeline.yaml"))
    text = (tmp_path / "pipeline.yaml").read_text(encoding="utf-8")

    assert Path(__file__).name not in text
    assert ir.emit(moved(calls_both.plan, 5)) == ir.emit(calls_both.plan)
    loaded = ir.read(tmp_path / "pipeline.yaml")
    assert loaded == calls_both.plan
    assert set(locations(loaded).values()) == {None}


def test_the_run_store_keeps_locations() -> None:
    stored = load(dump(calls_both.plan)[0])

    assert locations(stored) == locations(calls_both.plan)
    assert stored.root.source_location == calls_both.plan.root.source_location
    component = component_from_plan(load(dump(two.plan)[0]))
    assert component.plan.components["comp-two"].source_location == SourceLocation(__file__, line_of("def two("))


def test_a_task_that_only_moved_is_neither_run_again_by_resume_nor_missing_in_the_cache(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[str] = []

    def run_one() -> dict[str, int]:
        calls.append("one")
        return {"Output": 1}

    def run_two(x: int) -> dict[str, int]:
        calls.append("two")
        return {"Output": x + 1}

    local.init(runner=FakeRunner(one=run_one, two=run_two), pipeline_root=tmp_path, quiet=True, enable_caching=True)
    assert calls_both().output == 2
    monkeypatch.setattr(calls_both, "_plan", moved(calls_both.plan, 5))

    assert local.resume("latest").output == 2
    assert calls_both().output == 2
    assert calls == ["one", "two"]
