"""KFP's executor contract: the input of a task (ExecutorInput) and its output (ExecutorOutput), as JSON.

The messages are those of pipeline_spec.proto; the rules are those of the KFP backend's launcher
(`backend/src/v2/component/launcher_v2.go`): the folders of outputs exist before the task starts, an output in
`executor_output.json` wins over the parameter's own file, and a declared parameter that was not written is a failure.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from pathlib import Path

from standpipe.errors import StandpipeError
from standpipe.execution.executor_output import EXECUTOR_OUTPUT, ArtifactEntry, ExecutorOutput, parse_executor_output
from standpipe.model.cluster_differences import SP123, decides
from standpipe.model.json_values import InvalidJson, check_json, decode_text, parse_text
from standpipe.model.layout import EXECUTOR_OUTPUT_FILE, file_name
from standpipe.model.locations import is_remote
from standpipe.model.plan import Component
from standpipe.model.ports import ArtifactStore
from standpipe.model.types import ArtifactOutput, ArtifactType, Json, ParameterInput, ParameterOutput
from standpipe.model.values import ArtifactValue, Value, ValueMismatch, coerce
from standpipe.support.untrusted_files import UntrustedFileError, read_file, remove_path


class OutputError(StandpipeError):
    """A task succeeded without leaving the outputs that it declares."""


def build_executor_input(
    component: Component, inputs: Mapping[str, Value], folder: Path, store: ArtifactStore
) -> dict[str, Json]:
    """Return KFP's ExecutorInput for one attempt.

    Args:
        component: the component that runs.
        inputs: the values of its inputs; None for an optional one that nobody passed.
        folder: the attempt's own folder, which gets the files of output parameters.
        store: says where the payloads of output artifacts go.
    """
    top = str(folder)
    parameters = {}
    artifacts = {}
    for name, value in inputs.items():
        if value is None:
            continue  # absent: the function's own default applies, and IfPresent is false
        if isinstance(component.inputs.get(name), ParameterInput) or name not in component.inputs:
            parameters[name] = value
        else:
            artifacts[name] = {
                "artifacts": [_runtime_artifact(a) for a in (value if isinstance(value, list) else [value])]
            }
    return {
        "inputs": {"parameterValues": parameters, "artifacts": artifacts},
        "outputs": {
            "parameters": {
                name: {"outputFile": os.path.join(top, file_name(name))}
                for name, output in component.outputs.items()
                if isinstance(output, ParameterOutput)
            },
            "artifacts": {
                name: {"artifacts": [_runtime_artifact(_new_artifact(name, output.type, folder, store))]}
                for name, output in component.outputs.items()
                if isinstance(output, ArtifactOutput)
            },
            "outputFile": os.path.join(top, EXECUTOR_OUTPUT_FILE),
        },
    }


def _new_artifact(name: str, of_type: ArtifactType, folder: Path, store: ArtifactStore) -> ArtifactValue:
    """Return an output artifact before its task; its custom path is where the task writes what goes to a remote URI."""
    uri = store.locate(folder, name)
    return ArtifactValue(name, of_type, uri, custom_path=store.local_path(uri) if is_remote(uri) else "")


def _runtime_artifact(artifact: ArtifactValue) -> dict[str, Json]:
    runtime = {
        "name": artifact.name,
        "type": {"schemaTitle": artifact.type.schema_title, "schemaVersion": artifact.type.schema_version},
        "uri": artifact.uri,
        "metadata": dict(artifact.metadata),
    }
    if artifact.custom_path:
        runtime["customPath"] = artifact.custom_path
    return runtime


def read_outputs(component: Component, executor_input: Mapping[str, Json], root: Path) -> dict[str, Value]:
    """Return the outputs of an attempt that succeeded.

    Args:
        component: the component that ran.
        executor_input: what `build_executor_input` returned for the attempt.
        root: the folder below which no link is followed: the pipeline root.

    Raises:
        OutputError: if a declared parameter is missing or has the wrong type, or what was written cannot be read.
    """
    declared = executor_input["outputs"]
    names = [name for name, output in component.outputs.items() if isinstance(output, ArtifactOutput)]
    written = _read_executor_output(declared["outputFile"], root, names)
    outputs: dict[str, Value] = {}
    for name, output in component.outputs.items():
        if isinstance(output, ParameterOutput):
            file = declared["parameters"][name]["outputFile"]
            outputs[name] = _read_parameter(name, output, written.parameters, file, root)
        else:
            (expected,) = declared["artifacts"][name]["artifacts"]
            outputs[name] = _build_artifact(expected, written.artifacts.get(name, ArtifactEntry()))
    return outputs


def remove_outputs(executor_input: Mapping[str, Json], store: ArtifactStore, root: Path) -> None:
    """Remove what a cancelled attempt has left of its outputs below a root, as they may be incomplete."""
    outputs = executor_input["outputs"]
    for parameter in outputs["parameters"].values():
        remove_path(Path(parameter["outputFile"]), root)
    for output in outputs["artifacts"].values():
        for artifact in output["artifacts"]:
            store.remove(artifact["uri"])


def _read_executor_output(path: str, root: Path, artifacts: Iterable[str]) -> ExecutorOutput:
    try:
        # Decoded here, so that the bytes are gone when the text is parsed: either may have hundreds of megabytes.
        return parse_executor_output(decode_text(read_file(path, root), EXECUTOR_OUTPUT), artifacts)
    except FileNotFoundError:
        return ExecutorOutput()
    except UntrustedFileError as error:
        raise OutputError(f"its executor output cannot be read: {error}") from error
    except InvalidJson as error:
        raise OutputError(f"{error}. The file is {path}") from error


def _read_parameter(name: str, output: ParameterOutput, written: Mapping[str, Json], file: str, root: Path) -> Json:
    try:
        if name in written:
            return coerce(written[name], output.type)
        return _require_json(parse_text(read_file(file, root).decode(), output.type))
    except ValueMismatch as mismatch:
        raise OutputError(f"its output {name!r} does not fit: {mismatch}") from mismatch
    except FileNotFoundError:
        raise OutputError(
            f"it did not write its output {name!r}: return a value for it, or write it to {file}"
        ) from None
    except UnicodeDecodeError as error:
        problem = f"{error.reason} at byte {error.start}"
        raise OutputError(f"its output {name!r} in {file} is not UTF-8 text: {problem}") from error
    except UntrustedFileError as error:
        raise OutputError(f"its output {name!r} cannot be read: {error}") from error
    except OSError as error:
        raise OutputError(f"its output {name!r} in {file} cannot be read: {error.strerror or error}") from error


@decides(SP123)
def _require_json(value: Json) -> Json:
    """Return a value that a file had as text. A cluster reads `nan` there, but cannot pass it on, as inputs are JSON.

    Raises:
        ValueMismatch: if a number is not finite.
    """
    check_json(value)
    return value


def _build_artifact(expected: Mapping[str, Json], entry: ArtifactEntry) -> ArtifactValue:
    declared, uri, path = expected["type"], entry.uri or expected["uri"], entry.custom_path
    if uri == expected["uri"] and path == expected.get("customPath"):
        path = ""  # the store takes the payload from there to the URI
    return ArtifactValue(
        name=entry.name or expected["name"],
        type=ArtifactType(declared["schemaTitle"], declared["schemaVersion"]),
        uri=uri,
        metadata=entry.metadata,
        custom_path=path if path and os.path.exists(path) else "",
        registration=entry.registration,
    )
