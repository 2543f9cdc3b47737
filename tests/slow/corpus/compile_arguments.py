"""What `Compiler.compile` can be told, but for manifests."""

from typing import List, Optional

from corpus import shared
from corpus.components import add, defaults
from corpus.entries import entry
from kfp import compiler, dsl
from kfp.dsl import Dataset, Input


@dsl.pipeline(display_name="Shown", description="Described")
def to_compile(
    a: int, b: float = 0.5, c: str = "c", d: bool = True, e: List[str] = ["e"], f: dict = {}, g: Optional[str] = None
) -> int:
    shared.say(text=c)
    return shared.add(a=a, b=1).output


@dsl.pipeline
def with_groups(ns: List[int], data: Optional[Input[Dataset]] = None):
    with dsl.ParallelFor(ns) as n:
        with dsl.If(n == 1):
            shared.echo(x=n)


@entry(pipeline_name="another-name")
def compiled_with_a_name():
    return to_compile


@entry(pipeline_name="Another Name", pipeline_display_name="Shown differently")
def compiled_with_names():
    return to_compile


@entry(pipeline_display_name="Only shown")
def compiled_with_a_display_name():
    return with_groups


@entry(pipeline_parameters={"a": 1})
def compiled_with_one_parameter():
    return to_compile


@entry(pipeline_parameters={"a": 2, "b": 3, "c": "é'", "d": False, "e": [], "f": {"k": [1, None or "x"]}, "g": "g"})
def compiled_with_all_parameters():
    return to_compile


@entry(pipeline_parameters={"ns": [1, 2]}, type_check=False)
def compiled_without_type_check():
    return with_groups


@entry(pipeline_parameters={})
def compiled_with_no_parameters():
    return to_compile


@entry(pipeline_name="a-component", pipeline_parameters={"b": 4})
def component_compiled_with_arguments():
    return add


@entry(pipeline_parameters={"a": None, "c": ""})
def compiled_with_none():
    return defaults


@entry(suffix=".json")
def compiled_to_json():
    return to_compile


@entry(suffix=".json", pipeline_name="json-name", pipeline_parameters={"ns": [3]})
def compiled_to_json_with_arguments():
    return with_groups


@entry(suffix=".json")
def component_compiled_to_json():
    return defaults


@entry(suffix=".yml")
def compiled_to_yml():
    return to_compile


@entry
def compiled_twice():
    compiler.Compiler().compile(to_compile, "first.yml", pipeline_name="first", pipeline_parameters={"a": 9})
    return to_compile


@entry
def compiled_positionally():
    compiler.Compiler().compile(to_compile, "positional.yml", "by-position")
    from kfp import components

    return components.load_component_from_file("positional.yml")
