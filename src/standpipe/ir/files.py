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
from standpipe.ir.header import write_header
from standpipe.ir.loader import load
from standpipe.model.plan import Plan
from standpipe.model.types import Json


def dumps(plan: Plan, description: str | None = None) -> str:
    """The Plan as the text of a YAML file, as `kfp` compiles it.

    `description` goes into the comment at the top, and nowhere else; without it, the Plan's own is there.

    Raises:
        SpecError: as `emit`.
    """
    spec, platforms = emit(plan), emit_platforms(plan)
    documents = [spec, platforms] if platforms else [spec]
    header = write_header(spec, description or plan.description)
    return header + yaml.dump_all(documents, Dumper=yaml.SafeDumper, sort_keys=True)


def write(plan: Plan, path: str | os.PathLike[str], description: str | None = None) -> None:
    """Writes the Plan into a `.yaml`, `.yml` or `.json` file, completely or not at all.

    Raises:
        SpecError: as `emit`, or if the file's name ends otherwise, or for platforms in a JSON file.
        StorageError: if the file cannot be written.
    """
    file = Path(path)
    if file.suffix in (".yaml", ".yml"):
        text = dumps(plan, description)
    elif file.suffix == ".json":
        text = _dumps_json(plan, file)
    else:
        raise SpecError(f"{file}: the name of a compiled file ends with .yaml; choose such a name.")
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
    try:
        return file.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError:
        raise SpecError(f"{file} is no text: give the compiled YAML file itself, not an archive of it.") from None
    except OSError as error:
        raise StorageError(f"{file} cannot be read: {error.strerror or error}. Give a compiled YAML file.") from error


def read_text(text: str, origin: str = "The text") -> Plan:
    """The Plan in the text of a compiled file; errors call the text `origin`, and are those of `read`."""
    documents = parse(text, origin)
    if len(documents) not in (1, 2):
        raise SpecError(
            f"{origin} holds {len(documents)} documents: a compiled pipeline is one, or two with platforms."
        )
    _refuse_other_formats(documents[0], origin)
    try:
        return load(*documents)
    except (SpecError, UnsupportedError) as error:
        raise type(error)(f"{origin}: {error}") from error


def _refuse_other_formats(document: dict[str, Json], origin: str) -> None:
    if "implementation" in document:
        raise UnsupportedError(
            f"{origin} is a component of KFP version 1. Compile it with a KFP SDK of version 2, and give the result."
        )
    if "apiVersion" in document:
        raise UnsupportedError(
            f"{origin} is a Kubernetes manifest of the kind {document.get('kind')}. "
            "Compile the pipeline to plain YAML, and give the result."
        )
