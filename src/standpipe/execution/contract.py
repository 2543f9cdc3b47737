"""KFP's executor contract: what a task is told (ExecutorInput) and what it tells (ExecutorOutput), as JSON.

The messages are those of pipeline_spec.proto; the rules are those of the KFP backend's launcher
(`backend/src/v2/component/launcher_v2.go`): folders of outputs exist before the task starts, an output in
`executor_output.json` beats the parameter's own file, and a declared parameter that was not written is a failure.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from standpipe.errors import StandpipeError
from standpipe.model.layout import EXECUTOR_OUTPUT_FILE, file_name
from standpipe.model.plan import Component
from standpipe.model.types import ArtifactOutput, ArtifactType, Json, ParameterInput, ParameterOutput
from standpipe.model.values import ArtifactValue, Value, ValueMismatch, fit, from_text, preview


class OutputError(StandpipeError):
    """A task ended well but did not leave what it declares."""


def executor_input(component: Component, inputs: Mapping[str, Value], folder: Path) -> dict[str, Json]:
    """KFP's ExecutorInput for one attempt; every output has its place in `folder`."""
    parameters = {}
    artifacts = {}
    for name, value in inputs.items():
        if value is None:
            continue  # absent: the function's own default holds, and IfPresent sees nothing
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
                name: {
                    "artifacts": [_runtime_artifact(ArtifactValue(name, output.type, str(folder / file_name(name))))]
                }
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


def read_outputs(component: Component, given: Mapping[str, Json]) -> dict[str, Value]:
    """The outputs of an attempt that ended well; `given` is the executor input that it had.

    Raises:
        OutputError: if a declared parameter is missing or has the wrong type, or what was written cannot be read.
    """
    places = given["outputs"]
    written = _executor_output(Path(places["outputFile"]))
    outputs: dict[str, Value] = {}
    for name, output in component.outputs.items():
        if isinstance(output, ParameterOutput):
            place = Path(places["parameters"][name]["outputFile"])
            outputs[name] = _parameter(name, output, written.get("parameterValues", {}), place)
        else:
            (expected,) = places["artifacts"][name]["artifacts"]
            outputs[name] = _artifact(name, expected, written.get("artifacts", {}))
    return outputs


def forget_outputs(given: Mapping[str, Json]) -> None:
    """Removes what an attempt that was stopped has left of its outputs: nobody knows how much of them is there."""
    outputs = given["outputs"]
    places = [parameter["outputFile"] for parameter in outputs["parameters"].values()]
    places += [artifact["uri"] for output in outputs["artifacts"].values() for artifact in output["artifacts"]]
    for place in map(Path, places):
        if place.is_dir() and not place.is_symlink():
            shutil.rmtree(place, ignore_errors=True)
        else:
            with suppress(OSError):  # it was never written, or belongs to a user that a container had
                place.unlink()


def _executor_output(path: Path) -> dict[str, Json]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except ValueError as error:
        raise OutputError(f"it wrote {path}, which is not JSON: {error}") from error
    if not isinstance(content, dict):
        raise OutputError(f"it wrote {path}, which is not a JSON object")
    return content


def _parameter(name: str, output: ParameterOutput, written: Mapping[str, Json], place: Path) -> Json:
    try:
        if name in written:
            return fit(written[name], output.type)
        return from_text(_text_of(place), output.type)
    except ValueMismatch as mismatch:
        raise OutputError(f"its output {name!r} does not fit: {mismatch}") from mismatch
    except FileNotFoundError:
        raise OutputError(
            f"it declares the output {name!r} and did not write it: return a value for it, or write it to {place}"
        ) from None
    except UnicodeDecodeError as error:
        raise OutputError(f"its output {name!r} in {place} is not UTF-8 text: {error}") from error
    except OSError as error:
        raise OutputError(f"its output {name!r} in {place} cannot be read: {error.strerror or error}") from error


def _text_of(place: Path) -> str:
    if place.exists() and not place.is_file():
        raise OSError("a file with the value is wanted there, and it is something else")
    return place.read_text(encoding="utf-8")


def _artifact(name: str, expected: Mapping[str, Json], written: Mapping[str, Json]) -> ArtifactValue:
    try:
        (told,) = written.get(name, {"artifacts": [{}]})["artifacts"]
        artifact_type = ArtifactType(expected["type"]["schemaTitle"], expected["type"]["schemaVersion"])
        custom_path = told.get("custom_path") or told.get("customPath") or ""
        return ArtifactValue(
            name=told.get("name") or expected["name"],
            type=artifact_type,
            uri=told.get("uri") or expected["uri"],
            metadata=told.get("metadata") or {},
            custom_path=custom_path if custom_path and Path(custom_path).exists() else "",
        )
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise OutputError(
            f"what it wrote of its output artifact {name!r} is malformed: {preview(written[name])}"
        ) from error
