"""What the facts of a run of a cluster say, besides what the engine makes of them."""

from __future__ import annotations

from collections.abc import Sequence

from standpipe.kfp_cluster.facts import ClusterRun, DatedFact
from standpipe.model import events
from standpipe.model.plan import Component, Dag, Plan
from standpipe.model.refs import TaskRef
from standpipe.model.types import is_required


def identify(fact: events.Fact) -> tuple[type[events.Fact], TaskRef | None]:
    """Return what is the same for a fact that is told twice. A cluster tells one attempt of each task."""
    return type(fact), getattr(fact, "task", None)


def find_unknown_inputs(run: ClusterRun, facts: Sequence[DatedFact]) -> dict[str, list[str]]:
    """Return the required inputs that are not known, by the paths of tasks that have started."""
    unknown = {}
    for _, fact in facts:
        if isinstance(fact, events.TaskReady):
            declared = find_component(run.plan, fact.task).inputs
            missing = [name for name, each in declared.items() if name not in fact.inputs and is_required(each)]
            if missing:
                unknown[str(fact.task)] = missing
    return unknown


def find_failed_task(run: ClusterRun, facts: Sequence[DatedFact]) -> str:
    """Return the path of the first task that failed and was executed; empty if there is none."""
    failed = (fact.task for _, fact in facts if isinstance(fact, events.TaskFailed))
    return next((str(task) for task in failed if not isinstance(find_component(run.plan, task).body, Dag)), "")


def find_component(plan: Plan, task: TaskRef) -> Component:
    """Return the component of a task."""
    component = plan.root
    for name, _ in task.path:
        assert isinstance(component.body, Dag), "only DAGs have tasks"
        component = plan.components[component.body.nodes[name].component]
    return component
