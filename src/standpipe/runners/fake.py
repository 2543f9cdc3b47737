"""A runner for tests: each task is a Python function that is called in this process."""

from __future__ import annotations

import inspect
import json
import os
import traceback
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

from standpipe.errors import ArgumentError
from standpipe.model.attempts import CANCELLED_BEFORE_START, Outcome, TaskRequest
from standpipe.model.cancellation import Cancellation
from standpipe.model.json_values import check_json
from standpipe.model.plan import Plan
from standpipe.model.ports import Log, Runner
from standpipe.model.resources import UNBOUNDED, Capacity
from standpipe.model.types import ArtifactInput, Input, Output, ParameterOutput, ParameterType
from standpipe.model.values import preview
from standpipe.runners.api import LocalRunner
from standpipe.runners.fake_names import component_name, normalize, tasks_of
from standpipe.support.notices import warn
from standpipe.worker.artifacts import Artifact, create
from standpipe.worker.executor import SINGLE_OUTPUT
from standpipe.worker.json_values import text_keys
from standpipe.worker.models import adapt, dump
from standpipe.worker.status import final_status, task_config

#: What stands in for a task: it takes inputs by name, and returns outputs by name or its single output.
Function = Callable[..., Any]

#: The most tasks that a notice lists.
_MAX_LISTED = 20

#: What a task gets for a parameter of these types, made of its JSON form.
_FROM_JSON: Mapping[ParameterType, Callable[[Mapping[str, Any] | None], Any]] = {
    ParameterType.TASK_FINAL_STATUS: final_status,
    ParameterType.TASK_CONFIG: task_config,
}


class FakeRunner(LocalRunner):
    """Runs no task. It calls a function instead, in this process: for tests of pipelines.

    A function gets the inputs and output artifacts that it has parameters for, by name and as a component gets them;
    `**` gets all other input parameters. What it annotates as a Pydantic model is one. It returns its outputs by name,
    as a dict or a NamedTuple, or the value of the only output or of the output `Output`. The value of an output
    artifact is its payload, as text or bytes; a function may as well write to the artifact's `path` and set its
    metadata. If `Output` is a dict, a dict with other keys than the names of outputs is its value, and so is an empty
    one.

    An exception is the failure of the task, and `sys.exit(3)` its exit code. What a function prints goes to this
    process's own output, not to the log of the task. A task without a function succeeds if it has no output
    parameters; otherwise it fails, as it does not write them.

    A run warns of functions for tasks that neither its pipeline nor that of an earlier run with this runner has. The
    cache reuses results only within the same FakeRunner, as nothing else tells what a function returns.

    Args:
        functions: by the path of a task in its run (`"for-loop-1/2/train"`), by the name of a task (`"train-2"`), or by
            the name of a component (`"train"`), for all its tasks. The first of these wins; `-` and `_` are the same.
        capacity: what the tasks share; by default there is no bound, so that no task waits for CPU, memory or
            accelerators, and none asks for too much.
        **by_name: functions by names that are valid in Python: `FakeRunner(train=lambda rate: 0.9)`.

    Raises:
        ArgumentError: if an argument is invalid.
    """

    executes_code = False

    def __init__(
        self, functions: Mapping[str, Function] | None = None, /, *, capacity: Capacity = UNBOUNDED, **by_name: Function
    ) -> None:
        if functions is not None and not isinstance(functions, Mapping):
            raise ArgumentError(
                f"Invalid functions of FakeRunner: expected a dict such as {{'train-2': function}}, got {functions!r}."
            )
        if not isinstance(capacity, Capacity):
            raise ArgumentError(
                f"Invalid capacity={capacity!r} of FakeRunner: expected a standpipe.model.resources.Capacity. "
                "A function for a task with the name 'capacity' belongs in the dict of functions."
            )
        self._names: dict[str, str] = {}  # as they were passed, by normalized name
        self.functions: Mapping[str, Function] = dict(self._checked((*(functions or {}).items(), *by_name.items())))
        self.capacity = capacity
        self._called: set[str] = set()
        self._with_tasks: set[str] = set()  # the functions that the pipelines of runs so far have tasks for

    def __repr__(self) -> str:
        return f"FakeRunner({', '.join(self.functions)})"

    @property
    def uncalled(self) -> tuple[str, ...]:
        """The names of the functions that no run has called so far, as they were passed."""
        return tuple(passed for name, passed in self._names.items() if name not in self._called)

    def open(self) -> Runner:
        """Make the runner that calls the functions."""
        return FakeTaskRunner(self.functions, self.capacity, self._called)

    def workspace_path(self, workspace: Path) -> str:
        """Return the path of the workspace on this machine."""
        return str(workspace)

    def check_plan(self, plan: Plan) -> None:
        """Warn of functions that the pipelines of this run and of earlier ones have no tasks for."""
        tasks = list(tasks_of(plan))
        others = [name for name in self.functions if name not in self._with_tasks]
        self._with_tasks.update(name for name in others if any(task.has_name(name) for task in tasks))
        unknown = [repr(passed) for name, passed in self._names.items() if name not in self._with_tasks]
        if not unknown:
            return
        listed = [f"'{task}'" for task in tasks[:_MAX_LISTED]]
        more = [f"and {len(tasks) - _MAX_LISTED} more"] if len(tasks) > _MAX_LISTED else []
        warn(
            f"local.FakeRunner: pipeline {plan.name!r} has no task for the function of {', '.join(unknown)}. "
            f"Its tasks: {', '.join((*listed, *more)) or 'none'}."
        )

    def _checked(self, functions: tuple[tuple[str, Function], ...]) -> Iterator[tuple[str, Function]]:
        """Yield the functions by normalized name; raise ArgumentError for invalid ones."""
        for name, function in functions:
            if not isinstance(name, str) or not name:
                raise ArgumentError(
                    f"Invalid name {name!r} of a function of FakeRunner: expected the name of a component or task, or "
                    "the path of a task, such as 'for-loop-1/2/train'."
                )
            normalized = normalize(name)
            if normalized in self._names:
                raise ArgumentError(
                    f"FakeRunner has two functions for the same name: {self._names[normalized]!r} and {name!r}."
                )
            _check_function(name, function)
            self._names[normalized] = name
            yield normalized, function


class FakeTaskRunner:
    """Implements `model.ports.Runner` with functions.

    Args:
        functions: by normalized name, as `FakeRunner` has them. One that returns an `Outcome` decides how its attempt
            ends.
        capacity: what the tasks share.
        called: gets the name of each function that is called.
    """

    def __init__(
        self,
        functions: Mapping[str, Function] = MappingProxyType({}),
        capacity: Capacity = UNBOUNDED,
        called: set[str] | None = None,
    ) -> None:
        self._functions = functions
        self._capacity = capacity
        self._called = set() if called is None else called
        self._signatures: dict[str, Mapping[str, inspect.Parameter]] = {}  # by the names of functions
        self._fingerprint = f"fake {os.urandom(16).hex()}"

    def has_function(self, request: TaskRequest) -> bool:
        """Return whether a function stands for the task."""
        return self._function_name(request) is not None

    def run(self, request: TaskRequest, *, log: Log, cancel: Cancellation) -> Outcome:
        """Call the function of one attempt; see `model.ports.Runner`."""
        if cancel:
            return CANCELLED_BEFORE_START
        name = self._function_name(request)
        if name is None:
            return Outcome(exit_code=0)
        function = adapt(self._functions[name])
        self._called.add(name)
        try:
            outputs = _output_artifacts(request)
            returned = function(**_arguments(self._parameters(name, function), request, outputs))
            if isinstance(returned, Outcome):
                return returned
            _write_outputs(returned, outputs, request)
        except SystemExit as error:
            return Outcome(exit_code=_exit_code(error, log))
        except _UnusableFunction as error:
            return Outcome(exit_code=1, cause=str(error))
        except Exception as error:  # noqa: BLE001 - whatever it is, it is how the task failed
            return _failure(error)
        return Outcome(exit_code=0)

    def fingerprint(self, request: TaskRequest) -> str:
        """Return the same for all tasks of this runner, and another for each runner: its functions may be others."""
        return self._fingerprint

    def capacity(self) -> Capacity:
        """Return what the tasks share."""
        return self._capacity

    def close(self) -> None:
        """Do nothing: nothing is open."""

    def _parameters(self, name: str, function: Function) -> Mapping[str, inspect.Parameter]:
        if name not in self._signatures:  # which takes longer than the rest of a trivial task
            self._signatures[name] = inspect.signature(function).parameters
        return self._signatures[name]

    def _function_name(self, request: TaskRequest) -> str | None:
        names = (str(request.task), request.task.name, component_name(request.program, request.task.name))
        return next((name for name in map(normalize, names) if name in self._functions), None)


class _UnusableFunction(Exception):
    """A function takes what its task does not have, or returns what its task cannot. The message is a sentence."""


def _check_function(name: str, function: object) -> None:
    """Raise ArgumentError unless it is a function that can be called with inputs by name and returns at its end."""
    expected = f"Invalid function of FakeRunner for {name!r}: expected a function that"
    if not callable(function) or isinstance(function, type):
        raise ArgumentError(f"{expected} takes inputs and returns outputs, got {function!r}.")
    kinds = (inspect.iscoroutinefunction, inspect.isgeneratorfunction, inspect.isasyncgenfunction)
    if any(is_kind(function) for is_kind in kinds):
        raise ArgumentError(f"{expected} returns outputs, got the asynchronous function or generator {function!r}.")
    try:
        parameters = inspect.signature(function).parameters.values()
    except (TypeError, ValueError):
        raise ArgumentError(f"{expected} has a known signature, got {function!r}. Wrap it in a lambda.") from None
    if any(parameter.kind is parameter.POSITIONAL_ONLY for parameter in parameters):
        raise ArgumentError(f"{expected} takes all parameters by name, got {function!r}. Wrap it in a lambda.")


# --- arguments --------------------------------------------------------------------------------------------------------


def _output_artifacts(request: TaskRequest) -> dict[str, Artifact]:
    outputs = request.executor_input["outputs"].get("artifacts", {})
    return {name: create(None, described["artifacts"][0]) for name, described in outputs.items()}


def _arguments(
    named: Mapping[str, inspect.Parameter], request: TaskRequest, outputs: Mapping[str, Artifact]
) -> dict[str, Any]:
    """Return what a function is called with: what it names, and the other input parameters if it has `**`.

    Raises:
        _UnusableFunction: if it requires what the task does not have.
    """
    parameters = _input_parameters(request)
    takes_all = any(parameter.kind is parameter.VAR_KEYWORD for parameter in named.values())
    arguments = {name: value for name, value in parameters.items() if takes_all or name in named}
    available = {**_input_artifacts(request), **outputs}
    arguments.update({name: value for name, value in available.items() if name in named})
    for name, parameter in named.items():
        is_variable = parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD)
        if name in arguments or is_variable or parameter.default is not parameter.empty:
            continue
        if name not in request.component.inputs:
            expected = sorted({*request.component.inputs, *parameters, *available})
            raise _UnusableFunction(
                f"The fake function has the parameter {name!r}: expected inputs and output artifacts of {expected}."
            )
        arguments[name] = None  # an optional input that nobody passed
    return arguments


def _input_parameters(request: TaskRequest) -> dict[str, Any]:
    """Return the values of the input parameters as components get them."""
    values = dict(request.executor_input["inputs"].get("parameterValues", {}))
    for name, declared in request.component.inputs.items():
        convert = None if isinstance(declared, ArtifactInput) else _FROM_JSON.get(declared.type)
        if convert:
            values[name] = convert(values.get(name))
    return values


def _input_artifacts(request: TaskRequest) -> dict[str, Any]:
    """Return the input artifacts: lists where the component declares a list."""
    inputs = request.executor_input["inputs"].get("artifacts", {})
    artifacts = {name: [create(None, runtime) for runtime in entry["artifacts"]] for name, entry in inputs.items()}
    return {
        name: listed if _is_list(request.component.inputs.get(name)) else listed[0]
        for name, listed in artifacts.items()
    }


def _is_list(declared: Input | None) -> bool:
    return isinstance(declared, ArtifactInput) and declared.is_list


# --- results ----------------------------------------------------------------------------------------------------------


def _write_outputs(returned: Any, artifacts: dict[str, Artifact], request: TaskRequest) -> None:
    """Write the executor output, and the payloads that a function returned.

    Raises:
        _UnusableFunction: if a name is not that of an output, or a value is not one that the output can have.
    """
    outputs = request.executor_input["outputs"]
    names = {*outputs.get("parameters", {}), *artifacts}
    values = {name: dump(value) for name, value in _by_name(returned, names, request.component.outputs).items()}
    for name in values:
        if name not in names:
            raise _UnusableFunction(f"The fake function returned {name!r}: expected outputs of {sorted(names)}.")
    for name in artifacts.keys() & values.keys():
        artifacts[name] = _returned_artifact(name, values.pop(name), artifacts[name])
    for name, value in values.items():
        values[name] = _as_json(value, f"the output {name!r}")
    for name, artifact in artifacts.items():
        artifact.metadata = _as_json(artifact.metadata, f"the metadata of the output artifact {name!r}")
    content = {
        "parameterValues": values,
        "artifacts": {name: {"artifacts": [_runtime_artifact(artifact)]} for name, artifact in artifacts.items()},
    }
    with open(outputs["outputFile"], "w", encoding="utf-8") as file:
        file.write(json.dumps(content))


def _by_name(returned: Any, names: set[str], declared: Mapping[str, Output]) -> dict[str, Any]:
    """Return the outputs that a function returned, by name."""
    if returned is None:
        return {}
    if isinstance(returned, tuple) and hasattr(returned, "_asdict"):
        return dict(returned._asdict())
    if not isinstance(returned, Mapping):
        return {_name_of_single(names): returned}
    single = declared.get(SINGLE_OUTPUT)
    is_dict = isinstance(single, ParameterOutput) and single.type is ParameterType.STRUCT
    is_value = is_dict and (not returned or bool(returned.keys() - names))
    return {SINGLE_OUTPUT: dict(returned)} if is_value else dict(returned)


def _name_of_single(names: set[str]) -> str:
    """Return the output that a value is for which has no name: the only one, or the one that components return."""
    return next(iter(names)) if len(names) == 1 else SINGLE_OUTPUT


def _as_json(value: Any, what: str) -> Any:
    """Return a value that a function returned as the tasks after it get it."""
    try:
        converted = _with_text_keys(value, what)
        check_json(converted, what)
    except (TypeError, ValueError) as error:
        if inspect.iscoroutine(value):
            value.close()  # otherwise Python warns that nobody awaited it
        raise _UnusableFunction(f"The fake function returned an invalid value: {error}.") from None
    return converted


def _with_text_keys(value: Any, what: str) -> Any:
    if isinstance(value, dict):
        return {key: _with_text_keys(item, f"{what}[{key!r}]") for key, item in text_keys(value, what).items()}
    if isinstance(value, (list, tuple)):
        return [_with_text_keys(item, f"{what}[{index}]") for index, item in enumerate(value)]
    return value


def _returned_artifact(name: str, value: Any, output: Artifact) -> Artifact:
    if isinstance(value, Artifact):
        return value
    if not isinstance(value, (str, bytes)):
        raise _UnusableFunction(
            f"The fake function returned {preview(value)} for the output artifact {name!r}: expected its payload as "
            "text or bytes, or an artifact."
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


def _exit_code(error: SystemExit, log: Log) -> int:
    """Return the exit code of `sys.exit(...)`, as in Python: a number, 0 for None, 1 for text, which is printed."""
    if error.code is None:
        return 0
    if isinstance(error.code, int):
        return error.code & 0xFF
    log.write(f"{error.code}\n".encode(errors="backslashreplace"))
    return 1
