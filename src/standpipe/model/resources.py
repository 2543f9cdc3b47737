"""CPU, memory and accelerators: quantities as text, the requests and limits of a task, the capacity of a machine."""

from __future__ import annotations

import enum
import re

from standpipe.errors import StandpipeError
from standpipe.model.frozen import frozen

#: The units of memory of Kubernetes, in bytes.
_UNITS: dict[str, int] = {
    "": 1,
    **{unit: 1000**power for power, unit in enumerate(("K", "M", "G", "T", "P", "E"), start=1)},
    "k": 1000,
    **{unit: 1024**power for power, unit in enumerate(("Ki", "Mi", "Gi", "Ti", "Pi", "Ei"), start=1)},
}

_CORES = re.compile(r"(\d+(?:\.\d*)?|\.\d+)(m?)")
_BYTES = re.compile(r"(\d+(?:\.\d*)?(?:[eE][+-]?\d+)?|\.\d+)([kKMGTPE]i?|)")


class QuantityError(StandpipeError, ValueError):
    """A text is not a valid quantity. The message says what is expected."""


@frozen
class ResourceRequest:
    """The resource requests and limits of a task, adjusted to the capacity of the machine.

    `cpu` (cores), `memory` (bytes) and `gpus` (a count) must be available before the task starts, and are reserved
    until it ends. `cpu_limit` and `memory_limit` are the maximum that it can use; None is no limit. `unavailable`
    describes what the task requests beyond the capacity of the machine; empty if nothing. `accelerator` is the kind of
    its accelerators, as its author wrote it; empty for any.
    """

    cpu: float = 0.0
    memory: int = 0
    gpus: int = 0
    cpu_limit: float | None = None
    memory_limit: int | None = None
    unavailable: str = ""
    accelerator: str = ""


#: The request of a task without requests and limits, which nearly all tasks share.
NO_REQUEST = ResourceRequest()


@frozen
class Limits:
    """The limits of an attempt: cores, bytes of memory, and the accelerators reserved for it, by their CUDA names."""

    cpu: float | None = None
    memory: int | None = None
    gpus: tuple[str, ...] = ()


@frozen
class Capacity:
    """The capacity of a machine for tasks: cores, bytes of memory, and accelerators by their CUDA names."""

    cpu: float
    memory: int
    gpus: tuple[str, ...] = ()


#: The capacity of a machine that runs any number of tasks.
UNBOUNDED = Capacity(float(10**9), 2**63)


class ResourcePolicy(enum.Enum):
    """How to handle a task that requests more than the capacity of the machine."""

    CLAMP = "clamp"  # run it with all that there is, with a notice
    STRICT = "strict"  # fail it
    IGNORE = "ignore"  # count nothing, and set no limits


def parse_cpu(text: str) -> float:
    """Return a CPU quantity in cores: `0.5` and `500m` are 0.5.

    Raises:
        QuantityError: if the text is not a CPU quantity.
    """
    match = _CORES.fullmatch(text)
    if not match:
        raise QuantityError(f"invalid CPU quantity {text!r}: expected a number of cores such as '2', '0.5' or '500m'")
    return float(match[1]) / (1000 if match[2] else 1)


def parse_memory(text: str) -> int:
    """Return a memory quantity in bytes: `1Ki` is 1024, `1K` is 1000, a number without a unit is in bytes.

    Raises:
        QuantityError: if the text is not a memory quantity.
    """
    match = _BYTES.fullmatch(text)
    if not match or match[2] not in _UNITS:
        raise QuantityError(
            f"invalid memory quantity {text!r}: expected a number of bytes such as '512Mi', '2G' or '1000000'"
        )
    return int(float(match[1]) * _UNITS[match[2]]) if not match[1].isdigit() else int(match[1]) * _UNITS[match[2]]


def parse_accelerator_count(text: str) -> int:
    """Return a number of accelerators.

    Raises:
        QuantityError: if the text is not a whole number.
    """
    if not text.isascii() or not text.isdigit():
        raise QuantityError(f"invalid number of accelerators {text!r}: expected a whole number such as '1'")
    return int(text)


def format_memory(memory: int) -> str:
    """Return a number of bytes as text with a unit, such as `512 MiB`.

    >>> [format_memory(memory) for memory in (500, 2048, 1023 * 1024, 1536 * 1024**2)]
    ['500 bytes', '2 KiB', '1023 KiB', '1.5 GiB']
    """
    amount = float(memory)
    for unit in ("bytes", "KiB", "MiB", "GiB"):
        if amount < 1024:
            return f"{_digits(amount)} {unit}"
        amount /= 1024
    return f"{_digits(amount)} TiB"


def _digits(amount: float) -> str:
    """Return three digits of a number, and all before the point."""
    return f"{amount:.3g}" if amount < 999.5 else f"{amount:.0f}"  # otherwise 1000 becomes 1e+03
