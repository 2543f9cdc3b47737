"""Combinations: groups in groups in pipelines in groups."""

from typing import Dict, List

from corpus.entries import pipeline
from corpus.shared import (
    add,
    choose,
    clean_up,
    coin,
    dice,
    echo,
    fit,
    join,
    make_data,
    merge,
    nothing,
    numbers,
    report,
    say,
    several,
    total,
    use_data,
    use_model,
    words,
)
from kfp import dsl
from kfp.dsl import Dataset, Input, Model


@dsl.pipeline
def loop_in_condition(x: int, texts: List[str] = ["a"]) -> int:
    checked = echo(x=x)
    with dsl.If(checked.output == 1):
        with dsl.ParallelFor(texts) as text:
            said = say(text=text)
            with dsl.If(said.output == "a"):
                nothing()
        a = echo(x=checked.output)
    with dsl.Else():
        b = echo(x=0)
    return dsl.OneOf(a.output, b.output)


@dsl.pipeline
def two_levels(x: int) -> int:
    with dsl.ParallelFor([1, 2]) as n:
        inner = loop_in_condition(x=n)
        add(a=inner.output, b=x)
    return total(values=dsl.Collected(inner.output)).output


@pipeline
def loop_in_condition_in_pipeline_in_loop(ns: List[int]):
    with dsl.ParallelFor(ns, parallelism=2) as n:
        made = loop_in_condition(x=n)
        with dsl.If(made.output == 1):
            loop_in_condition(x=made.output, texts=["x", "y"])
    total(values=dsl.Collected(made.output))


@pipeline
def loops_two_pipelines_down():
    made = two_levels(x=1)
    say(text=f"{made.output}")


@pipeline
def exit_handler_around_everything(texts: List[str], x: int = 1):
    with dsl.ExitHandler(report(note="over"), name="guard"):
        flip = coin()
        with dsl.ParallelFor(texts) as text:
            with dsl.If(flip.output == "heads"):
                a = say(text=text)
            with dsl.Elif(text == "x"):
                b = say(text=flip.output)
            with dsl.Else():
                c = say(text="c")
            either = say(text=dsl.OneOf(a.output, b.output, c.output))
        joined = join(texts=dsl.Collected(either.output))
        with dsl.If(joined.output == "a"):
            loop_in_condition(x=x)
        with dsl.Else():
            nothing()


@pipeline
def four_loops(a: List[int], b: List[str]):
    with dsl.ParallelFor(a) as n:
        with dsl.ParallelFor(b) as text:
            with dsl.ParallelFor([True, False]) as on:
                with dsl.ParallelFor(words().output) as word:
                    join(texts=[word], sep=text)
                    echo(x=n)
                with dsl.If(on == True):  # noqa: E712
                    echo(x=n)


@pipeline
def conditions_and_loops_alternate(x: int, ns: List[int]):
    with dsl.If(x > 0):
        with dsl.ParallelFor(ns) as n:
            with dsl.If(n > 1):
                made = echo(x=n)
                with dsl.ParallelFor(numbers().output) as m:
                    with dsl.If(m == made.output):
                        add(a=m, b=n)
                    with dsl.Elif(m > x):
                        add(a=m, b=x)
                    with dsl.Else():
                        echo(x=made.output)


@pipeline
def artifacts_through_every_group(x: int, parts: Input[List[Dataset]]):
    data = make_data()
    with dsl.ParallelFor(parts) as part:
        with dsl.If(x == 1):
            first = fit(data=part)
            with dsl.ParallelFor(["a", "b"]) as note:
                use_model(model=first.outputs["model"], note=note)
                use_data(data=data.outputs["data"])
        with dsl.Else():
            use_data(data=part)
            fit(data=data.outputs["data"])


@pipeline
def one_of_in_loops_in_branches(x: int):
    with dsl.If(x == 1):
        with dsl.ParallelFor([1, 2]) as n:
            with dsl.If(n == 1):
                a = make_data(size=n)
            with dsl.Else():
                b = make_data(size=x)
            either = fit(data=dsl.OneOf(a.outputs["data"], b.outputs["data"]))
        choose(models=dsl.Collected(either.outputs["model"]), scores=dsl.Collected(either.outputs["Output"]))
    with dsl.Else():
        nothing()


@pipeline
def one_of_over_outputs_of_deeper_groups() -> str:
    flip = coin()
    with dsl.If(flip.output == "heads"):
        with dsl.ParallelFor([1, 2]) as n:
            made = echo(x=n)
        summed = total(values=dsl.Collected(made.output))
        a = say(text=f"{summed.output}")
    with dsl.Else():
        b = say(text=flip.output)
    return dsl.OneOf(a.output, b.output)


@pipeline
def order_across_everything(texts: List[str]):
    first = nothing()
    with dsl.ExitHandler(clean_up()) as guard:
        second = nothing()
        with dsl.ParallelFor(texts) as text:
            third = say(text=text).after(second)
        nothing().after(third)
    with dsl.ParallelFor(texts) as text:
        with dsl.If(text == "a"):
            fourth = nothing().after(first, guard)
            nothing().after(fourth)
    nothing().after(guard, first)


@pipeline
def failures_in_loops(texts: List[str]):
    with dsl.ParallelFor(texts) as text:
        risky = say(text=text).set_retry(2).set_caching_options(False)
        report(note=text).after(risky).ignore_upstream_failure()
        with dsl.If(risky.output == "ok"):
            nothing()


@dsl.pipeline
def cross_validate(parts: Input[List[Dataset]], rates: List[float]) -> List[Model]:
    with dsl.ParallelFor(parts) as part:
        with dsl.ParallelFor(rates) as rate:
            trained = fit(data=part, rate=rate)
    return dsl.Collected(trained.outputs["model"])


@dsl.pipeline
def split_data(n: List[int]) -> List[Dataset]:
    with dsl.ParallelFor(n) as size:
        made = make_data(size=size)
    return dsl.Collected(made.outputs["data"])


@pipeline
def lists_of_models_from_nested_loops(sizes: List[int] = [1, 2], rates: List[float] = [0.1, 0.2]) -> Model:
    models = cross_validate(parts=split_data(n=sizes).output, rates=rates)
    return choose(models=models.output).outputs["best"]


@pipeline
def fields_through_groups(jobs: List[Dict[str, str]], on: bool = True):
    with dsl.ParallelFor(jobs) as job:
        prepared = say(text=job.command)
        with dsl.If(prepared.output == "go"):
            say(text=job.target)
            with dsl.ParallelFor([1, 2]) as n:
                echo(x=n)
                with dsl.If(on == True):  # noqa: E712
                    say(text=job.command)
        with dsl.Else():
            join(texts=["x"], sep=job.command)


@pipeline
def the_same_output_at_every_depth(ns: List[int]):
    made = several()
    with dsl.ParallelFor(ns) as a:
        echo(x=made.outputs["n"])
        with dsl.If(made.outputs["text"] == "t"):
            echo(x=made.outputs["n"])
            with dsl.ParallelFor(made.outputs["words"]) as word:
                say(text=made.outputs["text"])
                join(texts=made.outputs["words"], sep=word)
                with dsl.If(made.outputs["n"] == a):
                    echo(x=made.outputs["n"])


@pipeline
def importers_in_everything(uris: List[str]):
    with dsl.ExitHandler(clean_up()):
        with dsl.ParallelFor(uris) as uri:
            data = dsl.importer(uri, Dataset)
            with dsl.If(uri == "gs://x"):
                a = fit(data=data.output)
            with dsl.Else():
                b = fit(data=data.output, rate=0.2)
            use_model(model=dsl.OneOf(a.outputs["model"], b.outputs["model"]))
        merge(parts=dsl.Collected(data.output))


@pipeline
def wide_and_shallow():
    rolls = [dice() for _ in range(12)]
    for roll in rolls:
        with dsl.If(roll.output > 3):
            echo(x=roll.output)
    for number in range(5):
        with dsl.ParallelFor([number, number + 1]) as n:
            add(a=n, b=rolls[number].output)


@pipeline
def narrow_and_deep():
    def deeper(level: int, carried):
        made = echo(x=carried)
        if level == 0:
            return
        if level % 2:
            with dsl.If(made.output > level):
                deeper(level - 1, made.output)
        else:
            with dsl.ParallelFor([level, level + 1]) as n:
                add(a=n, b=made.output)
                deeper(level - 1, made.output)

    deeper(8, 1)


@pipeline
def a_chain():
    last = dice()
    for _ in range(20):
        last = echo(x=last.output)
