"""Container components and every placeholder that they may hold; texts with channels in them."""

from typing import Dict, List, Optional

from corpus.entries import components, entry, garbled, pipeline, quirk
from corpus.shared import coin, dice, echo, join, look_up, make_data, make_several, nothing, say, score, several, show
from kfp import dsl
from kfp.dsl import Artifact, Dataset, Input, Metrics, Model, Output, OutputPath


@dsl.container_component
def image_only():
    return dsl.ContainerSpec(image="alpine:3.20")


@dsl.container_component
def empty_command():
    """Command and arguments are empty lists."""
    return dsl.ContainerSpec(image="alpine", command=[], args=[])


@dsl.container_component
def args_only(text: str, n: int = 1):
    return dsl.ContainerSpec(image="alpine", args=["--text", text, "-n", n])


@dsl.container_component
def every_type_of_input(a: int, b: float, c: str, d: bool, e: list, f: dict, g: List[str], h: Dict[str, int]):
    return dsl.ContainerSpec(image="alpine", command=["echo"], args=[a, b, c, d, e, f, g, h])


@dsl.container_component
def every_type_of_output(
    a: OutputPath(int),
    b: OutputPath(float),
    c: OutputPath(str),
    d: OutputPath(bool),
    e: OutputPath(list),
    f: OutputPath(dict),
    g: Output[Dataset],
    h: Output[Metrics],
):
    """Writes one of each.

    Args:
        a: An integer.
        g: A dataset.
    """
    return dsl.ContainerSpec(image="alpine", command=["write", a, b, c, d, e, f, g.path, h.uri])


@dsl.container_component
def every_artifact_placeholder(data: Input[Dataset], parts: Input[List[Artifact]], model: Output[Model]):
    return dsl.ContainerSpec(
        image="alpine",
        command=["tool", data.uri, data.path, data.metadata, data.metadata["rows"], parts],
        args=[model.uri, model.path, model.metadata, model.metadata["rate"]],
    )


@dsl.container_component
def placeholders_in_texts(text: str, n: int, data: Input[Dataset], model: Output[Model], log: OutputPath(str)):
    return dsl.ContainerSpec(
        image="alpine",
        command=["sh", "-c", f"run --text={text} -n{n} {data.path}/part {data.metadata['k']} > {log}"],
        args=[f"{model.uri}/x", "{}:{}".format(model.path, data.uri), "--all=%s" % text],
    )


@dsl.container_component
def concatenations(a: str, b: int, data: Input[Dataset], model: Output[Model]):
    return dsl.ContainerSpec(
        image="alpine",
        command=[dsl.ConcatPlaceholder(["--a=", a])],
        args=[
            dsl.ConcatPlaceholder([a, b]),
            dsl.ConcatPlaceholder([a, "-", dsl.ConcatPlaceholder([b, dsl.ConcatPlaceholder(["é", data.uri])])]),
            dsl.ConcatPlaceholder(['"quoted"', "\n", model.path, "'"]),
            dsl.ConcatPlaceholder(["alone"]),
        ],
    )


@dsl.container_component
def conditions_on_inputs(
    must: str,
    text: Optional[str] = None,
    n: int = 3,
    data: Optional[Input[Dataset]] = None,
):
    return dsl.ContainerSpec(
        image="alpine",
        command=["tool"],
        args=[
            dsl.IfPresentPlaceholder(input_name="text", then=["--text", text], else_=["--none", must]),
            dsl.IfPresentPlaceholder(input_name="text", then="--flag"),
            dsl.IfPresentPlaceholder(input_name="text", then=text, else_="b"),
            dsl.IfPresentPlaceholder(input_name="n", then=["-n", n]),
            dsl.IfPresentPlaceholder(input_name="data", then=["--data", data.path], else_=[]),
            dsl.IfPresentPlaceholder(
                input_name="text", then=[dsl.ConcatPlaceholder(["--text=", text])], else_=[dsl.ConcatPlaceholder([n])]
            ),
        ],
    )


@dsl.container_component
def concatenated_conditions(a: Optional[str] = None, b: str = "b"):
    return dsl.ContainerSpec(
        image="alpine",
        command=[
            "tool",
            dsl.ConcatPlaceholder(
                [
                    "--",
                    dsl.IfPresentPlaceholder(input_name="a", then=dsl.ConcatPlaceholder(["a=", a]), else_="none"),
                    dsl.IfPresentPlaceholder(input_name="b", then=b),
                ]
            ),
            dsl.IfPresentPlaceholder(
                input_name="a",
                then=[dsl.IfPresentPlaceholder(input_name="b", then=["--both", a, b], else_=["--a", a])],
            ),
        ],
    )


@dsl.container_component
def image_from_an_input(image: str = "alpine", tag: str = "3"):
    return dsl.ContainerSpec(image=f"registry.example/{image}:{tag}", command=["true"])


@dsl.container_component
def pipeline_placeholders_inside():
    return dsl.ContainerSpec(
        image="alpine",
        command=["echo", dsl.PIPELINE_JOB_NAME_PLACEHOLDER, f"{dsl.PIPELINE_ROOT_PLACEHOLDER}/x"],
        args=[dsl.PIPELINE_TASK_EXECUTOR_INPUT_PLACEHOLDER, dsl.PIPELINE_TASK_EXECUTOR_OUTPUT_PATH_PLACEHOLDER],
    )


@dsl.container_component
def awkward_texts():
    return dsl.ContainerSpec(
        image="alpine",
        command=["sh", "-c", "echo '{{$.not.ours}}' \"$HOME\" {{}} {{{{ }} é\n\t\\ && exit"],
        args=["", " ", "{{", "}}", '{"IfPresent": 1}', '{"Concat": ["a"]}'],
    )


@dsl.container_component
def configured_container(config: dsl.TaskConfig, status: dsl.PipelineTaskFinalStatus, x: int = 1):
    return dsl.ContainerSpec(image="alpine", command=["echo", config, x], args=[status])


@dsl.container_component
def annotated_return(text: str) -> dsl.ContainerSpec:
    return dsl.ContainerSpec("alpine", ["echo"], [text])


components(
    image_only, empty_command, args_only, every_type_of_input, every_type_of_output, every_artifact_placeholder,
    placeholders_in_texts, concatenations, conditions_on_inputs, concatenated_conditions, image_from_an_input,
    pipeline_placeholders_inside, awkward_texts, configured_container, annotated_return,
)  # fmt: skip


@pipeline
def containers_in_a_pipeline(text: str, data: Input[Dataset], parts: Input[List[Artifact]]) -> str:
    image_only()
    every_type_of_input(a=1, b=2.0, c=text, d=True, e=[1], f={"k": text}, g=["a"], h={"n": 1})
    made = every_type_of_output()
    every_type_of_input(
        a=made.outputs["a"], b=made.outputs["b"], c=made.outputs["c"], d=made.outputs["d"], e=made.outputs["e"],
        f=made.outputs["f"], g=made.outputs["e"], h=made.outputs["f"],
    )  # fmt: skip
    every_artifact_placeholder(data=made.outputs["g"], parts=parts)
    concatenations(a=text, b=made.outputs["a"], data=data)
    return made.outputs["c"]


@pipeline
def optional_inputs_of_containers(text: Optional[str] = None, data: Optional[Input[Dataset]] = None):
    conditions_on_inputs(must="m")
    conditions_on_inputs(must="m", text="t", n=4)
    conditions_on_inputs(must="m", text=text, data=data)
    conditions_on_inputs(must="m", data=make_data().outputs["data"])
    concatenated_conditions(a=text)


@pipeline
def containers_in_groups(texts: List[str]):
    with dsl.ParallelFor(texts) as text:
        made = args_only(text=text)
        with dsl.If(text == "a"):
            args_only(text=f"<{text}>", n=2).after(made)
    with dsl.ExitHandler(args_only(text="over")):
        concatenated_conditions(a="a")


@pipeline
def settings_of_containers(image: str):
    image_only().set_container_image(image).set_env_variable("A", "b").set_cpu_limit("1").set_retry(1)
    awkward_texts().set_env_variable("T", "{{$.x}} $HOME 'é'").set_display_name("é: 'd'")
    args_only(text="t").set_accelerator_type("nvidia.com/gpu").set_accelerator_limit(1)


@pipeline
def texts_with_a_parameter(name: str, n: int, x: float, on: bool, items: list, table: dict):
    say(text=f"{name}")
    say(text=f"{n} {x} {on} {items} {table}")
    say(text=f"{name} and {name}")
    say(text="{} %".format(name))
    say(text="%s|%s" % (name, n))
    say(text="a" + str(name) + "b")


@pipeline
def texts_with_outputs():
    first = several()
    say(text=f"{first.outputs['text']}: {first.outputs['n']} {first.outputs['numbers']}")
    say(text=f"{dice().output}/{dice().output}/{score().output}")
    made = make_several()
    say(text=f"{made.outputs['log']} {made.outputs['Output']}")


@pipeline
def texts_in_lists_and_dicts(name: str):
    first = coin()
    show(items=[first.output, f"{first.output}/{name}", [f"{name}"], {"k": first.output}])
    look_up(table={"a": f"{first.output}", "b": [first.output, name], "c": {"d": f"x{name}"}}, key=f"{name}!")
    join(texts=[first.output, name, "constant"], sep=name)


@quirk
def texts_in_groups(name: str, ns: List[int], dicts: List[Dict[str, str]]):
    first = coin()
    with dsl.If(first.output == "heads"):
        say(text=f"{first.output} of {name}")
        second = dice()
        with dsl.ParallelFor(ns) as n:
            say(text=f"{first.output} {name} {n} {second.output}")
            show(items=[n, f"{n}", first.output, second.output])
            look_up(table={"n": n, "t": f"{name}{n}"})
    with dsl.ParallelFor(dicts) as row:
        say(text=f"{row.key}={row.val} {name} {first.output}")
        show(items=[row.key, f"{row.val}", {"row": row.key}])
        with dsl.If(first.output == "tails"):
            say(text=f"{first.output} {name}")


@pipeline
def texts_of_items(name: str, ns: List[int], words: List[str]):
    first = coin()
    with dsl.If(first.output == "heads"):
        say(text=f"{first.output} of {name}")
        second = dice()
        say(text=f"{first.output} {name} {second.output}")
    with dsl.ParallelFor(ns) as n:
        say(text=f"{n} {name} {first.output}")
        show(items=[n, f"{n}", first.output, {"n": n}])
    with dsl.ParallelFor(words) as word:
        look_up(table={"w": word, "t": f"{name}{word}"})
    with dsl.ParallelFor(["a"]) as letter:
        say(text=f"{letter}{name}")


@quirk
def texts_in_nested_loops(a: List[str], b: List[str]):
    with dsl.ParallelFor(a) as x:
        with dsl.ParallelFor(b) as y:
            made = say(text=f"{x}/{y}")
            with dsl.ParallelFor([1, 2]) as z:
                say(text=f"{x}{y}{z}{made.output}")


@pipeline
def numbers_from_outputs():
    first = several()
    echo(x=first.outputs["n"])
    show(items=[first.outputs["n"], first.outputs["words"], {"numbers": first.outputs["numbers"]}])
    nothing().after(first)


@garbled
def typed_lists_in_texts(words: List[str], table: Dict[str, int]):
    """The SDK does not find its own mark for such a channel again, and leaves it in the text."""
    say(text=f"{words} {table} {several().outputs['words']}")


@pipeline
def texts_that_look_like_placeholders(name: str):
    say(text="{{channel:task=;name=name;}}")
    say(text="{{$.inputs.parameters['name']}}")
    say(text=f"{name} {{{{$.inputs.parameters['other']}}}}")


@entry
def text_with_a_channel_of_a_pipeline_twice():
    def twice(name: str) -> str:
        first = say(text=f"1 {name}")
        return say(text=f"2 {first.output} {name} {first.output}").output

    return dsl.pipeline(twice)
