"""Durations as text, the same in progress and in run history."""

from __future__ import annotations


def format_duration(seconds: float) -> str:
    """Return a duration as text: `0.442 s`, `12 min 5 s`.

    >>> [format_duration(seconds) for seconds in (0.00006, 0.4421, 59.96, 725, 7260, 180000)]
    ['0.0001 s', '0.442 s', '1 min 0 s', '12 min 5 s', '2 h 1 min', '2 d 2 h']

    Args:
        seconds: the duration.
    """
    if seconds < 0.0001:
        seconds = round(seconds, 4)  # otherwise 0.00006 becomes 6e-05
    if seconds < 59.95:
        return f"{seconds:.3g} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest} s"
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours < 24 else f"{hours // 24} d {hours % 24} h"
