"""Pipelines for programs that are generated: no component and no group's name is in two of them.

Where nested pipelines share names, what the SDK renames them to can depend on the order of a hash table, and where they
hold a group with the name of one in a group outside, it mixes up the two.
"""

from typing import List

from corpus.entries import SMALL
from kfp import dsl
from kfp.dsl import Dataset, Input, Model, Output


@dsl.component(**SMALL)
def plain_echo(x: int) -> int:
    return x


@dsl.component(**SMALL)
def plain_say(text: str) -> str:
    return text


@dsl.component(**SMALL)
def looped_echo(x: int) -> int:
    return x


@dsl.component(**SMALL)
def tested_say(text: str) -> str:
    return text


@dsl.component(**SMALL)
def trained_fit(data: Input[Dataset], model: Output[Model]) -> None:
    pass


@dsl.pipeline
def plain_part(x: int, text: str = "t") -> str:
    return plain_say(text=text).after(plain_echo(x=x)).output


@dsl.pipeline
def looped_part(ns: List[int]) -> List[int]:
    with dsl.ParallelFor(ns) as n:
        made = looped_echo(x=n)
    return dsl.Collected(made.output)


@dsl.pipeline
def tested_part(text: str):
    with dsl.If(text == "a"):
        tested_say(text=text)


@dsl.pipeline
def trained_part(data: Input[Dataset]) -> Model:
    return trained_fit(data=data).outputs["model"]
