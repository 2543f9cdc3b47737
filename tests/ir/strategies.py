"""Plans of every shape that a compiled file can hold, for property tests."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from typing import Any

from hypothesis import strategies as st

from standpipe.ir.python_command import LAYOUTS, recognize, render
from standpipe.model import plan as p
from standpipe.model import types as t
from standpipe.model.cel_strings import quote
from standpipe.model.expressions import parse
from standpipe.model.templates import parse_argument, parse_text, parse_value

TEXT = st.text(max_size=8) | st.sampled_from(
    ["{{$.pipeline_job_name}} é", "{{$.inputs.parameters['a']}}", "{{$.json_escape[1].pipeline_root}}", "{{$", "{{$}}"]
)
#: Texts that authors compare with, which KFP does not escape.
AUTHORED = ["it's", r"C:\new", r"C:\path", r"\u0041", "two\nlines", "\\\\", "trailing \\", "a' || 'b' == 'b"]
NAMES = st.text("abcxyz-_é. '", min_size=1, max_size=6)
# Whole doubles come back as integers, where nothing says that they are doubles.
NUMBERS = st.integers(-(2**53), 2**53) | st.floats(allow_nan=False, allow_infinity=False).filter(
    lambda number: not number.is_integer() or abs(number) >= 1e21
)
JSON = st.recursive(
    st.none() | st.booleans() | NUMBERS | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=6,
)
VALUES: dict[t.ParameterType, st.SearchStrategy[t.Json]] = {
    t.ParameterType.STRING: TEXT,
    t.ParameterType.NUMBER_INTEGER: st.integers(-(2**53), 2**53),
    t.ParameterType.NUMBER_DOUBLE: st.floats(allow_nan=False, allow_infinity=False),
    t.ParameterType.BOOLEAN: st.booleans(),
    t.ParameterType.LIST: st.lists(JSON, max_size=3),
    t.ParameterType.STRUCT: st.dictionaries(TEXT, JSON, max_size=3),
    t.ParameterType.TASK_CONFIG: st.none(),
    t.ParameterType.TASK_FINAL_STATUS: st.none(),
}
ARTIFACT_TYPES = st.builds(t.ArtifactType, st.sampled_from(["system.Artifact", "system.Model"]), st.just("0.0.1"))


@st.composite
def parameter_inputs(draw: st.DrawFn) -> t.ParameterInput:
    parameter_type = draw(st.sampled_from(t.ParameterType))
    values = VALUES[parameter_type]
    literals = () if parameter_type.name.startswith("TASK") else tuple(draw(st.lists(values, max_size=2)))
    return t.ParameterInput(parameter_type, draw(st.booleans()), draw(st.none() | values), draw(TEXT), literals)


INPUTS = parameter_inputs() | st.builds(t.ArtifactInput, ARTIFACT_TYPES, st.booleans(), st.booleans(), TEXT)
OUTPUTS = st.builds(t.ParameterOutput, st.sampled_from(t.ParameterType), TEXT) | st.builds(
    t.ArtifactOutput, ARTIFACT_TYPES, st.booleans(), TEXT
)
PASSTHROUGHS = st.builds(p.TaskConfigPassthrough, st.sampled_from(["ENV", "RESOURCES", "NONE"]), st.booleans())

ARGUMENTS = (
    TEXT | st.sampled_from(['{"Concat": ["a", "{{$}}"]}', '{"IfPresent": {"InputName": "a", "Then": ["b"]}}'])
).map(parse_argument)
COMMANDS = st.builds(p.Command, st.lists(ARGUMENTS, max_size=3).map(tuple), st.lists(ARGUMENTS, max_size=3).map(tuple))
URLS = st.sampled_from(["https://a.example/simple", "https://b.example/x?y='z'", "http://c.example:80/s", "file:///c"])


@st.composite
def functions(draw: st.DrawFn) -> p.PythonFunction:
    """Functions in their normal form, which is that of the command: what the command does not say is not there."""
    packages = tuple(draw(st.lists(st.text(min_size=1, max_size=8), max_size=2)))
    deps = ("--no-deps", 'typing-extensions>=3.7.4,<5; python_version<"3.9"')
    releases = [(f"kfp=={version}", *deps) for version in ("2.17.3", "2.14.1")]
    locations = [("git+https://github.com/kubeflow/pipelines@main",), ("/a folder/kfp", "--no-deps")]
    kfp = draw(st.sampled_from([(), *releases, *locations]))
    index_urls = tuple(draw(st.lists(URLS, max_size=3))) if packages or kfp else ()
    hosts = draw(st.none() | st.lists(URLS, max_size=2).map(tuple)) if index_urls else None
    function = p.PythonFunction(
        name=draw(TEXT),
        source=draw(TEXT),
        packages=packages,
        index_urls=index_urls,
        trusted_hosts=hosts,
        kfp_requirements=kfp,
        use_venv=draw(st.booleans()) if kfp else False,
        layout=draw(st.sampled_from([layout.name for layout in LAYOUTS])),
    )
    recognized = recognize(*render(function))
    assert recognized is not None
    return recognized


CORES = st.sampled_from(["", "0", "0.5", "500m", "2", ".5"]) | st.just(parse_text("{{$.inputs.parameters['cpu']}}"))
MEMORY = st.sampled_from(["", "0", "1024", "512Mi", "2G", "3Ki"]) | st.just(parse_text("{{$.inputs.parameters['m']}}"))
COUNTS = st.sampled_from(["", "0", "2"]) | st.just(parse_text("{{$.inputs.parameters['n']}}"))
RESOURCES = st.builds(p.Resources, CORES, CORES, MEMORY, MEMORY, TEXT.map(parse_text), COUNTS)
CONTAINERS = st.builds(
    p.Container,
    image=st.sampled_from(["python:3.11", "x/{{$.inputs.parameters['image']}}"]).map(parse_text),
    program=COMMANDS | functions(),
    env=st.dictionaries(NAMES, TEXT, max_size=3),
    resources=RESOURCES,
)
SECONDS = st.integers(0, 10**7).map(lambda milliseconds: milliseconds / 1000)
RETRIES = st.builds(p.Retry, st.integers(0, 9), SECONDS, st.sampled_from([1.0, 1.5, 2.0]), SECONDS)
SELECTORS = st.sampled_from([None, parse('parseJson(string_value)["a"]'), parse("parseJson(string_value)[0]")])
IMPORTERS = st.builds(
    p.Importer,
    uri=TEXT | NAMES.map(p.FromInput),
    type=ARTIFACT_TYPES,
    metadata=st.dictionaries(TEXT, JSON, max_size=2).map(parse_value),
    reimport=st.booleans(),
    download_to_workspace=st.booleans(),
)
# The items of a loop are kept as text, and integers of any size with them.
RAW_ITEMS = st.lists(JSON | st.integers() | st.sampled_from([1.0, -0.0, 2.5e300]), max_size=3)


@st.composite
def leaves(draw: st.DrawFn, label: str, executor: p.Executor) -> p.Component:
    inputs = draw(st.dictionaries(NAMES, INPUTS, max_size=3))
    if isinstance(executor, p.Importer) and isinstance(executor.uri, p.FromInput):
        inputs[executor.uri.input] = t.ParameterInput(t.ParameterType.STRING)
    return p.Component(
        p.ExecutorRef(label),
        inputs,
        draw(st.dictionaries(NAMES, OUTPUTS, max_size=2)),
        tuple(draw(st.lists(PASSTHROUGHS, max_size=2))),
    )


@st.composite
def dags(draw: st.DrawFn, components: Mapping[str, p.Component]) -> p.Component:
    """A component made of tasks that run some of `components`."""
    inputs = draw(st.dictionaries(NAMES, INPUTS, max_size=3))
    nodes: dict[str, p.Node] = {}
    for name in draw(st.lists(NAMES, unique=True, max_size=4)):
        sources = [*_outputs(nodes, components), *((p.FromInput(key), given) for key, given in inputs.items())]
        possible = [key for key, component in components.items() if _can_be_bound(component, sources)]
        if possible:
            nodes[name] = draw(_nodes(name, components, draw(st.sampled_from(possible)), sources, nodes))
    produced = _outputs(nodes, components)
    chosen = draw(st.dictionaries(NAMES, st.sampled_from(produced), max_size=2)) if produced else {}
    outputs = {name: (source,) * draw(st.integers(1, 3)) for name, (source, _) in chosen.items()}
    return p.Component(p.Dag(nodes, outputs), inputs, {name: declared for name, (_, declared) in chosen.items()})


def _outputs(nodes: Mapping[str, p.Node], components: Mapping[str, p.Component]) -> list[tuple[p.FromTask, t.Output]]:
    return [
        (p.FromTask(name, output), declared)
        for name, node in nodes.items()
        for output, declared in components[node.component].outputs.items()
    ]


def _is_artifact(declared: t.Input | t.Output | None) -> bool:
    return isinstance(declared, (t.ArtifactInput, t.ArtifactOutput))


def _can_be_bound(component: p.Component, sources: list[tuple[Any, Any]]) -> bool:
    """Whether there is an artifact for every artifact that the component needs."""
    needs = any(_is_artifact(item) and not item.optional for item in component.inputs.values())
    return not needs or any(_is_artifact(given) for _, given in sources)


@st.composite
def _nodes(
    draw: st.DrawFn,
    name: str,
    components: Mapping[str, p.Component],
    component: str,
    sources: list[tuple[Any, Any]],
    before: Mapping[str, p.Node],
) -> p.Node:
    declared = components[component].inputs
    wanted = {**draw(st.dictionaries(NAMES, st.none(), max_size=1)), **declared}
    bindings = {
        key: draw(binding) for key, item in wanted.items() for binding in _bindings(item, sources, list(before))
    }
    producers = [item.task for item in bindings.values() if isinstance(item, (p.FromTask, p.FinalStatus))]
    loop = draw(st.none() | _loops(components[component], bindings))
    if loop and loop.items != p.InputItems(loop.item_input) and draw(st.booleans()):
        bindings.pop(loop.item_input, None)  # as the SDK compiles it
    waits = draw(st.lists(st.sampled_from(sorted(before)), unique=True)) if before else []
    return p.Node(
        name=name,
        component=component,
        inputs=bindings,
        after=tuple(dict.fromkeys([*waits, *producers])),
        display_name=draw(TEXT.filter(lambda shown: shown != name)),
        trigger=p.Trigger(draw(st.sampled_from(p.TriggerStrategy)), draw(st.none() | _conditions(sorted(bindings)))),
        loop=loop,
        retry=draw(st.none() | RETRIES),
        caching=draw(st.none() | st.builds(p.Caching, st.booleans(), TEXT)),
    )


def _loops(component: p.Component, bindings: dict[str, p.Binding]) -> st.SearchStrategy[p.Loop | None]:
    """Loops over the component, if it takes an item."""
    if not component.inputs:
        return st.none()
    return st.sampled_from(sorted(component.inputs)).flatmap(lambda item: _loops_of(item, component, bindings))


def _loops_of(item: str, component: p.Component, bindings: dict[str, p.Binding]) -> st.SearchStrategy[p.Loop | None]:
    of_artifacts = _is_artifact(component.inputs[item])
    lists = [
        p.InputItems(name)
        for name, declared in component.inputs.items()
        if name in bindings and _is_artifact(declared) == of_artifacts and _may_be_items(declared)
    ]
    raw = [] if of_artifacts else [RAW_ITEMS.map(tuple).map(p.RawItems)]
    items: list[st.SearchStrategy[Any]] = [*raw, *([st.sampled_from(lists)] if lists else [])]
    return st.builds(p.Loop, st.one_of(items), st.just(item), st.integers(0, 9)) if items else st.none()


def _may_be_items(declared: t.Input) -> bool:
    is_text = isinstance(declared, t.ParameterInput) and declared.type is t.ParameterType.STRING
    return is_text or _is_list(declared)


def _is_list(declared: t.Input) -> bool:
    if isinstance(declared, t.ArtifactInput):
        return declared.is_list
    return declared.type is t.ParameterType.LIST


def _conditions(names: list[str]) -> st.SearchStrategy[Any]:
    named = [f"inputs.parameter_values['{name}']" for name in names if "'" not in name]
    texts = ["true", *named, *(f"!({name} == 'it's') && int({name}) < 3" for name in named)]
    found = st.sampled_from(texts).map(parse)
    if not named:
        return found
    authored = st.tuples(st.sampled_from(named), TEXT | st.sampled_from(AUTHORED))
    return found | authored.map(lambda pair: parse(f"{pair[0]} == '{pair[1]}'", f"{pair[0]} == {quote(pair[1])}"))


def as_compiled(plan: p.Plan) -> p.Plan:
    """Return what a plan means when it has been compiled: a cluster reads the text of its conditions as CEL."""
    return dataclasses.replace(
        plan,
        root=_as_compiled(plan.root),
        components={name: _as_compiled(component) for name, component in plan.components.items()},
    )


def _as_compiled(component: p.Component) -> p.Component:
    if not isinstance(component.body, p.Dag):
        return component
    nodes = {
        name: dataclasses.replace(node, trigger=dataclasses.replace(node.trigger, condition=parse(condition.text)))
        if (condition := node.trigger.condition)
        else node
        for name, node in component.body.nodes.items()
    }
    return dataclasses.replace(component, body=dataclasses.replace(component.body, nodes=nodes))


def _bindings(
    wanted: t.Input | None, sources: list[tuple[Any, Any]], before: list[str]
) -> list[st.SearchStrategy[p.Binding]]:
    """How an input may be bound, as one strategy; none for an artifact that nothing gives."""
    is_artifact = _is_artifact(wanted)
    fitting = [source for source, given in sources if _is_artifact(given) == is_artifact]
    found: list[st.SearchStrategy[Any]] = [st.sampled_from(fitting)] if fitting else []
    if is_artifact:
        return found
    if fitting:
        found = [st.builds(dataclasses.replace, st.sampled_from(fitting), selector=SELECTORS)]
    if before:
        found.append(st.builds(p.FinalStatus, st.sampled_from(before)))
    values = VALUES[wanted.type] if isinstance(wanted, t.ParameterInput) else JSON
    return [st.one_of(values.map(parse_value).map(p.Constant), *found)]


@st.composite
def plans(draw: st.DrawFn) -> p.Plan:
    labels = draw(st.lists(NAMES, unique=True, min_size=1, max_size=3))
    executors = {label: draw(CONTAINERS | IMPORTERS) for label in labels}
    components = {f"comp-{label}": draw(leaves(label, executors[label])) for label in labels}
    for name in draw(st.lists(NAMES, unique=True, max_size=2)):
        components[f"dag-{name}"] = draw(dags(components))
    kubernetes = st.fixed_dictionaries(
        {}, optional={"deploymentSpec": st.builds(_settings, NAMES, st.dictionaries(NAMES, JSON, max_size=2))}
    )
    return p.Plan(
        name=draw(NAMES),
        root=draw(dags(components)),
        components=components,
        executors=executors,
        description=draw(TEXT),
        display_name=draw(TEXT),
        pipeline_root=draw(TEXT),
        platforms=draw(st.dictionaries(st.just("kubernetes"), kubernetes)),
    )


def _settings(label: str, settings: t.Json) -> t.Json:
    return {"executors": {label: settings}}


def exact(value: Any) -> str:
    """A value as text that differs wherever the values differ, even if Python calls them equal: 1, 1.0 and True."""
    return json.dumps(_exact(value), sort_keys=True)


def _exact(value: Any) -> Any:
    if dataclasses.is_dataclass(value):
        fields = {field.name: _exact(getattr(value, field.name)) for field in dataclasses.fields(value)}
        return [type(value).__name__, fields]
    if isinstance(value, Mapping):
        return {key: _exact(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [type(value).__name__, *map(_exact, value)]
    return repr(value)
