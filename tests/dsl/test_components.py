"""Components: their inputs and outputs, and which ones are refused."""

from __future__ import annotations

import collections
import functools
import linecache
import textwrap
from pathlib import Path
from typing import Any, Dict, List, NamedTuple, Optional  # noqa: UP035 - users write them

import pytest

from standpipe import dsl
from standpipe.dsl.specs import InputSpec, OutputSpec
from standpipe.errors import AuthoringError, AuthoringTypeError, StandpipeError
from standpipe.ir.python_command import render
from standpipe.model.plan import Command, PythonFunction
from standpipe.model.templates import Concat, IfPresent, Template
from standpipe.model.types import (
    ArtifactInput,
    ArtifactOutput,
    ArtifactType,
    ParameterInput,
    ParameterOutput,
    ParameterType,
)
from tests.plans import container


class Known(dsl.Artifact):
    schema_title = "system.Known"


Alias = Known

DATASET = ArtifactType("system.Dataset")


def program(component: dsl.BaseComponent) -> PythonFunction:
    found = container(component.executor).program
    assert isinstance(found, PythonFunction)
    return found


def test_every_kind_of_input_and_output_is_read_from_the_signature() -> None:
    @dsl.component
    def everything(
        text: str,
        data: dsl.Input[dsl.Dataset],
        many: dsl.Input[list[dsl.Model]],
        bare: dsl.Artifact,
        path: dsl.InputPath("Dataset"),  # type: ignore[valid-type]
        model: dsl.Output[dsl.Model],
        written: dsl.OutputPath(str),  # type: ignore[valid-type]
        number: int = 3,
        rate: float = 1,
        flags: Optional[list[bool]] = None,  # noqa: UP045
        settings: dict | None = None,
        maybe: Optional[dsl.Input[dsl.Artifact]] = None,  # noqa: UP045
    ) -> NamedTuple("Outputs", [("score", float), ("report", dsl.HTML)]):  # type: ignore[valid-type]
        pass

    assert everything.inputs == {
        "text": ParameterInput(ParameterType.STRING),
        "data": ArtifactInput(DATASET),
        "many": ArtifactInput(ArtifactType("system.Model"), is_list=True),
        "bare": ArtifactInput(ArtifactType("system.Artifact")),
        "path": ArtifactInput(DATASET),
        "number": ParameterInput(ParameterType.NUMBER_INTEGER, optional=True, default=3),
        "rate": ParameterInput(ParameterType.NUMBER_DOUBLE, optional=True, default=1.0),
        "flags": ParameterInput(ParameterType.LIST, optional=True),
        "settings": ParameterInput(ParameterType.STRUCT, optional=True),
        "maybe": ArtifactInput(ArtifactType("system.Artifact"), optional=True),
    }
    assert everything.outputs == {
        "model": ArtifactOutput(ArtifactType("system.Model")),
        "written": ParameterOutput(ParameterType.STRING),
        "score": ParameterOutput(ParameterType.NUMBER_DOUBLE),
        "report": ArtifactOutput(ArtifactType("system.HTML")),
    }


def test_bare_generics_of_typing_are_lists_and_dicts() -> None:
    @dsl.component
    def generic(
        a: List,  # noqa: UP006
        b: Optional[Dict] = None,  # noqa: UP006, UP045
        c: dsl.OutputPath(List) = None,  # type: ignore[valid-type]  # noqa: UP006
    ) -> NamedTuple("Outputs", [("d", List), ("e", Dict)]):  # type: ignore[valid-type]  # noqa: UP006
        pass

    types = {name: declared.type for name, declared in {**generic.inputs, **generic.outputs}.items()}
    assert types == {
        "a": ParameterType.LIST,
        "b": ParameterType.STRUCT,
        "c": ParameterType.LIST,
        "d": ParameterType.LIST,
        "e": ParameterType.STRUCT,
    }


def test_defaults_are_taken_as_python_takes_them() -> None:
    @dsl.component
    def defaults(a: bool = 1, b: int = True, c: float = False) -> None:  # type: ignore[assignment]
        pass

    found = [declared.default for declared in defaults.inputs.values() if isinstance(declared, ParameterInput)]
    assert found == [True, 1, 0.0]
    assert list(map(type, found)) == [bool, int, float]


def test_names_are_converted_to_names_for_kubernetes() -> None:
    @dsl.component
    def Train_Model__v2() -> None:
        pass

    assert Train_Model__v2.name == "train-model-v2"


def test_descriptions_come_from_the_docstring() -> None:
    @dsl.component
    def add(a: int, out: dsl.Output[dsl.Artifact]) -> None:
        """Adds.

        In the long run.

        Args:
            a: the first number

        Returns:
            out: the sum
        """

    assert add.description == "Adds.\nIn the long run."
    assert add.inputs["a"].description == "the first number"
    assert add.outputs["out"].description == "the sum"


def test_the_source_is_stored_without_decorator_and_indentation() -> None:
    def helper() -> int:
        return 1

    @dsl.component(packages_to_install=["pandas"], base_image="python:3.12", additional_funcs=[helper])
    def outer(a: int) -> int:
        return a + helper()

    function = program(outer)
    assert container(outer.executor).image == "python:3.12"
    assert function.packages == ("pandas",)
    assert function.source == textwrap.dedent(
        """
        import kfp
        from kfp import dsl
        from kfp.dsl import *
        from typing import *

        def helper() -> int:
            return 1


        def outer(a: int) -> int:
            return a + helper()

        """
    )


def test_the_source_of_a_nested_function_keeps_multiline_strings() -> None:
    @dsl.component
    def nested(a: int) -> str:
        return """
at the margin
"""

    assert program(nested).source.endswith('def nested(a: int) -> str:\n    return """\nat the margin\n"""\n\n')


def test_artifact_classes_are_imported_under_the_name_that_the_signature_uses() -> None:
    @dsl.component
    def uses(a: dsl.Input[Known], b: "dsl.Input[Known]", c: Optional[dsl.Output[Known]] = None) -> List[int]:  # noqa: UP006, UP037, UP045
        return []

    imports = [line for line in program(uses).source.splitlines() if line.endswith("import Known")]
    assert imports == [f"from {__name__} import Known"]


def test_an_artifact_class_under_another_name_is_refused() -> None:
    def uses(a: dsl.Input[Alias]) -> None:
        pass

    with pytest.raises(
        AuthoringTypeError, match=r"`dsl\.Input\[Alias\]` uses an alias of the artifact class .*Known\. Use the name"
    ):
        dsl.component(uses)


def test_kfp_is_installed_on_clusters_unless_the_component_says_otherwise() -> None:
    def f() -> None:
        pass

    assert program(dsl.component(f)).kfp_requirements[:2] == ("kfp==2.17.3", "--no-deps")
    assert program(dsl.component(f, install_kfp_package=False)).kfp_requirements == ()  # type: ignore[call-overload]
    assert program(dsl.component(packages_to_install=["kfp==2.9"])(f)).kfp_requirements == ()
    assert program(dsl.component(kfp_package_path="git+https://x")(f)).kfp_requirements == ("git+https://x",)
    assert program(dsl.component(kfp_package_path="")(f)).kfp_requirements[0] == "kfp==2.17.3"


def test_options_of_the_wrong_type_are_refused() -> None:
    def f() -> None:
        pass

    with pytest.raises(AuthoringTypeError, match=r"packages_to_install to be a list, got the string 'pandas'"):
        dsl.component(packages_to_install="pandas")(f)
    with pytest.raises(
        AuthoringTypeError, match=r"task_config_passthroughs to contain dsl\.TaskConfigField .*, got 'ENV'"
    ):
        dsl.component(task_config_passthroughs=["ENV"])(f)  # type: ignore[list-item]


def test_a_containerized_component_runs_the_function_in_its_image() -> None:
    @dsl.component(target_image="registry/me:1", base_image="python:3.11")
    def baked(a: int) -> None:
        pass

    assert container(baked.executor).image == "registry/me:1"
    program = container(baked.executor).program
    assert isinstance(program, Command)
    assert list(map(str, program.args)) == [
        "--executor_input",
        "{{$}}",
        "--function_to_execute",
        "baked",
    ]


def test_a_containerized_component_installs_its_packages_as_a_lightweight_one_does() -> None:
    def f(a: int) -> None:
        pass

    options: dict[str, Any] = {
        "packages_to_install": ["one", "it's"],
        "pip_index_urls": ["https://a", "https://b"],
        "pip_trusted_hosts": ["a"],
        "install_kfp_package": False,
    }
    baked = container(dsl.component(target_image="t", **options)(f).executor).program
    assert isinstance(baked, Command)
    installing, _ = render(program(dsl.component(**options)(f)))
    assert baked.command == (*installing[:3], "python3", "-m", "kfp.dsl.executor_main")


def test_an_embedded_file_is_stored_with_the_source(tmp_path: Path) -> None:
    (tmp_path / "data.txt").write_text("content")

    @dsl.component(embedded_artifact_path=str(tmp_path / "data.txt"))
    def reader(data: dsl.EmbeddedInput[dsl.Artifact]) -> None:
        pass

    assert reader.inputs == {}
    namespace: dict[str, Any] = {}
    exec(program(reader).source.partition("from typing import *")[2].partition("def reader")[0], namespace)
    assert Path(namespace["__KFP_EMBEDDED_ASSET_FILE"]).read_text() == "content"
    namespace["_embedded"].cleanup()


def test_a_container_component_describes_its_command() -> None:
    @dsl.container_component
    def tool(name: str, data: dsl.Input[dsl.Dataset], model: dsl.Output[dsl.Model], score: dsl.OutputPath(float)):  # type: ignore[no-untyped-def,valid-type]
        return dsl.ContainerSpec(
            image="alpine:3",
            command=["sh", "-c", f"echo {name} > {score}"],
            args=[
                name,
                data.path,
                data.metadata["rows"],
                dsl.ConcatPlaceholder(["--model=", model.uri]),
                dsl.IfPresentPlaceholder(input_name="name", then=["--name", name], else_="none"),
                dsl.PIPELINE_TASK_EXECUTOR_INPUT_PLACEHOLDER,
            ],
        )

    spec = container(tool.executor).program
    assert isinstance(spec, Command)
    assert isinstance(spec.command[2], Template)
    assert str(spec.command[2]) == (
        "echo {{$.inputs.parameters['name']}} > {{$.outputs.parameters['score'].output_file}}"
    )
    assert list(map(str, spec.args[:3])) == [
        "{{$.inputs.parameters['name']}}",
        "{{$.inputs.artifacts['data'].path}}",
        "{{$.inputs.artifacts['data'].metadata['rows']}}",
    ]
    assert isinstance(spec.args[3], Concat)
    assert isinstance(spec.args[4], IfPresent)
    assert tool.outputs.keys() == {"model", "score"}


def test_a_list_of_artifacts_is_passed_to_a_command_as_a_whole() -> None:
    @dsl.container_component
    def tool(many: dsl.Input[list[dsl.Dataset]], maybe: Optional[dsl.Input[list[dsl.Model]]] = None):  # type: ignore[no-untyped-def]  # noqa: UP045
        arguments: list[Any] = [many, f"--all={many}"]
        return dsl.ContainerSpec(image="i", args=arguments)

    program = container(tool.executor).program
    assert isinstance(program, Command)
    assert list(map(str, program.args)) == [
        "{{$.inputs.artifacts['many']}}",
        "--all={{$.inputs.artifacts['many']}}",
    ]
    assert tool.inputs["many"] == ArtifactInput(DATASET, is_list=True)


def no_annotation(a):  # type: ignore[no-untyped-def]
    pass


def set_annotation(a: set) -> None:
    pass


def variable(*a: int) -> None:
    pass


def output_argument(Output: int) -> None:
    pass


def artifact_default(a: dsl.Input[dsl.Dataset] = "x") -> None:  # type: ignore[assignment]
    pass


def wrong_default(a: int = "x") -> None:  # type: ignore[assignment]
    pass


def list_output() -> list[dsl.Dataset]:
    return []


def keywords(**a: int) -> None:
    pass


async def coroutine(a: int) -> None:
    pass


Untyped = collections.namedtuple("Untyped", ["a"])


def untyped_fields() -> Untyped:
    pass


def marked_return() -> dsl.Output[dsl.Dataset]:
    pass


def two_outputs(a: dsl.Output[dsl.Dataset]) -> NamedTuple("Outputs", [("a", int)]):  # type: ignore[valid-type]
    pass


class Mine(dsl.Artifact):
    schema_title = "mine.Thing"


def foreign_namespace(a: dsl.Input[Mine]) -> None:
    pass


@pytest.mark.parametrize(
    ("function", "error", "says"),
    [
        (no_annotation, AuthoringTypeError, "argument 'a': the type annotation is missing"),
        (keywords, AuthoringTypeError, r"takes \*\*a: KFP passes named arguments only"),
        (set_annotation, AuthoringTypeError, "KFP cannot pass set"),
        (variable, AuthoringTypeError, "named arguments only"),
        (output_argument, AuthoringError, "'Output' is the name of the returned value"),
        (artifact_default, AuthoringError, "can only be None"),
        (wrong_default, AuthoringTypeError, r"expected int, got 'x' \(str\)"),
        (list_output, AuthoringError, "only pipelines can have lists of artifacts"),
        (foreign_namespace, AuthoringTypeError, "namespace `system` or `google`"),
        (lambda: None, AuthoringError, "defined with `def` at the start of a line, not a lambda"),
        (coroutine, AuthoringError, "not `async def`"),
        (functools.partial(wrong_default, a=1), AuthoringTypeError, "defined with `def`"),
        ("wrong_default", AuthoringTypeError, "got 'wrong_default' of type str"),
        (len, AuthoringTypeError, "defined with `def`"),
        (untyped_fields, AuthoringTypeError, "fields of Untyped have no types.*typing.NamedTuple"),
        (marked_return, AuthoringTypeError, "returned value: write the artifact class without"),
        (two_outputs, AuthoringError, "two outputs with the name 'a'"),
    ],
)
def test_an_invalid_component_is_refused_by_its_decorator(function: Any, error: type, says: str) -> None:
    with pytest.raises(error, match=says) as caught:
        dsl.component(function)
    assert isinstance(caught.value, StandpipeError)
    assert "Component" in str(caught.value) or "function" in str(caught.value)


def test_a_function_without_source_is_refused() -> None:
    namespace: dict[str, Any] = {}
    exec("def typed_in(a: int) -> int:\n    return a\n", namespace)
    with pytest.raises(AuthoringError, match="source of the function 'typed_in' was not found"):
        dsl.component(namespace["typed_in"])


def test_the_source_of_other_code_is_not_taken_for_that_of_a_function(monkeypatch: pytest.MonkeyPatch) -> None:
    program = "def other(a: int) -> int:\n    return -a\n"
    monkeypatch.setitem(
        linecache.cache, "<string>", (len(program), None, program.splitlines(keepends=True), "<string>")
    )
    namespace: dict[str, Any] = {}
    exec("def typed_in(a: int) -> int:\n    return a\n", namespace)

    with pytest.raises(AuthoringError, match="source of the function 'typed_in' was not found .<string> holds other"):
        dsl.component(namespace["typed_in"])


def test_mistakes_in_a_container_component_are_refused() -> None:
    def wrong_type(a: int):  # type: ignore[no-untyped-def]
        return dsl.ContainerSpec(image="i", command=["x", 3])  # type: ignore[list-item]

    def bare_artifact(a: dsl.Input[dsl.Dataset]):  # type: ignore[no-untyped-def]
        return dsl.ContainerSpec(image="i", args=[a])  # type: ignore[list-item]

    def unmarked(a: dsl.Dataset):  # type: ignore[no-untyped-def]
        return dsl.ContainerSpec(image="i")

    def no_spec(a: int):  # type: ignore[no-untyped-def]
        pass

    def annotated(a: int) -> dsl.Dataset:
        pass

    def no_image(a: int):  # type: ignore[no-untyped-def]
        return dsl.ContainerSpec(image=None)  # type: ignore[arg-type]

    def artifact_in_text(a: dsl.Input[dsl.Dataset]):  # type: ignore[no-untyped-def]
        return dsl.ContainerSpec(image="i", args=[f"--data={a}"])

    def embedded(a: dsl.EmbeddedInput[dsl.Dataset]):  # type: ignore[no-untyped-def]
        return dsl.ContainerSpec(image="i")

    def unknown_input(a: int):  # type: ignore[no-untyped-def]
        return dsl.ContainerSpec(image="i", args=[dsl.IfPresentPlaceholder("b", "x")])

    def text_command(a: int):  # type: ignore[no-untyped-def]
        return dsl.ContainerSpec(image="i", command="ls -l")

    refused: list[tuple[Any, str]] = [
        (wrong_type, "expected strings and placeholders in the command, got 3 of type int"),
        (bare_artifact, r"Write a\.path or a\.uri"),
        (unmarked, r"Input\[\.\.\.\] or Output\[\.\.\.\]"),
        (no_spec, "must return a dsl.ContainerSpec. It returned None"),
        (annotated, "declare outputs as arguments"),
        (no_image, "image to be the name of an image, got None"),
        (artifact_in_text, r"Write a\.path or a\.uri"),
        (embedded, "EmbeddedInput is for Python components"),
        ("alpine", "expected a function .*, got 'alpine' of type str"),
        (unknown_input, "refers to the input 'b', which is not declared"),
        (text_command, "expected command and args to be lists"),
    ]
    for function, says in refused:
        with pytest.raises(StandpipeError, match=says):
            dsl.container_component(function)


def test_structures_cannot_stand_in_f_strings_and_lists_not_in_concat() -> None:
    with pytest.raises(AuthoringError, match="f-string"):
        str(dsl.ConcatPlaceholder(["a"]))
    with pytest.raises(AuthoringError, match="single elements"):
        dsl.ConcatPlaceholder([dsl.IfPresentPlaceholder("x", ["a", "b"])])


def test_a_component_describes_itself_under_the_sdks_names() -> None:
    @dsl.component(base_image="python:3.12")
    def describes(
        a: int,
        b: list[str] = ["x"],  # noqa: B006 - KFP reads it and never changes it
        data: dsl.Input[dsl.Dataset] | None = None,
    ) -> float:
        """Says what it is.

        Args:
            a: a number
        """
        return 1.0

    spec = describes.component_spec
    assert (spec.name, spec.description) == ("describes", "Says what it is.")
    assert spec.inputs == {
        "a": InputSpec("Integer", description="a number"),
        "b": InputSpec("List[String]", ["x"], True),
        "data": InputSpec("system.Dataset@0.0.1", None, True),
    }
    assert spec.outputs == {"Output": OutputSpec("Float")}
    assert spec.implementation.container
    assert spec.implementation.container.image == "python:3.12"
    assert describes.pipeline_spec.pipeline_info.name == "describes"
    assert not describes.platform_spec.platforms
