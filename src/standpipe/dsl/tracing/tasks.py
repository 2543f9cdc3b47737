"""Tasks: components with arguments, in a pipeline that is being traced or after they have run."""

from __future__ import annotations

import enum
import re
import warnings
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, NamedTuple

from standpipe.dsl.tracing.channels import PipelineChannel, has_marks, output_channel
from standpipe.dsl.tracing.trace import TaskGroup
from standpipe.errors import (
    AuthoringAttributeError,
    AuthoringError,
    AuthoringTypeError,
    NoSuchOutput,
    StandpipeError,
    TaskFailed,
)
from standpipe.model.plan import Caching, Container, Resources, Retry, TriggerStrategy
from standpipe.model.types import Json
from standpipe.model.values import preview

if TYPE_CHECKING:
    from standpipe.dsl.components import BaseComponent

_DURATION = r"\s*(\d+)\s*([a-zA-Z]*)\s*"
_SECONDS = {
    **dict.fromkeys(("", "s", "sec", "secs", "second", "seconds"), 1),
    **dict.fromkeys(("m", "min", "mins", "minute", "minutes"), 60),
    **dict.fromkeys(("h", "hr", "hrs", "hour", "hours"), 3600),
    **dict.fromkeys(("d", "day", "days"), 86_400),
    **dict.fromkeys(("w", "wk", "wks", "week", "weeks"), 604_800),
}


class _Form(NamedTuple):
    """How a quantity is written, for programs and for people."""

    pattern: str
    description: str


_CPU = _Form(r"([0-9]*[.])?[0-9]+m?", "a number of cores, as in '2', '0.5' or '500m'")
_MEMORY = _Form(r"[0-9]+(E|Ei|P|Pi|T|Ti|G|Gi|M|Mi|K|Ki)?", "a whole number with a unit, as in '512Mi' or '2G'")
_COUNT = _Form(r"\d+", "a whole number, as in '2'")


class TaskState(enum.Enum):
    """Whether a task is still a plan, or has run."""

    FUTURE = "FUTURE"
    FINAL = "FINAL"


@dataclass
class Settings:
    """What an author has set on a task besides its arguments.

    `channels` are values that settings for a platform refer to; the platform gets them without the task's help.
    """

    display_name: str = ""
    after: list[PipelineTask | TaskGroup] = field(default_factory=list)
    channels: list[PipelineChannel] = field(default_factory=list)
    strategy: TriggerStrategy = TriggerStrategy.ALL_UPSTREAM_TASKS_SUCCEEDED
    caching: Caching = Caching()
    retry: Retry | None = None
    container: Container | None = None
    platforms: dict[str, Json] = field(default_factory=dict)


class Outputs(dict[str, Any]):
    """The outputs of a task, by name."""

    def __init__(self, task: str, outputs: Mapping[str, Any]) -> None:
        super().__init__(outputs)
        self._task = task

    def __missing__(self, name: str) -> Any:
        raise NoSuchOutput(f"Task {self._task!r} has no output {name!r}; it has: {', '.join(self) or 'none'}.")


class PipelineTask:
    """A component with arguments. Made by calling the component, never directly.

    While a pipeline is traced, `.output` and `.outputs` are channels to be passed to other tasks, and the setters
    say how the task shall run. After a component or pipeline was run here, they are its values: parameters as Python
    values, artifacts as objects of `dsl.Artifact`'s subclasses, whose `.path` can be read.
    """

    def __init__(self, component: BaseComponent, name: str, inputs: Mapping[str, Any], settings: Settings) -> None:
        self.component = component
        self.name = name
        self.inputs = dict(inputs)
        self.state = TaskState.FUTURE
        self.error: StandpipeError | None = None
        self.group: TaskGroup | None = None
        self.is_exit_task = False
        self._settings = settings
        self._outputs = Outputs(
            name, {output: output_channel(output, spec, self) for output, spec in component.outputs.items()}
        )

    def finish(self, outputs: Mapping[str, Any], error: StandpipeError | None = None) -> PipelineTask:
        """Turns the task into one that has run, with these outputs; `error` says why it failed."""
        self.state = TaskState.FINAL
        self._outputs = Outputs(self.name, outputs)
        self.error = error
        return self

    @property
    def succeeded(self) -> bool:
        """Whether the task has run, and well."""
        return self.state is TaskState.FINAL and self.error is None

    @property
    def outputs(self) -> Mapping[str, Any]:
        """The outputs by name: channels while a pipeline is traced, values once it has run (none if it failed)."""
        return self._outputs

    @property
    def output(self) -> Any:
        """The only output.

        Raises:
            AuthoringAttributeError: if the component has no output, or several.
            TaskFailed: if the task failed.
        """
        if self.error is not None:
            raise TaskFailed(f"Task {self.name!r} failed, so it has no output. {self.error}") from self.error
        if len(self._outputs) != 1:
            names = ", ".join(self._outputs) or "none"
            raise AuthoringAttributeError(
                f"Task {self.name!r} does not have exactly one output (it has: {names}). Use .outputs['name']."
            )
        return next(iter(self._outputs.values()))

    def __repr__(self) -> str:
        state = "traced" if self.state is TaskState.FUTURE else "succeeded" if self.succeeded else "failed"
        return f"<PipelineTask {self.name!r}: {state}>"

    # --- order --------------------------------------------------------------------------------------------------------

    def after(self, *tasks: PipelineTask | TaskGroup) -> PipelineTask:
        """Makes this task start only after the others have ended, although it takes nothing from them.

        Args:
            *tasks: tasks, and `dsl.ExitHandler` groups.

        Raises:
            AuthoringError: if one of them is neither.
        """
        self._must_be_traced("after")
        for task in tasks:
            if not isinstance(task, PipelineTask) and not (isinstance(task, TaskGroup) and task.is_awaitable):
                raise AuthoringError(
                    f"Task {self.name!r}: .after() takes tasks and dsl.ExitHandler groups, one by one, and {task!r} is "
                    f"of type {type(task).__name__}."
                )
            self._settings.after.append(task)
        return self

    def ignore_upstream_failure(self) -> PipelineTask:
        """Makes this task start once its upstream tasks have ended, however they ended.

        Raises:
            AuthoringError: if an input that comes from another task has no default to fall back to.
        """
        self._must_be_traced("ignore_upstream_failure")
        for name, value in self.inputs.items():
            if isinstance(value, PipelineChannel) and value.task and not self.component.inputs[name].optional:
                raise AuthoringError(
                    f"Task {self.name!r} cannot ignore upstream failure: its input {name!r} comes from task "
                    f"{value.task.name!r}, which may not produce it, and has no default value."
                )
        self._settings.strategy = TriggerStrategy.ALL_UPSTREAM_TASKS_COMPLETED
        return self

    # --- how it runs --------------------------------------------------------------------------------------------------

    def set_caching_options(self, enable_caching: bool, cache_key: str | None = None) -> PipelineTask:
        """Says whether the outputs may come from an earlier run, and adds a key of the author's own.

        Raises:
            AuthoringTypeError: if `enable_caching` is no bool, or the key no text.
        """
        self._must_be_traced("set_caching_options")
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
        """Says how often the task is tried again when it fails.

        Args:
            num_retries: how many times at most.
            backoff_duration: how long to wait before the first retry, as `'60s'`, `'2m'`, `'1h'`; `'0s'` by default.
            backoff_factor: what each further wait is multiplied with; 2 by default.
            backoff_max_duration: no attempt begins later than that after the first one did; `'3600s'` by default.

        Raises:
            AuthoringTypeError: if `num_retries` is no whole number.
            AuthoringError: if a duration is none.
        """
        self._must_be_traced("set_retry")
        self._settings.retry = Retry(
            max_retries=self._whole_number("set_retry", "num_retries", num_retries or 0),
            backoff_duration=_seconds(backoff_duration or "0s"),
            backoff_factor=float(backoff_factor or 2.0),
            backoff_max_duration=_seconds(backoff_max_duration or "3600s"),
        )
        return self

    def set_display_name(self, name: str | None) -> PipelineTask:
        """Sets the name under which the task is shown.

        Raises:
            AuthoringTypeError: if it is no text, or holds a value that is known only when the pipeline runs.
        """
        if self._is_traced("set_display_name"):
            self._check_text("set_display_name", "name", name or "")
            self._settings.display_name = name if name and name != self.name else ""
        return self

    def set_env_variable(self, name: str, value: str) -> PipelineTask:
        """Sets an environment variable of the task's process.

        Raises:
            AuthoringTypeError: if its name or value is no text, or holds a value that is known only when the pipeline
                runs.
        """
        self._must_be_traced("set_env_variable")
        self._check_text("set_env_variable", "name", name)
        self._check_text("set_env_variable", "value", value)
        container = self._container("set_env_variable")
        self._settings.container = replace(container, env={**container.env, name: value})
        return self

    def set_container_image(self, name: str | PipelineChannel) -> PipelineTask:
        """Sets the image to run in, in place of the component's; it may be a value that another task gives.

        Raises:
            AuthoringTypeError: if it is neither text nor such a value.
        """
        self._must_be_traced("set_container_image")
        if not isinstance(name, (str, PipelineChannel)):
            raise self._wrong_type("set_container_image", "name", name, "the name of an image")
        self._settings.container = replace(self._container("set_container_image"), image=str(name))
        return self

    def set_debug_pause(self, before: bool = False, after: bool = True, on_error: bool = False) -> PipelineTask:
        """Asks the cluster to keep the task's pod for a debugger, before it starts or after it has ended.

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
        """Sets how much CPU the task needs at least, in cores: `'2'`, `'0.5'`, or `'500m'`."""
        return self._set_resource("set_cpu_request", "cpu_request", cpu, _CPU)

    def set_cpu_limit(self, cpu: str | PipelineChannel) -> PipelineTask:
        """Sets how much CPU the task may use at most, in cores: `'2'`, `'0.5'`, or `'500m'`."""
        return self._set_resource("set_cpu_limit", "cpu_limit", cpu, _CPU)

    def set_memory_request(self, memory: str | PipelineChannel) -> PipelineTask:
        """Sets how much memory the task needs at least: bytes, or a number with a unit such as `'512Mi'` or `'2G'`."""
        return self._set_resource("set_memory_request", "memory_request", memory, _MEMORY)

    def set_memory_limit(self, memory: str | PipelineChannel) -> PipelineTask:
        """Sets how much memory the task may use at most: bytes, or a number with a unit such as `'512Mi'` or `'2G'`."""
        return self._set_resource("set_memory_limit", "memory_limit", memory, _MEMORY)

    def set_accelerator_type(self, accelerator: str | PipelineChannel) -> PipelineTask:
        """Sets the kind of accelerator that the task needs, such as `'nvidia.com/gpu'`; one of them by default."""
        self._set_resource("set_accelerator_type", "accelerator_type", accelerator)
        if self.state is TaskState.FUTURE and not self._resources.accelerator_count:
            self._set_resource("set_accelerator_type", "accelerator_count", "1")
        return self

    def set_accelerator_limit(self, limit: int | str | PipelineChannel) -> PipelineTask:
        """Sets how many accelerators the task may use; their kind is set with `set_accelerator_type`."""
        return self._set_resource("set_accelerator_limit", "accelerator_count", limit, _COUNT)

    def set_gpu_limit(self, gpu: str) -> PipelineTask:
        """The older name of `set_accelerator_limit`."""
        warnings.warn("'set_gpu_limit' is deprecated: use 'set_accelerator_limit'.", DeprecationWarning, stacklevel=2)
        return self.set_accelerator_limit(gpu)

    def add_node_selector_constraint(self, accelerator: str) -> PipelineTask:
        """The older name of `set_accelerator_type`."""
        warnings.warn(
            "'add_node_selector_constraint' is deprecated: use 'set_accelerator_type'.",
            DeprecationWarning,
            stacklevel=2,
        )
        return self.set_accelerator_type(accelerator)

    # --- for extensions of KFP, such as kfp-kubernetes ----------------------------------------------------------------

    @property
    def dependent_tasks(self) -> list[str]:
        """The names of the tasks that `.after()` named."""
        self._must_be_traced("dependent_tasks")
        return [task.name for task in self._settings.after]

    def register_pipeline_channels(self, pipeline_channels: Iterable[PipelineChannel]) -> None:
        """Says which values the task's settings for a platform refer to."""
        self._must_be_traced("register_pipeline_channels")
        self._settings.channels.extend(pipeline_channels)

    # --- within -------------------------------------------------------------------------------------------------------

    @property
    def platform_config(self) -> dict[str, Json]:
        """Settings for one platform, as extensions of KFP write them: `{'kubernetes': {...}}`."""
        return self._settings.platforms

    @property
    def settings(self) -> Settings:
        """What was set; the Plan is made from it."""
        return self._settings

    @property
    def _resources(self) -> Resources:
        return self._container("resources").resources

    def _set_resource(
        self, setter: str, name: str, value: int | str | PipelineChannel, form: _Form | None = None
    ) -> PipelineTask:
        if not self._is_traced(setter):
            return self
        text = str(value)
        if form and not isinstance(value, PipelineChannel) and not re.fullmatch(form.pattern, text):
            raise AuthoringError(
                f"Task {self.name!r}: .{setter}() got {text!r}, and {form.description}, is wanted. An output of a task "
                "or an input of the pipeline can be passed as well, by itself and not inside of text."
            )
        container = self._container(setter)
        resources = replace(container.resources, **{name: text})
        self._settings.container = replace(container, resources=resources)
        return self

    def _container(self, setter: str) -> Container:
        if self._settings.container is None:
            raise AuthoringError(
                f"Task {self.name!r}: {setter} is for components that run in a container, and this one is a pipeline "
                "or an importer."
            )
        return self._settings.container

    def _check_text(self, setter: str, argument: str, value: object) -> None:
        if not isinstance(value, str):
            raise self._wrong_type(setter, argument, value, "text")
        if has_marks(value):
            raise self._wrong_type(setter, argument, value, "text that is known while the pipeline is traced")

    def _whole_number(self, setter: str, argument: str, value: Any) -> int:
        try:
            if int(value) == float(value):
                return int(value)
        except (TypeError, ValueError, OverflowError):
            pass
        raise self._wrong_type(setter, argument, value, "a whole number")

    def _wrong_type(self, setter: str, argument: str, value: object, wanted: str) -> AuthoringTypeError:
        return AuthoringTypeError(
            f"Task {self.name!r}: .{setter}() got {argument}={preview(value)}, and {wanted} is wanted."
        )

    def _must_be_traced(self, setter: str) -> None:
        if self.state is TaskState.FINAL:
            raise AuthoringError(
                f"Task {self.name!r} has already run, so .{setter}() comes too late. "
                "Call the component within a @dsl.pipeline function and set it there."
            )

    def _is_traced(self, setter: str) -> bool:
        """Whether a setter can still act; KFP only warns of those that would not change what the task does."""
        if self.state is TaskState.FINAL:
            warnings.warn(f"Task {self.name!r} has already run, so .{setter}() does nothing.", stacklevel=3)
        return self.state is TaskState.FUTURE


def _seconds(duration: str) -> float:
    """`'90'`, `'60s'`, `'2 minutes'`, `'1h'` in seconds.

    Raises:
        AuthoringError: if the text is not a whole number with a unit.
    """
    match = re.fullmatch(_DURATION, str(duration))
    if not match or match[2].lower() not in _SECONDS:
        raise AuthoringError(f"{duration!r} is no duration: write a whole number and s, m, h, d or w, as in '60s'.")
    return float(int(match[1]) * _SECONDS[match[2].lower()])
