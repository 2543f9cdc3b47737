"""What MLflow takes, in names and sizes of requests."""

from __future__ import annotations

import doctest
import json

from standpipe.trackers.mlflow import limits


def test_the_examples_of_names_are_right() -> None:
    assert doctest.testmod(limits).failed == 0


def test_long_names_are_cut() -> None:
    assert len(limits.clean_key("x" * 249 + "/" + "y" * 9)) == 249


def test_nothing_needs_no_request() -> None:
    assert [*limits.make_batches({}, {}, {}, 0.0)] == []


def test_a_task_needs_one_request() -> None:
    (batch,) = limits.make_batches({"rate": "1"}, {"loss": 0.5}, {"error": "no", "empty": ""}, 2.5)

    assert batch == {
        "params": [{"key": "rate", "value": "1"}],
        "metrics": [{"key": "loss", "value": 0.5, "timestamp": 2500, "step": 0}],
        "tags": [{"key": "error", "value": "no"}],
    }


def test_requests_are_as_large_as_the_server_takes() -> None:
    params = {f"{number:0250}": "\N{SNOWMAN}" * limits.MAX_PARAM for number in range(150)}
    metrics = {f"{number:0250}": 1e308 for number in range(2000)}
    tags = {f"{number:0250}": "\N{SNOWMAN}" * 10_000 for number in range(3)}
    batches = [*limits.make_batches(params, metrics, tags, 1e9)]

    assert max(len(json.dumps({"run_id": "0" * 32, **batch})) for batch in batches) < 1_000_000
    assert max(sum(map(len, batch.values())) for batch in batches) <= 1000
    assert [entry["key"] for batch in batches for entry in batch.get("params", [])] == [*params]
    assert [entry["key"] for batch in batches for entry in batch.get("metrics", [])] == [*metrics]
