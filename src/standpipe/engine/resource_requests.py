"""The resources of a task, from the requests and limits that its author set.

As on Kubernetes, a limit without a request is the request, too.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace

from standpipe.engine.inputs import InputError, render_constant
from standpipe.model.plan import Component, Container, Executor
from standpipe.model.resources import (
    NO_REQUEST,
    Capacity,
    QuantityError,
    ResourcePolicy,
    ResourceRequest,
    format_memory,
    parse_accelerator_count,
    parse_cpu,
    parse_memory,
)
from standpipe.model.templates import Template
from standpipe.model.values import Value, to_text


def resolve_request(
    component: Component,
    executor: Executor,
    inputs: Mapping[str, Value],
    capacity: Capacity,
    policy: ResourcePolicy,
    get_field: Callable[[str], str],
) -> ResourceRequest:
    """Return what an attempt at a task acquires, and its limits.

    Args:
        component: the component of the task. Resources that it only passes on to its code are not acquired.
        executor: the component's executor. An importer needs nothing.
        inputs: the values of the inputs, for placeholders in the resources.
        capacity: what the machine has.
        policy: what happens to a request that is above the capacity.
        get_field: returns the value of a placeholder about the run or the task.

    Raises:
        InputError: if a quantity is invalid, a request is above its limit, or a request is above the capacity and the
            policy is strict.
    """
    if not isinstance(executor, Container) or policy is ResourcePolicy.IGNORE or not executor.resources.are_set:
        return NO_REQUEST
    if any(item.field == "RESOURCES" and not item.apply_to_task for item in component.task_config_passthroughs):
        return NO_REQUEST
    texts = {
        name: to_text(render_constant(quantity, inputs, get_field)).strip()
        if isinstance(quantity, Template)
        else quantity
        for name, quantity in executor.resources.quantities.items()
    }
    request = _clamp(_parse_requests(texts), texts["accelerator_type"], capacity)
    if request.unavailable and policy is ResourcePolicy.STRICT:
        raise InputError(
            f"it requests {request.unavailable}. Run it on a larger machine, lower its requests, or clamp them to what "
            "the machine has: local.init(..., resource_policy='clamp')"
        )
    return request


def _parse_requests(texts: Mapping[str, str]) -> ResourceRequest:
    cpu, cpu_limit = _parse_pair(texts, "cpu", parse_cpu)
    memory, memory_limit = _parse_pair(texts, "memory", parse_memory)
    gpus = _parse_quantity(texts, "accelerator_count", parse_accelerator_count)
    if gpus is None:
        gpus = 1 if texts["accelerator_type"] else 0
    return ResourceRequest(
        float(cpu), int(memory), int(gpus), cpu_limit, None if memory_limit is None else int(memory_limit)
    )


def _parse_pair(texts: Mapping[str, str], resource: str, parse: Callable[[str], float]) -> tuple[float, float | None]:
    """Return a request and its limit."""
    request = _parse_quantity(texts, f"{resource}_request", parse)
    limit = _parse_quantity(texts, f"{resource}_limit", parse)
    if request is not None and limit is not None and request > limit:
        raise InputError(
            f"its {resource} request, {texts[f'{resource}_request']}, is above its {resource} limit, "
            f"{texts[f'{resource}_limit']}: a cluster would reject it"
        )
    if request is None:
        request = limit or 0
    return request, limit or None  # a limit of 0 is none, as for Docker and KFP


def _parse_quantity(texts: Mapping[str, str], name: str, parse: Callable[[str], float]) -> float | None:
    if not texts[name]:
        return None
    try:
        return parse(texts[name])
    except QuantityError as error:
        raise InputError(f"its {name.replace('_', ' ')} is invalid: {error}") from error


def _clamp(request: ResourceRequest, accelerator: str, capacity: Capacity) -> ResourceRequest:
    """Return as much of the request as the machine has; `unavailable` describes the rest."""
    available = len(capacity.gpus) if _is_gpu(accelerator) else 0
    unavailable = []
    if request.cpu > capacity.cpu:
        unavailable.append(f"{request.cpu:g} cores (this machine has {capacity.cpu:g})")
    if request.memory > capacity.memory:
        unavailable.append(
            f"{format_memory(request.memory)} of memory (this machine has {format_memory(capacity.memory)})"
        )
    if request.gpus > available:
        kind = accelerator or "accelerators"
        unavailable.append(f"{request.gpus} of {kind} (this machine has {available or 'none'})")
    return replace(
        request,
        cpu=min(request.cpu, capacity.cpu),
        memory=min(request.memory, capacity.memory),
        gpus=min(request.gpus, available),
        cpu_limit=request.cpu_limit if request.cpu_limit and request.cpu_limit < capacity.cpu else None,
        memory_limit=request.memory_limit if request.memory_limit and request.memory_limit < capacity.memory else None,
        unavailable=" and ".join(unavailable),
        accelerator=accelerator if request.gpus and available else "",
    )


def _is_gpu(accelerator: str) -> bool:
    """Return whether an accelerator is a CUDA device: `nvidia.com/gpu`, `NVIDIA_TESLA_T4`, or no kind at all."""
    return not accelerator or "nvidia" in accelerator.lower()
