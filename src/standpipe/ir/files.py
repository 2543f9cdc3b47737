"""Compiled files: YAML, or JSON as by old SDKs, with a PipelineSpec and optionally a PlatformSpec."""

from __future__ import annotations

import json
import os
import uuid
from pathlib import Path
from typing import NamedTuple

from standpipe.errors import SpecError, StorageError, UnsupportedError
from standpipe.ir.documents import parse
from standpipe.ir.emitter import emit, emit_platforms
from standpipe.ir.header import read_description, write_header
from standpipe.ir.loader import load
from standpipe.ir.manifests import ManifestNames, emit_manifests, is_manifest, read_specs
from standpipe.ir.v1_component import load_v1, read_v1_description
from standpipe.ir.yaml_writer import write_yaml
from standpipe.model.plan import Importer, Plan
from standpipe.model.types import Json
from standpipe.support.garbage_collection import pause_garbage_collection


def dumps(plan: Plan, description: str | None = None) -> str:
    """Return a Plan as the text of a YAML file, as `kfp` compiles it.

    Args:
        plan: the Plan.
        description: the description for the comment at the top; by default that of the Plan.

    Raises:
        SpecError: as `emit`.
    """
    with pause_garbage_collection():
        spec, platforms = emit(plan), emit_platforms(plan)
        header = write_header(spec, description or plan.description)
        return header + write_yaml([spec, platforms] if platforms else [spec])


class MissingFile(StorageError, FileNotFoundError):
    """There is no such file; the KFP SDK raises a FileNotFoundError."""


def write(plan: Plan, path: str | os.PathLike[str], description: str | None = None) -> None:
    """Write a Plan to a `.yaml`, `.yml` or `.json` file, atomically.

    Raises:
        SpecError: as `emit`, or if the file name has another extension, or for platforms in a JSON file, or if an
            importer downloads to a workspace that the pipeline does not have.
        StorageError: if the file cannot be written.
    """
    file = Path(path)
    _check_workspace(plan)
    if file.suffix in (".yaml", ".yml"):
        text = dumps(plan, description)
    elif file.suffix == ".json":
        text = _dumps_json(plan, file)
    else:
        raise SpecError(f"{file}: expected a file name that ends with .yaml, .yml or .json.")
    _write(file, text)


def write_manifests(
    plan: Plan,
    path: str | os.PathLike[str],
    names: ManifestNames,
    description: str | None = None,
    with_pipeline: bool = False,
) -> None:
    """Write a Plan as Kubernetes manifests to a YAML file of any name, atomically.

    Raises:
        SpecError: as `write`, but not for the file name.
        StorageError: if the file cannot be written.
    """
    _check_workspace(plan)
    manifests = emit_manifests(plan, names, description or plan.description, with_pipeline)
    _write(Path(path), write_yaml(manifests))


def _check_workspace(plan: Plan) -> None:
    """Check that a pipeline configures the workspace that it uses. A cluster requires that; a local run does not."""
    if "workspace" in plan.pipeline_config:
        return
    for label, executor in plan.executors.items():
        if isinstance(executor, Importer) and executor.download_to_workspace:
            raise SpecError(
                f"deploymentSpec.executors.{label}.importer.downloadToWorkspace: the pipeline has no workspace. "
                "Add one: @dsl.pipeline(pipeline_config=dsl.PipelineConfig(workspace=dsl.WorkspaceConfig('1Gi')))."
            )


def _write(file: Path, text: str) -> None:
    try:
        _write_atomically(Path(os.path.realpath(file)), text)
    except OSError as error:
        raise StorageError(f"{file} cannot be written: {error.strerror or error}. Choose another path.") from error


def _dumps_json(plan: Plan, file: Path) -> str:
    if plan.platforms:
        raise SpecError(f"{file}: a JSON file cannot have platform settings. Choose a file name that ends with .yaml.")
    return json.dumps(emit(plan), indent=2, sort_keys=True)


def _write_atomically(file: Path, text: str) -> None:
    temporary = file.with_name(f".{file.name}.{uuid.uuid4().hex}")
    try:
        temporary.write_text(text, encoding="utf-8", newline="\n")
        temporary.replace(file)
    finally:
        temporary.unlink(missing_ok=True)


def read(path: str | os.PathLike[str]) -> Plan:
    """Read the Plan of a compiled file.

    Raises:
        SpecError: if the file is not a compiled pipeline, or malformed; the error names the field.
        StorageError: if the file cannot be read.
        UnsupportedError: if the file uses what this version does not support; the error names the field.
    """
    return read_text(read_file_text(path), origin=str(path))


def read_file_text(path: str | os.PathLike[str]) -> str:
    """Read the text of a compiled file.

    Raises:
        SpecError: if the file is not text.
        StorageError: if the file cannot be read.
    """
    file = Path(path)
    if "\0" in str(path) or not str(path):
        raise StorageError(f"Invalid path {str(path)!r}. Pass the path of a compiled YAML file.")
    try:
        return file.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError:
        raise SpecError(f"{file} is not a text file. Pass the compiled YAML file, not an archive of it.") from None
    except OSError as error:
        kind = MissingFile if isinstance(error, FileNotFoundError) else StorageError
        raise kind(f"{file} cannot be read: {error.strerror or error}. Pass a compiled YAML file.") from error


def read_text(text: str, origin: str = "The text") -> Plan:
    """Read the Plan of the text of a compiled file. Errors are those of `read`; they name the text `origin`."""
    plan, _, misuse = read_component(text, origin)
    if misuse is not None:
        raise misuse
    return plan


class LoadedComponent(NamedTuple):
    """What a file has: the Plan, the description, which a Plan has only of pipelines, and the error of its use."""

    plan: Plan
    description: str
    misuse: SpecError | None = None


def read_component(text: str, origin: str = "The text") -> LoadedComponent:
    """Read the text of a compiled file or of a component of KFP version 1.

    Errors are those of `read_text`, but for that of a component which must not be used, which is returned.
    """
    with pause_garbage_collection():
        return _read_component(text, origin)


def _read_component(text: str, origin: str) -> LoadedComponent:
    documents = parse(text, origin)
    if len(documents) not in (1, 2):
        raise SpecError(f"{origin}: expected one document, or two with a PlatformSpec, got {len(documents)} documents.")
    try:
        loaded = _load_documents(documents, text)
    except (SpecError, UnsupportedError) as error:
        raise type(error)(f"{origin}: {error}") from error
    if loaded.misuse is None:
        return loaded
    return loaded._replace(misuse=type(loaded.misuse)(f"{origin}: {loaded.misuse}"))


def _load_documents(documents: list[dict[str, Json]], text: str) -> LoadedComponent:
    if is_manifest(documents[0]):
        spec, platforms, description = read_specs(documents)
        return LoadedComponent(_load_from_manifest(spec, platforms), description)
    if "implementation" in documents[0]:
        if len(documents) > 1:
            raise SpecError(f"expected one document for a component of KFP version 1, got {len(documents)}")
        misuses: list[SpecError] = []
        plan = load_v1(documents[0], misuses.append)
        return LoadedComponent(plan, read_v1_description(documents[0]), next(iter(misuses), None))
    if documents[0].keys() == {"platforms"}:
        raise SpecError("platforms: expected a PipelineSpec as the first document, got a PlatformSpec")
    plan = load(*documents)
    return LoadedComponent(plan, plan.description or read_description(text))


def _load_from_manifest(spec: Json, platforms: Json) -> Plan:
    try:
        return load(spec, platforms)
    except (SpecError, UnsupportedError) as error:
        raise type(error)(f"spec.pipelineSpec: {error}") from error
