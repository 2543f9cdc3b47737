"""Random Plans: loops in conditions in nested pipelines, some of which fail."""

from __future__ import annotations

import itertools
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from random import Random
from typing import Any

from standpipe.model.expressions import parse
from standpipe.model.plan import (
    Binding,
    Command,
    Component,
    Constant,
    Container,
    Dag,
    ExecutorRef,
    FinalStatus,
    FromInput,
    FromTask,
    InputItems,
    Loop,
    Node,
    Plan,
    PythonFunction,
    RawItems,
    Retry,
    Trigger,
)
from standpipe.model.refs import TaskRef
from standpipe.model.templates import parse_value
from standpipe.model.types import (
    ArtifactInput,
    ArtifactOutput,
    ArtifactType,
    Input,
    Output,
    ParameterInput,
    ParameterOutput,
    ParameterType,
)
from standpipe.model.values import ArtifactValue
from tests.plans import COMPLETED, INT, leaf

STRING, LIST, STRUCT = ParameterType.STRING, ParameterType.LIST, ParameterType.STRUCT
DATASET = ArtifactType("system.Dataset")
DATA, MANY = "an artifact", "a list of artifacts"

#: The kind of a value: a parameter's type, or one of the two above.
Kind = ParameterType | str

INPUTS: dict[Kind, Input] = {
    **{kind: ParameterInput(kind, optional=True) for kind in (INT, STRING, LIST, STRUCT)},
    DATA: ArtifactInput(DATASET, optional=True),
    MANY: ArtifactInput(DATASET, is_list=True, optional=True),
}
LEAVES = {
    "number": leaf({"a": ParameterInput(INT, optional=True, default=7), "b": INPUTS[INT]}),
    "needy": leaf({"a": ParameterInput(INT)}),
    "text": leaf({"s": INPUTS[STRING]}, {"s": ParameterOutput(STRING)}),
    "several": leaf({}, {"l": ParameterOutput(LIST), "d": ParameterOutput(STRUCT)}),
    "listed": leaf({"l": INPUTS[LIST]}),
    "nested": Component(ExecutorRef("nested"), {"l": INPUTS[LIST]}, {"y": ParameterOutput(INT)}),
    "made": leaf({"a": INPUTS[INT]}, {"data": ArtifactOutput(DATASET)}),
    "used": leaf({"one": INPUTS[DATA], "many": INPUTS[MANY]}),
}
TIDY = leaf({"status": ParameterInput(ParameterType.TASK_FINAL_STATUS, optional=True), "a": INPUTS[INT]})
LOOPED_LEAVES = {"number": ("a", INT), "text": ("s", STRING)}  # the input that gets the item
EXECUTORS = {
    "exec": Container("image", Command()),
    "nested": Container("image", PythonFunction("nested", "def nested(l: List[List[int]]): ...")),
}
CONDITIONS: dict[Kind, tuple[str, ...]] = {
    INT: ("{} == 2", "!({} < 3)", "{} > 1 && {} != 4", "int({}) >= 0"),
    STRING: ("{} == 'it's'", "{} != 'a'", "int({}) == 3"),
    LIST: ("size({}) > 1",),
    STRUCT: ('{}["a"] == 1', "size({}) == 2"),
}
#: Selectors of an integer in a value.
PARTS: dict[Kind, str] = {STRUCT: 'parseJson(string_value)["a"]', LIST: "parseJson(string_value)[0]"}
DEEPEST = 3


@dataclass
class Scope:
    """A DAG that is being made: its nodes, and the sources of values for them."""

    nodes: list[Node] = field(default_factory=list)
    sources: list[tuple[FromTask | FromInput, Kind]] = field(default_factory=list)

    @classmethod
    def of(cls, inputs: Mapping[str, Input]) -> Scope:
        return cls(sources=[(FromInput(name), kind_of(declared)) for name, declared in inputs.items()])

    def of_kind(self, *kinds: Kind) -> list[Binding]:
        return [source for source, kind in self.sources if kind in kinds]

    def dag(self, **outputs: tuple[FromTask, ...]) -> Dag:
        return Dag({node.name: node for node in self.nodes}, outputs)


@dataclass
class Maker:
    """Makes a Plan with at least a number of tasks; `retried` percent of them have retries."""

    random: Random
    tasks: int
    components: dict[str, Component] = field(default_factory=lambda: {**LEAVES, "tidy": TIDY})
    numbers: itertools.count[int] = field(default_factory=itertools.count)
    retried: int = 20

    def plan(self) -> Plan:
        inputs = {"n": INPUTS[INT], "absent": INPUTS[INT], "l": INPUTS[LIST]}
        scope = Scope.of(inputs)
        while self.tasks > 0:
            self.add(scope, 0)
        return Plan("test", self.closed(scope, inputs), self.components, EXECUTORS)

    def add(self, scope: Scope, level: int) -> None:
        """Add a task to a scope, or a group with tasks."""
        self.tasks -= 1
        if level == DEEPEST or self.chance(55):
            self.add_leaf(scope)
        else:
            self.pick(self.add_group, self.add_loop, self.add_branches, self.add_handler)(scope, level)

    def add_leaf(self, scope: Scope) -> None:
        if self.chance(10):
            name, (item, kind) = self.pick(*LOOPED_LEAVES.items())
            self.place(scope, name, loop=self.loop(item, kind))
        else:
            self.place(scope, self.pick(*LEAVES))

    def add_group(self, scope: Scope, level: int) -> str:
        return self.place(scope, self.group(scope, level, {}))

    def add_loop(self, scope: Scope, level: int) -> None:
        kind = self.pick(INT, INT, STRING, STRUCT)
        body = self.group(scope, level, {"item": ParameterInput(kind)})
        loop = self.place(scope, body, loop=self.loop("item", kind))
        for name, output in self.components[body].outputs.items():
            if kind_of(output) is LIST:
                self.place(scope, self.pick("listed", "nested"), l=FromTask(loop, name))
            else:
                self.place(scope, "used", many=FromTask(loop, name))

    def add_handler(self, scope: Scope, level: int) -> None:
        guarded = self.add_group(scope, level)
        inputs: dict[str, Binding] = {"status": FinalStatus(guarded)}
        if numbers := scope.of_kind(INT):
            inputs["a"] = self.pick(*numbers)
        self.put(scope, Node(self.name(), "tidy", inputs, (guarded,), trigger=COMPLETED))

    def add_branches(self, scope: Scope, level: int) -> None:
        """Add If and Else, or two conditions that may both be false, and OneOf."""
        inputs = {"c": INPUTS[INT]}
        whole = Scope.of(inputs)
        for text in ("inputs.parameter_values['c'] > 2", "!(inputs.parameter_values['c'] > 2)"):
            condition = parse(text if self.chance(85) else "inputs.parameter_values['c'] == 1")
            branch = Scope.of(inputs)
            self.add(branch, max(level + 1, DEEPEST - 1))
            self.put(branch, Node("result", "number", {"a": FromInput("c")}))
            component = Component(branch.dag(y=(FromTask("result", "y"),)), inputs, {"y": ParameterOutput(INT)})
            trigger = Trigger(condition=condition)
            self.put(whole, Node(self.name(), self.keep(component), {"c": FromInput("c")}, trigger=trigger))
        one_of = tuple(FromTask(node.name, "y") for node in whole.nodes)
        branches = self.keep(Component(whole.dag(y=one_of), inputs, {"y": ParameterOutput(INT)}))
        self.place(scope, branches, c=self.pick(Constant(1), Constant(4), *scope.of_kind(INT)))

    def group(self, scope: Scope, level: int, item: Mapping[str, Input]) -> str:
        """Make a component with a DAG; its inputs are kinds that the outer scope has, and the item of a loop."""
        taken = self.random.sample(scope.sources, min(len(scope.sources), self.random.randrange(4)))
        inputs = {**{f"i{number}": INPUTS[kind] for number, (_, kind) in enumerate(taken)}, **item}
        inner = Scope.of(inputs)
        self.add(inner, level + 1)
        while self.tasks > 0 and self.chance(60):
            self.add(inner, level + 1)
        return self.keep(self.closed(inner, inputs, looped=bool(item)))

    def closed(self, scope: Scope, inputs: Mapping[str, Input], *, looped: bool = False) -> Component:
        """Make a component of a finished scope with some outputs of its tasks, declared as a loop declares them."""
        given = [(s, kind) for s, kind in scope.sources if isinstance(s, FromTask) and not s.selector]
        chosen = self.random.sample(given, min(len(given), self.pick(0, 1, 1, 2)))
        sources = {f"o{number}": (source,) for number, (source, _) in enumerate(chosen)}
        kinds = [gathered(kind) if looped else kind for _, kind in chosen]
        return Component(scope.dag(**sources), inputs, dict(zip(sources, map(output_of, kinds), strict=True)))

    def loop(self, item: str, kind: Kind) -> Loop:
        """Make a loop over the input `items` or over constants; rarely over a value of the wrong kind."""
        limit = self.pick(0, 0, 1, 2)
        if kind is not STRUCT and self.chance(50):
            return Loop(InputItems("items"), item, limit)
        items = [{"a": number} if kind is STRUCT else number for number in range(self.pick(0, 1, 2, 2, 3))]
        return Loop(RawItems(("text", *items) if self.chance(5) else tuple(items)), item, limit)

    def place(self, scope: Scope, component: str, loop: Loop | None = None, **given: Binding) -> str:
        """Add a task; inputs that are not in `given` are bound to sources of the scope."""
        inputs = {n: d for n, d in self.components[component].inputs.items() if not loop or n != loop.item_input}
        found = {name: self.bound(scope, kind_of(declared)) for name, declared in inputs.items()}
        bindings = {**{name: binding for name, binding in found.items() if binding}, **given}
        if loop and isinstance(loop.items, InputItems):
            text = Constant("[4, 5]" if self.chance(90) else "no list")
            bindings["items"] = self.pick(text, *scope.of_kind(LIST), *scope.of_kind(LIST))
        if component == "text" and not loop and (channels := scope.of_kind(INT, LIST, STRUCT)) and self.chance(50):
            bindings["channel"] = self.pick(*channels)
            bindings["s"] = Constant(parse_value("<{{$.inputs.parameters['channel']}}>"))
        conditioned = [name for name in bindings if name in inputs and kind_of(inputs[name]) in CONDITIONS]
        condition = None
        if conditioned and self.chance(12):
            name = self.pick(*conditioned)
            form = self.pick(*CONDITIONS[kind_of(inputs[name])])
            condition = parse(form.replace("{}", f"inputs.parameter_values['{name}']"))
        trigger = Trigger(COMPLETED.strategy if self.chance(15) else Trigger().strategy, condition)
        after = tuple(node.name for node in scope.nodes if self.chance(10))
        retry = Retry(self.pick(0, 1, 2), self.pick(0.0, 0.0, 10.0)) if self.chance(self.retried) else None
        return self.put(scope, Node(self.name(), component, bindings, after, trigger=trigger, loop=loop, retry=retry))

    def bound(self, scope: Scope, kind: Kind) -> Binding | None:
        """Return the source of an input; rarely one of another type, or none."""
        sources = scope.of_kind(kind)
        if kind is STRING or (isinstance(kind, ParameterType) and self.chance(1)):
            sources += scope.of_kind(INT, STRING, LIST, STRUCT)
        if kind is INT:
            sources.append(Constant(self.random.randrange(5)))
        if kind is STRING:
            sources.append(Constant(self.pick("a", "it's", "3")))
        return self.pick(*sources) if sources and not self.chance(5) else None

    def put(self, scope: Scope, node: Node) -> str:
        scope.nodes.append(node)
        component = self.components[node.component]
        looped_leaf = node.loop and isinstance(component.body, ExecutorRef)  # groups in loops declare lists themselves
        for name, output in component.outputs.items():
            kind = gathered(kind_of(output)) if looped_leaf else kind_of(output)
            scope.sources.append((FromTask(node.name, name), kind))
            part = PARTS.get(kind)
            if part:
                scope.sources.append((FromTask(node.name, name, parse(part)), INT))
        return node.name

    def keep(self, component: Component) -> str:
        name = f"c{next(self.numbers)}"
        self.components[name] = component
        return name

    def name(self) -> str:
        return f"t{next(self.numbers)}"

    def chance(self, percent: int) -> bool:
        return self.random.randrange(100) < percent

    def pick(self, *choices: Any) -> Any:
        return self.random.choice(choices)


def kind_of(declared: Input | Output) -> Kind:
    if isinstance(declared, (ParameterInput, ParameterOutput)):
        return declared.type
    return MANY if declared.is_list else DATA


def gathered(kind: Kind) -> Kind:
    return LIST if isinstance(kind, ParameterType) else MANY


def output_of(kind: Kind) -> Output:
    return ParameterOutput(kind) if isinstance(kind, ParameterType) else ArtifactOutput(DATASET, is_list=kind == MANY)


def behaviour(failing: int) -> Callable[[TaskRef, Component, Mapping[str, Any], int], dict[str, Any] | None]:
    """Return the behaviour of fake tasks: outputs depend on inputs only; `failing` percent of the attempts fail."""

    def behave(ref: TaskRef, component: Component, inputs: Mapping[str, Any], attempt: int) -> dict[str, Any] | None:
        told = {name: value for name, value in inputs.items() if name != "status"}
        number = zlib.crc32(repr((str(ref), attempt, sorted(told.items()))).encode())
        if number % 100 < failing:
            return None
        number //= 100
        values: dict[Kind, Any] = {
            INT: number % 6,
            STRING: ("a", "it's", "3", "[1, 2]")[number % 4],
            LIST: [number % 5, number % 3, 2][: number % 4],
            STRUCT: {"a": number % 3} if number % 5 else {},
            DATA: ArtifactValue("data", DATASET, f"/{ref}"),
        }
        return {name: values[kind_of(output)] for name, output in component.outputs.items()}

    return behave
