"""The pipeline that the guides speak of: `prepare`, then `train`, then `evaluate`."""

import argparse

from standpipe import dsl, local
from standpipe.dsl import Dataset, Input, Model, Output


@dsl.component
def prepare(rows: int, data: Output[Dataset]):
    with open(data.path, "w") as file:
        file.writelines(f"{number}\n" for number in range(rows))


@dsl.component
def train(data: Input[Dataset], model: Output[Model], epochs: int = 1):
    print(f"training with {epochs} epochs")
    with open(data.path) as file, open(model.path, "w") as copy:
        copy.write(file.read())


@dsl.component
def evaluate(model: Input[Model]) -> float:
    with open(model.path) as file:
        return 1 / len(file.readlines())


@dsl.pipeline
def train_pipeline(rows: int = 100, epochs: int = 1) -> float:
    data = prepare(rows=rows)
    trained = train(data=data.output, epochs=epochs)
    trained.set_retry(2)
    return evaluate(model=trained.output).output


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--rows", type=int, default=100)
    parser.add_argument("--epochs", type=int, default=1)
    arguments = parser.parse_args()
    local.init(runner=local.SubprocessRunner(use_venv=False))
    train_pipeline(rows=arguments.rows, epochs=arguments.epochs)
