"""Pydantic models as inputs and outputs of components."""

import re
import subprocess
import sys
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from textwrap import dedent
from types import ModuleType
from typing import Any, NamedTuple, Optional

import pydantic
import pytest

from standpipe import compiler, dsl, local
from standpipe.dsl.base_component import BaseComponent
from standpipe.errors import AuthoringTypeError, InconsistentTypeException, TaskFailed
from standpipe.model.plan import Container, PythonFunction
from standpipe.model.types import ParameterInput, ParameterOutput, ParameterType
from standpipe.worker.models import dump

MODELS = """
from typing import Generic, List, Optional, TypeVar
from pydantic import BaseModel, Field, RootModel

class Config(BaseModel):
    rate: float
    title: str = Field(default="none", alias="theTitle")

class Count(RootModel[int]):
    pass

class Names(RootModel[List[str]]):
    pass

class Configs(RootModel[List[Config]]):
    pass

class Maybe(RootModel[Optional[int]]):
    pass

class Outer:
    class Inner(BaseModel):
        size: int

T = TypeVar("T")

class Box(BaseModel, Generic[T]):
    content: T
"""


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """Return a module of models that this process and tasks can import."""
    folder = tmp_path_factory.mktemp("models")
    (folder / "shared_models.py").write_text(MODELS, encoding="utf-8")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", str(folder))
        patch.syspath_prepend(folder)
        yield import_module("shared_models")


@pytest.fixture(autouse=True)
def _runs(tmp_path: Path) -> None:
    local.init(runner=local.SubprocessRunner(use_venv=False), pipeline_root=tmp_path, quiet=True)


class Components(NamedTuple):
    """The components that the tests call."""

    double: BaseComponent
    describe: BaseComponent


@pytest.fixture
def components(models: ModuleType) -> Components:
    from shared_models import Config, Configs, Count, Names, Outer  # type: ignore[import-not-found]

    @dsl.component
    def double(config: Config, count: Count) -> Config:
        assert isinstance(config, Config)
        assert isinstance(count, Count)
        return Config(rate=config.rate * 2 * count.root, theTitle=config.title)

    @dsl.component
    def describe(
        config: Config,
        names: Names,
        configs: Configs,
        *,
        maybe: Optional[Config] = None,  # noqa: UP045
        other: Config | None = None,
        inner: Outer.Inner = {"size": 1},  # noqa: B006
        standard: Config = Config(rate=0.5),  # noqa: B008
    ) -> NamedTuple("Outputs", [("text", str), ("count", Count), ("first", Config)]):  # type: ignore[valid-type]
        parts = (config, names, configs, maybe, other, inner, standard)
        kinds = " ".join(type(part).__name__ for part in parts)
        return (kinds, Count(len(configs.root)), configs.root[0])

    return Components(double, describe)


def program(component: BaseComponent) -> PythonFunction:
    assert isinstance(component.executor, Container)
    assert isinstance(component.executor.program, PythonFunction)
    return component.executor.program


def test_the_parameter_of_a_model_has_the_type_of_its_json(components: Components) -> None:
    types = {name: declared.type for name, declared in components.describe.inputs.items()}
    struct, items = ParameterType.STRUCT, ParameterType.LIST
    assert types == {
        "config": struct,
        "names": items,
        "configs": items,
        **dict.fromkeys(("maybe", "other", "inner", "standard"), struct),
    }
    assert {name: declared.type for name, declared in components.describe.outputs.items()} == {
        "text": ParameterType.STRING,
        "count": ParameterType.NUMBER_INTEGER,
        "first": struct,
    }
    optional = {name for name, declared in components.describe.inputs.items() if declared.optional}
    assert optional == {"maybe", "other", "inner", "standard"}


def test_the_program_imports_the_models_in_the_order_of_the_signature(components: Components) -> None:
    # as kubeflow/pipelines compiles it at 7b70c7b95f
    assert program(components.double).source.startswith(
        "\nimport kfp\nfrom kfp import dsl\nfrom kfp.dsl import *\nfrom typing import *\n"
        "from shared_models import Config\nfrom shared_models import Count\n\ndef double(config: Config"
    )
    imports = [line for line in program(components.describe).source.splitlines() if line.startswith("from shared")]
    assert [line.split()[-1] for line in imports] == ["Config", "Names", "Configs", "Outer", "Count"]


def test_a_model_is_validated_in_the_task_and_dumped_by_alias(components: Components, models: Any) -> None:
    assert components.double(config={"rate": 1}, count=2).output == {"rate": 4.0, "theTitle": "none"}
    config = models.Config(rate=1.5, theTitle="t")
    assert components.double(config=config, count=models.Count(1)).output == {"rate": 3.0, "theTitle": "t"}


def test_optional_arguments_defaults_and_several_outputs(components: Components, models: Any) -> None:
    config = {"rate": 1}
    task = components.describe(config=config, names=["n"], configs=[config])
    assert task.outputs == {
        "text": "Config Names Configs NoneType NoneType Inner Config",
        "count": 1,
        "first": {"rate": 1.0, "theTitle": "none"},
    }
    task = components.describe(
        config=config, names=models.Names(["n"]), configs=[models.Config(rate=1), config], maybe=config, other=config
    )
    assert task.outputs["text"] == "Config Names Configs Config Config Inner Config"
    assert task.outputs["count"] == 2


def test_a_default_can_be_a_model(components: Components) -> None:
    declared = components.describe.inputs["standard"]
    assert isinstance(declared, ParameterInput)
    assert declared.default == {"rate": 0.5, "theTitle": "none"}


@pytest.fixture
def pipeline(components: Components, models: Any) -> BaseComponent:
    from shared_models import Config, Count

    @dsl.pipeline
    def pipeline(config: Config, count: Count = 3, maybe: Optional[Config] = None) -> Config:  # noqa: UP045
        first = components.double(config=config, count=count)
        described = components.describe(
            config=first.output, names=["n"], configs=[Config(rate=1), first.output], maybe=Config(rate=7)
        )
        return components.double(config=described.outputs["first"], count=described.outputs["count"]).output

    return pipeline


def test_models_in_a_pipeline_and_its_compiled_file(pipeline: BaseComponent, models: Any, tmp_path: Path) -> None:
    path = tmp_path / "pipeline.yaml"
    compiler.Compiler().compile(pipeline, str(path))

    for target in (pipeline, path):
        for config in ({"rate": 2}, models.Config(rate=2)):
            assert local.run(target, {"config": config}).output == {"rate": 4.0, "theTitle": "none"}


def test_items_of_a_root_model_of_models_are_structs(components: Components, models: Any) -> None:
    from shared_models import Configs

    @dsl.component
    def make() -> Configs:
        return Configs([{"rate": 1}, {"rate": 2}])

    @dsl.pipeline
    def pipeline() -> list[dict]:
        with dsl.ParallelFor(make().output) as item:
            task = components.double(config=item, count=1)
        return dsl.Collected(task.output)  # type: ignore[return-value]

    assert [config["rate"] for config in pipeline().output] == [2.0, 4.0]


def test_a_value_that_does_not_fit_is_named(components: Components) -> None:
    with pytest.raises(
        TaskFailed, match=r"the input 'config' of the function 'double' does not fit the model Config: "
    ):
        components.double(config={"rate": "fast"}, count=1)


def test_a_traceback_has_no_frames_of_ours(models: Any) -> None:
    from shared_models import Config

    @dsl.component
    def fail(config: Config) -> Config:
        raise ValueError(config.rate)

    with pytest.raises(TaskFailed) as raised:
        fail(config={"rate": 1})
    assert re.findall(r'File "(.+)", line', str(raised.value)) == [__file__]


def test_a_result_of_another_type_is_refused(models: Any) -> None:
    from shared_models import Config, Maybe

    @dsl.component
    def plain() -> Config:
        return {"rate": 1}

    @dsl.component
    def nothing() -> Optional[Config]:  # noqa: UP045
        return None

    @dsl.component
    def none() -> Maybe:
        return Maybe(None)

    with pytest.raises(TaskFailed, match="returned a value of type dict: expected the model Config"):
        plain()
    for component in (nothing, none):
        with pytest.raises(TaskFailed, match="returned None for its output 'Output'"):
            component()


def test_a_model_that_a_task_could_not_import_is_refused(models: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    from shared_models import Box, Config
    from shared_models import Config as Alias

    class Local(pydantic.BaseModel):
        rate: float

    IntBox = Box[int]

    def local_model(config: Local) -> None: ...
    def alias(config: Alias) -> None: ...
    def parametrized(config: IntBox) -> None: ...  # type: ignore[valid-type]
    def direct(config: pydantic.RootModel[int]) -> None: ...
    def returned() -> Optional[Local]: ...  # noqa: UP045
    def in_program(config: Config) -> None: ...

    def refuse(function: Callable[..., Any], problem: str) -> None:
        with pytest.raises(AuthoringTypeError, match=problem):
            dsl.component(function)

    refuse(local_model, r"Component 'local_model': the Pydantic model .*<locals>\.Local is defined inside a function")
    refuse(returned, "defined inside a function")
    refuse(alias, r"`Alias` uses an alias of the Pydantic model shared_models\.Config")
    refuse(parametrized, "a parametrized model without a name of its own, so that it cannot be imported")
    refuse(direct, "a parametrized model without a name of its own")
    monkeypatch.setattr(Config, "__module__", "__main__")
    refuse(
        in_program, r"defined in the program that is started \(`__main__`\).*packages_to_install or in the base_image"
    )
    assert dsl.component(target_image="image")(in_program).inputs["config"].type is ParameterType.STRUCT


def test_a_type_that_is_not_json_is_refused(models: Any) -> None:
    class Bytes(pydantic.RootModel[set[int]]):
        pass

    def f(value: Bytes) -> None: ...

    with pytest.raises(AuthoringTypeError, match=r"argument 'value': KFP cannot pass set.* Use .* a Pydantic model"):
        dsl.component(f)


def test_an_old_pydantic_is_refused(models: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    from shared_models import Config

    def f(config: Config) -> None: ...

    monkeypatch.setattr(pydantic, "VERSION", "1.10.13")
    with pytest.raises(
        AuthoringTypeError,
        match=r"The model shared_models\.Config requires pydantic>=2, found pydantic==1\.10\.13\. Upgrade",
    ):
        dsl.component(f)


def test_models_in_a_list_are_warned_about(models: Any, caplog: pytest.LogCaptureFixture) -> None:
    from shared_models import Config

    def f(configs: list[Config]) -> None: ...

    component = dsl.component(f)
    (message,) = caplog.messages
    assert "the annotation list[shared_models.Config] of 'configs' contains a Pydantic model" in message
    assert "`class Many(RootModel[list[Config]]): ...`" in message
    assert component.inputs["configs"].type is ParameterType.LIST
    assert "shared_models" not in program(component).source.partition("def f")[0]


def test_a_list_in_itself_is_refused_as_without_pydantic() -> None:
    @dsl.component
    def take(number: int) -> None: ...

    items: list[Any] = [1]
    items.append(items)
    with pytest.raises(InconsistentTypeException, match="expected int, got .* of type list"):
        take(number=items)


def test_a_model_can_be_passed_to_an_untyped_dict_and_in_lists(models: Any) -> None:
    @dsl.component
    def echo(config: dict, configs: list) -> list:
        return [config, *configs]

    config = models.Config(rate=1)
    assert echo(config=config, configs=[config]).output == [{"rate": 1.0, "theTitle": "none"}] * 2
    with pytest.raises(InconsistentTypeException, match="input 'config': expected dict, got 1 of type int"):
        echo(config=models.Count(1), configs=[])


def test_a_container_component_gets_json(models: Any) -> None:
    from shared_models import Config

    @dsl.container_component
    def tool(config: Config, out: dsl.OutputPath(dict)):  # type: ignore[no-untyped-def, valid-type]
        return dsl.ContainerSpec("alpine", ["tool", config, out])

    assert tool.inputs["config"].type is ParameterType.STRUCT
    output = tool.outputs["out"]
    assert isinstance(output, ParameterOutput)


def test_fake_functions_take_and_return_models(pipeline: BaseComponent, models: Any) -> None:
    def double(config: models.Config, count: int) -> models.Config:
        return models.Config(rate=config.rate + count)

    def describe() -> dict[str, Any]:
        return {"text": "", "count": models.Count(5), "first": models.Config(rate=10)}

    runner = local.FakeRunner(double=double, describe=describe)
    assert local.run(pipeline, {"config": {"rate": 1}}, runner=runner).output == {"rate": 15.0, "theTitle": "none"}


def test_pydantic_is_never_imported_by_standpipe(tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(
        dedent("""\
        import sys
        from standpipe import compiler, components, dsl, local

        @dsl.component
        def loaded() -> bool:
            import sys

            return "pydantic" in sys.modules

        local.init(runner=local.SubprocessRunner(use_venv=False), quiet=True)
        assert loaded().output is False
        assert local.run(loaded, runner=local.FakeRunner(loaded=lambda: True)).output is True
        assert "pydantic" not in sys.modules
        """),
        encoding="utf-8",
    )
    subprocess.run([sys.executable, script], cwd=tmp_path, check=True)


def test_a_value_that_is_nested_too_deeply_is_left_to_the_check_of_values() -> None:
    value: list[Any] = []
    for _ in range(100_000):
        value = [value]

    assert dump(value) is value
