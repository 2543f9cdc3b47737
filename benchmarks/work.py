"""The work of tasks that import large packages. Each function is a component, and runs in a process pool as well."""

from __future__ import annotations


def fit_iris(number: int, hold: float = 0.0) -> float:
    """Fit a logistic regression on iris; keep what it takes in memory for some seconds."""
    import time

    import pandas as pd
    from sklearn.datasets import load_iris
    from sklearn.linear_model import LogisticRegression

    iris = load_iris()
    flowers = pd.DataFrame(iris.data, columns=iris.feature_names)
    model = LogisticRegression(C=1.0 + number, max_iter=500).fit(flowers, iris.target)
    time.sleep(hold)
    return float(model.score(flowers, iris.target))


def train_step(number: int) -> float:
    """Train a small network for one step."""
    import torch

    torch.manual_seed(number)
    network = torch.nn.Sequential(torch.nn.Linear(64, 128), torch.nn.ReLU(), torch.nn.Linear(128, 1))
    optimizer = torch.optim.SGD(network.parameters(), lr=0.01)
    loss = (network(torch.randn(256, 64)) - torch.randn(256, 1)).square().mean()
    loss.backward()
    optimizer.step()
    return float(loss)


def multiply(number: int, repeats: int) -> float:
    """Multiply matrices of 1,000 rows that often."""
    import numpy as np

    matrix = np.full((1000, 1000), 0.001)
    product = matrix
    for _ in range(repeats):
        product = product @ matrix
    return float(product[0, 0])
