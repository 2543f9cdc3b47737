"""The pipelines of the sample store. They stay as they are: the store knows them by their names and their code."""

from __future__ import annotations

from standpipe import dsl
from standpipe.dsl import Dataset, Input, Model, Output


@dsl.component
def generate(rows: int, data: Output[Dataset]) -> list[int]:
    with open(data.path, "w") as file:
        file.write("row\n" * rows)
    data.metadata["rows"] = rows
    return list(range(1, rows))


@dsl.component
def train(data: Input[Dataset], size: int, model: Output[Model]) -> float:
    with open(data.path) as file:
        rows = len(file.readlines())
    with open(model.path, "w") as file:
        file.write(f"model of size {size} for {rows} rows")
    model.metadata["size"] = size
    print("trained with size", size)
    return size / rows


@dsl.component
def select(scores: list[float], models: Input[list[Model]]) -> str:
    best = max(range(len(scores)), key=scores.__getitem__)
    with open(models[best].path) as file:
        return file.read()


@dsl.component
def say(text: str) -> str:
    print(text)
    return text


@dsl.component
def read(data: Input[Dataset]) -> str:
    with open(data.path) as file:
        return file.read()


@dsl.component
def report(status: dsl.PipelineTaskFinalStatus) -> str:
    return status.state


@dsl.component
def require(path: str, text: str) -> str:
    import os

    if not os.path.exists(path):
        raise FileNotFoundError(path)
    return text


@dsl.component
def wait(path: str, text: str) -> str:
    import os
    import time

    end = time.monotonic() + 60
    while not os.path.exists(path) and time.monotonic() < end:
        time.sleep(0.01)
    return text


@dsl.component
def reveal(model: Output[Model]) -> str:
    import os

    token = os.environ["SAMPLE_TOKEN"]
    model.metadata["token"] = token
    print("the token is", token)
    return token


@dsl.pipeline(name="sample-training")
def training(data: Input[Dataset], sizes: list[int]) -> str:
    with dsl.ParallelFor(sizes, parallelism=2) as size:
        trained = train(data=data, size=size).set_memory_request("100000Gi")
    chosen = select(scores=dsl.Collected(trained.outputs["Output"]), models=dsl.Collected(trained.outputs["model"]))
    return chosen.output


@dsl.pipeline(name="sample-everything")
def everything(path: str, rows: int = 3) -> str:
    """Nested pipeline, loop, condition, importer, artifacts, exit handler."""
    with dsl.ExitHandler(report()):
        imported = dsl.importer(artifact_uri=path, artifact_class=Dataset, reimport=False)
        read(data=imported.output)
    generated = generate(rows=rows)
    chosen = training(data=generated.outputs["data"], sizes=generated.outputs["Output"])
    with dsl.If(chosen.output == "no model"):
        negative = say(text="there is none")
    with dsl.Else():
        positive = say(text=chosen.output)
    return say(text=dsl.OneOf(negative.output, positive.output)).output


@dsl.pipeline(name="sample-failing")
def failing(gate: str) -> str:
    generated = generate(rows=2)
    with dsl.ParallelFor([1, 2]) as size:
        train(data=generated.outputs["data"], size=size)
    required = require(path=gate, text="open").set_retry(num_retries=1, backoff_duration="0s")
    return say(text=required.after(generated).output).output


@dsl.pipeline(name="sample-waiting")
def waiting(gate: str) -> str:
    generated = generate(rows=2)
    waited = wait(path=gate, text="open").after(generated)
    return read(data=generated.outputs["data"]).after(waited).output


@dsl.pipeline(name="sample-secret")
def secret() -> str:
    return say(text=reveal().outputs["Output"]).output
