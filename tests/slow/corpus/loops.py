"""ParallelFor: over everything that there is to iterate over, nested, with limits and names."""

from typing import Any, Dict, List, Optional

from corpus.entries import pipeline, quirk
from corpus.shared import (
    add,
    dice,
    echo,
    fit,
    join,
    look_up,
    make_data,
    negate,
    nothing,
    numbers,
    rows,
    say,
    scale,
    several,
    show,
    table,
    total,
    untyped,
    use_any,
    use_data,
    use_model,
    words,
)
from kfp import dsl
from kfp.dsl import Artifact, Dataset, Input, Model


@pipeline
def loop():
    with dsl.ParallelFor([1, 2]) as item:
        add(a=item, b=2)


@pipeline
def loop_over_strings():
    with dsl.ParallelFor(["a", "it's", 'q"q', "é", ""]) as item:
        say(text=item)


@pipeline
def loop_over_floats():
    with dsl.ParallelFor([0.5, 1.0, -2e10]) as item:
        scale(x=item)


@pipeline
def loop_over_booleans():
    with dsl.ParallelFor([True, False]) as item:
        negate(on=item)


@pipeline
def loop_over_mixed_numbers():
    with dsl.ParallelFor([1, 2.5]) as item:
        echo(x=item)


@pipeline
def loop_over_lists():
    with dsl.ParallelFor([[1, 2], [3]]) as item:
        show(items=item)


@pipeline
def loop_over_a_tuple():
    with dsl.ParallelFor((1, 2, 3)) as item:
        echo(x=item)


@pipeline
def loop_over_a_range():
    with dsl.ParallelFor(list(range(5))) as item:
        echo(x=item)


@pipeline
def loop_that_uses_no_item(x: int):
    with dsl.ParallelFor([1, 2, 3]):
        nothing()
    with dsl.ParallelFor(["a"]):
        echo(x=x)


@pipeline
def loop_over_dicts():
    with dsl.ParallelFor([{"a": 1, "b": 10}, {"a": 2, "b": 20}]) as item:
        add(a=item.a, b=item.b)


@pipeline
def loop_over_dicts_as_a_whole():
    with dsl.ParallelFor([{"k": "v"}, {"k": "w"}]) as item:
        look_up(table=item)
        look_up(table=item, key=item.k)


@pipeline
def loop_over_dicts_of_mixed_values():
    with dsl.ParallelFor([{"title": "x", "sizes": [1, 2], "deep": {"y": [1.5]}}]) as item:
        say(text=item.title)


@quirk
def loop_over_dicts_in_texts():
    with dsl.ParallelFor([{"a": "1", "b": "x"}]) as item:
        say(text=f"{item.a}-{item.b}")
        show(items=[item.a, {"b": f"<{item.b}>"}])


@pipeline
def loop_item_in_texts(prefix: str = "p"):
    with dsl.ParallelFor([1, 2]) as item:
        say(text=f"{prefix}/{item}")
        show(items=[item, f"{item}", {"n": item}])
        look_up(table={"n": item, "p": prefix})


@pipeline
def loop_over_a_parameter(texts: List[str], ns: List[int], xs: List[float], flags: List[bool]):
    with dsl.ParallelFor(texts) as text:
        say(text=text)
    with dsl.ParallelFor(ns) as n:
        echo(x=n)
    with dsl.ParallelFor(xs) as x:
        scale(x=x)
    with dsl.ParallelFor(flags) as flag:
        negate(on=flag)


@pipeline
def loop_over_an_untyped_parameter(items: list, more: List, others: List[Any]):
    with dsl.ParallelFor(items) as item:
        say(text=item)
        echo(x=item)
    with dsl.ParallelFor(more) as item:
        say(text=item)
    with dsl.ParallelFor(items) as again:
        scale(x=again)


@pipeline
def loop_over_parameters_with_defaults(texts: List[str] = ["a"], ns: list = [1, 2], none: Optional[List[str]] = None):
    with dsl.ParallelFor(texts) as text:
        say(text=text)
    with dsl.ParallelFor(ns) as n:
        echo(x=n)
    with dsl.ParallelFor(none) as one:
        say(text=one)


@pipeline
def loop_over_a_parameter_of_dicts(dicts: List[Dict[str, int]], texts: List[Dict[str, str]]):
    with dsl.ParallelFor(dicts) as row:
        add(a=row.a, b=row.b)
        look_up(table=row)
    with dsl.ParallelFor(texts) as row:
        say(text=row.key)
        join(texts=["x"], sep=row.val)


@pipeline
def loop_over_fields_of_an_untyped_parameter(items: list):
    with dsl.ParallelFor(items) as item:
        say(text=item.title)
        echo(x=item.size)


@pipeline
def loop_over_builtin_generics(ns: list[int], dicts: list[dict[str, int]]):
    with dsl.ParallelFor(ns) as n:
        echo(x=n)
    with dsl.ParallelFor(dicts) as row:
        echo(x=row.a)


@pipeline
def loop_over_an_output():
    with dsl.ParallelFor(numbers().output) as n:
        echo(x=n)
    with dsl.ParallelFor(words().output) as word:
        say(text=word)
    with dsl.ParallelFor(untyped().output) as thing:
        say(text=thing)


@pipeline
def loop_over_an_output_of_dicts():
    with dsl.ParallelFor(rows().output) as row:
        add(a=row.a, b=row.b)
        look_up(table=row)


@pipeline
def loop_over_a_named_output():
    made = several()
    with dsl.ParallelFor(made.outputs["words"]) as word:
        say(text=word)
        say(text=made.outputs["text"])
    with dsl.ParallelFor(made.outputs["numbers"]) as n:
        echo(x=n)
        echo(x=made.outputs["n"])


@pipeline
def loops_over_the_same_output():
    made = words()
    with dsl.ParallelFor(made.output) as word:
        say(text=word)
    with dsl.ParallelFor(made.output) as word:
        say(text=word)


@pipeline
def loop_with_the_whole_list_inside():
    made = words()
    with dsl.ParallelFor(made.output) as word:
        join(texts=made.output, sep=word)


@pipeline
def loop_with_the_whole_parameter_inside(texts: List[str]):
    with dsl.ParallelFor(texts) as text:
        join(texts=texts, sep=text)


@pipeline
def loop_over_artifacts(many: Input[List[Dataset]], models: Input[List[Model]], any_kind: Input[List[Artifact]]):
    with dsl.ParallelFor(many) as data:
        use_data(data=data)
        fit(data=data)
    with dsl.ParallelFor(models) as model:
        use_model(model=model, note="n")
    with dsl.ParallelFor(any_kind) as thing:
        use_any(artifact=thing)


@pipeline
def loop_over_collected_artifacts():
    with dsl.ParallelFor([1, 2]) as n:
        made = make_data(size=n)
    with dsl.ParallelFor(gather(parts=dsl.Collected(made.outputs["data"])).output) as name:
        say(text=name)


@dsl.pipeline
def spread() -> List[Dataset]:
    with dsl.ParallelFor([1, 2, 3]) as n:
        made = make_data(size=n)
    return dsl.Collected(made.outputs["data"])


@dsl.component(base_image="python:3.11", install_kfp_package=False)
def gather(parts: Input[List[Dataset]]) -> List[str]:
    return [part.uri for part in parts]


@pipeline
def loop_over_artifacts_of_a_pipeline():
    with dsl.ParallelFor(spread().output) as data:
        use_data(data=data)


@pipeline
def loop_over_artifacts_with_more(many: Input[List[Dataset]], rate: float, parts: List[str]):
    with dsl.ParallelFor(many, parallelism=2) as data:
        trained = fit(data=data, rate=rate)
        with dsl.ParallelFor(parts) as part:
            use_model(model=trained.outputs["model"], note=part)


@pipeline
def loop_with_a_limit(texts: List[str]):
    with dsl.ParallelFor([1, 2, 3], parallelism=2) as n:
        echo(x=n)
    with dsl.ParallelFor(texts, parallelism=1) as text:
        say(text=text)
    with dsl.ParallelFor(texts, parallelism=0) as text:
        say(text=text)
    with dsl.ParallelFor(texts, parallelism=None) as text:
        say(text=text)


@pipeline
def loop_with_a_name(texts: List[str]):
    with dsl.ParallelFor([1, 2], name="Over numbers") as n:
        echo(x=n)
    with dsl.ParallelFor(texts, "texts", 3) as text:
        say(text=text)
    with dsl.ParallelFor(items=texts, name="texts") as text:
        say(text=text)


@pipeline
def nested_static_loops():
    with dsl.ParallelFor([1, 2]) as a:
        with dsl.ParallelFor([10, 20]) as b:
            add(a=a, b=b)
            with dsl.ParallelFor(["x", "y"]) as c:
                say(text=c)
                add(a=b, b=a)


@pipeline
def nested_loops_over_parameters(ns: List[int], texts: List[str]):
    with dsl.ParallelFor(ns, parallelism=3) as n:
        with dsl.ParallelFor(texts, parallelism=2) as text:
            echo(x=n)
            say(text=text)


@pipeline
def nested_loops_over_the_same_parameter(ns: List[int]):
    with dsl.ParallelFor(ns) as a:
        echo(x=a)
        with dsl.ParallelFor(ns):
            nothing()


@pipeline
def nested_loops_over_outputs():
    with dsl.ParallelFor(numbers().output) as n:
        inner = several(x=n)
        with dsl.ParallelFor(inner.outputs["words"]) as word:
            say(text=word)
            echo(x=inner.outputs["n"])


@pipeline
def nested_loops_mixed(texts: List[str]):
    with dsl.ParallelFor([1, 2]) as n:
        with dsl.ParallelFor(texts) as text:
            with dsl.ParallelFor(words().output) as word:
                join(texts=[text, word])
                add(a=n, b=1)


@pipeline
def loop_over_a_field_of_an_item(groups: List[Dict[str, List[int]]]):
    with dsl.ParallelFor(groups) as group:
        with dsl.ParallelFor(group.members) as member:
            echo(x=member)


@pipeline
def loop_over_a_field_of_an_untyped_item(groups: list):
    with dsl.ParallelFor(groups) as group:
        with dsl.ParallelFor(group.members) as member:
            say(text=member)
            say(text=member.title)


@pipeline
def loop_over_an_item(matrix: List[List[int]]):
    with dsl.ParallelFor(matrix) as row:
        with dsl.ParallelFor(row) as cell:
            echo(x=cell)


@pipeline
def loop_over_a_field_of_a_static_item():
    with dsl.ParallelFor([{"members": [1, 2]}, {"members": [3]}]) as group:
        with dsl.ParallelFor(group.members) as member:
            echo(x=member)


@pipeline
def loop_over_a_field_of_an_output():
    with dsl.ParallelFor(untyped().output) as group:
        with dsl.ParallelFor(group.members) as member:
            say(text=member)


@pipeline
def tasks_around_a_loop(x: int):
    before = echo(x=x)
    waited = dice()
    with dsl.ParallelFor([1, 2]) as n:
        inside = add(a=before.output, b=n)
        echo(x=inside.output).after(waited)
        nothing().after(inside)
    nothing().after(before)
    nothing().after(inside)


@pipeline
def loop_uses_outputs_from_everywhere(x: int, text: str = "t"):
    first = several(x=x)
    data = make_data(size=x)
    with dsl.ParallelFor([1, 2]) as n:
        second = add(a=first.outputs["n"], b=n)
        trained = fit(data=data.outputs["data"])
        say(text=f"{text} {first.outputs['text']} {second.output} {n}")
        use_model(model=trained.outputs["model"], note=text)
        look_up(table=table().output, key=text)


@pipeline
def loops_in_a_row(texts: List[str]):
    with dsl.ParallelFor([1]) as a:
        echo(x=a)
    with dsl.ParallelFor(texts) as b:
        say(text=b)
    with dsl.ParallelFor(["x"]) as c:
        say(text=c)
    with dsl.ParallelFor([{"k": "v"}]) as d:
        say(text=d.k)


@pipeline
def field_names_that_need_care(items: List[Dict[str, str]]):
    with dsl.ParallelFor(items) as item:
        say(text=item.a_b)
        say(text=item._private)
        say(text=item.CamelCase9)


@pipeline
def fields_of_items_deep_in_loops(groups: List[Dict[str, str]]):
    with dsl.ParallelFor(groups) as group:
        with dsl.ParallelFor([1, 2]) as n:
            say(text=group.title)
            with dsl.ParallelFor(["a"]) as text:
                say(text=group.title)
                join(texts=[text], sep=group.other)
                echo(x=n)


@pipeline
def a_field_that_items_have_already(items: List[Dict[str, str]]):
    """The SDK passes the name of its own object."""
    with dsl.ParallelFor(items) as item:
        say(text=item.name)


@quirk
def fields_of_parameters_in_texts(texts: List[Dict[str, str]]):
    with dsl.ParallelFor(texts) as row:
        say(text=f"{row.key}: {row.val}")


@quirk
def items_of_outer_loops_in_texts(ns: List[int], texts: List[str]):
    with dsl.ParallelFor(ns) as n:
        with dsl.ParallelFor(texts) as text:
            say(text=f"{n}{text}")


@quirk
def items_of_static_outer_loops_in_texts():
    with dsl.ParallelFor([1, 2]) as a:
        with dsl.ParallelFor([10, 20]) as b:
            with dsl.ParallelFor(["x", "y"]) as c:
                say(text=f"{a} {b} {c}")


@quirk
def loop_in_an_exit_handler_that_uses_no_item(texts: List[str]):
    with dsl.ExitHandler(nothing()):
        with dsl.ParallelFor(texts):
            nothing()


@quirk
def whole_parameter_in_an_inner_loop(ns: List[int]):
    with dsl.ParallelFor(ns):
        with dsl.ParallelFor(["a"]):
            total(values=ns)


@quirk
def fields_of_static_items_in_a_condition(x: int):
    with dsl.If(x == 1):
        with dsl.ParallelFor([{"a": 1}]) as item:
            echo(x=item.a)


@quirk
def fields_of_static_items_in_an_exit_handler():
    with dsl.ExitHandler(nothing()):
        with dsl.ParallelFor([{"a": 1}]) as item:
            echo(x=item.a)


@quirk
def fields_of_outputs_in_texts():
    with dsl.ParallelFor(rows().output) as row:
        say(text=f"{row.a}")
