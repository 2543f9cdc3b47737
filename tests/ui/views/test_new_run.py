"""The form of a new run: its fields, and the arguments that come of what the user fills in."""

from __future__ import annotations

import json
import textwrap
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from standpipe import compiler, dsl, local
from standpipe.dsl import Dataset, Output
from standpipe.errors import ArgumentError, SpecError, StorageError
from standpipe.history import Artifact
from standpipe.ir import ManifestNames, emit, write_manifests
from standpipe.local import SubprocessRunner
from standpipe.model.types import ArtifactInput, ArtifactType, Input, ParameterInput, ParameterType
from standpipe.ui.compiled_files import find_compiled_files, read_compiled_file
from standpipe.ui.views.new_run import Earlier, Field, make_fields, parse_fields

T = ParameterType
DATA = ArtifactType("system.Dataset")
NOTHING = Earlier()


def field_of(declared: Input, earlier: Earlier = NOTHING, **more: Any) -> Field:
    (field,) = make_fields({"x": declared}, earlier, **more)
    return field


def parse(declared: Input, text: str | None, earlier: Earlier = NOTHING) -> Any:
    """Return the argument; `"left out"` if there is none, the error as a ValueError."""
    arguments, errors = parse_fields({"x": declared}, {} if text is None else {"x": text}, earlier)
    return ValueError(errors["x"]) if errors else arguments.get("x", "left out")


@pytest.mark.parametrize(
    ("declared", "kind", "text"),
    [
        (ParameterInput(T.STRING), "text", ""),
        (ParameterInput(T.STRING, default="a"), "text", "a"),
        (ParameterInput(T.STRING, default="a\nb"), "lines", "a\nb"),
        (ParameterInput(T.STRING, default="x" * 100), "lines", "x" * 100),
        (ParameterInput(T.NUMBER_INTEGER, default=3), "integer", "3"),
        (ParameterInput(T.NUMBER_DOUBLE, default=0.5), "number", "0.5"),
        (ParameterInput(T.BOOLEAN, default=True), "checkbox", "true"),
        (ParameterInput(T.BOOLEAN), "checkbox", ""),
        (ParameterInput(T.BOOLEAN, optional=True), "choice", ""),
        (ParameterInput(T.LIST, default=[1]), "json", "[\n  1\n]"),
        (ParameterInput(T.STRUCT, default={}), "json", "{}"),
        (ParameterInput(T.STRUCT, default={"é": None}), "json", '{\n  "é": null\n}'),
        (ParameterInput(T.STRING, literals=("a", "b"), default="b"), "choice", "b"),
        (ArtifactInput(DATA), "location", ""),
        (ArtifactInput(DATA, is_list=True), "locations", ""),
    ],
)
def test_each_type_of_input_has_a_field(declared: Input, kind: str, text: str) -> None:
    field = field_of(declared)
    assert (field.kind, field.text) == (kind, text)
    assert field.field_name == "input:x"


def test_what_a_field_says_of_its_input() -> None:
    declared = ParameterInput(T.NUMBER_INTEGER, optional=True, default=3, description="How many <b>rows</b>")
    field = field_of(declared, texts={"x": "many"}, errors={"x": "Expected an integer."})
    assert (field.type, field.default, field.description) == ("int", "3", "How many <b>rows</b>")
    assert (field.text, field.error, field.is_required) == ("many", "Expected an integer.", False)
    settings = ParameterInput(T.STRUCT, default={"a": [1, 2]})
    assert field_of(settings).default == field_of(settings, texts={"x": field_of(settings).text}).default == ""
    assert field_of(settings, texts={"x": field_of(settings).text.replace("\n", "\r\n")}).default == ""
    assert field_of(settings, texts={"x": "{}"}).default == '{"a": [1, 2]}'
    assert field_of(ParameterInput(T.BOOLEAN, default=False), texts={}).default == ""
    assert field_of(ArtifactInput(DATA, is_list=True)).type == "list of Dataset"
    assert field_of(ParameterInput(T.NUMBER_INTEGER, literals=(1, 2))).choices == ("", "1", "2")
    assert field_of(ParameterInput(T.BOOLEAN, optional=True)).choices == ("", "true", "false")


def test_required_inputs_are_first_and_those_of_the_system_are_left_out() -> None:
    inputs: Mapping[str, Input] = {
        "a": ParameterInput(T.STRING, optional=True),
        "status": ParameterInput(T.TASK_FINAL_STATUS),
        "b": ParameterInput(T.STRING),
    }
    assert [field.name for field in make_fields(inputs, NOTHING)] == ["b", "a"]


@pytest.mark.parametrize(
    ("declared", "text", "expected"),
    [
        (ParameterInput(T.STRING), " a ", " a "),
        (ParameterInput(T.STRING), "a\r\nb", "a\nb"),
        (ParameterInput(T.STRING, default="a"), "a", "left out"),
        (ParameterInput(T.STRING, default="a"), "", ""),
        (ParameterInput(T.STRING, optional=True), "", "left out"),
        (ParameterInput(T.STRING), "[1]", "[1]"),
        (ParameterInput(T.NUMBER_INTEGER), " 7", 7),
        (ParameterInput(T.NUMBER_INTEGER, default=3), "", "left out"),
        (ParameterInput(T.NUMBER_DOUBLE), "1e-3", 0.001),
        (ParameterInput(T.BOOLEAN), None, False),
        (ParameterInput(T.BOOLEAN), "true", True),
        (ParameterInput(T.BOOLEAN, default=True), None, False),
        (ParameterInput(T.BOOLEAN, default=False), None, "left out"),
        (ParameterInput(T.BOOLEAN, optional=True), "", "left out"),
        (ParameterInput(T.BOOLEAN, optional=True), "false", False),
        (ParameterInput(T.LIST), '["ä", 1]', ["ä", 1]),
        (ParameterInput(T.STRUCT), '{"a": {"b": null}}', {"a": {"b": None}}),
        (ParameterInput(T.STRUCT, default={"a": 1}), '{\r\n  "a": 1\r\n}', "left out"),
        (ParameterInput(T.NUMBER_INTEGER, literals=(1, 2)), "2", 2),
        (ArtifactInput(DATA), "data/a.csv", "data/a.csv"),
        (ArtifactInput(DATA, optional=True), "", "left out"),
        (ArtifactInput(DATA, is_list=True), '["a", "s3://b/c"]', ["a", "s3://b/c"]),
    ],
)
def test_what_is_filled_in_becomes_an_argument(declared: Input, text: str | None, expected: Any) -> None:
    assert parse(declared, text) == expected


@pytest.mark.parametrize(
    ("declared", "text", "message"),
    [
        (ParameterInput(T.STRING), "", "A value is required."),
        (ParameterInput(T.LIST), "", "A value is required."),
        (ArtifactInput(DATA), "", "A value is required."),
        (ParameterInput(T.NUMBER_INTEGER), "1.5", "Expected an integer (int), got '1.5'."),
        (ParameterInput(T.NUMBER_DOUBLE), "fast", "Expected a number (float), got 'fast'."),
        (ParameterInput(T.BOOLEAN, optional=True), "maybe", "Expected true or false (bool), got 'maybe'."),
        (ParameterInput(T.LIST), "{}", "Expected a JSON list such as [1, 2] (list), got '{}'."),
        (ParameterInput(T.STRUCT), "{'a'}", "is not JSON"),
        (ParameterInput(T.STRUCT), '{"a": 1, "a": 2}', "duplicate key"),
        (ParameterInput(T.STRING, literals=("a", "b")), "c", "The value is 'c', expected one of 'a', 'b'."),
        (ArtifactInput(DATA, is_list=True), "a.csv", "Expected a JSON list of paths or URIs: "),
        (ArtifactInput(DATA, is_list=True), '[{"a": 1}]', "Expected a JSON list of paths or URIs such as"),
        (ParameterInput(T.LIST), "[" * 200 + "]" * 200, "nested too deeply"),
    ],
)
def test_what_is_wrong_is_said_beside_the_field(declared: Input, text: str, message: str) -> None:
    problem = parse(declared, text)
    assert isinstance(problem, ValueError)
    assert message in str(problem)


def artifact(location: str) -> Artifact:
    return Artifact("data", "system.Dataset", location, "", None, {}, None, (), location)


@pytest.mark.parametrize(
    ("declared", "value", "text"),
    [
        (ParameterInput(T.STRING, default="a"), "b", "b"),
        (ParameterInput(T.STRING), "", ""),
        (ParameterInput(T.BOOLEAN, default=False), True, "true"),
        (ParameterInput(T.NUMBER_DOUBLE), 3.0, "3.0"),
        (ParameterInput(T.LIST), ["é"], '[\n  "é"\n]'),
        (ArtifactInput(DATA), artifact("/data/a.csv"), "/data/a.csv"),
        (ArtifactInput(DATA), artifact("s3://bucket/a.csv"), "s3://bucket/a.csv"),
    ],
)
def test_a_clone_begins_with_the_inputs_of_the_run(declared: Input, value: Any, text: str) -> None:
    earlier = Earlier({"x": value})
    assert field_of(declared, earlier).text == text
    expected = text if isinstance(declared, ArtifactInput) else value
    assert parse(declared, text, earlier) == expected


@pytest.mark.parametrize("value", ["x" * 200_000, ["é"] * 50_000, "first\r\nlast\r\n"])
def test_a_value_that_no_field_can_show_is_kept(value: Any) -> None:
    declared = ParameterInput(T.LIST if isinstance(value, list) else T.STRING)
    earlier = Earlier({"x": value})
    field = field_of(declared, earlier)
    assert len(field.text) < 100
    assert ("too long" in field.note) == (len(value) > 100)
    assert parse(declared, field.text, earlier) == value
    other = '["other"]'
    assert parse(declared, other, earlier) == (["other"] if isinstance(value, list) else other)


def test_a_list_of_artifacts_is_cloned_as_their_locations() -> None:
    earlier = Earlier({"x": [artifact("/a"), artifact("s3://b/c")]})
    declared = ArtifactInput(DATA, is_list=True)
    assert parse(declared, field_of(declared, earlier).text, earlier) == ["/a", "s3://b/c"]


@pytest.mark.parametrize("declared", [ParameterInput(T.STRING), ParameterInput(T.STRING, default="none")])
def test_a_redacted_value_is_asked_for(declared: Input) -> None:
    earlier = Earlier({"x": "***"}, {"x"})
    field = field_of(declared, earlier)
    assert field.text == ""
    assert "held a secret" in field.note
    assert parse(declared, "hunter2", earlier) == "hunter2"
    if declared == ParameterInput(T.STRING):
        assert "held a secret" in str(parse(declared, "", earlier))


# --- compiled files ---------------------------------------------------------------------------------------------------

_COMPILED = "pipelineInfo:\n  name: x\nschemaVersion: 2.1.0\n"


def test_compiled_files_are_found_and_others_are_not(tmp_path: Path) -> None:
    names = ("a.yaml", "in/b.json", "in/deep/c.yml", ".hidden/d.yaml", "node_modules/e.yaml", "runs/f.yaml", "g.txt")
    for name in names:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(_COMPILED)
    (tmp_path / "other.yaml").write_text("a: 1")
    (tmp_path / "folder.yaml").mkdir()
    (tmp_path / "broken.yaml").symlink_to(tmp_path / "nothing")
    (tmp_path / "runs" / "runs.sqlite").touch()
    assert find_compiled_files(tmp_path) == ["a.yaml", "in/b.json", "in/deep/c.yml"]
    assert find_compiled_files(tmp_path / "nothing") == []


@dsl.component
def show_rows(rows: Output[Dataset]) -> None:
    from pathlib import Path

    Path(rows.path).write_text("{}")


@dsl.component
def compile_rows(copy: Output[Dataset]) -> None:
    from pathlib import Path

    copy.uri = copy.path = f"{copy.path}.yaml"
    Path(copy.path).write_text("# PIPELINE DEFINITION\n# Name: x\nschemaVersion: 2.1.0\n")


@dsl.pipeline
def show_all() -> None:
    show_rows()
    compile_rows()


@pytest.mark.parametrize("root", ["runs", "in/deep/runs", "."])
def test_files_of_tasks_are_not_offered_in_whatever_pipeline_root(tmp_path: Path, root: str) -> None:
    runner = SubprocessRunner(use_venv=False)
    local.run(show_all, runner=runner, pipeline_root=tmp_path / root, quiet=True)
    assert {path.name for path in (tmp_path / root).rglob("*") if path.suffix in (".json", ".yaml")} >= {
        "copy.yaml",
        "request.json",
    }
    (tmp_path / "jobs").mkdir()
    compiler.Compiler().compile(show_all, str(tmp_path / "jobs" / "rows.yaml"))
    assert find_compiled_files(tmp_path) == ["jobs/rows.yaml"]


@pytest.mark.parametrize("indent", [None, 0, 2])
def test_only_a_pipeline_at_the_top_level_of_a_file_is_offered(tmp_path: Path, indent: int | None) -> None:
    spec = emit(show_all.plan)
    assert "schemaVersion" in str(spec["components"])  # of an artifact
    documents: dict[str, object] = {
        "pipeline": spec,
        "unsorted": dict(reversed(spec.items())),
        "component": spec["components"],
        "job": {"pipelineSpec": spec},
        "jobs": [spec],
        "text": {"text": json.dumps(spec), "more": {}},
        "manifest": {"schemaVersion": 2, "layers": []},
    }
    for name, document in documents.items():
        (tmp_path / f"{name}.json").write_text(json.dumps(document, indent=indent))
    (tmp_path / "nested.yaml").write_text("spec:\n" + textwrap.indent(_COMPILED, "  "))
    (tmp_path / "artifact.yaml").write_text("schemaTitle: system.Dataset\nschemaVersion: 0.0.1\n")
    assert find_compiled_files(tmp_path) == ["pipeline.json", "unsorted.json"]
    assert read_compiled_file(tmp_path, "unsorted.json") == read_compiled_file(tmp_path, "pipeline.json")


@pytest.mark.parametrize("with_pipeline", [False, True])
def test_manifests_of_pipelines_are_offered(tmp_path: Path, *, with_pipeline: bool) -> None:
    names = ManifestNames("rows", "rows", "rows-1", "rows-1")
    write_manifests(show_all.plan, tmp_path / "manifest.yaml", names, with_pipeline=with_pipeline)
    (tmp_path / "other.yaml").write_text("apiVersion: v1\nkind: Secret\n")
    assert find_compiled_files(tmp_path) == ["manifest.yaml"]


@pytest.mark.parametrize("path", ["../a.yaml", "/etc/hosts.yaml", "link.yaml", "a.txt", "a\0.yaml", "~/a.yaml"])
def test_files_elsewhere_are_refused(tmp_path: Path, path: str) -> None:
    folder = tmp_path / "work"
    folder.mkdir()
    (tmp_path / "a.yaml").write_text(_COMPILED)
    (folder / "link.yaml").symlink_to(tmp_path / "a.yaml")
    with pytest.raises(ArgumentError, match="Invalid file"):
        read_compiled_file(folder, path)


def test_what_is_no_compiled_file_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text("a: 1")
    with pytest.raises(SpecError):
        read_compiled_file(tmp_path, "a.yaml")
    with pytest.raises(StorageError):
        read_compiled_file(tmp_path, "b.yaml")
