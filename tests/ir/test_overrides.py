from __future__ import annotations

from dataclasses import replace

import pytest

from standpipe.errors import ArgumentError, AuthoringError, UnsupportedError
from standpipe.ir.overrides import override
from standpipe.model.types import ArtifactInput, ParameterInput, ParameterType
from tests.ir.plans import MODEL, training


def test_nothing_to_change() -> None:
    assert override(training()) == training()


def test_names() -> None:
    assert override(training(), name="other", display_name="Other") == replace(
        training(), name="other", display_name="Other"
    )


def test_a_parameters_default() -> None:
    plan = override(training(), parameters={"rate": 2})

    rate = plan.root.inputs["rate"]
    assert rate == ParameterInput(ParameterType.NUMBER_DOUBLE, default=2.0)
    assert isinstance(rate, ParameterInput)
    assert type(rate.default) is float
    assert training().root.inputs["rate"] == ParameterInput(ParameterType.NUMBER_DOUBLE)


def test_null_changes_nothing() -> None:
    assert override(training(), parameters={"rate": None}) == training()


def test_an_unknown_parameter() -> None:
    with pytest.raises(AuthoringError) as caught:
        override(training(), parameters={"rat": 2})

    assert str(caught.value) == "Unknown parameter 'rat' of the pipeline 'training': expected one of rate."


def test_a_value_of_another_type() -> None:
    with pytest.raises(ArgumentError, match="'rate' of the pipeline 'training' does not fit: expected .*, got 'fast'"):
        override(training(), parameters={"rate": "fast"})


def test_an_artifact_has_no_default() -> None:
    root = replace(training().root, inputs={"start": ArtifactInput(MODEL)})

    with pytest.raises(
        UnsupportedError, match="'start' of the pipeline 'training' is an artifact, and only parameters"
    ):
        override(replace(training(), root=root), parameters={"start": "x"})
