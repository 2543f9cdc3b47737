"""`BaseComponent`: what happens when a component is called, and the port to what runs and compiles components.

A call in a pipeline function records a task in the trace of that pipeline. A call outside a pipeline runs the
component now. This package does not know how to run or to compile, so it asks a `Backend`. `standpipe.local` sets
itself as the backend when it is imported, at the latest when a component asks:

    component(x=1)  ->  check_arguments  ->  Backend.run_component  ->  a PipelineTask that has run
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from contextlib import AbstractContextManager
from importlib import import_module
from typing import TYPE_CHECKING, Any, Protocol

from standpipe.dsl.arguments import check_arguments
from standpipe.dsl.functions.interface import Interface
from standpipe.dsl.tracing.source_locations import caller_location
from standpipe.dsl.tracing.tasks import PipelineTask, Settings
from standpipe.dsl.tracing.trace import current_trace
from standpipe.errors import UnsupportedError, shorten_errors
from standpipe.model.kfp import kubernetes_name
from standpipe.model.plan import Caching, Executor, Plan
from standpipe.model.types import (
    ArtifactInput,
    ArtifactOutput,
    Input,
    Json,
    Output,
    ParameterInput,
    ParameterType,
    is_required,
)
from standpipe.model.values import preview
from standpipe.support.properties import cached_property

if TYPE_CHECKING:
    from standpipe.dsl.specs import ComponentSpec


class Backend(Protocol):
    """Runs and compiles components outside pipelines."""

    def redact_messages(self, component: BaseComponent) -> AbstractContextManager[None]:
        """Return a context that removes secrets from the errors about a component's arguments."""

    def run_component(self, component: BaseComponent, arguments: Mapping[str, Any]) -> PipelineTask:
        """Run a component with checked arguments, and return the task that has run.

        Raises:
            NotInitialized: if `local.init()` was not called.
            TaskFailed: if the run fails and `raise_on_error` is true.
        """

    def compile_component(self, component: BaseComponent, path: str) -> None:
        """Write a component to a file."""

    def pipeline_spec_json(self, component: BaseComponent) -> Json:
        """Return a component's PipelineSpec as JSON."""

    def pipeline_spec_message(self, component: BaseComponent) -> Any:
        """Return a component's `PipelineSpec` as a protobuf message."""

    def platform_spec_message(self, component: BaseComponent) -> Any:
        """Return a component's `PlatformSpec` as a protobuf message."""


class _BackendSlot:
    """Holds the backend, which is set once, when `standpipe.local` is imported."""

    backend: Backend | None = None


def set_backend(backend: Backend) -> None:
    """Set what runs and compiles components outside pipelines."""
    _BackendSlot.backend = backend


def get_backend() -> Backend:
    """Return what runs and compiles components outside pipelines."""
    if _BackendSlot.backend is None:
        import_module("standpipe.local")  # named as text, because it is in a higher layer
    assert _BackendSlot.backend is not None, "`standpipe.local` sets it"
    return _BackendSlot.backend


class BaseComponent:
    """What all components have in common: a name, a description, inputs and outputs, and a Plan of their own.

    A call in a pipeline function returns a task of that pipeline. A call outside a pipeline runs the component as
    `local.init` configures it, and returns a task that has run.
    """

    #: What the component runs: a container or an importer; None for a pipeline.
    executor: Executor | None = None

    #: The compiled file that it was loaded from, as an absolute path; empty for other components.
    file = ""

    def __init__(self, name: str, interface: Interface) -> None:
        self.name = kubernetes_name(name)
        self.description = interface.description or None
        self.inputs: Mapping[str, Input] = interface.inputs
        self.outputs: Mapping[str, Output] = interface.outputs

    @shorten_errors
    def __call__(self, *args: Any, **kwargs: Any) -> PipelineTask:
        """Create a task of the component.

        Raises:
            AuthoringTypeError: if an argument is positional, unknown, missing or of the wrong type.
            NotInitialized: outside a pipeline, if `local.init()` was not called.
            TaskFailed: outside a pipeline, if the run fails and `raise_on_error` is true.
        """
        trace = current_trace()
        if trace is None:
            with get_backend().redact_messages(self):
                arguments = check_arguments(self, args, kwargs, traced=False)
            return get_backend().run_component(self, arguments)
        arguments = check_arguments(self, args, kwargs, traced=True)
        name = trace.create_task_name(self.name)
        task = PipelineTask(self, name, arguments, self.settings(), caller_location())
        trace.add_task(task)
        return task

    def __repr__(self) -> str:
        inputs = ", ".join(f"{name}: {_describe(each)}" for name, each in self.inputs.items())
        outputs = ", ".join(f"{name}: {_describe(each)}" for name, each in self.outputs.items())
        return f"<{type(self).__name__} {self.name!r} ({inputs}){f' -> ({outputs})' if outputs else ''}>"

    @cached_property
    def component_spec(self) -> ComponentSpec:
        """The component's name, inputs, outputs and implementation, under the names of the KFP SDK."""
        from standpipe.dsl.specs import ComponentSpec  # only few scripts need it

        return ComponentSpec(self)

    def describe_container(self, task: PipelineTask) -> Any:
        """Return the container of a task of this component, under the names of the KFP SDK."""
        from standpipe.dsl.specs import TaskContainerSpec  # only few scripts need it

        return TaskContainerSpec(task)

    @property
    def required_inputs(self) -> list[str]:
        """The names of the inputs that a call must pass."""
        return [name for name, declared in self.inputs.items() if is_required(declared)]

    @property
    def _component_inputs(self) -> set[str]:
        """The names of the inputs that a call can pass, under the KFP SDK's private name, which libraries use."""
        return {name for name, declared in self.inputs.items() if declared.type is not ParameterType.TASK_FINAL_STATUS}

    def execute(self, **kwargs: Any) -> Any:
        """Run the component's function in this process. Only Python components have one.

        Raises:
            UnsupportedError: if the component has no Python function.
        """
        raise UnsupportedError(f"Cannot execute {self!r}: it does not have a Python function. Call it instead.")

    @property
    def pipeline_spec(self) -> Any:
        """The component as KFP's protobuf message `PipelineSpec`."""
        return get_backend().pipeline_spec_message(self)

    @property
    def platform_spec(self) -> Any:
        """The component's settings for platforms as KFP's protobuf message `PlatformSpec`."""
        return get_backend().platform_spec_message(self)

    def compile_to_json(self) -> Json:
        """Return the component's PipelineSpec as JSON."""
        return get_backend().pipeline_spec_json(self)

    def compile_to_file(self, path: str) -> None:
        """Write the component to a file."""
        get_backend().compile_component(self, path)

    @property
    def plan(self) -> Plan:
        """The component as a pipeline of its own."""
        raise NotImplementedError

    @property
    def compiled_plan(self) -> Plan:
        """The Plan that the component compiles to."""
        return self.plan

    def settings(self) -> Settings:
        """Return the settings that a new task of the component starts with."""
        return Settings(caching=Caching(enabled=is_caching_default()))


def _describe(declared: Input | Output) -> str:
    """Return a type as authors write it, with the default value of an input."""
    name = declared.type.label
    if isinstance(declared, (ArtifactInput, ArtifactOutput)):
        return f"list[{name}]" if declared.is_list else name
    if isinstance(declared, ParameterInput) and declared.optional:
        return f"{name} = {preview(declared.default)}"
    return name


def is_caching_default() -> bool:
    """Return whether new tasks use the cache: true unless KFP's environment variable disables it."""
    value = os.environ.get("KFP_DISABLE_EXECUTION_CACHING_BY_DEFAULT", "")
    return value.strip().lower() not in {"1", "true", "t", "yes", "y", "on"}
