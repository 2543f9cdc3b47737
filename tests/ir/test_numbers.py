from __future__ import annotations

import pytest

from standpipe.errors import SpecError
from standpipe.ir.numbers import check_value, convert_whole_doubles, restore_integers
from standpipe.model.types import ParameterType
from tests.ir.strategies import exact


@pytest.mark.parametrize("value", [None, True, "a", 2**53, 2**60, -1.5, [1, {"k": [2]}], (1, 2)])
def test_values_that_fit(value: object) -> None:
    check_value(value, "x")


@pytest.mark.parametrize(
    ("value", "path"), [(2**53 + 1, "x"), ({"k": [0, 2**53 + 1]}, "x['k'][1]"), ((10**400,), "x[0]")]
)
def test_integers_that_would_change(value: object, path: str) -> None:
    with pytest.raises(SpecError) as caught:
        check_value(value, "x")

    assert str(caught.value).startswith(f"{path} cannot be compiled: KFP stores numbers as doubles")
    assert str(caught.value).endswith("would change. Pass it as text.")


def test_whole_doubles_become_integers_as_far_as_go_writes_them_so() -> None:
    assert exact(convert_whole_doubles([3.0, {"k": -2.0}, 0.5, 1e20, 1e21, True, None, "3.0"])) == exact(
        [3, {"k": -2}, 0.5, 10**20, 1e21, True, None, "3.0"]
    )


def test_only_a_declared_double_stays_one() -> None:
    assert exact(restore_integers(3.0, ParameterType.NUMBER_DOUBLE)) == exact(3.0)
    assert exact(restore_integers(3.0, ParameterType.NUMBER_INTEGER)) == exact(3)
    assert exact(restore_integers(3.0, None)) == exact(3)
