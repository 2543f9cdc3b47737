"""Parameters with a `Literal` annotation. The schema of KFP 2.17.3 has them; its SDK cannot author them."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

import pytest

from standpipe import dsl, ir, local
from standpipe.errors import AuthoringError, AuthoringTypeError, InconsistentTypeException, StandpipeError
from standpipe.local import FakeRunner
from standpipe.model.types import ParameterInput, ParameterOutput, ParameterType

STRING, INT = ParameterType.STRING, ParameterType.NUMBER_INTEGER


@dsl.component
def choose(mode: Literal["fast", "good"], level: Literal[1, 2] = 1, how: Literal["x"] | None = None) -> str:
    return f"{mode} {level} {how}"


@dsl.pipeline
def choice(mode: str, level: Literal[1, 2] = 2) -> str:
    return choose(mode=mode, level=level).output


def test_the_choices_are_in_the_interface() -> None:
    assert choose.inputs == {
        "mode": ParameterInput(STRING, literals=("fast", "good")),
        "level": ParameterInput(INT, optional=True, default=1, literals=(1, 2)),
        "how": ParameterInput(STRING, optional=True, literals=("x",)),
    }
    assert choice.inputs["level"] == ParameterInput(INT, optional=True, default=2, literals=(1, 2))


def test_the_choices_survive_compiling_and_loading() -> None:
    compiled = ir.emit(choose.plan)
    parameters = compiled["components"]["comp-choose"]["inputDefinitions"]["parameters"]
    assert parameters["mode"] == {"parameterType": "STRING", "literals": ["fast", "good"]}
    assert parameters["level"]["literals"] == [1, 2]
    assert ir.load(compiled) == choose.plan


@pytest.mark.parametrize(
    ("annotation", "kind"), [(Literal["a"], STRING), (Literal[1.5], ParameterType.NUMBER_DOUBLE), (Literal[3, 4], INT)]
)
def test_a_choice_may_be_returned(annotation: Any, kind: ParameterType) -> None:
    def returns() -> Any:
        return 1

    returns.__annotations__["return"] = annotation
    assert dsl.component(returns).outputs == {"Output": ParameterOutput(kind)}


def test_the_values_of_a_choice_are_of_one_type() -> None:
    def mixed(x: Literal["a", 1]) -> None: ...

    def nothing(x: Literal[None]) -> None: ...

    for function in (mixed, nothing):
        with pytest.raises(
            AuthoringTypeError, match=r"argument 'x': KFP cannot pass typing\.Literal\[.* a Literal of values of one of"
        ):
            dsl.component(function)


def test_a_default_is_one_of_the_choices() -> None:
    def wrong(x: Literal["a", "b"] = "c") -> None: ...  # type: ignore[assignment]

    with pytest.raises(AuthoringError, match="the default value is 'c', expected one of 'a', 'b'"):
        dsl.component(wrong)


def test_an_argument_is_checked_against_the_choices_before_anything_runs(tmp_path: Path) -> None:
    def traced() -> None:
        choose(mode="best")

    with pytest.raises(AuthoringError, match="input 'mode' is 'best', expected one of 'fast', 'good'"):
        dsl.pipeline(traced)
    with pytest.raises(AuthoringError, match="input 'level' is 3, expected one of 1, 2"):
        local.run(choose, {"mode": "fast", "level": 3}, runner=FakeRunner(), pipeline_root=tmp_path)
    with pytest.raises(InconsistentTypeException):
        choose(mode=1)
    assert not list(tmp_path.iterdir())


def test_a_value_is_checked_against_the_choices_when_the_task_starts(tmp_path: Path) -> None:
    runner = FakeRunner(choose=lambda **given: {"Output": str(given)})
    ended = local.run(choice, {"mode": "good"}, runner=runner, pipeline_root=tmp_path, quiet=True)
    assert "'level': 2" in ended.output
    with pytest.raises(StandpipeError, match=r"'choose' failed: its input 'mode' is 'best', expected one of"):
        local.run(choice, {"mode": "best"}, runner=runner, pipeline_root=tmp_path, quiet=True)
