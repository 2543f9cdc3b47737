"""An attempt on a node whose artifacts are in an object store: what comes before its process, and what after it."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

from standpipe.errors import StorageError, UnsupportedError
from standpipe.model.attempts import Outcome, TaskRequest
from standpipe.model.cancellation import Cancellation
from standpipe.runners.transport.bundle import pack_files
from standpipe.runners.transport.node import (
    find_local_inputs,
    make_folder,
    provided,
    refuse_local_inputs,
    remove_folder,
    store_outputs,
)
from standpipe.support.umask import restrict_umask
from standpipe.support.untrusted_files import remove_path

#: What to do where a node misses what is on the program's machine.
_SHARE = "state_root to a folder on a disk that all nodes share with it."


class Result(NamedTuple):
    """How an attempt ended, with the small files that the program does not see; empty on a disk that it shares."""

    outcome: Outcome
    files: bytes = b""


def run_with_transfers(
    request: TaskRequest, node: str, run: Callable[[TaskRequest], Outcome], cancel: Cancellation
) -> Result:
    """Run an attempt between the download of its inputs and the upload of its outputs.

    Args:
        request: the attempt.
        node: the address of this node.
        run: runs its process.
        cancel: ends the transfers.

    Raises:
        StandpipeError: if it cannot be started.
    """
    with restrict_umask(request.umask), ExitStack() as held:
        try:
            is_shared = held.enter_context(_folder(request, f"The node {node}"))
            store = held.enter_context(provided(request, cancel))
        except OSError as error:
            raise StorageError(f"{str(error).rstrip('.')}. This was on the node {node}.") from error
        outcome = run(request)
        try:
            if outcome.succeeded:
                outcome = replace(outcome, stored=store_outputs(store, request, cancel))
            return Result(outcome, b"" if is_shared else pack_files(request, succeeded=outcome.succeeded))
        except OSError as error:
            problem = f"its outputs were not stored: {str(error).rstrip('.')}. This was on the node {node}."
            return Result(replace(outcome, exit_code=None, signal=None, problem=problem))


@contextmanager
def _folder(request: TaskRequest, node: str) -> Iterator[bool]:
    """Have the folder of an attempt, during a block, in which the node has all that the attempt needs.

    Yields:
        Whether it is on a disk that the program sees as well.
    """
    is_shared = not make_folder(request)
    scratch: list[Path] = []
    try:
        _check(request, node)
        scratch = [mount.source for mount in request.pod.mounts if not mount.source.exists()]
        for path in scratch:
            path.mkdir(parents=True)
            path.chmod(0o777)  # as that of the program
        yield is_shared
    finally:
        for path in scratch:
            remove_path(path, path.parent)
        if not is_shared:
            remove_folder(request)


def _check(request: TaskRequest, node: str) -> None:
    """Refuse an attempt that needs files of the program's machine which this node does not see.

    Raises:
        UnsupportedError: if it does.
    """
    inputs = {name: path for name, path in find_local_inputs(request).items() if not os.path.exists(path)}
    if inputs:
        raise refuse_local_inputs(request, inputs, node, f"Or set {_SHARE}")
    kept = [mount.source for mount in request.pod.mounts if not mount.temporary or mount.read_only]
    missing = [str(path) for path in (request.workspace, *kept) if path is not None and not path.exists()]
    if missing:
        raise UnsupportedError(
            f"The task {str(request.task)!r} uses folders of the program's machine, as its workspace or as volumes: "
            f"{', '.join(missing)}. {node} does not see them. Set {_SHARE}"
        )
