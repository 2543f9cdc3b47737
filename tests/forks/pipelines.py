"""A pipeline of two tasks, and a function that runs it."""

from __future__ import annotations

from standpipe import dsl, local


@dsl.component
def add(a: int) -> int:
    return a + 1


@dsl.pipeline
def chain(a: int) -> int:
    return add(a=add(a=a).output).output


def run(root: str, number: int, *, enable_caching: bool = True) -> int:
    runner = local.SubprocessRunner()
    output = local.run(
        chain, {"a": number}, runner=runner, pipeline_root=root, enable_caching=enable_caching, quiet=True
    ).output
    assert output == number + 2
    return number + 2
