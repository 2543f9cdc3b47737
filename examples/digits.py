"""Trains a classifier of handwritten digits, and shows the pictures that it gets wrong.

    standpipe run examples/digits.py
    standpipe open latest evaluate/mistakes     # the page, in the web UI

It shows a function that components share (`additional_funcs`), a confusion matrix, an HTML artifact with pictures, and
a condition on a metric. The data, 1,797 pictures of 8 x 8 pixels, is part of scikit-learn.
"""

from standpipe import dsl, local
from standpipe.dsl import HTML, ClassificationMetrics, Dataset, Input, Metrics, Model, Output

PACKAGES = ["scikit-learn==1.7.2"]


@dsl.component(packages_to_install=PACKAGES)
def load(test_share: float, seed: int, train_set: Output[Dataset], test_set: Output[Dataset]):
    """Store the pictures, each as a row of 64 numbers from 0 to 16, and their labels."""
    import numpy as np
    from sklearn.datasets import load_digits
    from sklearn.model_selection import train_test_split

    pictures, labels = load_digits(return_X_y=True)
    parts = train_test_split(pictures, labels, test_size=test_share, random_state=seed, stratify=labels)
    for output, rows, digits in ((train_set, parts[0], parts[2]), (test_set, parts[1], parts[3])):
        with open(output.path, "wb") as file:  # savez adds .npz to a name, but not to a file
            np.savez_compressed(file, pictures=rows, labels=digits)
        output.metadata["pictures"] = len(rows)


@dsl.component(packages_to_install=PACKAGES)
def train(train_set: Input[Dataset], gamma: float, model: Output[Model]):
    """Fit a support vector machine."""
    import joblib
    import numpy as np
    from sklearn.svm import SVC

    data = np.load(train_set.path)
    joblib.dump(SVC(gamma=gamma).fit(data["pictures"], data["labels"]), model.path)
    model.framework = "scikit-learn"
    model.metadata["gamma"] = gamma


def draw(pixels: list[float], caption: str) -> str:
    """Return a picture with a caption as HTML. This is not a component, but a function that components can call."""
    squares = "".join(
        f'<rect x="{number % 8}" y="{number // 8}" width="1" height="1" fill-opacity="{value / 16:.2f}"/>'
        for number, value in enumerate(pixels)
        if value
    )
    return f'<figure><svg viewBox="0 0 8 8" width="96">{squares}</svg><figcaption>{caption}</figcaption></figure>'


@dsl.component(packages_to_install=PACKAGES, additional_funcs=[draw])
def evaluate(
    model: Input[Model],
    test_set: Input[Dataset],
    metrics: Output[Metrics],
    matrix: Output[ClassificationMetrics],
    mistakes: Output[HTML],
) -> float:
    """Return the accuracy; write the confusion matrix, and a page with the pictures that are classified wrongly."""
    import joblib
    import numpy as np
    from sklearn.metrics import accuracy_score, confusion_matrix

    data = np.load(test_set.path)
    predicted = joblib.load(model.path).predict(data["pictures"])
    accuracy = float(accuracy_score(data["labels"], predicted))
    metrics.log_metric("accuracy", accuracy)
    matrix.log_confusion_matrix(
        [str(digit) for digit in range(10)], confusion_matrix(data["labels"], predicted).tolist()
    )

    wrong = np.flatnonzero(predicted != data["labels"])
    figures = [
        draw(data["pictures"][row].tolist(), f"{data['labels'][row]}, classified as {predicted[row]}") for row in wrong
    ]
    with open(mistakes.path, "w") as file:
        file.write(f"<h1>{len(wrong)} of {len(predicted)} are wrong</h1>\n" + "\n".join(figures))
    mistakes.metadata["pictures"] = len(wrong)
    return accuracy


@dsl.component
def release(model: Input[Model], accuracy: float, released: Output[Model]):
    """Copy the model to where it would be served from."""
    import shutil

    shutil.copyfile(model.path, released.path)
    released.metadata["accuracy"] = accuracy


@dsl.pipeline
def digits(gamma: float = 0.001, test_share: float = 0.3, seed: int = 7, required_accuracy: float = 0.95) -> float:
    """Train and evaluate a model, and release it if it is good enough."""
    data = load(test_share=test_share, seed=seed)
    trained = train(train_set=data.outputs["train_set"], gamma=gamma)
    evaluated = evaluate(model=trained.outputs["model"], test_set=data.outputs["test_set"])
    with dsl.If(evaluated.outputs["Output"] >= required_accuracy):
        release(model=trained.outputs["model"], accuracy=evaluated.outputs["Output"])
    return evaluated.outputs["Output"]


if __name__ == "__main__":
    local.init(runner=local.SubprocessRunner())
    print(f"The accuracy on the test set is {digits().output:.1%}.")
