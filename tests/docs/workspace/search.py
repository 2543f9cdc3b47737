"""A search that fails in its last task."""

from standpipe import dsl


@dsl.component
def load() -> list:
    return [0.1]


@dsl.component
def train(rate: float) -> float:
    print(f"training with rate {rate}")
    return rate


@dsl.component
def pick(errors: list) -> float:
    return {}["best"]


@dsl.pipeline
def search():
    with dsl.ParallelFor(load().output) as rate:
        trained = train(rate=rate)
    pick(errors=dsl.Collected(trained.output))
