"""What Python operators answer for values that exist only when the pipeline runs."""

from __future__ import annotations

import copy
import os
from collections.abc import Callable
from typing import Any

import pytest

from standpipe import dsl
from standpipe.errors import StandpipeError


@dsl.component
def say(text: str) -> str:
    return text


def trace(use: Callable[[Any], object]) -> list[Any]:
    """Return what a pipeline function gets when it uses its input."""
    results: list[Any] = []

    @dsl.pipeline
    def uses(rate: float) -> None:
        results.append(use(rate))
        say(text="a")

    return results


@pytest.mark.parametrize(
    ("use", "says"),
    [
        (list, "cannot iterate over it .* Loop over it with dsl.ParallelFor"),
        (lambda rate: [*rate], "iterate over it"),
        (lambda rate: tuple(x for x in rate), "iterate over it"),
        (len, "take its length .* Compute with it in a component"),
        (range, "convert it to a number .* Pass it to a component as it is"),
        (int, "convert it to a number"),
        (float, "convert it to a number"),
        (round, "convert it to a number"),
        (lambda rate: [1, 2][rate], "convert it to a number"),
        (lambda rate: rate[0], "read a part of it .* Pass it to a component as a whole"),
        (lambda rate: rate["key"], "read a part of it"),
        (lambda rate: rate[1:], "read a part of it"),
        (lambda rate: "a" in rate, "search in it .* Compare in a component that returns a bool"),
        (lambda rate: rate + 1, "add to it .* f-string"),
        (lambda rate: 1 + rate, "add to it"),
        (lambda rate: "a" + rate, "add to it"),
        (lambda rate: rate * 2, "calculate with it .* Compute with it in a component"),
        (lambda rate: 2**rate, "calculate with it"),
        (lambda rate: -rate, "calculate with it"),
        (lambda rate: rate & 1, "calculate with it"),
        (lambda rate: f"{rate:.2f}", r"format it as '\.2f' .* Leave the format out"),
        (lambda rate: os.path.join(rate, "x"), "use it as a path .* f-string"),
        (lambda rate: os.fspath(rate), "use it as a path"),
    ],
)
def test_an_operator_says_what_to_do_instead(use: Callable[[Any], object], says: str) -> None:
    with pytest.raises(
        TypeError, match=f"^The pipeline input 'rate' is known only when the pipeline runs.*{says}"
    ) as e:
        trace(use)

    assert isinstance(e.value, StandpipeError)


@pytest.mark.parametrize("name", ["strip", "items", "uri", "value_counts"])
def test_an_attribute_says_what_to_do_instead(name: str) -> None:
    with pytest.raises(AttributeError, match=rf"^The pipeline input 'rate' .* has no attribute '{name}'.*component"):
        trace(lambda rate: getattr(rate, name))

    assert trace(lambda rate: (hasattr(rate, name), getattr(rate, name, "else"))) == [(False, "else")]


def test_what_python_itself_asks_is_answered() -> None:
    (answers,) = trace(lambda rate: (f"{rate}" == str(rate), copy.copy(rate) is not rate, hash(rate) == hash(rate)))

    assert answers == (True, True, True)


def test_a_truth_value_is_not_the_length() -> None:
    with pytest.warns(UserWarning, match="The pipeline input 'rate' counts as true"):
        assert trace(bool) == [True]
