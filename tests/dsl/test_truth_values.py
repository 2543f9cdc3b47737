"""Python operators that need a truth value while a pipeline is traced: what is compiled, and the warning."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from standpipe import dsl
from standpipe.errors import AuthoringError
from standpipe.model.plan import Dag


@dsl.component
def use(n: int) -> int:
    return n


def _conditions(function: Callable[..., Any]) -> list[str]:
    """Return the conditions of a pipeline as they are compiled, in short form."""
    body = dsl.pipeline(function).plan.root.body
    assert isinstance(body, Dag)
    conditions = [node.trigger.condition for node in body.nodes.values()]
    return [
        str(condition).replace("inputs.parameter_values['pipelinechannel--", "").replace("']", "")
        for condition in conditions
        if condition
    ]


def _and(n: int, s: str) -> None:
    with dsl.If(s != "" and n != 3):
        use(n=n)


def _or(n: int, s: str) -> None:
    with dsl.If(s != "" or n != 3):
        use(n=n)


def _chained(n: int) -> None:
    with dsl.If(1 < n < 3):
        use(n=n)


def _mixed(n: int, s: str) -> None:
    with dsl.If(
        (s == "a" or s == "b") and n > 1,
        name="long",
    ):
        use(n=n)


def _bool_input(n: int, b: bool) -> None:
    with dsl.If(b and n == 1):
        use(n=n)


def _one_line(n: int) -> None:
    with dsl.If(1 < n < 3): use(n=n)  # fmt: skip  # noqa: E701


@pytest.mark.parametrize(
    ("function", "condition", "warning"),
    [
        (_one_line, "int(n) < 3", "`1 < n < 3` is reduced to `n < 3`, without `1 < n`."),
        (_and, "int(n) != 3", "`s != '' and n != 3` is reduced to `n != 3`, without `s != ''`."),
        (_or, "s != ''", "`s != '' or n != 3` is reduced to `s != ''`, without `n != 3`."),
        (_chained, "int(n) < 3", "`1 < n < 3` is reduced to `n < 3`, without `1 < n`."),
        (_mixed, "int(n) > 1", "is reduced to `n > 1`, without `s == 'a'`, `s == 'b'`."),
        (_bool_input, "int(n) == 1", "`b and n == 1` is reduced to `n == 1`, without `b`."),
    ],
)
def test_operators_compile_as_in_the_sdk_and_say_what_is_lost(
    function: Callable[..., Any], condition: str, warning: str
) -> None:
    with pytest.warns(UserWarning, match="counts as true while the pipeline is traced") as record:
        conditions = _conditions(function)

    assert conditions == [condition]
    assert warning in str(record[0].message)
    assert Path(record[0].filename) == Path(__file__)
    code = Path(__file__).read_text("utf-8").splitlines()[record[0].lineno - 1]
    assert any(operator in code for operator in (" and ", " or ", " < n < "))


def _not(n: int) -> None:
    with dsl.If(not n == 2):  # noqa: SIM201 - the operator is the subject
        use(n=n)


def _in(s: str) -> None:
    with dsl.If(s in ["a", "b"]):
        use(n=1)


@pytest.mark.parametrize(("function", "warning"), [(_not, "is always False"), (_in, "does not compare the items")])
def test_operators_that_make_a_bool_are_refused_after_the_warning(function: Callable[..., Any], warning: str) -> None:
    with (
        pytest.warns(UserWarning, match=warning),
        pytest.raises(AuthoringError, match=r"dsl\.If expected a comparison"),
    ):
        dsl.pipeline(function)


def test_a_plain_if_takes_its_branch_and_warns() -> None:
    def decides(n: int, s: str) -> None:
        if n == 3:
            use(n=n)
        if s:
            use(n=1)

    with pytest.warns(UserWarning, match="counts as true") as record:
        body = dsl.pipeline(decides).plan.root.body

    assert isinstance(body, Dag)
    assert list(body.nodes) == ["use", "use-2"]
    assert [str(item.message).split(" counts")[0] for item in record] == [
        "A comparison with the pipeline input 'n'",
        "The pipeline input 's'",
    ]


def test_code_without_a_source_file_is_warned_of() -> None:
    scope: dict[str, Any] = {"use": use, "dsl": dsl}
    exec("def unseen(n: int):\n  with dsl.If(n > 1 and n < 3):\n    use(n=n)", scope)

    with pytest.warns(UserWarning, match="A comparison with the pipeline input 'n' counts as true"):
        assert _conditions(scope["unseen"]) == ["int(n) < 3"]


def test_single_comparisons_do_not_warn() -> None:
    def compares(n: int) -> None:
        with dsl.If(n == 1):
            use(n=n)
        with dsl.Elif(n == 2):
            use(n=n)

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        dsl.pipeline(compares)
