"""Collected: what loops made, as lists of parameters and of artifacts."""

from typing import List, NamedTuple

from corpus.entries import pipeline, quirk
from corpus.shared import (
    add,
    choose,
    coin,
    dice,
    echo,
    fit,
    join,
    make_data,
    make_several,
    merge,
    nothing,
    numbers,
    say,
    several,
    show,
    total,
    use_data,
    words,
)
from kfp import dsl
from kfp.dsl import Artifact, Dataset, Input, Model


@pipeline
def collected_parameters():
    with dsl.ParallelFor([1, 2, 3]) as n:
        made = echo(x=n)
    total(values=dsl.Collected(made.output))


@pipeline
def collected_artifacts():
    with dsl.ParallelFor([1, 2, 3]) as n:
        made = make_data(size=n)
    merge(parts=dsl.Collected(made.outputs["data"]))


@pipeline
def collected_returned() -> List[int]:
    with dsl.ParallelFor([1, 2, 3]) as n:
        made = echo(x=n)
    return dsl.Collected(made.output)


@pipeline
def collected_artifacts_returned() -> List[Dataset]:
    with dsl.ParallelFor([1, 2, 3]) as n:
        made = make_data(size=n)
    return dsl.Collected(made.outputs["data"])


@pipeline
def collected_artifacts_returned_as_any() -> List[Artifact]:
    with dsl.ParallelFor([1, 2, 3]) as n:
        made = make_data(size=n)
    return dsl.Collected(made.outputs["data"])


@pipeline
def collected_in_a_tuple() -> NamedTuple("Out", [("ns", List[int]), ("data", List[Dataset]), ("n", int)]):
    with dsl.ParallelFor([1, 2, 3]) as n:
        a = echo(x=n)
        b = make_data(size=n)
    c = dice()
    return NamedTuple("Out", [("ns", List[int]), ("data", List[Dataset]), ("n", int)])(
        dsl.Collected(a.output), dsl.Collected(b.outputs["data"]), c.output
    )


@pipeline
def collected_of_a_named_output():
    with dsl.ParallelFor([1, 2]) as n:
        made = several(x=n)
    join(texts=dsl.Collected(made.outputs["text"]))
    total(values=dsl.Collected(made.outputs["n"]))
    show(items=dsl.Collected(made.outputs["words"]))


@pipeline
def collected_passed_and_returned() -> List[int]:
    with dsl.ParallelFor([1, 2]) as n:
        made = echo(x=n)
    total(values=dsl.Collected(made.output))
    total(values=dsl.Collected(made.output))
    return dsl.Collected(made.output)


@pipeline
def collected_over_a_parameter(ns: List[int]):
    with dsl.ParallelFor(ns, parallelism=2) as n:
        made = echo(x=n)
    total(values=dsl.Collected(made.output))


@pipeline
def collected_over_an_output() -> int:
    with dsl.ParallelFor(numbers().output) as n:
        made = echo(x=n)
    return total(values=dsl.Collected(made.output)).output


@pipeline
def collected_over_artifacts(many: Input[List[Dataset]]) -> List[Model]:
    with dsl.ParallelFor(many) as data:
        made = fit(data=data)
    choose(models=dsl.Collected(made.outputs["model"]), scores=dsl.Collected(made.outputs["Output"]))
    return dsl.Collected(made.outputs["model"])


@pipeline
def collected_from_nested_loops():
    with dsl.ParallelFor([1, 2]) as a:
        with dsl.ParallelFor([3, 4]) as b:
            made = add(a=a, b=b)
    total(values=dsl.Collected(made.output))


@pipeline
def collected_artifacts_from_nested_loops() -> List[Dataset]:
    with dsl.ParallelFor([1, 2]) as a:
        with dsl.ParallelFor([3, 4]) as b:
            made = make_data(size=b)
            echo(x=a)
    merge(parts=dsl.Collected(made.outputs["data"]))
    return dsl.Collected(made.outputs["data"])


@pipeline
def collected_from_three_loops(texts: List[str]) -> List[str]:
    with dsl.ParallelFor([1, 2]):
        with dsl.ParallelFor(texts) as text:
            with dsl.ParallelFor(["x"]) as letter:
                made = join(texts=[text, letter])
    return dsl.Collected(made.output)


@pipeline
def collected_of_the_inner_loop():
    with dsl.ParallelFor([1, 2]) as a:
        with dsl.ParallelFor([3, 4]) as b:
            made = add(a=a, b=b)
        inner = total(values=dsl.Collected(made.output))
        echo(x=inner.output)


@pipeline
def collected_twice():
    with dsl.ParallelFor([1, 2]) as a:
        with dsl.ParallelFor([3, 4]) as b:
            made = add(a=a, b=b)
        inner = total(values=dsl.Collected(made.output))
    total(values=dsl.Collected(inner.output))


@pipeline
def collected_of_the_inner_and_of_both_loops():
    with dsl.ParallelFor([1, 2]) as a:
        with dsl.ParallelFor([3, 4]) as b:
            made = add(a=a, b=b)
            other = echo(x=b)
        total(values=dsl.Collected(made.output))
    total(values=dsl.Collected(other.output))


@pipeline
def collected_consumed_in_a_later_loop():
    with dsl.ParallelFor([1, 2]) as n:
        made = echo(x=n)
    with dsl.ParallelFor([3, 4]) as m:
        add(a=m, b=total(values=dsl.Collected(made.output)).output)


@pipeline
def collected_consumed_in_a_condition():
    with dsl.ParallelFor([1, 2]) as n:
        made = echo(x=n)
    with dsl.If(coin().output == "heads"):
        total(values=dsl.Collected(made.output))
    with dsl.Else():
        nothing()


@pipeline
def collected_within_a_condition(x: int):
    with dsl.If(x == 1):
        with dsl.ParallelFor([1, 2]) as n:
            made = echo(x=n)
        total(values=dsl.Collected(made.output))


@pipeline
def collected_through_a_condition():
    with dsl.ParallelFor([1, 2]) as n:
        with dsl.If(n == 1):
            made = echo(x=n)
    total(values=dsl.Collected(made.output))


@pipeline
def collected_through_a_condition_returned() -> List[int]:
    with dsl.ParallelFor([1, 2]) as n:
        with dsl.If(n == 1):
            made = echo(x=n)
    return dsl.Collected(made.output)


@pipeline
def collected_within_an_exit_handler():
    with dsl.ExitHandler(nothing()):
        with dsl.ParallelFor([1, 2]) as n:
            made = make_data(size=n)
        merge(parts=dsl.Collected(made.outputs["data"]))


@pipeline
def collected_of_a_one_of_by_way_of_a_task():
    with dsl.ParallelFor([1, 2]) as n:
        with dsl.If(n == 1):
            a = echo(x=n)
        with dsl.Else():
            b = echo(x=0)
        either = echo(x=dsl.OneOf(a.output, b.output))
    total(values=dsl.Collected(either.output))


@dsl.pipeline
def square_all(ns: List[int]) -> List[int]:
    with dsl.ParallelFor(ns) as n:
        made = echo(x=n)
    return dsl.Collected(made.output)


@dsl.pipeline
def make_all(sizes: List[int]) -> List[Dataset]:
    with dsl.ParallelFor(sizes) as size:
        made = make_data(size=size)
    return dsl.Collected(made.outputs["data"])


@dsl.pipeline
def one_of_them(size: int) -> Dataset:
    return make_data(size=size).outputs["data"]


@pipeline
def collected_in_a_nested_pipeline(ns: List[int]) -> List[Dataset]:
    squared = square_all(ns=ns)
    total(values=squared.output)
    made = make_all(sizes=squared.output)
    merge(parts=made.output)
    return made.output


@pipeline
def collected_of_nested_pipelines() -> List[Dataset]:
    with dsl.ParallelFor([1, 2]) as n:
        made = one_of_them(size=n)
    merge(parts=dsl.Collected(made.output))
    return dsl.Collected(made.output)


@pipeline
def collected_passed_to_a_nested_pipeline():
    with dsl.ParallelFor([1, 2]) as n:
        made = echo(x=n)
    square_all(ns=dsl.Collected(made.output))


@pipeline
def collected_of_collected():
    with dsl.ParallelFor([1, 2]) as n:
        made = square_all(ns=[1, 2])
        echo(x=n)
    show(items=dsl.Collected(made.output))


@pipeline
def collected_of_importers():
    with dsl.ParallelFor(["gs://a", "gs://b"]) as uri:
        data = dsl.importer(artifact_uri=uri, artifact_class=Dataset)
    merge(parts=dsl.Collected(data.output))


@pipeline
def collected_with_other_arguments(sep: str):
    first = words()
    with dsl.ParallelFor(first.output) as text:
        made = say(text=text)
        kept = make_several()
    join(texts=dsl.Collected(made.output), sep=sep).after(first)
    join(texts=dsl.Collected(kept.outputs["log"]), sep="-")
    merge(parts=dsl.Collected(kept.outputs["data"]))


@pipeline
def items_of_a_collected_list():
    with dsl.ParallelFor([1, 2]) as n:
        made = echo(x=n)
    doubled = square_all(ns=dsl.Collected(made.output))
    with dsl.ParallelFor(doubled.output) as item:
        say(text=f"{item}")
        use_data(data=make_data(size=item).outputs["data"])


@pipeline
def a_loop_in_a_condition_is_returned(text: str) -> List[int]:
    with dsl.If(text == "a"), dsl.ParallelFor([1, 2]) as n:
        made = echo(x=n)
    return dsl.Collected(made.output)


@pipeline
def a_task_in_a_condition_is_returned(text: str) -> NamedTuple("Outputs", data=List[Dataset], ns=List[int]):
    with dsl.If(text == "a"):
        made = echo(x=1)
        data = make_data(size=1)
    Outputs = NamedTuple("Outputs", data=List[Dataset], ns=List[int])
    return Outputs(dsl.Collected(data.outputs["data"]), dsl.Collected(made.output))


@quirk
def a_loop_in_an_exit_handler_is_returned() -> List[int]:
    """The SDK does not declare the output of the group."""
    with dsl.ExitHandler(nothing()), dsl.ParallelFor([1, 2]) as n:
        made = echo(x=n)
    return dsl.Collected(made.output)
