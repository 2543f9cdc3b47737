"""PipelineSpec -> Plan, whoever compiled it."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import NamedTuple

from standpipe.errors import SpecError
from standpipe.ir.emitter import SCHEMA_VERSION
from standpipe.ir.importers import load_importer, load_type
from standpipe.ir.loops import load_loop
from standpipe.ir.numbers import restore, whole
from standpipe.ir.proto import canonical
from standpipe.ir.python_command import recognise
from standpipe.ir.resources import load_resources
from standpipe.ir.section import Section
from standpipe.model.plan import (
    Binding,
    Caching,
    Command,
    Component,
    Constant,
    Container,
    Dag,
    Executor,
    ExecutorRef,
    FinalStatus,
    FromInput,
    FromTask,
    Node,
    Plan,
    Retry,
    TaskConfigPassthrough,
    Trigger,
    TriggerStrategy,
)
from standpipe.model.templates import parse_argument, parse_text, parse_value
from standpipe.model.types import (
    ARTIFACTS,
    PARAMETERS,
    ArtifactInput,
    ArtifactOutput,
    Input,
    Json,
    Output,
    ParameterInput,
    ParameterOutput,
    ParameterType,
    table_of,
)
from standpipe.model.validation import require_valid


class _Interface(NamedTuple):
    inputs: Mapping[str, Input]
    outputs: Mapping[str, Output]


def load(spec: Json, platform: Json = None) -> Plan:
    """The Plan in a compiled file's documents: a PipelineSpec and, if there is one, a PlatformSpec, both as JSON.

    Raises:
        SpecError: if the documents are malformed; the error names the field.
        UnsupportedError: if they hold what this version does not run; the error names the field.
    """
    file = Section(canonical(spec, "PipelineSpec"))
    _check_version(file.take("schemaVersion", ""))
    file.take("sdkVersion")  # every version of the SDK writes the same format
    info = file.section("pipelineInfo")
    executors = _load_executors(file.take("deploymentSpec", {}))
    components = _load_components({"root": file.section("root"), **_prefixed(file.sections("components"))})
    plan = Plan(
        name=info.required("name"),
        display_name=info.take("displayName", ""),
        description=info.take("description", ""),
        root=components.pop("root"),
        components={path.removeprefix("components."): component for path, component in components.items()},
        executors=executors,
        pipeline_root=file.take("defaultPipelineRoot", ""),
        platforms=_load_platforms(platform),
    )
    info.end()
    file.end()
    require_valid(plan)
    return plan


def _check_version(version: str) -> None:
    if version != SCHEMA_VERSION:
        raise SpecError(
            f"schemaVersion: it is {version!r}, and {SCHEMA_VERSION!r} is the only one supported. "
            "Compile the pipeline again with a KFP SDK of version 2."
        )


def _prefixed(sections: Mapping[str, Section]) -> dict[str, Section]:
    return {section.path: section for section in sections.values()}


def _load_platforms(platform: Json) -> dict[str, Json]:
    document = canonical({} if platform is None else platform, "PlatformSpec")
    platforms: dict[str, Json] = whole(document.get("platforms", {}))
    return platforms


def _load_components(sections: Mapping[str, Section]) -> dict[str, Component]:
    """Components by path. All interfaces come first: a task's constants have the types of its component's inputs."""
    interfaces = {path: _load_interface(section) for path, section in sections.items()}
    return {path: _load_component(section, interfaces) for path, section in sections.items()}


def _load_component(section: Section, interfaces: Mapping[str, _Interface]) -> Component:
    inputs, outputs = interfaces[section.path]
    passthroughs = tuple(map(_load_passthrough, section.entries("taskConfigPassthroughs")))
    body: Dag | ExecutorRef
    if "executorLabel" in section:
        body = ExecutorRef(section.take("executorLabel"))
    elif "dag" in section:
        body = _load_dag(section.section("dag"), outputs, interfaces)
    else:
        raise SpecError(f"{section.path}: it has neither a dag nor an executorLabel")
    section.end()
    return Component(body, inputs, outputs, passthroughs)


def _load_passthrough(section: Section) -> TaskConfigPassthrough:
    passthrough = TaskConfigPassthrough(section.take("field", "NONE"), section.take("applyToTask", False))
    section.end()
    return passthrough


def _load_interface(section: Section) -> _Interface:
    inputs, outputs = section.section("inputDefinitions"), section.section("outputDefinitions")
    interface = _Interface(
        _one_table(
            {name: _load_parameter_input(item) for name, item in inputs.sections(PARAMETERS).items()},
            {name: _load_artifact_input(item) for name, item in inputs.sections(ARTIFACTS).items()},
            inputs.path,
        ),
        _one_table(
            {name: _load_parameter_output(item) for name, item in outputs.sections(PARAMETERS).items()},
            {name: _load_artifact_output(item) for name, item in outputs.sections(ARTIFACTS).items()},
            outputs.path,
        ),
    )
    inputs.end()
    outputs.end()
    return interface


def _one_table(parameters: Mapping[str, Json], artifacts: Mapping[str, Json], path: str) -> dict[str, Json]:
    for name in parameters.keys() & artifacts.keys():
        raise SpecError(f"{path}.{ARTIFACTS}.{name}: there is a parameter of the same name")
    return {**parameters, **artifacts}


def _load_parameter_input(section: Section) -> ParameterInput:
    parameter_type = _load_parameter_type(section)
    item = ParameterInput(
        parameter_type,
        optional=section.take("isOptional", False),
        default=restore(section.take("defaultValue"), parameter_type),
        description=section.take("description", ""),
        literals=tuple(restore(value, parameter_type) for value in section.take("literals", [])),
    )
    section.end()
    return item


def _load_artifact_input(section: Section) -> ArtifactInput:
    item = ArtifactInput(
        load_type(section.section("artifactType")),
        is_list=section.take("isArtifactList", False),
        optional=section.take("isOptional", False),
        description=section.take("description", ""),
    )
    section.end()
    return item


def _load_parameter_output(section: Section) -> ParameterOutput:
    item = ParameterOutput(_load_parameter_type(section), section.take("description", ""))
    section.end()
    return item


def _load_artifact_output(section: Section) -> ArtifactOutput:
    item = ArtifactOutput(
        load_type(section.section("artifactType")),
        is_list=section.take("isArtifactList", False),
        description=section.take("description", ""),
    )
    section.end()
    return item


def _load_parameter_type(section: Section) -> ParameterType:
    return section.choice("parameterType", ParameterType)


def _load_dag(section: Section, outputs: Mapping[str, Output], interfaces: Mapping[str, _Interface]) -> Dag:
    nodes = {name: _load_node(name, task, interfaces) for name, task in section.sections("tasks").items()}
    dag = Dag(nodes, _load_dag_outputs(section.section("outputs"), outputs))
    section.end()
    return dag


def _load_dag_outputs(section: Section, declared: Mapping[str, Output]) -> dict[str, tuple[FromTask, ...]]:
    parameters, artifacts = section.sections(PARAMETERS), section.sections(ARTIFACTS)
    section.end()
    for table, items in ((PARAMETERS, parameters), (ARTIFACTS, artifacts)):
        for name, item in items.items():
            if name in declared and table_of(declared[name]) != table:
                raise SpecError(
                    f"{item.path}: the component declares this output as one of its {table_of(declared[name])}"
                )
    return _one_table(
        {name: _load_parameter_sources(item) for name, item in parameters.items()},
        {name: _load_artifact_sources(item) for name, item in artifacts.items()},
        section.path,
    )


def _load_parameter_sources(section: Section) -> tuple[FromTask, ...]:
    oneof = section.section("valueFromOneof")
    selectors = oneof.entries("parameterSelectors")
    if "valueFromParameter" in section:
        selectors.append(section.section("valueFromParameter"))
    oneof.end()
    section.end()
    if not selectors:
        raise SpecError(f"{section.path}: it says no task that gives the value")
    return tuple(_load_source(selector, "outputParameterKey") for selector in selectors)


def _load_artifact_sources(section: Section) -> tuple[FromTask, ...]:
    selectors = section.entries("artifactSelectors")
    section.end()
    return tuple(_load_source(selector, "outputArtifactKey") for selector in selectors)


def _load_source(section: Section, key: str) -> FromTask:
    source = FromTask(section.required("producerSubtask"), section.required(key))
    section.end()
    return source


def _load_node(name: str, section: Section, interfaces: Mapping[str, _Interface]) -> Node:
    info, reference = section.section("taskInfo"), section.section("componentRef")
    component, shown = reference.required("name"), info.take("name", "")
    interface = interfaces.get(f"components.{component}", _Interface({}, {}))
    node = Node(
        name=name,
        component=component,
        inputs=_load_bindings(section.section("inputs"), interface.inputs),
        display_name="" if shown == name else shown,
        trigger=_load_trigger(section.section("triggerPolicy")),
        loop=load_loop(section),
        retry=_load_retry(section.section("retryPolicy")) if "retryPolicy" in section else None,
        caching=_load_caching(section.section("cachingOptions")) if "cachingOptions" in section else None,
        after=tuple(section.take("dependentTasks", [])),
    )
    for part in (info, reference, section):
        part.end()
    return _with_producers(node)


def _with_producers(node: Node) -> Node:
    """The node, after every task that its inputs come from: the SDK lists these, files by hand may not."""
    missing = dict.fromkeys(task for task in node.producers if task not in node.after)
    return node if not missing else dataclasses.replace(node, after=(*node.after, *missing))


def _load_trigger(section: Section) -> Trigger:
    strategy = section.choice("strategy", TriggerStrategy, TriggerStrategy.ALL_UPSTREAM_TASKS_SUCCEEDED)
    trigger = Trigger(strategy, section.expression("condition"))
    section.end()
    return trigger


def _load_caching(section: Section) -> Caching:
    caching = Caching(section.take("enableCache", False), section.take("cacheKey", ""))
    section.end()
    return caching


def _load_retry(section: Section) -> Retry:
    """Fields that are missing have the backend's defaults, which are those of `Retry`."""
    retry = Retry(
        max_retries=section.take("maxRetryCount", 0),
        backoff_duration=_seconds(section.take("backoffDuration", f"{Retry.backoff_duration}s")),
        backoff_factor=section.take("backoffFactor", Retry.backoff_factor),
        backoff_max_duration=_seconds(section.take("backoffMaxDuration", f"{Retry.backoff_max_duration}s")),
    )
    section.end()
    return retry


def _seconds(duration: str) -> float:
    return float(duration.removesuffix("s"))


def _load_bindings(section: Section, declared: Mapping[str, Input]) -> dict[str, Binding]:
    parameters, artifacts = section.sections(PARAMETERS), section.sections(ARTIFACTS)
    section.end()
    for table, items in ((PARAMETERS, parameters), (ARTIFACTS, artifacts)):
        for name, item in items.items():
            wanted = table_of(declared[name]) if name in declared else PARAMETERS
            if wanted != table:
                raise SpecError(f"{item.path}: the component takes {name!r} as one of its {wanted}")
    return _one_table(
        {name: _load_parameter_binding(item, declared.get(name)) for name, item in parameters.items()},
        {name: _load_artifact_binding(item) for name, item in artifacts.items()},
        section.path,
    )


def _load_parameter_binding(section: Section, declared: Input | None) -> Binding:
    binding: Binding
    if "runtimeValue" in section:
        declared_type = declared.type if isinstance(declared, ParameterInput) else None
        binding = _load_constant(section.section("runtimeValue"), declared_type)
    elif "taskFinalStatus" in section:
        status = section.section("taskFinalStatus")
        binding = FinalStatus(status.required("producerTask"))
    elif "taskOutputParameter" in section:
        source = section.section("taskOutputParameter")
        task, output = source.required("producerTask"), source.required("outputParameterKey")
        binding = FromTask(task, output, section.expression("parameterExpressionSelector"))
    else:
        name = section.required("componentInputParameter")
        binding = FromInput(name, section.expression("parameterExpressionSelector"))
    section.end()
    return binding


def _load_constant(section: Section, declared: ParameterType | None) -> Constant:
    if "constant" not in section:
        section.end()
        raise SpecError(f"{section.at('constant')}: it is missing")
    return Constant(parse_value(restore(section.take("constant"), declared)))


def _load_artifact_binding(section: Section) -> Binding:
    binding: Binding
    if "taskOutputArtifact" in section:
        source = section.section("taskOutputArtifact")
        binding = FromTask(source.required("producerTask"), source.required("outputArtifactKey"))
    else:
        binding = FromInput(section.required("componentInputArtifact"))
    section.end()
    return binding


def _load_executors(deployment: Json) -> dict[str, Executor]:
    section = Section(canonical(deployment, "PipelineDeploymentConfig", "deploymentSpec"), "deploymentSpec")
    executors = {label: _load_executor(executor) for label, executor in section.sections("executors").items()}
    section.end()
    return executors


def _load_executor(section: Section) -> Executor:
    if "importer" in section:
        executor: Executor = load_importer(section.section("importer"))
    else:
        executor = _load_container(section.section("container"))
    section.end()
    return executor


def _load_container(container: Section) -> Container:
    command, args = container.take("command", []), container.take("args", [])
    loaded = Container(
        image=parse_text(container.required("image")),
        program=recognise(command, args)
        or Command(tuple(map(parse_argument, command)), tuple(map(parse_argument, args))),
        env={item.take("name", ""): item.take("value", "") for item in container.entries("env")},
        resources=load_resources(container.section("resources")),
    )
    container.end()
    return loaded
