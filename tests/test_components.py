"""The public functions of `components`."""

from __future__ import annotations

import base64
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any, NamedTuple, Optional

import pytest

from standpipe import compiler, components, dsl, local
from standpipe.dsl.components import ExecutorComponent
from standpipe.errors import ArgumentError, SpecError, StandpipeError, StorageError, UnsupportedError
from standpipe.model.plan import Container, Dag


@dsl.component(base_image="python:3.12", packages_to_install=["pandas"])
def add(
    a: int,
    b: int = 1,
    data: Optional[dsl.Input[dsl.Dataset]] = None,  # noqa: UP045
) -> NamedTuple("Outputs", [("total", int), ("model", dsl.Model)]):  # type: ignore[valid-type]
    """Adds.

    And says more.
    """


@dsl.container_component
def echo(text: str, out: dsl.OutputPath(str)):  # type: ignore[no-untyped-def,valid-type]
    return dsl.ContainerSpec(image="alpine", command=["sh"], args=[text, out])


@dsl.pipeline(description="Twice.")
def twice(x: int = 2) -> int:
    first = add(a=x)
    return add(a=first.outputs["total"]).outputs["total"]


def text_of(component: dsl.BaseComponent, folder: Path, **options: Any) -> str:
    compiler.Compiler().compile(component, folder / "compiled.yaml", **options)
    return (folder / "compiled.yaml").read_text(encoding="utf-8")


V1 = """
name: Train (v2)
description: Trains.
inputs:
- {name: Training Data, type: Dataset}
- {name: rounds, type: Integer, default: "3"}
outputs:
- {name: Score, type: Float}
implementation:
  container:
    image: alpine
    command: [train, {inputPath: Training Data}, {inputValue: rounds}, {outputPath: Score}]
"""


def nodes(pipeline: dsl.BaseComponent) -> Any:
    assert isinstance(pipeline.plan.root.body, Dag)
    return pipeline.plan.root.body.nodes


@pytest.mark.parametrize("component", [add, echo, twice])
def test_a_compiled_component_loads_with_the_same_plan(tmp_path: Path, component: dsl.BaseComponent) -> None:
    loaded = components.load_component_from_text(text_of(component, tmp_path))

    assert (loaded.name, loaded.description) == (component.name, component.description)
    assert (loaded.inputs, loaded.outputs, loaded.plan) == (component.inputs, component.outputs, component.plan)
    assert text_of(loaded, tmp_path) == text_of(component, tmp_path)


def test_components_of_version_1_are_loaded(tmp_path: Path) -> None:
    (tmp_path / "component.yaml").write_text(V1, encoding="utf-8")

    for loaded in (
        components.load_component_from_text(V1),
        components.load_component_from_file(tmp_path / "component.yaml"),
        components.load_component_from_url((tmp_path / "component.yaml").as_uri()),
    ):
        assert (loaded.name, loaded.description) == ("train-v2", "Trains.")
        assert loaded.inputs.keys() == {"training_data", "rounds"}
        assert components.load_component_from_text(text_of(loaded, tmp_path)).plan == loaded.plan


@pytest.mark.parametrize(("component", "kind"), [(add, ExecutorComponent), (twice, dsl.GraphComponent)])
def test_a_loaded_component_has_its_yaml_and_no_function(
    tmp_path: Path, component: dsl.BaseComponent, kind: type
) -> None:
    loaded = components.load_component_from_text(text_of(component, tmp_path))

    assert isinstance(loaded, components.YamlComponent)
    assert isinstance(loaded, kind)
    assert loaded.component_yaml == text_of(component, tmp_path)
    with pytest.raises(NotImplementedError, match="was loaded, and does not have a Python function"):
        loaded.execute()


def test_manifests_are_loaded(tmp_path: Path) -> None:
    text = text_of(twice, tmp_path, kubernetes_manifest_format=True)

    loaded = components.load_component_from_text(text)

    assert (loaded.plan, loaded.description) == (twice.plan, "Twice.")


def test_tasks_of_a_loaded_component_have_independent_settings(tmp_path: Path) -> None:
    loaded = components.load_component_from_text(text_of(add, tmp_path))

    @dsl.pipeline
    def uses(x: int) -> None:
        task = loaded(a=x).set_cpu_limit("2")
        loaded(a=task.outputs["total"])

    assert nodes(uses).keys() == {"add", "add-2"}
    containers = {label: each for label, each in uses.plan.executors.items() if isinstance(each, Container)}
    assert containers["exec-add"].resources.cpu_limit == "2"
    assert containers["exec-add-2"].resources.cpu_limit == ""


def test_loaded_pipelines_can_be_nested(tmp_path: Path) -> None:
    loaded = components.load_component_from_text(text_of(twice, tmp_path))

    @dsl.pipeline
    def outer() -> int:
        return loaded(x=loaded().output).output

    assert nodes(outer).keys() == {"twice", "twice-2"}
    assert len(outer.plan.executors) == 4


def test_a_pipeline_with_the_name_of_its_only_task_stays_a_pipeline(tmp_path: Path) -> None:
    @dsl.pipeline(name="add")
    def narrowed(a: int) -> int:
        return add(a=a).outputs["total"]

    loaded = components.load_component_from_text(text_of(narrowed, tmp_path))

    assert isinstance(loaded, dsl.GraphComponent)
    assert loaded.inputs.keys() == {"a"}
    assert loaded.outputs.keys() == {"Output"}


def test_a_loaded_component_has_the_defaults_set_when_compiling(tmp_path: Path) -> None:
    loaded = components.load_component_from_text(text_of(add, tmp_path, pipeline_parameters={"a": 4}))

    @dsl.pipeline
    def uses() -> None:
        loaded()

    assert isinstance(loaded, ExecutorComponent)
    assert uses.plan.components["comp-add"].inputs["a"].default == 4  # type: ignore[union-attr]


def test_files_are_loaded_by_path_and_from_the_home_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    text_of(echo, tmp_path)

    for path in (tmp_path / "compiled.yaml", str(tmp_path / "compiled.yaml"), "~/compiled.yaml"):
        assert components.load_component_from_file(path).plan == echo.plan


class Site(BaseHTTPRequestHandler):
    """A web server that serves one compiled file to users with a password."""

    text = ""

    def do_GET(self) -> None:
        allowed = self.headers.get("Authorization") == "Basic " + base64.b64encode("häns:pass".encode()).decode()
        self.send_response(200 if allowed else 401)
        self.end_headers()
        self.wfile.write(self.text.encode())

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - its name in the base class
        pass


@pytest.fixture
def site(tmp_path: Path) -> Iterator[str]:
    Site.text = text_of(twice, tmp_path)
    with HTTPServer(("127.0.0.1", 0), Site) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/p.yaml"
        server.shutdown()
        thread.join()


def test_components_are_loaded_from_a_url(site: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("no_proxy", "127.0.0.1")

    assert components.load_component_from_url(site, auth=("häns", "pass")).plan == twice.plan
    with pytest.raises(StorageError, match=r"Cannot load .*p\.yaml: HTTP Error 401.*Check the URL"):
        components.load_component_from_url(site)


def test_components_are_loaded_from_a_file_url(tmp_path: Path) -> None:
    text_of(echo, tmp_path)

    assert components.load_component_from_url((tmp_path / "compiled.yaml").as_uri()).plan == echo.plan
    with pytest.raises(StorageError, match="Cannot load"):
        components.load_component_from_url((tmp_path / "none.yaml").as_uri())


@pytest.mark.parametrize(
    ("load", "argument", "error", "says"),
    [
        (
            components.load_component_from_text,
            None,
            ArgumentError,
            "Cannot load None: expected the text of a compiled file",
        ),
        (
            components.load_component_from_text,
            "",
            SpecError,
            "The text: expected one document, .*, got 0",
        ),
        (components.load_component_from_text, "a: [", SpecError, r"The text cannot be read as YAML.*line"),
        (components.load_component_from_text, "a: 1", SpecError, "The text: a: unknown field"),
        (
            components.load_component_from_text,
            "name: x\nimplementation: {graph: {}}",
            UnsupportedError,
            "does not support graph components",
        ),
        (
            components.load_component_from_file,
            None,
            ArgumentError,
            "Cannot load None: expected the path of a compiled file",
        ),
        (
            components.load_component_from_file,
            "none.yaml",
            FileNotFoundError,
            r"none\.yaml cannot be read: No such file",
        ),
        (
            components.load_component_from_url,
            "ftp://x/p.yaml",
            ArgumentError,
            "expected the scheme https, http, file or gs",
        ),
        (components.load_component_from_url, "p.yaml", ArgumentError, "Cannot load 'p.yaml': expected the scheme"),
        (components.load_component_from_url, None, ArgumentError, "Cannot load None"),
    ],
)
def test_invalid_arguments_of_load_are_refused(load: Any, argument: Any, error: type[Exception], says: str) -> None:
    with pytest.raises(error, match=says) as caught:
        load(argument)

    assert isinstance(caught.value, StandpipeError)


MISUSED = """
name: train
inputs: [{name: n, type: Integer}]
implementation: {container: {image: i, command: [{inputPath: n}]}}
"""


def test_a_version_1_component_with_a_wrong_placeholder_is_refused_when_it_is_used(tmp_path: Path) -> None:
    loaded = components.load_component_from_text(MISUSED)  # as with the SDK, scripts may load what they do not use

    @dsl.pipeline
    def trains(n: int) -> None:
        with pytest.raises(SpecError, match=r"command\[0\]\.inputPath: 'n' is a parameter\. Use inputValue"):
            loaded(n=n)
        add(a=1)

    uses: list[Callable[[], object]] = [
        lambda: compiler.Compiler().compile(loaded, str(tmp_path / "train.yaml")),
        lambda: loaded.pipeline_spec,
        lambda: local.run(loaded, {"n": 1}, runner=local.FakeRunner(), pipeline_root=str(tmp_path)),
    ]
    for use in uses:
        with pytest.raises(SpecError, match="'n' is a parameter"):
            use()
        with pytest.raises(TypeError):  # the SDK's class
            use()


STALE = """
components:
  comp-train:
    executorLabel: exec-train
    inputDefinitions: {parameters: {a: {parameterType: NUMBER_INTEGER}, b: {parameterType: STRING, isOptional: true}}}
    outputDefinitions: {artifacts: {model: {artifactType: {schemaTitle: system.Model, schemaVersion: 0.0.1}}}}
deploymentSpec: {executors: {exec-train: {container: {image: i, command: [train]}}}}
pipelineInfo: {name: train}
root: %s
schemaVersion: 2.1.0
sdkVersion: kfp-2.0.0-alpha.1
"""
TASK = "cachingOptions: {enableCache: true}, componentRef: {name: comp-train}, taskInfo: {name: train}"
OLD_OUTPUT = "{artifacts: {old: {artifactSelectors: [{outputArtifactKey: old, producerSubtask: train}]}}}"
PASSED_ON = "inputs: {parameters: {a: {componentInputParameter: a}}}"


@pytest.mark.parametrize(
    "root",
    [
        "{dag: {tasks: {train: {%s}}}}" % TASK,
        "{dag: {tasks: {train: {%s, %s}}}}" % (TASK, PASSED_ON),
        "{dag: {outputs: %s, tasks: {train: {%s}}}}" % (OLD_OUTPUT, TASK),
        "{dag: {tasks: {train: {%s}}}, inputDefinitions: {parameters: {a: {parameterType: STRING}}}}" % TASK,
    ],
)
def test_the_pipeline_around_a_single_component_may_be_incomplete_or_stale(root: str, tmp_path: Path) -> None:
    train = components.load_component_from_text(STALE % root)

    assert isinstance(train, components.YamlExecutorComponent)
    assert (train.required_inputs, list(train.inputs), list(train.outputs)) == (["a"], ["a", "b"], ["model"])

    @dsl.pipeline
    def uses() -> dsl.Model:
        return train(a=1, b="x").output

    assert local.run(uses, runner=local.FakeRunner(), pipeline_root=str(tmp_path)).succeeded
    assert local.run(train, {"a": 1}, runner=local.FakeRunner(), pipeline_root=str(tmp_path)).outputs["model"].uri


def test_a_loaded_pipeline_has_a_workspace_where_the_calling_one_has_none(tmp_path: Path) -> None:
    @dsl.component
    def note(a: int) -> None:
        pass

    @dsl.pipeline(pipeline_config=dsl.PipelineConfig(workspace=dsl.WorkspaceConfig("1Gi")))
    def inner() -> None:
        note(a=1)

    loaded = components.load_component_from_text(text_of(inner, tmp_path))

    def outer() -> None:
        loaded()

    with pytest.warns(UserWarning, match="'inner' has a workspace, and pipeline 'outer', which calls") as warned:
        pipeline = dsl.pipeline(outer)

    assert Path(warned[0].filename) == Path(__file__)
    assert "workspace" not in pipeline.plan.pipeline_config
    assert local.run(pipeline, runner=local.FakeRunner(), pipeline_root=str(tmp_path)).succeeded
