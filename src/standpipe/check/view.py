"""A Plan as the rules see it: each part with its path in the compiled file, and its line in the author's file."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Mapping

from standpipe.check.programs import Program
from standpipe.model.kfp import CREATE_PVC, DELETE_PVC
from standpipe.model.plan import (
    Component,
    Constant,
    Container,
    Dag,
    Executor,
    ExecutorRef,
    FromInput,
    FromTask,
    Node,
    Plan,
    SourceLocation,
    TriggerStrategy,
)
from standpipe.model.types import Json
from standpipe.support.properties import cached_property


class Place:
    """A part of a pipeline that a finding is about.

    Attributes:
        path: its path in the compiled file.
        location: its file and line; None if they are unknown.
        is_repeated: whether other parts, such as the executors of equal tasks, have the same findings, one of which is
            enough.
    """

    def __init__(self, path: str, location: SourceLocation | None, *, is_repeated: bool = False) -> None:
        self.path = path
        self.location = location
        self.is_repeated = is_repeated


class TaskView(Place):
    """A task of a DAG, with its component and its executor, which is None for a DAG."""

    def __init__(self, dag: DagView, node: Node, plan: Plan) -> None:
        super().__init__(f"{dag.path}.dag.tasks.{node.name}", node.source_location)
        self.dag = dag
        self.node = node
        self.component = plan.components[node.component]
        body = self.component.body
        self.label = body.label if isinstance(body, ExecutorRef) else ""
        self.executor: Executor | None = plan.executors[self.label] if self.label else None
        self.settings: Mapping[str, Json] = plan.kubernetes_settings(self.label) if self.label else {}

    @property
    def name(self) -> str:
        return self.node.name

    @property
    def container(self) -> Container | None:
        return self.executor if isinstance(self.executor, Container) else None

    @property
    def is_hook(self) -> bool:
        """Whether the task starts even if its upstream tasks fail: on a cluster it is an exit hook of them."""
        return self.node.trigger.strategy is TriggerStrategy.ALL_UPSTREAM_TASKS_COMPLETED

    @property
    def creates_pvc(self) -> bool:
        return self.container is not None and self.container.image == CREATE_PVC

    @property
    def deletes_pvc(self) -> bool:
        return self.container is not None and self.container.image == DELETE_PVC

    def input_path(self, name: str) -> str:
        """Return the path of the binding of an input, relative to the task."""
        return f"inputs.{self.component.input_table(name)}.{name}"

    def constants(self) -> Iterator[tuple[str, Json]]:
        """Yield the inputs that are constants, with their values."""
        for name, binding in self.node.inputs.items():
            if isinstance(binding, Constant):
                yield name, binding.value


class DagView(Place):
    """A DAG: its component, its tasks, and the tasks of other DAGs that run it."""

    def __init__(self, path: str, component: Component, dag: Dag, plan: Plan) -> None:
        super().__init__(path, component.source_location)
        self.component = component
        self.dag = dag
        self.tasks = {name: TaskView(self, node, plan) for name, node in dag.nodes.items()}
        self.callers: list[TaskView] = []

    @property
    def is_root(self) -> bool:
        return self.path == "root"

    @cached_property
    def ancestors(self) -> dict[str, set[str]]:
        """The tasks that each task waits for, directly or through others."""
        found: dict[str, set[str]] = {}
        for name in self.tasks:
            pending, seen = [*self.tasks[name].node.upstream], set[str]()
            while pending:
                each = pending.pop()
                if each in found:
                    seen |= found[each] | {each}
                elif each not in seen:
                    seen.add(each)
                    pending += self.tasks[each].node.upstream
            found[name] = seen
        return found

    def is_in_loop(self) -> bool:
        """Return whether iterations run the DAG."""
        return any(caller.node.loop or caller.dag.is_in_loop() for caller in self.callers)


class ContainerView(Place):
    """A container that tasks run, once for all tasks with an equal one."""

    def __init__(self, task: TaskView, container: Container) -> None:
        super().__init__(
            f"deploymentSpec.executors.{task.label}.container", task.component.source_location, is_repeated=True
        )
        self.container = container
        self.component = task.component
        self.tasks = [task]

    @property
    def name(self) -> str:
        """The name of the function of the component; without one, that of the component in the compiled file."""
        if self.program:
            return self.program.function.name
        return re.sub(r"-\d+$", "", self.tasks[0].node.component.removeprefix("comp-"))

    @cached_property
    def program(self) -> Program | None:
        """The Python program of the component; None if it is another command."""
        return Program.of(self.container)

    def locate(self, line: int) -> SourceLocation | None:
        """Return the location of a line of the program; None if it is not the author's."""
        return self.program.locate(line) if self.program else None


class PipelineView(Place):
    """A pipeline. A valid Plan is assumed."""

    def __init__(self, plan: Plan) -> None:
        super().__init__("root", plan.root.source_location)
        self.plan = plan
        self.dags = [
            DagView(path, component, component.body, plan)
            for path, component in plan.components_by_path()
            if isinstance(component.body, Dag)
        ]
        by_component = {dag.path.removeprefix("components."): dag for dag in self.dags}
        for task in self.tasks:
            if task.executor is None:
                by_component[task.node.component].callers.append(task)
        self._dags_by_component = by_component

    @property
    def root(self) -> DagView:
        return self.dags[0]

    @cached_property
    def tasks(self) -> list[TaskView]:
        """All tasks of all DAGs."""
        return [task for dag in self.dags for task in dag.tasks.values()]

    @cached_property
    def containers(self) -> list[ContainerView]:
        """The containers of all tasks; equal ones once, without those that stand for PVCs."""
        views: dict[tuple[object, ...], ContainerView] = {}
        for task in self.tasks:
            if task.container is None or task.creates_pvc or task.deletes_pvc:
                continue
            key = (_key(task.container), task.component.source_location)
            if key in views:
                views[key].tasks.append(task)
            else:
                views[key] = ContainerView(task, task.container)
        return list(views.values())

    def body_of(self, task: TaskView) -> DagView | None:
        """Return the DAG that a task runs; None if it has an executor."""
        return self._dags_by_component.get(task.node.component) if task.executor is None else None

    def consumers(self, task: TaskView, output: str) -> Iterator[tuple[TaskView, str]]:
        """Yield the tasks of the same DAG that take an output, each with the input that gets it."""
        for other in task.dag.tasks.values():
            for name, binding in other.node.inputs.items():
                if isinstance(binding, FromTask) and (binding.task, binding.output) == (task.name, output):
                    yield other, name

    def readers(self, dag: DagView, name: str) -> Iterator[tuple[TaskView, str]]:
        """Yield the tasks of a DAG that take an input of the DAG's component, each with the input that gets it."""
        for task in dag.tasks.values():
            for inner, binding in task.node.inputs.items():
                if isinstance(binding, FromInput) and binding.input == name:
                    yield task, inner


def _key(container: Container) -> tuple[object, ...]:
    resources = tuple(str(value) for value in container.resources.quantities.values())
    return (str(container.image), container.program, tuple(container.env.items()), resources)


def walk_constants(value: Json) -> Iterator[Json]:
    """Yield a constant and all that it contains; texts with placeholders are `Template`s."""
    pending: list[Json] = [value]
    while pending:
        each = pending.pop()
        yield each
        if isinstance(each, dict):
            pending += each.values()
        elif isinstance(each, (list, tuple)):
            pending += each


def dotted_name(node: ast.expr) -> str:
    """Return the name that an expression is, such as `os.environ`; empty for other expressions."""
    if isinstance(node, ast.Name):
        return node.id
    if isinstance(node, ast.Attribute):
        base = dotted_name(node.value)
        return f"{base}.{node.attr}" if base else ""
    return ""
