"""Which executors a run will use, as far as its Plan says it before the run starts."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import NamedTuple

from standpipe.engine.machine import Machine
from standpipe.engine.tasks import ExecutorTask
from standpipe.model.plan import Component, Container, Dag, Node, Plan, PythonFunction, RawItems, Retry, SourceLocation
from standpipe.model.refs import ROOT, TaskRef
from standpipe.model.states import TaskState


class ExecutorUse(NamedTuple):
    """An executor with a container, and how the tasks of a pipeline use it.

    `task` is the path of one of these tasks, and `ref` its reference, both without numbers of iterations. `is_certain`
    is whether one of them runs unless another task fails: it is in no condition, and in no loop over items that are not
    known. `is_first` is whether one of them needs no other task. `is_retried` is whether all of them are retried after
    a failure. `call` and `definition` are where that task and its component come from; None if that is not known.
    """

    label: str
    executor: Container
    task: str
    is_certain: bool
    is_first: bool
    is_retried: bool
    call: SourceLocation | None = None
    definition: SourceLocation | None = None
    ref: TaskRef = ROOT

    def line(self, number: int) -> SourceLocation | None:
        """Return where a line of its program comes from, or else its component or task.

        Args:
            number: the number of the line, from 1; 0 for the program as a whole.
        """
        program = self.executor.program
        line = program.locate(number) if number and isinstance(program, PythonFunction) else None
        return line or self.definition or self.call


def find_uses(plan: Plan) -> list[ExecutorUse]:
    """Return the uses of all executors with a container, one for each, in the order of the tasks."""
    uses: dict[str, ExecutorUse] = {}
    for use in _Walk(plan).uses():
        other = uses.get(use.label)
        if other is None:
            uses[use.label] = use
            continue
        named = use if use.is_certain and not other.is_certain else other
        uses[use.label] = other._replace(
            task=named.task,
            call=named.call,
            ref=named.ref,
            is_certain=use.is_certain or other.is_certain,
            is_first=use.is_first or other.is_first,
            is_retried=use.is_retried and other.is_retried,
        )
    return list(uses.values())


def find_finished(machine: Machine, reruns: Collection[TaskRef]) -> frozenset[str]:
    """Return the labels of executors whose tasks have all succeeded, as far as a resumed run has reached them.

    Args:
        machine: the state of the run.
        reruns: the tasks that run again.
    """
    tasks = [task for task in machine.root.walk() if isinstance(task, ExecutorTask)]
    open_labels = {
        task.executor.label for task in tasks if task.state is not TaskState.SUCCEEDED or task.ref.is_within(reruns)
    }
    return frozenset(task.executor.label for task in tasks) - open_labels


class _Walk:
    """A walk through the tasks of a Plan. A component that is used twice in the same way is entered once."""

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self._entered: set[object] = set()

    def uses(self) -> Iterator[ExecutorUse]:
        return self._enter("", self._plan.root, ROOT, True, True, None, None)

    def _enter(
        self,
        key: str,
        component: Component,
        ref: TaskRef,
        is_certain: bool,
        is_first: bool,
        retry: Retry | None,
        call: SourceLocation | None,
    ) -> Iterator[ExecutorUse]:
        is_retried = retry is not None and retry.max_retries > 0
        if not isinstance(component.body, Dag):
            executor = self._plan.executors[component.body.label]
            if isinstance(executor, Container):
                path = str(ref) or self._plan.name
                use = ExecutorUse(component.body.label, executor, path, is_certain, is_first, is_retried, call)
                yield use._replace(definition=component.source_location, ref=ref)
            return
        way = (key, is_certain, is_first, is_retried)
        if way in self._entered:
            return
        self._entered.add(way)
        for name, node in component.body.nodes.items():
            yield from self._enter(
                node.component,
                self._plan.components[node.component],
                ref.child(name),
                is_certain and _is_certain(node),
                is_first and not node.upstream,
                node.retry or retry,
                node.source_location,
            )


def _is_certain(node: Node) -> bool:
    has_items = node.loop is None or (isinstance(node.loop.items, RawItems) and bool(node.loop.items.items))
    return node.trigger.condition is None and has_items
