"""The notations of quantities that users write on tasks: CPU, memory, counts and durations."""

from __future__ import annotations

import re
from typing import NamedTuple

from standpipe.errors import AuthoringError


class Quantity(NamedTuple):
    """The notation of a quantity: a regular expression, and a description for messages."""

    pattern: str
    description: str


CPU = Quantity(r"([0-9]*[.])?[0-9]+m?", "a number of cores such as '2', '0.5' or '500m'")
MEMORY = Quantity(r"[0-9]+(E|Ei|P|Pi|T|Ti|G|Gi|M|Mi|K|Ki)?", "a whole number with a unit such as '512Mi' or '2G'")
COUNT = Quantity(r"\d+", "a whole number, at least 0, such as '2'")

_DURATION = r"\s*(\d+)\s*([a-zA-Z]*)\s*"
_SECONDS_PER_UNIT = {
    **dict.fromkeys(("", "s", "sec", "secs", "second", "seconds"), 1),
    **dict.fromkeys(("m", "min", "mins", "minute", "minutes"), 60),
    **dict.fromkeys(("h", "hr", "hrs", "hour", "hours"), 3600),
    **dict.fromkeys(("d", "day", "days"), 86_400),
    **dict.fromkeys(("w", "wk", "wks", "week", "weeks"), 604_800),
}


def parse_duration(duration: str) -> float:
    """Return a duration such as `'90'`, `'60s'`, `'2 minutes'` or `'1h'` in seconds.

    Raises:
        AuthoringError: if the text is not a whole number with a unit.
    """
    match = re.fullmatch(_DURATION, str(duration))
    if not match or match[2].lower() not in _SECONDS_PER_UNIT:
        raise AuthoringError(
            f"Invalid duration {duration!r}: expected a whole number with the unit s, m, h, d or w, such as '60s'."
        )
    return float(int(match[1]) * _SECONDS_PER_UNIT[match[2].lower()])
