"""Resource requests and limits of a container: text in a Plan, text and numbers in a file.

The fields whose names begin with `resource` have the author's text, which can have placeholders. The older fields have
the same as numbers (cores, gigabytes, a count) for older backends, unless the text has a placeholder.
"""

from __future__ import annotations

from collections.abc import Callable

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


#: By field of `Resources`: the field for the text, the field for the number, and the conversion.
_FIELDS: dict[str, tuple[str, str, Callable[[str], float]]] = {
    "cpu_limit": ("resourceCpuLimit", "cpuLimit", parse_cpu),
    "cpu_request": ("resourceCpuRequest", "cpuRequest", parse_cpu),
    "memory_limit": ("resourceMemoryLimit", "memoryLimit", parse_gigabytes),
    "memory_request": ("resourceMemoryRequest", "memoryRequest", parse_gigabytes),
}


def emit_resources(resources: Resources, path: str) -> dict[str, Json]:
    """Return the fields of `PipelineContainerSpec.ResourceSpec`; empty if nothing is requested.

    Raises:
        SpecError: if a text is not a quantity.
    """
    result: dict[str, Json] = {}
    for name, (text_field, number_field, to_number) in _FIELDS.items():
        result |= _emit_quantity(getattr(resources, name), text_field, number_field, to_number, path)
    accelerator = _emit_quantity(resources.accelerator_count, "resourceCount", "count", int, f"{path}.accelerator")
    accelerator |= _emit_quantity(resources.accelerator_type, "resourceType", "type", str, f"{path}.accelerator")
    return result | ({"accelerator": accelerator} if accelerator else {})


def _emit_quantity(
    quantity: str | Template, text_field: str, plain_field: str, convert: Callable[[str], Json], path: str
) -> dict[str, Json]:
    if quantity == "":
        return {}
    if isinstance(quantity, Template):
        return {text_field: str(quantity)}
    try:
        return {text_field: quantity, plain_field: convert(quantity)}
    except ValueError:
        raise SpecError(
            f"{path}.{text_field}: invalid quantity {quantity!r}, expected a quantity such as '0.5', '2' or '1Gi'"
        ) from None


def load_resources(section: Section) -> Resources:
    """Return the resources with these fields: the inverse of `emit_resources`.

    Files of older SDKs have only the numbers, which are converted to text.
    """
    accelerator = section.take_section("accelerator")
    found = {
        name: _load_quantity(section, text_field, number_field, "G" if to_number is parse_gigabytes else "")
        for name, (text_field, number_field, to_number) in _FIELDS.items()
    }
    found["accelerator_count"] = _load_quantity(accelerator, "resourceCount", "count", "")
    found["accelerator_type"] = _load_quantity(accelerator, "resourceType", "type", "")
    accelerator.check_all_taken()
    section.check_all_taken()
    return Resources(**found)


def _load_quantity(section: Section, text_field: str, plain_field: str, unit: str) -> str | Template:
    text = section.take(text_field, "")
    plain = section.take(plain_field, "")
    if text or plain == "":
        return parse_text(text)
    return f"{plain}{unit}"
