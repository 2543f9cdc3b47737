"""A pipeline that trains models, with every kind of artifact and of control flow. Its tasks run in processes."""

from __future__ import annotations

from typing import List, NamedTuple  # noqa: UP035 - as KFP's examples are written

from standpipe import dsl
from standpipe.dsl import (
    HTML,
    Artifact,
    ClassificationMetrics,
    Dataset,
    Input,
    Markdown,
    Metrics,
    Model,
    Output,
    SlicedClassificationMetrics,
)


@dsl.component
def prepare(customers: Input[Dataset], seed: int, train_set: Output[Dataset], test_set: Output[Dataset]) -> int:
    """Split the customers into a training set and a test set."""
    import csv
    import random
    import time

    with open(customers.path, newline="") as file:
        header, *rows = csv.reader(file)
    random.Random(seed).shuffle(rows)
    for output, part in ((train_set, rows[: len(rows) * 3 // 4]), (test_set, rows[len(rows) * 3 // 4 :])):
        with open(output.path, "w", newline="") as file:
            csv.writer(file).writerows([header, *part])
        output.metadata["rows"] = len(part)
    print(f"\x1b[32mread\x1b[0m {len(rows)} customers from {customers.uri.rpartition('/')[2]}")
    time.sleep(0.2)
    return len(rows)


@dsl.component
def train(train_set: Input[Dataset], rate: float, model: Output[Model]) -> float:
    """Train a model with a learning rate, and return its loss."""
    import json
    import time

    loss = 0.9
    for epoch in range(1, 6):
        loss *= 1 - min(rate, 0.45)
        print(f"epoch {epoch}: loss {loss:.4f}")
        time.sleep(0.05 + rate / 10)
    model.framework = "none"
    model.metadata["rate"] = rate
    with open(model.path, "w") as file:
        json.dump({"rate": rate, "weights": [round(rate * number, 4) for number in range(8)]}, file)
    return round(loss, 4)


@dsl.component
def evaluate(
    models: Input[List[Model]],  # noqa: UP006 - as KFP's examples are written
    losses: list,
    test_set: Input[Dataset],
    metrics: Output[Metrics],
    curves: Output[ClassificationMetrics],
    by_country: Output[SlicedClassificationMetrics],
    best: Output[Model],
) -> NamedTuple("Evaluation", [("accuracy", float), ("best_rate", float)]):  # type: ignore[valid-type]  # as in KFP's
    """Compare the models on the test set, and keep the best one."""
    import shutil
    import time

    number = losses.index(min(losses))
    accuracy = round(1 - losses[number] / 2, 4)
    shutil.copyfile(models[number].path, best.path)
    best.metadata.update(models[number].metadata)
    metrics.log_metric("accuracy", accuracy)
    metrics.log_metric("f1", round(accuracy - 0.02, 4))
    metrics.log_metric("loss", losses[number])
    curves.log_confusion_matrix(["stays", "leaves"], [[412, 31], [22, 35]])
    steps = [step / 20 for step in range(21)]
    curves.log_roc_curve(steps, [step ** (1 - accuracy) if step else 0.0 for step in steps], steps[::-1])
    for country, share in (("Österreich", 0.9), ("日本", 0.8)):
        by_country.load_confusion_matrix(country, ["stays", "leaves"], [[int(90 * share), 9], [4, int(20 * share)]])
    print(f"the best of {len(models)} models has the rate {models[number].metadata['rate']}")
    time.sleep(0.3)
    return (accuracy, models[number].metadata["rate"])


@dsl.component
def describe(
    model: Input[Model],
    accuracy: float,
    report: Output[Markdown],
    page: Output[HTML],
    plot: Output[Artifact],
    notes: Output[Artifact],
    summary: Output[Artifact],
    files: Output[Artifact],
) -> None:
    """Write a report of the best model, as text, page, picture and data."""
    import json
    import os
    import struct
    import zlib

    with open(report.path, "w") as file:
        file.write(
            f"# Churn model\n\nThe best model is right in **{accuracy:.1%}** of all cases.\n\n"
            "| country | customers |\n|---|---|\n| Österreich | 120 |\n| 日本 | 110 |\n"
        )
    with open(page.path, "w") as file:
        file.write("<!doctype html><title>Model</title><h1>Model card</h1><p>Made for <em>customers</em>.</p>")
    with open(notes.path, "w") as file:
        file.write("Trained without the customers of 2019.\n" * 3)
    with open(summary.path, "w") as file:
        json.dump({"accuracy": accuracy, "model": model.metadata, "countries": ["Österreich", "日本"]}, file)
    rows = b"".join(b"\0" + bytes((x * 2, y * 2, 160)[n] for x in range(120) for n in range(3)) for y in range(80))

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = chunk(b"IHDR", struct.pack(">IIBBBBB", 120, 80, 8, 2, 0, 0, 0))
    image = b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
    os.makedirs(os.path.join(files.path, "plots"))
    for path in (plot.path, os.path.join(files.path, "plots", "gradient.png")):
        with open(path, "wb") as picture:
            picture.write(image)
    with open(os.path.join(files.path, "settings.json"), "w") as file:
        json.dump({"layers": 3}, file)


@dsl.component
def publish(model: Input[Model], accuracy: float) -> str:
    """Return where the model would be published."""
    return f"models/churn/{accuracy:.3f}"


@dsl.component
def notify(status: dsl.PipelineTaskFinalStatus) -> None:
    """Print how the pipeline ended."""
    print(f"the pipeline has ended: {status.state}")


@dsl.pipeline(name="churn-training", description="Train models that predict which customers leave.")
def churn_training(customers: str, rates: list = [0.05, 0.1, 0.3], seed: int = 7, threshold: float = 0.8) -> None:  # noqa: B006
    """Train models for several learning rates, and describe the best one."""
    with dsl.ExitHandler(notify()):
        imported = dsl.importer(artifact_uri=customers, artifact_class=Dataset, reimport=False)
        prepared = prepare(customers=imported.output, seed=seed)
        with dsl.ParallelFor(rates) as rate:
            trained = train(train_set=prepared.outputs["train_set"], rate=rate)
        evaluated = evaluate(
            models=dsl.Collected(trained.outputs["model"]),
            losses=dsl.Collected(trained.outputs["Output"]),
            test_set=prepared.outputs["test_set"],
        )
        accuracy, best = evaluated.outputs["accuracy"], evaluated.outputs["best"]
        describe(model=best, accuracy=accuracy)
        with dsl.If(accuracy > threshold, name="good enough"):
            publish(model=best, accuracy=accuracy)
