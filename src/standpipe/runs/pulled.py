"""The mark of a run that another system has executed: where it comes from, and what is not known of it."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from standpipe.errors import ArgumentError, StorageError
from standpipe.model.layout import IN_PROGRESS_FILE, PULLED_FOLDER
from standpipe.support.untrusted_files import write_atomically

_FILE = "run.json"


class PulledRun(NamedTuple):
    """Where a run was pulled from: the URL of the host, and its id there.

    `unknown_inputs` are the required inputs that the host did not tell, by the paths of tasks. `logs` are the pods
    whose logs are here, by the paths of tasks. `has_metadata` is whether the host told values.
    """

    host: str
    id: str
    unknown_inputs: Mapping[str, Sequence[str]]
    logs: Mapping[str, str] = {}
    has_metadata: bool = True


def write_mark(folder: Path, pulled: PulledRun) -> None:
    """Mark a run as pulled, and as in progress there, for as long as its facts do not say that it has ended.

    Args:
        folder: its folder.
        pulled: where it comes from.

    Raises:
        StorageError: if its folder cannot be written.
    """
    text = json.dumps(pulled._asdict(), indent=2)
    with _explain_errors(folder):
        write_atomically(folder / PULLED_FOLDER / _FILE, folder, 0o666, lambda file: file.write(text.encode()))
        (folder / PULLED_FOLDER / IN_PROGRESS_FILE).touch()


def mark_ended(folder: Path) -> None:
    """Mark a run that was pulled as no longer in progress there, after its facts were recorded.

    Raises:
        StorageError: if its folder cannot be written.
    """
    with _explain_errors(folder):
        (folder / PULLED_FOLDER / IN_PROGRESS_FILE).unlink(missing_ok=True)


@contextmanager
def _explain_errors(folder: Path) -> Iterator[None]:
    try:
        yield
    except StorageError:
        raise  # it says more, and is an `OSError` as well
    except OSError as error:
        raise StorageError(f"Cannot write to the folder of the run, {folder}: {error.strerror}.") from error


def read_mark(folder: Path) -> PulledRun | None:
    """Return where a run was pulled from; None for a run of this machine.

    Raises:
        StorageError: if the mark cannot be read.
    """
    mark = folder / PULLED_FOLDER / _FILE
    try:
        document = json.loads(mark.read_text(encoding="utf-8"))
        return PulledRun(**document)
    except FileNotFoundError:
        return None
    except (OSError, ValueError, TypeError) as error:
        raise StorageError(
            f"The mark of a pulled run, {mark}, cannot be read: {error}. Delete the run (`standpipe delete "
            f"{folder.name}`), and pull it again."
        ) from error


def refuse_resume(folder: Path) -> None:
    """Raise an ArgumentError for a run that was pulled: its tasks have not run on this machine."""
    pulled = read_mark(folder)
    if pulled:
        raise ArgumentError(
            f"Cannot resume run {folder.name}: it was pulled from {pulled.host}. Retry run {pulled.id} there, rerun "
            f"one of its tasks here (`standpipe rerun {folder.name} TASK`), or start a new run."
        )
