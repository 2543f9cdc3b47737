"""A pipeline of two tasks."""

from standpipe import dsl


@dsl.component
def add(a: int, b: int) -> int:
    return a + b


@dsl.pipeline
def chain(start: int = 1) -> int:
    first = add(a=start, b=1)
    return add(a=first.output, b=1).output
