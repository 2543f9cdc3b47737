"""What a task needs of the machine, out of what its author asked for.

As on Kubernetes, who sets a limit and no request asks for as much as the limit.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace

from standpipe.engine.inputs import BindingError, rendered
from standpipe.model.plan import Component, Container, Executor, Resources
from standpipe.model.resources import (
    Capacity,
    Needs,
    QuantityError,
    ResourcePolicy,
    cores,
    count,
    in_words,
    size,
)
from standpipe.model.templates import Template
from standpipe.model.values import Value, as_text


def needs_of(
    component: Component,
    executor: Executor,
    inputs: Mapping[str, Value],
    capacity: Capacity,
    policy: ResourcePolicy,
    field: Callable[[str], str],
) -> Needs:
    """What an attempt at a component needs.

    Args:
        component: what runs; it says what of its resources is only passed on to its code.
        executor: its executor; importers need nothing.
        inputs: the values of its inputs, for the placeholders in its resources.
        capacity: what the machine has.
        policy: what becomes of a task that asks for more: it gets what there is, it fails, or nothing is counted.
        field: gives the values of the placeholders about the run and the task.

    Raises:
        BindingError: if a quantity is none, a request is above its limit, or the task asks for too much and the policy
            is strict.
    """
    if not isinstance(executor, Container) or executor.resources == Resources() or policy is ResourcePolicy.IGNORE:
        return Needs()
    if any(item.field == "RESOURCES" and not item.apply_to_task for item in component.task_config_passthroughs):
        return Needs()
    texts = {
        name: as_text(rendered(asked, inputs, field)).strip() if isinstance(asked, Template) else asked
        for name, asked in vars(executor.resources).items()
    }
    wanted = _wanted(texts)
    fitted, lacking = _fitted(wanted, texts["accelerator_type"], capacity)
    if lacking and policy is ResourcePolicy.STRICT:
        raise BindingError(
            f"it asks for {lacking}. Run it on a larger machine, ask for less, or let it have what there is: "
            "local.init(..., resources='clamp')"
        )
    return fitted


def _wanted(texts: Mapping[str, str]) -> Needs:
    cpu, cpu_limit = _pair(texts, "cpu", cores)
    memory, memory_limit = _pair(texts, "memory", size)
    gpus = _quantity(texts, "accelerator_count", count)
    if gpus is None:
        gpus = 1 if texts["accelerator_type"] else 0
    return Needs(float(cpu), int(memory), int(gpus), cpu_limit, None if memory_limit is None else int(memory_limit))


def _pair(texts: Mapping[str, str], what: str, read: Callable[[str], float]) -> tuple[float, float | None]:
    """A request and its limit."""
    request, limit = _quantity(texts, f"{what}_request", read), _quantity(texts, f"{what}_limit", read)
    if request is not None and limit is not None and request > limit:
        raise BindingError(
            f"its {what} request, {texts[f'{what}_request']}, is above its {what} limit, {texts[f'{what}_limit']}: no "
            "cluster would run it"
        )
    if request is None:
        request = limit or 0
    return request, limit or None  # a limit of 0 is none, as for Docker and KFP


def _quantity(texts: Mapping[str, str], name: str, read: Callable[[str], float]) -> float | None:
    if not texts[name]:
        return None
    try:
        return read(texts[name])
    except QuantityError as error:
        raise BindingError(f"its {name.replace('_', ' ')} cannot be read: {error}") from error


def _fitted(wanted: Needs, accelerator: str, capacity: Capacity) -> tuple[Needs, str]:
    """As much of what is wanted as the machine has, and in words what it does not have."""
    available = len(capacity.gpus) if _is_gpu(accelerator) else 0
    lacking = []
    if wanted.cpu > capacity.cpu:
        lacking.append(f"{wanted.cpu:g} cores, and this machine has {capacity.cpu:g}")
    if wanted.memory > capacity.memory:
        lacking.append(f"{in_words(wanted.memory)} of memory, and this machine has {in_words(capacity.memory)}")
    if wanted.gpus > available:
        kind = accelerator or "accelerators"
        lacking.append(f"{wanted.gpus} of {kind}, and this machine has {available or 'none'}")
    fitted = replace(
        wanted,
        cpu=min(wanted.cpu, capacity.cpu),
        memory=min(wanted.memory, capacity.memory),
        gpus=min(wanted.gpus, available),
        cpu_limit=wanted.cpu_limit if wanted.cpu_limit and wanted.cpu_limit < capacity.cpu else None,
        memory_limit=wanted.memory_limit if wanted.memory_limit and wanted.memory_limit < capacity.memory else None,
        lacking=" and for ".join(lacking),
    )
    return fitted, fitted.lacking


def _is_gpu(accelerator: str) -> bool:
    """Whether CUDA drives it: `nvidia.com/gpu`, `NVIDIA_TESLA_T4`, or no kind at all."""
    return not accelerator or "nvidia" in accelerator.lower()
