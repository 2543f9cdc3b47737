"""The settings of a task for Kubernetes, as a function adds to them: KubernetesExecutorConfig in protobuf's JSON.

As in the JSON that kfp-kubernetes 2.17.3 writes, a field that is empty is left out, unless protobuf knows whether it
was set; and a whole number of 64 bits is text.
"""

from __future__ import annotations

import json
import operator
import re
from collections.abc import Callable, Mapping

from standpipe.dsl.kubernetes.arguments import Arguments
from standpipe.dsl.tracing.channels import (
    OneOfChannel,
    PipelineChannel,
    PipelineParameterChannel,
    describe_type,
    describe_value,
)
from standpipe.dsl.tracing.tasks import PipelineTask
from standpipe.model.json_values import check_json
from standpipe.model.types import Json
from standpipe.model.values import ValueMismatch

#: The fields that are kept if they are empty.
_WITH_PRESENCE = {"medium", "optional", "run_as_non_root", "size_limit"}


class KubernetesSettings(Arguments):
    """The settings of a task for Kubernetes, in a call of a function that adds to them.

    Args:
        task: the task.
        function: the name of the function, for messages.
    """

    def __init__(self, task: PipelineTask, function: str) -> None:
        super().__init__(f"Task {task.name!r}, kubernetes.{function}()")
        self._task = task

    # --- change the settings ------------------------------------------------------------------------------------------

    @property
    def _config(self) -> dict[str, Json]:
        config: dict[str, Json] = self._task.platform_config.get("kubernetes", {})
        return config

    def get(self, field: str) -> Json:
        """Return a field; None if it is not set."""
        return self._config.get(field)

    def set(self, field: str, value: Json) -> PipelineTask:
        """Set a field, or unset it if the value is empty, and return the task."""
        config = {name: item for name, item in {**self._config, field: value}.items() if name != field or value}
        self._task.platform_config = {**self._task.platform_config, "kubernetes": config}
        return self._task

    def append(self, field: str, *entries: Json) -> PipelineTask:
        """Append to a field that is a list, and return the task."""
        return self.set(field, [*(self.get(field) or ()), *entries])

    def update(self, field: str, changes: Mapping[str, Json]) -> PipelineTask:
        """Update a field that is a mapping, and return the task."""
        return self.set(field, {**(self.get(field) or {}), **changes})

    def add_pair(self, field: str, part: str, key: str, value: str) -> PipelineTask:
        """Add a pair to a part of a field, both of which are mappings, and return the task."""
        pairs = (self.get(field) or {}).get(part, {})
        return self.update(field, {part: {**pairs, self.check_text("the key", key): self.check_text(key, value)}})

    # --- arguments as JSON --------------------------------------------------------------------------------------------

    def fields(self, **arguments: Json) -> dict[str, Json]:
        """Return arguments as fields. The name of a field is that of the argument, in camelCase.

        Raises:
            AuthoringTypeError: if an argument has another type than the field.
            AuthoringError: if a number does not fit the field.
        """
        fields = {}
        for argument, value in arguments.items():
            if value is not None:
                field = _CHECKS.get(argument, KubernetesSettings.check_text)(self, argument, value)
                if field or argument in _WITH_PRESENCE:
                    fields[re.sub("_(.)", lambda match: match[1].upper(), argument)] = field
        return fields

    def reference(
        self, argument: str, value: Json | PipelineParameterChannel, kinds: tuple[type, ...] = (str,)
    ) -> Json:
        """Return the source of a value: a constant, an input of the pipeline or an output of a task.

        Raises:
            AuthoringError: if it is a constant of another type than `kinds`, or not JSON; or an artifact or a
                `dsl.OneOf`, which settings cannot refer to.
        """
        if isinstance(value, kinds):
            try:
                check_json(value, argument)
            except ValueMismatch as error:
                raise self.error(str(error)) from error
            # a copy, since the author may change a dict between two calls
            return {"runtimeValue": {"constant": json.loads(json.dumps(value))}}
        if not isinstance(value, PipelineParameterChannel) or isinstance(value, OneOfChannel):
            expected = ", ".join((*(f"a {kind.__name__}" for kind in kinds), "an input of the pipeline"))
            declared = f" of type {describe_type(value)}" if isinstance(value, PipelineChannel) else ""
            raise self.error(
                f"expected {argument} to be {expected} or an output of a task that is a parameter, got "
                f"{describe_value(value)}{declared}"
            )
        self._task.register_pipeline_channels([value])
        if value.task is None:
            return {"componentInputParameter": value.full_name}
        self._task.after(value.task)
        return {"taskOutputParameter": {"producerTask": value.task_name, "outputParameterKey": value.name}}

    def check_flag(self, argument: str, value: object) -> bool:
        """Return a boolean. As in protobuf, it may be a number.

        Raises:
            AuthoringTypeError: if it is something else.
        """
        if not isinstance(value, int):
            raise self.type_error(argument, "True or False", value)
        return bool(value)

    def check_number(self, argument: str, value: object, lowest: int | None = None, highest: int = 2**63 - 1) -> int:
        """Return a whole number.

        Raises:
            AuthoringTypeError: if it is something else.
            AuthoringError: if it is lower than `lowest` or higher than `highest`.
        """
        try:
            number = operator.index(value)  # type: ignore[arg-type]  # it raises for other types
        except TypeError:
            raise self.type_error(argument, "a whole number", value) from None
        lowest = -highest - 1 if lowest is None else lowest
        if not lowest <= number <= highest:
            raise self.error(f"expected {argument} to be a whole number from {lowest} to {highest}, got {number}")
        return number

    def check_long_number(self, argument: str, value: object) -> str:
        """Return a whole number of 64 bits as text; it raises what `check_number` raises."""
        return str(self.check_number(argument, value))


#: How arguments are checked and written that are not a text.
_CHECKS: Mapping[str, Callable[[KubernetesSettings, str, Json], Json]] = {
    **dict.fromkeys(("access_modes", "values"), KubernetesSettings.check_list),
    **dict.fromkeys(("annotations", "labels"), KubernetesSettings.check_texts),
    **dict.fromkeys(("default_storage_class", "optional", "run_as_non_root"), KubernetesSettings.check_flag),
    **dict.fromkeys(("run_as_user", "run_as_group", "toleration_seconds"), KubernetesSettings.check_long_number),
}
