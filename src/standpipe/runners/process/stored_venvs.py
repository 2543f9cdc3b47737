"""The environments on the disk: how large they are, when they were used last, and their removal."""

from __future__ import annotations

import json
import os
import re
import shutil
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from standpipe.runners.process.venv import MARKER
from standpipe.support.disk_usage import DiskUsage
from standpipe.support.usage_marks import last_use, reserved

_KEY = re.compile(r"[0-9a-f]{32}")

#: What is before the name of an environment that is being removed; what a killed process has left has it, too.
_REMOVED = ".removed-"


class StoredVenv(NamedTuple):
    """An environment.

    `used` is when it was used last, in seconds since the epoch. `packages` are its requirements. `is_complete` is
    whether it was built completely; others are of no use.
    """

    folder: Path
    size: int
    used: float
    packages: tuple[str, ...]
    is_complete: bool


def list_venvs(root: Path, usage: DiskUsage) -> Iterator[StoredVenv]:
    """Yield the environments below a folder, and what removals have left that were killed.

    Args:
        root: the folder, which need not exist.
        usage: adds up their sizes: environments may share files by hard links.
    """
    try:
        names = sorted(os.listdir(root))
    except OSError:
        return
    for name in names:
        folder = root / name
        if _KEY.fullmatch(name.removeprefix(_REMOVED)) and folder.is_dir():
            created, packages = _read_marker(folder)
            is_complete = created is not None and not name.startswith(_REMOVED)
            used = max(created or 0.0, last_use(root, name))
            yield StoredVenv(folder, usage.folder(folder), used, packages, is_complete)


def remove_venv(folder: Path) -> bool:
    """Remove an environment; return False if a process uses it or builds it, or its files cannot be removed.

    It is moved aside first: a process that starts to use it meanwhile builds it again.
    """
    root, name = folder.parent, folder.name
    if name.startswith(_REMOVED):
        return _remove(folder)
    with reserved(root, name) as is_unused:
        if not is_unused:
            return False
        removed = root / f"{_REMOVED}{name}"
        shutil.rmtree(removed, ignore_errors=True)
        try:
            os.rename(folder, removed)
        except OSError:
            return False
    return _remove(removed)


def _remove(folder: Path) -> bool:
    shutil.rmtree(folder, ignore_errors=True)
    return not os.path.lexists(folder)


def _read_marker(folder: Path) -> tuple[float | None, tuple[str, ...]]:
    """Return when an environment was completed and its requirements; None if it was not."""
    with suppress(OSError, ValueError, TypeError, KeyError):
        content = json.loads((folder / MARKER).read_text(encoding="utf-8"))
        return float(content["created"]), tuple(map(str, content["requirements"]))
    return None, ()
