"""Plan -> PipelineSpec, as the KFP SDK compiles it."""

from __future__ import annotations

from collections.abc import Mapping

from standpipe.errors import SpecError
from standpipe.ir.importers import emit_importer, emit_type
from standpipe.ir.loops import emit_loop
from standpipe.ir.numbers import check_value
from standpipe.ir.proto import canonicalize
from standpipe.ir.python_command import render
from standpipe.ir.resources import emit_resources
from standpipe.model.kfp import KFP_VERSION
from standpipe.model.plan import (
    Binding,
    Caching,
    Component,
    Constant,
    Container,
    Dag,
    Executor,
    FinalStatus,
    FromInput,
    FromTask,
    Importer,
    Node,
    Plan,
    PythonFunction,
    Retry,
    Trigger,
    TriggerStrategy,
)
from standpipe.model.templates import print_value
from standpipe.model.types import (
    ARTIFACTS,
    ArtifactInput,
    ArtifactOutput,
    Input,
    Json,
    Output,
    ParameterInput,
    table_of,
)
from standpipe.model.validation import Scope, require_valid

#: The version of the schema that this package reads and writes.
SCHEMA_VERSION = "2.1.0"


def emit(plan: Plan) -> dict[str, Json]:
    """Return a Plan as PipelineSpec: the JSON that protobuf writes for the message. Parts of it may be shared.

    Raises:
        SpecError: if the Plan is invalid, or has a value that the format cannot represent; the error names the field.
    """
    if not plan.name:
        raise SpecError("pipelineInfo.name: the name is empty. Use a name with letters of the alphabet.")
    require_valid(plan)
    components = {path: _emit_component(plan, component, path) for path, component in plan.components_by_path()}
    executors = {label: _emit_executor(label, item) for label, item in plan.executors.items()}
    spec = {
        "pipelineInfo": {"name": plan.name, "displayName": plan.display_name, "description": plan.description},
        "sdkVersion": f"kfp-{KFP_VERSION}",
        "schemaVersion": SCHEMA_VERSION,
        "defaultPipelineRoot": plan.pipeline_root,
        "deploymentSpec": canonicalize({"executors": executors}, "PipelineDeploymentConfig", "deploymentSpec"),
        "root": components.pop("root"),
        "components": {name: components[f"components.{name}"] for name in plan.components},
    }
    return canonicalize(spec, "PipelineSpec")


def emit_platforms(plan: Plan) -> dict[str, Json]:
    """Return the PlatformSpec of a Plan; empty if the Plan has no platforms.

    Raises:
        SpecError: if the platforms are not a valid PlatformSpec; the error names the field.
    """
    return canonicalize({"platforms": dict(plan.platforms)}, "PlatformSpec")


def _emit_component(plan: Plan, component: Component, path: str) -> dict[str, Json]:
    body = component.body
    result: dict[str, Json] = (
        {"dag": _emit_dag(Scope(component, body, plan.components), f"{path}.dag")}
        if isinstance(body, Dag)
        else {"executorLabel": body.label}
    )
    inputs = {name: (table_of(item), _emit_input(item, path, name)) for name, item in component.inputs.items()}
    outputs = {name: (table_of(item), _emit_output(item)) for name, item in component.outputs.items()}
    result |= _if_any("inputDefinitions", _by_kind(inputs))
    result |= _if_any("outputDefinitions", _by_kind(outputs))
    result["taskConfigPassthroughs"] = [
        {"field": item.field, "applyToTask": item.apply_to_task} for item in component.task_config_passthroughs
    ]
    return result


def _by_kind(items: Mapping[str, tuple[str, Json]]) -> dict[str, Json]:
    """Return the two tables of a file, parameters and artifacts, for the one table of a Plan."""
    tables: dict[str, Json] = {}
    for name, (table, item) in items.items():
        tables.setdefault(table, {})[name] = item
    return tables


def _if_any(field: str, value: Json) -> dict[str, Json]:
    """Return the field unless it is empty: for protobuf, an empty message is not the same as none."""
    return {field: value} if value else {}


def _emit_input(item: Input, path: str, name: str) -> dict[str, Json]:
    common = {"isOptional": item.optional, "description": item.description}
    if isinstance(item, ArtifactInput):
        return {"artifactType": emit_type(item.type), "isArtifactList": item.is_list, **common}
    return {"parameterType": item.type.value, **common, **_emit_choices(item, path, name)}


def _emit_choices(item: ParameterInput, path: str, name: str) -> dict[str, Json]:
    field_path = f"{path}.inputDefinitions.parameters.{name}"
    literals = list(item.literals)
    check_value(item.default, f"{field_path}.defaultValue")
    check_value(literals, f"{field_path}.literals")
    default = {} if item.default is None else {"defaultValue": item.default}
    return {"literals": literals, **default}


def _emit_output(item: Output) -> dict[str, Json]:
    if isinstance(item, ArtifactOutput):
        return {
            "artifactType": emit_type(item.type),
            "isArtifactList": item.is_list,
            "description": item.description,
        }
    return {"parameterType": item.type.value, "description": item.description}


def _emit_dag(scope: Scope, path: str) -> dict[str, Json]:
    dag = scope.dag
    tasks = {name: _emit_task(scope, node, f"{path}.tasks.{name}") for name, node in dag.nodes.items()}
    outputs: dict[str, tuple[str, Json]] = {}
    for name, sources in dag.outputs.items():
        table = table_of(scope.owner.outputs[name])
        outputs[name] = (table, _emit_sources(table, sources, f"{path}.outputs.{name}"))
    return {"tasks": tasks, **_if_any("outputs", _by_kind(outputs))}


def _emit_sources(table: str, sources: tuple[FromTask, ...], path: str) -> dict[str, Json]:
    key = "outputArtifactKey" if table == ARTIFACTS else "outputParameterKey"
    selectors = [{"producerSubtask": source.task, key: source.output} for source in sources]
    if any(source.selector for source in sources):
        raise SpecError(f"{path}: cannot select a part of a value for the output of a DAG")
    if table == ARTIFACTS:
        return {"artifactSelectors": selectors}
    if len(selectors) == 1:
        return {"valueFromParameter": selectors[0]}
    return {"valueFromOneof": {"parameterSelectors": selectors}}


def _emit_task(scope: Scope, node: Node, path: str) -> dict[str, Json]:
    component = scope.components[node.component]
    inputs = {
        name: _emit_binding(binding, component.input_table(name), f"{path}.inputs", name)
        for name, binding in node.inputs.items()
    }
    result: dict[str, Json] = {
        "taskInfo": {"name": node.display_name or node.name},
        "componentRef": {"name": node.component},
        "dependentTasks": list(node.after),
        **_if_any("inputs", _by_kind(inputs)),
        **_if_any("triggerPolicy", _emit_trigger(node.trigger)),
    }
    if node.loop is not None:
        result |= emit_loop(node.loop, component.input_table(node.loop.item_input) == ARTIFACTS, path)
    if node.caching is not None:
        result["cachingOptions"] = _emit_caching(node.caching)
    if node.retry is not None:
        result["retryPolicy"] = _emit_retry(node.retry)
    return result


def _emit_trigger(trigger: Trigger) -> dict[str, Json]:
    waits_for_success = trigger.strategy is TriggerStrategy.ALL_UPSTREAM_TASKS_SUCCEEDED
    return {
        **({} if waits_for_success else {"strategy": trigger.strategy.value}),
        **({} if trigger.condition is None else {"condition": trigger.condition.text}),
    }


def _emit_caching(caching: Caching) -> dict[str, Json]:
    return {"enableCache": caching.enabled, "cacheKey": caching.key}


def _emit_retry(retry: Retry) -> dict[str, Json]:
    return {
        "maxRetryCount": retry.max_retries,
        "backoffDuration": f"{retry.backoff_duration:.9f}s",
        "backoffFactor": retry.backoff_factor,
        "backoffMaxDuration": f"{retry.backoff_max_duration:.9f}s",
    }


def _emit_binding(binding: Binding, table: str, path: str, name: str) -> tuple[str, dict[str, Json]]:
    field_path = f"{path}.{table}.{name}"
    if table == ARTIFACTS:
        return table, _emit_artifact_binding(binding, field_path)
    return table, _emit_parameter_binding(binding, field_path)


def _emit_artifact_binding(binding: Binding, path: str) -> dict[str, Json]:
    if isinstance(binding, (FromInput, FromTask)) and binding.selector:
        raise SpecError(f"{path}: cannot select a part of an artifact, only of a parameter")
    if isinstance(binding, FromTask):
        return {"taskOutputArtifact": {"producerTask": binding.task, "outputArtifactKey": binding.output}}
    assert isinstance(binding, FromInput), "all other bindings are for parameters"
    return {"componentInputArtifact": binding.input}


def _emit_parameter_binding(binding: Binding, path: str) -> dict[str, Json]:
    if isinstance(binding, Constant):
        value = print_value(binding.value)
        check_value(value, path)
        return {"runtimeValue": {"constant": value}}
    if isinstance(binding, FinalStatus):
        return {"taskFinalStatus": {"producerTask": binding.task}}
    selector = {"parameterExpressionSelector": binding.selector.text} if binding.selector else {}
    if isinstance(binding, FromTask):
        source = {"producerTask": binding.task, "outputParameterKey": binding.output}
        return {"taskOutputParameter": source, **selector}
    return {"componentInputParameter": binding.input, **selector}


def _emit_executor(label: str, executor: Executor) -> dict[str, Json]:
    path = f"deploymentSpec.executors.{label}"
    if isinstance(executor, Importer):
        return {"importer": emit_importer(executor, f"{path}.importer")}
    return {"container": _emit_container(executor, f"{path}.container")}


def _emit_container(container: Container, path: str) -> dict[str, Json]:
    program = container.program
    command, args = (
        render(program)
        if isinstance(program, PythonFunction)
        else (tuple(map(str, program.command)), tuple(map(str, program.args)))
    )
    return {
        "image": str(container.image),
        "command": list(command),
        "args": list(args),
        "env": [{"name": name, "value": value} for name, value in container.env.items()],
        **_if_any("resources", emit_resources(container.resources, f"{path}.resources")),
    }
