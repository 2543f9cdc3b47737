"""Placeholders in text."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from standpipe.model.templates import (
    ArtifactField,
    Concat,
    ExecutorInputText,
    IfPresent,
    InputParameter,
    JobField,
    JsonEscape,
    OutputFile,
    OutputParameterFile,
    Template,
    parse_argument,
    parse_text,
    parse_value,
    print_value,
)


@pytest.mark.parametrize(
    ("text", "placeholder"),
    [
        ("{{$}}", ExecutorInputText()),
        ("{{$.pipeline_job_name}}", JobField("pipeline_job_name")),
        ("{{$.workspace_path}}", JobField("workspace_path")),
        ("{{$.inputs.parameters['lr rate']}}", InputParameter("lr rate")),
        ("{{$.inputs.artifacts['d'].uri}}", ArtifactField("inputs", "d", "uri")),
        ("{{$.outputs.artifacts['m'].path}}", ArtifactField("outputs", "m", "path")),
        ("{{$.inputs.artifacts['d'].metadata['k']}}", ArtifactField("inputs", "d", "metadata", "k")),
        ("{{$.inputs.artifacts['d']}}", ArtifactField("inputs", "d")),
        ("{{$.outputs.parameters['o'].output_file}}", OutputParameterFile("o")),
        ("{{$.outputs.output_file}}", OutputFile()),
        ("{{$.json_escape[2].inputs.parameters['x']}}", JsonEscape(2, InputParameter("x"))),
    ],
)
def test_each_of_kfps_placeholders_is_known_and_prints_as_it_was(text: str, placeholder: object) -> None:
    parsed = parse_text(f"a {text} b")
    assert parsed == Template(("a ", placeholder, " b"))  # type: ignore[arg-type]
    assert str(parsed) == f"a {text} b"


@pytest.mark.parametrize("text", ["{{$.foo}}", "{{$", "{{$.inputs.parameters[x]}}", "{{$.json_escape[1]}}", "{{ $ }}"])
def test_what_only_looks_like_one_is_text(text: str) -> None:
    assert parse_text(text) == text


@given(st.text(alphabet="{}$.'[]abipn_ \n\\é"))
def test_any_text_prints_as_it_was(text: str) -> None:
    assert str(parse_text(text)) == text
    assert str(parse_argument(text)) == text


def test_constants_are_parsed_deep_and_printed_back() -> None:
    value = {"k": ["{{$.pipeline_root}}/x", 1, None, {"n": True}], "{{$}}": 1.5}
    parsed = parse_value(value)
    assert parsed["k"][0] == Template((JobField("pipeline_root"), "/x"))
    assert print_value(parsed) == value


def test_structures_of_arguments_are_parsed_and_printed_back() -> None:
    branch = IfPresent("x", (Template((InputParameter("x"),)), "b"), Concat(("c", Template((OutputFile(),)))))
    assert parse_argument(str(branch)) == branch
    assert parse_argument(str(Concat(("a", branch)))) == Concat(("a", branch))


@pytest.mark.parametrize("text", ['{"Concat": ', '{"IfPresent": {"Then": "x"}}', '{"Concat": ["a"], "b": 1}'])
def test_json_that_is_not_a_structure_is_text(text: str) -> None:
    assert parse_argument(text) == text
