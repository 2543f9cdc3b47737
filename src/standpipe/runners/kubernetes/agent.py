"""What runs in our containers of a pod: `fetch` before the task, `store` after it. Python 3.10 or newer with obstore.

The request is in a volume that the task does not see, like our code: the task must not choose what `store` does with
the credentials to the object store.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import signal
import stat
import sys
import zipfile
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

from standpipe.artifact_stores.clients import Clients
from standpipe.artifact_stores.remote import RemoteArtifactStore
from standpipe.errors import StandpipeError, StorageError
from standpipe.model.attempts import TaskRequest
from standpipe.model.cancellation import Cancellation
from standpipe.model.layout import REQUEST_FILE
from standpipe.runners.kubernetes.mailbox import REPLY, REQUEST, Mailbox
from standpipe.runners.transport.bundle import pack_files, unpack_request
from standpipe.runners.transport.node import make_folder, provided, store_outputs

#: Where the request waits for `store`.
_REQUEST_COPY = "/standpipe/request"

#: Where Kubernetes reads the termination message of a container, and the most bytes of one.
_MESSAGE_FILE, _MAX_MESSAGE = "/dev/termination-log", 4096

#: The entries of the archive that the program sends, and of the one that it gets.
TRANSPORT_ENTRY, WORKER_ENTRY = "transport", "worker"
FILES_ENTRY, STORED_ENTRY = "files", "stored"


def main(step: str, uri: str, checksum: str) -> None:
    """Do what one container is for, and end the process.

    Args:
        step: `fetch` or `store`.
        uri: the mailbox of the attempt.
        checksum: that of the request.
    """
    signal.signal(signal.SIGTERM, lambda *_: os._exit(128 + signal.SIGTERM))  # no default for the first process
    steps: dict[str, Callable[[str, str], dict[str, str]]] = {"fetch": fetch, "store": store}
    try:
        message, code = steps[step](uri, checksum), 0
    except StandpipeError as error:
        print(error, file=sys.stderr)
        message, code = {"error": type(error).__name__, "message": str(error), "hint": error.hint}, 1
    except OSError as error:
        print(error, file=sys.stderr)
        message, code = {"error": "StorageError", "message": str(error), "hint": ""}, 1
    _write_message(message)
    sys.exit(code)


def fetch(uri: str, checksum: str) -> dict[str, str]:
    """Have the folder of the attempt on this node, and its inputs."""
    cancel = Cancellation()
    content = Mailbox(uri, Clients()).get(REQUEST, cancel)
    request, worker = _unpack(content, checksum)
    Path(_REQUEST_COPY).write_bytes(content)
    make_folder(request)
    with provided(request, cancel, sys.maxsize):
        pass  # they stay where they are: nothing else uses the cache of this pod
    if worker:
        (request.folder / REQUEST_FILE).write_bytes(worker)
    _open_to_all(request)
    return {}


def store(uri: str, checksum: str) -> dict[str, str]:
    """Upload the outputs and send the small files; return the checksum of the message with them."""
    cancel = Cancellation()
    request, _ = _unpack(Path(_REQUEST_COPY).read_bytes(), checksum)
    assert request.transfers is not None, "they were packed"
    artifacts = RemoteArtifactStore(request.pipeline_root, request.transfers.root, sys.maxsize)
    stored = {uri: asdict(found) for uri, found in store_outputs(artifacts, request, cancel).items()}
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        archive.writestr(FILES_ENTRY, pack_files(request, succeeded=True))
        archive.writestr(STORED_ENTRY, json.dumps(stored))
    Mailbox(uri, Clients()).put(REPLY, content.getvalue(), cancel)
    return {"checksum": hashlib.sha256(content.getvalue()).hexdigest()}


def _unpack(content: bytes, checksum: str) -> tuple[TaskRequest, bytes]:
    """Return the request, and what the worker reads; empty for a container component."""
    if hashlib.sha256(content).hexdigest() != checksum:
        raise StorageError("The request of the task was changed on its way: its checksum differs. It was not read.")
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        packed, worker = archive.read(TRANSPORT_ENTRY), archive.read(WORKER_ENTRY)
    return unpack_request(packed, hashlib.sha256(packed).hexdigest()), worker


def _open_to_all(request: TaskRequest) -> None:
    """Let any user of the task's image read its inputs and write its outputs: nobody else is in its pod."""
    for folder, _, files in os.walk(request.pipeline_root):
        _add_mode(folder, 0o777)
        for name in files:
            _add_mode(os.path.join(folder, name), 0o666)


def _add_mode(path: str, mode: int) -> None:
    status = os.lstat(path)
    if not stat.S_ISLNK(status.st_mode) and status.st_uid == os.geteuid():  # the top is the kubelet's, and open
        os.chmod(path, stat.S_IMODE(status.st_mode) | mode)


def _write_message(message: dict[str, str]) -> None:
    for size in (2000, 600, 100):
        text = json.dumps({name: value[:size] for name, value in message.items()})
        if len(text) <= _MAX_MESSAGE:
            break
    with open(_MESSAGE_FILE, "r+", encoding="ascii") as file:  # it is there, and empty
        file.write(text)
