"""The kinds of components: Python components, container components and pipelines."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from standpipe.dsl.base_component import BaseComponent
from standpipe.dsl.functions.interface import Interface
from standpipe.dsl.tracing.tasks import Settings
from standpipe.errors import AuthoringError
from standpipe.model.plan import (
    Component,
    Container,
    Executor,
    ExecutorRef,
    Plan,
    SourceLocation,
    TaskConfigPassthrough,
)
from standpipe.model.types import ArtifactOutput
from standpipe.model.wrapping import find_wrapped_component, is_complete, wrap_component


class ExecutorComponent(BaseComponent):
    """A component that is not a pipeline: it runs in a container, or imports an artifact.

    Args:
        name: the name of the component.
        interface: its inputs and outputs.
        executor: what it runs.
        task_config_passthroughs: the parts of a task's configuration that its code receives.
        loaded_plan: the Plan that the component was loaded from, which it compiles to.
        source_location: where its function is defined.
    """

    executor: Executor

    def __init__(
        self,
        name: str,
        interface: Interface,
        executor: Executor,
        task_config_passthroughs: tuple[TaskConfigPassthrough, ...] = (),
        loaded_plan: Plan | None = None,
        source_location: SourceLocation | None = None,
    ) -> None:
        super().__init__(name, interface)
        self.executor = executor
        self.task_config_passthroughs = task_config_passthroughs
        self.source_location = source_location
        self._loaded_plan = loaded_plan

    def settings(self) -> Settings:
        settings = super().settings()
        settings.container = self.executor if isinstance(self.executor, Container) else None
        return settings

    @property
    def plan(self) -> Plan:
        """A pipeline with one task, whose inputs and outputs are those of the pipeline."""
        interface = (self.inputs, self.outputs, self.task_config_passthroughs, self.source_location)
        component = Component(ExecutorRef(""), *interface)
        if self._loaded_plan is not None and is_complete(self._loaded_plan, component):
            return self._loaded_plan
        return wrap_component(self.name, component, self.executor, self.settings().caching)

    @property
    def compiled_plan(self) -> Plan:
        """The Plan that the component was loaded from, or else its own: KFP compiles a loaded file to the same file."""
        return self.plan if self._loaded_plan is None else self._loaded_plan

    def _check_artifact_lists(self) -> None:
        for name, output in self.outputs.items():
            if isinstance(output, ArtifactOutput) and output.is_list:
                raise AuthoringError(
                    f"Component {self.name!r}, output {name!r}: only pipelines can have lists of artifacts as outputs "
                    "in KFP. Write one output for each artifact."
                )


class PythonComponent(ExecutorComponent):
    """A component that runs a Python function. `python_func` is the function."""

    def __init__(
        self,
        name: str,
        interface: Interface,
        container: Container,
        python_func: Callable[..., Any],
        task_config_passthroughs: tuple[TaskConfigPassthrough, ...] = (),
        source_location: SourceLocation | None = None,
    ) -> None:
        super().__init__(name, interface, container, task_config_passthroughs, source_location=source_location)
        self.python_func = python_func
        self._check_artifact_lists()

    def execute(self, **kwargs: Any) -> Any:
        """Call the function in this process and return its result."""
        return self.python_func(**kwargs)


class ContainerComponent(ExecutorComponent):
    """A component that runs a command in an image. `pipeline_func` is the function that returned its container spec."""

    def __init__(
        self,
        name: str,
        interface: Interface,
        container: Container,
        pipeline_func: Callable[..., Any],
        source_location: SourceLocation | None = None,
    ) -> None:
        super().__init__(name, interface, container, source_location=source_location)
        self.pipeline_func = pipeline_func
        self._check_artifact_lists()


class GraphComponent(BaseComponent):
    """A pipeline: a component that consists of tasks. `pipeline_func` is the function that was traced."""

    def __init__(self, interface: Interface, plan: Plan, pipeline_func: Callable[..., Any] | None = None) -> None:
        super().__init__(plan.name, interface)
        self.pipeline_func = pipeline_func
        self._plan = plan

    @property
    def plan(self) -> Plan:
        return self._plan


def component_from_plan(plan: Plan, description: str = "") -> BaseComponent:
    """Return the component that a Plan describes: a pipeline, or the component of a Plan that only wraps it.

    Args:
        plan: the Plan.
        description: the description of a component that is not a pipeline: Plans of those have none.
    """
    description = plan.description or description
    inner = find_wrapped_component(plan)
    if inner is None:
        return GraphComponent(Interface(plan.root.inputs, plan.root.outputs, description), plan)
    assert isinstance(inner.body, ExecutorRef)
    interface = Interface(inner.inputs, inner.outputs, description)
    executor = plan.executors[inner.body.label]
    return ExecutorComponent(
        plan.name, interface, executor, inner.task_config_passthroughs, plan, inner.source_location
    )
