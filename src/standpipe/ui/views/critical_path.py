"""The critical path of a run: the chain of dependencies that decided when it ended."""

from __future__ import annotations

from datetime import datetime

from standpipe.history import Run, Task
from standpipe.model.plan import Plan
from standpipe.ui.views.layers import Layer, Member, find_layer


def find_critical_path(run: Run, plan: Plan | None, now: datetime) -> frozenset[str]:
    """Return the paths of the tasks on the critical path, groups included; empty if the Plan is not known.

    In each layer it leads from the task that ended last to the one of its upstream tasks that ended last, and so on.
    The same holds in each group on the path; in a loop, the iteration that ended last is on it.

    Args:
        run: the run.
        plan: its Plan.
        now: the time at which tasks that are running are taken to end.
    """
    layer = find_layer(run, plan) if plan else None
    critical: set[str] = set()
    pending = [layer] if layer else []
    while pending:
        current = pending.pop()
        chain = _last_iteration(current, now) if current.is_loop else _chain(current, now)
        critical.update(member.path for member in chain)
        pending += [current.open(member) for member in chain if member.children]
    return frozenset(critical)


def _chain(layer: Layer, now: datetime) -> list[Member]:
    """Return the members of a layer on the path, the last one first."""
    ends = {name: _end(member.task, now) for name, member in layer.members.items() if member.task}
    known = {name: end for name, end in ends.items() if end}
    chain: list[Member] = []
    name = max(known, key=known.__getitem__, default=None)
    while name is not None:
        chain.append(layer.members[name])
        del known[name]  # a Plan from a damaged store may have a cycle
        node = chain[-1].node
        upstream = [other for other in (node.upstream if node else ()) if other in known]
        name = max(upstream, key=known.__getitem__, default=None)
    return chain


def _last_iteration(loop: Layer, now: datetime) -> list[Member]:
    ends = ((end, number) for number, task in loop.iterations.items() if (end := _end(task, now)))
    return [loop.iteration(number) for _, number in sorted(ends)[-1:]]


def _end(task: Task, now: datetime) -> datetime | None:
    """Return when a task ended, or `now` if it is running; None if it did not run."""
    return None if task.started is None else task.ended or now
