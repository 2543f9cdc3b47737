# ruff: noqa: UP006, UP035, UP045  the older spellings are among what is tested
"""What annotations are taken for, by the rules of `kfp/dsl/types/type_annotations.py`."""

from __future__ import annotations

from typing import Any, Dict, List, Literal, NamedTuple, Optional, Union

import pytest

from standpipe.worker import annotations as ann
from standpipe.worker.annotations import EmbeddedInput, Input, InputPath, Output, OutputPath
from standpipe.worker.artifacts import Artifact, Dataset, Model


class Own(Dataset):
    schema_title = "system.Own"


@pytest.mark.parametrize(
    ("annotation", "bare"),
    [
        (Optional[int], int),
        (Union[None, int], int),
        (int | None, int),
        (Optional[Input[Dataset]], Input[Dataset]),
        (Union[int, str], Union[int, str]),
        (Union[int, str, None], Union[int, str, None]),
        (int, int),
        (List[int], List[int]),
    ],
)
def test_optional_is_stripped(annotation: Any, bare: Any) -> None:
    assert ann.strip_optional(annotation) == bare


def test_markers() -> None:
    kinds = {
        marked: (ann.is_input(marked), ann.is_output(marked), ann.is_embedded(marked))
        for marked in (Input[Dataset], Output[Dataset], EmbeddedInput[Dataset], Dataset)
    }

    assert list(kinds.values()) == [(1, 0, 0), (0, 1, 0), (0, 0, 1), (0, 0, 0)]
    assert ann.strip_marker(Input[List[Dataset]]) == List[Dataset]
    assert ann.strip_marker(int) is int


@pytest.mark.parametrize(
    ("annotation", "cls", "is_list"),
    [
        (Dataset, Dataset, False),
        (Input[Own], Own, False),
        (Optional[Input[Model]], Model, False),
        (Input[List[Dataset]], Dataset, True),
        (list[Dataset], Dataset, True),
        (Output[List[Own]], Own, True),
        (EmbeddedInput[Dataset], Dataset, False),
        (InputPath("Dataset"), Dataset, False),
        (OutputPath(str), None, False),
        (List[int], None, False),
        (list, None, False),
        (int, None, False),
        ("Dataset", None, False),
    ],
)
def test_artifact_classes_and_lists(annotation: Any, cls: type | None, is_list: bool) -> None:
    assert ann.artifact_class(annotation) is cls
    assert ann.is_artifact_list(annotation) is is_list


def test_an_artifact_class_is_any_class_with_a_schema() -> None:
    class Foreign:
        schema_title = "google.Thing"
        schema_version = "0.0.1"

    assert ann.is_artifact_class(Foreign)
    assert not ann.is_artifact_class(Foreign())
    assert not ann.is_artifact_class(int)


@pytest.mark.parametrize(
    ("annotation", "expected"),
    [
        (int, int),
        (List[int], list),
        (list[Dict[str, int]], list),
        (Dict[str, Any], dict),
        (Optional[float], float),
        ("Integer", int),
        ("String", str),
        ("typing.List[typing.Dict[str, int]]", list),
        ("JsonObject", dict),
        ("Dataset", None),
        (Dataset, None),
        (Any, None),
        (None, None),
        (Literal["a", "b"], str),
        (Optional[Literal[1, 2]], int),
        (Literal[True, 1], None),
        (Literal[None], None),
    ],
)
def test_parameter_types(annotation: Any, expected: type | None) -> None:
    assert ann.parameter_type(annotation) is expected


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        (str, str),
        (int, int),
        ("String", "String"),
        (List[int], List[int]),
        (Dataset, "system.Dataset@0.0.1"),
        ("Dataset", "system.Dataset@0.0.1"),
        ("classificationMetrics", "system.ClassificationMetrics@0.0.1"),
        (Own, "system.Own@0.0.1"),
        (None, "system.Artifact@0.0.1"),
        ("MyCustomType", "system.Artifact@0.0.1"),
    ],
)
@pytest.mark.parametrize("path", [InputPath, OutputPath])
def test_the_type_of_a_path(path: type[InputPath | OutputPath], given: Any, kept: Any) -> None:
    assert path(given).type == kept


def test_paths_are_equal_by_kind_and_type() -> None:
    assert InputPath("Dataset") == InputPath(Dataset)
    assert InputPath("Dataset") != OutputPath("Dataset")
    assert len({OutputPath(str), OutputPath(str), OutputPath(int)}) == 2
    assert repr(OutputPath("Model")) == "OutputPath('system.Model@0.0.1')"
    assert Optional[InputPath("Dataset")]


def test_annotations_written_as_text_are_evaluated() -> None:
    def function(a: Input[Dataset], b: InputPath("Model"), c: int = 3) -> Artifact:  # type: ignore[valid-type]
        raise NotImplementedError

    assert isinstance(function.__annotations__["a"], str)
    hints = ann.annotations_of(function)
    assert ann.strip_optional(hints.pop("c")) is int
    assert hints == {"a": Input[Dataset], "b": InputPath("Model"), "return": Artifact}


def test_text_that_is_no_python_stays_text() -> None:
    def function(a: Integer, b: List[Dataset]) -> Unheard:  # type: ignore[name-defined]  # noqa: F821
        raise NotImplementedError

    assert ann.annotations_of(function) == {"a": "Integer", "b": List[Dataset], "return": "Unheard"}


class Outputs(NamedTuple):
    total: int
    data: Dataset


def test_named_tuples() -> None:
    assert ann.is_named_tuple(Outputs)
    assert not ann.is_named_tuple(tuple)
    assert ann.annotations_of(Outputs) == {"total": int, "data": Dataset}
