"""Pipelines as components of pipelines: with groups around them and within, and names that meet."""

from typing import Dict, List, NamedTuple, Optional

from corpus.entries import SMALL, pipeline
from corpus.shared import (
    add,
    coin,
    dice,
    echo,
    fit,
    make_data,
    merge,
    nothing,
    say,
    several,
    total,
    use_data,
    use_model,
)
from kfp import dsl
from kfp.dsl import Artifact, Dataset, Input, Model


@dsl.pipeline
def one_step(x: int) -> int:
    return echo(x=x).output


@dsl.pipeline
def two_steps(x: int, y: int = 2) -> int:
    return add(a=echo(x=x).output, b=y).output


@dsl.pipeline
def in_three(x: int) -> int:
    return two_steps(x=one_step(x=x).output).output


@dsl.pipeline
def no_inputs() -> str:
    return coin().output


@dsl.pipeline
def prepare(size: int = 1, name: str = "n") -> NamedTuple("Out", [("data", Dataset), ("name", str)]):
    made = make_data(size=size)
    said = say(text=name)
    return NamedTuple("Out", [("data", Dataset), ("name", str)])(made.outputs["data"], said.output)


@dsl.pipeline
def train_on(data: Input[Dataset], rate: float = 0.1) -> Model:
    trained = fit(data=data, rate=rate)
    use_model(model=trained.outputs["model"])
    return trained.outputs["model"]


@dsl.pipeline
def loops_inside(ns: List[int], text: str = "t") -> List[int]:
    with dsl.ParallelFor(ns) as n:
        made = echo(x=n)
        say(text=f"{text}{n}")
    return dsl.Collected(made.output)


@dsl.pipeline
def branches_inside(x: int) -> str:
    with dsl.If(x == 1):
        a = say(text="one")
    with dsl.Elif(x == 2):
        b = say(text="two")
    with dsl.Else():
        c = say(text="more")
    return dsl.OneOf(a.output, b.output, c.output)


@dsl.pipeline
def everything_optional(
    a: Optional[int] = None, b: str = "b", c: list = [1], d: Optional[Input[Dataset]] = None, e: Dict[str, int] = {}
):
    say(text=b)


@dsl.pipeline
def lists_of_artifacts(parts: Input[List[Dataset]]) -> List[Dataset]:
    merge(parts=parts)
    with dsl.ParallelFor(parts) as part:
        use_data(data=part)
        made = make_data()
    return dsl.Collected(made.outputs["data"])


@pipeline
def one_pipeline_in_another(x: int) -> int:
    return one_step(x=x).output


@pipeline
def pipelines_in_a_row(x: int = 1) -> int:
    first = one_step(x=x)
    second = two_steps(x=first.output)
    third = two_steps(x=second.output, y=x)
    return third.output


@pipeline
def the_same_pipeline_again_and_again():
    one_step(x=1)
    one_step(x=2)
    one_step(x=3)
    echo(x=4)


@pipeline
def pipelines_three_deep(x: int):
    in_three(x=x)
    one_step(x=5)
    in_three(x=6)


@pipeline
def pipelines_with_artifacts(size: int) -> Model:
    made = prepare(size=size)
    use_data(data=made.outputs["data"])
    say(text=made.outputs["name"])
    return train_on(data=made.outputs["data"], rate=0.5).output


@pipeline
def pipelines_without_arguments():
    no_inputs()
    prepare()
    everything_optional()


@pipeline
def optional_inputs_of_pipelines(x: Optional[int] = None, data: Optional[Input[Dataset]] = None):
    everything_optional(a=x, d=data)
    everything_optional(b="c", c=[], e={"k": 1})
    everything_optional(a=3, b=f"{x}!")


@pipeline
def pipeline_in_a_loop(ns: List[int]):
    with dsl.ParallelFor(ns) as n:
        made = two_steps(x=n)
        one_step(x=made.output)
    with dsl.ParallelFor([1, 2]) as n:
        two_steps(x=n, y=n)
    total(values=dsl.Collected(made.output))


@pipeline
def pipeline_in_a_condition(x: int):
    first = one_step(x=x)
    with dsl.If(first.output == 1):
        second = one_step(x=first.output)
        with dsl.If(second.output == 2):
            one_step(x=x)
    with dsl.Else():
        no_inputs()


@pipeline
def pipeline_in_every_group(x: int, data: Input[Dataset]):
    with dsl.ExitHandler(nothing()):
        with dsl.ParallelFor([1, 2]) as n:
            with dsl.If(n == 1):
                trained = train_on(data=data)
                use_model(model=trained.output)
            with dsl.Else():
                two_steps(x=n, y=x)


@pipeline
def loops_in_nested_pipelines(ns: List[int]) -> List[int]:
    first = loops_inside(ns=ns)
    second = loops_inside(ns=first.output, text="u")
    total(values=second.output)
    return loops_inside(ns=[7, 8]).output


@pipeline
def loops_in_nested_pipelines_in_loops(ns: List[int]):
    with dsl.ParallelFor(ns) as n:
        loops_inside(ns=[1, 2], text=f"{n}")
        with dsl.ParallelFor(["a"]) as text:
            loops_inside(ns=[3], text=text)


@pipeline
def branches_in_nested_pipelines(x: int) -> str:
    first = branches_inside(x=x)
    with dsl.If(first.output == "one"):
        branches_inside(x=2)
    return first.output


@pipeline
def branches_in_nested_pipelines_in_loops():
    with dsl.ParallelFor([1, 2, 3]) as n:
        made = branches_inside(x=n)
        say(text=made.output)


@pipeline
def groups_inside_and_outside(x: int):
    with dsl.If(x == 1):
        nothing()
    branches_inside(x=x)
    with dsl.ParallelFor([1]) as n:
        echo(x=n)
    loops_inside(ns=[1])
    with dsl.If(x == 2):
        branches_inside(x=x)


@pipeline
def lists_of_artifacts_through_pipelines(parts: Input[List[Dataset]]) -> List[Dataset]:
    first = lists_of_artifacts(parts=parts)
    return lists_of_artifacts(parts=first.output).output


@dsl.component(**SMALL)
def echo_twice(x: int) -> int:
    return x


@dsl.pipeline(name="echo")
def named_like_a_component(x: int) -> int:
    return echo(x=x).output


@pipeline
def names_that_meet(x: int):
    echo(x=x)
    named_like_a_component(x=x)
    echo_twice(x=x)
    named_like_a_component(x=2)


@dsl.pipeline(name="shown-name", display_name="Shown", description="What it does")
def with_names_of_its_own(x: int = 1):
    """A docstring."""
    echo(x=x)


@pipeline
def pipelines_with_names_of_their_own():
    with_names_of_its_own()
    with_names_of_its_own(x=2).set_display_name("Again")


@dsl.pipeline(pipeline_root="gs://inner", pipeline_config=dsl.PipelineConfig(ttl_seconds_after_finished=3))
def with_a_config_of_its_own():
    nothing()


@pipeline
def config_of_a_nested_pipeline():
    with_a_config_of_its_own()


@dsl.pipeline
def settings_inside(image: str, cpu: str = "1"):
    nothing().set_cpu_limit(cpu).set_container_image(image).set_retry(2).set_caching_options(False)
    nothing().set_env_variable("A", "b").set_accelerator_type("nvidia.com/gpu")


@pipeline
def settings_in_nested_pipelines(image: str):
    settings_inside(image=image)
    settings_inside(image=coin().output, cpu="2")


@dsl.pipeline
def any_artifact(thing: Input[Artifact]) -> Artifact:
    use_data(data=thing)
    made = make_data()
    return made.outputs["data"]


@pipeline
def subtypes_through_pipelines() -> Artifact:
    first = any_artifact(thing=make_data().outputs["data"])
    return any_artifact(thing=first.output).output


@dsl.pipeline
def returns_inputs_of_tasks() -> NamedTuple("Out", [("n", int), ("words", List[str]), ("numbers", list)]):
    made = several()
    return NamedTuple("Out", [("n", int), ("words", List[str]), ("numbers", list)])(
        made.outputs["n"], made.outputs["words"], made.outputs["numbers"]
    )


@pipeline
def loops_over_outputs_of_pipelines():
    made = returns_inputs_of_tasks()
    with dsl.ParallelFor(made.outputs["words"]) as word:
        say(text=word)
        echo(x=made.outputs["n"])
    with dsl.ParallelFor(made.outputs["numbers"]) as number:
        echo(x=number)


@pipeline
def texts_from_outputs_of_pipelines():
    made = returns_inputs_of_tasks()
    say(text=f"{made.outputs['n']} {made.outputs['numbers']}")
    say(text=f"<{no_inputs().output}>")


@pipeline
def conditions_on_outputs_of_pipelines():
    made = returns_inputs_of_tasks()
    with dsl.If(made.outputs["n"] == 1):
        nothing()
    with dsl.If(no_inputs().output == "heads"):
        nothing()
    with dsl.If(dice().output > made.outputs["n"]):
        nothing()
