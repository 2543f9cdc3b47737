"""Searches the hyper-parameters of a classifier, with cross-validation, and evaluates the best ones on a test set.

    standpipe run examples/sweep.py
    standpipe run examples/sweep.py:sweep --arg 'depths=[2, 4, 8]' --arg 'rates=[0.05, 0.5]'

It shows a loop (`dsl.ParallelFor`) over settings that a task has computed, the fields of an item as arguments, the
results of all iterations as a list (`dsl.Collected`), metrics, and a Markdown artifact. The data is that of 569 tumors,
which is part of scikit-learn.
"""

from standpipe import dsl, local
from standpipe.dsl import Dataset, Input, Markdown, Metrics, Model, Output

# Versions are pinned, so that the same packages are installed next year, and on the cluster.
PACKAGES = ["pandas==2.3.3", "scikit-learn==1.7.2"]


@dsl.component(packages_to_install=PACKAGES)
def load(test_share: float, seed: int, train_set: Output[Dataset], test_set: Output[Dataset]):
    """Split the data into a set for the search, and one that only the last task sees."""
    from sklearn.datasets import load_breast_cancer
    from sklearn.model_selection import train_test_split

    frame = load_breast_cancer(as_frame=True).frame
    train, test = train_test_split(frame, test_size=test_share, random_state=seed, stratify=frame["target"])
    for part, output in ((train, train_set), (test, test_set)):
        part.to_csv(output.path, index=False)
        output.metadata["rows"] = len(part)


@dsl.component
def combine(depths: list[int], rates: list[float]) -> list[dict]:
    """Return a setting for each pair of a depth and a rate."""
    return [{"depth": depth, "rate": rate} for depth in depths for rate in rates]


@dsl.component(packages_to_install=PACKAGES)
def validate(train_set: Input[Dataset], depth: int, rate: float, seed: int, metrics: Output[Metrics]) -> dict:
    """Return the mean area under the ROC curve in a cross-validation, with the setting that it belongs to."""
    import pandas as pd
    from sklearn.ensemble import HistGradientBoostingClassifier
    from sklearn.model_selection import cross_val_score

    frame = pd.read_csv(train_set.path)
    trees = HistGradientBoostingClassifier(max_depth=depth, learning_rate=rate, max_iter=40, random_state=seed)
    scores = cross_val_score(trees, frame.drop(columns="target"), frame["target"], cv=3, scoring="roc_auc")
    metrics.log_metric("auc", float(scores.mean()))
    print(f"depth {depth}, rate {rate}: {scores.mean():.4f}")
    return {"depth": depth, "rate": rate, "auc": float(scores.mean())}


@dsl.component
def choose(results: list[dict], table: Output[Markdown]) -> dict:
    """Return the best setting, and write a table of all."""
    ranked = sorted(results, key=lambda result: result["auc"], reverse=True)
    with open(table.path, "w") as file:
        print("| depth | rate | AUC |\n|---|---|---|", file=file)
        for result in ranked:
            print(f"| {result['depth']} | {result['rate']} | {result['auc']:.4f} |", file=file)
    return ranked[0]


@dsl.component(packages_to_install=PACKAGES)
def evaluate(
    setting: dict,
    train_set: Input[Dataset],
    test_set: Input[Dataset],
    seed: int,
    model: Output[Model],
    metrics: Output[Metrics],
) -> float:
    """Fit the best setting on the whole training set, and return its area under the ROC curve on the test set."""
    import joblib
    import pandas as pd
    from sklearn.ensemble import HistGradientBoostingClassifier
    from sklearn.metrics import roc_auc_score

    train, test = pd.read_csv(train_set.path), pd.read_csv(test_set.path)
    trees = HistGradientBoostingClassifier(
        max_depth=int(setting["depth"]), learning_rate=setting["rate"], max_iter=40, random_state=seed
    )
    trees.fit(train.drop(columns="target"), train["target"])
    auc = float(roc_auc_score(test["target"], trees.predict_proba(test.drop(columns="target"))[:, 1]))
    joblib.dump(trees, model.path)
    model.framework = "scikit-learn"
    model.metadata.update(setting)
    metrics.log_metric("auc", auc)
    return auc


@dsl.pipeline
def sweep(
    depths: list[int] = [2, 4],  # noqa: B006 - KFP does not change it
    rates: list[float] = [0.05, 0.1, 0.3],  # noqa: B006
    test_share: float = 0.3,
    seed: int = 7,
) -> float:
    """Validate each setting in an iteration of its own, and evaluate the best one."""
    data = load(test_share=test_share, seed=seed)
    settings = combine(depths=depths, rates=rates)

    # Iterations run in parallel. On a laptop, `parallelism` leaves some cores for other work.
    with dsl.ParallelFor(settings.output, name="settings", parallelism=4) as setting:
        validated = validate(train_set=data.outputs["train_set"], depth=setting.depth, rate=setting.rate, seed=seed)

    # Each result has its setting, so nothing depends on the order of the list.
    best = choose(results=dsl.Collected(validated.outputs["Output"]))
    evaluated = evaluate(
        setting=best.outputs["Output"],
        train_set=data.outputs["train_set"],
        test_set=data.outputs["test_set"],
        seed=seed,
    )
    return evaluated.outputs["Output"]


if __name__ == "__main__":
    # With the cache, a second run with one more rate validates only what is new.
    local.init(runner=local.SubprocessRunner(), enable_caching=True)
    print(f"The area under the ROC curve on the test set is {sweep().output:.3f}.")
