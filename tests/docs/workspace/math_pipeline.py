"""The first pipeline of the documentation, and one with a loop and all kinds of inputs."""

from standpipe import dsl
from standpipe.dsl import Dataset, Input


@dsl.component
def add(a: int, b: int) -> int:
    print(f"adding {a} and {b}")
    return a + b


@dsl.pipeline
def math_pipeline(x: int, y: int, z: int) -> int:
    t1 = add(a=x, b=y)
    t2 = add(a=t1.output, b=z)
    return t2.output


@dsl.component
def select(rows: int, columns: list, data: Input[Dataset]) -> list:
    with open(data.path) as file:
        return [columns, file.readlines()[:rows]]


@dsl.component
def train(rate: float) -> float:
    print(f"training with rate {rate}")
    return rate


@dsl.pipeline
def table(rows: int, columns: list, data: Input[Dataset]) -> list:
    with dsl.ParallelFor([0.1, 0.2, 0.3, 0.4], name="loop") as rate:
        train(rate=rate)
    return select(rows=rows, columns=columns, data=data).output
