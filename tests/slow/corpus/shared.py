"""Small components that the pipelines of the corpus are made of."""

from typing import Dict, List, NamedTuple, Optional

from corpus.entries import SMALL
from kfp import dsl
from kfp.dsl import Artifact, Dataset, Input, Metrics, Model, Output, OutputPath


@dsl.component(**SMALL)
def add(a: int, b: int) -> int:
    return a + b


@dsl.component(**SMALL)
def say(text: str) -> str:
    return text


@dsl.component(**SMALL)
def echo(x: int) -> int:
    return x


@dsl.component(**SMALL)
def scale(x: float, by: float = 2.0) -> float:
    return x * by


@dsl.component(**SMALL)
def negate(on: bool) -> bool:
    return not on


@dsl.component(**SMALL)
def coin() -> str:
    return "heads"


@dsl.component(**SMALL)
def dice() -> int:
    return 6


@dsl.component(**SMALL)
def score() -> float:
    return 0.5


@dsl.component(**SMALL)
def ready() -> bool:
    return True


@dsl.component(**SMALL)
def numbers() -> List[int]:
    return [1, 2]


@dsl.component(**SMALL)
def words() -> List[str]:
    return ["a", "b"]


@dsl.component(**SMALL)
def rows() -> List[Dict[str, int]]:
    return [{"a": 1, "b": 2}]


@dsl.component(**SMALL)
def untyped() -> list:
    return [1]


@dsl.component(**SMALL)
def table() -> dict:
    return {"a": 1}


@dsl.component(**SMALL)
def several(x: int = 1) -> NamedTuple("Several", [("n", int), ("text", str), ("words", List[str]), ("numbers", list)]):
    return (x, "t", ["a"], [1])


@dsl.component(**SMALL)
def total(values: List[int]) -> int:
    return sum(values)


@dsl.component(**SMALL)
def join(texts: List[str], sep: str = ",") -> str:
    return sep.join(texts)


@dsl.component(**SMALL)
def show(items: list) -> None:
    print(items)


@dsl.component(**SMALL)
def look_up(table: dict, key: str = "k") -> str:
    return table[key]


@dsl.component(**SMALL)
def make_data(data: Output[Dataset], size: int = 1) -> None:
    pass


@dsl.component(**SMALL)
def make_several(data: Output[Dataset], model: Output[Model], log: OutputPath(str)) -> int:
    return 1


@dsl.component(**SMALL)
def fit(data: Input[Dataset], model: Output[Model], metrics: Output[Metrics], rate: float = 0.1) -> float:
    return rate


@dsl.component(**SMALL)
def use_data(data: Input[Dataset]) -> str:
    return data.uri


@dsl.component(**SMALL)
def use_model(model: Input[Model], note: str = "") -> None:
    pass


@dsl.component(**SMALL)
def use_any(artifact: Input[Artifact]) -> None:
    pass


@dsl.component(**SMALL)
def merge(parts: Input[List[Dataset]], merged: Output[Dataset]) -> int:
    return len(parts)


@dsl.component(**SMALL)
def choose(models: Input[List[Model]], best: Output[Model], scores: List[float] = []) -> str:
    return models[0].uri


@dsl.component(**SMALL)
def report(status: dsl.PipelineTaskFinalStatus, note: str = "n") -> None:
    print(status, note)


@dsl.component(**SMALL)
def clean_up(path: str = "/tmp") -> None:
    pass


@dsl.component(**SMALL)
def notify(text: str = "done", code: Optional[int] = None) -> str:
    return text


@dsl.component(**SMALL)
def nothing() -> None:
    pass
