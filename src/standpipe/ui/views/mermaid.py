"""The graph of a Plan as a flowchart of Mermaid, which GitHub, GitLab and many editors draw in Markdown."""

from __future__ import annotations

from collections.abc import Iterator

from standpipe.model.plan import Plan
from standpipe.support.terminal_text import strip_controls
from standpipe.ui.views.graph_edges import connect
from standpipe.ui.views.layers import Layer, Member
from standpipe.ui.views.plan_layers import describe_start, in_order, inner_layer, plan_layer

#: Characters with a meaning in labels, and what Mermaid shows as them.
_CODES = str.maketrans({each: f"#{ord(each)};" for each in '"#&<>`\\*_'})


def draw_mermaid(plan: Plan) -> str:
    """Return the flowchart of a Plan. Nested pipelines, conditions, loops and exit handlers are subgraphs."""
    layer = plan_layer(plan)
    lines = ["flowchart TB", *(f"  {line}" for line in _draw(layer, "t"))]
    return "\n".join(lines) + "\n"


def _draw(layer: Layer, prefix: str) -> Iterator[str]:
    """Yield the lines of a layer. Ids are numbers behind a prefix, since names may be any text."""
    ids = {name: f"{prefix}{number}" for number, name in enumerate(layer.members)}
    for member in in_order(layer):
        inside = inner_layer(layer, member)
        if inside is None:
            yield f"{ids[member.name]}{_shape(layer, member)}"
            continue
        yield f"subgraph {ids[member.name]}[{_label(layer, member)}]"
        yield from (f"  {line}" for line in _draw(inside, f"{ids[member.name]}_"))
        yield "end"
    yield from _edges(layer, ids)


def _edges(layer: Layer, ids: dict[str, str]) -> Iterator[str]:
    """Yield a line for each pair of tasks that depend on each other, with the names of what is passed."""
    producers = {f"task:{name}": name for name in ids}
    _, edges = connect(layer)
    producers.update({edge.target: producers[edge.source] for edge in edges if edge.target.startswith("output:")})
    labels: dict[tuple[str, str], dict[str, None]] = {}
    for edge in edges:
        if edge.source in producers and edge.target.startswith("task:"):
            pair = ids[producers[edge.source]], ids[edge.target.removeprefix("task:")]
            labels.setdefault(pair, {})[edge.label if edge.kind != "after" else ""] = None
    for (source, target), names in labels.items():
        text = ", ".join(filter(None, names))
        yield f"{source} -->|{_quote(text)}| {target}" if text else f"{source} -.-> {target}"


def _shape(layer: Layer, member: Member) -> str:
    label = _label(layer, member)
    return f"[({label})]" if member.kind == "importer" else f"[{label}]"


def _label(layer: Layer, member: Member) -> str:
    notes = [note for note in describe_start(layer, member) if not note.startswith("after ")]
    return _quote(": ".join([member.title, *(["; ".join(notes)] if notes else [])]))


def _quote(text: str) -> str:
    return f'"{" ".join(strip_controls(text).split()).translate(_CODES)}"'
