"""An attempt as bytes: its request on the way to another machine, and the files that it leaves on the way back."""

from __future__ import annotations

import hashlib
import io
import json
import os
import zipfile
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

from standpipe.errors import StorageError
from standpipe.model.attempts import CommandLine, TaskRequest, Transfers
from standpipe.model.layout import ERROR_FILE, EXECUTOR_OUTPUT_FILE, USAGE_FILE
from standpipe.model.refs import RunId, TaskRef
from standpipe.model.types import ArtifactType
from standpipe.model.values import ArtifactValue, Checksum
from standpipe.support.untrusted_files import MAX_BYTES, create_file, read_file


def pack_request(request: TaskRequest) -> tuple[bytes, str]:
    """Return what moves the files and payloads of an attempt as JSON, and its checksum in hexadecimal.

    Its program, its variables and its limits are not in it: they are for what runs it.
    """
    assert request.transfers is not None, "its artifacts are in an object store"
    fields = {
        "run": request.run,
        "task": request.task.path,
        "attempt": request.attempt,
        "executor_input": request.executor_input,
        "folder": str(request.folder),
        "pipeline_root": str(request.pipeline_root),
        "umask": request.umask,
        "artifact_root": request.transfers.root,
        "cache_size": request.transfers.cache_size,
        "inputs": [asdict(artifact) for artifact in request.transfers.inputs],
    }
    content = json.dumps(fields).encode()
    return content, hashlib.sha256(content).hexdigest()


def unpack_request(content: bytes, checksum: str) -> TaskRequest:
    """Return the request that was packed, as far as it is in there.

    Args:
        content: the bytes, from where others may write, such as an object store.
        checksum: their checksum, from the program itself.

    Raises:
        StorageError: if they are not what the program has packed.
    """
    if hashlib.sha256(content).hexdigest() != checksum:
        raise StorageError("The request of the task was changed on its way: its checksum differs. It was not read.")
    fields = json.loads(content)
    return TaskRequest(
        run=RunId(fields["run"]),
        task=TaskRef(tuple((name, iteration) for name, iteration in fields["task"])),
        attempt=fields["attempt"],
        image="",
        program=CommandLine((), ()),
        executor_input=fields["executor_input"],
        folder=Path(fields["folder"]),
        pipeline_root=Path(fields["pipeline_root"]),
        umask=fields["umask"],
        transfers=Transfers(fields["artifact_root"], tuple(map(_to_artifact, fields["inputs"])), fields["cache_size"]),
    )


def _to_artifact(fields: dict[str, Any]) -> ArtifactValue:
    checksum = fields["checksum"]
    return ArtifactValue(
        **{**fields, "type": ArtifactType(**fields["type"]), "checksum": checksum and Checksum(**checksum)}
    )


def pack_files(request: TaskRequest, *, succeeded: bool) -> bytes:
    """Return the small files that an attempt leaves: its executor output, output parameters, error and usage.

    Args:
        request: the attempt.
        succeeded: whether it has succeeded. Otherwise what cannot be read of it is left out.

    Raises:
        UntrustedFileError: if one of them is not a regular file, or too large.
        OSError: if one of them cannot be read.
    """
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        for name in dict.fromkeys(_list_names(request)):
            try:
                archive.writestr(name, read_file(request.folder / name, request.pipeline_root))
            except FileNotFoundError:
                pass
            except (OSError, StorageError):
                if succeeded:
                    raise
    return content.getvalue()


def unpack_files(request: TaskRequest, content: bytes) -> None:
    """Write the files that an attempt has left on another machine into its folder on this one.

    Args:
        request: the attempt.
        content: what `pack_files` has returned there. A task may have written it, or anyone who writes to the store.

    Raises:
        StorageError: if it is anything else.
        OSError: if a file cannot be written.
    """
    expected = set(_list_names(request))
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            for entry in archive.infolist():
                if entry.filename not in expected or entry.file_size > MAX_BYTES:
                    raise StorageError(
                        f"The machine of the task {str(request.task)!r} has sent a file that is not one of its small "
                        f"files: {entry.filename!r} of {entry.file_size} bytes. It was not written."
                    )
                expected.remove(entry.filename)
                _write(request, entry.filename, archive.read(entry))
    except (zipfile.BadZipFile, NotImplementedError, RuntimeError, EOFError) as error:  # of `zipfile`
        raise StorageError(f"The files of the task {str(request.task)!r} did not arrive whole: {error}.") from None


def _write(request: TaskRequest, name: str, content: bytes) -> None:
    with os.fdopen(create_file(request.folder / name, request.pipeline_root), "wb") as file:
        file.write(content)


def _list_names(request: TaskRequest) -> Iterator[str]:
    yield from (EXECUTOR_OUTPUT_FILE, ERROR_FILE, USAGE_FILE)
    for parameter in request.executor_input["outputs"]["parameters"].values():
        yield os.path.basename(parameter["outputFile"])
