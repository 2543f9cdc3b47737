"""What a row is, and what the modules of rows share."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple, Protocol

from sides import Failed, Sides


class Row(NamedTuple):
    """One row of the table, as text, and whether the target was met."""

    what: str
    target: str
    measured: str
    comparison: str
    met: bool


class Options(NamedTuple):
    """How much is measured.

    Args:
        quick: whether peers that take long are left out.
        full_scale: whether the largest loops are run, which takes half an hour.
    """

    quick: bool = False
    full_scale: bool = False


class Measure(Protocol):
    """Measures a row."""

    __name__: str

    def __call__(self, sides: Sides, options: Options) -> Row:
        """Measure, and return the row."""


def measured_row(what: str, target: str) -> Callable[[Callable[[Sides, Options], tuple[str, str, bool]]], Measure]:
    """Return a decorator for a function that measures one row.

    The function returns the cells `measured` and `comparison`, and whether the target was met. If it raises `Failed`,
    the row was not measured, and counts as missed.
    """

    def decorate(measure: Callable[[Sides, Options], tuple[str, str, bool]]) -> Measure:
        def row(sides: Sides, options: Options) -> Row:
            try:
                return Row(what, target, *measure(sides, options))
            except (Failed, FileNotFoundError) as problem:
                return Row(what, target, "not measured", str(problem).strip().splitlines()[-1], False)

        row.__name__ = measure.__name__
        row.__doc__ = measure.__doc__
        return row

    return decorate


def milliseconds(seconds: float) -> str:
    """Return a time as text, with two digits that count."""
    return f"{seconds * 1000:.1f} ms" if seconds < 0.0995 else f"{seconds * 1000:.0f} ms"
