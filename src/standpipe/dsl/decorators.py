"""`@component`, `@container_component` and `@pipeline`."""

from __future__ import annotations

import functools
import inspect
import os
import re
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, overload

from standpipe.dsl import calling, placeholders
from standpipe.dsl.components import ContainerComponent, GraphComponent, PythonComponent, define
from standpipe.dsl.config import PipelineConfig, TaskConfigField, TaskConfigPassthrough
from standpipe.dsl.functions.interface import Interface, interface_of
from standpipe.dsl.functions.source import program_of
from standpipe.dsl.tracing.channels import input_channel
from standpipe.dsl.tracing.trace import tracing
from standpipe.errors import AuthoringError, AuthoringTypeError
from standpipe.inside import annotations as kfp_annotations
from standpipe.inside.constants import WORKSPACE_MOUNT_PATH, WORKSPACE_PATH_PLACEHOLDER
from standpipe.model import plan as model
from standpipe.model.kfp import (
    DEFAULT_IMAGE,
    INSTALL_SCRIPT,
    KFP_REQUIREMENTS,
    PIP_INSTALL,
    index_options,
    kubernetes_name,
    quoted,
)
from standpipe.model.templates import Argument, Concat, IfPresent, parse_text, print_value
from standpipe.model.types import ArtifactInput, ArtifactOutput, Json, ParameterOutput
from standpipe.model.values import preview

Function = Callable[..., Any]

#: How the KFP SDK runs a function that was baked into an image.
_BAKED_COMMAND = ("python3", "-m", "kfp.dsl.executor_main")

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
    """Makes a component of a Python function. Used bare or with arguments; the arguments are the KFP SDK's.

    The function is shipped as source and runs alone: what it uses must be imported or defined in its body.

    Args:
        func: the function; all its arguments need annotations.
        base_image: the image to run in, `python:3.11` if none is named.
        target_image: the image that the function is baked into, for containerized components.
        packages_to_install: what pip shall install for it, as requirements.
        pip_index_urls: where pip looks for packages, the first in place of PyPI.
        output_component_file: a file to compile the component to; deprecated by KFP.
        install_kfp_package: whether the cluster installs the KFP SDK for it. No local runner needs that.
        kfp_package_path: where the cluster installs the KFP SDK from.
        pip_trusted_hosts: hosts that pip trusts without TLS; the hosts of `pip_index_urls` by default.
        use_venv: whether the cluster installs into an environment of its own.
        additional_funcs: functions whose source is shipped along.
        embedded_artifact_path: a file or folder that is shipped along, for `dsl.EmbeddedInput` arguments and imports.
        task_config_passthroughs: parts of the task's configuration that a `dsl.TaskConfig` argument receives.

    Raises:
        AuthoringTypeError: if an annotation is missing or stands for nothing that KFP can pass.
        AuthoringError: if the function cannot be shipped.
    """
    if func is None:
        options = {name: value for name, value in locals().items() if name != "func"}
        return functools.partial(component, **options)
    _check_is_function(func, "@dsl.component")
    interface = interface_of(func)
    packages = _packages(packages_to_install, func)
    index_urls = tuple(pip_index_urls or ())
    trusted_hosts = None if pip_trusted_hosts is None else tuple(pip_trusted_hosts)
    if target_image:
        pip = PIP_INSTALL + index_options(index_urls, trusted_hosts) + quoted(packages)
        install = ("sh", "-c", INSTALL_SCRIPT.replace("{commands}", pip)) if packages else ()
        program: model.Command | model.PythonFunction = _baked(func, install)
    else:
        kfp = _kfp_requirements(packages, install_kfp_package, kfp_package_path)
        source, classes = program_of(func, additional_funcs or (), embedded_artifact_path)
        # what has no effect is left out, as it leaves no trace in a compiled file either
        if not (packages or kfp):
            index_urls = ()
        program = model.PythonFunction(
            name=func.__name__,
            source=source,
            packages=packages,
            index_urls=index_urls,
            trusted_hosts=trusted_hosts if index_urls else None,
            kfp_requirements=kfp,
            use_venv=use_venv and bool(kfp),
            artifact_classes=classes,
        )
    container = model.Container(parse_text(target_image or base_image or DEFAULT_IMAGE), program)
    passthroughs = tuple(_passthrough(func, given) for given in task_config_passthroughs or ())
    made = define(PythonComponent(func.__name__, interface, container, func, passthroughs))
    if output_component_file:
        _write(made, output_component_file)
    return made


def _check_is_function(given: object, decorator: str) -> None:
    if not inspect.isfunction(given):
        raise AuthoringTypeError(
            f"{decorator} makes something of a function that is defined with `def`, and {preview(given)}, of type "
            f"{type(given).__name__}, is none. Arguments of the decorator are passed by name."
        )


def _packages(given: Sequence[str] | None, func: Function) -> tuple[str, ...]:
    if isinstance(given, str):
        raise AuthoringTypeError(
            f"Component {func.__name__!r}: packages_to_install={given!r} is text, and a list is wanted: [{given!r}]."
        )
    return tuple(given or ())


def _kfp_requirements(packages: tuple[str, ...], install: bool, path: str | None) -> tuple[str, ...]:
    if not install or any(package.startswith("kfp") for package in packages):
        return ()
    if not path:
        return KFP_REQUIREMENTS
    without_dependencies = "@refs/pull/" in path or os.path.exists(path)
    return (path, "--no-deps") if without_dependencies else (path,)


def _baked(func: Function, install: tuple[str, ...]) -> model.Command:
    arguments = ("--executor_input", parse_text("{{$}}"), "--function_to_execute", func.__name__)
    return model.Command((*install, *_BAKED_COMMAND), arguments)


def _passthrough(func: Function, given: object) -> model.TaskConfigPassthrough:
    if isinstance(given, TaskConfigField):
        return model.TaskConfigPassthrough(given.name)
    if isinstance(given, TaskConfigPassthrough):
        return model.TaskConfigPassthrough(given.field.name, given.apply_to_task)
    raise AuthoringTypeError(
        f"Component {func.__name__!r}: task_config_passthroughs holds {given!r}, and a dsl.TaskConfigField or a "
        "dsl.TaskConfigPassthrough is wanted, as in [dsl.TaskConfigField.ENV]."
    )


def _write(made: PythonComponent, path: str) -> None:
    warnings.warn(
        "output_component_file is deprecated: use compiler.Compiler().compile() instead.",
        DeprecationWarning,
        stacklevel=3,
    )
    calling.host().compile(made, path)


def container_component(func: Function) -> ContainerComponent:
    """Makes a component of a function that describes a container: it returns a `dsl.ContainerSpec`.

    The function is called once, now, with placeholders for its arguments.

    Raises:
        AuthoringTypeError: if an annotation or an element of the command is of the wrong type.
        AuthoringError: if the function returns something else, or its command refers to an unknown input.
    """
    _check_is_function(func, "@dsl.container_component")
    where = f"Container component {func.__name__!r}"
    interface = interface_of(func, container=True)
    _check_return_annotation(func, where)
    stand_ins = {
        name: _stand_in(name, declared) for name, declared in (*interface.inputs.items(), *interface.outputs.items())
    }
    spec = _call(func, stand_ins)
    if not isinstance(spec, ContainerSpec):
        raise AuthoringTypeError(f"{where} must return a dsl.ContainerSpec, and returned {preview(spec)}.")
    if not spec.image or not isinstance(spec.image, (str, placeholders.Placeholder)):
        raise AuthoringTypeError(f"{where}: its image is {spec.image!r}, and the name of an image is wanted.")
    program = model.Command(_arguments(spec.command, where), _arguments(spec.args, where))
    for argument in (*program.command, *program.args):
        _check_present(argument, interface, where)
    container = model.Container(parse_text(str(spec.image)), program)
    return define(ContainerComponent(func.__name__, interface, container, func))


def _check_return_annotation(func: Function, where: str) -> None:
    returned = kfp_annotations.annotations_of(func).get("return", ContainerSpec)
    if returned is not ContainerSpec and not str(returned).endswith(ContainerSpec.__name__):
        raise AuthoringTypeError(
            f"{where} returns a dsl.ContainerSpec, whatever its container gives. Annotate it with that or not at all, "
            "and declare outputs as arguments: Output[...] and OutputPath(...)."
        )


def _call(func: Function, arguments: Mapping[str, Any]) -> Any:
    """Calls an author's function as KFP does: by position, where its signature allows that."""
    parameters = inspect.signature(func).parameters
    for name in parameters:
        if name not in arguments:
            raise AuthoringError(
                f"Function {func.__name__!r}, argument {name!r}: the arguments of a pipeline are its inputs, and its "
                "outputs are what it returns. EmbeddedInput is for Python components."
            )
    by_name = {name for name, parameter in parameters.items() if parameter.kind is parameter.KEYWORD_ONLY}
    positional = [arguments[name] for name in parameters if name not in by_name]
    return func(*positional, **{name: arguments[name] for name in by_name})


@dataclass
class ContainerSpec:
    """What a container component runs.

    Args:
        image: the image.
        command: the program, in place of the image's entrypoint.
        args: its arguments.
    """

    image: str
    command: Sequence[placeholders.CommandLineElement] | None = None
    args: Sequence[placeholders.CommandLineElement] | None = None


def _stand_in(name: str, declared: Any) -> Any:
    if isinstance(declared, (ArtifactInput, ArtifactOutput)):
        side = "inputs" if isinstance(declared, ArtifactInput) else "outputs"
        return placeholders.artifact(side, name, is_list=declared.is_list)
    if isinstance(declared, ParameterOutput):
        return placeholders.output_parameter(name)
    return placeholders.input_parameter(name)


def _arguments(elements: Sequence[Any] | None, where: str) -> tuple[Argument, ...]:
    if isinstance(elements, str):
        raise AuthoringTypeError(f"{where}: command and args are lists, and {elements!r} is text.")
    return tuple(placeholders.argument(element, where) for element in elements or ())


def _check_present(argument: Any, interface: Interface, where: str) -> None:
    """Raises AuthoringError where an `IfPresentPlaceholder` names an input that there is not."""
    if isinstance(argument, IfPresent):
        if argument.input not in interface.inputs:
            raise AuthoringError(
                f"{where}: an IfPresentPlaceholder speaks of the input {argument.input!r}: there is none."
            )
        for branch in (argument.then, argument.otherwise):
            for inner in branch if isinstance(branch, tuple) else (branch,):
                _check_present(inner, interface, where)
    elif isinstance(argument, Concat):
        for inner in argument.items:
            _check_present(inner, interface, where)


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
def pipeline(
    func: Function | None = None,
    *,
    name: str | None = None,
    description: str | None = None,
    pipeline_root: str | None = None,
    display_name: str | None = None,
    pipeline_config: PipelineConfig | None = None,
) -> GraphComponent | Callable[[Function], GraphComponent]:
    """Makes a pipeline of a function that calls components. Used bare or with arguments; they are the KFP SDK's.

    The function is called once, now, with channels for its arguments; the calls of components in it are recorded.

    Args:
        func: the function; all its arguments need annotations, and its return type if it returns something.
        name: the pipeline's name, by default the function's; lower case letters, digits and dashes.
        description: what it does, by default the docstring's text.
        pipeline_root: where the cluster keeps artifacts. Local runs have theirs from `local.init`.
        display_name: the name under which it is shown.
        pipeline_config: settings of the whole pipeline.

    Raises:
        AuthoringTypeError: if an argument of a task is missing or of the wrong type.
        AuthoringError: if the pipeline has no tasks, or its outputs are not those that it declares.
    """
    if func is None:
        options = {option: value for option, value in locals().items() if option != "func"}
        return functools.partial(pipeline, **options)
    _check_is_function(func, "@dsl.pipeline")
    interface = interface_of(func)
    if description:
        interface = replace(interface, description=description)
    own_name = kubernetes_name(name or func.__name__)
    if not re.fullmatch(_PIPELINE_NAME, own_name):
        raise AuthoringError(f"The pipeline name {own_name!r} must match {_PIPELINE_NAME}: use pipeline(name=…).")
    # with expressions, it takes 5 ms to import, and components do not need it
    from standpipe.dsl.planning.plan_builder import plan_of

    with tracing(own_name) as trace:
        trace.inputs = {key: input_channel(key, declared) for key, declared in interface.inputs.items()}
        returned = _call(func, trace.inputs)
        plan = replace(
            plan_of(trace, interface, returned),
            description=interface.description,
            display_name=display_name or "",
            pipeline_root=pipeline_root or "",
        )
    if pipeline_config:
        plan = _configured(plan, pipeline_config)
    _check_workspace(plan, pipeline_config)
    return define(GraphComponent(interface, plan, func))


def _configured(plan: model.Plan, config: PipelineConfig) -> model.Plan:
    settings = config.as_json()
    if not settings:
        return plan
    kubernetes = {**plan.platforms.get("kubernetes", {}), "pipelineConfig": settings}
    return replace(plan, platforms={**plan.platforms, "kubernetes": kubernetes})


def _check_workspace(plan: model.Plan, config: PipelineConfig | None) -> None:
    if config is not None and config.workspace is not None:
        return
    for component in (plan.root, *plan.components.values()):
        for node in component.body.nodes.values() if isinstance(component.body, model.Dag) else ():
            constants = [bound.value for bound in node.inputs.values() if isinstance(bound, model.Constant)]
            if any(_is_in_workspace(print_value(value)) for value in constants):
                raise AuthoringError(
                    f"Task {node.name!r} uses the workspace, and pipeline {plan.name!r} has none: "
                    "pass pipeline_config=dsl.PipelineConfig(workspace=dsl.WorkspaceConfig(size='1Gi'))."
                )


def _is_in_workspace(value: Json) -> bool:
    return isinstance(value, str) and (WORKSPACE_PATH_PLACEHOLDER in value or value.startswith(WORKSPACE_MOUNT_PATH))
