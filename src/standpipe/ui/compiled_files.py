"""Compiled pipelines in the folder in which the server was started, which new runs can be made of."""

from __future__ import annotations

import os
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

from standpipe.errors import ArgumentError
from standpipe.model.layout import COMPILED_ENDINGS
from standpipe.model.plan import Plan

#: How deep folders are searched, how many entries are looked at, and how many files are opened.
_MAX_DEPTH = 4
_MAX_ENTRIES = 5_000
_MAX_FILES = 200

#: What compiled files begin with, or have near their end, and how many bytes of both are read.
_HEADER, _FIELD = b"# PIPELINE DEFINITION", b"schemaVersion"
_READ_BYTES = 16 * 1024

#: Folders with nothing that a user compiles.
_SKIPPED = {"node_modules", "__pycache__", "site-packages"}


def find_compiled_files(folder: Path, pipeline_root: Path) -> list[str]:
    """Return the paths of compiled pipelines below a folder, relative to it. The search is bounded.

    Args:
        folder: the folder.
        pipeline_root: the folder of the runs, which is not searched.
    """
    candidates = (
        path for path in islice(_walk(folder, pipeline_root), _MAX_ENTRIES) if path.endswith(COMPILED_ENDINGS)
    )
    return sorted(os.path.relpath(path, folder) for path in islice(candidates, _MAX_FILES) if _is_compiled(path))


def read_compiled_file(folder: Path, path: str) -> Plan:
    """Return the Plan of a compiled file.

    Args:
        folder: the folder that it has to be in, or in a folder of which.
        path: its path; relative to the folder if it is relative.

    Raises:
        ArgumentError: if it is not below the folder, or its name is not that of a compiled file.
        SpecError: if it is not a compiled pipeline.
        StorageError: if it cannot be read.
        UnsupportedError: if it has something that this version does not support.
    """
    from standpipe import ir  # brings protobuf and YAML, which the other pages do without

    return ir.read(compiled_file(folder, path))


def compiled_file(folder: Path, path: str) -> Path:
    """Return the path of a compiled file, without links; for its arguments and its error, see `read_compiled_file`."""
    if "\0" in path or not path.endswith(COMPILED_ENDINGS):
        raise ArgumentError(f"Invalid file {path!r}: expected a compiled file ({', '.join(COMPILED_ENDINGS)}).")
    file = Path(os.path.realpath(folder / os.path.expanduser(path)))
    if not file.is_relative_to(os.path.realpath(folder)):
        raise ArgumentError(
            f"Invalid file {path!r}: it is not below {folder}, where `standpipe ui` was started. Copy it there, or "
            "type `standpipe run FILE` in a terminal."
        )
    return file


def _walk(folder: Path, pipeline_root: Path) -> Iterator[str]:
    """Yield the paths of files, those of a folder before those of the folders in it."""
    level = [os.fspath(folder)]
    for _ in range(_MAX_DEPTH):
        deeper: list[str] = []
        for each in level:
            try:
                with os.scandir(each) as entries:
                    for entry in sorted(entries, key=lambda entry: entry.name):
                        yield entry.path
                        if entry.is_dir(follow_symlinks=False) and not _is_skipped(entry, pipeline_root):
                            deeper.append(entry.path)
            except OSError:
                continue  # it was removed, or belongs to somebody else
        level = deeper


def _is_skipped(entry: os.DirEntry[str], pipeline_root: Path) -> bool:
    return entry.name.startswith(".") or entry.name in _SKIPPED or Path(entry.path) == pipeline_root


def _is_compiled(path: str) -> bool:
    if not os.path.isfile(path):
        return False
    try:
        with open(path, "rb") as file:
            begin = file.read(_READ_BYTES)
            file.seek(max(0, os.fstat(file.fileno()).st_size - _READ_BYTES))
            end = file.read(_READ_BYTES)
    except OSError:
        return False
    return begin.startswith(_HEADER) or _FIELD in end
