"""The public functions of `compiler`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from standpipe import compiler, components, dsl
from standpipe.errors import ArgumentError, AuthoringError, SpecError, StandpipeError, StorageError, UnsupportedError


@dsl.component
def add(a: int, b: int = 1) -> int:
    """Adds.

    Args:
        a: the first number
    """
    return a + b


@dsl.pipeline(description="What it is for.", display_name="Sums")
def sums(x: int, title: str = "none", data: dsl.Input[dsl.Dataset] = None) -> int:  # type: ignore[assignment]
    return add(a=x).output


def compiled(component: Any, folder: Path, **options: Any) -> dict[str, Any]:
    file = folder / "compiled.yaml"
    compiler.Compiler().compile(component, file, **options)
    document: dict[str, Any] = yaml.safe_load(file.read_text(encoding="utf-8"))
    return document


def test_a_pipeline_compiles_to_a_pipeline_spec(tmp_path: Path) -> None:
    spec = compiled(sums, tmp_path)

    assert spec["pipelineInfo"] == {"name": "sums", "displayName": "Sums", "description": "What it is for."}
    assert spec["root"]["dag"]["tasks"].keys() == {"add"}
    assert (
        (tmp_path / "compiled.yaml").read_text().startswith("# PIPELINE DEFINITION\n# Name: sums\n# Description: What")
    )


def test_a_component_compiles_to_a_pipeline_of_one_task(tmp_path: Path) -> None:
    spec = compiled(add, tmp_path)

    assert spec["pipelineInfo"] == {"name": "add"}
    assert spec["root"]["inputDefinitions"] == spec["components"]["comp-add"]["inputDefinitions"]
    assert spec["root"]["inputDefinitions"]["parameters"]["a"]["description"] == "the first number"


def test_name_display_name_and_defaults_can_be_replaced(tmp_path: Path) -> None:
    spec = compiled(
        sums,
        tmp_path,
        pipeline_name="other",
        pipeline_display_name="Other",
        pipeline_parameters={"x": 5, "title": "t"},
        type_check=False,
    )

    assert (spec["pipelineInfo"]["name"], spec["pipelineInfo"]["displayName"]) == ("other", "Other")
    parameters = spec["root"]["inputDefinitions"]["parameters"]
    assert (parameters["x"]["defaultValue"], parameters["title"]["defaultValue"]) == (5.0, "t")
    assert sums.plan.name == "sums", "the pipeline itself must not change"
    assert "defaultValue" not in compiled(sums, tmp_path)["root"]["inputDefinitions"]["parameters"]["x"]


def test_compiling_to_json_is_deprecated(tmp_path: Path) -> None:
    with pytest.warns(DeprecationWarning, match="Compiling to JSON is deprecated") as warned:
        compiler.Compiler().compile(pipeline_func=sums, package_path=tmp_path / "p.json")

    assert warned[0].filename == __file__
    assert components.load_component_from_file(tmp_path / "p.json").plan == sums.plan


@pytest.mark.parametrize("name", ["p.yaml", "p.yml"])
def test_the_suffix_of_the_file_selects_the_format(tmp_path: Path, name: str) -> None:
    compiler.Compiler().compile(pipeline_func=sums, package_path=str(tmp_path / name))

    assert components.load_component_from_file(tmp_path / name).plan == sums.plan


def manifests(folder: Path, component: Any = sums, **options: Any) -> list[dict[str, Any]]:
    compiler.Compiler().compile(component, folder / "manifests", kubernetes_manifest_format=True, **options)
    return list(yaml.safe_load_all((folder / "manifests").read_text(encoding="utf-8")))


def test_a_manifest_has_the_name_of_the_pipeline(tmp_path: Path) -> None:
    (version,) = manifests(tmp_path, pipeline_name="other")

    assert version["apiVersion"] == "pipelines.kubeflow.org/v2beta1"
    assert (version["kind"], version["metadata"]) == ("PipelineVersion", {"name": "other"})
    assert version["spec"].pop("pipelineSpec") == compiled(sums, tmp_path, pipeline_name="other")
    assert version["spec"] == {"displayName": "other", "pipelineName": "other", "description": "What it is for."}


def test_manifest_options_set_the_names(tmp_path: Path) -> None:
    options = compiler.KubernetesManifestOptions(
        pipeline_name="p",
        pipeline_display_name="P",
        pipeline_version_name="v",
        namespace="ns",
        include_pipeline_manifest=True,
    )

    pipeline, version = manifests(tmp_path, kubernetes_manifest_options=options)

    assert (pipeline["kind"], pipeline["metadata"]) == ("Pipeline", {"name": "p", "namespace": "ns"})
    assert pipeline["spec"] == {"displayName": "P", "description": "What it is for."}
    assert version["metadata"] == {"name": "v", "namespace": "ns"}
    assert (version["spec"]["displayName"], version["spec"]["pipelineName"]) == ("v", "p")


def test_manifests_contain_the_platforms(tmp_path: Path) -> None:
    config = dsl.PipelineConfig(workspace=dsl.WorkspaceConfig(size="1Gi"))

    @dsl.pipeline(pipeline_config=config)
    def configured() -> None:
        add(a=1)

    (version,) = manifests(tmp_path, configured)

    assert version["spec"]["platformSpec"]["platforms"]["kubernetes"]["pipelineConfig"]["workspace"]["size"] == "1Gi"


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [("x", True, 1.0), ("rate", False, 0.0), ("rate", 2, 2.0), ("on", 1, True), ("on", 0, False)],
)
def test_bools_and_numbers_convert_to_each_other_as_defaults(
    tmp_path: Path, name: str, value: Any, expected: Any
) -> None:
    @dsl.pipeline
    def typed(x: int, rate: float, on: bool) -> None:
        add(a=x)

    parameters = compiled(typed, tmp_path, pipeline_parameters={name: value})["root"]["inputDefinitions"]["parameters"]

    assert parameters[name]["defaultValue"] == expected
    assert isinstance(parameters[name]["defaultValue"], type(expected))


def a_function(x: int) -> None:
    pass


@pytest.mark.parametrize(
    ("component", "options", "error", "says"),
    [
        (
            a_function,
            {},
            AuthoringError,
            "Cannot compile <function a_function .*: expected a component or a pipeline. Decorate",
        ),
        (
            sums,
            {"pipeline_parameters": {"y": 1}},
            AuthoringError,
            "Unknown parameter 'y' of .*: expected one of x, title",
        ),
        (sums, {"pipeline_parameters": {"x": "one"}}, ArgumentError, "'x' of the pipeline 'sums' does not fit"),
        (sums, {"pipeline_parameters": {"data": "gs://d"}}, UnsupportedError, "only parameters can have a default"),
        (sums, {"pipeline_name": ""}, SpecError, r"pipelineInfo\.name: the name is empty"),
        (sums, {"pipeline_parameters": {"title": 5}}, ArgumentError, r"expected str, got 5 \(int\)"),
    ],
)
def test_invalid_arguments_of_compile_are_refused(
    tmp_path: Path, component: Any, options: dict[str, Any], error: type[Exception], says: str
) -> None:
    with pytest.raises(error, match=says) as caught:
        compiler.Compiler().compile(component, tmp_path / "p.yaml", **options)

    assert isinstance(caught.value, StandpipeError)
    assert not list(tmp_path.iterdir())


def test_numbers_that_are_not_doubles_are_refused(tmp_path: Path) -> None:
    @dsl.pipeline
    def large() -> None:
        add(a=2**53 + 1)

    with pytest.raises(SpecError, match=r"parameters\.a cannot be compiled.*9007199254740993 would change"):
        compiler.Compiler().compile(large, tmp_path / "p.yaml")


def test_files_that_cannot_be_written_are_errors(tmp_path: Path) -> None:
    with pytest.raises(SpecError, match=r"p\.zip: expected a file name that ends with \.yaml"):
        compiler.Compiler().compile(sums, tmp_path / "p.zip")
    with pytest.raises(StorageError, match=r"cannot be written: No such file or directory"):
        compiler.Compiler().compile(sums, tmp_path / "none" / "p.yaml")


def test_a_decorator_can_compile_its_component(tmp_path: Path) -> None:
    file = tmp_path / "add.yaml"
    with pytest.warns(DeprecationWarning, match="^output_component_file parameter is deprecated"):

        @dsl.component(output_component_file=str(file))
        def decorated(a: int) -> int:
            return a

    assert components.load_component_from_file(file).plan == decorated.plan


@pytest.mark.parametrize(
    ("value", "enabled"), [("1", False), (" TRUE ", False), ("on", False), ("0", True), ("", True)]
)
def test_a_variable_disables_caching_by_default(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, value: str, enabled: bool
) -> None:
    monkeypatch.setenv("KFP_DISABLE_EXECUTION_CACHING_BY_DEFAULT", value)

    caching = compiled(add, tmp_path)["root"]["dag"]["tasks"]["add"]["cachingOptions"]

    assert caching == ({"enableCache": True} if enabled else {})


def test_to_protobuf_value_converts_json() -> None:
    assert compiler.to_protobuf_value({"a": [1, "b", None]}).struct_value["a"][1] == "b"
    with pytest.raises(SpecError, match="cannot be written as protobuf"):
        compiler.to_protobuf_value(object())
