"""What an import can depend on, besides the packages: variables, the working directory, paths, filters of warnings.

A module that a template process has imported is right for a task only if these were the same when the task imports it.
"""

from __future__ import annotations

import os
import sys
import warnings
from contextlib import suppress
from typing import Any, Dict, List, NamedTuple, Tuple

try:
    import _locale
except ImportError:  # Python was built without it
    _locale = None  # type: ignore[assignment]

#: How two states differ: not at all; only in filters that hide more warnings; in anything else.
SAME, QUIETER, OTHER = range(3)


#: The name of the folder at the end of `sys.path` with the author's modules (`own_modules`).
MODULES_FOLDER = ".modules"


class ProcessState(NamedTuple):
    """The state of this process at one moment.

    `has_files` is whether there is anything in the working directory, such as a configuration file.
    """

    environ: Dict[Any, Any]
    folder: str
    has_files: bool
    paths: Tuple[Any, ...]
    finders: Tuple[Any, ...]
    hooks: Tuple[Any, ...]
    locale: str
    filters: List[Any]

    def compare(self, later: ProcessState) -> int:
        """Return how a later state differs from this one: `SAME`, `QUIETER` or `OTHER`."""
        if self[:-1] != later[:-1]:
            return OTHER
        if self.filters == later.filters:
            return SAME
        added = len(later.filters) - len(self.filters)
        hides = all(entry[0] == "ignore" for entry in later.filters[: max(0, added)])
        return QUIETER if added > 0 and hides and later.filters[added:] == self.filters else OTHER


def read_state(*ours: Any) -> ProcessState:
    """Return the present state of this process, without our own finders of modules, and that of the author's modules.

    It takes some microseconds.
    """
    folder, has_files = "", True
    with suppress(OSError):  # the working directory was removed
        folder = os.getcwd()
        with os.scandir(folder) as entries:
            has_files = next(entries, None) is not None
    return ProcessState(
        dict(raw_environ()),
        folder,
        has_files,
        tuple(path for path in sys.path if not str(path).endswith(MODULES_FOLDER)),
        tuple(f for f in sys.meta_path if f not in ours and not hasattr(f, "has_own_modules")),
        tuple(sys.path_hooks),
        _locale.setlocale(_locale.LC_ALL, None) if _locale else "",
        list(warnings.filters),
    )


def raw_environ() -> Dict[Any, Any]:
    """Return the variables as `os.environ` holds them, which compare much faster than `os.environ` does."""
    data: Dict[Any, Any] = os.environ._data  # type: ignore[attr-defined]
    return data
