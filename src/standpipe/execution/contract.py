"""KFP's executor contract: the input of a task (ExecutorInput) and its output (ExecutorOutput), as JSON.

The messages are those of pipeline_spec.proto; the rules are those of the KFP backend's launcher
(`backend/src/v2/component/launcher_v2.go`): the folders of outputs exist before the task starts, an output in
`executor_output.json` wins over the parameter's own file, and a declared parameter that was not written is a failure.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

from standpipe.errors import StandpipeError
from standpipe.model.cluster_differences import SP123, decides
from standpipe.model.layout import EXECUTOR_OUTPUT_FILE, file_name
from standpipe.model.plan import Component
from standpipe.model.ports import ArtifactStore
from standpipe.model.types import ArtifactOutput, ArtifactType, Json, ParameterInput, ParameterOutput
from standpipe.model.values import ArtifactValue, Value, ValueMismatch, check_json, coerce, parse_text, preview
from standpipe.support.untrusted_files import UntrustedFileError, read_file, remove_path
from standpipe.worker.artifacts import REGISTRATION_KEY


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
                name: {"outputFile": str(folder / file_name(name))}
                for name, output in component.outputs.items()
                if isinstance(output, ParameterOutput)
            },
            "artifacts": {
                name: {"artifacts": [_runtime_artifact(ArtifactValue(name, output.type, store.locate(folder, name)))]}
                for name, output in component.outputs.items()
                if isinstance(output, ArtifactOutput)
            },
            "outputFile": str(folder / EXECUTOR_OUTPUT_FILE),
        },
    }


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
    written = _read_executor_output(Path(declared["outputFile"]), root)
    outputs: dict[str, Value] = {}
    for name, output in component.outputs.items():
        if isinstance(output, ParameterOutput):
            file = Path(declared["parameters"][name]["outputFile"])
            outputs[name] = _read_parameter(name, output, written.get("parameterValues", {}), file, root)
        else:
            (expected,) = declared["artifacts"][name]["artifacts"]
            outputs[name] = _read_artifact(name, expected, written.get("artifacts", {}))
    return outputs


def remove_outputs(executor_input: Mapping[str, Json], store: ArtifactStore, root: Path) -> None:
    """Remove what a cancelled attempt has left of its outputs below a root, as they may be incomplete."""
    outputs = executor_input["outputs"]
    for parameter in outputs["parameters"].values():
        remove_path(Path(parameter["outputFile"]), root)
    for output in outputs["artifacts"].values():
        for artifact in output["artifacts"]:
            store.remove(artifact["uri"])


def _read_executor_output(path: Path, root: Path) -> dict[str, Json]:
    try:
        text = read_file(path, root).decode()
        content = json.loads(text)
    except FileNotFoundError:
        return {}
    except UntrustedFileError as error:
        raise OutputError(f"its executor output cannot be read: {error}") from error
    except ValueError as error:
        raise OutputError(f"it wrote {path}, which is not JSON: {error}") from error
    if not isinstance(content, dict):
        raise OutputError(f"it wrote {path}, which is not a JSON object")
    if "NaN" in text or "Infinity" in text:  # perhaps as numbers, which Python writes, but a cluster does not read
        try:
            check_json(content, "its executor output")
        except ValueMismatch as mismatch:
            raise OutputError(str(mismatch)) from mismatch
    return content


def _read_parameter(name: str, output: ParameterOutput, written: Mapping[str, Json], file: Path, root: Path) -> Json:
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
        raise OutputError(f"its output {name!r} in {file} is not UTF-8 text: {error}") from error
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


def _read_artifact(name: str, expected: Mapping[str, Json], written: Mapping[str, Json]) -> ArtifactValue:
    try:
        (runtime,) = written.get(name, {"artifacts": [{}]})["artifacts"]
        artifact_type = ArtifactType(expected["type"]["schemaTitle"], expected["type"]["schemaVersion"])
        custom_path = runtime.get("custom_path") or runtime.get("customPath") or ""
        metadata = dict(runtime.get("metadata") or {})
        # The launcher that KFP has proposed removes the request as well, before it stores the metadata (KEP-12020).
        registration = metadata.pop(REGISTRATION_KEY, None)
        return ArtifactValue(
            name=runtime.get("name") or expected["name"],
            type=artifact_type,
            uri=runtime.get("uri") or expected["uri"],
            metadata=metadata,
            custom_path=custom_path if custom_path and Path(custom_path).exists() else "",
            registration=dict(json.loads(registration)) if registration else None,
        )
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise OutputError(
            f"it wrote a malformed entry for its output artifact {name!r}: {preview(written[name])}"
        ) from error
