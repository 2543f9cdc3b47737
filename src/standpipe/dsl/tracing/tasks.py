"""Tasks and the groups that they are in, in a pipeline that is being traced or after a run.

A task knows its group and a group knows its tasks, so both classes are in this file.
"""

from __future__ import annotations

import enum
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Protocol

from standpipe.dsl.tracing.channels import PipelineChannel, create_output_channel, describe_value, find_channels
from standpipe.dsl.tracing.marks import has_marks
from standpipe.dsl.tracing.quantities import COUNT, CPU, MEMORY, Quantity, parse_duration
from standpipe.dsl.tracing.source_locations import warn_caller
from standpipe.errors import (
    AuthoringAttributeError,
    AuthoringError,
    AuthoringTypeError,
    NoSuchOutput,
    StandpipeError,
    TaskFailed,
    read_run,
)
from standpipe.model.frozen import field, lazy_dataclass, replace
from standpipe.model.plan import Caching, Container, Executor, Resources, Retry, SourceLocation, TriggerStrategy
from standpipe.model.types import Input, Json, Output, is_required
from standpipe.model.values import preview


class TaskComponent(Protocol):
    """The component of a task, as far as the task needs it. `dsl.BaseComponent` implements it."""

    @property
    def name(self) -> str:
        """The name of the component."""

    @property
    def inputs(self) -> Mapping[str, Input]:
        """The declared inputs by name."""

    @property
    def outputs(self) -> Mapping[str, Output]:
        """The declared outputs by name."""

    @property
    def executor(self) -> Executor | None:
        """What the component runs: a container or an importer; None for a pipeline."""

    @property
    def component_spec(self) -> Any:
        """The component under the names of the KFP SDK."""

    def describe_container(self, task: PipelineTask) -> Any:
        """Return the container of a task under the names of the KFP SDK."""


class FailedTaskOutput(TaskFailed, AttributeError):
    """The output of a task that failed; as in the KFP SDK, `getattr(task, "output", None)` is None."""


class TaskState(enum.Enum):
    """Whether a task is part of a pipeline that is being traced, or has run."""

    FUTURE = "FUTURE"
    FINAL = "FINAL"


@lazy_dataclass
class Settings:
    """The settings of a task besides its arguments, as its setters record them.

    `channels` are values that settings for a platform refer to. The platform resolves them itself. `init_containers`
    are apart from `platforms`, as releases of kfp-kubernetes that do not know them refuse settings that have any.
    """

    display_name: str = ""
    after: list[PipelineTask | TaskGroup] = field(default_factory=list)
    channels: list[PipelineChannel] = field(default_factory=list)
    strategy: TriggerStrategy = TriggerStrategy.ALL_UPSTREAM_TASKS_SUCCEEDED
    caching: Caching = Caching()
    retry: Retry | None = None
    container: Container | None = None
    platforms: dict[str, Json] = field(default_factory=dict)
    init_containers: list[Json] = field(default_factory=list)

    @property
    def platforms_with_init_containers(self) -> dict[str, Json]:
        """The settings by platform, as they are compiled."""
        if not self.init_containers:
            return self.platforms
        kubernetes = self.platforms.get("kubernetes", {})
        listed = [*kubernetes.get("initContainers", ()), *self.init_containers]
        return {**self.platforms, "kubernetes": {**kubernetes, "initContainers": listed}}


class TaskGroup:
    """Tasks that belong together: those of a whole pipeline, or of one `with` block. Groups nest.

    `group` is the enclosing group, None for the group of the pipeline. `name` is unique in the pipeline.
    """

    #: The beginning of the names of such groups.
    prefix = ""
    #: Whether tasks may be set to run after the whole group, with `.after(group)`.
    is_awaitable = False

    def __init__(self, name: str | None = None) -> None:
        if name is not None and (not isinstance(name, str) or has_marks(name)):
            raise AuthoringTypeError(
                f"dsl.{type(self).__name__} expected name to be a string, got {describe_value(name)}."
            )
        self.name = ""
        self.display_name = name or ""
        self.source_location: SourceLocation | None = None
        self.group: TaskGroup | None = None
        self.tasks: list[PipelineTask] = []
        self.groups: list[TaskGroup] = []

    def __iter__(self) -> Iterator[TaskGroup]:
        """Yield this group and all groups in it, outer groups first."""
        pending = [self]
        while pending:
            group = pending.pop()
            yield group
            pending.extend(reversed(group.groups))


class Outputs(dict[str, Any]):
    """The outputs of a task, by name."""

    def __init__(self, task: str, outputs: Mapping[str, Any]) -> None:
        super().__init__(outputs)
        self._task = task

    def __missing__(self, name: str) -> Any:
        raise NoSuchOutput(f"Task {self._task!r} has no output {name!r}; it has: {', '.join(self) or 'none'}.")


class PipelineTask:
    """A component with arguments. Created by calling the component, not directly.

    While a pipeline is traced, `.output` and `.outputs` are channels that can be passed to other tasks, and the setters
    configure how the task runs. After a local run they are values: parameters as Python values, and artifacts as
    objects of `dsl.Artifact` or its subclasses, whose `.path` can be read.

    Args:
        component: the component.
        name: the name of the task, unique in its pipeline.
        inputs: the arguments by name.
        settings: the settings that the task starts with.
        source_location: the file and line where the component was called.
    """

    def __init__(
        self,
        component: TaskComponent,
        name: str,
        inputs: Mapping[str, Any],
        settings: Settings,
        source_location: SourceLocation | None = None,
    ) -> None:
        self.component = component
        self.name = name
        self.inputs = dict(inputs)
        self.source_location = source_location
        self.state = TaskState.FUTURE
        self.error: StandpipeError | None = None
        self._run_folder = ""
        self._shown_outputs: Mapping[str, Any] | None = None
        self.group: TaskGroup | None = None
        self.is_exit_task = False
        self._settings = settings
        self._outputs = Outputs(
            name, {output: create_output_channel(output, spec, self) for output, spec in component.outputs.items()}
        )

    def finish(
        self,
        outputs: Mapping[str, Any],
        error: StandpipeError | None = None,
        *,
        folder: str = "",
        shown: Mapping[str, Any] | None = None,
    ) -> PipelineTask:
        """Mark the task as run, and return it.

        Args:
            outputs: its outputs.
            error: why it failed.
            folder: the folder of its run; empty if nothing was started.
            shown: its outputs without secrets; None if they hold none.
        """
        self.state = TaskState.FINAL
        self._outputs = Outputs(self.name, outputs)
        self._shown_outputs = shown
        self.error = error
        self._run_folder = folder
        return self

    @property
    def run(self) -> Any:
        """The local run, a `standpipe.history.Run` that is read when it is used.

        It is None while a pipeline is traced, and if nothing was started.
        """
        return read_run(self._run_folder)

    @property
    def succeeded(self) -> bool:
        """Whether the task has run and succeeded."""
        return self.state is TaskState.FINAL and self.error is None

    @property
    def outputs(self) -> Mapping[str, Any]:
        """The outputs by name: channels while a pipeline is traced, values after a run (none if it failed)."""
        return self._outputs

    @property
    def shown_outputs(self) -> Mapping[str, Any]:
        """The outputs as commands and notebooks show them: without the secrets of the run."""
        return self._outputs if self._shown_outputs is None else self._shown_outputs

    @property
    def output(self) -> Any:
        """The only output.

        Raises:
            AuthoringAttributeError: if the component has no outputs or several.
            FailedTaskOutput: if the task failed.
        """
        if self.error is not None:
            message = f"Task {self.name!r} failed, so it has no output. {self.error}"
            raise FailedTaskOutput(message, folder=self._run_folder) from self.error
        if len(self._outputs) != 1:
            names = ", ".join(self._outputs) or "none"
            raise AuthoringAttributeError(
                f"Task {self.name!r} does not have exactly one output (it has: {names}). Use .outputs['name']."
            )
        return next(iter(self._outputs.values()))

    def __repr__(self) -> str:
        if self.state is TaskState.FUTURE:
            state = "traced"
        elif self.error is not None:
            first_line, _, _ = str(self.error).partition("\n")
            state = f"failed: {first_line}"
        else:
            outputs = (f"{name} = {preview(value)}" for name, value in self.shown_outputs.items())
            state = ", ".join(("succeeded", *outputs))
        return f"<PipelineTask {self.name!r}: {state}>"

    def _repr_html_(self) -> str | None:
        if self.state is TaskState.FUTURE:
            return None  # its repr is shown
        from standpipe.support.notebooks import to_html  # of no use outside of notebooks

        return to_html(self)

    # --- order --------------------------------------------------------------------------------------------------------

    def after(self, *tasks: PipelineTask | TaskGroup) -> PipelineTask:
        """Start this task only after other tasks have ended, without an input from them.

        Args:
            *tasks: tasks, and `dsl.ExitHandler` groups.

        Raises:
            AuthoringError: if an argument is neither.
        """
        self._check_is_traced("after")
        for task in tasks:
            if not isinstance(task, PipelineTask) and not (isinstance(task, TaskGroup) and task.is_awaitable):
                raise AuthoringError(
                    f"Task {self.name!r}: .after() expected tasks or dsl.ExitHandler groups as separate arguments, got "
                    f"{describe_value(task)} of type {type(task).__name__}."
                )
            self._settings.after.append(task)
        return self

    def ignore_upstream_failure(self) -> PipelineTask:
        """Start this task when its upstream tasks have ended, whether they succeeded or failed.

        Raises:
            AuthoringError: if an input that comes from another task has no default value.
        """
        self._check_is_traced("ignore_upstream_failure")
        for name, value in self.inputs.items():
            if isinstance(value, PipelineChannel) and value.task and is_required(self.component.inputs[name]):
                raise AuthoringError(
                    f"Task {self.name!r} cannot ignore upstream failures: its input {name!r} comes from task "
                    f"{value.task.name!r}, which may fail, and has no default value. Give the input a default value."
                )
        self._settings.strategy = TriggerStrategy.ALL_UPSTREAM_TASKS_COMPLETED
        return self

    # --- execution ----------------------------------------------------------------------------------------------------

    def set_caching_options(self, enable_caching: bool, cache_key: str | None = None) -> PipelineTask:
        """Set whether the outputs may come from the cache, and optionally the cache key.

        Raises:
            AuthoringTypeError: if `enable_caching` is not a bool, or the key not a string.
        """
        self._check_is_traced("set_caching_options")
        if not isinstance(enable_caching, bool):
            raise self._wrong_type("set_caching_options", "enable_caching", enable_caching, "True or False")
        if cache_key is not None:
            self._check_text("set_caching_options", "cache_key", cache_key)
        self._settings.caching = Caching(enable_caching, cache_key or "")
        return self

    def set_retry(
        self,
        num_retries: int,
        backoff_duration: str | None = None,
        backoff_factor: float | None = None,
        backoff_max_duration: str | None = None,
    ) -> PipelineTask:
        """Set how often the task is retried when it fails.

        Args:
            num_retries: the maximum number of retries.
            backoff_duration: the wait before the first retry, such as `'60s'`, `'2m'` or `'1h'`; `'0s'` by default.
            backoff_factor: the factor between one wait and the next; 2 by default.
            backoff_max_duration: the latest start of an attempt after the start of the first; `'3600s'` by default.

        Raises:
            AuthoringTypeError: if `num_retries` is not a whole number.
            AuthoringError: if a duration is invalid.
        """
        self._check_is_traced("set_retry")
        self._settings.retry = Retry(
            max_retries=self._parse_whole_number("set_retry", "num_retries", 0 if num_retries is None else num_retries),
            backoff_duration=parse_duration(backoff_duration or "0s"),
            backoff_factor=float(backoff_factor or 2.0),
            backoff_max_duration=parse_duration(backoff_max_duration or "3600s"),
        )
        return self

    def set_display_name(self, name: str | None) -> PipelineTask:
        """Set the display name of the task.

        Raises:
            AuthoringTypeError: if it is not a string, or contains a value that is known only when the pipeline runs.
        """
        if self._is_traced("set_display_name"):
            self._check_text("set_display_name", "name", name or "")
            self._settings.display_name = name if name and name != self.name else ""
        return self

    def set_env_variable(self, name: str, value: str) -> PipelineTask:
        """Set an environment variable of the task.

        Raises:
            AuthoringTypeError: if its name or value is not a string, or contains a value that is known only when the
                pipeline runs.
        """
        self._check_is_traced("set_env_variable")
        hint = "Pass the value to an input of the component, and set it in os.environ there."
        self._check_text("set_env_variable", "name", name, hint)
        self._check_text("set_env_variable", "value", value, hint)
        container = self._container("set_env_variable")
        self._settings.container = replace(container, env={**container.env, name: value})
        return self

    def set_container_image(self, name: str | PipelineChannel) -> PipelineTask:
        """Set the container image, in place of the component's. It may be a value that is known only at run time.

        Raises:
            AuthoringTypeError: if it is neither a string nor such a value.
        """
        self._check_is_traced("set_container_image")
        if not isinstance(name, (str, PipelineChannel)):
            raise self._wrong_type("set_container_image", "name", name, "the name of an image")
        self._settings.container = replace(self._container("set_container_image"), image=str(name))
        return self

    def set_debug_pause(self, before: bool = False, after: bool = True, on_error: bool = False) -> PipelineTask:
        """Pause the task until its user lets it continue, so that they can look into it.

        On a cluster, Argo Workflows keeps the pod. In a local run, a notice says how to continue.

        Args:
            before: whether it pauses before it runs.
            after: whether it pauses after it has ended.
            on_error: whether it pauses after it has ended only if it has failed.

        Raises:
            AuthoringError: if there is nothing to pause at, or the arguments contradict each other.
        """
        if on_error and not after:
            raise AuthoringError("set_debug_pause(on_error=True) pauses after the task, so it cannot have after=False.")
        if not (before or after):
            raise AuthoringError("set_debug_pause(before=False, after=False) would never pause.")
        if before:
            self.set_env_variable("ARGO_DEBUG_PAUSE_BEFORE", "true")
        if after:
            self.set_env_variable("ARGO_DEBUG_PAUSE_ON_ERROR" if on_error else "ARGO_DEBUG_PAUSE_AFTER", "true")
        return self

    # --- resources ----------------------------------------------------------------------------------------------------

    def set_cpu_request(self, cpu: str | PipelineChannel) -> PipelineTask:
        """Set the CPU request in cores, such as `'2'`, `'0.5'` or `'500m'`."""
        return self._set_resource("set_cpu_request", "cpu_request", cpu, CPU)

    def set_cpu_limit(self, cpu: str | PipelineChannel) -> PipelineTask:
        """Set the CPU limit in cores, such as `'2'`, `'0.5'` or `'500m'`."""
        return self._set_resource("set_cpu_limit", "cpu_limit", cpu, CPU)

    def set_memory_request(self, memory: str | PipelineChannel) -> PipelineTask:
        """Set the memory request in bytes, with or without a unit, such as `'512Mi'` or `'2G'`."""
        return self._set_resource("set_memory_request", "memory_request", memory, MEMORY)

    def set_memory_limit(self, memory: str | PipelineChannel) -> PipelineTask:
        """Set the memory limit in bytes, with or without a unit, such as `'512Mi'` or `'2G'`."""
        return self._set_resource("set_memory_limit", "memory_limit", memory, MEMORY)

    def set_accelerator_type(self, accelerator: str | PipelineChannel) -> PipelineTask:
        """Set the type of accelerator, such as `'nvidia.com/gpu'`. The task gets one unless a limit is set."""
        self._set_resource("set_accelerator_type", "accelerator_type", accelerator)
        if self.state is TaskState.FUTURE and not self._resources.accelerator_count:
            self._set_resource("set_accelerator_type", "accelerator_count", "1")
        return self

    def set_accelerator_limit(self, limit: int | str | PipelineChannel) -> PipelineTask:
        """Set the number of accelerators. Their type is set with `set_accelerator_type`."""
        return self._set_resource("set_accelerator_limit", "accelerator_count", limit, COUNT)

    def set_gpu_limit(self, gpu: str) -> PipelineTask:
        """Call `set_accelerator_limit`: this is its deprecated name."""
        warn_caller("'set_gpu_limit' is deprecated: use 'set_accelerator_limit'.", DeprecationWarning)
        return self.set_accelerator_limit(gpu)

    def add_node_selector_constraint(self, accelerator: str) -> PipelineTask:
        """Call `set_accelerator_type`: this is its deprecated name."""
        warn_caller("'add_node_selector_constraint' is deprecated: use 'set_accelerator_type'.", DeprecationWarning)
        return self.set_accelerator_type(accelerator)

    # --- for extensions of KFP, such as kfp-kubernetes ----------------------------------------------------------------

    @property
    def dependent_tasks(self) -> list[str]:
        """The names of the tasks that were passed to `.after()`."""
        self._check_is_traced("dependent_tasks")
        return [task.name for task in self._settings.after]

    def register_pipeline_channels(self, pipeline_channels: Iterable[PipelineChannel]) -> None:
        """Record the channels that the task's settings for a platform refer to, except those that it uses already."""
        self._check_is_traced("register_pipeline_channels")
        known = {channel.pattern for channel in self.channel_inputs}
        for channel in pipeline_channels:
            if channel.pattern not in known:
                known.add(channel.pattern)
                self._settings.channels.append(channel)

    def add_init_container(self, container: Json) -> None:
        """Record an init container or a sidecar (`dsl.kubernetes.init_containers`), as it is compiled.

        Raises:
            AuthoringError: if the task has one of this name already.
        """
        self._check_is_traced("add_init_container")
        listed = self._settings.platforms_with_init_containers.get("kubernetes", {}).get("initContainers", ())
        if container["name"] in {other["name"] for other in listed}:
            raise AuthoringError(f"Task {self.name!r} already has an init container {container['name']!r}.")
        self._settings.init_containers.append(container)

    @property
    def channel_inputs(self) -> list[PipelineChannel]:
        """The channels that the task uses.

        First those that are an argument of their own, then those inside other arguments, then those of its settings.
        """
        values = self.inputs.values()
        whole = [value for value in values if isinstance(value, PipelineChannel)]
        rest = [value for value in values if not isinstance(value, PipelineChannel)]
        return [*whole, *find_channels(rest, f"Task {self.name!r}"), *self._settings.channels]

    @property
    def component_spec(self) -> Any:
        """The description of the component, as `component.component_spec`."""
        return self.component.component_spec

    @property
    def container_spec(self) -> Any:
        """The container with the task's own settings; None for a pipeline or an importer."""
        return None if self._settings.container is None else self.component.describe_container(self)

    @property
    def importer_spec(self) -> Any:
        """The importer; None for other components."""
        return self.component_spec.implementation.importer

    @property
    def pipeline_spec(self) -> Any:
        """The PipelineSpec message of the pipeline that the task runs; None for other components."""
        return self.component_spec.implementation.graph

    @property
    def platform_spec(self) -> Any:
        """The PlatformSpec message of the pipeline that the task runs.

        Raises:
            AuthoringError: if the component is not a pipeline; its settings are in `platform_config`.
        """
        if self.component.executor is not None:
            raise AuthoringError(
                f"Task {self.name!r}: only the task of a pipeline has .platform_spec. Use .platform_config."
            )
        return self.component_spec.platform_spec

    @property
    def platform_config(self) -> dict[str, Json]:
        """The settings by platform, as extensions of KFP write them: `{'kubernetes': {...}}`. It can be set."""
        return self._settings.platforms

    @platform_config.setter
    def platform_config(self, platforms: dict[str, Json]) -> None:
        self._check_is_traced("platform_config")
        self._settings.platforms = platforms

    @property
    def parent_task_group(self) -> TaskGroup | None:
        """The group that the task is in, under the KFP SDK's name."""
        return self.group

    # --- internal -----------------------------------------------------------------------------------------------------

    @property
    def settings(self) -> Settings:
        """The settings, from which the Plan is built."""
        return self._settings

    @property
    def _resources(self) -> Resources:
        return self._container("resources").resources

    def _set_resource(
        self, setter: str, name: str, value: int | str | PipelineChannel, notation: Quantity | None = None
    ) -> PipelineTask:
        if not self._is_traced(setter):
            return self
        text = str(value)
        if notation and not isinstance(value, PipelineChannel) and not re.fullmatch(notation.pattern, text):
            raise AuthoringError(
                f"Task {self.name!r}: .{setter}() expected {notation.description}, got {describe_value(text)}. An "
                "output of a task or an input of the pipeline can be passed as well, but not inside text."
            )
        container = self._container(setter)
        numbers = tuple(number for number in container.resources.numbers if number != name)
        resources = replace(container.resources, numbers=numbers, **{name: text})
        self._settings.container = replace(container, resources=resources)
        return self

    def _container(self, setter: str) -> Container:
        if self._settings.container is None:
            raise AuthoringError(
                f"Task {self.name!r}: .{setter}() expected a component that runs in a container. This one is a "
                "pipeline or an importer."
            )
        return self._settings.container

    def _check_text(self, setter: str, argument: str, value: object, hint: str = "") -> None:
        if isinstance(value, PipelineChannel) or (isinstance(value, str) and has_marks(value)):
            raise self._wrong_type(setter, argument, value, "a string that is known while the pipeline is traced", hint)
        if not isinstance(value, str):
            raise self._wrong_type(setter, argument, value, "a string")

    def _parse_whole_number(self, setter: str, argument: str, value: Any) -> int:
        try:
            if int(value) == float(value):
                return int(value)
        except (TypeError, ValueError, OverflowError):
            pass
        raise self._wrong_type(setter, argument, value, "a whole number")

    def _wrong_type(
        self, setter: str, argument: str, value: object, expected: str, hint: str = ""
    ) -> AuthoringTypeError:
        return AuthoringTypeError(
            f"Task {self.name!r}: .{setter}() expected {argument} to be {expected}, got {describe_value(value)}."
            f"{' ' if hint else ''}{hint}"
        )

    def _check_is_traced(self, setter: str) -> None:
        if self.state is TaskState.FINAL:
            raise AuthoringError(
                f"Task {self.name!r} has already run: .{setter}() must be called before. Call the component in a "
                "@dsl.pipeline function and set it there."
            )

    def _is_traced(self, setter: str) -> bool:
        """Return whether a setter still has an effect, and warn if not. KFP does not raise for such setters."""
        if self.state is TaskState.FINAL:
            warn_caller(f"Task {self.name!r} has already run: .{setter}() has no effect.")
        return self.state is TaskState.FUTURE
