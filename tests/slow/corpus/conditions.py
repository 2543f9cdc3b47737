"""If, Elif, Else and Condition: operands of every type on either side, and what conditions hold."""

from typing import Dict, List, Optional

from corpus.entries import pipeline, quirk
from corpus.shared import add, clean_up, coin, dice, echo, negate, nothing, numbers, ready, rows, say, score, several
from kfp import dsl


@pipeline(name="condition")
def condition(x: int):
    with dsl.If(x == 1):
        add(a=x, b=2)


@pipeline
def if_on_strings(text: str):
    with dsl.If(text == "a"):
        nothing()
    with dsl.If(text != ""):
        nothing()
    with dsl.If("b" == text):
        nothing()
    with dsl.If(text < "c"):
        nothing()
    with dsl.If(text >= "d e"):
        nothing()


@pipeline
def if_on_awkward_strings(text: str = "it's"):
    with dsl.If(text == "it's"):
        nothing()
    with dsl.If(text == 'a "quoted" \\ text'):
        nothing()
    with dsl.If(text == "') || true || ('"):
        nothing()
    with dsl.If(text == "é\n{{$.inputs}} && 1"):
        nothing()
    with dsl.If(text == "true"):
        nothing()
    with dsl.If(text == "5"):
        nothing()


@pipeline
def if_on_integers(n: int):
    with dsl.If(n == 1):
        nothing()
    with dsl.If(n != -1):
        nothing()
    with dsl.If(n < 10):
        nothing()
    with dsl.If(n <= 1000000000000):
        nothing()
    with dsl.If(n > 0):
        nothing()
    with dsl.If(n >= 3):
        nothing()


@pipeline
def if_with_constants_on_the_left(n: int, x: float, text: str, on: bool):
    with dsl.If(1 == n):
        nothing()
    with dsl.If(2 < n):
        nothing()
    with dsl.If(3 >= n):
        nothing()
    with dsl.If(0.5 > x):
        nothing()
    with dsl.If("a" != text):
        nothing()
    with dsl.If(True == on):  # noqa: E712
        nothing()


@pipeline
def if_on_floats(x: float):
    with dsl.If(x == 0.5):
        nothing()
    with dsl.If(x > 1e-9):
        nothing()
    with dsl.If(x < 1e30):
        nothing()
    with dsl.If(x >= -2.0):
        nothing()


@pipeline
def if_on_booleans(on: bool):
    with dsl.If(on == True):  # noqa: E712
        nothing()
    with dsl.If(on == False):  # noqa: E712
        nothing()
    with dsl.If(on != True):  # noqa: E712
        nothing()


@pipeline
def if_mixes_types(n: int, x: float, text: str, on: bool):
    with dsl.If(n == 1.5):
        nothing()
    with dsl.If(x == 2):
        nothing()
    with dsl.If(text == 3):
        nothing()
    with dsl.If(text == 3.5):
        nothing()
    with dsl.If(text == True):  # noqa: E712
        nothing()
    with dsl.If(n == "4"):
        nothing()
    with dsl.If(x != "4.5"):
        nothing()
    with dsl.If(on == "true"):
        nothing()
    with dsl.If(on == 0):
        nothing()
    with dsl.If(on == 1):
        nothing()


@pipeline
def if_compares_channels_of_one_type(n: int, x: float, text: str, on: bool):
    with dsl.If(n == dice().output):
        nothing()
    with dsl.If(score().output > x):
        nothing()
    with dsl.If(coin().output != text):
        nothing()
    with dsl.If(on == ready().output):
        nothing()


@pipeline
def if_compares_channels_of_different_types(n: int, x: float, text: str, on: bool):
    with dsl.If(n < x):
        nothing()
    with dsl.If(x < n):
        nothing()
    with dsl.If(text == n):
        nothing()
    with dsl.If(x == text):
        nothing()
    with dsl.If(on == text):
        nothing()


@pipeline
def if_compares_outputs():
    with dsl.If(dice().output > dice().output):
        nothing()
    first = coin()
    with dsl.If(first.output == first.output):
        say(text=first.output)


@pipeline
def if_on_named_outputs():
    made = several()
    with dsl.If(made.outputs["n"] == 3):
        echo(x=made.outputs["n"])
    with dsl.If(made.outputs["text"] == "t"):
        say(text="only the condition needs it")


@pipeline
def if_with_names(text: str):
    with dsl.If(text == "a", name="Is it A?"):
        nothing()
    with dsl.If(text == "b", "is-it-b"):
        nothing()


@pipeline
def condition_is_an_old_if(text: str):
    with dsl.Condition(text == "a"):
        nothing()
    with dsl.Condition(coin().output == "heads", name="flip"):
        nothing()


@pipeline
def condition_with_else(text: str):
    with dsl.Condition(text == "a"):
        nothing()
    with dsl.Else():
        nothing()


@pipeline
def if_else():
    flip = coin()
    with dsl.If(flip.output == "heads"):
        say(text="heads")
    with dsl.Else():
        say(text="tails")


@pipeline
def if_elif():
    roll = dice()
    with dsl.If(roll.output == 1):
        nothing()
    with dsl.Elif(roll.output == 2):
        echo(x=roll.output)


@pipeline
def if_elif_else():
    roll = dice()
    with dsl.If(roll.output == 1):
        nothing()
    with dsl.Elif(roll.output == 2):
        nothing()
    with dsl.Elif(roll.output > 3):
        nothing()
    with dsl.Else():
        nothing()


@pipeline
def branches_with_names(x: int):
    with dsl.If(x == 1, name="one"):
        nothing()
    with dsl.Elif(x == 2, name="two"):
        nothing()
    with dsl.Else(name="many"):
        nothing()


@pipeline
def branches_on_different_channels(text: str, n: int, on: bool = True):
    with dsl.If(text == "a"):
        nothing()
    with dsl.Elif(n == 2):
        nothing()
    with dsl.Elif(on == True):  # noqa: E712
        echo(x=n)
    with dsl.Elif(score().output >= 0.5):
        nothing()
    with dsl.Else():
        say(text=text)


@pipeline
def branches_after_branches(x: int):
    with dsl.If(x == 1):
        nothing()
    with dsl.Else():
        nothing()
    with dsl.If(x == 2):
        nothing()
    with dsl.Elif(x == 3):
        nothing()
    with dsl.Else():
        nothing()
    with dsl.If(x == 4):
        nothing()


@pipeline
def if_in_if(x: int, text: str):
    with dsl.If(x > 1):
        with dsl.If(text == "a"):
            first = echo(x=x)
            with dsl.If(first.output < 3):
                add(a=x, b=first.output)


@pipeline
def branches_in_branches(x: int):
    flip = coin()
    with dsl.If(flip.output == "heads"):
        with dsl.If(x == 1):
            say(text=flip.output)
        with dsl.Elif(x == 2):
            nothing()
        with dsl.Else():
            say(text="inner else")
    with dsl.Elif(flip.output == "edge"):
        nothing()
    with dsl.Else():
        roll = dice()
        with dsl.If(roll.output == 6):
            echo(x=roll.output)
        with dsl.Else():
            add(a=roll.output, b=x)


@pipeline
def tasks_around_a_condition(x: int):
    before = echo(x=x)
    other = dice()
    with dsl.If(before.output == 1):
        inside = add(a=before.output, b=other.output)
        echo(x=inside.output).after(other)
        nothing().after(inside)
    nothing().after(before)


@pipeline
def condition_waits_for_what_its_tasks_need(x: int):
    first = dice()
    second = dice()
    with dsl.If(x == 1):
        nothing().after(second)
        add(a=first.output, b=1)


@pipeline
def condition_on_loop_items():
    with dsl.ParallelFor([1, 2, 3]) as item:
        with dsl.If(item == 2):
            echo(x=item)
        with dsl.Elif(item > 2):
            nothing()
        with dsl.Else():
            echo(x=item)
    with dsl.ParallelFor(["a", "b"]) as text:
        with dsl.If(text == "a"):
            nothing()
    with dsl.ParallelFor([0.5, 1.5]) as x:
        with dsl.If(x < 1):
            nothing()
    with dsl.ParallelFor([True, False]) as on:
        with dsl.If(on == True):  # noqa: E712
            negate(on=on)


@pipeline
def condition_on_one_field_of_items():
    with dsl.ParallelFor([{"a": 1, "b": 10}, {"a": 2, "b": 20}]) as item:
        with dsl.If(item.a == 1):
            nothing()
        with dsl.If(item.a < item.b):
            nothing()
        echo(x=item.b)


@quirk
def condition_on_fields_of_items():
    with dsl.ParallelFor([{"a": 1, "b": 10}, {"a": 2, "b": 20}]) as item:
        with dsl.If(item.a == 1):
            nothing()
        with dsl.Elif(item.b > item.a):
            nothing()
        with dsl.Else():
            nothing()


@pipeline
def condition_on_items_of_parameters(texts: List[str], ns: List[int], dicts: List[Dict[str, int]], anything: list):
    with dsl.ParallelFor(texts) as text:
        with dsl.If(text == "a"):
            say(text=text)
    with dsl.ParallelFor(ns) as n:
        with dsl.If(n > 1):
            nothing()
    with dsl.ParallelFor(dicts) as row:
        with dsl.If(row.a == 2):
            echo(x=row.b)
    with dsl.ParallelFor(anything) as thing:
        with dsl.If(thing == "x"):
            nothing()


@pipeline
def condition_on_items_of_outputs():
    with dsl.ParallelFor(numbers().output) as n:
        with dsl.If(n == 1):
            echo(x=n)
    with dsl.ParallelFor(rows().output) as row:
        with dsl.If(row.a >= 1):
            nothing()
        with dsl.Else():
            echo(x=row.b)


@pipeline
def condition_around_loops(x: int, texts: List[str]):
    with dsl.If(x == 1):
        with dsl.ParallelFor(texts) as text:
            say(text=text)
    with dsl.Else():
        with dsl.ParallelFor([1, 2]) as n:
            add(a=n, b=x)


@pipeline
def condition_on_what_the_loop_made():
    with dsl.ParallelFor([1, 2]) as n:
        made = add(a=n, b=1)
        with dsl.If(made.output == 2):
            with dsl.If(n == 1):
                add(a=made.output, b=n)


@pipeline
def condition_on_an_outer_output_in_a_loop():
    flip = coin()
    with dsl.ParallelFor([1, 2]) as n:
        with dsl.If(flip.output == "heads"):
            echo(x=n)
        with dsl.Else():
            say(text=flip.output)


@pipeline
def conditions_on_optional_parameters(n: int = 3, text: str = "", on: bool = False, maybe: Optional[str] = None):
    with dsl.If(n == 3):
        nothing()
    with dsl.If(text == ""):
        nothing()
    with dsl.If(on == False):  # noqa: E712
        nothing()
    with dsl.If(maybe == "x"):
        clean_up(path=maybe)


@pipeline
def an_if_without_a_task_in_else_if(x: int):
    with dsl.If(x == 1):
        with dsl.If(x == 2):
            with dsl.If(x == 3):
                with dsl.If(x == 4):
                    nothing()


@pipeline
def many_branches(x: int):
    with dsl.If(x == 0):
        nothing()
    with dsl.Elif(x == 1):
        nothing()
    with dsl.Elif(x == 2):
        nothing()
    with dsl.Elif(x == 3):
        nothing()
    with dsl.Elif(x == 4):
        nothing()
    with dsl.Elif(x == 5):
        nothing()
    with dsl.Else():
        nothing()


@pipeline
def same_comparison_twice(x: int):
    compared = x == 1
    with dsl.If(compared):
        nothing()
    with dsl.If(compared):
        nothing()


# The SDK closes If and Elif only where there is an Else: what follows goes into the same group.


@pipeline
def tasks_after_elif_without_else(x: int):
    with dsl.If(x == 1):
        nothing()
    with dsl.Elif(x == 2):
        nothing()
    first = echo(x=x)
    echo(x=first.output)
    with dsl.ParallelFor([1, 2]) as n:
        add(a=n, b=first.output)


@pipeline
def branches_after_elif_without_else(x: int):
    with dsl.If(x == 1):
        nothing()
    with dsl.Elif(x == 2):
        nothing()
    with dsl.If(x == 3):
        nothing()
    with dsl.Elif(x == 4):
        nothing()
    with dsl.Else():
        nothing()
    nothing()


@pipeline
def loop_that_ends_with_elif_without_else():
    with dsl.ParallelFor([1, 2]) as n:
        with dsl.If(n == 1):
            nothing()
        with dsl.Elif(n == 2):
            nothing()
    say(text="after the loop")


@pipeline
def branch_that_ends_with_elif_without_else(x: int, text: str):
    with dsl.If(text == "a"):
        with dsl.If(x == 1):
            nothing()
        with dsl.Elif(x == 2):
            nothing()
    say(text=text)
