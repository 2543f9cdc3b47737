"""Components: what can be called in a pipeline, and by itself to be run."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any, TypeVar
from weakref import WeakValueDictionary

from standpipe.dsl import calling
from standpipe.dsl.arguments import check_arguments
from standpipe.dsl.functions.interface import Interface
from standpipe.dsl.tracing.tasks import PipelineTask, Settings
from standpipe.dsl.tracing.trace import current
from standpipe.errors import AuthoringError
from standpipe.model.kfp import kubernetes_name
from standpipe.model.plan import (
    Caching,
    Component,
    Container,
    Dag,
    Executor,
    ExecutorRef,
    FromInput,
    FromTask,
    Node,
    Plan,
    TaskConfigPassthrough,
)
from standpipe.model.types import ArtifactOutput, Input, Output, ParameterInput

if TYPE_CHECKING:
    from standpipe.dsl.specs import ComponentSpec


_C = TypeVar("_C", bound="BaseComponent")


class BaseComponent:
    """What all components have: a name, a description, inputs and outputs, and a Plan of their own.

    Called while a pipeline is traced, a component gives a task of that pipeline. Called elsewhere, it is run here, as
    `local.init` says, and gives a task that has run.
    """

    def __init__(self, name: str, interface: Interface) -> None:
        self.name = kubernetes_name(name)
        self.description = interface.description or None
        self.inputs: Mapping[str, Input] = interface.inputs
        self.outputs: Mapping[str, Output] = interface.outputs

    def __call__(self, *args: Any, **kwargs: Any) -> PipelineTask:
        """Makes a task of the component.

        Raises:
            AuthoringTypeError: if an argument is positional, unknown, missing or of the wrong type.
            NotInitialized: outside of a pipeline, if `local.init()` was not called.
            TaskFailed: outside of a pipeline, if the run fails and `raise_on_error` holds.
        """
        trace = current()
        if trace is None:
            with calling.host().errors(self):
                given = check_arguments(self, args, kwargs, traced=False)
            return calling.host().run(self, given)
        given = check_arguments(self, args, kwargs, traced=True)
        task = PipelineTask(self, trace.name_for(self.name), given, self.settings())
        trace.add(task)
        return task

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.name!r}>"

    @property
    def component_spec(self) -> ComponentSpec:
        """The component's name, inputs, outputs and what it runs, under the KFP SDK's names."""
        from standpipe.dsl.specs import component_spec  # few scripts ask, and all would pay

        interface = Interface(self.inputs, self.outputs, self.description or "")
        passthroughs = getattr(self, "task_config_passthroughs", ())
        return component_spec(self.name, interface, calling.host().spec(self), passthroughs)

    @property
    def pipeline_spec(self) -> Any:
        """The component as KFP's protobuf message `PipelineSpec`."""
        return calling.host().message(self, "PipelineSpec")

    @property
    def platform_spec(self) -> Any:
        """Its settings for platforms as KFP's protobuf message `PlatformSpec`."""
        return calling.host().message(self, "PlatformSpec")

    @property
    def plan(self) -> Plan:
        """The component as a pipeline of its own."""
        raise NotImplementedError

    def settings(self) -> Settings:
        """The settings that a new task of the component starts with."""
        return Settings(caching=Caching(enabled=calling.caching_default()))


class ExecutorComponent(BaseComponent):
    """A component that is made of no other ones: it runs in a container, or imports an artifact.

    One that was loaded keeps its Plan, which may say more of the whole than of the component.
    """

    def __init__(
        self,
        name: str,
        interface: Interface,
        executor: Executor,
        task_config_passthroughs: tuple[TaskConfigPassthrough, ...] = (),
        plan: Plan | None = None,
    ) -> None:
        super().__init__(name, interface)
        self.executor = executor
        self.task_config_passthroughs = task_config_passthroughs
        self._plan = plan

    def settings(self) -> Settings:
        settings = super().settings()
        settings.container = self.executor if isinstance(self.executor, Container) else None
        return settings

    @property
    def plan(self) -> Plan:
        """A pipeline of the one task: its inputs and outputs are the task's."""
        if self._plan is not None:
            return self._plan
        key, label = f"comp-{self.name}", f"exec-{self.name}"
        inner = Component(ExecutorRef(label), self.inputs, self.outputs, self.task_config_passthroughs)
        bindings = {name: FromInput(name) for name in self.inputs}
        node = Node(self.name, key, bindings, caching=self.settings().caching)
        outputs = {name: (FromTask(self.name, name),) for name in self.outputs}
        root = Component(Dag({self.name: node}, outputs), self.inputs, self.outputs, self.task_config_passthroughs)
        return Plan(self.name, root, {key: inner}, {label: self.executor})

    def _refuse_lists_of_artifacts(self) -> None:
        for name, output in self.outputs.items():
            if isinstance(output, ArtifactOutput) and output.is_list:
                raise AuthoringError(
                    f"Component {self.name!r}, output {name!r}: KFP lets only pipelines give lists of artifacts."
                )


class PythonComponent(ExecutorComponent):
    """A component made of a Python function; `python_func` is the function itself."""

    def __init__(
        self,
        name: str,
        interface: Interface,
        container: Container,
        python_func: Callable[..., Any],
        task_config_passthroughs: tuple[TaskConfigPassthrough, ...] = (),
    ) -> None:
        super().__init__(name, interface, container, task_config_passthroughs)
        self.python_func = python_func
        self._refuse_lists_of_artifacts()

    def execute(self, **kwargs: Any) -> Any:
        """Calls the function here and now, in this process."""
        return self.python_func(**kwargs)


class ContainerComponent(ExecutorComponent):
    """A component made of an image and a command; `pipeline_func` is the function that described them."""

    def __init__(
        self, name: str, interface: Interface, container: Container, pipeline_func: Callable[..., Any]
    ) -> None:
        super().__init__(name, interface, container)
        self.pipeline_func = pipeline_func
        self._refuse_lists_of_artifacts()


class GraphComponent(BaseComponent):
    """A pipeline: a component made of tasks. `pipeline_func` is the function that was traced."""

    def __init__(self, interface: Interface, plan: Plan, pipeline_func: Callable[..., Any] | None = None) -> None:
        super().__init__(plan.name, interface)
        self.pipeline_func = pipeline_func
        self._plan = plan

    @property
    def plan(self) -> Plan:
        return self._plan


_defined: WeakValueDictionary[str, BaseComponent] = WeakValueDictionary()


def define(component: _C) -> _C:
    """Notes a component that this program defines, in place of an earlier one of its name."""
    _defined[component.name] = component
    return component


def defined(name: str) -> BaseComponent | None:
    """The component or pipeline of that name that this program defined last."""
    return _defined.get(name)


def component_of(plan: Plan, description: str = "") -> BaseComponent:
    """The component that a Plan was compiled from: one that runs in a container, or a pipeline.

    `description` is for components in containers, whose Plans have none.
    """
    described = plan.description or description
    inner = _only_component(plan)
    if inner is None:
        return GraphComponent(Interface(plan.root.inputs, plan.root.outputs, described), plan)
    assert isinstance(inner.body, ExecutorRef)
    inputs = {name: _with_default_of(plan.root.inputs[name], declared) for name, declared in inner.inputs.items()}
    interface = Interface(inputs, inner.outputs, described)
    executor = plan.executors[inner.body.label]
    return ExecutorComponent(plan.name, interface, executor, inner.task_config_passthroughs, plan)


def _with_default_of(given: Input, declared: Input) -> Input:
    """An input as its component declares it, with the default that was given when it was compiled."""
    if isinstance(given, ParameterInput) and isinstance(declared, ParameterInput):
        return replace(declared, default=given.default)
    return declared


def _only_component(plan: Plan) -> Component | None:
    """The component that a Plan only wraps, as that of a single component does; None if the Plan is a pipeline's.

    Other defaults may have been given to the root when it was compiled.
    """
    key = f"comp-{plan.name}"
    inner, root = plan.components.get(key), plan.root
    if inner is None or not isinstance(inner.body, ExecutorRef):
        return None
    passed_on = {name: FromInput(name) for name in root.inputs}
    given = {name: (FromTask(plan.name, name),) for name in root.outputs}
    assert isinstance(root.body, Dag)
    caching = root.body.nodes[plan.name].caching if plan.name in root.body.nodes else Caching()
    wrapper = Dag({plan.name: Node(plan.name, key, passed_on, caching=caching)}, given)
    same_interface = (root.inputs.keys(), root.outputs.keys()) == (inner.inputs.keys(), inner.outputs.keys())
    return inner if same_interface and root.body == wrapper else None
