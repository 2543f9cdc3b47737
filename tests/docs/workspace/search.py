"""A search that fails in its last task."""

from standpipe import dsl


@dsl.component
def load(rows: int) -> list:
    return [0.1]


@dsl.component
def train(rate: float) -> float:
    print(f"training with rate {rate}")
    return rate


@dsl.component
def pick(errors: list) -> float:
    return {}["best"]


@dsl.pipeline
def search(rows: int = 300):
    with dsl.ParallelFor(load(rows=rows).set_display_name("Load the table").output) as rate:
        trained = train(rate=rate)
    pick(errors=dsl.Collected(trained.output))
