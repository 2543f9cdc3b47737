"""PipelineSpec -> Plan, for the compiled files of Standpipe and of every KFP SDK of version 2."""

from __future__ import annotations

from collections.abc import Mapping

from standpipe.errors import SpecError
from standpipe.ir.emitter import SCHEMA_VERSION
from standpipe.ir.importers import load_importer
from standpipe.ir.interfaces import Interface, load_interfaces, merge_tables
from standpipe.ir.loops import load_loop
from standpipe.ir.numbers import convert_whole_doubles, restore_integers
from standpipe.ir.proto import canonicalize
from standpipe.ir.python_command import recognize
from standpipe.ir.resources import load_resources
from standpipe.ir.section import Section, Shared
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
    Input,
    Json,
    Output,
    ParameterInput,
    ParameterType,
    table_of,
)
from standpipe.model.validation import require_valid
from standpipe.model.wrapping import complete, find_wrapped_component, is_complete


def load(spec: Json, platform: Json = None) -> Plan:
    """Return the Plan of the documents of a compiled file.

    Args:
        spec: the PipelineSpec, as JSON.
        platform: the PlatformSpec, as JSON; None if there is none.

    Raises:
        SpecError: if the documents are malformed; the error names the field.
        UnsupportedError: if they use what this version does not support; the error names the field.
    """
    file = Section(canonicalize(spec, "PipelineSpec"))
    _check_version(file.take("schemaVersion", ""))
    file.take("sdkVersion")  # all versions of the SDK write the same format
    info = file.take_section("pipelineInfo")
    executors = _load_executors(file.take("deploymentSpec", {}))
    components = _load_components({"root": file.take_section("root"), **_prefixed(file.take_sections("components"))})
    plan = Plan(
        name=info.take_text("name"),
        display_name=info.take("displayName", ""),
        description=info.take("description", ""),
        root=components.pop("root"),
        components={path.removeprefix("components."): component for path, component in components.items()},
        executors=executors,
        pipeline_root=file.take("defaultPipelineRoot", ""),
        platforms=_load_platforms(platform),
    )
    info.check_all_taken()
    file.check_all_taken()
    return _check_plan(plan)


def _check_plan(plan: Plan) -> Plan:
    """Return a valid Plan: this one, or, if only the pipeline around a single component is invalid, a complete one."""
    try:
        require_valid(plan)
    except SpecError:
        wrapped = find_wrapped_component(plan)
        if wrapped is None or is_complete(plan, wrapped):
            raise
        plan = complete(plan, wrapped)
        require_valid(plan)
    return plan


def _check_version(version: str) -> None:
    if version != SCHEMA_VERSION:
        raise SpecError(
            f"schemaVersion: unsupported version {version!r}, expected {SCHEMA_VERSION!r}. "
            "Compile the pipeline again with a KFP SDK of version 2."
        )


def _prefixed(sections: Mapping[str, Section]) -> dict[str, Section]:
    return {section.path: section for section in sections.values()}


def _load_platforms(platform: Json) -> dict[str, Json]:
    document = canonicalize({} if platform is None else platform, "PlatformSpec")
    platforms: dict[str, Json] = convert_whole_doubles(document.get("platforms", {}))
    return platforms


def _load_components(sections: Mapping[str, Section]) -> dict[str, Component]:
    """Load components by path. Interfaces are loaded first: constants of tasks have the types of their inputs."""
    interfaces = load_interfaces(sections)
    return {path: _load_component(section, interfaces) for path, section in sections.items()}


def _load_component(section: Section, interfaces: Mapping[str, Interface]) -> Component:
    inputs, outputs = interfaces[section.path]
    passthroughs = tuple(map(_load_passthrough, section.take_list("taskConfigPassthroughs")))
    body: Dag | ExecutorRef
    if "executorLabel" in section:
        body = ExecutorRef(section.take("executorLabel"))
    elif "dag" in section:
        body = _load_dag(section.take_section("dag"), outputs, interfaces)
    else:
        raise SpecError(f"{section.path}: expected a dag or an executorLabel, got neither")
    section.check_all_taken()
    return Component(body, inputs, outputs, passthroughs)


def _load_passthrough(section: Section) -> TaskConfigPassthrough:
    passthrough = TaskConfigPassthrough(section.take("field", "NONE"), section.take("applyToTask", False))
    section.check_all_taken()
    return passthrough


def _load_dag(section: Section, outputs: Mapping[str, Output], interfaces: Mapping[str, Interface]) -> Dag:
    nodes = {name: _load_node(name, task, interfaces) for name, task in section.take_sections("tasks").items()}
    dag = Dag(nodes, _load_dag_outputs(section.take_section("outputs"), outputs))
    section.check_all_taken()
    return dag


def _load_dag_outputs(section: Section, declared: Mapping[str, Output]) -> dict[str, tuple[FromTask, ...]]:
    parameters, artifacts = section.take_sections(PARAMETERS), section.take_sections(ARTIFACTS)
    section.check_all_taken()
    for table, items in ((PARAMETERS, parameters), (ARTIFACTS, artifacts)):
        for name, item in items.items():
            if name in declared and table_of(declared[name]) != table:
                raise SpecError(f"{item.path}: the component declares this output in its {table_of(declared[name])}")
    return merge_tables(
        {name: _load_parameter_sources(item) for name, item in parameters.items()},
        {name: _load_artifact_sources(item) for name, item in artifacts.items()},
        section.path,
    )


def _load_parameter_sources(section: Section) -> tuple[FromTask, ...]:
    oneof = section.take_section("valueFromOneof")
    selectors = oneof.take_list("parameterSelectors")
    if "valueFromParameter" in section:
        selectors.append(section.take_section("valueFromParameter"))
    oneof.check_all_taken()
    section.check_all_taken()
    if not selectors:
        raise SpecError(f"{section.path}: expected valueFromParameter or valueFromOneof, got neither")
    return tuple(_load_source(selector, "outputParameterKey") for selector in selectors)


def _load_artifact_sources(section: Section) -> tuple[FromTask, ...]:
    selectors = section.take_list("artifactSelectors")
    section.check_all_taken()
    return tuple(_load_source(selector, "outputArtifactKey") for selector in selectors)


def _load_source(section: Section, key: str) -> FromTask:
    source = FromTask(section.take_text("producerSubtask"), section.take_text(key))
    section.check_all_taken()
    return source


def _load_node(name: str, section: Section, interfaces: Mapping[str, Interface]) -> Node:
    info, reference = section.take_section("taskInfo"), section.take_section("componentRef")
    component, shown = reference.take_text("name"), info.take("name", "")
    interface = interfaces.get(f"components.{component}", Interface({}, {}))
    node = Node(
        name=name,
        component=component,
        inputs=_load_bindings(section.take_section("inputs"), interface.inputs),
        display_name="" if shown == name else shown,
        trigger=_load_trigger(section.take_section("triggerPolicy")),
        loop=load_loop(section),
        retry=_load_retry(section.take_section("retryPolicy")) if "retryPolicy" in section else None,
        caching=_load_caching(section.take_section("cachingOptions")) if "cachingOptions" in section else None,
        after=tuple(section.take("dependentTasks", [])),
    )
    for part in (info, reference, section):
        part.check_all_taken()
    return node


def _load_trigger(section: Section) -> Trigger:
    strategy = section.take_enum("strategy", TriggerStrategy, TriggerStrategy.ALL_UPSTREAM_TASKS_SUCCEEDED)
    trigger = Trigger(strategy, section.take_expression("condition"))
    section.check_all_taken()
    return trigger


def _load_caching(section: Section) -> Caching:
    caching = Caching(section.take("enableCache", False), section.take("cacheKey", ""))
    section.check_all_taken()
    return caching


def _load_retry(section: Section) -> Retry:
    """Load a retry policy. Missing fields have the defaults of the backend, which are those of `Retry`."""
    retry = Retry(
        max_retries=section.take("maxRetryCount", 0),
        backoff_duration=_seconds(section.take("backoffDuration", f"{Retry.backoff_duration}s")),
        backoff_factor=section.take("backoffFactor", Retry.backoff_factor),
        backoff_max_duration=_seconds(section.take("backoffMaxDuration", f"{Retry.backoff_max_duration}s")),
    )
    section.check_all_taken()
    return retry


def _seconds(duration: str) -> float:
    return float(duration.removesuffix("s"))


def _load_bindings(section: Section, declared: Mapping[str, Input]) -> dict[str, Binding]:
    parameters, artifacts = section.take_sections(PARAMETERS), section.take_sections(ARTIFACTS)
    section.check_all_taken()
    for table, items in ((PARAMETERS, parameters), (ARTIFACTS, artifacts)):
        for name, item in items.items():
            expected = table_of(declared[name]) if name in declared else PARAMETERS
            if expected != table:
                raise SpecError(f"{item.path}: the component declares the input {name!r} in its {expected}")
    return merge_tables(
        {name: _load_parameter_binding(item, declared.get(name)) for name, item in parameters.items()},
        {name: _load_artifact_binding(item) for name, item in artifacts.items()},
        section.path,
    )


def _load_parameter_binding(section: Section, declared: Input | None) -> Binding:
    binding: Binding
    if "runtimeValue" in section:
        declared_type = declared.type if isinstance(declared, ParameterInput) else None
        binding = _load_constant(section.take_section("runtimeValue"), declared_type)
    elif "taskFinalStatus" in section:
        status = section.take_section("taskFinalStatus")
        binding = FinalStatus(status.take_text("producerTask"))
    elif "taskOutputParameter" in section:
        source = section.take_section("taskOutputParameter")
        task, output = source.take_text("producerTask"), source.take_text("outputParameterKey")
        binding = FromTask(task, output, section.take_expression("parameterExpressionSelector"))
    else:
        name = section.take_text("componentInputParameter")
        binding = FromInput(name, section.take_expression("parameterExpressionSelector"))
    section.check_all_taken()
    return binding


def _load_constant(section: Section, declared: ParameterType | None) -> Constant:
    if "constant" not in section:
        section.check_all_taken()
        raise SpecError(f"{section.path_of('constant')}: missing required field")
    return Constant(parse_value(restore_integers(section.take("constant"), declared)))


def _load_artifact_binding(section: Section) -> Binding:
    binding: Binding
    if "taskOutputArtifact" in section:
        source = section.take_section("taskOutputArtifact")
        binding = FromTask(source.take_text("producerTask"), source.take_text("outputArtifactKey"))
    else:
        binding = FromInput(section.take_text("componentInputArtifact"))
    section.check_all_taken()
    return binding


def _load_executors(deployment: Json) -> dict[str, Executor]:
    section = Section(canonicalize(deployment, "PipelineDeploymentConfig", "deploymentSpec"), "deploymentSpec")
    containers: Shared[Container] = {}
    executors = {
        label: _load_executor(executor, containers) for label, executor in section.take_sections("executors").items()
    }
    section.check_all_taken()
    return executors


def _load_executor(section: Section, containers: Shared[Container]) -> Executor:
    if "importer" in section:
        executor: Executor = load_importer(section.take_section("importer"))
    else:
        executor = section.take_shared("container", _load_container, containers)
    section.check_all_taken()
    return executor


def _load_container(container: Section) -> Container:
    command, args = container.take("command", []), container.take("args", [])
    loaded = Container(
        image=parse_text(container.take_text("image")),
        program=recognize(command, args)
        or Command(tuple(map(parse_argument, command)), tuple(map(parse_argument, args))),
        env={item.take("name", ""): item.take("value", "") for item in container.take_list("env")},
        resources=load_resources(container.take_section("resources")),
    )
    container.check_all_taken()
    return loaded
