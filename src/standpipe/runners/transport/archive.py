"""The package `standpipe` as an archive, for machines that do not have it, or another version of it."""

from __future__ import annotations

import hashlib
import io
import zipfile
from collections.abc import Iterator
from functools import cache
from pathlib import Path

#: What moves the files and payloads of attempts (`node`), and the worker.
TRANSPORT = (
    "__init__.py",
    "errors.py",
    "tracebacks.py",
    "model",
    "support",
    "worker",
    "artifact_stores",
    "runners/__init__.py",
    "runners/transport",
)

#: What runs attempts, besides: the runner of processes with what it imports.
RUNNERS = (*TRANSPORT[:-2], "runners")

#: A time of last change for all files, so that the same files give the same archive.
_TIME = (1980, 1, 1, 0, 0, 0)


@cache
def make_archive(parts: tuple[str, ...]) -> tuple[bytes, str]:
    """Return an archive, from which Python also imports as it is, and its checksum in hexadecimal.

    Args:
        parts: the files and folders of the package that it has.
    """
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        for path, name in _list_files(parts):
            entry = zipfile.ZipInfo(f"standpipe/{name}", _TIME)
            archive.writestr(entry, path.read_bytes(), zipfile.ZIP_DEFLATED)
    return content.getvalue(), hashlib.sha256(content.getvalue()).hexdigest()


def _list_files(parts: tuple[str, ...]) -> Iterator[tuple[Path, str]]:
    """Yield the files of the archive, and their names below the package."""
    package = Path(__file__).parents[2]
    for part in parts:
        top = package / part
        for path in sorted(top.rglob("*.py")) if top.is_dir() else [top]:
            yield path, path.relative_to(package).as_posix()
