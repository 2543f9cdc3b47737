"""Durations as text, the same in progress and in run history."""

from __future__ import annotations

#: The units of ages, in seconds.
_UNITS = {"m": 60, "h": 3600, "d": 86_400, "w": 604_800}


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


def parse_age(text: str) -> float:
    """Return an age in seconds.

    >>> parse_age("90m"), parse_age("30d")
    (5400.0, 2592000.0)

    Raises:
        ValueError: if the text is not a number with a unit.
    """
    number, unit = text[:-1], text[-1:]
    if unit not in _UNITS or not number.replace(".", "", 1).isdecimal():
        raise ValueError(f"invalid age {text!r}: expected a number with a unit such as 12h, 30d or 8w")
    return float(number) * _UNITS[unit]
