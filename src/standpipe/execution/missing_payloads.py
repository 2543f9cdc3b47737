"""Artifacts whose task left nothing at their path: the notice at once, and the hint for the task that reads them.

A task that does not write an output artifact succeeds, as on a cluster, where the launcher only logs that the path does
not exist (`backend/src/v2/component/launcher_v2.go`, 7b70c7b95f). Most such tasks wrote another one:
`model.path + ".csv"`.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping

from standpipe.model.events import StartAttempt
from standpipe.model.layout import ATTEMPT_FILES, file_name
from standpipe.model.locations import is_remote
from standpipe.model.ports import ArtifactStore
from standpipe.model.types import is_complete_without_payload
from standpipe.model.values import ArtifactValue, Value, find_artifacts
from standpipe.support.notices import Once, warn

#: The most files beside a path that a message names.
_MAX_NAMED = 5


def warn_of_missing_outputs(
    command: StartAttempt,
    outputs: Mapping[str, Value],
    store: ArtifactStore,
    reported: Once,
    *,
    expects_payloads: bool,
) -> None:
    """Warn of output artifacts that a task did not write; of each output of a component once.

    Args:
        command: the attempt.
        outputs: the outputs of the task, by name.
        store: has the payloads.
        reported: the components and outputs that the user knows of.
        expects_payloads: see `describe_missing_outputs`.
    """
    for name, text in describe_missing_outputs(outputs, store, expects_payloads=expects_payloads):
        if reported.is_first((command.component, name)):
            warn(
                f"Task '{command.task}' succeeded without its output artifact {name!r}: {text}. Write it to "
                f"exactly that path, which is `{name}.path` in Python: tasks that read it fail."
            )
    for name, text in describe_links(outputs, store):
        if reported.is_first((command.component, name)):
            warn(
                f"Task '{command.task}' left links in its output artifact {name!r}: {text}. It is not read, so the "
                "task is not cached, and runs again when the run is resumed. Copy the content to that path."
            )


def describe_missing_outputs(
    outputs: Mapping[str, Value], store: ArtifactStore, *, expects_payloads: bool
) -> Iterator[tuple[str, str]]:
    """Yield the output artifacts of a task that succeeded whose payloads are missing, each with a text about it.

    Args:
        outputs: the outputs of the task, by name.
        store: has the payloads.
        expects_payloads: whether every artifact that is not all metadata must have one. Otherwise, as under a
            `FakeRunner`, only files with similar names show that the task wrote another path.
    """
    for name, artifact in outputs.items():
        if isinstance(artifact, ArtifactValue) and _is_missing(artifact, store):
            path = store.local_path(artifact.location)
            others = {file_name(output) for output in outputs}
            beside = _files_beside(path, others)
            similar = [file for file in beside if _most_similar(file, others) == os.path.basename(path)]
            is_expected = expects_payloads and not is_complete_without_payload(artifact.type, artifact.metadata)
            if is_expected or similar:
                yield name, f"nothing is at {path}{_describe_files(similar or beside)}"


def describe_links(outputs: Mapping[str, Value], store: ArtifactStore) -> Iterator[tuple[str, str]]:
    """Yield the output artifacts with links out of the folders of runs, each with a text about them."""
    for name, artifact in outputs.items():
        if isinstance(artifact, ArtifactValue) and artifact.checksum is not None and not artifact.checksum:
            path = store.local_path(artifact.location)
            target = f" to {os.path.realpath(path)}" if os.path.islink(path) else ""
            link = path if target else f"one below {path}"
            yield name, f"{link} leads out of the folders of runs{target}"


def describe_missing_inputs(inputs: Mapping[str, Value], store: ArtifactStore) -> str:
    """Return a sentence for each input artifact without a payload, for a task that failed; empty if there is none."""
    sentences = []
    for name, value in inputs.items():
        for artifact in find_artifacts([value]):
            if _is_missing(artifact, store):
                path = store.local_path(artifact.location)
                # Names of outputs have no dots in files, so none of these is another output of that task.
                similar = [file for file in _files_beside(path) if file.startswith(f"{os.path.basename(path)}.")]
                if similar or not is_complete_without_payload(artifact.type, artifact.metadata):
                    # Otherwise it is an argument of the run, or an importer has named it.
                    reason = ", because the task that produced it wrote none" if store.owns(artifact.location) else ""
                    sentences.append(
                        f"Its input {name!r} has no file{reason}: nothing is at {path}{_describe_files(similar)}."
                    )
    return " ".join(dict.fromkeys(sentences))


def _most_similar(file: str, names: Iterable[str]) -> str:
    """Return the longest of the names that a file's name extends by a part of its own: `model` for `model-v2.csv`."""
    extended = [name for name in names if file.startswith(name) and not file[len(name) :][:1].isalnum()]
    return max(extended, key=len, default="")


def _is_missing(artifact: ArtifactValue, store: ArtifactStore) -> bool:
    if artifact.checksum is not None or not store.local_path(artifact.location):
        return False
    if is_remote(artifact.location) and not store.owns(artifact.location):
        return False
    return not store.exists(artifact.location)


def _files_beside(path: str, others: Iterable[str] = ()) -> list[str]:
    """Return what else a task left in the folder of a path, without what every attempt has and its other outputs."""
    known = {*ATTEMPT_FILES, *others}
    try:
        return sorted(name for name in os.listdir(os.path.dirname(path)) if name not in known)
    except OSError:
        return []  # the task chose a path in a folder that it did not make


def _describe_files(names: list[str]) -> str:
    if not names:
        return ""
    listed = ", ".join(map(repr, names[:_MAX_NAMED]))
    more = f" and {len(names) - _MAX_NAMED} more" if len(names) > _MAX_NAMED else ""
    return f"; beside it {'is' if len(names) == 1 else 'are'} {listed}{more}"
