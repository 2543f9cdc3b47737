"""What a container asks for, as text in a Plan and as text and numbers in a file.

The fields whose names begin with `resource` hold the author's text, placeholders included. The older ones beside
them hold the same as numbers (cores, gigabytes, a count) for older backends, unless a placeholder leaves it open.
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


def gigabytes(text: str) -> float:
    """Memory in units of 10^9 bytes: `2G` is 2, `1Gi` is 1.073741824, a bare number counts bytes."""
    return parse_memory(text) / _GIGABYTE


#: Field of `Resources`: the field for text, the field for the number, and how one becomes the other.
_FIELDS: dict[str, tuple[str, str, Callable[[str], float]]] = {
    "cpu_limit": ("resourceCpuLimit", "cpuLimit", parse_cpu),
    "cpu_request": ("resourceCpuRequest", "cpuRequest", parse_cpu),
    "memory_limit": ("resourceMemoryLimit", "memoryLimit", gigabytes),
    "memory_request": ("resourceMemoryRequest", "memoryRequest", gigabytes),
}


def emit_resources(resources: Resources, path: str) -> dict[str, Json]:
    """The fields of `PipelineContainerSpec.ResourceSpec`, empty where nothing is asked for.

    Raises:
        SpecError: if a text is no quantity.
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
            f"{path}.{text_field}: {quantity!r} is no quantity; write it as in '0.5', '2' or '1Gi'"
        ) from None


def load_resources(section: Section) -> Resources:
    """The opposite of `emit_resources`. Files of older SDKs have the numbers only: they become text."""
    accelerator = section.section("accelerator")
    found = {
        name: _load_quantity(section, text_field, number_field, "G" if to_number is gigabytes else "")
        for name, (text_field, number_field, to_number) in _FIELDS.items()
    }
    found["accelerator_count"] = _load_quantity(accelerator, "resourceCount", "count", "")
    found["accelerator_type"] = _load_quantity(accelerator, "resourceType", "type", "")
    accelerator.end()
    section.end()
    return Resources(**found)


def _load_quantity(section: Section, text_field: str, plain_field: str, unit: str) -> str | Template:
    text = section.take(text_field, "")
    plain = section.take(plain_field, "")
    if text or plain == "":
        return parse_text(text)
    return f"{plain}{unit}"
