"""The artifacts of a layer, and the edges of its graph: those of the Plan, or those of the lineage without one."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from standpipe.history import Artifact, Status
from standpipe.model.plan import FinalStatus, FromInput, FromTask
from standpipe.model.types import ArtifactInput, ArtifactOutput, ArtifactType
from standpipe.ui.views.conditions import readable_name
from standpipe.ui.views.graph_parts import GraphEdge, GraphNode
from standpipe.ui.views.layers import Layer, Member
from standpipe.ui.views.states import PENDING


def connect(layer: Layer) -> tuple[list[GraphNode], list[GraphEdge]]:
    """Return the artifacts of a layer, and all edges of its graph."""
    return _planned(layer) if layer.dag else _recorded(layer)


def _output_node(member: Member, output: str, type: str, value: object) -> GraphNode:
    artifacts = _artifacts_in(value)
    count = f", {len(artifacts)} artifacts" if isinstance(value, list) else ""
    return GraphNode(
        id=f"output:{member.name}/{output}",
        kind="artifact",
        name=readable_name(output),
        state=Status.SUCCEEDED.value if artifacts else PENDING,
        task=member.path,
        output=output,
        detail=f"{type}{count}",
        after=(member.title,),
    )


def _artifacts_in(value: object) -> list[Artifact]:
    return [each for each in (value if isinstance(value, list) else [value]) if isinstance(each, Artifact)]


# --- edges of a Plan --------------------------------------------------------------------------------------------------


def _planned(layer: Layer) -> tuple[list[GraphNode], list[GraphEdge]]:
    """Return the artifacts of a layer and all its edges, as the Plan has them."""
    outputs = [node for member in layer.members.values() for node in _planned_outputs(member)]
    produced = {node.id for node in outputs}
    edges = [GraphEdge(f"task:{member.name}", node.id, "artifact") for member, node in _with_producers(layer, outputs)]
    inputs: dict[str, GraphNode] = {}
    for member in layer.members.values():
        dependencies = _dependencies(layer, member, produced, inputs)
        edges += [*_merge(dependencies), *_plain_order(layer, member)]
    return [*inputs.values(), *outputs], edges


def _with_producers(layer: Layer, outputs: Iterable[GraphNode]) -> Iterator[tuple[Member, GraphNode]]:
    members = {member.path: member for member in layer.members.values()}
    return ((members[node.task], node) for node in outputs)


def _planned_outputs(member: Member) -> Iterator[GraphNode]:
    recorded = member.task.outputs if member.task else {}
    for name, output in member.component.outputs.items() if member.component else ():
        if isinstance(output, ArtifactOutput):
            yield _output_node(member, name, output.type.label, recorded.get(name))


def _dependencies(
    layer: Layer, member: Member, produced: set[str], inputs: dict[str, GraphNode]
) -> Iterator[GraphEdge]:
    """Yield an edge for each input of a task; artifacts from outside of the layer are added to `inputs`."""
    target = f"task:{member.name}"
    for name, binding in member.node.inputs.items() if member.node else ():
        if isinstance(binding, FromInput):
            node = _input_node(layer, binding.input)
            if node:
                inputs[node.id] = node
                yield GraphEdge(node.id, target, "artifact", readable_name(name))
        elif isinstance(binding, FromTask):
            artifact = f"output:{binding.task}/{binding.output}"
            if artifact in produced:
                yield GraphEdge(artifact, target, "artifact", readable_name(name))
            else:
                yield GraphEdge(f"task:{binding.task}", target, "parameter", readable_name(binding.output))
        elif isinstance(binding, FinalStatus):
            yield GraphEdge(f"task:{binding.task}", target, "after", "final status")


def _input_node(layer: Layer, name: str) -> GraphNode | None:
    """Return the node of an artifact that comes from outside of a layer; None for a parameter."""
    component = layer.member.component
    declared = component.inputs.get(name) if component else None
    if not isinstance(declared, ArtifactInput):
        return None
    artifacts = _artifacts_in(layer.inputs.get(name))
    return GraphNode(
        id=f"input:{name}",
        kind="artifact",
        name=readable_name(name),
        state=Status.SUCCEEDED.value if artifacts else PENDING,
        task=(artifacts[0].producer or "") if artifacts else "",
        detail=f"{declared.type.label}, an input",
    )


def _merge(edges: Iterable[GraphEdge]) -> Iterator[GraphEdge]:
    """Yield one edge for all of the same kind between two nodes, with all their labels."""
    labels: dict[tuple[str, str, str], dict[str, None]] = {}
    for edge in edges:
        labels.setdefault((edge.source, edge.target, edge.kind), {})[edge.label] = None
    return (GraphEdge(*ends, ", ".join(names)) for ends, names in labels.items())


def _plain_order(layer: Layer, member: Member) -> Iterator[GraphEdge]:
    """Yield the edges to upstream tasks of which a task has no input."""
    if member.node:
        producers = set(member.node.producers)
        for name in member.node.after:
            if name in layer.members and name not in producers:
                yield GraphEdge(f"task:{name}", f"task:{member.name}", "after")


# --- edges of the lineage ---------------------------------------------------------------------------------------------


def _recorded(layer: Layer) -> tuple[list[GraphNode], list[GraphEdge]]:
    """Return the artifacts that tasks of a layer produced, and the edges to and from them."""
    nodes: list[GraphNode] = []
    edges: list[GraphEdge] = []
    for member in layer.members.values():
        for name, value in member.task.outputs.items() if member.task else ():
            artifacts = _artifacts_in(value)
            if artifacts:
                nodes.append(_output_node(member, name, ArtifactType(artifacts[0].type).label, value))
                edges += _recorded_edges(layer, member, nodes[-1].id, artifacts)
    return nodes, edges


def _recorded_edges(layer: Layer, member: Member, artifact: str, artifacts: Sequence[Artifact]) -> Iterator[GraphEdge]:
    yield GraphEdge(f"task:{member.name}", artifact, "artifact")
    consumers = {consumer for each in artifacts for consumer in each.consumers}
    for other in layer.members.values():
        if other is not member and any(
            consumer == other.path or consumer.startswith(f"{other.path}/") for consumer in consumers
        ):
            yield GraphEdge(artifact, f"task:{other.name}", "artifact")
