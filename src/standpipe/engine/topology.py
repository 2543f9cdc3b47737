"""Who waits for whom in a DAG."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from standpipe.model.plan import Dag


@dataclass(frozen=True)
class Topology:
    """For each task of a DAG: how many tasks it waits for, and which ones wait for it."""

    upstream_counts: Mapping[str, int]
    dependents: Mapping[str, Sequence[str]]

    @classmethod
    def of(cls, dag: Dag) -> Topology:
        dependents: dict[str, list[str]] = {name: [] for name in dag.nodes}
        counts = {}
        for name, node in dag.nodes.items():
            upstream = node.upstream
            counts[name] = len(upstream)
            for producer in upstream:
                dependents[producer].append(name)
        return cls(counts, dependents)
