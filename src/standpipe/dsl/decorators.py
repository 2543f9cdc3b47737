"""`@component`, `@container_component` and `@pipeline`."""

from __future__ import annotations

import functools
import os
import re
from collections.abc import Callable, Mapping, Sequence
from types import FunctionType
from typing import Any, overload

from standpipe.dsl import placeholders
from standpipe.dsl.base_component import get_backend
from standpipe.dsl.components import ContainerComponent, GraphComponent, PythonComponent
from standpipe.dsl.config import PipelineConfig, TaskConfigField, TaskConfigPassthrough
from standpipe.dsl.functions.interface import Interface, read_interface
from standpipe.dsl.registry import defined_components
from standpipe.dsl.tracing.channels import create_input_channel
from standpipe.dsl.tracing.source_locations import function_location, warn_at, warn_caller
from standpipe.dsl.tracing.trace import Trace, record_trace
from standpipe.errors import AuthoringError, AuthoringTypeError, shorten_errors
from standpipe.model import plan as model
from standpipe.model.frozen import lazy_dataclass, replace
from standpipe.model.kfp import DEFAULT_IMAGE, KFP_REQUIREMENTS, kubernetes_name
from standpipe.model.templates import Argument, Concat, IfPresent, parse_text
from standpipe.model.types import Json
from standpipe.model.values import preview
from standpipe.worker import annotations as kfp_annotations
from standpipe.worker.constants import WORKSPACE_MOUNT_PATH, WORKSPACE_PATH_PLACEHOLDER

Function = Callable[..., Any]

#: The command of the KFP SDK for a function that is contained in its image.
_CONTAINERIZED_COMMAND = ("python3", "-m", "kfp.dsl.executor_main")

_PIPELINE_NAME = r"[a-z0-9][a-z0-9-]{0,127}"


@overload
def component(func: Function) -> PythonComponent: ...
@overload
def component(
    func: None = None,
    *,
    base_image: str | None = ...,
    target_image: str | None = ...,
    packages_to_install: Sequence[str] | None = ...,
    pip_index_urls: Sequence[str] | None = ...,
    output_component_file: str | None = ...,
    install_kfp_package: bool = ...,
    kfp_package_path: str | None = ...,
    pip_trusted_hosts: Sequence[str] | None = ...,
    use_venv: bool = ...,
    additional_funcs: Sequence[Function] | None = ...,
    embedded_artifact_path: str | os.PathLike[str] | None = ...,
    task_config_passthroughs: Sequence[TaskConfigPassthrough | TaskConfigField] | None = ...,
) -> Callable[[Function], PythonComponent]: ...
@shorten_errors
def component(
    func: Function | None = None,
    *,
    base_image: str | None = None,
    target_image: str | None = None,
    packages_to_install: Sequence[str] | None = None,
    pip_index_urls: Sequence[str] | None = None,
    output_component_file: str | None = None,
    install_kfp_package: bool = True,
    kfp_package_path: str | None = None,
    pip_trusted_hosts: Sequence[str] | None = None,
    use_venv: bool = False,
    additional_funcs: Sequence[Function] | None = None,
    embedded_artifact_path: str | os.PathLike[str] | None = None,
    task_config_passthroughs: Sequence[TaskConfigPassthrough | TaskConfigField] | None = None,
) -> PythonComponent | Callable[[Function], PythonComponent]:
    """Make a component of a Python function. It can be used without or with arguments, which are the KFP SDK's.

    Only the source of the function is shipped: it must import or define what it uses in its body.

    Args:
        func: the function. All its arguments need annotations.
        base_image: the image to run in, by default `python:3.11`.
        target_image: the image that contains the function, for containerized components.
        packages_to_install: the packages that pip installs for it, as requirements.
        pip_index_urls: the package indexes for pip. The first one replaces PyPI.
        output_component_file: a file to compile the component to; deprecated by KFP.
        install_kfp_package: whether the cluster installs the KFP SDK for it. Local runners do not need it.
        kfp_package_path: the requirement or path that the cluster installs the KFP SDK from.
        pip_trusted_hosts: hosts that pip trusts without TLS; by default those of `http://` indexes.
        use_venv: whether the cluster installs the packages into a virtual environment.
        additional_funcs: functions whose source is shipped as well.
        embedded_artifact_path: a file or folder to embed, for `dsl.EmbeddedInput` arguments and imports.
        task_config_passthroughs: parts of the task's configuration that a `dsl.TaskConfig` argument receives.

    Raises:
        AuthoringTypeError: if an annotation is missing or is not a type that KFP can pass.
        AuthoringError: if the source of the function cannot be shipped.
    """
    if func is None:
        options = {name: value for name, value in locals().items() if name != "func"}
        return functools.partial(component, **options)
    _check_is_function(func, "@dsl.component")
    interface = read_interface(func)
    packages = _check_packages(packages_to_install, func)
    index_urls = tuple(pip_index_urls or ())
    trusted_hosts = None if pip_trusted_hosts is None else tuple(pip_trusted_hosts)
    if target_image:
        # Few components are containerized ones.
        from standpipe.support.pip_commands import INSTALL_SCRIPT, PIP_INSTALL, format_index_options, quote_requirements

        pip = PIP_INSTALL + format_index_options(index_urls, trusted_hosts) + quote_requirements(packages)
        install = ("sh", "-c", INSTALL_SCRIPT.replace("{commands}", pip)) if packages else ()
        program: model.Command | model.PythonFunction = _containerized_command(func, install)
    else:
        kfp = _kfp_requirements(packages, install_kfp_package, kfp_package_path)
        from standpipe.dsl.functions.source import build_program  # only programs that define components need it

        built = build_program(func, additional_funcs or (), embedded_artifact_path)
        # options without effect are left out, since a compiled file does not contain them either
        if not (packages or kfp):
            index_urls = ()
        program = model.PythonFunction(
            name=func.__name__,
            source=built.source,
            packages=packages,
            index_urls=index_urls,
            trusted_hosts=trusted_hosts if index_urls else None,
            kfp_requirements=kfp,
            use_venv=use_venv and bool(kfp),
            artifact_classes=built.artifact_classes,
            sections=built.sections,
        )
    container = model.Container(parse_text(target_image or base_image or DEFAULT_IMAGE), program)
    passthroughs = tuple(_convert_passthrough(func, item) for item in task_config_passthroughs or ())
    python_component = defined_components.register(
        PythonComponent(func.__name__, interface, container, func, passthroughs, function_location(func))
    )
    if output_component_file:
        _write_component(python_component, output_component_file)
    return python_component


def _check_is_function(func: object, decorator: str) -> None:
    if not isinstance(func, FunctionType):
        raise AuthoringTypeError(
            f"{decorator} expected a function that is defined with `def`, got {preview(func)} of type "
            f"{type(func).__name__}. Pass the arguments of the decorator by name."
        )


def _check_packages(packages: Sequence[str] | None, func: Function) -> tuple[str, ...]:
    if isinstance(packages, str):
        raise AuthoringTypeError(
            f"Component {func.__name__!r}: expected packages_to_install to be a list, got the string {packages!r}. "
            f"Write [{packages!r}]."
        )
    return tuple(packages or ())


def _kfp_requirements(packages: tuple[str, ...], install: bool, path: str | None) -> tuple[str, ...]:
    if not install or any(package.startswith("kfp") for package in packages):
        return ()
    if not path:
        return KFP_REQUIREMENTS
    without_dependencies = "@refs/pull/" in path or os.path.exists(path)
    return (path, "--no-deps") if without_dependencies else (path,)


def _containerized_command(func: Function, install: tuple[str, ...]) -> model.Command:
    arguments = ("--executor_input", parse_text("{{$}}"), "--function_to_execute", func.__name__)
    return model.Command((*install, *_CONTAINERIZED_COMMAND), arguments)


def _convert_passthrough(func: Function, item: object) -> model.TaskConfigPassthrough:
    if isinstance(item, TaskConfigField):
        return model.TaskConfigPassthrough(item.name)
    if isinstance(item, TaskConfigPassthrough):
        return model.TaskConfigPassthrough(item.field.name, item.apply_to_task)
    raise AuthoringTypeError(
        f"Component {func.__name__!r}: expected task_config_passthroughs to contain dsl.TaskConfigField or "
        f"dsl.TaskConfigPassthrough objects, such as [dsl.TaskConfigField.ENV], got {item!r}."
    )


def _write_component(python_component: PythonComponent, path: str) -> None:
    warn_caller(
        "output_component_file parameter is deprecated: use compiler.Compiler().compile() instead.", DeprecationWarning
    )
    get_backend().compile_component(python_component, path)


@shorten_errors
def container_component(func: Function) -> ContainerComponent:
    """Make a component of a function that returns a `dsl.ContainerSpec`.

    The function is called once, immediately, with placeholders as arguments.

    Raises:
        AuthoringTypeError: if an annotation, the returned value or an element of the command is of the wrong type.
        AuthoringError: if its command refers to an unknown input.
    """
    _check_is_function(func, "@dsl.container_component")
    location = f"Container component {func.__name__!r}"
    interface = read_interface(func, container=True)
    _check_return_annotation(func, location)
    arguments = {
        name: placeholders.create_placeholder(name, declared, side)
        for side, table in (("input", interface.inputs), ("output", interface.outputs))
        for name, declared in table.items()
    }
    spec = _call_function(func, arguments)
    if not isinstance(spec, ContainerSpec):
        raise AuthoringTypeError(f"{location} must return a dsl.ContainerSpec. It returned {preview(spec)}.")
    if not spec.image or not isinstance(spec.image, (str, placeholders.Placeholder)):
        raise AuthoringTypeError(f"{location}: expected image to be the name of an image, got {spec.image!r}.")
    program = model.Command(_create_arguments(spec.command, location), _create_arguments(spec.args, location))
    for argument in (*program.command, *program.args):
        _check_if_present(argument, interface, location)
    container = model.Container(parse_text(str(spec.image)), program)
    return defined_components.register(
        ContainerComponent(func.__name__, interface, container, func, function_location(func))
    )


def _check_return_annotation(func: Function, location: str) -> None:
    returned = kfp_annotations.annotations_of(func).get("return", ContainerSpec)
    if returned is not ContainerSpec and not str(returned).endswith(ContainerSpec.__name__):
        raise AuthoringTypeError(
            f"{location} returns a dsl.ContainerSpec, but its return annotation is another type. Use that annotation "
            "or none, and declare outputs as arguments: Output[...] and OutputPath(...)."
        )


def _call_function(func: Function, arguments: Mapping[str, Any]) -> Any:
    """Call a function as KFP does: with positional arguments where its signature allows it."""
    import inspect  # takes long to import, and programs that define no pipeline do without

    parameters = inspect.signature(func).parameters
    for name in parameters:
        if name not in arguments:
            raise AuthoringError(
                f"Function {func.__name__!r}, argument {name!r}: the arguments of a pipeline are its inputs, and the "
                "values that it returns are its outputs. EmbeddedInput is for Python components."
            )
    by_name = {name for name, parameter in parameters.items() if parameter.kind is parameter.KEYWORD_ONLY}
    positional = [arguments[name] for name in parameters if name not in by_name]
    return func(*positional, **{name: arguments[name] for name in by_name})


@lazy_dataclass
class ContainerSpec:
    """What a container component runs.

    Args:
        image: the image.
        command: the command, in place of the image's entrypoint.
        args: the arguments of the command.
    """

    image: str
    command: Sequence[placeholders.CommandLineElement] | None = None
    args: Sequence[placeholders.CommandLineElement] | None = None


def _create_arguments(elements: Sequence[Any] | None, location: str) -> tuple[Argument, ...]:
    if isinstance(elements, str):
        raise AuthoringTypeError(f"{location}: expected command and args to be lists, got the string {elements!r}.")
    return tuple(placeholders.create_argument(element, location) for element in elements or ())


def _check_if_present(argument: Any, interface: Interface, location: str) -> None:
    """Raise AuthoringError if an `IfPresentPlaceholder` refers to an unknown input."""
    if isinstance(argument, IfPresent):
        if argument.input not in interface.inputs:
            raise AuthoringError(
                f"{location}: an IfPresentPlaceholder refers to the input {argument.input!r}, which is not declared."
            )
        for branch in (argument.then, argument.otherwise):
            for inner in branch if isinstance(branch, tuple) else (branch,):
                _check_if_present(inner, interface, location)
    elif isinstance(argument, Concat):
        for inner in argument.items:
            _check_if_present(inner, interface, location)


@overload
def pipeline(func: Function) -> GraphComponent: ...
@overload
def pipeline(
    func: None = None,
    *,
    name: str | None = ...,
    description: str | None = ...,
    pipeline_root: str | None = ...,
    display_name: str | None = ...,
    pipeline_config: PipelineConfig | None = ...,
) -> Callable[[Function], GraphComponent]: ...
@shorten_errors
def pipeline(
    func: Function | None = None,
    *,
    name: str | None = None,
    description: str | None = None,
    pipeline_root: str | None = None,
    display_name: str | None = None,
    pipeline_config: PipelineConfig | None = None,
) -> GraphComponent | Callable[[Function], GraphComponent]:
    """Make a pipeline of a function that calls components. It can be used without or with arguments, as in the KFP SDK.

    The function is called once, immediately, with channels as arguments, and the component calls in it are recorded.

    Args:
        func: the function. All its arguments need annotations, and the function itself if it returns something.
        name: the name of the pipeline, by default that of the function: lower case letters, digits and dashes.
        description: the description, by default the text of the docstring.
        pipeline_root: the pipeline root on the cluster. That of local runs is set with `local.init`.
        display_name: the display name.
        pipeline_config: the settings of the pipeline.

    Raises:
        AuthoringTypeError: if an argument of a task is missing or of the wrong type.
        AuthoringError: if the pipeline has no tasks, or its outputs are not those that it declares.
    """
    if func is None:
        options = {option: value for option, value in locals().items() if option != "func"}
        return functools.partial(pipeline, **options)
    _check_is_function(func, "@dsl.pipeline")
    interface = read_interface(func, subject="Pipeline")
    if description:
        interface = replace(interface, description=description)
    own_name = kubernetes_name(name or func.__name__)
    if not re.fullmatch(_PIPELINE_NAME, own_name):
        raise AuthoringError(f"Invalid pipeline name {own_name!r}: expected {_PIPELINE_NAME}. Use pipeline(name=…).")
    # takes 5 ms to import, and components do not need it
    from standpipe.dsl.planning.plan_builder import build_plan

    with record_trace(own_name) as trace:
        trace.inputs = {key: create_input_channel(key, declared) for key, declared in interface.inputs.items()}
        returned = _call_function(func, trace.inputs)
        plan = replace(
            build_plan(trace, interface, returned, function_location(func)),
            description=interface.description,
            display_name=display_name or "",
            pipeline_root=pipeline_root or "",
        )
    if pipeline_config:
        plan = _add_pipeline_config(plan, pipeline_config)
    _check_workspace(trace, pipeline_config)
    return defined_components.register(GraphComponent(interface, plan, func))


def _add_pipeline_config(plan: model.Plan, config: PipelineConfig) -> model.Plan:
    settings = config.as_json()
    if not settings:
        return plan
    kubernetes = {**plan.platforms.get("kubernetes", {}), "pipelineConfig": settings}
    return replace(plan, platforms={**plan.platforms, "kubernetes": kubernetes})


def _check_workspace(trace: Trace, config: PipelineConfig | None) -> None:
    """Check that a pipeline has a workspace if its own tasks use one, as the KFP SDK does (2.17.3, graph_component.py).

    The SDK does not look into nested pipelines, and a local run gives them a workspace, so they are only warned of.
    """
    if config is not None and config.workspace is not None:
        return
    remedy = "pass pipeline_config=dsl.PipelineConfig(workspace=dsl.WorkspaceConfig(size='1Gi'))"
    for task in trace.tasks.values():
        if any(_is_in_workspace(value) for value in task.inputs.values()):
            raise AuthoringError(
                f"Task {task.name!r} uses the workspace, and pipeline {trace.pipeline!r} has none: {remedy}."
            )
        if isinstance(task.component, GraphComponent) and "workspace" in task.component.plan.pipeline_config:
            warn_at(
                task.source_location,
                f"Pipeline {task.component.name!r} has a workspace, and pipeline {trace.pipeline!r}, which calls it, "
                f"has none. A cluster makes only that of the outermost pipeline: {remedy}.",
            )


def _is_in_workspace(value: Json) -> bool:
    return isinstance(value, str) and (WORKSPACE_PATH_PLACEHOLDER in value or value.startswith(WORKSPACE_MOUNT_PATH))
