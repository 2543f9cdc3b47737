"""CPU, memory and accelerators: as text, as what a task needs before it starts, and as what it may use then."""

from __future__ import annotations

import re

from standpipe.errors import StandpipeError
from standpipe.model.frozen import frozen

#: Kubernetes' units of memory, in bytes.
_UNITS: dict[str, int] = {
    "": 1,
    **{unit: 1000**power for power, unit in enumerate(("K", "M", "G", "T", "P", "E"), start=1)},
    "k": 1000,
    **{unit: 1024**power for power, unit in enumerate(("Ki", "Mi", "Gi", "Ti", "Pi", "Ei"), start=1)},
}

_CORES = re.compile(r"(\d+(?:\.\d*)?|\.\d+)(m?)")
_BYTES = re.compile(r"(\d+(?:\.\d*)?(?:[eE][+-]?\d+)?|\.\d+)([kKMGTPE]i?|)")


class QuantityError(StandpipeError, ValueError):
    """A text is no quantity; the message says how one is written."""


@frozen
class Needs:
    """What a task needs and may use, as the machine at hand can give it.

    `cpu` (cores), `memory` (bytes) and `gpus` (whole ones) must be free before the task starts, and are its own until
    it ends. `cpu_limit` and `memory_limit` are the most that it may use; None is no limit. `lacking` says what the task
    asked for and does not get, because the machine does not have it; empty where it gets all.
    """

    cpu: float = 0.0
    memory: int = 0
    gpus: int = 0
    cpu_limit: float | None = None
    memory_limit: int | None = None
    lacking: str = ""


@frozen
class Limits:
    """What an attempt may use: cores, bytes, and the accelerators that are its own, by the names CUDA has for them."""

    cpu: float | None = None
    memory: int | None = None
    gpus: tuple[str, ...] = ()


@frozen
class Capacity:
    """What tasks may use of this machine, all together: cores, bytes, and accelerators by CUDA's names for them."""

    cpu: float
    memory: int
    gpus: tuple[str, ...] = ()


def cores(text: str) -> float:
    """CPU cores: `0.5` and `500m` are 0.5.

    Raises:
        QuantityError: if the text is no such quantity.
    """
    match = _CORES.fullmatch(text)
    if not match:
        raise QuantityError(f"{text!r} is no number of cores: write it as in '2', '0.5' or '500m'")
    return float(match[1]) / (1000 if match[2] else 1)


def size(text: str) -> int:
    """Memory in bytes: `1Ki` is 1024, `1K` is 1000, a bare number counts bytes.

    Raises:
        QuantityError: if the text is no such quantity.
    """
    match = _BYTES.fullmatch(text)
    if not match or match[2] not in _UNITS:
        raise QuantityError(f"{text!r} is no amount of memory: write it as in '512Mi', '2G' or '1000000'")
    return int(float(match[1]) * _UNITS[match[2]]) if not match[1].isdigit() else int(match[1]) * _UNITS[match[2]]


def count(text: str) -> int:
    """A number of accelerators.

    Raises:
        QuantityError: if the text is no whole number.
    """
    if not text.isascii() or not text.isdigit():
        raise QuantityError(f"{text!r} is no number of accelerators: write it as in '1'")
    return int(text)


def in_words(memory: int) -> str:
    """An amount of memory for people: `512 MiB`.

    >>> [in_words(memory) for memory in (500, 2048, 1536 * 1024**2)]
    ['500 bytes', '2 KiB', '1.5 GiB']
    """
    amount = float(memory)
    for unit in ("bytes", "KiB", "MiB", "GiB"):
        if amount < 1024:
            return f"{amount:.3g} {unit}"
        amount /= 1024
    return f"{amount:.3g} TiB"
