"""Commands with their placeholders replaced."""

from __future__ import annotations

import json

import pytest

from standpipe.execution.rendering import Renderer
from standpipe.model.templates import parse_argument
from standpipe.model.types import Json

ARTIFACT = {"name": "d", "uri": "gs://bucket/d", "metadata": {"rows": 3, "name": "é"}}
EXECUTOR_INPUT: dict[str, Json] = {
    "inputs": {
        "parameterValues": {"n": 3, "text": 'say "{{$.pipeline_job_name}}"', "struct": {"k": [1, "é"]}, "yes": True},
        "artifacts": {"data": {"artifacts": [ARTIFACT]}},
    },
    "outputs": {
        "parameters": {"o": {"outputFile": "/f/o"}},
        "artifacts": {"model": {"artifacts": [{"name": "model", "uri": "/f/model", "metadata": {}}]}},
        "outputFile": "/f/executor_output.json",
    },
}


def rendered(*texts: str) -> tuple[str, ...]:
    return Renderer(EXECUTOR_INPUT, lambda name: f"<{name}>").render_arguments(map(parse_argument, texts))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("n={{$.inputs.parameters['n']}}", "n=3"),
        ("{{$.inputs.parameters['struct']}}", '{"k":[1,"é"]}'),
        ("{{$.inputs.parameters['yes']}}", "true"),
        ("{{$.inputs.parameters['absent']}}", ""),
        ("{{$.inputs.artifacts['data'].uri}}", "gs://bucket/d"),
        ("{{$.inputs.artifacts['data'].path}}", "/gcs/bucket/d"),
        ("{{$.inputs.artifacts['data'].metadata['rows']}}", "3"),
        ("{{$.inputs.artifacts['data'].metadata}}", '{"name":"é","rows":3}'),
        ("{{$.inputs.artifacts['data']}}", json.dumps([ARTIFACT], ensure_ascii=False)),
        ("{{$.inputs.artifacts['absent'].path}}", ""),
        ("{{$.outputs.artifacts['model'].path}}", "/f/model"),
        ("{{$.outputs.parameters['o'].output_file}}", "/f/o"),
        ("{{$.outputs.output_file}}", "/f/executor_output.json"),
        ("{{$.json_escape[1].inputs.parameters['text']}}", 'say \\"{{$.pipeline_job_name}}\\"'),
        ("run {{$.pipeline_job_name}}", "run <pipeline_job_name>"),
        ("{{$.foo}} stays", "{{$.foo}} stays"),
    ],
)
def test_each_placeholder_is_replaced_by_its_value(text: str, expected: str) -> None:
    assert rendered(text) == (expected,)


def test_the_whole_executor_input_is_json() -> None:
    (text,) = rendered("{{$}}")
    assert json.loads(text) == EXECUTOR_INPUT


def test_a_value_is_never_substituted_again() -> None:
    assert rendered("{{$.inputs.parameters['text']}}") == ('say "{{$.pipeline_job_name}}"',)


def test_branches_depend_on_whether_an_input_was_given() -> None:
    def branch(name: str, **more: Json) -> str:
        return json.dumps({"IfPresent": {"InputName": name, "Then": ["--n", "{{$.inputs.parameters['n']}}"], **more}})

    assert rendered("a", branch("n"), "b") == ("a", "--n", "3", "b")
    assert rendered("a", branch("absent"), "b") == ("a", "b")
    assert rendered(branch("absent", Else="none")) == ("none",)
    assert rendered(branch("data")) == ("--n", "3")
    concat = json.dumps({"Concat": ["x=", "{{$.inputs.parameters['n']}}", json.loads(branch("absent", Else="!"))]})
    assert rendered(concat) == ("x=3!",)
