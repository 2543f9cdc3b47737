"""The names by which functions stand for tasks."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from typing import NamedTuple

from standpipe.model.attempts import CommandLine
from standpipe.model.plan import Command, Container, Dag, ExecutorRef, Loop, Plan, PythonFunction, RawItems


class NamedTask(NamedTuple):
    """A task of a Plan: its path, with the range of the iterations of each loop, and the name of its component.

    `executor` is the label of its executor.
    """

    path: tuple[str | range, ...]
    name: str
    component: str
    executor: str

    def has_name(self, normalized: str) -> bool:
        """Return whether a normalized name is that of the task or its component, or the path of one of its runs."""
        if self.has_general_name(normalized):
            return True
        steps = normalized.split("/")
        return len(steps) == len(self.path) and all(map(_is_step, steps, self.path))

    def has_general_name(self, normalized: str) -> bool:
        """Return whether a normalized name is that of the task or its component, so that it stands for all its runs."""
        return normalized in (normalize(self.name), normalize(self.component))

    def __str__(self) -> str:
        return "/".join("N" if isinstance(step, range) else step for step in self.path)


def tasks_of(plan: Plan) -> Iterator[NamedTask]:
    """Yield the tasks of a Plan that have a container, which are those that a runner runs."""
    assert isinstance(plan.root.body, Dag), "a pipeline has tasks"
    yield from _tasks_of(plan, plan.root.body, ())


def component_name(program: Command | CommandLine | PythonFunction, task: str) -> str:
    """Return the name of a task's component, whose tasks KFP numbers: `train`, `train-2` and so on."""
    return program.name if isinstance(program, PythonFunction) else re.sub(r"-\d+$", "", task)


def normalize(name: str) -> str:
    """Return a name as KFP names tasks: in lower case, with hyphens."""
    return re.sub(r"[_\s]+", "-", name.lower())


def _tasks_of(plan: Plan, dag: Dag, path: tuple[str | range, ...]) -> Iterator[NamedTask]:
    for node in dag.nodes.values():
        own_path = (*path, node.name, *([_iterations(node.loop)] if node.loop else []))
        body = plan.components[node.component].body
        if isinstance(body, ExecutorRef):
            executor = plan.executors[body.label]
            if isinstance(executor, Container):
                yield NamedTask(own_path, node.name, component_name(executor.program, node.name), body.label)
        else:
            yield from _tasks_of(plan, body, own_path)


def _iterations(loop: Loop) -> range:
    """Return the numbers of the iterations; without an end where the number of items is known only in a run."""
    return range(len(loop.items.items) if isinstance(loop.items, RawItems) else sys.maxsize)


def _is_step(normalized: str, step: str | range) -> bool:
    if isinstance(step, str):
        return normalized == normalize(step)
    return normalized.isdecimal() and int(normalized) in step
