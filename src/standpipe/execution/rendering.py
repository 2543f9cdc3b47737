"""Placeholders of commands replaced by their values, as the KFP launcher does just before a container starts."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping

from standpipe.model.cluster_differences import SP106, SP108, SP118, SP119, decides
from standpipe.model.templates import (
    Argument,
    ArtifactField,
    Concat,
    ExecutorInputText,
    IfPresent,
    InputParameter,
    JobField,
    JsonEscape,
    OutputFile,
    OutputParameterFile,
    Placeholder,
    Template,
)
from standpipe.model.types import Json
from standpipe.model.values import to_text
from standpipe.worker.artifacts import local_path


class Renderer:
    """Renders texts and arguments for one attempt.

    Args:
        executor_input: KFP's ExecutorInput for the attempt.
        field: returns the values of the placeholders about the run and the task.
    """

    def __init__(self, executor_input: Mapping[str, Json], field: Callable[[str], str]) -> None:
        self._executor_input = executor_input
        self._field = field
        self._parameters = executor_input["inputs"]["parameterValues"]

    @decides(SP106, SP119)
    def render(self, text: str | Template) -> str:
        """Return a text with its placeholders replaced. Their values are data: placeholders in them stay."""
        if isinstance(text, str):
            return text
        return "".join(part if isinstance(part, str) else self._render_placeholder(part) for part in text.parts)

    @decides(SP108)
    def render_arguments(self, arguments: Iterable[Argument]) -> tuple[str, ...]:
        """Return the arguments of a command; an `IfPresent` may become none or several."""
        return tuple(text for argument in arguments for text in self._render_argument(argument))

    def _render_argument(self, argument: Argument) -> tuple[str, ...]:
        if isinstance(argument, IfPresent):
            branch = argument.then if self._is_present(argument.input) else argument.otherwise
            if branch is None:
                return ()
            return self.render_arguments(branch if isinstance(branch, tuple) else (branch,))
        if isinstance(argument, Concat):
            return ("".join(self.render_arguments(argument.items)),)
        return (self.render(argument),)

    def _is_present(self, name: str) -> bool:
        return name in self._parameters or name in self._executor_input["inputs"]["artifacts"]

    def _render_placeholder(self, placeholder: Placeholder) -> str:
        if isinstance(placeholder, JobField):
            return self._field(placeholder.name)
        if isinstance(placeholder, ExecutorInputText):
            return json.dumps(self._executor_input, ensure_ascii=False)
        if isinstance(placeholder, InputParameter):
            return to_text(self._parameters.get(placeholder.name))
        if isinstance(placeholder, ArtifactField):
            return self._render_artifact_field(placeholder)
        if isinstance(placeholder, OutputParameterFile):
            parameter = self._executor_input["outputs"]["parameters"].get(placeholder.name)
            return parameter["outputFile"] if parameter else str(placeholder)
        if isinstance(placeholder, OutputFile):
            return str(self._executor_input["outputs"]["outputFile"])
        assert isinstance(placeholder, JsonEscape)
        text = self._render_placeholder(placeholder.inner)
        for _ in range(placeholder.times):
            text = json.dumps(text, ensure_ascii=False)[1:-1]
        return text

    @decides(SP118)
    def _render_artifact_field(self, placeholder: ArtifactField) -> str:
        artifacts = self._executor_input[placeholder.side]["artifacts"].get(placeholder.name)
        if artifacts is None:
            return ""  # an optional artifact that nobody passed
        if not placeholder.field:
            return json.dumps(artifacts["artifacts"], ensure_ascii=False)
        artifact = artifacts["artifacts"][0]
        if placeholder.field == "path":
            return artifact.get("customPath") or local_path(artifact["uri"])
        if placeholder.field == "uri":
            return str(artifact["uri"])
        return to_text(artifact["metadata"].get(placeholder.key) if placeholder.key else artifact["metadata"])
