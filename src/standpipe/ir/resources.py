"""Resource requests and limits of a container: text in a Plan, text and numbers in a file.

The fields whose names begin with `resource` have the author's text, which can have placeholders. The older fields have
the same as numbers (cores, gigabytes, a count) for older backends, unless the text has a placeholder.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from standpipe.errors import SpecError
from standpipe.ir.section import Section
from standpipe.model.plan import Resources
from standpipe.model.resources import parse_cpu, parse_memory
from standpipe.model.templates import Template, parse_text
from standpipe.model.types import Json

_GIGABYTE = 10**9


def parse_gigabytes(text: str) -> float:
    """Return memory in units of 10^9 bytes: `2G` is 2, `1Gi` is 1.073741824, a number without a unit is in bytes."""
    return parse_memory(text) / _GIGABYTE


class _Field(NamedTuple):
    """The notation of a field of `Resources`: the field for the text, the field for the number, and the conversion.

    `unit` is that of the number, and `group` the message that the fields are in, empty for the whole ResourceSpec.
    """

    text_field: str
    number_field: str
    convert: Callable[[str], Json]
    unit: str = ""
    group: str = ""


_FIELDS: dict[str, _Field] = {
    "cpu_limit": _Field("resourceCpuLimit", "cpuLimit", parse_cpu),
    "cpu_request": _Field("resourceCpuRequest", "cpuRequest", parse_cpu),
    "memory_limit": _Field("resourceMemoryLimit", "memoryLimit", parse_gigabytes, "G"),
    "memory_request": _Field("resourceMemoryRequest", "memoryRequest", parse_gigabytes, "G"),
    "accelerator_count": _Field("resourceCount", "count", int, group="accelerator"),
    "accelerator_type": _Field("resourceType", "type", str, group="accelerator"),
}


def emit_resources(resources: Resources, path: str) -> dict[str, Json]:
    """Return the fields of `PipelineContainerSpec.ResourceSpec`; empty if nothing is requested.

    Raises:
        SpecError: if a text is not a quantity.
    """
    result: dict[str, Json] = {}
    for name, field in _FIELDS.items():
        emitted = _emit_quantity(getattr(resources, name), field, f"{path}.{field.group}" if field.group else path)
        if name in resources.numbers:
            del emitted[field.text_field]
        if emitted:
            (result.setdefault(field.group, {}) if field.group else result).update(emitted)
    return result


def _emit_quantity(quantity: str | Template, field: _Field, path: str) -> dict[str, Json]:
    if quantity == "":
        return {}
    if isinstance(quantity, Template):
        return {field.text_field: str(quantity)}
    try:
        return {field.text_field: quantity, field.number_field: field.convert(quantity)}
    except ValueError:
        raise SpecError(
            f"{path}.{field.text_field}: invalid quantity {quantity!r}, expected a quantity such as '0.5', '2' or '1Gi'"
        ) from None


def load_resources(section: Section) -> Resources:
    """Return the resources with these fields: the inverse of `emit_resources`.

    Files of older SDKs have only the numbers, which are converted to text.
    """
    accelerator = section.take_section("accelerator")
    quantities: dict[str, str | Template] = {}
    numbers: list[str] = []
    for name, field in _FIELDS.items():
        message = accelerator if field.group else section
        text, number = message.take(field.text_field, ""), message.take(field.number_field, "")
        if number != "" and not text:
            quantities[name] = f"{number}{field.unit}"
            numbers.append(name)
        else:
            quantities[name] = parse_text(text)
    accelerator.check_all_taken()
    section.check_all_taken()
    return Resources(numbers=tuple(numbers), **quantities)
