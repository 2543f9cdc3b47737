"""Compiled pipelines in the folder in which the server was started, which new runs can be made of."""

from __future__ import annotations

import os
import re
from codecs import BOM_UTF8
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

from standpipe.errors import ArgumentError
from standpipe.model.layout import COMPILED_ENDINGS, RUN_STORE_FILE
from standpipe.model.plan import Plan

#: How deep folders are searched, how many entries are looked at, and how many files are opened.
_MAX_DEPTH = 4
_MAX_ENTRIES = 5_000
_MAX_FILES = 200

#: How many bytes of the beginning and of the end of a file are read. A compiled file has the version of its schema near
#: its end, at the top level, as the keys are in order.
_READ_BYTES = 16 * 1024

#: What compiled files in YAML begin with, or else have at the beginning of a line.
_HEADER = b"# PIPELINE DEFINITION"
_YAML_VERSION = re.compile(rb"^schemaVersion: *['\"]?2\.", re.MULTILINE)

#: Kubernetes manifests of compiled pipelines have both.
_MANIFEST = re.compile(rb"^apiVersion: *pipelines\.kubeflow\.org/", re.MULTILINE)
_MANIFEST_KIND = re.compile(rb"^kind: *PipelineVersion\b", re.MULTILINE)

#: The version in JSON, not in a string, and what decides at which level it is: braces and brackets outside of strings.
_JSON_VERSION = re.compile(rb'(?<!\\)"schemaVersion"\s*:\s*(?="2\.)')
_STRING_OR_BRACKET = re.compile(rb'"(?:[^"\\]|\\.)*"|[\[\]{}]', re.DOTALL)
_DEPTH = {b"}": 1, b"]": 1, b"{": -1, b"[": -1}

#: How the name of the folder of a run ends.
_TIME_OF_RUN = re.compile(r"-\d{4}(?:-\d{2}){5}-\d{6}$")

#: Folders with nothing that a user compiles.
_SKIPPED = {"node_modules", "__pycache__", "site-packages"}


def find_compiled_files(folder: Path) -> list[str]:
    """Return the paths of compiled pipelines below a folder, relative to it. The search is bounded.

    Folders of runs, and pipeline roots below the folder, are not searched: their files belong to tasks.
    """
    candidates = (path for path in islice(_walk(folder), _MAX_ENTRIES) if path.endswith(COMPILED_ENDINGS))
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


def _walk(folder: Path) -> Iterator[str]:
    """Yield the paths of files, those of a folder before those of the folders in it."""
    top = os.fspath(folder)
    level = [top]
    for _ in range(_MAX_DEPTH):
        deeper: list[str] = []
        for each in level:
            try:
                with os.scandir(each) as scanned:
                    entries = sorted(scanned, key=lambda entry: entry.name)
            except OSError:
                continue  # it was removed, or belongs to somebody else
            is_root = any(entry.name == RUN_STORE_FILE for entry in entries)
            if is_root and each != top:
                continue
            for entry in entries:
                yield entry.path
                if entry.is_dir(follow_symlinks=False) and not _is_skipped(entry.name, is_root):
                    deeper.append(entry.path)
        level = deeper


def _is_skipped(name: str, is_in_root: bool) -> bool:
    return name.startswith(".") or name in _SKIPPED or (is_in_root and _TIME_OF_RUN.search(name) is not None)


def _is_compiled(path: str) -> bool:
    if not os.path.isfile(path):
        return False
    try:
        with open(path, "rb") as file:
            begin = file.read(_READ_BYTES).removeprefix(BOM_UTF8)
            file.seek(max(0, os.fstat(file.fileno()).st_size - _READ_BYTES))
            end = file.read(_READ_BYTES)
    except OSError:
        return False
    if begin.lstrip().startswith(b"{"):
        return any(_count_open(end[match.end() :]) == 1 for match in _JSON_VERSION.finditer(end))
    if begin.startswith(_HEADER) or _YAML_VERSION.search(end):
        return True
    return bool(_MANIFEST.search(begin) and (_MANIFEST_KIND.search(begin) or _MANIFEST_KIND.search(end)))


def _count_open(rest: bytes) -> int:
    """Return how many objects and lists are open where the rest of a JSON text begins."""
    return sum(_DEPTH.get(match[0], 0) for match in _STRING_OR_BRACKET.finditer(rest))
