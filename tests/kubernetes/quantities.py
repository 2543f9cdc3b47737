"""Quantities of Kubernetes as numbers, and what a pod asks of its node."""

from __future__ import annotations

from collections import Counter
from decimal import Decimal

from tests.kubernetes.storage import Object

_BINARY = {f"{letter}i": 1024 ** (index + 1) for index, letter in enumerate("KMGTPE")}
_DECIMAL = {letter: 1000 ** (index + 1) for index, letter in enumerate("kMGTPE")}
_SUFFIXES: dict[str, int | Decimal] = {**_BINARY, **_DECIMAL, "m": Decimal("0.001")}


def parse(quantity: object) -> float:
    """Return the number that a quantity such as `500m`, `2` or `1Gi` stands for."""
    text = str(quantity)
    for suffix, factor in _SUFFIXES.items():
        if text.endswith(suffix):
            return float(Decimal(text.removesuffix(suffix)) * factor)
    return float(Decimal(text))


def requests(spec: Object) -> Counter[str]:
    """Return what a pod asks of its node: the containers and sidecars together, or the largest init container."""
    inits = spec.get("initContainers") or []
    beside = [*spec["containers"], *(each for each in inits if each.get("restartPolicy") == "Always")]
    total: Counter[str] = sum(map(_requests, beside), Counter())
    for container in inits:
        total |= _requests(container)
    return total


def _requests(container: Object) -> Counter[str]:
    resources = container.get("resources") or {}
    asked = {**(resources.get("limits") or {}), **(resources.get("requests") or {})}
    return Counter({name: parse(value) for name, value in asked.items()})
