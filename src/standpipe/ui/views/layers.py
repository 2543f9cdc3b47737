"""Layers of a run: the pipeline, and the nested pipelines, conditions, exit handlers, loops and iterations in it.

A layer joins what the Plan says of its tasks with what the run has recorded of them, so that tasks which the run has
not reached are there as well. Either may be missing: runs of older versions have no Plan, and a pending layer has no
record. Finding a layer costs what is in the layers around it, never what is in the whole run.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping

from standpipe.history import Run, Task
from standpipe.history.records import Value
from standpipe.model.frozen import field, frozen, replace
from standpipe.model.plan import Component, Dag, Executor, ExecutorRef, Importer, InputItems, Node, Plan, RawItems
from standpipe.support.properties import cached_property
from standpipe.ui.views.states import PENDING, state_of


@frozen
class Crumb:
    """A layer around another one: the path and the name of it."""

    path: str
    name: str


@frozen
class Member:
    """A task in a layer.

    `node` and what follows from it are None if the Plan is not known, `task` is None if the run has not reached it.
    `iteration` is the number of the iteration that it is, None for other tasks.
    """

    path: str
    name: str
    node: Node | None = None
    component: Component | None = None
    executor: Executor | None = None
    task: Task | None = None
    iteration: int | None = None

    @property
    def title(self) -> str:
        """The name for people."""
        return (self.node.display_name if self.node else "") or self.name

    @property
    def state(self) -> str:
        """Its state, one of `states.LABELS`."""
        return state_of(self.task) if self.task else PENDING

    @property
    def kind(self) -> str:
        """What it is: `execution`, `importer`, `pipeline`, `condition`, `exit-handler`, `loop` or `iteration`."""
        if not self.is_group:
            return "importer" if isinstance(self.executor, Importer) else "execution"
        if self.iteration is not None:
            return "iteration"
        if self.is_loop or (self.node and self.node.caching is not None):
            return "loop" if self.is_loop else "pipeline"
        if self.name.startswith("condition") or (self.node and self.node.trigger.condition):
            return "condition"
        return "exit-handler" if self.name.startswith("exit-handler") else "pipeline"

    @property
    def is_loop(self) -> bool:
        """Whether it has iterations."""
        if self.iteration is not None:
            return False
        if self.node:
            return self.node.loop is not None
        return bool(self.task and self.task.children and self.task.children[0].iteration is not None)

    @property
    def is_group(self) -> bool:
        """Whether it is a layer with tasks of its own."""
        if self.is_loop or (self.component and isinstance(self.component.body, Dag)):
            return True
        return bool(self.task and self.task.children)

    def count_iterations(self) -> int:
        """Return how many iterations a loop has, as far as that is known."""
        reached = 1 + max((each.iteration or 0 for each in self.children), default=-1)
        items = self.node.loop.items if self.node and self.node.loop else None
        if isinstance(items, RawItems):
            return max(reached, len(items.items))
        if isinstance(items, InputItems) and self.task:
            return max(reached, _count_items(self.task.inputs.get(items.input)))
        return reached

    @property
    def children(self) -> tuple[Task, ...]:
        """Its tasks or iterations that the run has reached."""
        return self.task.children if self.task else ()


@frozen
class Layer:
    """The pipeline, or a member that has tasks of its own.

    `crumbs` are the layers around it, then itself. `tasks` are its tasks or iterations that the run has reached,
    `inputs` the values of its inputs; an iteration has those of its loop, and its item.
    """

    member: Member
    crumbs: tuple[Crumb, ...]
    plan: Plan | None = field(repr=False)
    tasks: tuple[Task, ...] = field(repr=False)
    inputs: Mapping[str, Value] = field(repr=False)

    @property
    def path(self) -> str:
        """The path of the layer, empty for the pipeline."""
        return self.member.path

    @property
    def is_loop(self) -> bool:
        """Whether its members are iterations."""
        return self.member.is_loop

    @property
    def dag(self) -> Dag | None:
        """The tasks of the layer in the Plan; None for loops, and if the Plan is not known."""
        component = self.member.component
        return component.body if component and isinstance(component.body, Dag) and not self.is_loop else None

    @cached_property
    def members(self) -> Mapping[str, Member]:
        """Its tasks by name: those of the Plan, in its order, then others that are recorded. Not for loops."""
        recorded = {task.name: task for task in self.tasks}
        nodes = self.dag.nodes if self.dag else {}
        return {name: self._member(name, nodes.get(name), recorded.get(name)) for name in {**nodes, **recorded}}

    @cached_property
    def iterations(self) -> Mapping[int, Task]:
        """The iterations of a loop that the run has reached, by their numbers."""
        return {task.iteration: task for task in self.tasks if task.iteration is not None}

    def iteration(self, number: int) -> Member:
        """Return an iteration of a loop, also one that the run has not reached."""
        path, task = f"{self.path}/{number}", self.iterations.get(number)
        return replace(self.member, path=path, name=str(number), node=None, task=task, iteration=number)

    def find(self, name: str) -> Member | None:
        """Return the task or iteration with a name; None if there is none."""
        if not self.is_loop:
            return self.members.get(name)
        is_number = name.isascii() and name.isdigit() and len(name) < 10
        return self.iteration(int(name)) if is_number and int(name) < self.member.count_iterations() else None

    def open(self, member: Member) -> Layer:
        """Return the layer of one of its members."""
        crumbs = (*self.crumbs, Crumb(member.path, member.title))
        return Layer(member, crumbs, self.plan, member.children, self._inputs_of(member))

    def count_states(self) -> Counter[str]:
        """Return how many of its tasks or iterations have each state."""
        if not self.is_loop:
            return Counter(member.state for member in self.members.values())
        counts = Counter(map(state_of, self.tasks))
        pending = self.member.count_iterations() - len(self.tasks)
        return counts + Counter({PENDING: pending})  # without those that none has

    def _inputs_of(self, member: Member) -> Mapping[str, Value]:
        if member.task is None:
            return {}
        loop = self.member.node.loop if self.member.node and member.iteration is not None else None
        return {**self.inputs, loop.item_input: member.task.item} if loop else member.task.inputs

    def _member(self, name: str, node: Node | None, task: Task | None) -> Member:
        component = self.plan.components.get(node.component) if self.plan and node else None
        path = f"{self.path}/{name}" if self.path else name
        return Member(path, name, node, component, self._executor(component), task)

    def _executor(self, component: Component | None) -> Executor | None:
        if self.plan and component and isinstance(component.body, ExecutorRef):
            return self.plan.executors.get(component.body.label)
        return None


def find_layer(run: Run, plan: Plan | None, path: str = "") -> Layer | None:
    """Return the layer with a path; None if there is no such task, or it has no tasks of its own.

    Args:
        run: the run.
        plan: its Plan, None if that is not known.
        path: the path of the task; the empty one is the pipeline.
    """
    pipeline = Member("", run.pipeline, component=plan.root if plan else None)
    return _descend(Layer(pipeline, (Crumb("", run.pipeline),), plan, run.tasks, run.inputs), path)


def find_member(run: Run, plan: Plan | None, path: str) -> tuple[Layer, Member] | None:
    """Return a task, also one that the run has not reached, and the layer that it is in; None if there is none.

    Args:
        run: the run.
        plan: its Plan, None if that is not known.
        path: the path of the task.
    """
    for layer_path, name in _splits(path):
        layer = find_layer(run, plan, layer_path)
        member = layer.find(name) if layer else None
        if layer and member:
            return layer, member
    return None


def _splits(path: str) -> Iterator[tuple[str, str]]:
    """Yield each way to split a path into a layer and a name, which may contain slashes; the shortest name first."""
    layer = path
    while layer:
        layer = layer.rpartition("/")[0]
        yield layer, path[len(layer) :].removeprefix("/") if layer else path


def _descend(layer: Layer, rest: str) -> Layer | None:
    """Return the layer whose path continues that of a layer; names may contain slashes, so all that fit are tried."""
    if not rest:
        return layer
    for member in _candidates(layer, rest):
        match = _descend(layer.open(member), rest[len(member.name) + 1 :]) if member.is_group else None
        if match:
            return match
    return None


def _candidates(layer: Layer, rest: str) -> Iterator[Member]:
    """Yield the members whose name is the beginning of a path."""
    if layer.is_loop:
        iteration = layer.find(rest.partition("/")[0])
        yield from (iteration,) if iteration else ()
        return
    yield from (each for name, each in layer.members.items() if rest == name or rest.startswith(f"{name}/"))


def _count_items(value: object) -> int:
    if isinstance(value, str):
        try:
            value = json.loads(value)
        except ValueError:
            return 0
    return len(value) if isinstance(value, list) else 0
