"""Random changes of a Plan, as users make them to a pipeline between two runs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from random import Random

from standpipe.model.plan import Binding, Component, Constant, Dag, FromInput, FromTask, Node, Plan, RawItems, Trigger
from standpipe.model.types import ParameterInput
from tests.plans import INT

#: A change of a DAG and its inputs, in place.
Change = Callable[[Plan, Random, dict[str, Node], dict[str, tuple[FromTask, ...]], dict[str, object]], None]


def changed(plan: Plan, random: Random) -> Plan:
    """Return a Plan with at most one random change, in its root or in a nested pipeline."""
    dags = [name for name, component in plan.components.items() if isinstance(component.body, Dag)]
    name = random.choice(["", *dags])
    component = plan.components[name] if name else plan.root
    assert isinstance(component.body, Dag)
    nodes, outputs, inputs = dict(component.body.nodes), dict(component.body.outputs), dict(component.inputs)
    if nodes:
        random.choice(_CHANGES)(plan, random, nodes, outputs, inputs)  # type: ignore[arg-type]
    if not name:
        inputs = dict(component.inputs)  # the run has its arguments
    new = Component(Dag(nodes, outputs), inputs, component.outputs)
    return replace(plan, components={**plan.components, name: new}) if name else replace(plan, root=new)


def _remove(
    plan: Plan, random: Random, nodes: dict[str, Node], outputs: dict[str, tuple[FromTask, ...]], _: object
) -> None:
    name = random.choice(list(nodes))
    sources = {source.task for each in outputs.values() for source in each}
    if name not in sources and all(name not in node.upstream for node in nodes.values()):
        del nodes[name]


def _bind(plan: Plan, random: Random, nodes: dict[str, Node], *_: object) -> None:
    node = random.choice(list(nodes.values()))
    declared = plan.components[node.component].inputs
    integers = [name for name in node.inputs if getattr(declared.get(name), "type", None) is INT]
    if integers:
        value = Constant(random.randrange(5))
        nodes[node.name] = replace(node, inputs={**node.inputs, random.choice(integers): value})


def _condition(plan: Plan, random: Random, nodes: dict[str, Node], *_: object) -> None:
    node = random.choice(list(nodes.values()))
    nodes[node.name] = replace(node, trigger=Trigger(node.trigger.strategy))


def _items(plan: Plan, random: Random, nodes: dict[str, Node], *_: object) -> None:
    loops = [node for node in nodes.values() if node.loop and isinstance(node.loop.items, RawItems)]
    if loops:
        node = random.choice(loops)
        assert node.loop
        assert isinstance(node.loop.items, RawItems)
        items = node.loop.items.items
        longer = random.choice([items[1:], items + items[:1]])
        nodes[node.name] = replace(node, loop=replace(node.loop, items=RawItems(longer)))


def _output(
    plan: Plan, random: Random, nodes: dict[str, Node], outputs: dict[str, tuple[FromTask, ...]], _: object
) -> None:
    single = [name for name, sources in outputs.items() if len(sources) == 1]
    if single:
        name = random.choice(single)
        (source,) = outputs[name]
        was = plan.components[nodes[source.task].component].outputs.get(source.output)
        alike = [
            FromTask(node.name, output)
            for node in nodes.values()
            for output, declared in plan.components[node.component].outputs.items()
            if declared == was and bool(node.loop) == bool(nodes[source.task].loop)
        ]
        outputs[name] = (random.choice(alike),)


def _default(plan: Plan, random: Random, nodes: object, outputs: object, inputs: dict[str, object]) -> None:
    integers = [name for name, each in inputs.items() if isinstance(each, ParameterInput) and each.type is INT]
    if integers:
        name = random.choice(integers)
        inputs[name] = replace(inputs[name], default=random.randrange(5))  # type: ignore[type-var]


def _add(plan: Plan, random: Random, nodes: dict[str, Node], outputs: object, inputs: dict[str, object]) -> None:
    if "new" not in nodes:
        inputs["fresh"] = ParameterInput(INT, optional=True, default=3)
        choices: list[Binding] = [Constant(1), FromInput("fresh")]
        bound = random.choice(choices)
        nodes["new"] = Node("new", "number", {"a": bound}, after=(random.choice(list(nodes)),))


def _after(plan: Plan, random: Random, nodes: dict[str, Node], *_: object) -> None:
    if len(nodes) > 1:
        earlier, later = sorted(random.sample(range(len(nodes)), 2))
        names = list(nodes)
        node = nodes[names[later]]
        nodes[node.name] = replace(node, after=(*node.after, names[earlier]))


_CHANGES: tuple[Change, ...] = (_remove, _bind, _condition, _items, _output, _default, _add, _after)
