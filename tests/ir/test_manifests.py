from __future__ import annotations

import pytest

from standpipe.errors import SpecError, UnsupportedError
from standpipe.ir.files import dumps, read_component
from standpipe.ir.manifests import ManifestNames, emit_manifests, read_specs
from standpipe.model.types import Json
from tests.ir.plans import changed, training, training_document

API_VERSION = "pipelines.kubeflow.org/v2beta1"
NAMES = ManifestNames("p", "P", "v", "V")


def version(**spec: Json) -> dict[str, Json]:
    return {"apiVersion": API_VERSION, "kind": "PipelineVersion", "metadata": {"name": "v"}, "spec": spec}


def test_the_version_of_a_pipeline() -> None:
    expected = version(displayName="V", pipelineName="p", pipelineSpec=training_document())

    assert emit_manifests(training(), NAMES) == [expected]
    assert read_specs([expected]) == (training_document(), None, "")


def test_the_pipeline_comes_first() -> None:
    pipeline, described = emit_manifests(training(), NAMES, "What for", with_pipeline=True)

    assert pipeline == {
        "apiVersion": API_VERSION,
        "kind": "Pipeline",
        "metadata": {"name": "p"},
        "spec": {"displayName": "P", "description": "What for"},
    }
    assert read_specs([pipeline, described]) == (training_document(), None, "What for")


def test_errors_have_the_path_within_the_manifest() -> None:
    text = dumps(training()).replace("\n", "\n    ")
    wrapped = f"apiVersion: {API_VERSION}\nkind: PipelineVersion\nspec:\n  pipelineSpec:\n    {text}"
    assert read_component(wrapped)[0] == training()

    with pytest.raises(
        SpecError, match=r"^The text: spec\.pipelineSpec: root\.dag\.tasks\.train\.componentRef\.name: "
    ):
        read_component(wrapped.replace("name: comp-train\n", "name: comp-x\n"))


@pytest.mark.parametrize(
    ("documents", "error", "says"),
    [
        (
            [{"apiVersion": "v1", "kind": "Pod"}],
            UnsupportedError,
            r"^kind: unsupported kind of Kubernetes manifest 'Pod'",
        ),
        (
            [{"apiVersion": API_VERSION, "kind": "Pipeline"}],
            SpecError,
            "expected one manifest of kind PipelineVersion, got 0",
        ),
        ([version(pipelineSpec={})] * 2, SpecError, "expected one manifest of kind PipelineVersion, got 2"),
        ([{**version(), "spec": []}], SpecError, r"^spec: expected a mapping, got \[\]"),
        ([version()], SpecError, r"^spec\.pipelineSpec: missing required field"),
        ([version(pipelineSpec={}, description=3)], SpecError, r"^spec\.description: expected text, got 3"),
    ],
)
def test_manifests_that_are_not_of_a_pipeline(documents: list[Json], error: type[Exception], says: str) -> None:
    with pytest.raises(error, match=says):
        read_specs(documents)


def test_a_platform_in_a_manifest_is_read() -> None:
    config = {"platforms": {"kubernetes": {"pipelineConfig": {"activeDeadlineSeconds": 5}}}}

    assert read_specs([version(pipelineSpec=changed("pipelineInfo.name", "x"), platformSpec=config)])[1] == config
