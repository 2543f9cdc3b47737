"""KFP's executor contract: a function's arguments come from an executor input, its results go to an executor output.

The messages are `ExecutorInput` and `ExecutorOutput` of pipeline_spec.proto, as JSON. The rules are those of the KFP
SDK's executor (`kfp/dsl/executor.py`). What that accepts and a cluster rejects later is rejected here, where the name
of the output is known.
"""

from __future__ import annotations

import json
import os
from typing import Any, Callable, Dict, List, Mapping, Optional, Tuple

from . import annotations as ann
from . import artifacts
from .artifacts import Artifact
from .json_values import check_json, describe_type
from .large_json import write_json
from .status import PipelineTaskFinalStatus, TaskConfig, final_status, task_config

#: KFP's name for the output of a function that returns a single value.
SINGLE_OUTPUT = "Output"

#: The roles in TensorFlow's CLUSTER_SPEC whose replica writes the outputs; the others write none.
_CHIEF_ROLES = ("workerpool0", "chief", "master")


class Executor:
    """One call of a component's function.

    Args:
        executor_input: the ExecutorInput, as JSON.
        function: the component's function.
    """

    def __init__(self, executor_input: Mapping[str, Any], function: Callable[..., Any]) -> None:
        inputs, outputs = executor_input.get("inputs", {}), executor_input.get("outputs", {})
        self.function = function
        self.annotations = {name: ann.strip_optional(a) for name, a in ann.annotations_of(function).items()}
        self.parameters: Mapping[str, Any] = inputs.get("parameterValues", {})
        self.parameter_files = {name: p["outputFile"] for name, p in outputs.get("parameters", {}).items()}
        self.output_file: str = outputs["outputFile"]
        self.inputs = self._artifacts(inputs)
        self.output_artifacts = {name: listed[0] for name, listed in self._artifacts(outputs).items() if listed}
        self.values: Dict[str, Any] = {}

    def execute(self) -> None:
        """Call the function, and write its results: payloads and the executor output."""
        artifacts.CONTAINER_TASK_ROOT = os.path.dirname(self.output_file)
        paths = (
            self.output_file,
            *self.parameter_files.values(),
            *(a.path for a in self.output_artifacts.values()),
        )
        for folder in dict.fromkeys(map(os.path.dirname, paths)):
            if not os.path.isdir(folder):  # mostly it exists, which `makedirs` finds out by an exception
                os.makedirs(folder, exist_ok=True)
        returned = self.function(**self.arguments())
        if _is_chief():
            self._store_returned(returned)
            self._write()

    def arguments(self) -> Dict[str, Any]:
        """Return the function's arguments, by name, without those that have no value but a default."""
        # `inspect.signature` returns the same, but takes a tenth of the whole time of a small task.
        function = getattr(self.function, "__wrapped__", self.function)  # as `models.adapt` returns it
        code = function.__code__
        names = code.co_varnames[: code.co_argcount + code.co_kwonlyargcount]
        required = code.co_argcount - len(function.__defaults__ or ())
        optional = {*names[required : code.co_argcount], *(function.__kwdefaults__ or ())}
        values = {name: self._argument(name) for name in names}
        return {name: value for name, value in values.items() if value is not None or name not in optional}

    def _artifacts(self, side: Mapping[str, Any]) -> Dict[str, List[Artifact]]:
        return {
            name: [artifacts.create(ann.artifact_class(self.annotations.get(name)), one) for one in entry["artifacts"]]
            for name, entry in side.get("artifacts", {}).items()
        }

    def _argument(self, name: str) -> Any:
        annotation = self.annotations.get(name)
        if annotation is PipelineTaskFinalStatus or annotation == PipelineTaskFinalStatus.__name__:
            return final_status(self.parameters.get(name))
        if annotation is TaskConfig or annotation == TaskConfig.__name__:
            return task_config(self.parameters.get(name))
        if isinstance(annotation, ann.OutputPath):
            return self.parameter_files[name] if name in self.parameter_files else self._output(name).path
        if isinstance(annotation, ann.InputPath):
            return self._input_path(name)
        if ann.is_output(annotation):
            return self._output(name)
        if ann.is_embedded(annotation):
            return self._embedded(annotation)
        if ann.is_artifact_list(annotation):
            return self.inputs.get(name)
        if self.inputs.get(name):
            return self.inputs[name][0]
        return _whole_number(self.parameters.get(name), annotation)

    def _output(self, name: str) -> Artifact:
        if name not in self.output_artifacts:
            raise ValueError(f"{self._who} has the output {name!r}, but the executor input has no path for it")
        return self.output_artifacts[name]

    def _input_path(self, name: str) -> Optional[str]:
        if name in self.parameters:
            raise TypeError(
                f"{self._who} annotates its input {name!r} as a path, but it is a parameter: paths are for artifacts. "
                "Annotate it with the parameter's type, such as str."
            )
        return self.inputs[name][0].path if self.inputs.get(name) else None

    def _embedded(self, annotation: Any) -> Artifact:
        # Set by the part of the program that unpacks embedded files; the names are KFP's.
        module = self.function.__globals__
        path = module.get("__KFP_EMBEDDED_ASSET_FILE") or module.get("__KFP_EMBEDDED_ASSET_DIR")
        if not path:
            raise RuntimeError("EmbeddedInput was specified but no embedded asset was found at runtime.")
        artifact = (ann.artifact_class(annotation) or Artifact)()
        artifact.path = path
        return artifact

    @property
    def _who(self) -> str:
        return f"the function {self.function.__name__!r}"

    def _store_returned(self, returned: Any) -> None:
        declared = self.annotations.get("return", type(None))
        if declared is type(None) or declared is None:
            if returned is not None:
                raise TypeError(
                    f"{self._who} returned {describe_type(returned)}, but declares no output: "
                    f"annotate it with `-> {type(returned).__name__}`, or return nothing"
                )
        elif ann.is_named_tuple(declared):
            for name, annotation, value in self._fields(declared, returned):
                self._store(name, annotation, value)
        else:
            self._store(SINGLE_OUTPUT, declared, returned)

    def _fields(self, declared: Any, returned: Any) -> List[Tuple[str, Any, Any]]:
        """Return names, annotations and values of the fields of a NamedTuple, by position or by name."""
        hints = ann.annotations_of(declared)
        names = list(hints)
        expected = f"the outputs {', '.join(names)}"
        if not isinstance(returned, tuple):
            raise TypeError(f"{self._who} returned {describe_type(returned)}: expected a tuple of {expected}")
        if len(returned) != len(names):
            raise ValueError(f"{self._who} returned {len(returned)} values: expected {expected}")
        by_name = dict(zip(getattr(returned, "_fields", names), returned))
        missing = [name for name in names if name not in by_name]
        if missing:
            raise ValueError(f"{self._who} returned no {missing[0]!r}: expected {expected}")
        return [(name, ann.strip_optional(hints[name]), by_name[name]) for name in names]

    def _store(self, name: str, annotation: Any, value: Any) -> None:
        expected = ann.parameter_type(annotation)
        if expected is not None:
            self.values[name] = self._convert(name, value, expected)
        elif not ann.is_artifact_class(annotation):
            raise TypeError(
                f"{self._who} declares its output {name!r} as {annotation!r}, which is neither an artifact class nor "
                "one of str, int, float, bool, list and dict"
            )
        elif isinstance(value, Artifact):
            self.output_artifacts[name] = value
        elif value is not None:
            with open(self._output(name).path, "w", encoding="utf-8") as file:
                file.write(str(value))

    def _convert(self, name: str, value: Any, expected: Any) -> Any:
        """Return the value of an output parameter, without subclasses of int and float."""
        if not isinstance(value, (int, float) if expected is float else expected):
            raise TypeError(
                f"{self._who} returned {describe_type(value)} for its output {name!r}: expected {expected.__name__}"
            )
        check_json(value, f"the output {name!r} of {self._who}")
        return expected(value) if expected in (int, float) else value

    def _write(self) -> None:
        output: Dict[str, Any] = {"parameterValues": self.values} if self.values else {}
        if self.output_artifacts:
            output["artifacts"] = {
                name: {"artifacts": [_runtime(name, a)]} for name, a in self.output_artifacts.items()
            }
        with open(self.output_file, "wb") as file:
            write_json(file, output)


def _runtime(name: str, artifact: Artifact) -> Dict[str, Any]:
    check_json(artifact.metadata, f"the metadata of the output artifact {name!r}")
    entry = {"name": artifact.name, "uri": artifact.uri, "metadata": artifact.metadata}
    return {**entry, "custom_path": artifact.custom_path} if artifact.custom_path else entry


def _whole_number(value: Any, annotation: Any) -> Any:
    """Convert `3.0` to an integer if the annotation is int: protobuf's `Value` holds numbers as floats."""
    is_whole = isinstance(value, float) and value.is_integer() and ann.parameter_type(annotation) is int
    return int(value) if is_whole else value


def _is_chief() -> bool:
    cluster = os.environ.get("CLUSTER_SPEC")
    return not cluster or json.loads(cluster)["task"]["type"] in _CHIEF_ROLES
