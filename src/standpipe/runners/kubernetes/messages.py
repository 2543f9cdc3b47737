"""What the program sends to a pod, and what it gets: archives with a few entries, named in `agent`."""

from __future__ import annotations

import hashlib
import io
import json
import zipfile

from standpipe.errors import StorageError
from standpipe.model.attempts import TaskRequest
from standpipe.model.plan import PythonFunction
from standpipe.model.types import Json
from standpipe.model.values import Checksum
from standpipe.runners.kubernetes.agent import FILES_ENTRY, STORED_ENTRY, TRANSPORT_ENTRY, WORKER_ENTRY
from standpipe.runners.request_files import request_file, write_request
from standpipe.runners.transport.bundle import pack_request, unpack_files


def pack_message(request: TaskRequest) -> tuple[bytes, str]:
    """Return what a pod needs for an attempt, and its checksum in hexadecimal."""
    packed, _ = pack_request(request)
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        archive.writestr(TRANSPORT_ENTRY, packed)
        archive.writestr(WORKER_ENTRY, _write_worker_request(request))
    return content.getvalue(), hashlib.sha256(content.getvalue()).hexdigest()


def _write_worker_request(request: TaskRequest) -> bytes:
    """Write what the worker executes, and return it; empty for a container component."""
    if not isinstance(request.program, PythonFunction):
        return b""
    write_request(request, request.program, usage=True)
    return request_file(request.folder).read_bytes()


def read_reply(request: TaskRequest, content: bytes, checksum: str) -> dict[str, Checksum]:
    """Write the files that a task has left into its folder; return the checksums of its payloads, by their URIs.

    Args:
        request: the attempt.
        content: what the pod has sent, by way of the object store.
        checksum: its checksum, as the pod has told the API server.

    Raises:
        StorageError: if it is anything else.
        OSError: if a file cannot be written.
    """
    if hashlib.sha256(content).hexdigest() != checksum:
        raise StorageError(f"What the pod of the task {str(request.task)!r} has sent was changed on its way.")
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        files, stored = archive.read(FILES_ENTRY), json.loads(archive.read(STORED_ENTRY))
    unpack_files(request, files)
    return {uri: _to_checksum(found) for uri, found in stored.items()}


def _to_checksum(found: dict[str, Json]) -> Checksum:
    return Checksum(**found)  # our own code in the pod has written it
