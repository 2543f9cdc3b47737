"""What two Plans differ in: code, packages, images, and the settings of tasks and components."""

from __future__ import annotations

import json
from collections.abc import Iterator

from standpipe.model.component_changes import code_digest
from standpipe.model.plan import (
    Binding,
    Caching,
    Component,
    Constant,
    Container,
    Dag,
    Executor,
    ExecutorRef,
    FinalStatus,
    FromInput,
    FromTask,
    Importer,
    InputItems,
    Node,
    Plan,
    PythonFunction,
)
from standpipe.model.types import ParameterInput
from standpipe.ui.views.changes import Change, Section, compare_texts, compare_values, make_section, merge_equal
from standpipe.ui.views.planned import PlannedTask


def compare_plans(before: Plan, after: Plan) -> Iterator[Section]:
    """Yield what two Plans differ in, by kind; components and tasks are compared by their names."""
    pairs = list(_pairs(before, after))
    for name, title, compare in (
        ("code", "Code", _code),
        ("packages", "Packages", _packages),
        ("images", "Images", _images),
    ):
        changes = (change for pair in pairs for change in compare(*pair))
        yield make_section(name, title, merge_equal(changes))
    settings = [change for name, old, new in pairs for change in _settings(name, old, new)]
    for name, _, _ in pairs:
        labels = _label(before, name), _label(after, name)
        kubernetes = before.kubernetes_settings(labels[0]), after.kubernetes_settings(labels[1])
        settings += compare_values(*kubernetes, f"{_title(name)}: Kubernetes ")
    settings += compare_values(before.pipeline_config, after.pipeline_config, "pipeline ")
    yield make_section("settings", "Settings", settings)
    yield make_section("definition", "Pipeline definition", _definition(before, after))


def compare_executors(before: PlannedTask, after: PlannedTask) -> Iterator[str]:
    """Yield which parts of a task differ: its code but for comments and format, packages, image, or settings."""
    old, new = before.executor, after.executor
    if old is None or new is None:
        return
    if any(not change.note for change in _code("", old, new)):
        yield "code"
    if any(_packages("", old, new)):
        yield "packages"
    if any(_images("", old, new)):
        yield "image"
    if _settings_of(old) != _settings_of(new) or before.kubernetes != after.kubernetes:
        yield "settings"


def _pairs(before: Plan, after: Plan) -> Iterator[tuple[str, Executor, Executor]]:
    """Yield the name of each component that both Plans have, with the two executors."""
    for name in before.components:
        if name in after.components:
            old, new = _executor(before, name), _executor(after, name)
            if old is not None and new is not None:
                yield name, old, new


def _executor(plan: Plan, component: str) -> Executor | None:
    return plan.executors.get(_label(plan, component))


def _label(plan: Plan, component: str) -> str:
    body = plan.components[component].body
    return body.label if isinstance(body, ExecutorRef) else ""


def _title(component: str) -> str:
    return component.removeprefix("comp-")


def _code(name: str, before: Executor, after: Executor) -> Iterator[Change]:
    old, new = _program_text(before), _program_text(after)
    if old == new:
        return
    note = ""
    if _function(before) and _function(after) and code_digest(old) == code_digest(new):
        note = "Only comments or the format have changed: results can be reused."
    yield Change(_title(name), note=note, lines=compare_texts(old, new))


def _function(executor: Executor) -> PythonFunction | None:
    program = executor.program if isinstance(executor, Container) else None
    return program if isinstance(program, PythonFunction) else None


def _program_text(executor: Executor) -> str:
    """Return the program of an executor as text: source code, or one line for each part of a command."""
    if isinstance(executor, Importer):
        return ""
    if isinstance(executor.program, PythonFunction):
        classes = executor.program.artifact_classes.values()
        modules = (f"# {each.name}\n{each.source}" for each in executor.program.modules)
        return "\n\n".join((executor.program.source.strip("\n"), *classes, *modules))
    return "\n".join(map(str, (*executor.program.command, *executor.program.args)))


def _packages(name: str, before: Executor, after: Executor) -> Iterator[Change]:
    old, new = _function(before), _function(after)
    if old is None or new is None:
        return
    if sorted(old.packages) != sorted(new.packages):
        lines = compare_texts("\n".join(sorted(old.packages)), "\n".join(sorted(new.packages)))
        yield Change(_title(name), lines=lines)
    for title in ("index_urls", "trusted_hosts"):
        pair = [", ".join(getattr(function, title) or ()) for function in (old, new)]
        if pair[0] != pair[1]:
            yield Change(f"{_title(name)}: {title.replace('_', ' ')}", pair[0], pair[1])


def _images(name: str, before: Executor, after: Executor) -> Iterator[Change]:
    if isinstance(before, Container) and isinstance(after, Container) and before.image != after.image:
        yield Change(_title(name), str(before.image), str(after.image))


def _settings(name: str, before: Executor, after: Executor) -> Iterator[Change]:
    """Yield the variables and the resources of a component, or what it imports."""
    yield from compare_values(_settings_of(before), _settings_of(after), f"{_title(name)}: ")


def _settings_of(executor: Executor) -> dict[str, str]:
    if isinstance(executor, Importer):
        uri = executor.uri if isinstance(executor.uri, str) else _binding_text(executor.uri)
        return {
            "imported URI": uri,
            "imported type": executor.type.label,
            "imported metadata": _json(executor.metadata),
            "reimport": _json(executor.reimport),
            "download to workspace": _json(executor.download_to_workspace),
        }
    resources = {key.replace("_", " "): str(value) for key, value in executor.resources.quantities.items() if value}
    kind = {"kind": "Python function" if isinstance(executor.program, PythonFunction) else "command"}
    return {**kind, **resources, **{f"variable {key}": value for key, value in executor.env.items()}}


def _definition(before: Plan, after: Plan) -> Iterator[Change]:
    """Yield how the pipeline itself differs: its inputs, and the tasks of each DAG with their arguments and options."""
    components = dict(before.components_by_path()), dict(after.components_by_path())
    for path in dict.fromkeys((*components[0], *components[1])):
        old, new = components[0].get(path), components[1].get(path)
        if old is None or new is None:
            continue  # the task that uses it is added or removed
        name = _title(path.removeprefix("components."))
        where = "" if path == "root" else f"{name}: "
        yield from compare_values(_interface(old), _interface(new), where)
        if isinstance(old.body, Dag) and isinstance(new.body, Dag):
            yield from _compare_dags(old.body, new.body, where)
        elif type(old.body) is not type(new.body):
            yield Change(name, _kind(old), _kind(new))


def _kind(component: Component) -> str:
    return "a pipeline" if isinstance(component.body, Dag) else "one task"


def _interface(component: Component) -> dict[str, str]:
    """Return the inputs and outputs of a component with their types and defaults."""
    inputs = {f"input {name}": declared.type.label for name, declared in component.inputs.items()}
    for name, declared in component.inputs.items():
        if isinstance(declared, ParameterInput) and declared.default is not None:
            inputs[f"default of {name}"] = _json(declared.default)
    return inputs | {f"output {name}": declared.type.label for name, declared in component.outputs.items()}


def _compare_dags(before: Dag, after: Dag, where: str) -> Iterator[Change]:
    for name in dict.fromkeys((*before.nodes, *after.nodes)):
        old, new = before.nodes.get(name), after.nodes.get(name)
        if old is None or new is None:
            yield Change(f"{where}task {name}", None if old is None else "defined", None if new is None else "defined")
        else:
            yield from compare_values(_node_settings(old), _node_settings(new), f"{where}{name}: ")


def _node_settings(node: Node) -> dict[str, str]:
    settings = {f"argument {name}": _binding_text(binding) for name, binding in node.inputs.items()}
    settings |= {"component": _title(node.component), "runs after": ", ".join(sorted(node.upstream))}
    settings["starts when"] = node.trigger.strategy.value.lower().replace("_", " ")
    if node.trigger.condition is not None:
        settings["condition"] = str(node.trigger.condition)
    if node.loop is not None:
        items = node.loop.items
        settings["items"] = f"input {items.input}" if isinstance(items, InputItems) else _json(list(items.items))
        settings["parallelism"] = str(node.loop.parallelism or "unlimited")
    if node.retry is not None and node.retry.max_retries:
        settings["retries"] = f"{node.retry.max_retries}, after {node.retry.backoff_duration:g} s"
    if isinstance(node.caching, Caching):
        settings["caching"] = ("on" if node.caching.enabled else "off") + (
            f", key {node.caching.key}" if node.caching.key else ""
        )
    return {name: text for name, text in settings.items() if text}


def _binding_text(binding: Binding) -> str:
    """Return where an argument comes from."""
    if isinstance(binding, Constant):
        return _json(binding.value)
    if isinstance(binding, FinalStatus):
        return f"final status of task {binding.task}"
    part = f", {binding.selector}" if binding.selector is not None else ""
    if isinstance(binding, FromTask):
        return f"output {binding.output} of task {binding.task}{part}"
    assert isinstance(binding, FromInput), "there is no other binding"
    return f"input {binding.input}{part}"


def _json(value: object) -> str:
    return json.dumps(value, ensure_ascii=False, default=str)
