"""Scripts that the SDK refuses, and that we must refuse as well."""

import tempfile
from typing import Dict, List, NamedTuple

from corpus import shared
from corpus.entries import PIN, SMALL, refused, refused_pipeline
from corpus.shared import (
    clean_up,
    coin,
    dice,
    echo,
    make_data,
    make_several,
    merge,
    nothing,
    numbers,
    ready,
    report,
    rows,
    say,
    score,
    several,
    table,
    total,
    use_data,
    use_model,
)
from kfp import compiler, dsl
from kfp.components import load_component_from_text
from kfp.dsl import Artifact, Dataset, Input, Model, Output, OutputPath

# If, Elif, Else


@refused_pipeline
def if_of_true():
    with dsl.If(True):
        nothing()


@refused_pipeline
def if_of_a_comparison_of_constants():
    with dsl.If("a" == "b"):
        nothing()


@refused_pipeline
def elif_of_true(x: int):
    with dsl.If(x == 1):
        nothing()
    with dsl.Elif(1 == 1):
        nothing()


@refused_pipeline
def else_without_if():
    with dsl.Else():
        nothing()


@refused_pipeline
def elif_without_if(x: int):
    with dsl.Elif(x == 1):
        nothing()


@refused_pipeline
def else_after_else(x: int):
    with dsl.If(x == 1):
        nothing()
    with dsl.Else():
        nothing()
    with dsl.Else():
        nothing()


@refused_pipeline
def elif_after_else(x: int):
    with dsl.If(x == 1):
        nothing()
    with dsl.Else():
        nothing()
    with dsl.Elif(x == 2):
        nothing()


@refused_pipeline
def else_after_a_loop(x: int):
    with dsl.If(x == 1):
        nothing()
    with dsl.ParallelFor([1]):
        nothing()
    with dsl.Else():
        nothing()


@refused_pipeline
def if_on_a_list():
    with dsl.If(numbers().output == 1):
        nothing()


@refused_pipeline
def if_on_a_dict():
    with dsl.If(table().output == "x"):
        nothing()


@refused_pipeline
def if_on_an_artifact():
    with dsl.If(make_data().outputs["data"] == "x"):
        nothing()


@refused_pipeline
def if_on_a_number_and_a_bool(n: int):
    with dsl.If(n == True):  # noqa: E712
        nothing()


@refused_pipeline
def if_against_a_list(text: str):
    with dsl.If(text == ["a"]):
        nothing()


@refused_pipeline
def if_against_none(text: str):
    with dsl.If(text == None):  # noqa: E711
        nothing()


@refused_pipeline
def if_on_an_item_of_dicts():
    with dsl.ParallelFor([{"a": 1}]) as item:
        with dsl.If(item == 1):
            nothing()


# data and order across groups


@refused_pipeline
def output_out_of_a_condition(x: int):
    with dsl.If(x == 1):
        made = coin()
    say(text=made.output)


@refused_pipeline
def output_from_another_branch(x: int):
    with dsl.If(x == 1):
        made = coin()
    with dsl.Else():
        say(text=made.output)


@refused_pipeline
def output_out_of_a_loop():
    with dsl.ParallelFor([1, 2]) as n:
        made = echo(x=n)
    echo(x=made.output)


@refused_pipeline
def output_into_another_loop():
    with dsl.ParallelFor([1, 2]) as n:
        made = echo(x=n)
    with dsl.ParallelFor([1, 2]):
        echo(x=made.output)


@refused_pipeline
def output_out_of_an_exit_handler():
    with dsl.ExitHandler(clean_up()):
        made = coin()
    say(text=made.output)


@refused_pipeline
def output_out_of_a_loop_in_a_text():
    with dsl.ParallelFor([1, 2]) as n:
        made = echo(x=n)
    say(text=f"{made.output}")


@refused_pipeline
def after_a_task_in_a_condition(x: int):
    with dsl.If(x == 1):
        first = nothing()
    nothing().after(first)


@refused_pipeline
def after_a_task_in_an_exit_handler():
    with dsl.ExitHandler(clean_up()):
        first = nothing()
    nothing().after(first)


@refused_pipeline
def after_a_condition(x: int):
    with dsl.If(x == 1) as group:
        nothing()
    nothing().after(group)


@refused_pipeline
def after_a_loop_item():
    with dsl.ParallelFor([1, 2]) as item:
        nothing()
    nothing().after(item)


@refused_pipeline
def after_an_output():
    nothing().after(coin().output)


@refused_pipeline
def condition_on_an_output_of_another_branch(x: int):
    with dsl.If(x == 1):
        made = dice()
    with dsl.If(made.output == 1):
        nothing()


# OneOf


@refused_pipeline
def one_of_without_else(x: int):
    with dsl.If(x == 1):
        a = coin()
    with dsl.Elif(x == 2):
        b = coin()
    say(text=dsl.OneOf(a.output, b.output))


@refused_pipeline
def one_of_parameters_and_artifacts(x: int):
    with dsl.If(x == 1):
        a = coin()
    with dsl.Else():
        b = make_data()
    dsl.OneOf(a.output, b.outputs["data"])


@refused_pipeline
def one_of_different_types(x: int):
    with dsl.If(x == 1):
        a = coin()
    with dsl.Else():
        b = dice()
    dsl.OneOf(a.output, b.output)


@refused_pipeline
def one_of_different_artifacts(x: int):
    with dsl.If(x == 1):
        a = make_several()
    with dsl.Else():
        b = make_several()
    dsl.OneOf(a.outputs["data"], b.outputs["model"])


@refused_pipeline
def one_of_constants():
    dsl.OneOf("a", "b")
    nothing()


@refused_pipeline
def one_of_one_of(x: int):
    with dsl.If(x == 1):
        a = coin()
    with dsl.Else():
        b = coin()
    dsl.OneOf(dsl.OneOf(a.output, b.output), b.output)


@refused_pipeline
def one_of_in_a_text(x: int):
    with dsl.If(x == 1):
        a = coin()
    with dsl.Else():
        b = coin()
    say(text=f"{dsl.OneOf(a.output, b.output)}")


@refused_pipeline
def one_of_out_of_a_loop_returned() -> str:
    with dsl.ParallelFor([1, 2]) as n:
        with dsl.If(n == 1):
            a = coin()
        with dsl.Else():
            b = coin()
    return dsl.OneOf(a.output, b.output)


@refused_pipeline
def one_of_passed_as_another_type(x: int):
    with dsl.If(x == 1):
        a = coin()
    with dsl.Else():
        b = coin()
    echo(x=dsl.OneOf(a.output, b.output))


# ParallelFor


@refused_pipeline
def loop_over_a_string(text: str):
    with dsl.ParallelFor(text):
        nothing()


@refused_pipeline
def loop_over_a_dict(items: Dict[str, int]):
    with dsl.ParallelFor(items):
        nothing()


@refused_pipeline
def loop_over_a_number():
    with dsl.ParallelFor(dice().output):
        nothing()


@refused_pipeline
def loop_over_one_artifact(data: Input[Dataset]):
    with dsl.ParallelFor(data):
        nothing()


@refused_pipeline
def loop_over_nothing():
    with dsl.ParallelFor([]):
        nothing()


@refused_pipeline
def loop_over_a_constant_dict():
    with dsl.ParallelFor({"a": 1}):
        nothing()


@refused_pipeline
def loop_with_negative_parallelism():
    with dsl.ParallelFor([1], parallelism=-1):
        nothing()


@refused_pipeline
def loop_item_of_another_type():
    with dsl.ParallelFor([1, 2]) as n:
        say(text=n)


@refused_pipeline
def loop_field_of_another_type():
    with dsl.ParallelFor(rows().output) as row:
        say(text=row.a)


@refused_pipeline
def loop_over_a_field_with_an_odd_name():
    with dsl.ParallelFor([{"a b": 1}]):
        nothing()


@refused_pipeline
def loop_item_returned() -> int:
    with dsl.ParallelFor([1, 2]) as n:
        echo(x=n)
    return n


# Collected


@refused_pipeline
def collected_without_a_loop():
    total(values=dsl.Collected(dice().output))


@refused_pipeline
def collected_in_the_same_loop():
    with dsl.ParallelFor([1, 2]) as n:
        made = echo(x=n)
        total(values=dsl.Collected(made.output))


@refused_pipeline
def collected_out_of_a_condition(x: int):
    with dsl.If(x == 1):
        with dsl.ParallelFor([1, 2]) as n:
            made = echo(x=n)
    total(values=dsl.Collected(made.output))


@refused_pipeline
def collected_out_of_an_exit_handler():
    with dsl.ExitHandler(clean_up()):
        with dsl.ParallelFor([1, 2]) as n:
            made = echo(x=n)
    total(values=dsl.Collected(made.output))


@refused_pipeline
def collected_of_one_of():
    with dsl.ParallelFor([1, 2]) as n:
        with dsl.If(n == 1):
            a = dice()
        with dsl.Else():
            b = dice()
        either = dsl.OneOf(a.output, b.output)
    total(values=dsl.Collected(either))


@refused_pipeline
def one_of_collected(x: int):
    with dsl.If(x == 1):
        with dsl.ParallelFor([1, 2]) as n:
            a = echo(x=n)
    with dsl.Else():
        with dsl.ParallelFor([1, 2]) as n:
            b = echo(x=n)
    dsl.OneOf(dsl.Collected(a.output), dsl.Collected(b.output))


@refused_pipeline
def collected_as_no_list():
    with dsl.ParallelFor([1, 2]) as n:
        made = echo(x=n)
    echo(x=dsl.Collected(made.output))


@refused_pipeline
def collected_artifacts_of_another_type():
    with dsl.ParallelFor([1, 2]):
        made = make_several()
    merge(parts=dsl.Collected(made.outputs["model"]))


@refused_pipeline
def collected_artifacts_as_one():
    with dsl.ParallelFor([1, 2]):
        made = make_data()
    use_data(data=dsl.Collected(made.outputs["data"]))


# ExitHandler and ignored failures


@refused_pipeline
def exit_task_that_depends_on_a_task():
    first = nothing()
    with dsl.ExitHandler(clean_up().after(first)):
        nothing()


@refused_pipeline
def exit_task_that_takes_an_output():
    made = coin()
    with dsl.ExitHandler(clean_up(path=made.output)):
        nothing()


@refused_pipeline
def exit_handler_in_a_loop():
    with dsl.ParallelFor([1, 2]):
        with dsl.ExitHandler(clean_up()):
            nothing()


@refused_pipeline
def exit_handler_in_an_exit_handler():
    with dsl.ExitHandler(clean_up()):
        with dsl.ExitHandler(clean_up()):
            nothing()


@refused_pipeline
def exit_task_is_an_importer():
    with dsl.ExitHandler(dsl.importer("gs://x", Dataset)):
        nothing()


@refused_pipeline
def ignored_failure_without_a_default():
    say(text=coin().output).ignore_upstream_failure()


@refused_pipeline
def ignored_failure_of_a_pipeline_without_a_default():
    with_status(text=coin().output).ignore_upstream_failure()


@dsl.pipeline
def with_status(text: str):
    say(text=text)


@refused_pipeline
def status_without_an_upstream():
    report(note="n").ignore_upstream_failure()


@refused_pipeline
def status_of_two_upstreams():
    report(note="n").after(coin(), dice()).ignore_upstream_failure()


@refused_pipeline
def status_of_an_upstream_outside():
    first = coin()
    with dsl.ParallelFor([1, 2]):
        report(note="n").after(first).ignore_upstream_failure()


# calls and types


@refused_pipeline
def missing_argument():
    shared.add(a=1)


@refused_pipeline
def unknown_argument():
    shared.add(a=1, b=2, c=3)


@refused_pipeline
def positional_argument():
    shared.add(1, 2)


@refused_pipeline
def constant_of_another_type():
    echo(x="one")


@refused_pipeline
def float_for_an_integer():
    echo(x=1.0)


@refused_pipeline
def integer_for_a_float():
    shared.scale(x=1)


@refused_pipeline
def bool_for_an_integer():
    echo(x=True)


@refused_pipeline
def output_of_another_type():
    echo(x=coin().output)


@refused_pipeline
def integer_output_for_a_float():
    shared.scale(x=dice().output)


@refused_pipeline
def artifact_for_a_parameter():
    say(text=make_data().outputs["data"])


@refused_pipeline
def parameter_for_an_artifact(text: str):
    use_data(data=text)


@refused_pipeline
def constant_for_an_artifact():
    use_data(data="gs://x")


@refused_pipeline
def artifact_of_another_type():
    use_model(model=make_data().outputs["data"])


@refused_pipeline
def one_artifact_for_a_list():
    merge(parts=make_data().outputs["data"])


@refused_pipeline
def list_of_artifacts_for_one(parts: Input[List[Dataset]]):
    use_data(data=parts)


@refused_pipeline
def none_for_a_parameter():
    say(text=None)


@refused_pipeline
def output_of_many_outputs():
    echo(x=several().output)


@refused_pipeline
def output_that_is_not_there():
    say(text=several().outputs["nothing"])


@refused_pipeline
def output_of_no_outputs():
    say(text=nothing().output)


@refused_pipeline
def object_as_an_argument():
    say(text=object())


# what pipelines return and are


@refused_pipeline
def pipeline_without_tasks():
    pass


@refused_pipeline
def returns_undeclared(x: int):
    return echo(x=x).output


@refused_pipeline
def returns_too_little() -> int:
    dice()


@refused_pipeline
def returns_another_type() -> int:
    return coin().output


@refused_pipeline
def returns_another_artifact() -> Model:
    return make_data().outputs["data"]


@refused_pipeline
def returns_a_constant() -> int:
    dice()
    return 1


@refused_pipeline
def returns_a_task() -> int:
    return dice()


@refused_pipeline
def returns_from_a_condition(x: int) -> int:
    with dsl.If(x == 1):
        made = dice()
    return made.output


@refused_pipeline
def returns_from_a_loop() -> int:
    with dsl.ParallelFor([1, 2]) as n:
        made = echo(x=n)
    return made.output


@refused_pipeline
def returns_from_an_exit_handler() -> int:
    with dsl.ExitHandler(clean_up()):
        made = dice()
    return made.output


@refused_pipeline
def returns_collected_as_no_list() -> int:
    with dsl.ParallelFor([1, 2]) as n:
        made = echo(x=n)
    return dsl.Collected(made.output)


@refused_pipeline
def returns_unknown_fields() -> NamedTuple("Out", [("a", int)]):
    made = dice()
    return NamedTuple("Out", [("b", int)])(made.output)


@refused_pipeline
def workspace_without_a_config():
    say(text=dsl.WORKSPACE_PATH_PLACEHOLDER)


@refused_pipeline
def workspace_in_a_text_in_a_loop():
    with dsl.ParallelFor(["a"]) as item:
        say(text=item)
        say(text=f"{dsl.WORKSPACE_PATH_PLACEHOLDER}/x")


@refused_pipeline
def import_to_no_workspace():
    dsl.importer("gs://x", Dataset, download_to_workspace=True)


@refused
def pipeline_without_annotations():
    return dsl.pipeline(lambda x: nothing() and None, name="unannotated")


@refused
def pipeline_in_a_pipeline_function():
    def outer():
        @dsl.pipeline
        def inside():
            nothing()

        inside()

    return dsl.pipeline(outer)


# settings


@refused_pipeline
def odd_cpu():
    nothing().set_cpu_limit("many")


@refused_pipeline
def odd_memory():
    nothing().set_memory_limit("1.5GB")


@refused_pipeline
def negative_accelerators():
    nothing().set_accelerator_limit(-1)


@refused_pipeline
def odd_accelerators():
    nothing().set_accelerator_limit("two")


@refused_pipeline
def odd_duration():
    nothing().set_retry(1, backoff_duration="soon")


@refused_pipeline
def odd_unit_of_duration():
    nothing().set_retry(1, backoff_duration="3 years")


@refused_pipeline
def cpu_of_a_pipeline():
    with_status(text="x").set_cpu_limit("1")


@refused_pipeline
def environment_of_an_importer():
    dsl.importer("gs://x", Dataset).set_env_variable("A", "b")


@refused_pipeline
def image_of_a_pipeline():
    with_status(text="x").set_container_image("x")


@refused_pipeline
def pause_at_nothing():
    nothing().set_debug_pause(before=False, after=False)


@refused_pipeline
def pause_on_error_but_not_after():
    nothing().set_debug_pause(after=False, on_error=True)


@refused_pipeline
def resources_that_are_not_passed_through():
    passes_environment().set_cpu_limit("1")


@refused_pipeline
def environment_that_is_not_passed_through():
    passes_resources().set_env_variable("A", "b")


@dsl.component(task_config_passthroughs=[dsl.TaskConfigField.ENV], **SMALL)
def passes_environment() -> None:
    pass


@dsl.component(task_config_passthroughs=[dsl.TaskConfigField.RESOURCES], **SMALL)
def passes_resources() -> None:
    pass


@refused
def workspace_without_a_size():
    dsl.WorkspaceConfig(size="")


@refused
def workspace_of_an_odd_size():
    dsl.WorkspaceConfig(size="big")


@refused
def negative_deadline():
    dsl.PipelineConfig(active_deadline_seconds=-1)


@refused
def deadline_that_is_no_integer():
    dsl.PipelineConfig(active_deadline_seconds="1h")


# components


@refused
def component_without_annotations():
    @dsl.component(**PIN)
    def unannotated(x):
        return x

    return unannotated


@refused
def component_with_an_unknown_type():
    @dsl.component(**PIN)
    def unknown(x: set) -> str:
        return ""

    return unknown


@refused
def component_with_an_artifact_default():
    @dsl.component(**PIN)
    def default(data: Input[Dataset] = "x") -> str:
        return ""

    return default


@refused
def component_with_a_parameter_named_output():
    @dsl.component(**PIN)
    def named(Output: str) -> str:
        return Output

    return named


@refused
def component_with_an_output_list():
    @dsl.component(**PIN)
    def lists(many: Output[List[Artifact]]) -> None:
        pass

    return lists


@refused
def component_that_returns_a_list_of_artifacts():
    @dsl.component(**PIN)
    def lists() -> List[Dataset]:
        pass

    return lists


@refused
def container_without_markers():
    @dsl.container_component
    def unmarked(data: Dataset):
        return dsl.ContainerSpec(image="alpine")

    return unmarked


@refused
def container_that_returns_a_value():
    @dsl.container_component
    def valued() -> str:
        return dsl.ContainerSpec(image="alpine")

    return valued


@refused
def concat_in_a_text():
    @dsl.container_component
    def concat(a: str):
        return dsl.ContainerSpec(image="alpine", command=[f"{dsl.ConcatPlaceholder([a])}"])

    return concat


@refused
def condition_on_an_unknown_input():
    @dsl.container_component
    def unknown(a: str):
        return dsl.ContainerSpec(image="alpine", command=[dsl.IfPresentPlaceholder(input_name="b", then=["x"])])

    return unknown


@refused
def concat_of_a_condition_with_lists():
    dsl.ConcatPlaceholder([dsl.IfPresentPlaceholder(input_name="a", then=["x"])])


@refused
def attribute_of_a_list_of_artifacts():
    @dsl.container_component
    def lists(parts: Input[List[Artifact]]):
        return dsl.ContainerSpec(image="alpine", command=[parts.uri])

    return lists


@refused
def attribute_of_an_artifact():
    @dsl.container_component
    def named(data: Input[Dataset], path: OutputPath(str)):
        return dsl.ContainerSpec(image="alpine", command=[data.nothing, path])

    return named


@refused
def notebook_that_is_not_there():
    @dsl.notebook_component(notebook_path="nowhere.ipynb", **PIN)
    def missing() -> None:
        pass

    return missing


@refused
def embedded_file_that_is_not_there():
    @dsl.component(embedded_artifact_path="nowhere", **PIN)
    def missing() -> None:
        pass

    return missing


# loading and compiling


@refused
def compiled_function():
    compiler.Compiler().compile(lambda: None, "out.yml")


@refused
def compiled_task_name_that_is_no_file():
    compiler.Compiler().compile(shared.add, "out.txt")


@refused
def unknown_pipeline_parameter():
    compiler.Compiler().compile(shared.add, "out.yml", pipeline_parameters={"z": 1})


@refused
def artifact_as_a_pipeline_parameter():
    compiler.Compiler().compile(shared.use_data, "out.yml", pipeline_parameters={"data": "gs://x"})


@refused
def platform_in_json():
    configured = dsl.pipeline(
        lambda: nothing() and None,
        name="configured",
        pipeline_config=dsl.PipelineConfig(ttl_seconds_after_finished=1),
    )
    with tempfile.TemporaryDirectory() as folder:
        compiler.Compiler().compile(configured, f"{folder}/out.json")


@refused
def text_that_is_no_component():
    return load_component_from_text("{}")


@refused
def text_that_is_no_yaml():
    return load_component_from_text("a: [")


@refused
def version_1_without_a_container():
    return load_component_from_text("{name: x, implementation: {graph: {tasks: {}}}}")


@refused
def version_1_with_an_unknown_input():
    return load_component_from_text(
        "{name: x, implementation: {container: {image: alpine, command: [{inputValue: nothing}]}}}"
    )


@refused
def version_1_value_of_an_artifact():
    return load_component_from_text(
        "{name: x, inputs: [{name: d, type: Dataset}], "
        "implementation: {container: {image: alpine, command: [{inputValue: d}]}}}"
    )


@refused
def version_1_path_of_a_parameter():
    return load_component_from_text(
        "{name: x, inputs: [{name: s, type: String}], "
        "implementation: {container: {image: alpine, command: [{inputPath: s}]}}}"
    )


# ready and score are of types that no case above compares


@refused_pipeline
def bool_for_a_string():
    say(text=ready().output)


@refused_pipeline
def float_for_a_string():
    say(text=score().output)
