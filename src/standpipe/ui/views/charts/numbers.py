"""Numbers as they are shown."""

from __future__ import annotations

import math


def format_number(value: float) -> str:
    """Return a number with six significant digits; whole numbers in full, up to 15 digits, in groups of three.

    >>> [format_number(value) for value in (0.98765432, 1234567, 3.0, 1.5e-9, 2e20, -0.5)]
    ['0.987654', '1,234,567', '3', '1.5e-09', '2e+20', '-0.5']
    """
    if math.isfinite(value) and value == int(value) and abs(value) < 10**15:
        return f"{int(value):,}"
    return f"{value:.6g}"


def format_percent(fraction: float) -> str:
    """Return a fraction as a percentage with at most one digit after the point, and never 0 or 100 by rounding.

    >>> [format_percent(fraction) for fraction in (0, 0.0001, 0.125, 0.5, 0.9999, 1)]
    ['0 %', '<0.1 %', '12.5 %', '50 %', '>99.9 %', '100 %']
    """
    if 0 < fraction < 0.001:
        return "<0.1 %"
    if 0.999 < fraction < 1:
        return ">99.9 %"
    return f"{round(fraction * 100, 1):g} %"
