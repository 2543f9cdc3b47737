"""OneOf: of parameters and of artifacts, passed to tasks and returned."""

from typing import List, NamedTuple

from corpus.entries import pipeline, quirk
from corpus.shared import (
    coin,
    dice,
    echo,
    fit,
    join,
    look_up,
    make_data,
    make_several,
    merge,
    negate,
    nothing,
    ready,
    say,
    scale,
    score,
    several,
    show,
    table,
    use_any,
    use_data,
    words,
)
from kfp import dsl
from kfp.dsl import Artifact, Dataset, Input, Model


@pipeline
def one_of_passed_on():
    flip = coin()
    with dsl.If(flip.output == "heads"):
        heads = say(text="heads")
    with dsl.Else():
        tails = say(text="tails")
    say(text=dsl.OneOf(heads.output, tails.output))


@pipeline
def one_of_returned() -> str:
    flip = coin()
    with dsl.If(flip.output == "heads"):
        heads = say(text="heads")
    with dsl.Else():
        tails = say(text="tails")
    return dsl.OneOf(heads.output, tails.output)


@pipeline
def one_of_passed_on_and_returned() -> str:
    flip = coin()
    with dsl.If(flip.output == "heads"):
        heads = say(text="heads")
    with dsl.Else():
        tails = say(text="tails")
    either = dsl.OneOf(heads.output, tails.output)
    say(text=either)
    say(text=either)
    return either


@pipeline
def one_of_in_the_other_order() -> str:
    flip = coin()
    with dsl.If(flip.output == "heads"):
        heads = say(text="heads")
    with dsl.Else():
        tails = say(text="tails")
    return dsl.OneOf(tails.output, heads.output)


@pipeline
def one_of_many_branches() -> int:
    roll = dice()
    with dsl.If(roll.output == 1):
        a = echo(x=1)
    with dsl.Elif(roll.output == 2):
        b = echo(x=roll.output)
    with dsl.Elif(roll.output == 3):
        c = echo(x=3)
    with dsl.Else():
        d = echo(x=4)
    return dsl.OneOf(a.output, b.output, c.output, d.output)


@pipeline
def one_of_some_branches() -> int:
    roll = dice()
    with dsl.If(roll.output == 1):
        a = echo(x=1)
    with dsl.Elif(roll.output == 2):
        nothing()
    with dsl.Else():
        d = echo(x=4)
    return dsl.OneOf(a.output, d.output)


@pipeline
def several_one_ofs_of_the_same_branches() -> NamedTuple("Out", [("text", str), ("n", int)]):
    flip = coin()
    with dsl.If(flip.output == "heads"):
        a = several(x=1)
        b = echo(x=1)
    with dsl.Else():
        c = several(x=2)
        d = echo(x=2)
    text = dsl.OneOf(a.outputs["text"], c.outputs["text"])
    join(texts=dsl.OneOf(a.outputs["words"], c.outputs["words"]))
    n = dsl.OneOf(b.output, d.output)
    return NamedTuple("Out", [("text", str), ("n", int)])(text, n)


@pipeline
def one_of_the_same_channels_twice():
    flip = coin()
    with dsl.If(flip.output == "heads"):
        heads = say(text="heads")
    with dsl.Else():
        tails = say(text="tails")
    say(text=dsl.OneOf(heads.output, tails.output))
    say(text=dsl.OneOf(heads.output, tails.output))


@pipeline
def one_of_outputs_by_different_names() -> str:
    flip = coin()
    with dsl.If(flip.output == "heads"):
        heads = several()
    with dsl.Else():
        tails = say(text="tails")
    return dsl.OneOf(heads.outputs["text"], tails.output)


@pipeline
def one_of_every_parameter_type(x: float):
    flip = coin()
    with dsl.If(flip.output == "heads"):
        a1, b1, c1, d1, e1 = scale(x=x), ready(), words(), table(), several()
    with dsl.Else():
        a2, b2, c2, d2, e2 = score(), ready(), words(), table(), several()
    scale(x=dsl.OneOf(a1.output, a2.output))
    negate(on=dsl.OneOf(b1.output, b2.output))
    join(texts=dsl.OneOf(c1.output, c2.output))
    look_up(table=dsl.OneOf(d1.output, d2.output))
    show(items=dsl.OneOf(e1.outputs["numbers"], e2.outputs["numbers"]))


@pipeline
def one_of_artifacts_passed_on():
    flip = coin()
    with dsl.If(flip.output == "heads"):
        heads = make_data()
    with dsl.Else():
        tails = make_data(size=2)
    use_data(data=dsl.OneOf(heads.outputs["data"], tails.outputs["data"]))


@pipeline
def one_of_artifacts_returned() -> Dataset:
    flip = coin()
    with dsl.If(flip.output == "heads"):
        heads = make_data()
    with dsl.Elif(flip.output == "edge"):
        edge = make_several()
    with dsl.Else():
        tails = make_data(size=2)
    return dsl.OneOf(heads.outputs["data"], edge.outputs["data"], tails.outputs["data"])


@pipeline
def one_of_artifacts_returned_as_any() -> Artifact:
    flip = coin()
    with dsl.If(flip.output == "heads"):
        heads = make_data()
    with dsl.Else():
        tails = make_data()
    either = dsl.OneOf(heads.outputs["data"], tails.outputs["data"])
    use_any(artifact=either)
    return either


@pipeline
def one_of_models(data: Input[Dataset]) -> Model:
    flip = coin()
    with dsl.If(flip.output == "heads"):
        heads = fit(data=data)
    with dsl.Else():
        tails = fit(data=data, rate=0.5)
    scale(x=dsl.OneOf(heads.outputs["Output"], tails.outputs["Output"]))
    return dsl.OneOf(heads.outputs["model"], tails.outputs["model"])


@pipeline
def one_of_nested_branches() -> str:
    flip = coin()
    with dsl.If(flip.output == "heads"):
        with dsl.If(dice().output == 6):
            a = say(text="six")
        with dsl.Else():
            b = say(text="less")
        inner = say(text=dsl.OneOf(a.output, b.output))
    with dsl.Else():
        tails = say(text="tails")
    return dsl.OneOf(inner.output, tails.output)


@pipeline
def one_of_nested_in_both_branches() -> str:
    flip = coin()
    roll = dice()
    with dsl.If(flip.output == "heads"):
        with dsl.If(roll.output == 6):
            a = say(text="six")
        with dsl.Else():
            b = say(text="less")
        first = say(text=dsl.OneOf(a.output, b.output))
    with dsl.Else():
        with dsl.If(roll.output == 1):
            c = say(text="one")
        with dsl.Elif(roll.output == 2):
            d = say(text="two")
        with dsl.Else():
            e = say(text="more")
        second = say(text=dsl.OneOf(c.output, d.output, e.output))
    return dsl.OneOf(first.output, second.output)


@pipeline
def one_of_in_a_loop():
    with dsl.ParallelFor([1, 2, 3]) as item:
        with dsl.If(item == 1):
            a = echo(x=item)
        with dsl.Else():
            b = echo(x=0)
        echo(x=dsl.OneOf(a.output, b.output))


@pipeline
def one_of_artifacts_in_a_loop():
    with dsl.ParallelFor([1, 2, 3]) as item:
        with dsl.If(item == 1):
            a = make_data(size=item)
        with dsl.Else():
            b = make_data()
        use_data(data=dsl.OneOf(a.outputs["data"], b.outputs["data"]))


@pipeline
def one_of_in_a_condition(x: int):
    with dsl.If(x == 1):
        with dsl.If(coin().output == "heads"):
            a = say(text="a")
        with dsl.Else():
            b = say(text="b")
        say(text=dsl.OneOf(a.output, b.output))


@pipeline
def one_of_in_an_exit_handler():
    with dsl.ExitHandler(nothing()):
        flip = coin()
        with dsl.If(flip.output == "heads"):
            a = say(text="a")
        with dsl.Else():
            b = say(text="b")
        say(text=dsl.OneOf(a.output, b.output))


@quirk
def one_of_as_items():
    flip = coin()
    with dsl.If(flip.output == "heads"):
        a = words()
    with dsl.Else():
        b = words()
    with dsl.ParallelFor(dsl.OneOf(a.output, b.output)) as item:
        say(text=item)


@pipeline
def one_of_in_a_later_condition():
    flip = coin()
    with dsl.If(flip.output == "heads"):
        a = dice()
    with dsl.Else():
        b = dice()
    either = dsl.OneOf(a.output, b.output)
    with dsl.If(either == 6):
        echo(x=either)
    with dsl.Else():
        nothing()


@pipeline
def one_of_used_in_a_later_loop():
    flip = coin()
    with dsl.If(flip.output == "heads"):
        a = dice()
    with dsl.Else():
        b = dice()
    either = dsl.OneOf(a.output, b.output)
    with dsl.ParallelFor([1, 2]):
        echo(x=either)


@quirk
def one_of_in_nothing_but_a_condition():
    with dsl.If(coin().output == "heads"):
        a = dice()
    with dsl.Else():
        b = dice()
    with dsl.If(dsl.OneOf(a.output, b.output) == 6):
        nothing()


@dsl.pipeline
def flip_a_coin(text: str) -> str:
    with dsl.If(coin().output == "heads"):
        a = say(text=text)
    with dsl.Else():
        b = say(text="tails")
    return dsl.OneOf(a.output, b.output)


@pipeline
def one_of_of_pipelines() -> str:
    roll = dice()
    with dsl.If(roll.output == 1):
        a = flip_a_coin(text="one")
    with dsl.Else():
        b = flip_a_coin(text="more")
    return dsl.OneOf(a.output, b.output)


@pipeline
def one_of_lists_of_artifacts(many: Input[List[Dataset]]) -> int:
    with dsl.If(coin().output == "heads"):
        a = merge(parts=many)
    with dsl.Else():
        b = merge(parts=many)
    use_data(data=dsl.OneOf(a.outputs["merged"], b.outputs["merged"]))
    return dsl.OneOf(a.outputs["Output"], b.outputs["Output"])
