"""A search over learning rates, written for the KFP SDK: a loop, a condition, an importer and an exit handler.

    standpipe run examples/search.py

It needs no packages, and imports only `kfp`.
"""

from pathlib import Path
from typing import NamedTuple

from kfp import dsl, local
from kfp.dsl import Dataset, Input, Model, Output


@dsl.component
def train(data: Input[Dataset], rate: float, model: Output[Model]) -> float:
    """Fit a line by gradient descent, and return its mean squared error."""
    import csv

    with open(data.path) as file:
        points = [(float(row["x"]), float(row["y"])) for row in csv.DictReader(file)]
    slope = intercept = 0.0
    for _ in range(500):
        errors = [(slope * x + intercept - y, x) for x, y in points]
        slope -= rate * sum(error * x for error, x in errors) / len(points)
        intercept -= rate * sum(error for error, _ in errors) / len(points)
    error = sum((slope * x + intercept - y) ** 2 for x, y in points) / len(points)
    with open(model.path, "w") as file:
        file.write(f"y = {slope:.3f} x + {intercept:.3f}")
    model.metadata["rate"] = rate
    return error


@dsl.component
def pick(models: Input[list[Model]], errors: list[float], best: Output[Model]) -> float:
    """Keep the model with the smallest error, and return the error."""
    import shutil

    smallest = min(errors)
    winner = models[errors.index(smallest)]
    shutil.copy(winner.path, best.path)
    best.metadata.update(winner.metadata)
    return smallest


@dsl.component
def say(text: str) -> str:
    print(text)
    return text


@dsl.component
def report(status: dsl.PipelineTaskFinalStatus) -> None:
    print(f"The search has {status.state.lower()}.")


class Choice(NamedTuple):
    """The best model, and whether it is good enough."""

    model: Model
    verdict: str


@dsl.pipeline
def choose(data: Dataset, rates: list[float]) -> Choice:
    with dsl.ParallelFor(rates) as rate:
        trained = train(data=data, rate=rate)
    picked = pick(models=dsl.Collected(trained.outputs["model"]), errors=dsl.Collected(trained.outputs["Output"]))
    with dsl.If(picked.outputs["Output"] < 0.01):
        good = say(text=f"good: an error of {picked.outputs['Output']}")
    with dsl.Else():
        poor = say(text="poor: try other rates")
    return Choice(picked.outputs["best"], dsl.OneOf(good.output, poor.output))


@dsl.pipeline
def search(points: str, rates: list[float] = [0.001, 0.01, 0.1]):  # noqa: B006 - KFP does not change it
    with dsl.ExitHandler(report()):
        data = dsl.importer(artifact_uri=points, artifact_class=Dataset)
        choice = choose(data=data.output, rates=rates)
        say(text=choice.outputs["verdict"])


if __name__ == "__main__":
    local.init(runner=local.SubprocessRunner())
    search(points=str(Path(__file__).with_name("points.csv").resolve()))
