"""A runner for tests: each task is a Python function that is called in this process."""

from __future__ import annotations

import inspect
import json
import re
import traceback
from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

from standpipe.model.cancellation import Cancellation
from standpipe.model.plan import PythonFunction
from standpipe.model.ports import CANCELLED_BEFORE_START, Log, Outcome, Runner, TaskRequest
from standpipe.model.resources import UNBOUNDED, Capacity
from standpipe.runners.api import LocalRunner
from standpipe.worker.annotations import annotations_of, is_artifact_list
from standpipe.worker.artifacts import Artifact, create

#: What stands in for a task: it takes inputs by name, and returns outputs by name or its single output.
Function = Callable[..., Any]

#: KFP's name for the output of a component that returns a single value.
_SINGLE_OUTPUT = "Output"


class FakeRunner(LocalRunner):
    """Runs no task. It calls a function instead, in this process: for tests of pipelines.

    A function gets the inputs and output artifacts that it has parameters for, by name; `**` gets all other input
    parameters. It returns a dict of outputs by name, or the value of a single output. The value of an output artifact
    is its payload, as text or bytes; a function may as well write to the artifact's `path` and set its metadata.

    An exception is the failure of the task, and `sys.exit(3)` its exit code. What a function prints goes to this
    process's own output, not to the log of the task. A task without a function succeeds with no outputs.

    Args:
        functions: by the path of a task in its run (`"for-loop-1/2/train"`), by the name of a task (`"train-2"`), or by
            the name of a component (`"train"`), for all its tasks. The first of these wins; `-` and `_` are the same.
        capacity: what the tasks share; by default there is no bound, so that no task waits for CPU, memory or
            accelerators, and none asks for too much.
        **by_name: functions by names that are valid in Python: `FakeRunner(train=lambda rate: 0.9)`.
    """

    def __init__(
        self, functions: Mapping[str, Function] | None = None, /, *, capacity: Capacity = UNBOUNDED, **by_name: Function
    ) -> None:
        self.functions: Mapping[str, Function] = {
            _normalized(name): function for name, function in {**(functions or {}), **by_name}.items()
        }
        self.capacity = capacity

    def __repr__(self) -> str:
        return f"FakeRunner({', '.join(self.functions)})"

    def open(self) -> Runner:
        """Make the runner that calls the functions."""
        return FakeTaskRunner(self.functions, self.capacity)

    def workspace_path(self, workspace: Path) -> str:
        """Return the path of the workspace on this machine."""
        return str(workspace)


class FakeTaskRunner:
    """Implements `model.ports.Runner` with functions.

    Args:
        functions: by normalized name, as `FakeRunner` has them. One that returns an `Outcome` decides how its attempt
            ends.
        capacity: what the tasks share.
    """

    def __init__(
        self, functions: Mapping[str, Function] = MappingProxyType({}), capacity: Capacity = UNBOUNDED
    ) -> None:
        self._functions = functions
        self._capacity = capacity

    def run(self, request: TaskRequest, *, log: Log, cancel: Cancellation) -> Outcome:
        """Call the function of one attempt; see `model.ports.Runner`."""
        if cancel:
            return CANCELLED_BEFORE_START
        function = self._function(request)
        if function is None:
            return Outcome(exit_code=0)
        try:
            outputs = _output_artifacts(request)
            returned = function(**_arguments(function, request, outputs))
            if isinstance(returned, Outcome):
                return returned
            _write_outputs(returned, outputs, request)
        except SystemExit as error:
            return Outcome(exit_code=error.code if isinstance(error.code, int) else int(error.code is not None))
        except Exception as error:  # noqa: BLE001 - whatever it is, it is how the task failed
            return _failure(error)
        return Outcome(exit_code=0)

    def fingerprint(self, request: TaskRequest) -> str:
        """Return the same for all tasks: a test decides what its functions do."""
        return "fake"

    def capacity(self) -> Capacity:
        """Return what the tasks share."""
        return self._capacity

    def close(self) -> None:
        """Do nothing: nothing is open."""

    def _function(self, request: TaskRequest) -> Function | None:
        names = (str(request.task), request.task.name, _component_of(request))
        return next((self._functions[name] for name in map(_normalized, names) if name in self._functions), None)


def _component_of(request: TaskRequest) -> str:
    """Return the name of a task's component, whose tasks KFP numbers: `train`, `train-2` and so on."""
    if isinstance(request.program, PythonFunction):
        return request.program.name
    return re.sub(r"-\d+$", "", request.task.name)


def _normalized(name: str) -> str:
    """Return a name as KFP names tasks: in lower case, with hyphens."""
    return re.sub(r"[_\s]+", "-", name.lower())


def _output_artifacts(request: TaskRequest) -> dict[str, Artifact]:
    outputs = request.executor_input["outputs"].get("artifacts", {})
    return {name: create(None, described["artifacts"][0]) for name, described in outputs.items()}


def _arguments(function: Function, request: TaskRequest, outputs: Mapping[str, Artifact]) -> dict[str, Any]:
    """Return what a function is called with: what it names, and the other input parameters if it has `**`."""
    named = inspect.signature(function).parameters
    inputs = request.executor_input["inputs"]
    takes_all = any(parameter.kind is parameter.VAR_KEYWORD for parameter in named.values())
    arguments = {name: value for name, value in inputs.get("parameterValues", {}).items() if takes_all or name in named}
    for name, described in inputs.get("artifacts", {}).items():
        if name in named:
            artifacts = [create(None, runtime) for runtime in described["artifacts"]]
            is_list = len(artifacts) != 1 or _is_list(function, name)
            arguments[name] = artifacts if is_list else artifacts[0]
    arguments.update({name: artifact for name, artifact in outputs.items() if name in named})
    return arguments


def _is_list(function: Function, name: str) -> bool:
    """Return whether a function's annotation says that an input is a list of artifacts."""
    return hasattr(function, "__annotations__") and is_artifact_list(annotations_of(function).get(name))


def _write_outputs(returned: Any, artifacts: dict[str, Artifact], request: TaskRequest) -> None:
    """Write the executor output, and the payloads that a function returned.

    Raises:
        ValueError: if a name is not that of an output.
        TypeError: if a payload is neither text nor bytes nor an artifact.
    """
    outputs = request.executor_input["outputs"]
    names = {*outputs.get("parameters", {}), *artifacts}
    values = _by_name(returned, names)
    unknown = sorted(values.keys() - names)
    if unknown:
        raise ValueError(f"The fake function returned {unknown[0]!r}: expected outputs of {sorted(names)}.")
    for name in artifacts.keys() & values.keys():
        artifacts[name] = _returned_artifact(name, values.pop(name), artifacts[name])
    content = {
        "parameterValues": values,
        "artifacts": {name: {"artifacts": [_runtime_artifact(artifact)]} for name, artifact in artifacts.items()},
    }
    Path(outputs["outputFile"]).write_text(json.dumps(content), encoding="utf-8")


def _by_name(returned: Any, names: set[str]) -> dict[str, Any]:
    if returned is None:
        return {}
    is_by_name = isinstance(returned, Mapping) and (not returned.keys() - names or _SINGLE_OUTPUT not in names)
    return dict(returned) if is_by_name else {_SINGLE_OUTPUT: returned}


def _returned_artifact(name: str, value: Any, output: Artifact) -> Artifact:
    if isinstance(value, Artifact):
        return value
    if not isinstance(value, (str, bytes)):
        raise TypeError(
            f"The fake function returned {value!r} for the output artifact {name!r}: expected its payload as text or "
            "bytes, or an artifact."
        )
    Path(output.path).write_bytes(value.encode() if isinstance(value, str) else value)
    return output


def _runtime_artifact(artifact: Artifact) -> dict[str, Any]:
    described = {"name": artifact.name, "uri": artifact.uri, "metadata": artifact.metadata}
    return {**described, "custom_path": artifact.custom_path} if artifact.custom_path else described


def _failure(error: Exception) -> Outcome:
    """Return the failure that an exception is, without our own frame in its traceback."""
    frames = error.__traceback__ and error.__traceback__.tb_next
    lines = traceback.format_exception(type(error), error, frames)
    return Outcome(exit_code=1, detail="".join(lines).rstrip(), cause=f"{type(error).__name__}: {error}")
