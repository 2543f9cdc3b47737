"""How many tasks are expected to run at the same time as a task, from the structure of its pipeline.

The number decides how many cores a task gets for its threads. What happens to run at one instant would be a bad answer:
the number would change from one iteration of a loop to the next, and with it results that depend on the number of
threads. So it follows from the Plan and the data: the sizes of the loops around the task, and the tasks that have their
turn at the same step of a DAG.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from itertools import accumulate
from typing import NamedTuple

from standpipe.engine.tasks import DagMember, ExecutorTask, Iteration, LoopTask, Task
from standpipe.engine.topology import Topologies
from standpipe.model.plan import Dag, ExecutorRef, Importer, Loop, Node, Plan, RawItems
from standpipe.model.states import TaskState


class _Span(NamedTuple):
    """The steps of a DAG in which a task is expected to run: from the first one to the last one."""

    first: int
    last: int


class _Schedule(NamedTuple):
    """When the tasks of a DAG are expected to run, if each takes one step.

    `load` has, for each step, the number of tasks that run at once, without those of the nodes that `open` has for the
    step: loops whose size the Plan does not say, and nodes with conditions, which may be skipped.
    """

    spans: Mapping[str, _Span]
    load: Sequence[int]
    open: Mapping[int, Sequence[str]]


class ConcurrencyEstimator:
    """Estimates how many tasks run at the same time.

    Args:
        plan: the Plan of the tasks.
        topologies: the topologies of its DAGs.
        max_parallel: the most tasks that may run at once, and so the highest estimate.
    """

    def __init__(self, plan: Plan, topologies: Topologies, max_parallel: int) -> None:
        self._plan = plan
        self._topologies = topologies
        self._max = max_parallel
        self._widths: dict[str, int] = {}
        self._schedules: dict[int, _Schedule] = {}

    def estimate(self, task: ExecutorTask, most_alike: int) -> int:
        """Return how many tasks are expected to run at the same time as a task, which counts, too.

        Args:
            task: the task, of which only its place in the run matters.
            most_alike: how many tasks with the same requests the machine has the resources for.
        """
        alike, others = 1, 0  # iterations of the same task, and other tasks
        part: Task = task
        while alike + others < self._max and part.position is not None:
            if isinstance(part.position, Iteration):
                loop = part.position.parent
                size = _count_iterations(loop.loop, len(loop.items))
                alike, others = min(alike * size, most_alike), others * size
                part = loop
            else:
                others += self._count_others(part, part.position)
                part = part.position.parent
        return min(alike + others, self._max)

    def _count_others(self, member: Task, position: DagMember) -> int:
        """Return the number of tasks that run beside a member of a DAG, at the busiest step of its span."""
        dag = position.parent
        schedule = self._get_schedule(dag.dag)
        name = member.ref.name
        span, node = schedule.spans[name], dag.dag.nodes[name]
        own = 0 if _is_open(node) else self._width_of_node(node)
        busiest = 0
        for step in range(span.first, span.last + 1):
            count = schedule.load[step] - own
            for other in schedule.open.get(step, ()):
                if count >= self._max:
                    break
                if other != name:
                    count += self._width_of_task(dag.children[other])
            busiest = max(busiest, count)
            if busiest >= self._max:
                break
        return busiest

    def _width_of_task(self, task: Task) -> int:
        """Return how many tasks of a task, which may be a DAG or a loop, run at once, as far as that is known now."""
        if task.state is TaskState.SKIPPED:
            return 0
        if isinstance(task, LoopTask) and task.state is not TaskState.PENDING:
            return _count_iterations(task.loop, len(task.items)) * self._width_of_component(task.node.component)
        return self._width_of_node(task.node)

    def _width_of_node(self, node: Node) -> int:
        """Return how many tasks of a node run at once. A loop of unknown size is taken to be a large one."""
        width = self._width_of_component(node.component)
        if node.loop is None:
            return width
        items = node.loop.items
        return width * _count_iterations(node.loop, len(items.items) if isinstance(items, RawItems) else self._max)

    def _width_of_component(self, name: str) -> int:
        """Return how many tasks of a component run at once. Components may be nested to any depth."""
        unknown = [] if name in self._widths else [name]
        while unknown:
            body = self._plan.components[unknown[-1]].body
            nodes = body.nodes.values() if isinstance(body, Dag) else ()
            inner = {node.component for node in nodes} - self._widths.keys()
            if inner:
                unknown += inner
            else:
                self._widths[unknown.pop()] = self._compute_width(body)
        return self._widths[name]

    def _compute_width(self, body: Dag | ExecutorRef) -> int:
        """Return how many tasks of a component run at once, if the widths of those in it are known."""
        if isinstance(body, ExecutorRef):
            return 0 if isinstance(self._plan.executors[body.label], Importer) else 1  # importers compute nothing
        schedule = self._get_schedule(body)
        return max(
            (
                load + sum(self._width_of_node(body.nodes[name]) for name in schedule.open.get(step, ()))
                for step, load in enumerate(schedule.load)
            ),
            default=0,
        )

    def _get_schedule(self, dag: Dag) -> _Schedule:
        schedule = self._schedules.get(id(dag))
        if schedule is None:
            schedule = self._schedules[id(dag)] = self._make_schedule(dag)
        return schedule

    def _make_schedule(self, dag: Dag) -> _Schedule:
        spans = self._find_spans(dag)
        changes = [0] * (max((span.last for span in spans.values()), default=-1) + 2)
        open_nodes = defaultdict(list)
        for name, span in spans.items():
            if _is_open(dag.nodes[name]):
                for step in range(span.first, span.last + 1):
                    open_nodes[step].append(name)
            else:
                width = self._width_of_node(dag.nodes[name])
                changes[span.first] += width
                changes[span.last + 1] -= width
        return _Schedule(spans, tuple(accumulate(changes[:-1])), dict(open_nodes))

    def _find_spans(self, dag: Dag) -> dict[str, _Span]:
        """Return the spans of the tasks of a DAG.

        A task can start at the step after its last upstream task. It may run until the first task that depends on it
        can start; one that nothing depends on is taken to end at its first step.
        """
        topology = self._topologies.get(dag)
        first: dict[str, int] = {}
        for name in topology.sort():
            first[name] = max((first[upstream] + 1 for upstream in topology.upstream[name]), default=0)
        return {
            name: _Span(step, min((first[dependent] for dependent in topology.dependents[name]), default=step + 1) - 1)
            for name, step in first.items()
        }


def _is_open(node: Node) -> bool:
    """Return whether only the run says how many tasks of a node run at once."""
    return node.trigger.condition is not None or (node.loop is not None and not isinstance(node.loop.items, RawItems))


def _count_iterations(loop: Loop, size: int) -> int:
    """Return how many iterations of a loop with so many items run at once."""
    return min(size, loop.parallelism or size)
