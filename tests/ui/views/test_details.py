"""The tab Details: parameters, outputs, failures and commands."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from standpipe import dsl, local
from standpipe.history import Run, get_run
from standpipe.local import FakeRunner
from standpipe.ui.source import RunSource
from standpipe.ui.views.details import DetailsView, view_details
from standpipe.ui.views.values import format_json, view_value


@dsl.component
def detailed(x: float) -> float: ...


@dsl.pipeline(description="Says what it does.")
def detailed_all(x: float = 0.5, words: list = ["a", "b"]) -> float:  # noqa: B006 - KFP copies it
    return detailed(x=x).output


def run_of(root: Path, function: Any = lambda x: x, **arguments: Any) -> Run:
    options: dict[str, Any] = {"runner": FakeRunner(detailed=function), "quiet": True, "raise_on_error": False}
    local.run(detailed_all, arguments, pipeline_root=root, **options)
    return get_run(root, "latest")


def view(run: Run, script: str = "") -> DetailsView:
    return view_details(run, RunSource(run.folder.parent).plan(run), script)


def test_a_run_has_its_parameters_and_outputs(tmp_path: Path) -> None:
    shown = view(run_of(tmp_path, x=0.25))

    assert [(each.name, each.type, each.text) for each in shown.inputs] == [
        ("x", "float", "0.25"),
        ("words", "list", '["a", "b"]'),
    ]
    assert [(each.name, each.text) for each in shown.outputs] == [("Output", "0.25")]
    assert not shown.failures
    assert [label for label, _ in shown.times] == ["Requested", "Started", "Ended"]


def test_facts_name_the_pipeline_and_where_it_is_defined(tmp_path: Path) -> None:
    run = run_of(tmp_path)
    facts = {each.label: each.text for each in view(run).facts}

    assert facts["Pipeline"] == "detailed-all"
    assert facts["Description"] == "Says what it does."
    assert facts["Defined in"].rpartition(":")[0] == __file__
    assert facts["Folder"] == str(run.folder)
    assert view_details(run, None).facts


def fails(x: float) -> float:
    raise KeyError("missing")


def test_a_failure_has_the_sentence_and_leads_to_the_task(tmp_path: Path) -> None:
    (failure,) = view(run_of(tmp_path, fails)).failures

    assert failure.path == "detailed"
    assert failure.failure.message == "KeyError: 'missing'"
    assert "in fails" in failure.failure.traceback
    assert "panel=details" in failure.href


def test_commands_continue_a_run_that_failed(tmp_path: Path) -> None:
    run = run_of(tmp_path, fails)
    commands = [each.text for each in view(run, "/my files/train.py").commands]

    assert commands[0] == f"standpipe resume --root {tmp_path} {run.id}"
    assert commands[1] == f"standpipe resume --script '/my files/train.py' --root {tmp_path} {run.id}"
    assert not any(" resume " in each.text for each in view(run_of(tmp_path)).commands)


def test_a_rerun_names_its_origin(tmp_path: Path) -> None:
    run = run_of(tmp_path)
    local.rerun_task(run.id, "detailed", runner=FakeRunner(detailed=lambda x: x), pipeline_root=tmp_path, quiet=True)
    rerun = get_run(tmp_path, local.runs(tmp_path)[0].id)
    shown = view(rerun)

    assert {each.label: each.text for each in shown.facts}["Rerun of"] == f"{run.id}/detailed"
    assert shown.commands[0].text == f"standpipe rerun --root {tmp_path} {rerun.id} detailed"


def test_values_are_text_or_json() -> None:
    assert format_json("text") == "text"
    assert format_json({"a": [1, None]}) == '{"a": [1, null]}'
    assert format_json(list(range(40))).startswith("[\n  0,")
    assert format_json("a\x1b[31mb\u202e") == "ab"
    assert format_json(10**5000)
    assert view_value("run", "x", True).type == "bool"


def test_a_long_value_is_folded_and_cut() -> None:
    long = view_value("run", "x", "a" * 200_000)

    assert long.is_long
    assert (len(long.text), long.cut) == (100_000, 100_000)
    assert not view_value("run", "x", 1).is_long
