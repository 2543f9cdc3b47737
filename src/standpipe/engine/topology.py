"""The order of the tasks of a DAG."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from standpipe.model.plan import Dag


class Topology(NamedTuple):
    """The upstream tasks of each task of a DAG, and the tasks that depend on it."""

    upstream: Mapping[str, Sequence[str]]
    dependents: Mapping[str, Sequence[str]]

    @classmethod
    def of(cls, dag: Dag) -> Topology:
        """Return the topology of a DAG."""
        upstream = {name: node.upstream for name, node in dag.nodes.items()}
        dependents: dict[str, list[str]] = {name: [] for name in dag.nodes}
        for name, producers in upstream.items():
            for producer in producers:
                dependents[producer].append(name)
        return cls(upstream, dependents)

    def sort(self) -> Iterator[str]:
        """Yield the names of the tasks, each after its upstream tasks."""
        unfinished = {name: len(producers) for name, producers in self.upstream.items()}
        ready = [name for name, number in unfinished.items() if not number]
        for name in ready:  # grows
            yield name
            for dependent in self.dependents[name]:
                unfinished[dependent] -= 1
                if not unfinished[dependent]:
                    ready.append(dependent)


class Topologies:
    """The topologies of the DAGs of a Plan, each computed once."""

    def __init__(self) -> None:
        self._known: dict[int, Topology] = {}

    def get(self, dag: Dag) -> Topology:
        """Return the topology of a DAG, which must live as long as this object."""
        topology = self._known.get(id(dag))
        if topology is None:
            topology = self._known[id(dag)] = Topology.of(dag)
        return topology
