"""Templates, and the filters that they share."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any
from urllib.parse import quote, urlencode

from jinja2 import Environment, PackageLoader, StrictUndefined

from standpipe.history import records
from standpipe.support.durations import format_duration

_environment = Environment(
    loader=PackageLoader("standpipe.ui", "templates"),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)

#: Names of files may have halves of surrogate pairs, for bytes that are not UTF-8.
_ERRORS = "surrogatepass"


def render(template: str, context: Mapping[str, Any]) -> str:
    """Return a template as text, with the values of a context by name."""
    return _environment.get_template(template).render(context)


def load(*templates: str) -> None:
    """Compile templates that are needed soon, which takes longer than to render them."""
    for template in templates:
        _environment.get_template(template)


def link(*steps: str, **query: object) -> str:
    """Return the address of a page: steps of its path, and a query without the parts that are None or empty.

    >>> link("runs", "a b", tab="logs", task="")
    '/runs/a%20b?tab=logs'
    """
    path = "/" + "/".join(quote(step, safe="", errors=_ERRORS) for step in steps)
    parts = {name: value for name, value in query.items() if value is not None and value not in ("", ())}
    return f"{path}?{urlencode(parts, doseq=True, errors=_ERRORS)}" if parts else path


def format_bytes(size: int | None) -> str:
    """Return a size in bytes for people; empty if it is not known.

    >>> format_bytes(0), format_bytes(1536), format_bytes(1023 * 1024 - 400), format_bytes(5 * 1024**3)
    ('0 B', '1.5 KiB', '1023 KiB', '5 GiB')
    """
    if size is None:
        return ""
    number, units = float(size), ("B", "KiB", "MiB", "GiB", "TiB")
    unit = 0
    while number >= 1024 and unit < len(units) - 1:
        number, unit = number / 1024, unit + 1
    return f"{number:.3g} {units[unit]}" if number < 999.5 else f"{number:.0f} {units[unit]}"


def format_time(time: datetime | None) -> str:
    """Return a local time to the second, with its offset from UTC; empty if it is not known."""
    return "" if time is None else records.format_time(time)


def _format_seconds(seconds: float | None) -> str:
    return "" if seconds is None else format_duration(seconds)


_environment.globals["link"] = link
_environment.filters.update(seconds=_format_seconds, bytes=format_bytes, time=format_time)
