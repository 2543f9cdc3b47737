"""KFP's executor contract on files."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from standpipe.artifact_stores.local import LocalArtifactStore
from standpipe.execution.contract import OutputError, build_executor_input, read_outputs, remove_outputs
from standpipe.model.plan import Component, ExecutorRef
from standpipe.model.types import ArtifactInput, ArtifactOutput, ArtifactType, Json, ParameterInput, ParameterOutput
from standpipe.model.types import ParameterType as Type
from standpipe.model.values import ArtifactValue

DATASET = ArtifactType("system.Dataset")
MODEL = ArtifactType("system.Model")
STORE = LocalArtifactStore([])

COMPONENT = Component(
    ExecutorRef("exec"),
    {
        "rate": ParameterInput(Type.NUMBER_DOUBLE, optional=True),
        "data": ArtifactInput(DATASET),
        "many": ArtifactInput(DATASET, is_list=True),
    },
    {
        "score": ParameterOutput(Type.NUMBER_DOUBLE),
        "count": ParameterOutput(Type.NUMBER_INTEGER),
        "model": ArtifactOutput(MODEL),
    },
)


def build_message(folder: Path) -> dict[str, Json]:
    one = ArtifactValue("d", DATASET, "/data", {"rows": 3})
    return build_executor_input(
        COMPONENT, {"rate": None, "data": one, "many": [one, one], "extra--x": 5}, folder, STORE
    )


def tell(folder: Path, output: object) -> None:
    (folder / "executor_output.json").write_text(output if isinstance(output, str) else json.dumps(output))


def test_the_executor_input_has_values_artifacts_and_a_place_for_each_output(tmp_path: Path) -> None:
    runtime = {
        "name": "d",
        "type": {"schemaTitle": "system.Dataset", "schemaVersion": "0.0.1"},
        "uri": "/data",
        "metadata": {"rows": 3},
    }
    message = build_message(tmp_path)
    assert message["inputs"] == {
        "parameterValues": {"extra--x": 5},
        "artifacts": {"data": {"artifacts": [runtime]}, "many": {"artifacts": [runtime, runtime]}},
    }
    assert message["outputs"]["parameters"]["score"] == {"outputFile": str(tmp_path / "score")}
    assert message["outputs"]["artifacts"]["model"]["artifacts"][0]["uri"] == str(tmp_path / "model")
    assert message["outputs"]["outputFile"] == str(tmp_path / "executor_output.json")


def test_the_executor_output_takes_precedence_over_a_parameter_file(tmp_path: Path) -> None:
    message = build_message(tmp_path)
    tell(tmp_path, {"parameterValues": {"score": 1}})
    (tmp_path / "score").write_text("2")
    (tmp_path / "count").write_text("3\n")
    outputs = read_outputs(COMPONENT, message, tmp_path)
    assert (outputs["score"], outputs["count"]) == (1.0, 3)
    assert outputs["model"] == ArtifactValue("model", MODEL, str(tmp_path / "model"))


def test_the_fields_that_a_task_writes_of_an_artifact_are_read(tmp_path: Path) -> None:
    message = build_message(tmp_path)
    custom = tmp_path / "custom"
    custom.touch()
    artifact = {"name": "m", "uri": "gs://b/m", "metadata": {"k": [1]}, "custom_path": str(custom)}
    tell(tmp_path, {"parameterValues": {"score": 1, "count": 1}, "artifacts": {"model": {"artifacts": [artifact]}}})
    assert read_outputs(COMPONENT, message, tmp_path)["model"] == ArtifactValue(
        "m", MODEL, "gs://b/m", {"k": [1]}, str(custom)
    )


def test_a_custom_path_that_was_only_in_the_container_is_not_kept(tmp_path: Path) -> None:
    message = build_message(tmp_path)
    artifact = {"custom_path": "/only/in/the/container"}
    tell(tmp_path, {"parameterValues": {"score": 1, "count": 1}, "artifacts": {"model": {"artifacts": [artifact]}}})
    assert read_outputs(COMPONENT, message, tmp_path)["model"] == ArtifactValue("model", MODEL, str(tmp_path / "model"))


@pytest.mark.parametrize(
    ("output", "says"),
    [
        ({"parameterValues": {"count": 1}}, "did not write its output 'score'"),
        (
            {"parameterValues": {"score": 1, "count": 1.5}},
            "output 'count' does not fit: expected int, got 1.5",
        ),
        ("{", "not JSON"),
        ("[]", "not a JSON object"),
        (
            {"parameterValues": {"score": 1, "count": 1}, "artifacts": {"model": {"artifacts": []}}},
            "malformed entry for its output artifact 'model'",
        ),
        (
            {"parameterValues": {"score": 1, "count": 1}, "artifacts": {"model": [3]}},
            "malformed entry for its output artifact 'model'",
        ),
        ('{"parameterValues": {"score": NaN, "count": 1}}', "executor output\\['parameterValues']\\['score'] is nan"),
        ('{"parameterValues": {"score": [{"a": -Infinity}], "count": 1}}', "\\['score']\\[0]\\['a'] is -inf"),
        (
            '{"artifacts": {"model": {"artifacts": [{"metadata": {"loss": Infinity}}]}}}',
            "\\['model']\\['artifacts']\\[0]\\['metadata']\\['loss'] is inf: expected a finite number",
        ),
        (
            {
                "parameterValues": {"score": 1, "count": 1},
                "artifacts": {"model": {"artifacts": [{"metadata": {"_kfp_model_registry_request": "{"}}]}},
            },
            "malformed entry for its output artifact 'model'",
        ),
    ],
)
def test_missing_and_malformed_outputs_are_named(tmp_path: Path, output: object, says: str) -> None:
    message = build_message(tmp_path)
    tell(tmp_path, output)
    with pytest.raises(OutputError, match=says):
        read_outputs(COMPONENT, message, tmp_path)


@pytest.mark.parametrize(
    ("declared", "text"),
    [(Type.NUMBER_DOUBLE, "NaN"), (Type.NUMBER_DOUBLE, "-Infinity"), (Type.LIST, "[NaN]"), (Type.STRUCT, '{"a": NaN}')],
)
def test_a_number_that_is_not_finite_is_no_output_of_a_container(tmp_path: Path, declared: Type, text: str) -> None:
    component = Component(ExecutorRef("exec"), {}, {"score": ParameterOutput(declared)})
    (tmp_path / "score").write_text(text)
    with pytest.raises(OutputError, match="its output 'score' does not fit: .*: expected a finite number"):
        read_outputs(component, build_executor_input(component, {}, tmp_path, STORE), tmp_path)


def test_a_text_may_be_nan(tmp_path: Path) -> None:
    component = Component(ExecutorRef("exec"), {}, {"text": ParameterOutput(Type.STRING)})
    (tmp_path / "text").write_text("NaN")
    assert read_outputs(component, build_executor_input(component, {}, tmp_path, STORE), tmp_path) == {"text": "NaN"}


def test_a_parameter_file_that_is_not_text_is_an_error(tmp_path: Path) -> None:
    message = build_message(tmp_path)
    (tmp_path / "score").write_bytes(b"\xff\xfe")
    with pytest.raises(OutputError, match="'score'.*not UTF-8"):
        read_outputs(COMPONENT, message, tmp_path)


@pytest.mark.parametrize("name", ["../up", "..", "a/b", "log.txt", "executor_output.json", "with space", "é"])
def test_output_names_never_lead_out_of_the_folder_or_to_our_files(tmp_path: Path, name: str) -> None:
    component = Component(ExecutorRef("exec"), {}, {name: ParameterOutput(Type.STRING)})
    place = Path(build_executor_input(component, {}, tmp_path, STORE)["outputs"]["parameters"][name]["outputFile"])
    assert place.parent == tmp_path
    assert place.name not in ("log.txt", "executor_output.json", "request.json", "error.json", "..", ".")
    place.write_text("x")
    assert read_outputs(component, build_executor_input(component, {}, tmp_path, STORE), tmp_path) == {name: "x"}


def test_an_output_that_is_not_a_file_is_an_error(tmp_path: Path) -> None:
    tell(tmp_path, {"parameterValues": {"count": 1}})
    for make, what in ((Path.mkdir, "folder"), (os.mkfifo, "FIFO")):
        make(tmp_path / "score")
        with pytest.raises(OutputError, match=f"^its output 'score' cannot be read: {tmp_path}/score is a {what}: "):
            read_outputs(COMPONENT, build_message(tmp_path), tmp_path)
        (tmp_path / "score").rmdir() if (tmp_path / "score").is_dir() else (tmp_path / "score").unlink()


def test_outputs_of_a_cancelled_attempt_are_removed_and_nothing_else(tmp_path: Path) -> None:
    message = build_message(tmp_path)
    tell(tmp_path, {})
    (tmp_path / "score").write_text("1")
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "weights").touch()
    remove_outputs(message, LocalArtifactStore([tmp_path]), tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["executor_output.json"]
