"""Who waits for whom in a DAG."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from standpipe.model.plan import Dag


@dataclass(frozen=True)
class Topology:
    """For each task of a DAG: the tasks that it waits for, and the ones that wait for it."""

    upstream: Mapping[str, Sequence[str]]
    dependents: Mapping[str, Sequence[str]]

    @classmethod
    def of(cls, dag: Dag) -> Topology:
        upstream = {name: node.upstream for name, node in dag.nodes.items()}
        dependents: dict[str, list[str]] = {name: [] for name in dag.nodes}
        for name, producers in upstream.items():
            for producer in producers:
                dependents[producer].append(name)
        return cls(upstream, dependents)

    def in_order(self) -> Iterator[str]:
        """The tasks, each after those that it waits for."""
        waiting = {name: len(producers) for name, producers in self.upstream.items()}
        ready = [name for name, number in waiting.items() if not number]
        for name in ready:  # which grows
            yield name
            for dependent in self.dependents[name]:
                waiting[dependent] -= 1
                if not waiting[dependent]:
                    ready.append(dependent)


class Topologies:
    """The topologies of the DAGs of a Plan, each made once."""

    def __init__(self) -> None:
        self._made: dict[int, Topology] = {}

    def of(self, dag: Dag) -> Topology:
        """That of a DAG, which lives as long as this."""
        made = self._made.get(id(dag))
        if made is None:
            made = self._made[id(dag)] = Topology.of(dag)
        return made
