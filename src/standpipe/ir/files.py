"""Compiled files: YAML, or JSON as old SDKs wrote it, with a PipelineSpec and perhaps a PlatformSpec."""

from __future__ import annotations

import json
import os
import uuid
from pathlib import Path

import yaml

from standpipe.errors import SpecError, StorageError, UnsupportedError
from standpipe.ir.documents import parse
from standpipe.ir.emitter import emit, emit_platforms
from standpipe.ir.header import read_description, write_header
from standpipe.ir.loader import load
from standpipe.ir.manifests import ManifestNames, emit_manifests, is_manifest, specs_of
from standpipe.ir.v1_component import description_of, load_v1
from standpipe.model.plan import Importer, Plan
from standpipe.model.types import Json


def dumps(plan: Plan, description: str | None = None) -> str:
    """The Plan as the text of a YAML file, as `kfp` compiles it.

    `description` goes into the comment at the top, and nowhere else; without it, the Plan's own is there.

    Raises:
        SpecError: as `emit`.
    """
    spec, platforms = emit(plan), emit_platforms(plan)
    header = write_header(spec, description or plan.description)
    return header + _dump([spec, platforms] if platforms else [spec])


def write(plan: Plan, path: str | os.PathLike[str], description: str | None = None) -> None:
    """Writes the Plan into a `.yaml`, `.yml` or `.json` file, completely or not at all.

    Raises:
        SpecError: as `emit`, or if the file's name ends otherwise, or for platforms in a JSON file, or if an importer
            downloads into a workspace that the pipeline does not have.
        StorageError: if the file cannot be written.
    """
    file = Path(path)
    _check_workspace(plan)
    if file.suffix in (".yaml", ".yml"):
        text = dumps(plan, description)
    elif file.suffix == ".json":
        text = _dumps_json(plan, file)
    else:
        raise SpecError(f"{file}: the name of a compiled file ends with .yaml; choose such a name.")
    _write(file, text)


def write_manifests(
    plan: Plan,
    path: str | os.PathLike[str],
    names: ManifestNames,
    description: str | None = None,
    with_pipeline: bool = False,
) -> None:
    """Writes the Plan as Kubernetes manifests into a YAML file of any name, completely or not at all.

    Raises:
        SpecError: as `write`, but for the file's name.
        StorageError: if the file cannot be written.
    """
    _check_workspace(plan)
    manifests = emit_manifests(plan, names, description or plan.description, with_pipeline)
    _write(Path(path), _dump(manifests))


def _dump(documents: list[dict[str, Json]]) -> str:
    text: str = yaml.dump_all(documents, Dumper=yaml.SafeDumper, sort_keys=True)
    return text


def _check_workspace(plan: Plan) -> None:
    """What is run elsewhere must say what it needs there; here, a run has a workspace anyway."""
    if "workspace" in plan.pipeline_config:
        return
    for label, executor in plan.executors.items():
        if isinstance(executor, Importer) and executor.download_to_workspace:
            raise SpecError(
                f"deploymentSpec.executors.{label}.importer.downloadToWorkspace: the pipeline has no workspace. "
                "Give it one: @dsl.pipeline(pipeline_config=dsl.PipelineConfig(workspace=dsl.WorkspaceConfig('1Gi')))."
            )


def _write(file: Path, text: str) -> None:
    try:
        _write_atomically(Path(os.path.realpath(file)), text)
    except OSError as error:
        raise StorageError(f"{file} cannot be written: {error.strerror or error}. Choose another place.") from error


def _dumps_json(plan: Plan, file: Path) -> str:
    if plan.platforms:
        raise SpecError(f"{file}: JSON has no place for platform features; choose a name that ends with .yaml.")
    return json.dumps(emit(plan), indent=2, sort_keys=True)


def _write_atomically(file: Path, text: str) -> None:
    temporary = file.with_name(f".{file.name}.{uuid.uuid4().hex}")
    try:
        temporary.write_text(text, encoding="utf-8", newline="\n")
        temporary.replace(file)
    finally:
        temporary.unlink(missing_ok=True)


def read(path: str | os.PathLike[str]) -> Plan:
    """The Plan in a compiled file.

    Raises:
        SpecError: if it is no such file, or malformed; the error names the field.
        StorageError: if it cannot be read.
        UnsupportedError: if it holds what this version does not run; the error names the field.
    """
    return read_text(text_of(path), origin=str(path))


def text_of(path: str | os.PathLike[str]) -> str:
    """The text of a compiled file.

    Raises:
        SpecError: if it is no text.
        StorageError: if it cannot be read.
    """
    file = Path(path)
    if "\0" in str(path) or not str(path):
        raise StorageError(f"{str(path)!r} is no path. Give a compiled YAML file.")
    try:
        return file.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError:
        raise SpecError(f"{file} is no text: give the compiled YAML file itself, not an archive of it.") from None
    except OSError as error:
        raise StorageError(f"{file} cannot be read: {error.strerror or error}. Give a compiled YAML file.") from error


def read_text(text: str, origin: str = "The text") -> Plan:
    """The Plan in the text of a compiled file; errors call the text `origin`, and are those of `read`."""
    return read_component(text, origin)[0]


def read_component(text: str, origin: str = "The text") -> tuple[Plan, str]:
    """The Plan in the text of a compiled file or of a component of KFP version 1, and the description there.

    A Plan holds the description of a pipeline, but not that of a single component. Errors are those of `read_text`.
    """
    documents = parse(text, origin)
    if len(documents) not in (1, 2):
        raise SpecError(
            f"{origin} holds {len(documents)} documents: a compiled pipeline is one, or two with platforms."
        )
    try:
        return _load_documents(documents, text)
    except (SpecError, UnsupportedError) as error:
        raise type(error)(f"{origin}: {error}") from error


def _load_documents(documents: list[dict[str, Json]], text: str) -> tuple[Plan, str]:
    if is_manifest(documents[0]):
        spec, platforms, description = specs_of(documents)
        return _load_from_manifest(spec, platforms), description
    if "implementation" in documents[0]:
        if len(documents) > 1:
            raise SpecError("there are two documents: a component of KFP version 1 is one")
        return load_v1(documents[0]), description_of(documents[0])
    if documents[0].keys() == {"platforms"}:
        raise SpecError("platforms: the file begins with a PlatformSpec: the pipeline itself comes first")
    plan = load(*documents)
    return plan, plan.description or read_description(text)


def _load_from_manifest(spec: Json, platforms: Json) -> Plan:
    try:
        return load(spec, platforms)
    except (SpecError, UnsupportedError) as error:
        raise type(error)(f"spec.pipelineSpec: {error}") from error
