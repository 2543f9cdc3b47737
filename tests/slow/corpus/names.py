"""Every way to import the same things."""

from corpus.entries import entry


@entry
def import_of_v2():
    from kfp import v2
    from kfp.v2 import compiler, components, dsl
    from kfp.v2.dsl import Artifact, Dataset, Input, Model, Output, component, pipeline

    assert compiler.Compiler
    assert components.load_component_from_text
    assert dsl.component
    assert v2

    @component(base_image="python:3.11")
    def fit(data: Input[Dataset], model: Output[Model], any_kind: Output[Artifact]) -> None:
        pass

    @pipeline(name="with-v2")
    def with_v2(data: Input[Dataset]):
        fit(data=data)

    return with_v2


@entry
def import_of_v2_by_name():
    import kfp.v2.compiler
    import kfp.v2.components
    import kfp.v2.dsl

    @kfp.v2.dsl.component(base_image="python:3.11")
    def one() -> int:
        return 1

    return one


@entry
def import_of_artifact_types():
    from kfp.dsl.types import artifact_types, type_annotations
    from kfp.dsl.types.artifact_types import HTML, Artifact, Dataset
    from kfp.dsl.types.type_annotations import InputPath, OutputPath

    assert artifact_types.Dataset is Dataset
    assert type_annotations.InputPath is InputPath
    assert HTML
    assert Artifact
    from kfp import dsl

    @dsl.component(base_image="python:3.11")
    def typed(data: dsl.Input[artifact_types.Dataset], path: OutputPath("Dataset")) -> None:
        pass

    return typed


@entry
def import_of_submodules():
    from kfp.compiler import compiler
    from kfp.components import load_component_from_file, load_component_from_text, load_component_from_url
    from kfp.dsl.component_decorator import component
    from kfp.dsl.container_component_decorator import container_component
    from kfp.dsl.pipeline_context import pipeline
    from kfp.dsl.structures import ContainerSpec

    assert compiler.Compiler
    assert load_component_from_file
    assert load_component_from_text
    assert load_component_from_url

    @component(base_image="python:3.11")
    def one() -> int:
        return 1

    @container_component
    def two():
        return ContainerSpec(image="alpine")

    @pipeline(name="of-submodules")
    def three():
        two().after(one())

    return three


@entry
def import_of_more_submodules():
    from kfp import dsl
    from kfp.dsl.for_loop import Collected
    from kfp.dsl.importer_node import importer
    from kfp.dsl.notebook_component_decorator import notebook_component
    from kfp.dsl.pipeline_channel import OneOf, PipelineChannel
    from kfp.dsl.pipeline_config import KubernetesWorkspaceConfig, PipelineConfig, WorkspaceConfig
    from kfp.dsl.pipeline_task import PipelineTask
    from kfp.dsl.placeholders import ConcatPlaceholder, IfPresentPlaceholder
    from kfp.dsl.task_config import TaskConfig
    from kfp.dsl.task_final_status import PipelineTaskFinalStatus
    from kfp.dsl.tasks_group import Condition, Elif, Else, ExitHandler, If, ParallelFor

    for named in (
        Collected, importer, notebook_component, OneOf, PipelineConfig, WorkspaceConfig, KubernetesWorkspaceConfig,
        PipelineTask, ConcatPlaceholder, IfPresentPlaceholder, TaskConfig, PipelineTaskFinalStatus, Condition, If,
        Elif, Else, ExitHandler, ParallelFor,
    ):  # fmt: skip
        assert getattr(dsl, named.__name__) is named

    @dsl.component(base_image="python:3.11")
    def one() -> int:
        return 1

    @dsl.pipeline(name="of-more-submodules")
    def only():
        task = one()
        assert isinstance(task, PipelineTask)
        assert isinstance(task.output, PipelineChannel)
        with If(task.output == 1):
            one()

    return only


@entry
def import_as_a_module():
    import kfp
    import kfp.compiler
    import kfp.components
    import kfp.dsl as language

    assert kfp.compiler.Compiler
    assert kfp.components.BaseComponent
    assert kfp.__version__.startswith("2.")

    @kfp.dsl.component(base_image="python:3.11")
    def one() -> int:
        return 1

    @language.pipeline(name="as-a-module")
    def only():
        with language.ParallelFor([1, 2]):
            one()

    return only


@entry
def import_of_everything():
    namespace = {}
    exec("from kfp.dsl import *\nfrom kfp.components import *\nfrom kfp.compiler import *", namespace)
    assert {"component", "Input", "If", "Compiler", "load_component_from_text", "TaskConfig"} <= namespace.keys()

    def one(x: int) -> int:
        return x

    return namespace["component"](one, base_image="python:3.11")


@entry
def classes_of_components():
    from corpus import nested, shared
    from corpus.containers import image_only
    from kfp.components import (
        BaseComponent,
        ContainerComponent,
        PythonComponent,
        YamlComponent,
        load_component_from_text,
    )
    from kfp.dsl.base_component import BaseComponent as Base
    from kfp.dsl.graph_component import GraphComponent
    from kfp.dsl.python_component import PythonComponent as Python

    loaded = load_component_from_text("{name: l, implementation: {container: {image: alpine}}}")
    assert isinstance(shared.add, PythonComponent)
    assert isinstance(image_only, ContainerComponent)
    assert isinstance(nested.one_step, GraphComponent)
    assert isinstance(loaded, YamlComponent)
    assert all(isinstance(item, BaseComponent) for item in (shared.add, image_only, nested.one_step, loaded))
    assert Base is BaseComponent
    assert Python is PythonComponent
    return loaded


@entry
def attributes_of_components():
    from corpus import nested, shared
    from google.protobuf import json_format
    from kfp import dsl

    assert shared.add.name == "add"
    assert shared.add.python_func(1, 2) == 3
    assert shared.add.component_spec.name == "add"
    assert set(shared.add.component_spec.inputs) == {"a", "b"}
    compiled = json_format.MessageToDict(shared.add.pipeline_spec)
    assert compiled["pipelineInfo"] == {"name": "add"}
    assert json_format.MessageToDict(nested.in_three.platform_spec) == {}

    def of(x: int):
        task = shared.add(a=x, b=1)
        assert task.name == "add"
        assert set(task.inputs) == {"a", "b"}
        assert set(task.outputs) == {"Output"}
        assert task.after(shared.nothing()).dependent_tasks == ["nothing"]
        shared.say(text=f"{task.name} {list(task.outputs)}")

    return dsl.pipeline(of, name="attributes", description=str(sorted(compiled["components"])))
