"""KFP's executor contract: an executor input gives a function's arguments, what it returns an executor output.

The messages are `ExecutorInput` and `ExecutorOutput` of pipeline_spec.proto, as JSON. The rules are those of the KFP
SDK's executor (`kfp/dsl/executor.py`); where that lets something pass that the cluster refuses later, it is refused
here, where the name of the output is known.
"""

from __future__ import annotations

import json
import math
import os
from typing import Any, Callable, Dict, List, Mapping, Optional, Tuple

from . import annotations as ann
from . import artifacts
from .artifacts import Artifact, is_remote
from .status import PipelineTaskFinalStatus, TaskConfig, final_status, task_config

#: What KFP calls the output of a function that returns a single value.
SINGLE_OUTPUT = "Output"

#: The roles in TensorFlow's CLUSTER_SPEC whose replica writes the outputs, so that several do not write one file.
_CHIEF_ROLES = ("workerpool0", "chief", "master")


class Executor:
    """One call of a component's function."""

    def __init__(self, executor_input: Mapping[str, Any], function: Callable[..., Any]) -> None:
        inputs, outputs = executor_input.get("inputs", {}), executor_input.get("outputs", {})
        self.function = function
        self.annotations = {name: ann.strip_optional(a) for name, a in ann.annotations_of(function).items()}
        self.parameters: Mapping[str, Any] = inputs.get("parameterValues", {})
        self.parameter_files = {name: p["outputFile"] for name, p in outputs.get("parameters", {}).items()}
        self.output_file: str = outputs["outputFile"]
        self.inputs = self._artifacts(inputs)
        self.outputs = {name: found[0] for name, found in self._artifacts(outputs).items() if found}
        self.values: Dict[str, Any] = {}

    def execute(self) -> None:
        """Calls the function and writes what it gave, both payloads and the executor output."""
        artifacts.CONTAINER_TASK_ROOT = os.path.dirname(self.output_file)
        for path in (self.output_file, *self.parameter_files.values(), *(a.path for a in self.outputs.values())):
            os.makedirs(os.path.dirname(path), exist_ok=True)
        returned = self.function(**self.arguments())
        if _is_chief():
            self._take_returned(returned)
            self._write()

    def arguments(self) -> Dict[str, Any]:
        """The arguments of the function, by name. Those that nobody gave and that have a default are left out."""
        # `inspect.signature` says the same, and takes a tenth of all the time that a small task takes.
        code = self.function.__code__
        names = code.co_varnames[: code.co_argcount + code.co_kwonlyargcount]
        required = code.co_argcount - len(self.function.__defaults__ or ())
        optional = {*names[required : code.co_argcount], *(self.function.__kwdefaults__ or ())}
        values = {name: self._argument(name) for name in names}
        return {name: value for name, value in values.items() if value is not None or name not in optional}

    def _artifacts(self, side: Mapping[str, Any]) -> Dict[str, List[Artifact]]:
        return {
            name: [artifacts.create(ann.artifact_class(self.annotations.get(name)), one) for one in told["artifacts"]]
            for name, told in side.get("artifacts", {}).items()
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
        if name not in self.outputs:
            raise ValueError(f"{self._who} has the output {name!r}, and the executor input has no place for it")
        return self.outputs[name]

    def _input_path(self, name: str) -> Optional[str]:
        if name in self.parameters:
            raise TypeError(
                f"{self._who} wants a path for its input {name!r}, which is a parameter: paths are for artifacts. "
                "Annotate it with the parameter's type, such as str."
            )
        return self.inputs[name][0].path if self.inputs.get(name) else None

    def _embedded(self, annotation: Any) -> Artifact:
        # Set by the part of the program that unpacks what is embedded; the names are KFP's.
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

    def _take_returned(self, returned: Any) -> None:
        declared = self.annotations.get("return", type(None))
        if declared is type(None) or declared is None:
            if returned is not None:
                raise TypeError(
                    f"{self._who} returned {_a(returned)} and declares no output: "
                    f"annotate it with `-> {type(returned).__name__}`, or return nothing"
                )
        elif ann.is_named_tuple(declared):
            for name, annotation, value in self._fields(declared, returned):
                self._take(name, annotation, value)
        else:
            self._take(SINGLE_OUTPUT, declared, returned)

    def _fields(self, declared: Any, returned: Any) -> List[Tuple[str, Any, Any]]:
        """Name, annotation and value of each field of a NamedTuple: by position in plain tuples, else by name."""
        hints = ann.annotations_of(declared)
        names = list(hints)
        wanted = f"the outputs {', '.join(names)} are wanted"
        if not isinstance(returned, tuple):
            raise TypeError(f"{self._who} returned {_a(returned)}, and a tuple of {wanted}")
        if len(returned) != len(names):
            raise ValueError(f"{self._who} returned {len(returned)} values, and {wanted}")
        by_name = dict(zip(getattr(returned, "_fields", names), returned))
        missing = [name for name in names if name not in by_name]
        if missing:
            raise ValueError(f"{self._who} returned no {missing[0]!r}, and {wanted}")
        return [(name, ann.strip_optional(hints[name]), by_name[name]) for name in names]

    def _take(self, name: str, annotation: Any, value: Any) -> None:
        wanted = ann.parameter_type(annotation)
        if wanted is not None:
            self.values[name] = self._fit(name, value, wanted)
        elif not ann.is_artifact_class(annotation):
            raise TypeError(
                f"{self._who} declares its output {name!r} as {annotation!r}, which is neither an artifact class nor "
                "one of str, int, float, bool, list and dict"
            )
        elif isinstance(value, Artifact):
            self.outputs[name] = value
        elif value is not None:
            with open(self._output(name).path, "w", encoding="utf-8") as file:
                file.write(str(value))

    def _fit(self, name: str, value: Any, wanted: Any) -> Any:
        """The value of an output parameter as the cluster is told it, which knows no subclasses of int and float."""
        if not isinstance(value, (int, float) if wanted is float else wanted):
            raise TypeError(
                f"{self._who} returned {_a(value)} for its output {name!r}, and {wanted.__name__} is wanted"
            )
        check_json(value, f"the output {name!r} of {self._who}")
        return wanted(value) if wanted in (int, float) else value

    def _write(self) -> None:
        told: Dict[str, Any] = {"parameterValues": self.values} if self.values else {}
        for artifact in self.outputs.values():
            _put_in_place(artifact)
        if self.outputs:
            told["artifacts"] = {name: {"artifacts": [_runtime(name, a)]} for name, a in self.outputs.items()}
        with open(self.output_file, "w", encoding="utf-8") as file:
            file.write(json.dumps(told))


def check_json(value: Any, what: str, path: str = "") -> None:
    """Raises TypeError or ValueError, naming the part, unless `value` can be written as JSON and read back the same."""
    part = f"{what}, at {path}," if path else what
    if isinstance(value, float):
        if not math.isfinite(value):
            raise ValueError(f"{part} is {value}, and JSON has no such number")
    elif isinstance(value, (list, tuple)):
        for index, item in enumerate(value):
            check_json(item, what, f"{path}[{index}]")
    elif isinstance(value, dict):
        for key, item in value.items():
            if not isinstance(key, str):
                raise TypeError(f"{part} has the key {key!r}, and the keys of a JSON object are text")
            check_json(item, what, f"{path}[{key!r}]")
    elif value is not None and not isinstance(value, (str, int)):
        raise TypeError(f"{part} is {_a(value)}, which JSON cannot hold")


def _runtime(name: str, artifact: Artifact) -> Dict[str, Any]:
    check_json(artifact.metadata, f"the metadata of the output artifact {name!r}")
    told = {"name": artifact.name, "uri": artifact.uri, "metadata": artifact.metadata}
    return {**told, "custom_path": artifact.custom_path} if artifact.custom_path else told


def _put_in_place(artifact: Artifact) -> None:
    """Brings what lies at an artifact's custom path to its URI, as KFP's launcher does after the task.

    The custom path may be in the container or in the working directory, which are gone then.
    """
    source, target = artifact.custom_path, artifact.uri
    if not source or is_remote(target) or not os.path.exists(source) or os.path.exists(target):
        return
    import shutil  # costs 5 ms, and few artifacts have a custom path

    os.makedirs(os.path.dirname(target), exist_ok=True)
    if os.path.isdir(source):
        shutil.copytree(source, target, copy_function=_link_or_copy)
    else:
        _link_or_copy(source, target)


def _link_or_copy(source: str, target: str) -> None:
    try:
        os.link(source, target)
    except OSError:  # another file system, or one without links
        import shutil  # costs 5 ms, and few artifacts have a custom path

        shutil.copy2(source, target)


def _whole_number(value: Any, annotation: Any) -> Any:
    """An integer that came as `3.0`, which is how protobuf's `Value` holds it, as the function wants it."""
    is_whole = isinstance(value, float) and value.is_integer() and ann.parameter_type(annotation) is int
    return int(value) if is_whole else value


def _is_chief() -> bool:
    cluster = os.environ.get("CLUSTER_SPEC")
    return not cluster or json.loads(cluster)["task"]["type"] in _CHIEF_ROLES


def _a(value: Any) -> str:
    """The type of a value for a message, with its module unless it is built in."""
    kind = type(value)
    if value is None:
        return "None"
    return f"a value of type {kind.__name__ if kind.__module__ == 'builtins' else f'{kind.__module__}.{kind.__name__}'}"
