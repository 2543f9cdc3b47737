"""What a Plan says about a task of a run: its node, its component, and what executes it."""

from __future__ import annotations

from collections.abc import Mapping

from standpipe.history import Task
from standpipe.model.frozen import frozen
from standpipe.model.plan import Component, Container, Dag, Executor, ExecutorRef, Node, Plan
from standpipe.model.types import Json


@frozen
class PlannedTask:
    """A task as its Plan describes it. `executor` is None for nested pipelines and loops over them.

    `kubernetes` are its settings for Kubernetes as JSON.
    """

    node: Node
    component: Component
    executor: Executor | None
    label: str
    kubernetes: Mapping[str, Json]

    @property
    def container(self) -> Container | None:
        """The container that executes it; None for an importer and for what has tasks of its own."""
        return self.executor if isinstance(self.executor, Container) else None


def find_planned(plan: Plan | None, task: Task) -> PlannedTask | None:
    """Return what a Plan says about a task; None if it has no such task, or there is no Plan."""
    if plan is None:
        return None
    component, planned = plan.root, None
    for name, _ in task._ref.path:
        node = component.body.nodes.get(name) if isinstance(component.body, Dag) else None
        if node is None:
            return None
        component = plan.components[node.component]
        body = component.body
        is_executed = isinstance(body, ExecutorRef)
        label = body.label if isinstance(body, ExecutorRef) else ""
        executor = plan.executors[label] if is_executed else None
        planned = PlannedTask(node, component, executor, label, plan.kubernetes_settings(label))
    return planned
