"""The outputs of a pipeline: what its function returned, checked against what it declares."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from standpipe.dsl.arguments import check_channel
from standpipe.dsl.functions.interface import Interface
from standpipe.dsl.planning.dataflow import Dataflow
from standpipe.dsl.tracing.channels import LoopField, LoopItem, PipelineChannel, describe_channel, describe_value
from standpipe.dsl.tracing.trace import Trace
from standpipe.errors import AuthoringError, InvalidTopologyException
from standpipe.model.kfp import SINGLE_OUTPUT
from standpipe.model.plan import FromTask


def name_returned_values(trace: Trace, returned: Any) -> Mapping[str, Any]:
    """Return the values that a pipeline function returned, by the names of the outputs.

    Raises:
        AuthoringError: if it returned neither a value of the pipeline nor a NamedTuple or dict.
    """
    if returned is None:
        return {}
    if isinstance(returned, PipelineChannel):
        return {SINGLE_OUTPUT: returned}
    if isinstance(returned, tuple) and hasattr(returned, "_asdict"):
        fields: Mapping[str, Any] = returned._asdict()
        return fields
    if isinstance(returned, dict):
        return returned
    raise AuthoringError(
        f"Pipeline {trace.pipeline!r} must return an output of a task, or a NamedTuple of outputs. It returned "
        f"{describe_value(returned)}."
    )


def bind_outputs(
    trace: Trace, dataflow: Dataflow, interface: Interface, returned: Mapping[str, Any]
) -> dict[str, tuple[FromTask, ...]]:
    """Return the sources of a pipeline's outputs, by name.

    Raises:
        AuthoringError: if an output is not declared, not returned, or not an output of a task of the pipeline.
        InconsistentTypeException: if an output has another type than it declares.
        InvalidTopologyException: if an output is in a block.
    """
    outputs: dict[str, tuple[FromTask, ...]] = {}
    for name, value in returned.items():
        location = f"Pipeline {trace.pipeline!r}, output {name!r}"
        if not isinstance(value, PipelineChannel) or value.task is None or isinstance(value, (LoopItem, LoopField)):
            raise AuthoringError(
                f"{location}: expected an output of a task of the pipeline, got {describe_value(value)}."
            )
        resolved = dataflow.resolve_channel(value, trace.root)
        dataflow.check_ownership(resolved, location)
        _check_is_outermost(trace, resolved, location)
        if name not in interface.outputs:
            raise AuthoringError(f"{location} is returned but not declared. Annotate the function's return type.")
        check_channel(location, resolved, interface.outputs[name])
        outputs[name] = (FromTask(resolved.task.name, resolved.name),)
    missing = [name for name in interface.outputs if name not in outputs]
    if missing:
        raise AuthoringError(
            f"Pipeline {trace.pipeline!r} declares outputs that it does not return: {', '.join(missing)}."
        )
    return outputs


def _check_is_outermost(trace: Trace, channel: PipelineChannel, location: str) -> None:
    group = channel.task.group
    if group is not trace.root:
        raise InvalidTopologyException(
            f"{location}: the {describe_channel(channel)} is in the dsl.{type(group).__name__} {group.name!r}. Return "
            "outputs of tasks at the outermost level of the function, a dsl.OneOf, or a dsl.Collected."
        )
