"""Trains two classifiers on scikit-learn's iris data, compares them on a test set, and keeps the better one.

    python examples/iris.py

Each task runs in a process of its own, with the packages that it names. If the imports name `kfp` instead of
`standpipe`, the same file compiles and runs with the KFP SDK.
"""

from pathlib import Path
from typing import NamedTuple

from standpipe import dsl, local
from standpipe.dsl import ClassificationMetrics, Dataset, Input, Markdown, Metrics, Model, Output

PACKAGES = ["pandas==2.3.3", "scikit-learn==1.7.2"]


@dsl.component(packages_to_install=PACKAGES)
def load_iris(iris: Output[Dataset]):
    """Store the iris data of scikit-learn: 150 flowers of three species."""
    from sklearn import datasets

    bunch = datasets.load_iris(as_frame=True)
    frame = bunch.data.assign(species=bunch.target_names[bunch.target])
    frame.to_csv(iris.path, index=False)
    iris.metadata["rows"] = len(frame)


@dsl.component(packages_to_install=PACKAGES)
def split(iris: Input[Dataset], test_share: float, seed: int, train_set: Output[Dataset], test_set: Output[Dataset]):
    """Split the data into a training set and a test set, with the same share of each species."""
    import pandas as pd
    from sklearn.model_selection import train_test_split

    frame = pd.read_csv(iris.path)
    train, test = train_test_split(frame, test_size=test_share, random_state=seed, stratify=frame["species"])
    for part, output in ((train, train_set), (test, test_set)):
        part.to_csv(output.path, index=False)
        output.metadata["rows"] = len(part)


@dsl.component(packages_to_install=PACKAGES)
def train(train_set: Input[Dataset], trees: int, depth: int, seed: int, model: Output[Model]):
    """Train a random forest."""
    import joblib
    import pandas as pd
    from sklearn.ensemble import RandomForestClassifier

    frame = pd.read_csv(train_set.path)
    forest = RandomForestClassifier(n_estimators=trees, max_depth=depth, random_state=seed)
    forest.fit(frame.drop(columns="species"), frame["species"])
    joblib.dump(forest, model.path)
    model.framework = "scikit-learn"
    model.metadata["trees"] = trees
    model.metadata["depth"] = depth
    print(f"trained {trees} tree(s) of depth {depth} or less on {len(frame)} flowers")


@dsl.component(packages_to_install=PACKAGES)
def evaluate(
    model: Input[Model],
    test_set: Input[Dataset],
    metrics: Output[Metrics],
    curves: Output[ClassificationMetrics],
    report: Output[Markdown],
) -> float:
    """Evaluate a model on the test set, and return its accuracy."""
    import joblib
    import pandas as pd
    from sklearn.metrics import accuracy_score, confusion_matrix, f1_score, roc_curve

    forest = joblib.load(model.path)
    frame = pd.read_csv(test_set.path)
    truth = frame["species"]
    features = frame.drop(columns="species")
    predicted = forest.predict(features)
    species = forest.classes_.tolist()

    accuracy = float(accuracy_score(truth, predicted))
    metrics.log_metric("accuracy", accuracy)
    metrics.log_metric("f1", float(f1_score(truth, predicted, average="macro")))

    matrix = confusion_matrix(truth, predicted, labels=species).tolist()
    curves.log_confusion_matrix(species, matrix)
    virginica = species.index("virginica")
    probabilities = forest.predict_proba(features)[:, virginica]
    false_positives, true_positives, thresholds = roc_curve(truth == "virginica", probabilities)
    thresholds = thresholds.clip(max=1.0)  # the first one is infinite, which JSON cannot express
    curves.log_roc_curve(false_positives.tolist(), true_positives.tolist(), thresholds.tolist())

    rows = [f"| **{name}** | " + " | ".join(map(str, row)) + " |" for name, row in zip(species, matrix, strict=True)]
    lines = [
        f"# {model.metadata['trees']} tree(s), at most {model.metadata['depth']} deep",
        "",
        f"{accuracy:.1%} of {len(frame)} flowers are classified correctly. Rows: true species; columns: predicted.",
        "",
        "| | " + " | ".join(species) + " |",
        "|---" * (len(species) + 1) + "|",
        *rows,
        "",
    ]
    with open(report.path, "w") as file:
        file.write("\n".join(lines))
    return accuracy


@dsl.component
def pick_better(
    first: Input[Model], second: Input[Model], first_accuracy: float, second_accuracy: float, best: Output[Model]
) -> float:
    """Keep the more accurate model, and return its accuracy."""
    import shutil

    winner = first if first_accuracy >= second_accuracy else second
    shutil.copyfile(winner.path, best.path)
    best.metadata.update(winner.metadata)
    return max(first_accuracy, second_accuracy)


class Outcome(NamedTuple):
    """The outputs of the pipeline."""

    best: Model
    accuracy: float
    small_report: Markdown
    large_report: Markdown


@dsl.pipeline
def iris_pipeline(test_share: float = 0.3, seed: int = 7) -> Outcome:
    """Load and split the data, train and evaluate two models, and keep the better one."""
    loaded = load_iris()
    parts = split(iris=loaded.outputs["iris"], test_share=test_share, seed=seed)

    small = train(train_set=parts.outputs["train_set"], trees=1, depth=1, seed=seed)
    large = train(train_set=parts.outputs["train_set"], trees=50, depth=4, seed=seed)
    small_result = evaluate(model=small.outputs["model"], test_set=parts.outputs["test_set"])
    large_result = evaluate(model=large.outputs["model"], test_set=parts.outputs["test_set"])

    picked = pick_better(
        first=small.outputs["model"],
        second=large.outputs["model"],
        first_accuracy=small_result.outputs["Output"],
        second_accuracy=large_result.outputs["Output"],
    )
    return Outcome(
        best=picked.outputs["best"],
        accuracy=picked.outputs["Output"],
        small_report=small_result.outputs["report"],
        large_report=large_result.outputs["report"],
    )


if __name__ == "__main__":
    local.init(runner=local.SubprocessRunner())
    run = iris_pipeline()

    best = run.outputs["best"]
    print()
    print(Path(run.outputs["large_report"].path).read_text())
    print(f"The better model has {best.metadata['trees']} tree(s); its accuracy is {run.outputs['accuracy']:.1%}.")
    print(f"  model:       {best.path}")
    print(f"  reports:     {run.outputs['small_report'].path}")
    print(f"               {run.outputs['large_report'].path}")
    print(f"  all outputs: {Path(best.path).parent.parent}")
