"""Importers in the DSL: their arguments and their Plans."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import pytest

from standpipe import dsl, local
from standpipe.dsl.importing import importer
from standpipe.errors import AuthoringError, AuthoringTypeError, InconsistentTypeException
from standpipe.local import FakeRunner
from standpipe.model.plan import Constant, Dag, FromInput, FromTask, Importer, Node, Plan
from standpipe.model.templates import parse_text
from standpipe.model.types import ArtifactOutput, ArtifactType, ParameterInput, ParameterType

DATASET = ArtifactType("system.Dataset")


@dsl.component
def find() -> str:
    return "gs://bucket/found"


@dsl.component
def use(data: dsl.Input[dsl.Dataset]) -> int:
    return 1


def executor(plan: Plan, label: str = "exec-importer") -> Importer:
    found = plan.executors[label]
    assert isinstance(found, Importer)
    return found


def node(plan: Plan, name: str = "importer") -> Node:
    assert isinstance(plan.root.body, Dag)
    return plan.root.body.nodes[name]


def test_a_constant_uri_is_in_the_importer_and_in_its_input() -> None:
    @dsl.pipeline
    def imports() -> None:
        use(data=importer("gs://bucket/data", dsl.Dataset).output)

    plan = imports.plan
    assert executor(plan) == Importer("gs://bucket/data", DATASET)
    assert node(plan).inputs == {"uri": Constant("gs://bucket/data")}
    assert node(plan, "use").inputs == {"data": FromTask("importer", "artifact")}
    component = plan.components["comp-importer"]
    assert component.inputs == {"uri": ParameterInput(ParameterType.STRING)}
    assert component.outputs == {"artifact": ArtifactOutput(DATASET)}


def test_a_uri_may_come_from_the_pipeline_or_from_a_task() -> None:
    @dsl.pipeline
    def imports(uri: str) -> None:
        importer(uri, dsl.Dataset, reimport=True)
        importer(artifact_uri=find().output, artifact_class=dsl.Model)

    plan = imports.plan
    assert executor(plan) == Importer(FromInput("uri"), DATASET, reimport=True)
    assert node(plan).inputs == {"uri": FromInput("uri")}
    assert executor(plan, "exec-importer-2") == Importer(FromInput("uri"), ArtifactType("system.Model"))
    assert node(plan, "importer-2").inputs == {"uri": FromTask("find", "Output")}


def test_a_download_is_for_pipelines_with_a_workspace() -> None:
    def imports() -> None:
        importer("gs://bucket/data", download_to_workspace=True)

    config = dsl.PipelineConfig(workspace=dsl.WorkspaceConfig(size="1Gi"))
    made = executor(dsl.pipeline(pipeline_config=config)(imports).plan)
    assert made == Importer("gs://bucket/data", ArtifactType("system.Artifact"), download_to_workspace=True)


def test_metadata_has_one_input_for_each_value() -> None:
    @dsl.pipeline
    def imports(uri: str, n: int) -> None:
        found = find().output
        metadata = {"n": n, "same": [n, 1, 2.5, None], "text": f"{n} of {found}", f"k{n}": {"deep": found}}
        importer(uri, dsl.Dataset, metadata=metadata)

    plan = imports.plan
    first, second = "{{$.inputs.parameters['metadata']}}", "{{$.inputs.parameters['metadata-2']}}"
    assert executor(plan).metadata == {
        "n": parse_text(first),
        "same": [parse_text(first), 1, 2.5, None],
        "text": parse_text(f"{first} of {second}"),
        f"k{first}": {"deep": parse_text(second)},
    }
    assert node(plan).inputs == {
        "uri": FromInput("uri"),
        "metadata": FromInput("n"),
        "metadata-2": FromTask("find", "Output"),
    }
    assert plan.components["comp-importer"].inputs["metadata"] == ParameterInput(ParameterType.NUMBER_INTEGER)


def test_a_placeholder_in_the_text_of_a_uri_gives_a_warning() -> None:
    @dsl.pipeline
    def quiet(uri: str) -> None:
        importer(uri, dsl.Dataset)

    def imports(uri: str) -> None:
        importer(f"{uri}/data", dsl.Dataset)

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert quiet.plan
    with pytest.warns(UserWarning, match="pipeline input 'uri' is inside the text of artifact_uri"):
        plan = dsl.pipeline(imports).plan
    assert node(plan).inputs["uri"] == Constant(parse_text("{{$.inputs.parameters['pipelinechannel--uri']}}/data"))


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"artifact_uri": 3}, InconsistentTypeException, "input 'uri'"),
        ({"artifact_uri": Path("data")}, AuthoringError, "of type PosixPath"),
        (
            {"artifact_uri": "x", "artifact_class": str},
            AuthoringTypeError,
            "such as dsl.Dataset, got <class 'str'>",
        ),
        ({"artifact_uri": "x", "metadata": ["a"]}, AuthoringTypeError, "metadata to be a dict, got"),
        ({"artifact_uri": "x", "metadata": {"k": object}}, AuthoringError, r"metadata\['k'\] is of type type: "),
        ({"artifact_uri": "x", "metadata": {1: "k"}}, AuthoringError, "the key 1"),
        ({"artifact_uri": "x", "metadata": {"k": float("nan")}}, AuthoringError, "nan"),
    ],
)
def test_arguments_of_the_wrong_kind_are_refused(
    arguments: dict[str, Any], error: type[Exception], message: str
) -> None:
    def imports() -> None:
        importer(**arguments)

    with pytest.raises(error, match=message):
        dsl.pipeline(imports)


def test_artifacts_as_uri_or_metadata_are_refused() -> None:
    def as_uri(data: dsl.Input[dsl.Dataset]) -> None:
        importer(data)  # type: ignore[arg-type]

    def as_metadata(data: dsl.Input[dsl.Dataset]) -> None:
        importer("x", metadata={"data": data})

    with pytest.raises(InconsistentTypeException, match="input 'uri': expected str"):
        dsl.pipeline(as_uri)
    with pytest.raises(AuthoringTypeError, match="pipeline input 'data' is an artifact"):
        dsl.pipeline(as_metadata)


def test_an_importer_takes_the_settings_of_tasks_but_not_those_of_containers() -> None:
    def fine() -> None:
        importer("x").set_display_name("Data").set_caching_options(False).set_retry(2).after(find())

    def wrong() -> None:
        importer("x").set_env_variable("A", "b")

    made = node(dsl.pipeline(fine).plan)
    assert (made.display_name, made.after) == ("Data", ("find",))
    with pytest.raises(AuthoringError, match=r"set_env_variable\(\) expected a component that runs in a container"):
        dsl.pipeline(wrong)


def test_an_importer_called_outside_of_a_pipeline_returns_the_artifact(tmp_path: Path) -> None:
    local.init(FakeRunner(), tmp_path / "root", quiet=True)
    (tmp_path / "data.csv").write_text("a,b")
    task = importer(str(tmp_path / "data.csv"), dsl.Dataset, metadata={"n": 3})
    artifact = task.output
    assert isinstance(artifact, dsl.Dataset)
    assert Path(artifact.path).read_text() == "a,b"
    assert (artifact.name, artifact.metadata) == ("artifact", {"n": 3})
    assert task.outputs == {"artifact": artifact}
