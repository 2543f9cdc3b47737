"""`dsl.Model.register`, as KEP-12020 proposes it: the request is a part of the facts, and tasks do not see it."""

from __future__ import annotations

import inspect
import json
from pathlib import Path

import pytest

from standpipe import dsl, local
from standpipe.history.documents import document
from standpipe.worker.artifacts import REGISTRATION_KEY


@dsl.component
def train(model: dsl.Output[dsl.Model]) -> None:
    with open(model.path, "w") as file:
        file.write("weights")
    model.name = "v1"
    model.metadata["epochs"] = 3
    model.register(model_name="classifier", model_format_name="ONNX", owner="team", continue_on_error=False)


@dsl.component
def read_metadata(model: dsl.Input[dsl.Model]) -> dict:
    return {"name": model.name, **model.metadata}


@dsl.pipeline
def learn() -> dict:
    return read_metadata(model=train().output).output


REQUEST = {
    "model_name": "classifier",
    "description": "",
    "model_format_name": "ONNX",
    "model_format_version": None,
    "owner": "team",
    "author": "Kubeflow Pipelines",
    "continue_on_error": False,
}


def test_the_request_is_a_fact_of_the_model_and_tasks_do_not_receive_it(tmp_path: Path) -> None:
    task = local.run(learn, runner=local.SubprocessRunner(use_venv=False), pipeline_root=tmp_path, quiet=True)

    assert task.output == {"name": "v1", "epochs": 3}
    run = local.get_run("latest", tmp_path)
    (model,) = run.artifacts
    assert model.registration == REQUEST
    assert model.metadata == {"epochs": 3}
    assert "to register as 'classifier'" in str(run.task("train"))
    assert document(run)["artifacts"][0]["registration"] == REQUEST


def test_a_model_that_is_not_registered_has_no_request(tmp_path: Path) -> None:
    @dsl.component
    def save(model: dsl.Output[dsl.Model]) -> None:
        with open(model.path, "w") as file:
            file.write("weights")

    local.run(save, runner=local.SubprocessRunner(use_venv=False), pipeline_root=tmp_path, quiet=True)

    run = local.get_run("latest", tmp_path)
    assert run.artifacts[0].registration is None
    assert "to register" not in str(run.task("save"))


def test_the_signature_is_that_of_the_proposal() -> None:
    names = inspect.signature(dsl.Model.register).parameters
    assert {name: each.default for name, each in names.items() if name not in ("self", "model_name")} == {
        "description": "",
        "model_format_name": None,
        "model_format_version": None,
        "owner": "Kubeflow Pipelines",
        "author": "Kubeflow Pipelines",
        "continue_on_error": True,
    }
    model = dsl.Model()
    model.register("classifier", owner="team", model_format_name="ONNX", continue_on_error=False)
    assert json.loads(model.metadata[REGISTRATION_KEY]) == REQUEST


@pytest.mark.parametrize("name", ["", None, 3])
def test_a_name_is_required(name: object) -> None:
    with pytest.raises(ValueError, match=r"Invalid model_name .* of Model\.register: expected a name of the model"):
        dsl.Model().register(name)  # type: ignore[arg-type]
